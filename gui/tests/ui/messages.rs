//! The messages of a chat: their states, what stands between them, and where they stand.

use holdfast_common::client::{OutboxState, Unread};
use holdfast_common::ids::Seq;

use super::*;

const CONV: ConversationId = ConversationId(1);

#[test]
fn each_state_of_an_own_message_has_its_words() {
    let (stage, mut harness) = shown(scenes::states());
    let refused = harness.query_all_by_label_contains("Not sent: ");
    assert!(refused.count() > 0);
    harness.get_by_label_contains("Nobody can say whether this was sent");
    let mut own = stage::message(12, true, "In haste", stage::NOW_MS);
    own.copies = 1;
    stage.feed([Update::Message(CONV, own)]);
    harness.run_steps(3);
    harness.get_by_label_contains("In haste. Stored on 1 of 3 servers.");
    for copies in [2, 3] {
        stage.feed([stage::cluster(copies)]);
        harness.run_steps(3);
        let words = format!("In haste. Stored on {copies} of 3 servers.");
        harness.get_by_label_contains(&words);
    }
    let last = scenes::talk().pop().expect("it has messages");
    let mut record = stage::conversation(1, "bob", last);
    (record.peer_read, record.peer_delivered) = (Seq(10), Seq(12));
    stage.feed([Update::Conversation(record)]);
    harness.run_steps(3);
    harness.get_by_label_contains("In haste. Reached a device.");
}

#[test]
fn days_are_named() {
    let (_stage, harness) = shown(scenes::chat());
    harness.get_by_label("Today");
}

/// bob's chat with unread messages from this one on.
fn unread_from(seq: u64, count: u64) -> Vec<Update> {
    let mut updates = scenes::long_chat(1, count);
    let last = scenes::long(1, count).pop().expect("it has messages");
    let mut record = stage::conversation(1, "bob", last);
    record.read = Seq(seq - 1);
    record.unread = Unread { above: vec![Seq(seq)], ..Unread::default() };
    updates.insert(1, Update::Conversation(record.clone()));
    updates.retain(|update| !matches!(update, Update::Conversation(r) if r.read > record.read));
    updates
}

#[test]
fn it_opens_at_the_first_unread_message_below_a_line_and_reads_nothing_unseen() {
    let (stage, mut harness) = shown(unread_from(200, 300));
    let line = harness.get_by_label("New messages").rect();
    assert!(line.top() < 120.0, "{line:?}");
    harness.get_by_label_contains("\u{c9}t\u{e9} 200");
    let reads = |command: &Command| matches!(command, Command::MarkRead { .. });
    assert!(!stage.take().iter().any(reads), "the newest is not seen");
    press(&mut harness, Modifiers::COMMAND, Key::End);
    assert!(stage.take().contains(&Command::MarkRead { conv: CONV, upto: Seq(300) }));
}

#[test]
fn what_comes_while_one_reads_above_is_counted_and_moves_nothing() {
    let (stage, mut harness) = shown(scenes::long_chat(1, 300));
    press(&mut harness, Modifiers::NONE, Key::PageUp);
    let seen = |harness: &Shown| {
        let found = harness.query_all_by_label_contains("line 28");
        found.map(|node| node.rect().top()).collect::<Vec<_>>()
    };
    let before = seen(&harness);
    let message = |seq| stage::message(seq, false, "a new one", stage::NOW_MS);
    stage.feed([Update::Message(CONV, message(301)), Update::Message(CONV, message(302))]);
    harness.run_steps(3);
    assert_eq!(seen(&harness), before);
    harness.get_by_label("2 new below").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("2 new below").is_none());
}

#[test]
fn older_messages_come_in_above_without_a_jump() {
    let (stage, mut harness) = shown(scenes::long_chat(101, 60));
    for _ in 0..6 {
        press(&mut harness, Modifiers::NONE, Key::PageUp);
    }
    assert!(stage.take().contains(&Command::LoadOlder { conv: CONV, before: Seq(101) }));
    let top = harness.get_by_label_contains("line 103").rect().top();
    let messages = scenes::long(1, 100);
    stage.feed([Update::Older { conv: CONV, before: Seq(101), messages, loading: false }]);
    harness.run_steps(3);
    let now = harness.get_by_label_contains("line 103").rect().top();
    assert!((now - top).abs() < 60.0, "at most the day's chip moves: {top} {now}");
}

#[test]
fn deleting_for_both_asks_first() {
    let (stage, mut harness) = shown(scenes::chat());
    press(&mut harness, Modifiers::SHIFT, Key::F6);
    press(&mut harness, Modifiers::NONE, Key::Menu);
    stage.take();
    harness.get_by_label("Delete for both").click();
    harness.run_steps(4);
    harness.get_by_label_contains("cannot be undone");
    assert_eq!(stage.take(), [], "nothing is done yet");
    harness.get_by_label("Delete for both").click();
    harness.run_steps(4);
    assert!(matches!(stage.take()[..], [Command::Delete { .. }]));
}

#[test]
fn details_tell_date_copies_and_place() {
    let (_stage, mut harness) = shown(scenes::chat());
    press(&mut harness, Modifiers::SHIFT, Key::F6);
    press(&mut harness, Modifiers::NONE, Key::Menu);
    harness.get_by_label("Details").click();
    harness.run_steps(4);
    harness.get_by_label("Monday, 23 November 2026, 14:00:00");
    harness.get_by_label("Stored on 3 of 3 servers");
    harness.get_by_label("number 11");
}

#[test]
fn a_refused_message_can_be_tried_again_or_discarded() {
    let mut updates = scenes::chat();
    let refused = OutboxState::Refused(ErrorReply::new(ErrorCode::InvalidText));
    updates.push(stage::outgoing(1, Target::Conversation(CONV), "this one", refused));
    let (stage, mut harness) = shown(updates);
    for (label, wanted) in [
        ("Try again", Command::Retry(holdfast_common::ids::Txn([1; 16]))),
        ("Discard", Command::Discard(holdfast_common::ids::Txn([1; 16]))),
    ] {
        press(&mut harness, Modifiers::SHIFT, Key::F6);
        press(&mut harness, Modifiers::NONE, Key::Menu);
        harness.get_by_label(label).click();
        harness.run_steps(4);
        assert!(stage.take().contains(&wanted), "{label}");
        press(&mut harness, Modifiers::NONE, Key::Escape);
    }
}
