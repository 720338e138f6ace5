//! Telling the server what has been received and read.
//!
//! Owns: nothing; clocks and marks are in the conversations. Driven by: `pump` and `reply`.
//! Invariants: at most one mark of a kind a second a conversation; a mark that the server does not
//! know is told on the next link; "received" is told only of messages that this device holds,
//! without a gap below.

use std::time::Duration;

use super::Engine;
use super::asks::{LATER, SOON};
use super::link::Purpose;
use crate::client::SignedOut;
use crate::ids::{ConversationId, Seq};
use crate::protocol::{ErrorReply, Mark, Request, Retry};

/// The protocol asks for no more than one of a kind a second.
const INTERVAL: Duration = Duration::from_secs(1);

impl Engine {
    pub(super) fn pump_marks(&mut self) {
        let now = self.instant();
        let due = match &mut self.place {
            Some(place) if !place.marks_due.is_empty() => std::mem::take(&mut place.marks_due),
            _ => return,
        };
        let mut left = due.clone();
        for conv in due {
            let Some(place) = &mut self.place else { return };
            let Some(conversation) = place.conversations.get_mut(&conv) else {
                left.remove(&conv);
                continue;
            };
            if !conversation.has_marks_to_tell() {
                left.remove(&conv);
                continue;
            }
            let (record, received) = (&conversation.record, conversation.received);
            let reads = record.read > record.read_told && conversation.read_mark.is_free(now);
            let receives =
                received > record.delivered_told && conversation.delivered_mark.is_free(now);
            let read = record.read;
            if receives && self.has_room() {
                self.mark_sent(conv, false);
                let mark = Mark { conv, upto: received };
                self.request(Purpose::Delivered(conv, received), &Request::Delivered(mark));
            }
            if reads && self.has_room() {
                self.mark_sent(conv, true);
                let mark = Mark { conv, upto: read };
                self.request(Purpose::Read(conv, read), &Request::Read(mark));
            }
        }
        if let Some(place) = &mut self.place {
            place.marks_due = left;
        }
    }

    fn mark_sent(&mut self, conv: ConversationId, is_read: bool) {
        let next = self.instant() + INTERVAL;
        let conversation = self.place.as_mut().and_then(|p| p.conversations.get_mut(&conv));
        if let Some(conversation) = conversation {
            let clock = match is_read {
                true => &mut conversation.read_mark,
                false => &mut conversation.delivered_mark,
            };
            clock.under_way = true;
            clock.not_before = Some(next);
        }
    }

    pub(super) fn mark_answered(
        &mut self,
        (conv, upto): (ConversationId, Seq),
        is_read: bool,
        outcome: Result<(), ErrorReply>,
    ) {
        let now = self.instant();
        let Some(place) = &mut self.place else { return };
        let Some(conversation) = place.conversations.get_mut(&conv) else { return };
        let (clock, told) = match is_read {
            true => (&mut conversation.read_mark, &mut conversation.record.read_told),
            false => (&mut conversation.delivered_mark, &mut conversation.record.delivered_told),
        };
        clock.under_way = false;
        match outcome {
            Err(error) if error.retry == Retry::Auth => self.session_ended(SignedOut::Ended),
            Err(error) if error.retry != Retry::Never => {
                let default = if error.retry == Retry::Later { LATER } else { SOON };
                let wait = error.after_ms.map_or(default, Duration::from_millis);
                clock.not_before = Some(now + wait);
                if error.retry == Retry::Elsewhere {
                    self.scout();
                }
            }
            // Done, or refused for ever: either way there is nothing more to tell up to here.
            Ok(()) | Err(_) => {
                *told = (*told).max(upto);
                place.touch(conv);
            }
        }
    }
}
