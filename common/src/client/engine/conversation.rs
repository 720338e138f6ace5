//! One conversation: its row in the list, and the rules by which marks and unread move.
//!
//! Owns: the record, and which marks are under way. Driven by: events, listings, histories and the
//! person's marks. Invariants: marks only move forward; unread is what the server counted up to a
//! number plus the messages above it, and where that can no longer be known exactly it says so.

use std::time::Instant;

use crate::client::{ConversationRecord, MessageRecord, Unread};
use crate::ids::{ConversationId, Seq};
use crate::protocol::{ConversationView, MessageView, PREVIEW_BYTES_MAX};

#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) record: ConversationRecord,
    /// The newest message of the other that this device has received.
    pub(super) received: Seq,
    /// The newest message that was told of in this life. A cursor that was held back brings events
    /// again, and what was told is not told twice.
    pub(super) told: Seq,
    pub(super) read_mark: MarkClock,
    pub(super) delivered_mark: MarkClock,
}

/// When a kind of mark may be sent again.
#[derive(Debug, Default)]
pub(super) struct MarkClock {
    pub(super) under_way: bool,
    pub(super) not_before: Option<Instant>,
}

impl MarkClock {
    pub(super) fn is_free(&self, now: Instant) -> bool {
        !self.under_way && self.not_before.is_none_or(|due| due <= now)
    }
}

/// What became of the number of unread messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Count {
    Known,
    /// Only the server can say: it is asked.
    Unsure,
}

impl Conversation {
    pub(super) fn new(record: ConversationRecord) -> Conversation {
        Conversation {
            received: record.delivered_told,
            told: Seq(0),
            record,
            read_mark: MarkClock::default(),
            delivered_mark: MarkClock::default(),
        }
    }

    /// Takes note that a message is told of now; says whether it was before.
    pub(super) fn is_told(&mut self, seq: Seq) -> bool {
        let was = seq <= self.told;
        self.told = self.told.max(seq);
        was
    }

    /// A conversation that an event told of, whose messages below `next` are not known.
    pub(super) fn unlisted(conv: ConversationId, with: Option<String>, next: Seq) -> Conversation {
        let last_seq = Seq(next.0.saturating_sub(1));
        Conversation::new(ConversationRecord {
            conv,
            with,
            last_seq,
            last: None,
            read: Seq(0),
            read_told: Seq(0),
            delivered_told: Seq(0),
            peer_read: Seq(0),
            peer_delivered: Seq(0),
            unread: Unread {
                counted_upto: last_seq,
                counted: 0,
                above: Vec::new(),
                is_unsure: false,
            },
        })
    }

    /// What the server shows of it. It may be newer than the events so far, or older.
    pub(super) fn listed(&mut self, view: &ConversationView, own: bool) -> Count {
        let record = &mut self.record;
        record.with = view.with.clone();
        if view.last_seq >= record.last_seq && view.last_seq > Seq(0) {
            record.last_seq = view.last_seq;
            record.last = Some(MessageRecord {
                view: MessageView {
                    seq: view.last.seq,
                    from: view.last.from.clone(),
                    text: view.last.text.clone(),
                    ts: view.last.ts,
                    edited: None,
                    deleted: view.last.deleted,
                },
                own,
                copies: 0,
                of: 0,
            });
        }
        record.peer_read = record.peer_read.max(view.peer_read);
        record.peer_delivered = record.peer_delivered.max(view.peer_delivered);
        record.read_told = record.read_told.max(view.read);
        record.unread.counted_upto = view.last_seq;
        record.unread.counted = view.unread;
        record.unread.is_unsure = false;
        record.unread.above.retain(|seq| *seq > view.last_seq);
        if record.read <= view.read {
            record.read = view.read;
            return Count::Known;
        }
        // The server counted from another mark than the person's.
        self.recount()
    }

    /// The next message in order.
    pub(super) fn message(&mut self, message: &MessageRecord) {
        let record = &mut self.record;
        let seq = message.view.seq;
        record.last_seq = seq;
        record.last = Some(preview(message));
        if message.own {
            return;
        }
        self.received = self.received.max(seq);
        if !message.view.deleted && seq > record.read && seq > record.unread.counted_upto {
            record.unread.above.push(seq);
        }
    }

    pub(super) fn read_upto(&mut self, upto: Seq) -> Count {
        if upto <= self.record.read {
            return Count::Known;
        }
        self.record.read = upto;
        self.recount()
    }

    fn recount(&mut self) -> Count {
        let (read, unread) = (self.record.read, &mut self.record.unread);
        unread.above.retain(|seq| *seq > read);
        unread.counted = unread.counted.min(unread.counted_upto.0.saturating_sub(read.0));
        if unread.counted == 0 { Count::Known } else { Count::Unsure }
    }

    pub(super) fn peer_read(&mut self, upto: Seq) {
        self.record.peer_read = self.record.peer_read.max(upto);
        self.peer_delivered(upto);
    }

    pub(super) fn peer_delivered(&mut self, upto: Seq) {
        self.record.peer_delivered = self.record.peer_delivered.max(upto);
    }

    pub(super) fn edited(&mut self, seq: Seq, text: &str, ts: u64) {
        if let Some(last) = self.record.last.as_mut().filter(|last| last.view.seq == seq)
            && !last.view.deleted
        {
            last.view.text = cut(text).to_owned();
            last.view.edited = Some(ts);
        }
    }

    pub(super) fn deleted(&mut self, seq: Seq) -> Count {
        if let Some(last) = self.record.last.as_mut().filter(|last| last.view.seq == seq) {
            last.view.text = String::new();
            last.view.deleted = true;
        }
        let unread = &mut self.record.unread;
        let before = unread.above.len();
        unread.above.retain(|above| *above != seq);
        let was_counted = seq > self.record.read && seq <= unread.counted_upto;
        if before == unread.above.len() && was_counted && unread.counted > 0 {
            return Count::Unsure;
        }
        Count::Known
    }

    /// The other account is gone, with everything that it wrote.
    pub(super) fn gone(&mut self) {
        let record = &mut self.record;
        record.with = None;
        record.unread.counted = 0;
        record.unread.above = Vec::new();
        if let Some(last) = record.last.as_mut().filter(|last| !last.own) {
            last.view.from = None;
            last.view.text = String::new();
            last.view.deleted = true;
        }
    }

    pub(super) fn has_marks_to_tell(&self) -> bool {
        self.record.read > self.record.read_told || self.received > self.record.delivered_told
    }

    pub(super) fn marks_lost(&mut self) {
        self.read_mark = MarkClock::default();
        self.delivered_mark = MarkClock::default();
    }

    pub(super) fn marks_deadline(&self) -> Option<Instant> {
        let read = self.record.read > self.record.read_told && !self.read_mark.under_way;
        let received = self.received > self.record.delivered_told && !self.delivered_mark.under_way;
        let read = self.read_mark.not_before.filter(|_| read);
        read.into_iter().chain(self.delivered_mark.not_before.filter(|_| received)).min()
    }
}

/// A message for the list: its text cut as the server cuts it.
fn preview(message: &MessageRecord) -> MessageRecord {
    let view = &message.view;
    MessageRecord {
        view: MessageView {
            seq: view.seq,
            from: view.from.clone(),
            text: cut(&view.text).to_owned(),
            ts: view.ts,
            edited: view.edited,
            deleted: view.deleted,
        },
        own: message.own,
        copies: message.copies,
        of: message.of,
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(PREVIEW_BYTES_MAX)]
}
