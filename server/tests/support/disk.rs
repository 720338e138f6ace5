//! A small disk of its own for a server: a file system in memory, in a mount namespace that nobody
//! else sees and that ends with the test. Linux only.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// See the module's page.
pub(crate) struct SmallDisk {
    holder: Child,
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts one of so many MiB at `folder`.
    pub(crate) fn mount(folder: &Path, mebibytes: u32) -> SmallDisk {
        fs::create_dir_all(folder).expect("a writable folder");
        let script = "mount -t tmpfs -o size=$1m tmpfs \"$2\" && echo mounted && exec cat";
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
            .arg(mebibytes.to_string())
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program `unshare` (util-linux) is installed");
        let mut said = String::new();
        let stdout = holder.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut said).expect("a pipe");
        assert_eq!(
            said, "mounted\n",
            "`unshare --map-root-user --mount` and `mount -t tmpfs` must be allowed here: this \
             test fills a disk, and may not fill the machine's"
        );
        SmallDisk { holder, folder: folder.to_owned() }
    }

    /// Words that start a program in there.
    pub(crate) fn within(&self) -> Vec<String> {
        let target = self.holder.id().to_string();
        ["nsenter", "--preserve-credentials", "--user", "--mount", "--wdns=/", "--target", &target]
            .map(str::to_owned)
            .to_vec()
    }

    /// Makes it read-only, or writable again. Nobody may have a file open for writing.
    pub(crate) fn remount(&self, how: &str) {
        let words = self.within();
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(["mount", "-o", &format!("remount,{how}")])
            .arg(&self.folder);
        assert!(command.status().expect("nsenter is there").success());
    }

    /// The folder as it is seen from here.
    pub(crate) fn seen(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.folder.strip_prefix("/").expect("an absolute path"))
    }

    /// Takes all the space that is left.
    pub(crate) fn fill(&self) {
        let mut options = fs::File::options();
        let file = options.append(true).create(true).open(self.seen().join("filler"));
        let mut file = file.expect("a writable folder");
        while file.write_all(&[1; 64 * 1024]).is_ok() {}
        while file.write_all(&[1]).is_ok() {}
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.seen().join("filler")).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It ends when nobody writes to it any more.
        drop(self.holder.stdin.take());
        self.holder.wait().ok();
    }
}
