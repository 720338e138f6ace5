//! Screens and states as updates: what the tests look for, and what the pictures show.

use holdfast_common::client::{
    ConnectionState, Identity, MessageRecord, OutboxState, SessionState, SignedOut, Unread, Update,
};
use holdfast_common::ids::{ConversationId, Seq, ServerId};
use holdfast_common::protocol::{ErrorCode, ErrorReply, Target};

use super::*;

/// A day.
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// Nobody is signed in.
pub(crate) fn signed_out() -> Vec<Update> {
    vec![Update::Session(SessionState::SignedOut(SignedOut::ByPerson))]
}

/// A conversation between two people, with all that can stand in one.
pub(crate) fn talk() -> Vec<MessageRecord> {
    let at = |minutes_ago: u64| NOW_MS - minutes_ago * MINUTE_MS;
    let mut messages = vec![
        message(1, false, "Morning! Did the new servers arrive?", at(60 * 26)),
        message(2, true, "They did. All three are in the rack, one in each room.", at(60 * 26 - 2)),
        message(
            3,
            true,
            "I pulled the plug of the first one while you were writing this.",
            at(60 * 26 - 3),
        ),
        message(4, false, "And I did not notice \u{1f44c}", at(60 * 25)),
        message(
            5,
            false,
            "Here is what I read about it: https://example.org/why-three",
            at(60 * 25 - 1),
        ),
        message(6, true, "この町の図書館は日曜日も開いています。", at(70)),
        message(7, false, "素晴らしい！ 谢谢你。감사합니다.", at(68)),
        message(
            8,
            true,
            "Endless: Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenverordnung",
            at(40),
        ),
        message(9, false, "See you at five?\n\n- bring the cable\n- and the labels", at(12)),
        message(10, true, "Yes.", at(4)),
        message(11, true, "I will be there a little earlier", at(3)),
    ];
    messages[4].view.edited = Some(at(60 * 24));
    messages
}

/// Six people have written; bob's chat has the talk.
pub(crate) fn inbox() -> Vec<Update> {
    let mut updates = signed_in();
    let talk = talk();
    let mut bob = conversation(1, "bob", talk.last().expect("it has messages").clone());
    (bob.peer_read, bob.peer_delivered) = (Seq(10), Seq(10));
    updates.push(Update::Conversation(bob));
    let others = [
        ("mary_ann.smith", "Could you look at the draft once more before it goes out?", 8, 2),
        ("佐藤", "明日の朝に話しましょう。", 95, 0),
        ("jean-luc", "Message received, thank you", 60 * 5, 0),
        ("nadia", "\u{1f389}\u{1f389}\u{1f389}", 60 * 30, 12),
        ("oleg", "ok", 60 * 24 * 4, 0),
        (
            "a_very_long_name_that_goes_on_on",
            "The list is at the end of a very long preview which does not fit",
            60 * 24 * 40,
            1,
        ),
    ];
    for (number, (name, text, minutes_ago, unread)) in (2_u64..).zip(others) {
        let last = message(30, false, text, NOW_MS - minutes_ago * MINUTE_MS);
        let mut record = conversation(number, name, last);
        let above = (31 - unread..=30).map(Seq).collect();
        record.unread = Unread { above, ..Unread::default() };
        updates.push(Update::Conversation(record));
    }
    updates.push(Update::Draft(
        Target::Conversation(ConversationId(4)),
        "I think we should".to_owned(),
    ));
    updates.push(Update::Listed);
    updates
}

/// bob's chat, open.
pub(crate) fn chat() -> Vec<Update> {
    let mut updates = inbox();
    updates.insert(0, Update::Interface("open".to_owned(), open_bob()));
    updates.push(Update::Opened { conv: ConversationId(1), messages: talk(), loading: false });
    updates
}

/// What the window keeps of the open chat.
fn open_bob() -> String {
    serde_json::to_string(&Target::Conversation(ConversationId(1))).expect("plain data")
}

