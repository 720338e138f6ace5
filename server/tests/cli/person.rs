//! A person with a home of their own, who types commands.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::support::server::Server;

pub(crate) const PASSWORD: &str = "correct horse";

/// A server with quick passwords, in a folder of its own.
pub(crate) fn server() -> (TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "BCRYPT_COST=4\nLIMIT_SENDS_PER_S=1000\n");
    (folder, server)
}

/// See the module's page.
pub(crate) struct Person {
    pub(crate) home: PathBuf,
    env: PathBuf,
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It is refused, with this code on stderr.
    pub(crate) fn is_refused(&self, code: &str) {
        assert!(self.code == 1 && self.stderr.contains(code), "{code}: {self:?}");
    }

    pub(crate) fn ends(&self, code: i32, says: &str) {
        assert!(self.code == code && self.stderr.contains(says), "{code} {says}: {self:?}");
    }
}

impl Person {
    /// Somebody whose home is `name` in `folder`.
    pub(crate) fn new(folder: &Path, name: &str, server: &Server) -> Person {
        Person { home: folder.join(name), env: server.env.clone() }
    }

    /// The same, with an account of that name.
    pub(crate) fn registered(folder: &Path, name: &str, server: &Server) -> Person {
        let person = Person::new(folder, name, server);
        assert_eq!(person.register(name, PASSWORD).code, 0);
        person
    }

    pub(crate) fn register(&self, name: &str, password: &str) -> Outcome {
        self.says(&["--password-file", "-", "register", name], password)
    }

    /// The program in this person's home, with nothing of the tests' own environment.
    pub(crate) fn command(&self) -> Command {
        self.at_home(Command::new(env!("CARGO_BIN_EXE_holdfast")))
    }

    /// The same, started by another program.
    pub(crate) fn within(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).arg(env!("CARGO_BIN_EXE_holdfast"));
        self.at_home(command)
    }

    fn at_home(&self, mut command: Command) -> Command {
        fs::create_dir_all(&self.home).unwrap();
        command.env("HOLDFAST_HOME", &self.home).current_dir(&self.home).env_remove("ENV_FILE");
        command
    }

    /// A command with the settings' file.
    pub(crate) fn does(&self, words: &[&str]) -> Outcome {
        self.says(words, "")
    }

    /// The same, with something on stdin.
    pub(crate) fn says(&self, words: &[&str], stdin: &str) -> Outcome {
        let mut command = self.command();
        command.arg("--env").arg(&self.env).args(words);
        finish(command, stdin)
    }

    /// A command without saying which servers.
    pub(crate) fn does_plainly(&self, words: &[&str]) -> Outcome {
        let mut command = self.command();
        command.args(words);
        finish(command, "")
    }
}

pub(crate) fn finish(mut command: Command, stdin: &str) -> Outcome {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Who is refused at once does not read.
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).ok();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}
