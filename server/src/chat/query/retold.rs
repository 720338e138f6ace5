//! An operation of the log in words, for a person who may have to do it again.
//!
//! Owns: [`Retold`], one operation as it is listed. Driven by: a store that yields to another
//! history. Invariants: no password, token or hash is told; no text that was deleted is told, by
//! the message or with its account; what was refused, or was a repeat, is not told. Does not: know
//! where the list is kept.

use holdfast_common::ids::{ConversationId, Seq, Txn, UserId};
use holdfast_common::protocol::Scope;
use serde::Serialize;

use super::accounts::name_of;
use super::backlog::{message, peer_name};
use crate::chat::operation::{Operation, Recipient, Stamped};
use crate::chat::schema::{EventKind, EventRow, event_key, meta, row};
use crate::entry::{Entry, Payload};
use crate::tables::{Fault, Read};

/// An operation, with names as they are now. What is not there stands for nothing, or for what is
/// deleted by now.
#[derive(Default, Serialize)]
pub struct Retold {
    /// Where it stands in the log.
    pub index: u64,
    /// When the primary took it, RFC 3339.
    pub time: String,
    /// Which operation, by the protocol's word.
    pub op: &'static str,
    /// Who asked for it, or whom it is about.
    pub user: Option<String>,
    /// The conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conv: Option<ConversationId>,
    /// The other member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// Which message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// Up to which message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upto: Option<Seq>,
    /// For whom it was deleted.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The text, unless it is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The device of a new session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The client's txn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub txn: Option<Txn>,
    /// Whether it is known that this was acknowledged; else it may have been.
    pub acknowledged: bool,
}

/// Tells what an entry did, by the rows as they are; nothing of what nobody asked for, or what was
/// refused.
///
/// # Errors
/// [`Fault`] when the rows or the operation cannot be read.
pub fn retell(rows: &dyn Read, entry: &Entry, is_committed: bool) -> Result<Option<Retold>, Fault> {
    let Payload::Operation(bytes) = &entry.payload else { return Ok(None) };
    let Stamped { ts_ms, operation } = Stamped::decode(bytes).map_err(|error| Fault {
        doing: "read an operation of the log",
        source: Box::new(error),
    })?;
    let told = Teller { rows, entry, is_applied: entry.index <= meta(rows)?.applied };
    let time = i64::try_from(ts_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    Ok(told.operation(operation)?.map(|retold| Retold {
        index: entry.index.0,
        time: time.map(|time| time.to_string()).unwrap_or_default(),
        acknowledged: is_committed,
        ..retold
    }))
}

/// One entry being told.
struct Teller<'r> {
    rows: &'r dyn Read,
    entry: &'r Entry,
    is_applied: bool,
}

type Told = Result<Option<Retold>, Fault>;

impl Teller<'_> {
    fn operation(&self, operation: Operation) -> Told {
        match operation {
            Operation::Register { name, session, txn, .. } => {
                let device = session.map(|session| session.device);
                let user = Some(name);
                let op = "register";
                Ok(Some(Retold { op, user, device, txn: Some(txn), ..Retold::default() }))
            }
            Operation::SignIn { user, session, .. } => {
                let told = self.about("login", user)?;
                Ok(told.map(|told| Retold { device: Some(session.device), ..told }))
            }
            Operation::Logout { actor } => self.about("logout", actor.user),
            Operation::Revoke { actor, .. } => self.about("revoke", actor.user),
            Operation::ChangePassword { actor, .. } => self.about("passwd", actor.user),
            Operation::DeleteAccount { actor, .. } => self.about("delete_account", actor.user),
            Operation::AdminResetPassword { user, .. } => self.about("reset-password", user),
            Operation::AdminDeleteUser { user } => self.about("delete-user", user),
            Operation::Send { actor, to, text, txn, .. } => {
                let told = self.in_conversation("send", actor.user, Some(to), None)?;
                Ok(told.map(|told| Retold { txn: Some(txn), ..told.with_text(text) }))
            }
            Operation::Edit { actor, conv, seq, text, txn } => {
                let to = Recipient::Conversation(conv);
                let told = self.in_conversation("edit", actor.user, Some(to), Some(seq))?;
                Ok(told.map(|told| Retold { txn: Some(txn), ..told.with_text(text) }))
            }
            Operation::Delete { actor, conv, seq, scope, txn } => {
                let to = Recipient::Conversation(conv);
                let told = self.in_conversation("delete", actor.user, Some(to), Some(seq))?;
                let scope = Some(scope);
                Ok(told.map(|told| Retold { txn: Some(txn), scope, text: None, ..told }))
            }
            Operation::Read { actor, conv, upto } => self.mark("read", actor.user, conv, upto),
            Operation::Delivered { actor, conv, upto } => {
                self.mark("delivered", actor.user, conv, upto)
            }
            Operation::Erase { .. } | Operation::DayMark | Operation::Prune | Operation::Verify => {
                Ok(None)
            }
        }
    }

    fn about(&self, op: &'static str, user: UserId) -> Told {
        Ok(Some(Retold { op, user: name_of(self.rows, user)?, ..Retold::default() }))
    }

    fn mark(&self, op: &'static str, user: UserId, conv: ConversationId, upto: Seq) -> Told {
        let to = Recipient::Conversation(conv);
        let told = self.in_conversation(op, user, Some(to), None)?;
        Ok(told.map(|told| Retold { upto: Some(upto), seq: None, text: None, ..told }))
    }

    /// Something in a conversation, with an empty text where there may be one. The author's own
    /// event says whether it was done, and where.
    fn in_conversation(
        &self,
        op: &'static str,
        user: UserId,
        to: Option<Recipient>,
        seq: Option<Seq>,
    ) -> Told {
        let event: Option<EventRow> = row(self.rows, &event_key(user, self.entry.index))?;
        let (conv, seq) = match (event.map(|event| event.what), to) {
            (Some(EventKind::Msg { conv, seq }), _) => (Some(conv), Some(seq)),
            (None, _) if self.is_applied => return Ok(None),
            (_, Some(Recipient::Conversation(conv))) => (Some(conv), seq),
            (_, Some(Recipient::User(_)) | None) => (None, seq),
        };
        let with = match (conv, to) {
            (Some(conv), _) => peer_name(self.rows, user, conv)?,
            (None, Some(Recipient::User(peer))) => name_of(self.rows, peer)?,
            (None, _) => None,
        };
        let author = name_of(self.rows, user)?;
        let message = match conv.zip(seq) {
            Some((conv, seq)) => message(self.rows, conv, seq)?,
            None => None,
        };
        let is_deleted = author.is_none() || message.is_some_and(|message| message.deleted);
        let text = (!is_deleted).then(String::new);
        Ok(Some(Retold { op, user: author, conv, with, seq, text, ..Retold::default() }))
    }
}

impl Retold {
    fn with_text(self, text: String) -> Retold {
        Retold { text: self.text.map(|_| text), ..self }
    }
}
