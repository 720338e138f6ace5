//! Durable events: what happened to the account, in order.
//!
//! Owns: nothing; what they change is in the place. Driven by: `link`. Invariants: every event may
//! come twice and changes nothing the second time; a message is taken only when every one below it
//! is known, and until then its history is asked; a mark never goes beyond the messages that are
//! known.

use super::conversation::{Conversation, Count};
use super::{Engine, Nonsense};
use crate::client::{Update, Write};
use crate::ids::{ConversationId, Cursor, Seq};
use crate::protocol::{Durable, MarkEvent, MessageView, MsgEvent, SendOk};

impl Engine {
    pub(super) fn event(&mut self, event: Durable, cur: Cursor) -> Result<(), Nonsense> {
        match event {
            Durable::Msg(msg) => self.message_came(msg)?,
            Durable::Read(mark) => self.mark_came(&mark, true),
            Durable::Delivered(mark) => self.mark_came(&mark, false),
            Durable::Edited(edited) => {
                self.text_changed(edited.conv, edited.seq, edited.text, edited.ts);
            }
            Durable::Deleted(deleted) => self.message_deleted(deleted.conv, deleted.seq),
            Durable::Gone(gone) => self.peer_gone(gone.conv),
        }
        if let Some(place) = &mut self.place {
            place.seen = Some(cur);
        }
        Ok(())
    }

    fn message_came(&mut self, msg: MsgEvent) -> Result<(), Nonsense> {
        let Some(place) = &mut self.place else { return Ok(()) };
        let (conv, seq) = (msg.conv, msg.seq);
        if seq == Seq(0) {
            return Err(Nonsense::new("a message without a number"));
        }
        if let Some(txn) = msg.txn {
            let (copies, of, dup) = (0, 0, false);
            let ok = SendOk { conv, seq, ts: msg.ts, copies, of, dup };
            place.outbox.confirm(txn, ok, &mut self.effects);
        }
        let mut count = Count::Known;
        let conversation = place.conversations.entry(conv).or_insert_with(|| {
            count = if seq == Seq(1) { Count::Known } else { Count::Unsure };
            Conversation::unlisted(conv, msg.with.clone(), seq)
        });
        let is_renamed = conversation.record.with != msg.with;
        conversation.record.with.clone_from(&msg.with);
        place.name_known(conv, msg.with.as_deref());
        if is_renamed {
            place.touch(conv);
        }
        place.note(conv, count);
        self.message_in_order(
            conv,
            MessageView {
                seq,
                from: msg.from,
                text: msg.text,
                ts: msg.ts,
                edited: None,
                deleted: msg.deleted,
            },
        );
        Ok(())
    }

    /// Takes a message if every one below it is known; otherwise these are asked for first.
    pub(super) fn message_in_order(&mut self, conv: ConversationId, view: MessageView) {
        let Some(place) = &mut self.place else { return };
        let Some(conversation) = place.conversations.get_mut(&conv) else { return };
        let (seq, last_seq) = (view.seq, conversation.record.last_seq);
        if seq.0 > last_seq.0.saturating_add(1) {
            return self.repair(conv, seq);
        }
        let message = place.record(view);
        let acknowledged = place.acknowledged.remove(&(conv, seq));
        if seq > last_seq
            && let Some(conversation) = place.conversations.get_mut(&conv)
        {
            conversation.message(&message);
            if conversation.has_marks_to_tell() {
                place.marks_due.insert(conv);
            }
            place.touch(conv);
        } else if !message.own {
            // It is in the list already; now this device holds it too.
            place.received(conv, seq);
        }
        let is_again = place
            .conversations
            .get_mut(&conv)
            .is_some_and(|conversation| conversation.is_told(seq));
        if message.view.deleted || !(acknowledged || is_again) {
            self.effects.write(Write::Message(conv, message.clone()));
            self.effects.update(Update::Message(conv, message));
        }
    }

    fn mark_came(&mut self, mark: &MarkEvent, is_read: bool) {
        let Some(place) = &mut self.place else { return };
        let is_mine = place.is_me(mark.user.as_deref());
        let Some(conversation) = place.conversations.get_mut(&mark.conv) else { return };
        let with = conversation.record.with.as_deref();
        let with_myself =
            with.is_some_and(|with| crate::protocol::fold_name(with) == place.key.user);
        let upto = mark.upto.min(conversation.record.last_seq);
        let mut count = Count::Known;
        if is_mine && is_read {
            conversation.record.read_told = conversation.record.read_told.max(upto);
            count = conversation.read_upto(upto);
        } else if is_mine {
            let told = &mut conversation.record.delivered_told;
            *told = (*told).max(upto);
        }
        if (!is_mine || with_myself) && is_read {
            conversation.peer_read(upto);
        } else if !is_mine || with_myself {
            conversation.peer_delivered(upto);
        }
        // A mark on messages that are still to come: the server's list will say.
        let is_ahead = upto < mark.upto;
        place.note(mark.conv, if is_ahead { Count::Unsure } else { count });
        place.touch(mark.conv);
    }

    pub(super) fn text_changed(&mut self, conv: ConversationId, seq: Seq, text: String, ts: u64) {
        let Some(place) = &mut self.place else { return };
        let Some(conversation) = place.conversations.get_mut(&conv) else { return };
        conversation.edited(seq, &text, ts);
        place.touch(conv);
        self.effects.write(Write::Edited { conv, seq, text: text.clone(), ts });
        self.effects.update(Update::Edited { conv, seq, text, ts });
    }

    pub(super) fn message_deleted(&mut self, conv: ConversationId, seq: Seq) {
        let Some(place) = &mut self.place else { return };
        let Some(conversation) = place.conversations.get_mut(&conv) else { return };
        let count = conversation.deleted(seq);
        place.note(conv, count);
        place.touch(conv);
        self.effects.write(Write::Deleted(conv, seq));
        self.effects.update(Update::Deleted(conv, seq));
    }

    fn peer_gone(&mut self, conv: ConversationId) {
        let Some(place) = &mut self.place else { return };
        let Some(conversation) = place.conversations.get_mut(&conv) else { return };
        conversation.gone();
        place.by_name.retain(|_, known| *known != conv);
        place.touch(conv);
        self.effects.write(Write::PeerGone(conv));
        self.effects.update(Update::PeerGone(conv));
    }
}
