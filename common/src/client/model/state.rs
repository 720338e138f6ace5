//! What became of an own message.

use crate::client::{ConversationRecord, MessageRecord, OutboxItem, OutboxState};
use crate::protocol::{ErrorReply, Status};

/// The state of an own message, as a server said it; the order is that in which a message goes
/// through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnState {
    /// In the outbox: not on the wire.
    Waiting,
    /// On the wire, without an answer.
    Sending {
        /// Since when, milliseconds since the Unix epoch.
        since_ms: u64,
    },
    /// Stored. It rises when servers return; 0 of 0 where nobody has said yet how many hold it.
    Stored {
        /// On how many servers.
        copies: u32,
        /// Of how many.
        of: u32,
    },
    /// A device of the other has it.
    Delivered,
    /// The other has read it.
    Read,
    /// Refused, and why.
    Refused(ErrorReply),
    /// Without an answer for so long that only the person may repeat it.
    Stale,
}

impl OwnState {
    /// The state of an item that is still in the outbox.
    pub fn of_item(item: &OutboxItem) -> OwnState {
        match &item.state {
            OutboxState::Waiting => OwnState::Waiting,
            OutboxState::Sent { since_ms } => OwnState::Sending { since_ms: *since_ms },
            OutboxState::Refused(error) => OwnState::Refused(error.clone()),
            OutboxState::Stale => OwnState::Stale,
        }
    }

    /// The state of an own message that a server has stored. Its copies are the larger of what its
    /// acknowledgement said and how many servers are in sync now: each of these holds everything
    /// acknowledged.
    pub fn of_message(
        message: &MessageRecord,
        conversation: &ConversationRecord,
        cluster: Option<&Status>,
    ) -> OwnState {
        let seq = message.view.seq;
        if seq <= conversation.peer_read {
            OwnState::Read
        } else if seq <= conversation.peer_delivered {
            OwnState::Delivered
        } else {
            let (in_sync, of) = cluster.map_or((0, 0), |cluster| (cluster.in_sync, cluster.of));
            let of = if of == 0 { message.of } else { of };
            OwnState::Stored { copies: message.copies.max(in_sync).min(of), of }
        }
    }
}
