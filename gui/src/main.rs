//! `holdfast-gui`: the window. It is not built yet; the terminal client does all that it will do.
//!
//! Owns: the sentence that says so.

#![expect(clippy::print_stderr, reason = "a program that tells a person what to use instead")]

use std::process::ExitCode;

fn main() -> ExitCode {
    eprintln!("holdfast-gui: the window comes with a later version. Use: holdfast chat");
    ExitCode::FAILURE
}
