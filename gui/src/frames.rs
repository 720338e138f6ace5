//! What was drawn, when and why: a line for each frame, for whoever measures.
//!
//! Owns: the file that `--frames` names. Driven by: `main`, once a frame. Invariant: nothing is
//! written, and nothing costs time, where it was not asked for. Does not: know how long the frame
//! that is being drawn will take: its line tells of the one before.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

/// See the module's page.
pub(crate) struct Frames {
    file: File,
    started: Instant,
    count: u64,
}

impl Frames {
    /// Begins the file.
    pub(crate) fn new(path: &Path) -> io::Result<Frames> {
        Ok(Frames { file: File::create(path)?, started: Instant::now(), count: 0 })
    }

    /// Another frame has been laid out; it is on the screen in a moment.
    pub(crate) fn note(&mut self, ctx: &egui::Context, frame: &eframe::Frame) {
        self.count += 1;
        let last_ms = frame.info().cpu_usage.map_or(0.0, |seconds| 1_000.0 * seconds);
        let causes: Vec<String> =
            ctx.repaint_causes().iter().map(|cause| cause.to_string().replace(' ', "_")).collect();
        let line = format!(
            "{} {:.3} {last_ms:.3} {}\n",
            self.count,
            1_000.0 * self.started.elapsed().as_secs_f64(),
            causes.join(" ")
        );
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            log::warn!("a frame cannot be noted: {error}");
        }
    }
}
