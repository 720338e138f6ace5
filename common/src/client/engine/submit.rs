//! The way of an outbox item: from the person's word to the answer.
//!
//! Owns: nothing; the outbox is in the place. Driven by: `commands`, `pump`, `reply` and `events`.
//! Invariants: an item is stored, with the state "on the wire", before its line is sent; every try
//! carries the same txn; each error is taken by its `retry` class.

use std::time::Duration;

use super::asks::{LATER, SOON};
use super::conversation::Conversation;
use super::link::Purpose;
use super::{Engine, Nonsense};
use crate::client::{
    Answer, CommandId, Failure, MessageRecord, OutboxState, SignedOut, Update, Work, Write,
};
use crate::ids::{Seq, Txn};
use crate::protocol::{
    Delete, Edit, ErrorReply, MessageView, Reply, Request, Retry, Send, SendOk, Target, check_name,
    check_text, fold_name,
};

impl Engine {
    /// Puts something into the outbox, or says at once why it never can be sent.
    pub(super) fn submit(&mut self, command: CommandId, mut work: Work) {
        let wall_ms = self.wall_ms();
        let broken = match &work {
            Work::Send { to: Target::User(name), text } => {
                check_name(name).and_then(|()| check_text(text))
            }
            Work::Send { text, .. } | Work::Edit { text, .. } => check_text(text),
            Work::Delete { .. } => Ok(()),
        };
        if let Err(broken) = broken {
            return self.answer(command, Err(Failure::Refused(broken.into())));
        }
        let Some(place) =
            self.place.as_mut().filter(|_| matches!(self.session, super::Session::In))
        else {
            return self.answer(command, Err(Failure::NotSignedIn));
        };
        if let Work::Send { to, .. } = &mut work
            && let Target::User(name) = to
            && let Some(conv) = place.by_name.get(&fold_name(name))
        {
            *to = Target::Conversation(*conv);
        }
        place.outbox.add(self.random.txn(), wall_ms, work, command);
    }

    pub(super) fn pump_outbox(&mut self) {
        let (now, wall_ms) = (self.instant(), self.wall_ms());
        let room = match &self.net.link {
            Some(link) if link.signed_in => link.room(),
            _ => 0,
        };
        let Some(place) = &mut self.place else { return };
        let is_blind = place.listing.is_new() && place.outbox.has_names_and_conversations();
        let due = match room {
            1.. if !is_blind => place.outbox.take_due(now, wall_ms, room),
            _ => Vec::new(),
        };
        place.outbox.save(&mut self.effects);
        for txn in due {
            let item = self.place.as_mut().and_then(|place| place.outbox.item(txn));
            if let Some(request) = item.map(|item| request(txn, &item.record.work)) {
                self.request(Purpose::Item(txn), &request);
            }
        }
    }

    pub(super) fn item_answered(&mut self, txn: Txn, reply: &Reply) -> Result<(), Nonsense> {
        let Some(place) = &mut self.place else { return Ok(()) };
        if let (Some((command, seen)), Reply::Send(ok)) = (place.outbox.take_confirmed(txn), reply)
        {
            if (seen.conv, seen.seq) != (ok.conv, ok.seq) {
                return Err(Nonsense::new("acknowledged a message elsewhere than its event"));
            }
            self.copies_known(ok);
            self.answer_if(command, Answer::Sent(ok.clone()));
            return Ok(());
        }
        let Some(item) = place.outbox.item(txn) else { return Ok(()) };
        let work = item.record.work.clone();
        if let Reply::Send(ok) = reply {
            let elsewhere = matches!(&work, Work::Send { to: Target::Conversation(conv), .. }
                if *conv != ok.conv);
            if elsewhere || ok.seq == Seq(0) {
                return Err(Nonsense::new("acknowledged a message where it was not sent"));
            }
        }
        let command = place.outbox.remove(txn, &mut self.effects).and_then(|item| item.command);
        let answer = match (work, reply) {
            (Work::Send { to, text }, Reply::Send(ok)) => {
                self.stored(&to, text, ok);
                Answer::Sent(ok.clone())
            }
            (Work::Edit { conv, seq, text }, Reply::Edit(ok)) => {
                self.text_changed(conv, seq, text, ok.ts);
                Answer::Done
            }
            (Work::Delete { conv, seq, .. }, _) => {
                self.message_deleted(conv, seq);
                Answer::Done
            }
            (Work::Send { .. } | Work::Edit { .. }, _) => return Ok(()),
        };
        self.answer_if(command, answer);
        Ok(())
    }

    fn answer_if(&mut self, command: Option<CommandId>, answer: Answer) {
        if let Some(command) = command {
            self.answer(command, Ok(answer));
        }
    }

