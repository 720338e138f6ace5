//! Messages that are not in the store: older ones for a person who scrolls, and gaps.
//!
//! Owns: nothing; what is to be fetched is in the place. Driven by: `commands`, `events` (a gap)
//! and `reply`. Invariants: a page that is told has no hole and lies directly below what was told
//! before; one fetch is under way at a time; a gap is repaired from below, so that messages are
//! taken in their order; a page that is not dense, or not where it was asked, closes the
//! connection.

use std::time::Duration;

use super::asks::{LATER, SOON};
use super::link::Purpose;
use super::place::Place;
use super::{Engine, Nonsense};
use crate::client::{Effect, Load, MessageRecord, SignedOut, Update, Write};
use crate::ids::{ConversationId, Seq};
use crate::protocol::{
    ErrorReply, HISTORY_PAGE_MAX, History, HistoryOk, MessageView, Page, Request, Retry,
};

/// What is to be asked of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetch {
    /// The messages directly below this number.
    Older { conv: ConversationId, before: Seq },
    /// The messages in a gap.
    Repair { conv: ConversationId },
}

/// Messages that are not known although a later one is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    /// Those above this number are missing, …
    after: Seq,
    /// … up to this one.
    upto: Seq,
}

impl Engine {
    /// Shows a page: first what the store has.
    pub(super) fn load_page(&mut self, conv: ConversationId, before: Option<Seq>) {
        let load = Load::Messages { conv, before, limit: HISTORY_PAGE_MAX };
        self.effects.push(Effect::Load(load));
    }

    pub(super) fn messages_loaded(
        &mut self,
        conv: ConversationId,
        before: Option<Seq>,
        messages: Vec<MessageRecord>,
    ) {
        let Some(place) = &mut self.place else { return };
        let known = place.conversations.get(&conv);
        let last_seq = known.map_or(Seq(0), |conversation| conversation.record.last_seq);
        let end = before.unwrap_or(Seq(last_seq.0.saturating_add(1)));
        let messages = dense_end(messages, end);
        let first = messages.first().map_or(end, |message| message.view.seq);
        let loading = first > Seq(1) && messages.len() < HISTORY_PAGE_MAX;
        let fetch = Fetch::Older { conv, before: first };
        if loading && !place.fetches.contains(&fetch) {
            place.fetches.push_back(fetch);
        }
        self.effects.update(match before {
            None => Update::Opened { conv, messages, loading },
            Some(before) => Update::Older { conv, before, messages, loading },
        });
    }

    /// An event told of message `seq`, and those below it are not known.
    pub(super) fn repair(&mut self, conv: ConversationId, seq: Seq) {
        let Some(place) = &mut self.place else { return };
        let after = newest(place, conv);
        let gap = place.repairs.entry(conv).or_insert(Gap { after, upto: seq });
        gap.upto = gap.upto.max(seq);
        let fetch = Fetch::Repair { conv };
        if !place.fetches.contains(&fetch) {
            place.fetches.push_front(fetch);
        }
    }

    pub(super) fn pump_fetches(&mut self) {
        let now = self.instant();
        if !self.has_room() {
            return;
        }
        let Some(place) = &mut self.place else { return };
        let is_due = place.fetch_not_before.is_none_or(|due| due <= now);
        if place.fetching || !is_due {
            return;
        }
        place.fetch_not_before = None;
        let Some(fetch) = place.fetches.front().copied() else { return };
        place.fetching = true;
        let (conv, page) = match fetch {
            Fetch::Older { conv, before } => (conv, Page::Before(before)),
            Fetch::Repair { conv } => {
                let gap = place.repairs.get(&conv);
                (conv, Page::After(gap.map_or(Seq(0), |gap| gap.after)))
            }
        };
        let history = History { conv, page, limit: None };
        self.request(Purpose::Fetch(fetch), &Request::History(history));
    }

    pub(super) fn fetch_answered(&mut self, fetch: Fetch, page: HistoryOk) -> Result<(), Nonsense> {
        let Some(place) = &mut self.place else { return Ok(()) };
        place.fetching = false;
        if place.fetches.front() == Some(&fetch) {
            place.fetches.pop_front();
        }
        match fetch {
            Fetch::Older { conv, before } => self.older_came(conv, before, page.messages),
            Fetch::Repair { conv } => self.repair_came(conv, page.messages),
        }
    }

