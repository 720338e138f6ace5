//! Sending what waits, and giving each answer to whoever waits for it.
//!
//! Owns: the order in which parts of the engine get their turn at the wire. Driven by: `settle` and
//! `link`. Invariant: an answer is read as the answer to what was asked, and anything else closes
//! the connection.

use serde_json::value::RawValue;

use super::link::Purpose;
use super::{Engine, Nonsense};
use crate::protocol::{ErrorReply, Reply};

impl Engine {
    /// Sends what may be sent: first what a person waits for.
    pub(super) fn pump(&mut self) {
        self.pump_sign_in();
        self.pump_outbox();
        if self.net.link.is_none() {
            return;
        }
        self.pump_asks();
        if self.is_signed_in_now() {
            self.pump_listing();
            self.pump_fetches();
            self.pump_marks();
        }
    }

    pub(super) fn reply(
        &mut self,
        purpose: Purpose,
        outcome: Result<Box<RawValue>, ErrorReply>,
    ) -> Result<(), Nonsense> {
        match outcome {
            Ok(ok) => {
                let reply = Reply::parse(op_of(&purpose, self), &ok)
                    .map_err(|error| Nonsense::new(error.text))?;
                self.answered(purpose, reply)
            }
            Err(error) => {
                self.refused(purpose, error);
                Ok(())
            }
        }
    }

    fn answered(&mut self, purpose: Purpose, reply: Reply) -> Result<(), Nonsense> {
        match (purpose, reply) {
            (Purpose::SignIn, Reply::Register(ok) | Reply::Login(ok)) => self.signed_in(ok),
            (Purpose::Resume, Reply::Resume(ok)) => self.resumed(ok),
            (Purpose::Ask(ask), reply) => {
                self.ask_answered(*ask, reply);
                Ok(())
            }
            (Purpose::Item(txn), reply) => self.item_answered(txn, &reply),
            (Purpose::Listing, Reply::Conversations(page)) => self.listing_answered(&page),
            (Purpose::Fetch(fetch), Reply::History(page)) => self.fetch_answered(fetch, page),
            (Purpose::Read(conv, upto), _) => {
                self.mark_answered((conv, upto), true, Ok(()));
                Ok(())
            }
            (Purpose::Delivered(conv, upto), _) => {
                self.mark_answered((conv, upto), false, Ok(()));
                Ok(())
            }
            // `Reply::parse` reads what the purpose names, so nothing else reaches this.
            (Purpose::Ping | Purpose::SignIn | Purpose::Resume | Purpose::Listing, _)
            | (Purpose::Fetch(_), _) => Ok(()),
        }
    }

    fn refused(&mut self, purpose: Purpose, error: ErrorReply) {
        match purpose {
            Purpose::Ping => {}
            Purpose::SignIn => self.sign_in_refused(error),
            Purpose::Resume => self.resume_refused(error),
            Purpose::Ask(ask) => self.ask_refused(*ask, error),
            Purpose::Item(txn) => self.item_refused(txn, error),
            Purpose::Listing => self.listing_refused(&error),
            Purpose::Fetch(fetch) => self.fetch_refused(fetch, &error),
            Purpose::Read(conv, upto) => self.mark_answered((conv, upto), true, Err(error)),
            Purpose::Delivered(conv, upto) => self.mark_answered((conv, upto), false, Err(error)),
        }
    }
}

/// The operation that was asked for a purpose. `register` and `login` have one answer.
fn op_of(purpose: &Purpose, engine: &mut Engine) -> &'static str {
    match purpose {
        Purpose::Ping => "ping",
        Purpose::SignIn => "login",
        Purpose::Resume => "resume",
        Purpose::Ask(ask) => ask.op(),
        Purpose::Item(txn) => engine.place.as_mut().map_or("send", |place| place.outbox.op(*txn)),
        Purpose::Listing => "conversations",
        Purpose::Fetch(_) => "history",
        Purpose::Read(..) => "read",
        Purpose::Delivered(..) => "delivered",
    }
}