/// Own messages in every state.
pub(crate) fn states() -> Vec<Update> {
    let mut updates = chat();
    let bob = || Target::Conversation(ConversationId(1));
    let sent = OutboxState::Sent { since_ms: NOW_MS - 2_000 };
    let long = OutboxState::Sent { since_ms: NOW_MS - 9_000 };
    let refused = OutboxState::Refused(ErrorReply::new(ErrorCode::InvalidText));
    updates.push(Update::Copies { conv: ConversationId(1), seq: Seq(11), copies: 1, of: 3 });
    updates.push(cluster(1));
    updates.push(outgoing(1, bob(), "On its way", sent));
    updates.push(outgoing(2, bob(), "On its way for long", long));
    updates.push(outgoing(3, bob(), "Waiting in the outbox", OutboxState::Waiting));
    updates.push(outgoing(4, bob(), "Refused", refused));
    updates.push(outgoing(5, bob(), "Nobody knows", OutboxState::Stale));
    updates
}

/// No server answers, and two messages wait.
pub(crate) fn offline() -> Vec<Update> {
    let mut updates = chat();
    updates.push(Update::Connection(ConnectionState::NotConnected {
        since_ms: NOW_MS - 7 * MINUTE_MS,
        next_try_ms: Some(NOW_MS + 4_000),
        tried: Vec::new(),
    }));
    let bob = || Target::Conversation(ConversationId(1));
    updates.push(outgoing(1, bob(), "Are you there?", OutboxState::Waiting));
    updates.push(outgoing(2, bob(), "I will come anyway.", OutboxState::Waiting));
    updates
}

/// A server stopped answering a while ago.
pub(crate) fn switching() -> Vec<Update> {
    let mut updates = chat();
    updates.push(Update::Connection(ConnectionState::Switching {
        from: ServerId(1),
        since_ms: NOW_MS - 1_500,
    }));
    updates
}

/// A first contact.
pub(crate) fn first_contact() -> Vec<Update> {
    let mut updates = signed_out();
    updates.push(Update::Connection(ConnectionState::Unconfirmed {
        address: "192.0.2.7:8091".to_owned(),
        identity: Identity::Cluster([0x5a; 32]),
    }));
    updates
}

/// A known cluster shows another key.
pub(crate) fn changed_key() -> Vec<Update> {
    let mut updates = signed_out();
    updates.push(Update::Connection(ConnectionState::IdentityChanged {
        address: "192.0.2.7:8091".to_owned(),
        pinned: Identity::Cluster([0x5a; 32]),
        presented: Identity::Cluster([0xc3; 32]),
    }));
    updates
}

/// A new account: no chats yet.
pub(crate) fn nothing_yet() -> Vec<Update> {
    let mut updates = signed_in();
    updates.push(Update::Listed);
    updates
}

/// Three hundred chats.
pub(crate) fn many_chats() -> Vec<Update> {
    let mut updates = signed_in();
    for number in 1..=300 {
        let last = message(5, number % 2 == 0, "See you tomorrow", NOW_MS - number * DAY_MS / 20);
        let name = format!("person-{number:03}");
        updates.push(Update::Conversation(conversation(number, &name, last)));
    }
    updates.push(Update::Listed);
    updates
}

/// bob's chat, open, with this many messages: each hundredth is the word "Été", others are not.
pub(crate) fn long_chat(from: u64, count: u64) -> Vec<Update> {
    let mut updates = signed_in();
    let messages: Vec<_> = long(from, from + count - 1);
    updates.insert(0, Update::Interface("open".to_owned(), open_bob()));
    let last = messages.last().expect("it has messages").clone();
    updates.push(Update::Conversation(conversation(1, "bob", last)));
    updates.push(Update::Listed);
    updates.push(Update::Opened { conv: ConversationId(1), messages, loading: false });
    updates
}

/// Messages of [`long_chat`].
pub(crate) fn long(from: u64, upto: u64) -> Vec<MessageRecord> {
    let text = |seq| match seq % 100 {
        0 => format!("\u{c9}t\u{e9} {seq}"),
        _ => format!("line {seq}"),
    };
    let record = |seq| message(seq, seq % 3 == 0, &text(seq), NOW_MS - (upto - seq) * MINUTE_MS);
    (from..=upto).map(record).collect()
}

/// bob's chat, of which the beginning is not loaded.
pub(crate) fn older_chat() -> Vec<Update> {
    let mut updates = chat();
    let messages = talk().split_off(3);
    updates.push(Update::Opened { conv: ConversationId(1), messages, loading: false });
    updates
}
