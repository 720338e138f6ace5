//! The account's place in memory: what its store holds, but for the messages.
//!
//! Owns: token, cursors, conversations, outbox, and what is to be fetched. Driven by: the engine's
//! parts. Invariant: the stored cursor never stands behind something that is still to be fetched:
//! as long as a gap is open or a count is unsure, it stays where it was, and a new link takes the
//! events once more. Every event may come twice, and the second time changes nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::conversation::Conversation;
use super::effects::Effects;
use super::history::{Fetch, Gap};
use super::listing::Listing;
use super::outbox::Outbox;
use crate::client::{Account, AccountKey, CommandId, Update, Write};
use crate::config::Secret;
use crate::ids::{ConversationId, Cursor, Seq, Txn};
use crate::protocol::{ResumeOk, SignedInOk, Target, fold_name};

#[derive(Debug)]
pub(super) struct Place {
    pub(super) key: AccountKey,
    pub(super) user: String,
    pub(super) token: Option<Secret>,
    /// Everything up to here is kept: what `resume` names.
    pub(super) cursor: Option<Cursor>,
    /// The newest event's; becomes `cursor` when nothing holds it back.
    pub(super) seen: Option<Cursor>,
    stored: Option<Cursor>,
    pub(super) deletion: Option<Txn>,
    pub(super) conversations: BTreeMap<ConversationId, Conversation>,
    /// Conversations by the other's folded name.
    pub(super) by_name: BTreeMap<String, ConversationId>,
    pub(super) outbox: Outbox,
    /// Where there is typed text.
    pub(super) drafts: BTreeSet<Target>,
    pub(super) listing: Listing,
    /// Where events told of messages before those below them came.
    pub(super) repairs: BTreeMap<ConversationId, Gap>,
    /// What is to be asked of histories; one under way at a time. One entry a conversation and
    /// place.
    pub(super) fetches: VecDeque<Fetch>,
    pub(super) fetching: bool,
    pub(super) fetch_not_before: Option<Instant>,
    /// Conversations with a mark that the server does not know.
    pub(super) marks_due: BTreeSet<ConversationId>,
    /// Acknowledged own messages whose event has not come.
    pub(super) acknowledged: BTreeSet<(ConversationId, Seq)>,
    /// The command that waits for this session's first resume.
    pub(super) resume: Option<CommandId>,
    changed: BTreeSet<ConversationId>,
}

impl Place {
    /// The place as it was stored; everything in it is told.
    pub(super) fn new(account: Account, effects: &mut Effects) -> Place {
        let mut place = Place {
            key: account.key,
            user: account.user,
            token: account.token,
            cursor: account.cursor,
            seen: account.cursor,
            stored: account.cursor,
            deletion: account.deletion,
            conversations: BTreeMap::new(),
            by_name: BTreeMap::new(),
            outbox: Outbox::new(account.outbox, effects),
            drafts: BTreeSet::new(),
            listing: Listing::default(),
            repairs: BTreeMap::new(),
            fetches: VecDeque::new(),
            fetching: false,
            fetch_not_before: None,
            marks_due: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            resume: None,
            changed: BTreeSet::new(),
        };
        for record in account.conversations {
            effects.update(Update::Conversation(record.clone()));
            let (conv, with) = (record.conv, record.with.clone());
            if record.unread.is_unsure {
                place.listing.unsure(conv);
            }
            let conversation = Conversation::new(record);
            if conversation.has_marks_to_tell() {
                place.marks_due.insert(conv);
            }
            place.conversations.insert(conv, conversation);
            place.name_known(conv, with.as_deref());
        }
        if place.cursor.is_some() {
            effects.update(Update::Listed);
        }
        for (to, text) in account.drafts {
            place.drafts.insert(to.clone());
            effects.update(Update::Draft(to, text));
        }
        for (key, value) in account.interface {
            effects.update(Update::Interface(key, value));
        }
        place
    }

    /// A new session: what was cached may have missed anything, so it is taken anew.
    pub(super) fn begin(&mut self, ok: &SignedInOk, effects: &mut Effects) {
        self.user = ok.user.clone();
        self.token = Some(Secret::new(ok.token.clone()));
        effects.write(Write::User(self.user.clone()));
        effects.write(Write::Token(self.token.clone()));
        self.drop_cache(effects);
        self.cursor = Some(ok.cur);
        self.seen = Some(ok.cur);
    }

    pub(super) fn resumed(&mut self, ok: &ResumeOk, effects: &mut Effects) {
        if self.cursor.is_none() && !self.listing.is_new() {
            // Events start from now: whatever is known from before is void.
            self.drop_cache(effects);
        }
        self.cursor = self.cursor.or(Some(ok.cur));
        self.seen = self.cursor;
    }

    pub(super) fn drop_cache(&mut self, effects: &mut Effects) {
        self.conversations.clear();
        self.by_name.clear();
        self.changed.clear();
        self.marks_due.clear();
        self.acknowledged.clear();
        self.repairs.clear();
        self.fetches.clear();
        self.cursor = None;
        self.seen = None;
        self.stored = None;
        self.listing = Listing::all();
        effects.write(Write::CacheDropped);
        effects.update(Update::CacheDropped);
    }

    /// What was under way on the link is to be asked again.
    pub(super) fn link_lost(&mut self) {
        self.outbox.link_lost();
        self.listing.link_lost();
        self.fetching = false;
        self.repairs.clear();
        self.fetches.retain(|fetch| !matches!(fetch, Fetch::Repair { .. }));
        self.seen = self.cursor;
        for conversation in self.conversations.values_mut() {
            conversation.marks_lost();
        }
    }

    /// Whether something is still to be fetched that the events behind `cursor` told of.
    fn is_cursor_held(&self) -> bool {
        self.listing.is_wanted() || !self.repairs.is_empty()
    }

    /// The conversation has changed: it is stored and told once, at the end of the turn.
    pub(super) fn touch(&mut self, conv: ConversationId) {
        self.changed.insert(conv);
    }

    pub(super) fn tell_changes(&mut self, effects: &mut Effects) {
        for conv in std::mem::take(&mut self.changed) {
            if let Some(conversation) = self.conversations.get(&conv) {
                effects.write(Write::Conversation(conversation.record.clone()));
                effects.update(Update::Conversation(conversation.record.clone()));
            }
        }
        if self.listing.take_news() {
            effects.update(Update::Listed);
        }
        if !self.is_cursor_held() {
            self.cursor = self.seen;
            if self.stored != self.cursor {
                self.stored = self.cursor;
                effects.write(Write::Cursor(self.cursor));
            }
        }
    }

    /// Whether a name is this account's.
    pub(super) fn is_me(&self, name: Option<&str>) -> bool {
        name.is_some_and(|name| fold_name(name) == self.key.user)
    }

    /// The conversation with `with` is known: what waits to be sent to that name goes into it.
    pub(super) fn name_known(&mut self, conv: ConversationId, with: Option<&str>) {
        if let Some(with) = with {
            let name = fold_name(with);
            if self.by_name.get(&name) != Some(&conv) {
                self.outbox.conversation_known(&name, conv);
                self.by_name.insert(name, conv);
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let marks = self.marks_due.iter().filter_map(|conv| self.conversations.get(conv));
        marks
            .filter_map(Conversation::marks_deadline)
            .chain(self.outbox.deadline())
            .chain(self.listing.not_before)
            .chain(self.fetch_not_before)
            .min()
    }
}
