//! The command line.
//!
//! Owns: every word and option, and what `--help` says. Driven by: `main`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use holdfast_common::net::tls::Fingerprint;

/// Chat from a terminal, and look after the servers.
#[derive(Debug, Parser)]
#[command(
    name = "holdfast",
    version,
    after_help = "Exit codes: 0 done, 1 refused (the error's code is on stderr), 2 wrong use, \
                  3 no server reachable.\n\
                  Without --env and --server: the servers known from the last sign-in, else the \
                  settings' file that ENV_FILE names, else .env in this folder.\n\
                  HOLDFAST_HOME names the folder where sign-in and messages are kept."
)]
pub(crate) struct Options {
    /// The servers' settings (.env).
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "servers")]
    pub(crate) env: Option<PathBuf>,
    /// A server; may be repeated.
    #[arg(long = "server", global = true, value_name = "ADDRESS:PORT", value_parser = address)]
    pub(crate) servers: Vec<String>,
    /// Print what was read as JSON: the protocol's own objects, one a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Where passwords are read from: the first line (passwd: old, then new). `-` is stdin.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// What the cluster must show at a first contact (`holdfast fingerprint` on a server's
    /// machine).
    #[arg(long, global = true, value_name = "FP")]
    pub(crate) fingerprint: Option<Fingerprint>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Chat: live messages while you type. Reads lines from a pipe where there is no terminal.
    Chat {
        /// With whom to begin.
        user: Option<String>,
    },
    /// Create an account and sign in to it.
    Register {
        /// Its name: 3 to 32 of a-z A-Z 0-9 _ . - beginning with a letter. Asked for if missing.
        name: Option<String>,
    },
    /// Sign in; later commands use this sign-in.
    Login {
        /// The account's name. Asked for if missing.
        name: Option<String>,
    },
    /// End this sign-in. What waits to be sent stays here.
    Logout,
    /// Change the password; all other sign-ins of the account end.
    Passwd,
    /// Delete the account with everything it wrote.
    DeleteAccount,
    /// Who is there.
    Users {
        /// Only names that begin so.
        #[arg(default_value = "")]
        prefix: String,
    },
    /// What people compare at a first contact.
    Fingerprint,
    /// Send a message.
    Send {
        /// To whom.
        user: String,
        /// The message; `-` reads it from stdin.
        #[arg(allow_hyphen_values = true)]
        text: String,
    },
    /// Conversations with unread messages.
    Inbox,
    /// The messages with somebody; what is shown counts as read.
    History(WhichMessages),
    /// How the cluster is. Needs no sign-in.
    Status {
        /// Go on, and print each change.
        #[arg(long)]
        watch: bool,
    },
    /// Look after accounts, through the server on this machine.
    Admin {
        /// Which server, where several run on this machine.
        #[arg(long, value_name = "N", global = true)]
        id: Option<u8>,
        /// What to do.
        #[command(subcommand)]
        command: AdminCommand,
    },
    /// Hash everything that the server on this machine holds.
    Verify {
        /// Which server, where several run on this machine.
        #[arg(long, value_name = "N")]
        id: Option<u8>,
    },
    /// Write a consistent copy of everything, while the server serves.
    Backup {
        /// A file that does not exist yet.
        file: PathBuf,
        /// Which server, where several run on this machine.
        #[arg(long, value_name = "N")]
        id: Option<u8>,
    },
    /// Put a backup into the empty folder of a server that does not run.
    Restore {
        /// The backup.
        file: PathBuf,
        /// Which server.
        #[arg(long, value_name = "N")]
        id: u8,
    },
}

/// Which messages `history` shows.
#[derive(Debug, clap::Args)]
pub(crate) struct WhichMessages {
    /// With whom.
    pub(crate) user: String,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
    /// Only those below this number.
    #[arg(long, value_name = "SEQ")]
    pub(crate) before: Option<u64>,
    /// Leave them unread.
    #[arg(long)]
    pub(crate) keep_unread: bool,
}

/// What an administrator does.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Every account.
    Users {
        /// Only names that begin so.
        #[arg(default_value = "")]
        prefix: String,
    },
    /// Add an account, also where registration is closed.
    AddUser {
        /// Its name.
        name: String,
    },
    /// Give an account another password; all its sign-ins end.
    ResetPassword {
        /// Its name.
        name: String,
    },
    /// Delete an account with everything it wrote.
    DeleteUser {
        /// Its name.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// `host:port`, as far as that can be seen without asking the network.
fn address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.and_then(|(_, port)| port.parse::<u16>().ok()) {
        Some(port) if port > 0 => Ok(text.to_owned()),
        _ => Err("expected ADDRESS:PORT, such as 192.168.1.11:8091 or [::1]:8091".to_owned()),
    }
}
