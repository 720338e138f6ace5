//! The scripts as a person uses them, with the built server and terminal client.
//!
//! Owns: a machine: a folder whose name has a space, with copies of the scripts, settings, and a
//! stand-in for `cargo`, for the programs are built already. Driven by: the tests of the scripts.
//! Invariant: what it started is stopped when it is dropped. Does not: build anything.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::server::free_port;

const WRITABLE: &str = "the test's own folder can be written";
/// What a house needs of the project.
const SCRIPTS: &[&str] = &["start_cluster.sh", "setup_distributed.sh", "server/scripts/cluster.sh"];

/// One server's place in the settings.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) ip: String,
    pub(crate) replica: u16,
    pub(crate) client: u16,
    pub(crate) http: u16,
}

impl Place {
    pub(crate) fn at(ip: &str) -> Place {
        let ip = ip.to_owned();
        Place { ip, replica: free_port(), client: free_port(), http: free_port() }
    }
}

/// See the module's page.
pub(crate) struct House {
    pub(crate) folder: PathBuf,
    pub(crate) places: Vec<Place>,
    _temporary: TempDir,
}

impl House {
    /// With so many servers on 127.0.0.1.
    pub(crate) fn new(servers: usize) -> House {
        House::with((0..servers).map(|_| Place::at("127.0.0.1")).collect())
    }

    pub(crate) fn with(places: Vec<Place>) -> House {
        let temporary = tempfile::tempdir().expect(WRITABLE);
        let folder = temporary.path().join("my house");
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("server/ has a parent");
        for inner in ["target/release", "tools", "server/scripts"] {
            fs::create_dir_all(folder.join(inner)).expect(WRITABLE);
        }
        for script in SCRIPTS {
            fs::copy(top.join(script), folder.join(script)).expect(WRITABLE);
        }
        let programs = [
            ("holdfast-server", env!("CARGO_BIN_EXE_holdfast-server")),
            ("holdfast", env!("CARGO_BIN_EXE_holdfast")),
        ];
        for (name, program) in programs {
            symlink(program, folder.join("target/release").join(name)).expect(WRITABLE);
        }
        let house = House { folder, places, _temporary: temporary };
        house.tool("cargo", "exit 0");
        house.settings("");
        house
    }

    /// Puts a stand-in for a program before all others.
    pub(crate) fn tool(&self, name: &str, script: &str) {
        let path = self.folder.join("tools").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect(WRITABLE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect(WRITABLE);
    }

    /// Writes the settings: the servers' places in several ways of writing, and these lines.
    pub(crate) fn settings(&self, more: &str) {
        let mut text = String::new();
        for (n, place) in (1..).zip(&self.places) {
            let Place { ip, replica, client, http } = place;
            text += &format!(
                "SERVER{n}_IP={ip}  # a machine\nexport REPLICA_PORT{n}={replica}\n\
                 CLIENT_PORT{n}='{client}'\nHTTP_PORT{n}={http}\n"
            );
        }
        let text = format!("{text}DATA_DIR=\"./my data\"\n{more}");
        fs::write(self.folder.join(".env"), text).expect(WRITABLE);
    }

    pub(crate) fn command(&self, program: &Path, words: &[&str]) -> Command {
        let path = std::env::var("PATH").expect("a PATH");
        let mut command = Command::new(program);
        command
            .args(words)
            .current_dir("/")
            .env("PATH", format!("{}:{path}", self.folder.join("tools").display()))
            .env("HOLDFAST_HOME", self.folder.join("home"))
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("ENV_FILE")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn script(&self, script: &str, words: &[&str]) -> Said {
        let script = self.folder.join(script);
        Said::from(self.command(&script, words).output().expect("bash is there"))
    }

    /// `start_cluster.sh`
    pub(crate) fn run(&self, words: &[&str]) -> Said {
        self.script("start_cluster.sh", words)
    }

    pub(crate) fn run_answering(&self, words: &[&str], answer: &str) -> Said {
        let file = self.folder.join("answer");
        fs::write(&file, answer).expect(WRITABLE);
        let mut command = self.command(&self.folder.join("start_cluster.sh"), words);
        let answer = fs::File::open(file).expect(WRITABLE);
        Said::from(command.stdin(answer).output().expect("bash is there"))
    }

    /// The terminal client: at one server, or at any.
    pub(crate) fn client(&self, server: Option<usize>, words: &[&str]) -> Said {
        let settings = self.folder.join(".env").display().to_string();
        let where_to = match server {
            None => ["--env".to_owned(), settings],
            Some(server) => {
                let place = &self.places[server - 1];
                ["--server".to_owned(), format!("{}:{}", place.ip, place.client)]
            }
        };
        let program = self.folder.join("target/release/holdfast");
        let mut command = self.command(&program, &[]);
        Said::from(command.args(where_to).args(words).output().expect("the client is built"))
    }

    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.folder.join("my data").join(name)
    }

    pub(crate) fn pid(&self, server: usize) -> String {
        let file = self.data(&format!("server{server}.pid"));
        fs::read_to_string(file).expect(WRITABLE).trim().to_owned()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.run(&["stop"]);
    }
}

/// What a program said, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) error: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("programs speak UTF-8");
        Said { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
    }
}

impl Said {
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Said {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.error);
        self
    }
}
