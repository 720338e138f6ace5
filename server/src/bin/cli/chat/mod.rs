//! `chat`: a conversation in a terminal, or through a pipe.
//!
//! Owns: the loop between what is typed and what happens. Driven by: `main`. Invariants: nothing is
//! printed over the line that is being typed; what the scrollback says of a message stays true,
//! because a later state is a line of its own; whatever was typed and not answered stays in the
//! outbox, and its number is said at the end. Does not: end because a server does.
//!
//! [`keys`] has the terminal, [`commands`] reads lines, [`act`] does what they ask, [`follow`]
//! prints what happens, [`lines`] knows how it looks.

#![expect(clippy::disallowed_methods, reason = "the rim: asks the clock how long a message waits")]

mod act;
mod commands;
mod follow;
mod keys;
mod lines;

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use crossbeam_channel::select;

use holdfast_common::client::{Answer, Command, CommandId, ConnectionState, Failure};
use holdfast_common::ids::{ConversationId, Seq, Txn};
use holdfast_common::protocol::{Target, Users, check_name};

use super::account::{ask_for, new_password, sign_in_with};
use super::options::Options;
use super::output::{Colours, Style, tell};
use super::password::Passwords;
use super::problem::Problem;
use super::session::{PATIENCE, Session};
use commands::Line;
use follow::Marks;
use keys::{Keys, Names, Typed};

/// How often what is to be told later is looked at, while there is something.
const TICK: Duration = Duration::from_millis(100);
/// How long nothing may be to be told.
const NO_TICK: Duration = Duration::from_secs(3600);

/// See the module's page.
struct Chat {
    session: Session,
    keys: Keys,
    names: Names,
    colours: Colours,
    /// The chat that is open.
    open: Option<Open>,
    /// What was asked for and is not answered.
    asked: BTreeMap<CommandId, Asked>,
    /// Own messages on their way, in the order typed.
    outgoing: Vec<Outgoing>,
    /// Those that have arrived.
    typed_here: BTreeSet<(ConversationId, Seq)>,
    /// What the others have received and read of what was written here.
    marks: BTreeMap<ConversationId, Marks>,
    /// News of other chats that is to be told: how many, and the last one.
    elsewhere: BTreeMap<ConversationId, (u64, String)>,
    tell_elsewhere_at: Option<Instant>,
    /// Since when there is no connection, and whether that was told.
    lost: Option<(Instant, bool)>,
    /// The last refusal: a script's exit code.
    refused: Option<Problem>,
    /// The session is over, with the reason.
    ended: Option<Problem>,
}

/// The chat that is open.
struct Open {
    to: Target,
    /// The other's name as it was typed, until it is known how it is written.
    typed: String,
    /// Every message up to this number is on the screen, or older than what is.
    shown_upto: Seq,
    /// The oldest one on the screen; nothing while there is none.
    shown_from: Option<Seq>,
    /// There is no conversation yet.
    is_new: bool,
    /// Its newest messages have not all come.
    is_loading: bool,
}

/// What an answer is waited for.
enum Asked {
    Message,
    Change(&'static str),
    Who,
    Names,
    Status,
    Nothing,
}

/// An own message on its way.
struct Outgoing {
    command: CommandId,
    txn: Option<Txn>,
    to: Target,
    text: String,
    since: Instant,
    told: Told,
}

/// What was told of an own message on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Waiting,
    Trying,
}

/// `chat`
pub(crate) fn chat(options: &Options, user: Option<&str>) -> Result<(), Problem> {
    if let Some(user) = user {
        check_name(user).map_err(|broken| Problem::Refused(broken.into()))?;
    }
    let mut session = Session::open(options)?;
    begin(options, &mut session)?;
    let names = Names::default();
    let keys = Keys::new(&names)?;
    let mut chat = Chat {
        session,
        keys,
        names,
        colours: Colours::of_stdout(),
        open: None,
        asked: BTreeMap::new(),
        outgoing: Vec::new(),
        typed_here: BTreeSet::new(),
        marks: BTreeMap::new(),
        elsewhere: BTreeMap::new(),
        tell_elsewhere_at: None,
        lost: None,
        refused: None,
        ended: None,
    };
    chat.greet();
    if let Some(user) = user {
        chat.open(user);
    }
    chat.run()?;
    chat.leave()
}

/// Signs in by what is kept, or with the person's help. That no server answers is no reason not to
/// begin: what is kept can be read, and what is written waits.
fn begin(options: &Options, session: &mut Session) -> Result<(), Problem> {
    let resumed = session.resume();
    if session.is_signed_in() {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(resumed.err().unwrap_or_else(Problem::not_signed_in));
    }
    tell("Nobody is signed in here.");
    let name = ask_for("Name: ")?;
    check_name(&name).map_err(|broken| Problem::Refused(broken.into()))?;
    let is_new = ask_for("Is that a new account? Type new, or Enter to sign in: ")?;
    let is_new = is_new.eq_ignore_ascii_case("new");
    let mut passwords = Passwords::new(options)?;
    let pass = match is_new {
        true => new_password(&mut passwords, &name, "Password for the new account")?,
        false => passwords.present(&format!("Password of {name}"))?,
    };
    sign_in_with(session, &name, pass, is_new).map(|_| ())
}

