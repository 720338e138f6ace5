//! Folders and small files that are still there after a loss of power.
//!
//! A file's own sync says nothing of its name: that stands in the folder, and the folder's in the
//! folder around it. Owns: making and replacing by name, and syncing what the name stands in.
//! Driven by: the store, the journal's disk, backups. Invariant: what returned is durable, whoever
//! made it. Does not: know what a file means.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The folder at `path`, for its owner alone; made with those around it if it is not there.
///
/// # Errors
/// The system's.
pub fn make(path: &Path) -> io::Result<()> {
    let is_new = !path.is_dir();
    if is_new {
        if !around(path).is_dir() {
            make(&around(path))?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    // Also where it was there: whoever made it may have been cut off just before this.
    match sync(&around(path)) {
        // The folder around it is somebody else's, and so was the making.
        Err(error) if !is_new && error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

/// Returns when creations, renames and removals in the folder at `path` are durable.
///
/// # Errors
/// The system's.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The same for the folder that the file at `path` stands in.
///
/// # Errors
/// The system's.
pub fn sync_around(path: &Path) -> io::Result<()> {
    sync(&around(path))
}

/// A small file, replaced whole: after a crash it is the old one or the new one.
///
/// # Errors
/// The system's.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path, "new");
    write_new(&new, bytes)?;
    fs::rename(&new, path)?;
    sync_around(path)
}

/// A small file that several processes may make at once: it is written under a name of this
/// process's own and linked, so whoever finds it finds it whole, and the first one stays.
///
/// # Errors
/// The system's.
pub fn make_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if !path.exists() {
        let new = beside(path, &std::process::id().to_string());
        write_new(&new, bytes)?;
        match fs::hard_link(&new, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => fs::remove_file(&new)?,
        }
    }
    sync_around(path)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn around(path: &Path) -> PathBuf {
    match path.parent() {
        // A bare name stands in the working folder.
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_is_made_with_those_around_it_for_its_owner_alone_and_may_be_there() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("a").join("b");
        make(&path).unwrap();
        make(&path).unwrap();
        for made in [&path, &top.path().join("a")] {
            assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
        fs::write(path.join("file"), "").unwrap();
        assert!(make(&path.join("file").join("c")).is_err());
    }

    #[test]
    fn the_first_of_several_files_stays_and_a_replaced_one_does_not() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("file");
        make_file(&path, b"first").unwrap();
        make_file(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        replace(&path, b"third").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 1, "nothing else is left");
    }
}
