//! A window without a world: what happens is fed by hand, what is asked for is looked at.
//!
//! Owns: the other ends of the window's doors, and records to fill it with. Driven by: the tests of
//! the screens, and the program that makes their pictures.

#![allow(dead_code, reason = "each program uses a part of it")]

pub(crate) mod scenes;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crossbeam_channel::{Sender, unbounded};
use egui_kittest::Harness;
use holdfast_common::client::driver::{EngineId, Happening};
use holdfast_common::client::{
    Answer, Command, CommandId, ConnectionState, ConversationRecord, Failure, MessageRecord,
    OutboxItem, OutboxState, SessionState, Unread, Update, Work,
};
use holdfast_common::ids::{ConversationId, Seq, ServerId, Txn};
use holdfast_common::protocol::{MessageView, Role, ServerState, ServerStatus, Status, Target};
use holdfast_gui::theme;
use holdfast_gui::window::{Doors, Window};
use jiff::tz::TimeZone;

/// The wall clock at the beginning: Monday, 23 November 2026, 14:03 UTC.
pub(crate) const NOW_MS: u64 = 1_795_442_580_000;
/// A minute.
pub(crate) const MINUTE_MS: u64 = 60_000;

/// A window that is drawn and touched.
pub(crate) type Shown = Harness<'static, Window>;

/// Hangs a window of this size into a frame; each step of it takes so many seconds.
pub(crate) fn framed(window: Window, size: [f32; 2], step_s: f32) -> Shown {
    Harness::builder()
        .with_size(size)
        .with_step_dt(step_s)
        .allow_missing_glyphs()
        .with_context_setup(theme::install)
        .build_ui_state(
            |ui, window: &mut Window| {
                let ctx = ui.ctx().clone();
                window.logic(&ctx);
                window.ui(ui);
            },
            window,
        )
}

/// See the module's page.
pub(crate) struct Stage {
    happenings: Sender<Happening>,
    /// What the window has asked for, oldest first.
    pub(crate) asked: Rc<RefCell<Vec<(CommandId, Command)>>>,
    /// What it told a person outside of the window.
    pub(crate) told: Rc<RefCell<Vec<(String, String)>>>,
    /// The wall clock.
    pub(crate) wall_ms: Rc<Cell<u64>>,
}

impl Stage {
    /// A stage, and the window on it.
    pub(crate) fn new() -> (Stage, Window) {
        let (happenings, happened) = unbounded();
        let asked: Rc<RefCell<Vec<_>>> = Rc::default();
        let told: Rc<RefCell<Vec<_>>> = Rc::default();
        let wall_ms = Rc::new(Cell::new(NOW_MS));
        let (asks, tells, clock) = (asked.clone(), told.clone(), wall_ms.clone());
        let window = Window::new(Doors {
            command: Box::new(move |id, command| asks.borrow_mut().push((id, command))),
            happened,
            notify: Box::new(move |title, text, _| {
                tells.borrow_mut().push((title.to_owned(), text.to_owned()));
            }),
            wall_ms: Box::new(move || clock.get()),
            zone: TimeZone::UTC,
        });
        (Stage { happenings, asked, told, wall_ms }, window)
    }

    /// Something happens.
    pub(crate) fn feed(&self, updates: impl IntoIterator<Item = Update>) {
        for update in updates {
            let happening = Happening::Update(EngineId(0), update);
            self.happenings.send(happening).expect("the window is there");
        }
    }

    /// The engine ends: what must be kept cannot be kept.
    pub(crate) fn end(&self, why: &str) {
        let happening = Happening::Ended(EngineId(0), why.to_owned());
        self.happenings.send(happening).expect("the window is there");
    }

    /// The command that was given last is answered.
    pub(crate) fn answer(&self, outcome: Result<Answer, Failure>) {
        let (id, _) = self.asked.borrow().last().cloned().expect("something was asked");
        self.feed([Update::Answer(id, outcome)]);
    }

    /// The commands so far; forgets them.
    pub(crate) fn take(&self) -> Vec<Command> {
        self.asked.borrow_mut().drain(..).map(|(_, command)| command).collect()
    }
}

/// Alice, signed in and connected to a cluster where all is well.
pub(crate) fn signed_in() -> Vec<Update> {
    vec![
        Update::Session(SessionState::SignedIn {
            user: "alice".to_owned(),
            cluster: "c1".to_owned(),
        }),
        connected(1),
        cluster(3),
    ]
}

/// Connected to this server.
pub(crate) fn connected(server: u8) -> Update {
    Update::Connection(ConnectionState::Connected {
        server: ServerId(server),
        address: format!("127.0.0.1:809{server}"),
        instead_of: None,
    })
}

/// So many of three servers are in sync.
pub(crate) fn cluster(in_sync: u32) -> Update {
    let server = |number: u8| {
        let state = match u32::from(number) {
            1 => ServerState::Primary,
            number if number <= in_sync => ServerState::InSync,
            _ => ServerState::Down,
        };
        ServerStatus {
            server: ServerId(number),
            addr: format!("127.0.0.1:809{number}"),
            state,
            lag: (state != ServerState::Down).then_some(0),
        }
    };
    Update::Cluster(Status {
        server: ServerId(1),
        role: Role::Primary,
        primary: Some(ServerId(1)),
        ballot: "1.1.1".to_owned(),
        in_sync,
        of: 3,
        writable: true,
        waiting: None,
        servers: vec![server(1), server(2), server(3)],
        diverged: 0,
    })
}

/// A message.
pub(crate) fn message(seq: u64, own: bool, text: &str, ts: u64) -> MessageRecord {
    let from = Some(if own { "alice" } else { "bob" }.to_owned());
    let view = MessageView {
        seq: Seq(seq),
        from,
        text: text.to_owned(),
        ts,
        edited: None,
        deleted: false,
    };
    MessageRecord { view, own, copies: 3, of: 3 }
}

/// A conversation whose newest message is this one.
pub(crate) fn conversation(conv: u64, with: &str, last: MessageRecord) -> ConversationRecord {
    ConversationRecord {
        conv: ConversationId(conv),
        with: Some(with.to_owned()),
        last_seq: last.view.seq,
        read: last.view.seq,
        read_told: last.view.seq,
        delivered_told: last.view.seq,
        peer_read: Seq(0),
        peer_delivered: Seq(0),
        unread: Unread::default(),
        last: Some(last),
    }
}

/// An own message in the outbox.
pub(crate) fn outgoing(number: u8, to: Target, text: &str, state: OutboxState) -> Update {
    Update::Outbox(OutboxItem {
        txn: Txn([number; 16]),
        number: u64::from(number),
        created_ms: NOW_MS,
        work: Work::Send { to, text: text.to_owned() },
        state,
    })
}
