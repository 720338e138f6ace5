//! From a line to a request under way: who may ask what, and in which order.
//!
//! Owns: the rules of taking requests (`gate`, `held`, `questions`), and the questions under way.
//! Driven by: the node's inputs, and each answer that lets another request go on. Invariants: a
//! request is answered once; behind a sign-in everything waits, behind a write that is being
//! prepared later writes do; a connection has one question at the readers. Does not: know how a
//! write is prepared (`writes`), how a session is made (`sign_in`), or what a line may ask how
//! often, but for questions.

use std::mem::discriminant;
use std::net::IpAddr;
use std::time::Duration;

use holdfast_common::config::Plaintext;
use holdfast_common::ids::Cursor;
use holdfast_common::protocol::{
    ByeReason, ErrorCode, ErrorReply, Hello, HelloOk, LINE_BYTES_MAX, Limits, PING_S, PIPELINE_MAX,
    PROTOCOL, PingOk, Reply, RequestFrame, TEXT_BYTES_MAX, encode_error,
};

use super::clients::Stage;
use super::effect::{ClientId, Effect, Origin, Transport};
use super::gate::AtGate;
use super::kinds::{Kind, Question, SignIn};
use super::pipeline::PATIENCE;
use super::{Node, READS_MAX, Task};
use crate::chat::operation::Actor;
use crate::chat::query::{Answer, Query};
use crate::entry::Index;
use crate::work::{Job, ReaderJob, Ticket};

/// Clients come back after this many milliseconds when a queue was full.
pub(super) const BUSY_AFTER_MS: u64 = 200;

impl Node {
    pub(super) fn client_opened(&mut self, id: ClientId, origin: Origin) {
        log::debug!("{id} opened origin={origin:?}");
        self.clients.open(id, origin, self.now.instant);
        self.metrics.connections_opened += 1;
        let full = self.clients.len() > self.settings.connections_max;
        if self.upkeep.is_stopping() || (full && matches!(origin, Origin::Network(_))) {
            // In the clear or not is not known yet, so nothing can be said: the client tries
            // another.
            self.close(id);
        }
    }

    pub(super) fn client_transport(&mut self, id: ClientId, transport: Transport) {
        let Some(client) = self.clients.get(id) else { return };
        let Origin::Network(address) = client.origin else { return };
        if transport == Transport::Plain && !self.plain_allowed(address.ip()) {
            self.break_off(id, &ErrorReply::new(ErrorCode::TlsRequired));
        }
    }

    fn plain_allowed(&self, address: IpAddr) -> bool {
        let foreign = self.settings.foreign_loopback == Some(address);
        match self.settings.plaintext {
            Plaintext::Allow => true,
            Plaintext::Loopback => address.to_canonical().is_loopback() && !foreign,
            Plaintext::Never => false,
        }
    }

    pub(super) fn client_closed(&mut self, id: ClientId) {
        if self.clients.close(id).is_some() {
            log::debug!("{id} closed");
        }
        self.drop_hashes(id);
        self.gate.retain(|waiting| waiting.client != id);
        self.early.remove(&id);
    }