impl Chat {
    fn run(&mut self) -> Result<(), Problem> {
        let (happened, typed) = (self.session.happened.clone(), self.keys.typed.clone());
        let mut is_line_wanted = true;
        loop {
            // A script's next line may build on what came of the one before.
            if is_line_wanted && (self.keys.is_terminal() || !self.has_work() || self.is_lost()) {
                self.ask_for_line();
                is_line_wanted = false;
            }
            let wait = if self.has_to_tell_later() { TICK } else { NO_TICK };
            select! {
                recv(happened) -> happening => {
                    let Ok(happening) = happening else { return Ok(()) };
                    let update = self.session.take(happening)?;
                    self.follow(update);
                }
                recv(typed) -> typed => match typed {
                    Ok(Typed::Line(_)) if self.ended.is_some() => return Ok(()),
                    Ok(Typed::Line(line)) => {
                        let line = Line::parse(&line);
                        if line == Line::Quit {
                            return Ok(());
                        }
                        self.act(line);
                        is_line_wanted = true;
                    }
                    Ok(Typed::Cleared) => is_line_wanted = true,
                    Ok(Typed::End) | Err(_) => return Ok(()),
                },
                default(wait) => {}
            }
            self.tell_later();
            if self.ended.is_some() && !self.keys.is_terminal() {
                return Ok(());
            }
        }
    }

    fn ask_for_line(&self) {
        let user = self.session.model.user().unwrap_or_default();
        let prompt = match &self.open {
            Some(open) => {
                let with = self.name(&open.to).unwrap_or_else(|| open.typed.clone());
                format!("{user} → {with}> ")
            }
            None => format!("{user}> "),
        };
        self.keys.ask(&prompt);
    }

    /// The other's name in a target, made harmless.
    fn name(&self, to: &Target) -> Option<String> {
        let to = self.session.model.resolve(to);
        self.session.model.name(&to).map(super::output::safe_line)
    }

    fn print(&self, line: &str) {
        if !self.keys.print(line) {
            log::debug!("nobody reads what is printed");
        }
    }

    /// A line that stands back.
    fn note(&self, line: &str) {
        self.print(&self.colours.paint(Style::Dim, line));
    }

    fn greet(&mut self) {
        let user = self.session.model.user().unwrap_or_default().to_owned();
        if self.keys.is_terminal() {
            self.note(&format!(
                "Signed in as {user}. /to NAME opens a chat, /help lists the rest."
            ));
            self.list(Some(5));
        }
        let state = self.session.model.connection().clone();
        if let ConnectionState::NotConnected { .. } = state {
            self.lost = Some((Instant::now(), true));
            self.note(&lines::not_connected(&state));
        }
        let users = Users { prefix: String::new(), after: None, limit: None };
        self.question(holdfast_common::client::Question::Users(users), Asked::Names);
    }

    fn command(&mut self, command: Command, asked: Asked) -> CommandId {
        let id = self.session.ask(command);
        self.asked.insert(id, asked);
        id
    }

    fn question(&mut self, question: holdfast_common::client::Question, asked: Asked) {
        self.command(Command::Ask(question), asked);
    }

    /// The end: a script's messages are waited for, and what is not out is said.
    fn leave(mut self) -> Result<(), Problem> {
        let patience = if self.keys.is_terminal() { Duration::from_secs(2) } else { PATIENCE };
        let until = Instant::now() + patience;
        while (self.has_work() || self.session.model.waiting() > 0) && !self.is_lost() {
            let Ok(happening) = self.session.happened.recv_deadline(until) else { break };
            let update = self.session.take(happening)?;
            self.follow(update);
        }
        self.tell_all_elsewhere();
        let Chat { session, keys, refused, ended, .. } = self;
        let is_terminal = keys.is_terminal();
        drop(keys);
        let waiting = session.model.waiting();
        let sentence = match waiting {
            0 => String::new(),
            1 => "1 message is kept here and goes out the next time".to_owned(),
            more => format!("{more} messages are kept here and go out the next time"),
        };
        if let Some(problem) = ended {
            return Err(problem);
        }
        if is_terminal {
            if waiting > 0 {
                tell(&sentence);
            }
            return Ok(());
        }
        match refused {
            _ if waiting > 0 => Err(Problem::NoServer { tried: Vec::new(), safe: sentence }),
            Some(problem) => Err(problem),
            None => Ok(()),
        }
    }

    /// Whether it is of no use to wait for an answer.
    fn is_lost(&self) -> bool {
        let state = self.session.model.connection();
        matches!(state, ConnectionState::NotConnected { .. }) || self.ended.is_some()
    }

    /// Whether something was asked for that a person or a script waits for.
    fn has_work(&self) -> bool {
        let is_awaited = |asked: &Asked| !matches!(asked, Asked::Names | Asked::Nothing);
        self.open.as_ref().is_some_and(|open| open.is_loading)
            || !self.outgoing.is_empty()
            || self.asked.values().any(is_awaited)
    }

    fn refuse(&mut self, failure: Failure) {
        let problem = Problem::from(failure);
        self.print(&self.colours.paint(Style::Bad, &format!("  ! {problem}")));
        self.refused = Some(problem);
    }

    /// Takes the answer to something that was asked.
    fn answered(&mut self, id: CommandId, outcome: Result<Answer, Failure>) {
        match (self.asked.remove(&id), outcome) {
            (Some(Asked::Message), outcome) => self.message_answered(id, outcome),
            (Some(Asked::Names), Ok(Answer::Reply(reply))) => self.names_came(&reply, false),
            (Some(Asked::Who), Ok(Answer::Reply(reply))) => self.names_came(&reply, true),
            (Some(Asked::Status), Ok(Answer::Reply(reply))) => self.status_came(&reply),
            (Some(Asked::Change(what)), Ok(_)) => self.note(&format!("  ✓ {what}")),
            (Some(Asked::Change(_)), Err(failure)) => {
                self.refuse(failure);
            }
            (Some(Asked::Who | Asked::Status), Err(failure)) => self.refuse(failure),
            (Some(_) | None, _) => {}
        }
    }
}
