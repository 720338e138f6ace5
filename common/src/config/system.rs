//! The rim of the settings: the file and the process environment themselves.

#![expect(clippy::disallowed_methods, reason = "the rim: this is where the environment is asked")]

use std::io;
use std::path::{Path, PathBuf};

use super::{Config, Faults, Source, parse_file};

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// The file that was named cannot be read.
    #[error("the settings file {} cannot be read: {source}", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A line of it is no setting.
    #[error("the settings file {}: {why}", .path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The settings themselves.
    #[error("{}{source}", place(.path.as_deref()))]
    Faults {
        /// The file, if there was one.
        path: Option<PathBuf>,
        /// What is wrong.
        #[source]
        source: Faults,
    },
}

/// Where the settings came from, before what is wrong with them.
fn place(path: Option<&Path>) -> String {
    path.map_or(String::new(), |path| format!("{}: ", path.display()))
}

/// The settings of this process: from the file that is named, else `ENV_FILE`, else `.env` in the
/// working folder where there is one; the environment wins over the file.
///
/// # Errors
/// [`SystemError`]
pub fn from_system(named: Option<&Path>) -> Result<Config, SystemError> {
    let by_environment = std::env::var_os("ENV_FILE").filter(|path| !path.is_empty());
    let path = match named.map(Path::to_owned).or(by_environment.map(PathBuf::from)) {
        Some(path) => Some(path),
        None => Some(PathBuf::from(".env")).filter(|path| path.exists()),
    };
    let (file, folder) = match &path {
        None => (Vec::new(), PathBuf::new()),
        Some(path) => {
            let unreadable = |source| SystemError::Unreadable { path: path.clone(), source };
            let text = std::fs::read_to_string(path).map_err(unreadable)?;
            let pairs = parse_file(&text)
                .map_err(|why| SystemError::Malformed { path: path.clone(), why })?;
            (pairs, path.parent().map(Path::to_owned).unwrap_or_default())
        }
    };
    // Sockets and messages name absolute paths, wherever a program was started.
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let source = Source { file, folder, environment: &|key| std::env::var(key).ok() };
    Config::load(&source).map_err(|source| SystemError::Faults { path, source })
}