    /// A server has stored an own message: it is in the conversation from now on, whether its event
    /// came first, comes later, or was on a link that is lost.
    fn stored(&mut self, to: &Target, text: String, ok: &SendOk) {
        let Some(place) = &mut self.place else { return };
        let with = match to {
            Target::User(name) => Some(name.clone()),
            Target::Conversation(_) => None,
        };
        place.name_known(ok.conv, with.as_deref());
        if !place.listing.is_new() && !place.conversations.contains_key(&ok.conv) {
            // It was made after the cursor, so its events follow from the first message on. It is
            // stored now, with the items that go into it, so that a restart knows whose it is.
            let new = Conversation::unlisted(ok.conv, with, Seq(1));
            place.conversations.insert(ok.conv, new);
            place.touch(ok.conv);
        }
        let known = place.conversations.get(&ok.conv);
        let last_seq = known.map_or(Seq(0), |conversation| conversation.record.last_seq);
        if ok.seq <= last_seq {
            return self.copies_known(ok);
        }
        let view = MessageView {
            seq: ok.seq,
            from: Some(place.user.clone()),
            text,
            ts: ok.ts,
            edited: None,
            deleted: false,
        };
        let record = MessageRecord { view, own: true, copies: ok.copies, of: ok.of };
        if let Some(conversation) = place.conversations.get_mut(&ok.conv)
            && ok.seq.0 == last_seq.0 + 1
        {
            conversation.message(&record);
            place.touch(ok.conv);
        }
        place.acknowledged.insert((ok.conv, ok.seq));
        self.effects.write(Write::Message(ok.conv, record.clone()));
        self.effects.update(Update::Message(ok.conv, record));
    }

    fn copies_known(&mut self, ok: &SendOk) {
        let SendOk { conv, seq, copies, of, .. } = *ok;
        self.effects.write(Write::Copies { conv, seq, copies, of });
        self.effects.update(Update::Copies { conv, seq, copies, of });
    }

    pub(super) fn item_refused(&mut self, txn: Txn, error: ErrorReply) {
        let now = self.instant();
        let Some(place) = &mut self.place else { return };
        let wait = |default: Duration| now + error.after_ms.map_or(default, Duration::from_millis);
        match error.retry {
            Retry::Never => {
                let state = OutboxState::Refused(error.clone());
                if let Some(command) = place.outbox.set_aside(txn, state) {
                    self.answer(command, Err(Failure::Refused(error)));
                }
            }
            Retry::Later => place.outbox.put_off(txn, wait(LATER)),
            Retry::SameTxn => place.outbox.put_off(txn, wait(SOON)),
            Retry::Elsewhere => {
                place.outbox.put_off(txn, wait(SOON));
                self.scout();
            }
            Retry::Auth => self.session_ended(SignedOut::Ended),
        }
    }

    /// The link is lost: those whose event came are done without their answer.
    pub(super) fn confirm_seen(&mut self) {
        let Some(place) = &mut self.place else { return };
        for (command, ok) in place.outbox.take_all_confirmed() {
            self.answer_if(command, Answer::Sent(ok));
        }
    }

    pub(super) fn retry(&mut self, command: CommandId, txn: Txn) {
        let wall_ms = self.wall_ms();
        if !self.is_signed_in() {
            return self.answer(command, Err(Failure::NotSignedIn));
        }
        let failure = Err(Failure::NoSuchItem);
        let Some(place) = &mut self.place else { return self.answer(command, failure) };
        let state = place.outbox.item(txn).map(|item| item.record.state.clone());
        match state {
            Some(OutboxState::Stale) => place.outbox.repeat_stale(txn, wall_ms, command),
            Some(OutboxState::Refused(_)) => {
                if let Some(item) = place.outbox.remove(txn, &mut self.effects) {
                    self.submit(command, item.record.work);
                }
            }
            Some(OutboxState::Waiting | OutboxState::Sent { .. }) | None => {
                self.answer(command, failure);
            }
        }
    }

    pub(super) fn discard(&mut self, command: CommandId, txn: Txn) {
        let failure = Err(Failure::NoSuchItem);
        let Some(place) = &mut self.place else { return self.answer(command, failure) };
        match place.outbox.item(txn).map(|item| &item.record.state) {
            None | Some(OutboxState::Sent { .. }) => self.answer(command, failure),
            Some(OutboxState::Waiting | OutboxState::Refused(_) | OutboxState::Stale) => {
                let item = place.outbox.remove(txn, &mut self.effects);
                if let Some(asker) = item.and_then(|item| item.command) {
                    self.answer(asker, Err(Failure::Cancelled));
                }
                self.answer(command, Ok(Answer::Done));
            }
        }
    }
}

fn request(txn: Txn, work: &Work) -> Request {
    match work.clone() {
        Work::Send { to, text } => Request::Send(Send { to, text, txn }),
        Work::Edit { conv, seq, text } => Request::Edit(Edit { conv, seq, text, txn }),
        Work::Delete { conv, seq, scope } => Request::Delete(Delete { conv, seq, scope, txn }),
    }
}