    pub(super) fn client_heard(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id) {
            client.heard = self.now.instant;
        }
    }

    pub(super) fn client_overlong(&mut self, id: ClientId) {
        self.break_off(id, &ErrorReply::new(ErrorCode::TooLarge));
    }

    pub(super) fn client_frame(&mut self, id: ClientId, line: &[u8]) {
        let now = self.now.instant;
        let Some(client) = self.clients.get_mut(id) else { return };
        client.heard = now;
        let frame = match RequestFrame::parse(line) {
            Ok(frame) if client.unanswered.contains(&frame.id) => {
                let text = "field `id`: a request with that id is still unanswered";
                return self.break_off(id, &ErrorReply::with_text(ErrorCode::BadRequest, text));
            }
            Ok(frame) => frame,
            Err(error) => return self.break_off(id, &error),
        };
        client.unanswered.push(frame.id);
        if client.origin == Origin::Administration {
            return self.admin_request(id, &frame);
        }
        match frame.request() {
            Ok(request) => self.submit(id, frame.id, request.into()),
            // Before `hello` nothing is known, not even what is unknown.
            Err(_) if matches!(client.stage, Stage::New) => {
                self.refuse(id, frame.id, hello_first());
            }
            Err(error) => self.refuse(id, frame.id, error),
        }
    }

    /// The line cannot be answered under an id, or the connection may not go on: say why, and
    /// close.
    fn break_off(&mut self, id: ClientId, error: &ErrorReply) {
        log::debug!("{id} broken off code={} text={:?}", error.code, error.text);
        let line = encode_error(None, error);
        self.effects.push_back(Effect::Send { client: id, line: line.into(), answers: false });
        self.close(id);
    }

    /// Closes a connection after everything queued for it is written.
    pub(super) fn close(&mut self, id: ClientId) {
        self.client_closed(id);
        self.effects.push_back(Effect::Close(id));
    }

    /// Takes a request in its turn: it may have to wait for the state to be whole, for a sign-in
    /// before it, or (a write) for a write before it that is being prepared.
    pub(super) fn submit(&mut self, id: ClientId, request_id: u64, kind: Kind) {
        let is_whole = self.is_whole();
        let Some(client) = self.clients.get_mut(id) else { return };
        let at_once = matches!(kind, Kind::Hello(_) | Kind::Ping | Kind::Status)
            || matches!(client.stage, Stage::New);
        let behind_sign_in = matches!(client.stage, Stage::SigningIn);
        let behind_write = kind.is_change() && (client.preparing || !client.held.is_empty());
        if !at_once && !is_whole {
            let until = self.now.instant + PATIENCE;
            self.gate.push_back(AtGate { client: id, id: request_id, kind, until });
        } else if behind_sign_in || behind_write {
            client.held.push_back((request_id, kind));
        } else {
            self.start(id, request_id, kind);
        }
    }

    /// Lets held requests go on, as far as they can.
    pub(super) fn release_held(&mut self, id: ClientId) {
        while let Some(client) = self.clients.get_mut(id) {
            let blocked = match client.held.front() {
                None => return,
                Some((_, kind)) => {
                    matches!(client.stage, Stage::SigningIn)
                        || (client.preparing && kind.is_change())
                }
            };
            if blocked {
                return;
            }
            if let Some((request_id, kind)) = client.held.pop_front() {
                self.start(id, request_id, kind);
            }
        }
    }

    fn start(&mut self, id: ClientId, request_id: u64, kind: Kind) {
        let Some(client) = self.clients.get(id) else { return };
        let greeted = !matches!(client.stage, Stage::New);
        let actor = client.signed_in().map(|signed_in| signed_in.actor);
        let bad = |text: &str| ErrorReply::with_text(ErrorCode::BadRequest, text);
        match (kind, actor) {
            (Kind::Hello(hello), _) => self.hello(id, request_id, &hello),
            _ if !greeted => self.refuse(id, request_id, hello_first()),
            (Kind::Ping, _) => {
                let reply = Reply::Ping(PingOk { ts: self.now.wall_ms });
                self.answer(id, request_id, reply.encode(request_id));
            }
            (Kind::Status, _) => {
                let reply = Reply::Status(self.status());
                self.answer(id, request_id, reply.encode(request_id));
            }
            (Kind::SignIn(_), Some(_)) => {
                self.refuse(id, request_id, bad("this connection is signed in already"));
            }
            (Kind::SignIn(SignIn::Register(register)), None) => {
                self.register(id, request_id, register);
            }
            (Kind::SignIn(SignIn::Login(login)), None) => self.login(id, request_id, login),
            (Kind::SignIn(SignIn::Resume(resume)), None) => self.resume(id, request_id, resume),
            (Kind::Question(_) | Kind::Change(_), None) => {
                let text = "no session on this connection: sign in first";
                let error = ErrorReply::with_text(ErrorCode::Unauthorized, text);
                self.refuse(id, request_id, error);
            }
            (Kind::Question(question), Some(actor)) => {
                self.question(id, request_id, actor, question);
            }
            (Kind::Change(change), Some(actor)) => self.change(id, request_id, actor, change),
        }
    }

    fn hello(&mut self, id: ClientId, request_id: u64, hello: &Hello) {
        if !hello.proto.contains(&PROTOCOL) {
            return self.refuse(id, request_id, ErrorCode::Version);
        }
        let cluster = self.replication.settled_cluster();
        if cluster.is_none() {
            self.early.insert(id);
        }
        let reply = HelloOk {
            proto: PROTOCOL,
            cluster: cluster.map(|cluster| cluster.to_string()).unwrap_or_default(),
            limits: Limits { line: LINE_BYTES_MAX, text: TEXT_BYTES_MAX, pipeline: PIPELINE_MAX },
            ping_s: PING_S,
            status: self.status(),
        };
        if let Some(client) = self.clients.get_mut(id)
            && matches!(client.stage, Stage::New)
        {
            client.stage = Stage::Greeted;
        }
        self.answer(id, request_id, Reply::Hello(reply).encode(request_id));
    }

    fn question(&mut self, id: ClientId, request_id: u64, actor: Actor, question: Question) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.asking {
            client.questions.push_back((request_id, Kind::Question(question)));
            return;
        }
        let query = match question {
            Question::Sessions => Query::Sessions(actor),
            Question::Users(users) => {
                if let Err(wait) = self.users_asked.take(&actor.user, self.now.instant) {
                    return self.refuse(id, request_id, rate_limited("searches for users", wait));
                }
                Query::Users(users)
            }
            Question::Conversations(page) => Query::Conversations(actor.user, page),
            Question::History(history) => Query::History(actor.user, history),
        };
        if matches!(query, Query::Conversations(..) | Query::History(..))
            && let Err(wait) = self.pages.take(&actor.user, self.now.instant)
        {
            return self.refuse(id, request_id, rate_limited("pages", wait));
        }
        if self.reads >= READS_MAX {
            return self.refuse(id, request_id, busy());
        }
        if let Some(client) = self.clients.get_mut(id) {
            client.asking = true;
        }
        let again = Some(query.clone());
        let ticket = self.ticket(Task::Question(id, request_id, again));
        self.ask(ticket, query);
    }

    pub(super) fn question_refused(&mut self, client: ClientId, id: u64, error: ErrorReply) {
        self.refuse(client, id, error);
        self.next_question(client);
    }

    /// A question of this client was answered: its next one has its turn.
    fn next_question(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.asking = false;
        while let Some(client) = self.clients.get_mut(id)
            && !client.asking
            && let Some((request_id, kind)) = client.questions.pop_front()
        {
            self.start(id, request_id, kind);
        }
    }

    pub(super) fn ask(&mut self, ticket: Ticket, query: Query) {
        self.reads += 1;
        self.run(Job::Reader(ReaderJob { ticket, query }));
    }

    pub(super) fn answered(&mut self, ticket: Ticket, answer: Answer, at: Cursor) {
        self.reads -= 1;
        let task = self.tasks.remove(&ticket).expect("each ticket is answered once");
        match (task, answer) {
            (Task::Question(client, id, _), Answer::Reply(reply)) => {
                self.answer(client, id, reply.encode(id));
                self.next_question(client);
            }
            (Task::Question(client, id, Some(query)), Answer::Refused(error)) => {
                self.confirm(Task::Question(client, id, None), query, error, Index(at.index));
            }
            (Task::Question(client, id, None), Answer::Refused(error)) => {
                self.question_refused(client, id, error);
            }
            (Task::SignIn(task), answer) => self.sign_in_answered(task, answer, at),
            (Task::Write(task), answer) => self.write_answered(task, answer),
            (Task::Backlog(client, session), answer) => {
                self.backlog_answered(client, session, answer);
            }
            (Task::Admin(task), answer) => self.admin_answered(task, answer),
            (Task::FollowUps, Answer::FollowUps(operations, ran_ms)) => {
                self.upkeep.has_run(Duration::from_millis(ran_ms));
                for operation in operations {
                    self.propose_own(operation);
                }
            }
            (task, answer) => unreachable!(
                "{:?} is no answer to {:?}",
                discriminant(&answer),
                discriminant(&task)
            ),
        }
    }

    /// Closes a connection with a reason that its client can act on.
    pub(super) fn say_bye(&mut self, id: ClientId, reason: ByeReason) {
        log::debug!("{id} closing reason={reason:?}");
        let elsewhere = if reason == ByeReason::Stopping { self.elsewhere() } else { None };
        let bye = holdfast_common::protocol::ByeEvent { reason, elsewhere };
        let event = holdfast_common::protocol::Ephemeral::Bye(bye);
        let line = holdfast_common::protocol::encode_event(&event, None);
        self.effects.push_back(Effect::Send { client: id, line: line.into(), answers: false });
        self.close(id);
    }
}

fn hello_first() -> ErrorReply {
    ErrorReply::with_text(ErrorCode::BadRequest, "send `hello` first")
}

/// The refusal when a queue is full.
pub(super) fn busy() -> ErrorReply {
    ErrorReply::new(ErrorCode::Busy).after_ms(BUSY_AFTER_MS)
}

/// The refusal of what comes too often.
pub(super) fn rate_limited(what: &str, wait: Duration) -> ErrorReply {
    // Rounded up: whoever comes back then finds a token.
    let after_ms = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    let seconds = after_ms.div_ceil(1_000);
    let text = format!("too many {what}: nothing was done, try again in {seconds} s");
    ErrorReply::with_text(ErrorCode::RateLimited, text).after_ms(after_ms)
}
