//! The list of conversations.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{Model, OwnState};
use crate::client::{MessageRecord, Work};
use crate::protocol::Target;

/// One row of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<'a> {
    /// Where it leads; a name as long as no server has made the conversation.
    pub to: Target,
    /// The other's name; nothing when that account is gone.
    pub with: Option<&'a str>,
    /// Its newest activity, milliseconds since the Unix epoch; 0 where there is none.
    pub active_ms: u64,
    /// The line under the name.
    pub preview: Preview<'a>,
    /// Unread messages.
    pub unread: u64,
    /// Typed text that was not sent.
    pub draft: Option<&'a str>,
    /// Something in it was refused or is stale: the person must decide.
    pub has_refused: bool,
}

/// The newest thing in a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Preview<'a> {
    /// Nothing yet.
    Empty,
    /// A message, and what became of it if it is an own one.
    Message(&'a MessageRecord, Option<OwnState>),
    /// An own message that is in the outbox: its text and how far it is.
    Outgoing(&'a str, OwnState),
}

impl Model {
    /// The conversations, newest activity first, those included that exist only in the outbox or as
    /// a draft. Made anew by each call: keep it as long as [`Model::revision`] is the same.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let known = self.conversations.keys().map(|conv| Target::Conversation(*conv));
        let mut targets: BTreeSet<Target> = known.collect();
        let sends = self.outgoing.items().filter_map(|item| match &item.work {
            Work::Send { to, .. } => Some(to),
            Work::Edit { .. } | Work::Delete { .. } => None,
        });
        targets.extend(sends.chain(self.drafts.keys()).map(|to| self.resolve(to)));
        let mut rows: Vec<Row<'_>> = targets.into_iter().map(|to| self.row(to)).collect();
        rows.sort_by(|a, b| (Reverse(a.active_ms), &a.to).cmp(&(Reverse(b.active_ms), &b.to)));
        rows
    }

    fn row(&self, to: Target) -> Row<'_> {
        let record = match &to {
            Target::Conversation(conv) => self.conversations.get(conv),
            Target::User(_) => None,
        };
        let last = record.and_then(|record| record.last.as_ref());
        let outgoing = self.outgoing_to(&to).next_back();
        let preview = match (outgoing, record, last) {
            (Some((item, text)), ..) => Preview::Outgoing(text, OwnState::of_item(item)),
            (None, Some(record), Some(last)) => {
                Preview::Message(last, self.own_state(record.conv, last))
            }
            _ => Preview::Empty,
        };
        let outgoing_ms = outgoing.map_or(0, |(item, _)| item.created_ms);
        Row {
            with: match &to {
                Target::Conversation(_) => record.and_then(|record| record.with.as_deref()),
                Target::User(name) => Some(self.typed_name(name)),
            },
            active_ms: last.map_or(0, |last| last.view.ts).max(outgoing_ms),
            preview,
            unread: record.map_or(0, |record| record.unread.total()),
            draft: self.draft(&to),
            has_refused: self.has_refused(&to),
            to,
        }
    }

    /// A folded name as the person typed it.
    fn typed_name(&self, folded: &str) -> &str {
        let typed = self.outgoing.items().filter_map(|item| match &item.work {
            Work::Send { to: Target::User(name), .. } => Some(name),
            Work::Send { .. } | Work::Edit { .. } | Work::Delete { .. } => None,
        });
        let drafted = self.drafts.keys().filter_map(|to| match to {
            Target::User(name) => Some(name),
            Target::Conversation(_) => None,
        });
        let mut names = typed.chain(drafted);
        names.find(|name| name.eq_ignore_ascii_case(folded)).map_or("", String::as_str)
    }
}
