//! `holdfast`, the terminal client and the administrator's tool.
//!
//! Owns: the way from a command line to an exit code (0 done, 1 refused, 2 wrong use, 3 no server
//! reachable). Driven by: a person or a script. Invariants: everything that talks to a server goes
//! through the client engine with its store, so a message is kept before it is sent; passwords are
//! never arguments; nothing that others wrote reaches the terminal raw. Does not: know more of the
//! server than its protocol, its settings and its administration socket.

mod account;
mod administration;
mod chat;
mod contact;
mod messages;
mod options;
mod output;
mod password;
mod problem;
mod session;
mod status;
mod survey;
mod watch;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use options::{Command, Options};
use output::Output;
use problem::Problem;

fn main() -> ExitCode {
    let options = Options::parse();
    let mut output = Output::new(options.json);
    match run(&options, &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read has seen enough (`| head`).
        Err(Problem::NobodyReads) => ExitCode::SUCCESS,
        Err(problem) => {
            let said = writeln!(std::io::stderr(), "holdfast: {problem}");
            // Where stderr is gone there is nobody to tell that it is.
            drop(said);
            ExitCode::from(problem.exit_code())
        }
    }
}

fn run(options: &Options, output: &mut Output) -> Result<(), Problem> {
    match &options.command {
        Command::Chat { user } => chat::chat(options, user.as_deref()),
        Command::Register { name } => account::sign_in(options, output, name.as_deref(), true),
        Command::Login { name } => account::sign_in(options, output, name.as_deref(), false),
        Command::Logout => account::logout(options, output),
        Command::Passwd => account::passwd(options, output),
        Command::DeleteAccount => account::delete(options, output),
        Command::Users { prefix } => messages::users(options, output, prefix),
        Command::Fingerprint => status::fingerprint(options, output),
        Command::Send { user, text } => messages::send(options, output, user, text),
        Command::Inbox => messages::inbox(options, output),
        Command::History(which) => messages::history(options, output, which),
        Command::Status { watch } => status::status(options, output, *watch),
        Command::Admin { id, command } => administration::admin(options, output, *id, command),
        Command::Verify { id } => administration::verify(options, output, *id),
        Command::Backup { file, id } => administration::backup(options, output, file, *id),
        Command::Restore { file, id } => administration::restore(options, file, *id),
    }
}
