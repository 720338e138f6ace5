//! What a person wants, each to the part that does it.
//!
//! Owns: nothing. Driven by: [`Engine::handle`]. Invariant: every command is answered once, now or
//! when its outcome is known.

use super::Engine;
use super::asks::Asked;
use crate::client::{Answer, Command, CommandId, Failure, Update, Work, Write};
use crate::config::Secret;
use crate::ids::{ConversationId, Seq};
use crate::protocol::Target;

impl Engine {
    pub(super) fn command(&mut self, id: CommandId, command: Command) {
        match command {
            Command::Resume => self.resume(id),
            Command::Login { user, pass } => self.sign_in(id, user, pass, false),
            Command::Register { user, pass } => self.sign_in(id, user, pass, true),
            Command::SignOut => self.ask(id, Asked::SignOut),
            Command::Passwd { old, new } => {
                self.ask(id, Asked::Passwd { old, new, is_check: false });
            }
            Command::Revoke(session) => self.ask(id, Asked::Revoke(session)),
            Command::DeleteAccount { pass } => self.delete_account(id, pass),
            Command::Send { to, text } => self.submit(id, Work::Send { to, text }),
            Command::Edit { conv, seq, text } => self.submit(id, Work::Edit { conv, seq, text }),
            Command::Delete { conv, seq, scope } => {
                self.submit(id, Work::Delete { conv, seq, scope });
            }
            Command::Retry(txn) => self.retry(id, txn),
            Command::Discard(txn) => self.discard(id, txn),
            Command::Ask(question) => self.ask(id, Asked::Question(question)),
            Command::CancelSignIn
            | Command::MarkRead { .. }
            | Command::Open(_)
            | Command::LoadOlder { .. }
            | Command::SaveDraft { .. }
            | Command::KeepInterface { .. }
            | Command::TryNow
            | Command::AcceptIdentity(_)
            | Command::RejectIdentity => {
                let outcome = self.command_at_once(command);
                self.answer(id, outcome);
            }
        }
    }

    /// Commands whose outcome is known at once.
    fn command_at_once(&mut self, command: Command) -> Result<Answer, Failure> {
        match command {
            Command::CancelSignIn => self.cancel_sign_in(),
            Command::MarkRead { conv, upto } => self.mark_read(conv, upto)?,
            Command::Open(conv) => {
                self.require_place()?;
                self.load_page(conv, None);
            }
            Command::LoadOlder { conv, before } => {
                self.require_place()?;
                self.load_page(conv, Some(before));
            }
            Command::SaveDraft { to, text } => self.save_draft(to, text)?,
            Command::KeepInterface { key, value } => {
                self.require_place()?;
                self.effects.write(Write::Interface(key.clone(), value.clone()));
                self.effects.update(Update::Interface(key, value));
            }
            Command::TryNow => self.dial_now(),
            Command::AcceptIdentity(identity) => self.accept_identity(identity),
            Command::RejectIdentity => self.reject_identity(),
            Command::Resume
            | Command::Login { .. }
            | Command::Register { .. }
            | Command::SignOut
            | Command::Passwd { .. }
            | Command::Revoke(_)
            | Command::DeleteAccount { .. }
            | Command::Send { .. }
            | Command::Edit { .. }
            | Command::Delete { .. }
            | Command::Retry(_)
            | Command::Discard(_)
            | Command::Ask(_) => unreachable!("these are not answered at once"),
        }
        Ok(Answer::Done)
    }

    fn require_place(&self) -> Result<(), Failure> {
        if self.place.is_some() { Ok(()) } else { Err(Failure::NotSignedIn) }
    }

    fn mark_read(&mut self, conv: ConversationId, upto: Seq) -> Result<(), Failure> {
        let place = self.place.as_mut().ok_or(Failure::NotSignedIn)?;
        if let Some(conversation) = place.conversations.get_mut(&conv) {
            let upto = upto.min(conversation.record.last_seq);
            if upto > conversation.record.read {
                let count = conversation.read_upto(upto);
                place.note(conv, count);
                place.marks_due.insert(conv);
                place.touch(conv);
            }
        }
        Ok(())
    }

    fn save_draft(&mut self, to: Target, text: String) -> Result<(), Failure> {
        let place = self.place.as_mut().ok_or(Failure::NotSignedIn)?;
        if text.is_empty() {
            place.drafts.remove(&to);
        } else {
            place.drafts.insert(to.clone());
        }
        self.effects.write(Write::Draft(to.clone(), text.clone()));
        self.effects.update(Update::Draft(to, text));
        Ok(())
    }

    /// The txn is stored before the first try, and used again by every later one.
    fn delete_account(&mut self, command: CommandId, pass: Secret) {
        let signed_in = self.is_signed_in();
        let Some(place) = self.place.as_mut().filter(|_| signed_in) else {
            return self.answer(command, Err(Failure::NotSignedIn));
        };
        let txn = match place.deletion {
            Some(txn) => txn,
            None => {
                let txn = self.random.txn();
                place.deletion = Some(txn);
                self.effects.write(Write::Deletion(Some(txn)));
                txn
            }
        };
        self.ask(command, Asked::DeleteAccount { pass, txn });
    }
}
