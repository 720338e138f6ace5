//! The client engine: commands and server lines in, effects and updates out.
//!
//! Owns: the connections, the session, the outbox, and of every conversation what its row in a list
//! shows. It holds no messages: those are in the store, and in the model as far as they are looked
//! at, so an idle engine takes a few kilobytes. Driven by: the driver, the load generator and the
//! simulator, by the three doors whose contract stands on `client`'s page.
//!
//! Invariants: nothing that changes anything goes on the wire before it is stored with its txn; an
//! item leaves the outbox only by an answer, by its own event, or by the person's word; one message
//! a conversation is under way at any time; what a person is told of a message is what a server
//! said; a cursor is stored together with, or after, everything that it covers; what belongs to a
//! cluster is sent to that cluster only. Whatever a server sends, the engine does not panic: a line
//! that makes no sense closes that connection, and the next one repairs from the stored cursor.
//!
//! Does not: read a clock, draw a random number but from its seed, decide how anything looks.

mod asks;
mod commands;
mod connect;
mod conversation;
mod effects;
mod events;
mod hello;
mod history;
mod link;
mod listing;
mod marks;
mod outbox;
mod place;
mod random;
mod replies;
mod sign_in;
mod submit;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{
    Answer, CommandId, Effect, Failure, Home, Input, Loaded, Now, SessionState, Settings, Stored,
    Update,
};
use asks::Ask;
use connect::Net;
use effects::Effects;
use place::Place;
use random::Random;
use sign_in::Session;

/// A wall clock that ran this much further than the monotonic one means that the machine slept: its
/// connections are dead, whatever they look like.
const CLOCK_JUMP_MIN: Duration = Duration::from_secs(5);

/// See the module's page.
#[derive(Debug)]
pub struct Engine {
    settings: Arc<Settings>,
    random: Random,
    now: Option<Now>,
    effects: Effects,
    home: Home,
    place: Option<Place>,
    session: Session,
    net: Net,
    /// What commands ask of a server and is not on the wire; bounded by what the person asks for.
    asks: VecDeque<Ask>,
    /// Whether inputs came since the last `settle`.
    unsettled: bool,
}

/// Why a connection is given up: a sentence about what the server sent.
#[derive(Debug)]
struct Nonsense(String);

impl Nonsense {
    fn new(text: impl Into<String>) -> Nonsense {
        Nonsense(text.into())
    }
}

impl Engine {
    /// An engine that starts from what is stored. It dials nobody until a command asks for it; what
    /// is stored is told by updates at once. `seed` is real entropy everywhere but in a simulation.
    pub fn new(settings: Arc<Settings>, stored: Stored, seed: [u8; 32]) -> Engine {
        let mut engine = Engine {
            settings,
            random: Random::new(seed),
            now: None,
            effects: Effects::default(),
            home: stored.home,
            place: None,
            session: Session::Out,
            net: Net::default(),
            asks: VecDeque::new(),
            unsettled: false,
        };
        if let Some(account) = stored.account {
            engine.place = Some(Place::new(account, &mut engine.effects));
        }
        engine
    }

    /// Takes one input. What is to be done about it comes from [`Engine::next_effect`].
    pub fn handle(&mut self, input: Input, now: Now) {
        self.unsettled = true;
        let before = self.now.replace(now);
        if before.is_some_and(|before| slept(before, now)) {
            self.clock_jumped();
        }
        match input {
            Input::Command(id, command) => self.command(id, command),
            Input::Opened { connection, identity } => self.opened(connection, identity),
            Input::Line { connection, line } => self.line(connection, &line),
            Input::Closed { connection, reason } => self.closed(connection, reason),
            Input::Loaded(Loaded::Account(account)) => self.account_loaded(*account),
            Input::Loaded(Loaded::Messages { conv, before, messages }) => {
                self.messages_loaded(conv, before, messages);
            }
            Input::Timer => {}
        }
    }

    /// The next thing to do, in order; nothing when the turn's inputs are dealt with.
    pub fn next_effect(&mut self) -> Option<Effect> {
        if self.unsettled {
            self.unsettled = false;
            self.settle();
        }
        self.effects.pop()
    }

    /// When [`Input::Timer`] is due; to be asked after the effects are drained.
    pub fn deadline(&self) -> Option<Instant> {
        let asks = self.asks.iter().filter_map(|ask| ask.not_before);
        let signed_in = self.is_signed_in_now();
        let place = self.place.as_ref().filter(|_| signed_in);
        [self.net.deadline(), self.session.deadline(), place.and_then(Place::deadline)]
            .into_iter()
            .flatten()
            .chain(asks.filter(|_| self.net.link.is_some()))
            // What was due and is still there waits for an input, not for a time.
            .filter(|due| self.now.is_none_or(|now| *due > now.instant))
            .min()
    }

    /// What follows from all inputs of a turn together: timers, dialling, requests, and what is
    /// told of conversations that changed.
    fn settle(&mut self) {
        let Some(now) = self.now else { return };
        self.run_timers(now.instant);
        self.dial_if_wanted();
        self.pump();
        if let Some(place) = &mut self.place {
            place.tell_changes(&mut self.effects);
        }
    }

    fn instant(&self) -> Instant {
        self.now.expect("set by every input, and all work begins with one").instant
    }

    fn wall_ms(&self) -> u64 {
        self.now.expect("set by every input, and all work begins with one").wall_ms
    }

    fn answer(&mut self, command: CommandId, outcome: Result<Answer, Failure>) {
        self.effects.update(Update::Answer(command, outcome));
    }

    fn tell_session(&mut self, state: SessionState) {
        self.effects.update(Update::Session(state));
    }
}

/// Whether the machine slept between two inputs.
fn slept(before: Now, now: Now) -> bool {
    let wall_ms = now.wall_ms.saturating_sub(before.wall_ms);
    let ran = now.instant.saturating_duration_since(before.instant);
    Duration::from_millis(wall_ms) > ran + CLOCK_JUMP_MIN
}
