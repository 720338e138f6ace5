//! The built window as a process: started, typed into, killed.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::display::{Display, pictures};
use super::kept::{Kept, kept};
use super::{say, until, until_true};

/// The window has drawn all that it wanted to draw when it draws nothing for so long.
const STILL: Duration = Duration::from_millis(40);

/// See the module's page.
pub(crate) struct Gui {
    /// Where it is shown.
    pub(crate) display: Display,
    folder: PathBuf,
    servers: Vec<SocketAddr>,
    process: Option<Child>,
    window: String,
    lives: u32,
}

impl Gui {
    /// A display, and no window yet. What the window keeps is in `folder`.
    pub(crate) fn prepare(folder: &Path, servers: Vec<SocketAddr>) -> Gui {
        let display = Display::start(folder);
        let (folder, window) = (folder.to_owned(), String::new());
        Gui { display, folder, servers, process: None, window, lives: 0 }
    }

    /// Where it keeps what it keeps.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// The lines about its frames in its present life.
    pub(crate) fn frames(&self) -> Vec<String> {
        let text = fs::read_to_string(self.frames_file()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn frames_file(&self) -> PathBuf {
        self.folder.join(format!("frames{}", self.lives))
    }

    /// Starts the process; waits for nothing.
    pub(crate) fn launch(&mut self) {
        self.lives += 1;
        let mut options = fs::OpenOptions::new();
        let stderr = options.append(true).create(true).open(self.folder.join("window-stderr"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-gui"));
        for server in &self.servers {
            command.arg("--server").arg(server.to_string());
        }
        command.arg("--frames").arg(self.frames_file());
        command.env("DISPLAY", &self.display.name).env("HOLDFAST_HOME", self.home());
        // Not the person's desktop: neither its other display nor its notifications.
        command.env_remove("WAYLAND_DISPLAY").env_remove("ENV_FILE").current_dir(&self.folder);
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/dev/null");
        command.env("LIBGL_ALWAYS_SOFTWARE", "1");
        let command = command.stdin(Stdio::null()).stderr(stderr.expect("a writable folder"));
        self.process = Some(command.spawn().expect("the window's binary is built"));
    }

    /// Starts it (again), with the keyboard.
    pub(crate) fn start(&mut self) {
        self.launch();
        self.takes_keys();
    }

    /// Waits until it is on the screen, and gives it the keyboard.
    pub(crate) fn takes_keys(&mut self) {
        self.window = until("a window", || {
            self.must_run();
            self.display.window()
        });
        self.display.focus(&self.window);
    }

    fn must_run(&mut self) {
        let process = self.process.as_mut().expect("it was started");
        let ended = process.try_wait().expect("our own child can be awaited");
        assert!(ended.is_none(), "the window ended with {ended:?}");
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("our own child can be killed");
            process.wait().expect("our own child can be awaited");
        }
    }

    /// Presses keys together, and lets the window draw what comes of it: nobody presses two keys
    /// within one frame.
    pub(crate) fn key(&self, keys: &str) {
        let before = self.frames().len();
        self.display.key(keys);
        self.settles(before);
    }

    /// Types a text.
    pub(crate) fn write(&self, text: &str) {
        let before = self.frames().len();
        self.display.write(text);
        self.settles(before);
    }

    /// Types a text, and Enter.
    pub(crate) fn send(&self, text: &str) {
        self.write(text);
        self.key("Return");
    }

    /// Waits until it has drawn nothing for so long.
    pub(crate) fn rests(&self, still: Duration) {
        let mut last = (self.frames().len(), Instant::now());
        until_true("a window at rest", || {
            let count = self.frames().len();
            if count != last.0 {
                last = (count, Instant::now());
            }
            last.1.elapsed() > still
        });
    }

    /// Waits until frames have come after these, and a moment without one.
    fn settles(&self, before: usize) {
        let mut last = (before, Instant::now());
        until_true("a frame for what was typed", || {
            let count = self.frames().len();
            if count != last.0 {
                last = (count, Instant::now());
            }
            count > before && last.1.elapsed() > STILL
        });
    }

    /// Its title.
    pub(crate) fn title(&self) -> String {
        self.display.title(&self.window)
    }

    /// Takes it from the screen.
    pub(crate) fn hide(&self) {
        self.display.hide(&self.window);
    }

    /// Waits until what it has on disk is so.
    pub(crate) fn until_kept(&mut self, what: &str, holds: impl Fn(&Kept) -> bool) -> Kept {
        until(what, || {
            self.must_run();
            kept(&self.home()).filter(&holds)
        })
    }
}

impl Drop for Gui {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let thread = std::thread::current();
            let path = pictures().join(format!("{}.png", thread.name().unwrap_or("failed")));
            self.display.save(&path);
            let said = fs::read_to_string(self.folder.join("window-stderr")).unwrap_or_default();
            say(&format!("the screen at the failure: {}\nit said: {said}", path.display()));
        }
        self.kill();
    }
}
