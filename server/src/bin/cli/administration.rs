//! What the administrator does: through the socket of the server on this machine, or its program.
//!
//! Owns: the line to that socket. Driven by: `main`. Invariant: whoever may open the file may do
//! all of this; the server keeps the rules and the audit log.

#![expect(clippy::disallowed_methods, reason = "the rim: waits for a server that is busy")]

use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_common::client::Tried;
use holdfast_common::config::Config;
use holdfast_common::ids::ServerId;
use holdfast_common::protocol::{
    AdminPassword, AdminReply, AdminRequest, AdminUser, Backup, Empty, Retry, ServerLine, Verified,
    VerifiedState, check_name, fold_name,
};

use super::account::new_password;
use super::contact::settings;
use super::messages::{every_user, show_users};
use super::options::{AdminCommand, Options};
use super::output::{Output, tell};
use super::password::Passwords;
use super::problem::Problem;

/// Long enough for a backup of a large store.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often a busy server is asked, and how long after the time before.
const TRIES_MAX: u32 = 20;
const LATER: Duration = Duration::from_millis(500);
/// There is one request at a time.
const REQUEST_ID: u64 = 1;
/// Why a reply cannot be of another kind.
const AS_ASKED: &str = "a reply is read as the answer to the operation that was asked";

/// The line to a server's administration socket.
struct Administration {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Administration {
    fn open(options: &Options, id: Option<u8>) -> Result<Administration, Problem> {
        let config = settings(options)?;
        let path = config.admin_socket(which(&config, id)?);
        let open = UnixStream::connect(&path).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(BufReader::new(stream))
        });
        match open {
            Ok(stream) => Ok(Administration { path, stream }),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Problem::Fault(
                format!("{}: only the user who runs the server may do that", path.display()),
            )),
            Err(error) => Err(no_server(&path, &error)),
        }
    }

    /// Asks; again where the server says that it will be able to in a moment.
    fn call(&mut self, request: &AdminRequest) -> Result<AdminReply, Problem> {
        let mut tries = 1;
        loop {
            match self.call_once(request) {
                Err(Problem::Refused(error))
                    if error.retry == Retry::Later && tries < TRIES_MAX =>
                {
                    let wait = error.after_ms.map_or(LATER, Duration::from_millis);
                    std::thread::sleep(wait.min(LATER));
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    fn call_once(&mut self, request: &AdminRequest) -> Result<AdminReply, Problem> {
        let lost = |error: &io::Error| {
            no_server(&self.path, error)
                .but_safe("The server went away before it answered: look before you repeat it")
        };
        let line = request.encode(REQUEST_ID);
        self.stream.get_mut().write_all(&line).map_err(|error| lost(&error))?;
        loop {
            let mut line = Vec::new();
            let count = self.stream.read_until(b'\n', &mut line).map_err(|error| lost(&error))?;
            if count == 0 {
                return Err(lost(&io::ErrorKind::UnexpectedEof.into()));
            }
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            match ServerLine::parse(line).map_err(Problem::Fault)? {
                ServerLine::Reply { outcome: Ok(ok), .. } => {
                    return AdminReply::parse(request.name(), &ok).map_err(Problem::Refused);
                }
                ServerLine::Reply { outcome: Err(error), .. } => {
                    return Err(Problem::Refused(error));
                }
                ServerLine::Durable(..) | ServerLine::Ephemeral(_) | ServerLine::UnknownEvent => {}
            }
        }
    }
}

fn no_server(path: &Path, error: &io::Error) -> Problem {
    let address = path.display().to_string();
    Problem::NoServer {
        tried: vec![Tried { address, reason: error.to_string() }],
        safe: "Administration goes through the server on this machine: it must run".to_owned(),
    }
}

/// The server that is meant: the one that is named, or the only one that has a socket here.
fn which(config: &Config, id: Option<u8>) -> Result<ServerId, Problem> {
    if let Some(id) = id {
        let server = ServerId(id);
        return config
            .server(server)
            .map(|_| server)
            .ok_or_else(|| Problem::Usage(format!("--id {id}: the settings have no such server")));
    }
    let is_here = |server: &ServerId| {
        let socket = std::fs::metadata(config.admin_socket(*server));
        socket.is_ok_and(|metadata| metadata.file_type().is_socket())
    };
    let all: Vec<ServerId> = config.servers.iter().map(|each| each.server).collect();
    let here: Vec<ServerId> = all.iter().copied().filter(is_here).collect();
    match (all.as_slice(), here.as_slice()) {
        ([only], _) | (_, [only]) => Ok(*only),
        (_, []) => Err(Problem::NoServer {
            tried: Vec::new(),
            safe: format!(
                "No server runs on this machine with its data in {}",
                config.data_dir.display()
            ),
        }),
        (_, several) => {
            let list: Vec<String> = several.iter().map(ServerId::to_string).collect();
            let list = list.join(", ");
            Err(Problem::Usage(format!("servers {list} run on this machine: say which, --id N")))
        }
    }
}

/// `admin`
pub(crate) fn admin(
    options: &Options,
    output: &mut Output,
    id: Option<u8>,
    command: &AdminCommand,
) -> Result<(), Problem> {
    match command {
        AdminCommand::Users { prefix } => {
            let mut socket = Administration::open(options, id)?;
            let ask = &mut |users| {
                let AdminReply::Users(page) = socket.call(&AdminRequest::Users(users))? else {
                    unreachable!("{AS_ASKED}")
                };
                Ok(page)
            };
            let found = every_user(ask, prefix)?;
            show_users(output, &found)
        }
        AdminCommand::AddUser { name } => {
            let account = with_password(options, name)?;
            Administration::open(options, id)?.call(&AdminRequest::Register(account))?;
            output.note(&format!("the account {name} is there"))
        }
        AdminCommand::ResetPassword { name } => {
            let account = with_password(options, name)?;
            Administration::open(options, id)?.call(&AdminRequest::ResetPassword(account))?;
            output.note(&format!("{name} has another password; all sign-ins have ended"))
        }
        AdminCommand::DeleteUser { name, yes } => {
            let mut socket = Administration::open(options, id)?;
            if !yes {
                confirm(name)?;
            }
            socket.call(&AdminRequest::DeleteUser(AdminUser { user: name.clone() }))?;
            output.note(&format!("the account {name} and everything it wrote are deleted"))
        }
    }
}

fn with_password(options: &Options, name: &str) -> Result<AdminPassword, Problem> {
    check_name(name).map_err(|broken| Problem::Refused(broken.into()))?;
    let mut passwords = Passwords::new(options)?;
    let pass = new_password(&mut passwords, name, &format!("New password of {name}"))?;
    Ok(AdminPassword { user: name.to_owned(), pass: pass.expose().to_owned() })
}

fn confirm(name: &str) -> Result<(), Problem> {
    if !io::stdin().is_terminal() {
        let text = "no terminal to ask whether you mean it: give --yes";
        return Err(Problem::Usage(text.to_owned()));
    }
    tell(&format!("This deletes {name} and everything it wrote, for everybody and for good."));
    write!(io::stderr(), "Type the name to go on: ").ok();
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if fold_name(answer.trim()) == fold_name(name) {
        return Ok(());
    }
    Err(Problem::Fault("nothing was deleted".to_owned()))
}

/// `verify`
pub(crate) fn verify(
    options: &Options,
    output: &mut Output,
    id: Option<u8>,
) -> Result<(), Problem> {
    let mut socket = Administration::open(options, id)?;
    let AdminReply::Verify(found) = socket.call(&AdminRequest::Verify(Empty {}))? else {
        unreachable!("{AS_ASKED}")
    };
    if output.is_json() {
        output.json(&found)?;
    } else {
        output.line(&format!("index {}", found.index))?;
        found.servers.iter().try_for_each(|server| output.line(&verified_line(server)))?;
    }
    let of_state = |state| found.servers.iter().filter(move |server| server.state == state);
    let (different, away) = (VerifiedState::Differs, VerifiedState::Unreachable);
    if of_state(different).count() > 0 {
        let text = "the servers are not equal (their logs say who does what about it, and when)";
        return Err(Problem::Fault(text.to_owned()));
    }
    if of_state(away).count() > 0 {
        let text = "not all servers could be compared; those that could are equal";
        return Err(Problem::Fault(text.to_owned()));
    }
    Ok(())
}

fn verified_line(found: &Verified) -> String {
    let verdict = match found.state {
        VerifiedState::Equal => "equal",
        VerifiedState::Differs => {
            "DIFFERS: it serves nobody any more, sets its store aside and joins again"
        }
        VerifiedState::Unreachable => "not reachable, or not up to date at that index",
    };
    let server = found.server;
    match (found.rows, &found.hash) {
        (Some(rows), Some(hash)) => {
            format!("server {server}  rows {rows}  sha256 {hash}  {verdict}")
        }
        _ => format!("server {server}  {verdict}"),
    }
}

/// `backup`
pub(crate) fn backup(
    options: &Options,
    output: &mut Output,
    file: &Path,
    id: Option<u8>,
) -> Result<(), Problem> {
    let absolute = std::path::absolute(file)?;
    let Some(path) = absolute.to_str() else {
        return Err(Problem::Usage("the file's path must be UTF-8".to_owned()));
    };
    let mut socket = Administration::open(options, id)?;
    let request = AdminRequest::Backup(Backup { path: path.to_owned() });
    let AdminReply::Backup(made) = socket.call(&request)? else { unreachable!("{AS_ASKED}") };
    if output.is_json() {
        return output.json(&made);
    }
    output.line(&format!(
        "{path}: {} rows, {} bytes, up to entry {} (it holds everything: keep it as you keep the \
         servers)",
        made.rows, made.bytes, made.index
    ))
}

/// `restore`: the server's own program does it, beside this one. Comes back only if that fails.
pub(crate) fn restore(options: &Options, file: &Path, id: u8) -> Result<(), Problem> {
    let own = std::env::current_exe()?;
    let program = own.with_file_name("holdfast-server");
    let mut command = std::process::Command::new(&program);
    command.arg("--id").arg(id.to_string()).arg("--restore").arg(file);
    if let Some(env) = &options.env {
        command.arg("--env").arg(env);
    }
    let error = command.exec();
    Err(Problem::Fault(format!("{} cannot be started: {error}", program.display())))
}
