//! A display that nobody sees, its keyboard, and its pixels.
//!
//! Owns: the X server, on a number that it picks free itself. The pixels are read from the file in
//! which it keeps them: no request to it, so that looking does not disturb what is measured.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use egui::Color32;
use image::RgbImage;

use super::until;

/// Larger than the window is when it opens.
pub(crate) const SIZE: (u32, u32) = (1_280, 800);
/// Blue, green, red, nothing.
const PIXEL: u64 = 4;
/// Part of the file's head that is read: 32-bit numbers, the highest byte first.
const HEAD_NUMBERS: usize = 25;
/// One colour of the table between the head and the pixels.
const COLOR_BYTES: u64 = 12;

/// See the module's page.
pub(crate) struct Display {
    server: Child,
    /// Its name, as `DISPLAY` has it.
    pub(crate) name: String,
    pixels: File,
    /// Where the first pixel is, and the bytes of a row.
    begin: u64,
    row: u64,
}

impl Display {
    /// Starts it; its files are in `folder`.
    pub(crate) fn start(folder: &Path) -> Display {
        let screen = format!("{}x{}x24", SIZE.0, SIZE.1);
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", &screen, "-nolisten", "tcp", "-noreset"]);
        command.arg("-fbdir").arg(folder).stdin(Stdio::null()).stderr(Stdio::null());
        let mut server = command.stdout(Stdio::piped()).spawn().expect("Xvfb is there");
        let mut number = String::new();
        let stdout = server.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut number).expect("it says its number");
        assert!(!number.trim().is_empty(), "Xvfb does not start");
        let path = folder.join("Xvfb_screen0");
        let pixels = until("the display's pixels", || File::open(&path).ok());
        let mut head = [0; 4 * HEAD_NUMBERS];
        until("the head of the display's pixels", || {
            pixels.read_exact_at(&mut head, 0).ok().filter(|()| head[3] > 0)
        });
        let number_at = |at: usize| {
            let bytes = head[4 * at..4 * at + 4].try_into().expect("four of them");
            u64::from(u32::from_be_bytes(bytes))
        };
        let begin = number_at(0) + number_at(19) * COLOR_BYTES;
        let row = number_at(12);
        Display { server, name: format!(":{}", number.trim()), pixels, begin, row }
    }

    fn xdotool(&self, words: &[&str]) -> Option<String> {
        let mut command = Command::new("xdotool");
        let command = command.args(words).env("DISPLAY", &self.name).stdin(Stdio::null());
        let output = command.stderr(Stdio::null()).output().expect("xdotool is there");
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(said)
    }

    /// Presses keys together, such as `ctrl+n`.
    pub(crate) fn key(&self, keys: &str) {
        self.xdotool(&["key", keys]).expect("a display with a keyboard");
    }

    /// Presses a key and holds it.
    pub(crate) fn key_down(&self, key: &str) {
        self.xdotool(&["keydown", key]).expect("a display with a keyboard");
    }

    /// Lets go of it.
    pub(crate) fn key_up(&self, key: &str) {
        self.xdotool(&["keyup", key]).expect("a display with a keyboard");
    }

    /// Types a text.
    pub(crate) fn write(&self, text: &str) {
        self.xdotool(&["type", "--delay", "4", "--", text]).expect("a display with a keyboard");
    }

    /// A keyboard that is held ready: a line on its stdin presses a key at once.
    pub(crate) fn keyboard(&self) -> Child {
        let mut command = Command::new("xdotool");
        let command = command.arg("-").env("DISPLAY", &self.name).stdin(Stdio::piped());
        command.stdout(Stdio::null()).spawn().expect("xdotool is there")
    }

    /// The window that is seen, if there is one.
    pub(crate) fn window(&self) -> Option<String> {
        let found = self.xdotool(&["search", "--onlyvisible", "--class", "holdfast"])?;
        found.lines().next().map(str::to_owned)
    }

    /// Its title.
    pub(crate) fn title(&self, window: &str) -> String {
        self.xdotool(&["getwindowname", window]).unwrap_or_default()
    }

    /// Gives it the keyboard. Nobody else does: there is no window manager.
    pub(crate) fn focus(&self, window: &str) {
        self.xdotool(&["windowfocus", "--sync", window]).expect("a window");
    }

    /// Takes it from the screen.
    pub(crate) fn hide(&self, window: &str) {
        self.xdotool(&["windowunmap", "--sync", window]).expect("a window");
    }

    /// Rows of pixels as they are now, `from` included, `to` not.
    pub(crate) fn rows(&self, from: u32, to: u32) -> Vec<u8> {
        let bytes = self.row * u64::from(to - from);
        let mut rows = vec![0; usize::try_from(bytes).expect("less than memory")];
        let begin = self.begin + self.row * u64::from(from);
        self.pixels.read_exact_at(&mut rows, begin).expect("the display is whole");
        rows
    }

    /// How many pixels have exactly this colour, right of `left`.
    pub(crate) fn count(&self, color: Color32, left: u32) -> usize {
        let wanted = [color.b(), color.g(), color.r()];
        let rows = self.rows(0, SIZE.1);
        let from = usize::try_from(u64::from(left) * PIXEL).expect("less than memory");
        let row = usize::try_from(self.row).expect("less than memory");
        let rights = rows.chunks_exact(row).flat_map(|row| row[from..].chunks_exact(4));
        rights.filter(|pixel| pixel[..3] == wanted).count()
    }

    /// Writes what is seen into a file.
    pub(crate) fn save(&self, path: &Path) {
        let rows = self.rows(0, SIZE.1);
        let picture = RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
            let at = u64::from(y) * self.row + u64::from(x) * PIXEL;
            let at = usize::try_from(at).expect("less than memory");
            image::Rgb([rows[at + 2], rows[at + 1], rows[at]])
        });
        picture.save(path).expect("a writable folder");
    }
}

/// The folder where pictures of failures are left.
pub(crate) fn pictures() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

impl Drop for Display {
    fn drop(&mut self) {
        // Both fail only where it has ended by itself.
        self.server.kill().ok();
        self.server.wait().ok();
    }
}