    fn older_came(
        &mut self,
        conv: ConversationId,
        before: Seq,
        views: Vec<MessageView>,
    ) -> Result<(), Nonsense> {
        let is_below = views.last().is_none_or(|last| last.seq.0.checked_add(1) == Some(before.0));
        if !is_dense(&views) || !is_below {
            return Err(Nonsense::new("a history with holes"));
        }
        let Some(place) = &mut self.place else { return Ok(()) };
        let messages: Vec<_> = views.into_iter().map(|view| place.record(view)).collect();
        let received = messages.iter().rev().find(|message| !message.own);
        let reaches_end = newest(place, conv).0.checked_add(1) == Some(before.0);
        if let (Some(received), true) = (received, reaches_end) {
            place.received(conv, received.view.seq);
        }
        for message in &messages {
            self.effects.write(Write::Message(conv, message.clone()));
        }
        self.effects.update(Update::Older { conv, before, messages, loading: false });
        Ok(())
    }

    fn repair_came(
        &mut self,
        conv: ConversationId,
        views: Vec<MessageView>,
    ) -> Result<(), Nonsense> {
        let place = self.place.as_mut();
        let Some(mut gap) = place.and_then(|place| place.repairs.remove(&conv)) else {
            return Ok(());
        };
        let follows = views.first().is_some_and(|first| first.seq.0 == gap.after.0 + 1);
        if !is_dense(&views) || !follows {
            return Err(Nonsense::new("a history without what an event told of"));
        }
        for view in views {
            gap.after = view.seq;
            self.message_in_order(conv, view);
        }
        if let Some(place) = self.place.as_mut().filter(|_| gap.after < gap.upto) {
            place.repairs.insert(conv, gap);
            place.fetches.push_front(Fetch::Repair { conv });
        }
        Ok(())
    }

    pub(super) fn fetch_refused(&mut self, fetch: Fetch, error: &ErrorReply) {
        let now = self.instant();
        let Some(place) = &mut self.place else { return };
        place.fetching = false;
        let wait = |default| now + error.after_ms.map_or(default, Duration::from_millis);
        match error.retry {
            Retry::Never => {
                place.fetches.retain(|waiting| *waiting != fetch);
                match fetch {
                    Fetch::Older { conv, before } => self.effects.update(Update::Older {
                        conv,
                        before,
                        messages: Vec::new(),
                        loading: false,
                    }),
                    Fetch::Repair { conv } => {
                        place.repairs.remove(&conv);
                    }
                }
            }
            Retry::Auth => self.session_ended(SignedOut::Ended),
            Retry::Later | Retry::SameTxn => place.fetch_not_before = Some(wait(LATER)),
            Retry::Elsewhere => {
                place.fetch_not_before = Some(wait(SOON));
                self.scout();
            }
        }
    }
}

impl Place {
    /// A message as it is kept, from what a server shows of it.
    pub(super) fn record(&self, view: MessageView) -> MessageRecord {
        let own = self.is_me(view.from.as_deref());
        MessageRecord { view, own, copies: 0, of: 0 }
    }

    /// This device holds the other's messages up to `seq`.
    pub(super) fn received(&mut self, conv: ConversationId, seq: Seq) {
        if let Some(conversation) = self.conversations.get_mut(&conv) {
            conversation.received = conversation.received.max(seq);
            self.marks_due.insert(conv);
        }
    }
}

fn newest(place: &Place, conv: ConversationId) -> Seq {
    place.conversations.get(&conv).map_or(Seq(0), |conversation| conversation.record.last_seq)
}

fn is_dense(views: &[MessageView]) -> bool {
    let starts_well = views.first().is_none_or(|first| first.seq > Seq(0));
    starts_well && views.windows(2).all(|two| two[0].seq.0.checked_add(1) == Some(two[1].seq.0))
}

/// The messages that lie directly below `end`, without a hole between them.
fn dense_end(mut messages: Vec<MessageRecord>, end: Seq) -> Vec<MessageRecord> {
    let mut next = end.0;
    let below = messages.iter().rev().take_while(|message| {
        let follows = message.view.seq.0.checked_add(1) == Some(next);
        next = message.view.seq.0;
        follows
    });
    let kept = below.count();
    messages.split_off(messages.len() - kept)
}
