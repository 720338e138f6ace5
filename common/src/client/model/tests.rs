use super::*;
use crate::client::{MessageRecord, OutboxState, Unread, Work};
use crate::ids::{Seq, ServerId, Txn};
use crate::protocol::{ErrorCode, ErrorReply, MessageView, Role};

const C1: ConversationId = ConversationId(1);
const BOB: &str = "Bob";

fn message(seq: u64, own: bool) -> MessageRecord {
    let from = Some(if own { "alice" } else { BOB }.to_owned());
    let text = format!("message {seq}");
    let ts = 1_000 * seq;
    let view = MessageView { seq: Seq(seq), from, text, ts, edited: None, deleted: false };
    MessageRecord { view, own, copies: 0, of: 0 }
}

fn conversation(conv: ConversationId, with: &str, last: u64) -> ConversationRecord {
    ConversationRecord {
        conv,
        with: Some(with.to_owned()),
        last_seq: Seq(last),
        last: Some(message(last, false)),
        read: Seq(0),
        read_told: Seq(0),
        delivered_told: Seq(0),
        peer_read: Seq(0),
        peer_delivered: Seq(0),
        unread: Unread::default(),
    }
}

fn item(number: u8, work: Work, state: OutboxState) -> OutboxItem {
    let txn = Txn([number; 16]);
    OutboxItem { txn, number: u64::from(number), created_ms: 50_000, work, state }
}

fn send(to: &str, text: &str) -> Work {
    Work::Send { to: Target::User(to.to_owned()), text: text.to_owned() }
}

fn cluster(in_sync: u32) -> Update {
    Update::Cluster(Status {
        server: ServerId(1),
        role: Role::Primary,
        primary: Some(ServerId(1)),
        ballot: "1".to_owned(),
        in_sync,
        of: 3,
        writable: true,
        waiting: None,
        servers: Vec::new(),
        diverged: 0,
    })
}

fn model(updates: impl IntoIterator<Item = Update>) -> Model {
    let mut model = Model::default();
    for update in updates {
        model.apply(update);
    }
    model
}

fn opened(messages: Vec<MessageRecord>) -> Update {
    Update::Opened { conv: C1, messages, loading: false }
}

#[test]
fn copies_rise_when_servers_return_and_never_fall_below_the_acknowledgement() {
    let own = MessageRecord { copies: 2, of: 3, ..message(5, true) };
    let mut model = model([Update::Conversation(conversation(C1, BOB, 5)), cluster(1)]);
    let stored = |copies| Some(OwnState::Stored { copies, of: 3 });
    assert_eq!(model.own_state(C1, &own), stored(2), "what the acknowledgement said");
    model.apply(cluster(3));
    assert_eq!(model.own_state(C1, &own), stored(3));
    model.apply(cluster(1));
    assert_eq!(model.own_state(C1, &own), stored(2));
    assert_eq!(model.degraded(), Some((1, 3)));
    assert_eq!(model.own_state(C1, &message(4, false)), None, "those of others have no state");
}

#[test]
fn without_a_word_of_any_server_nobody_claims_a_copy() {
    let model = model([Update::Conversation(conversation(C1, BOB, 5))]);
    let state = model.own_state(C1, &message(5, true));
    assert_eq!(state, Some(OwnState::Stored { copies: 0, of: 0 }));
}

#[test]
fn marks_of_the_other_turn_stored_into_delivered_and_read() {
    let mut record = conversation(C1, BOB, 9);
    record.peer_delivered = Seq(8);
    record.peer_read = Seq(7);
    let model = model([Update::Conversation(record), cluster(3)]);
    assert_eq!(model.own_state(C1, &message(7, true)), Some(OwnState::Read));
    assert_eq!(model.own_state(C1, &message(8, true)), Some(OwnState::Delivered));
    let stored = Some(OwnState::Stored { copies: 3, of: 3 });
    assert_eq!(model.own_state(C1, &message(9, true)), stored);
}

#[test]
fn rows_are_sorted_by_activity_and_what_waits_counts_as_activity() {
    let c2 = ConversationId(2);
    let mut model = model([
        Update::Conversation(conversation(C1, BOB, 5)),
        Update::Conversation(conversation(c2, "carol", 9)),
    ]);
    let order = |model: &Model| -> Vec<Option<String>> {
        model.rows().iter().map(|row| row.with.map(str::to_owned)).collect()
    };
    let names = |names: &[&str]| -> Vec<Option<String>> {
        names.iter().map(|name| Some((*name).to_owned())).collect()
    };
    assert_eq!(order(&model), names(&["carol", BOB]));
    model.apply(Update::Outbox(item(1, send("bob", "hello"), OutboxState::Waiting)));
    assert_eq!(order(&model), names(&[BOB, "carol"]), "the name leads to the conversation");
    assert_eq!(model.rows()[0].preview, Preview::Outgoing("hello", OwnState::Waiting));
    model.apply(Update::Outbox(item(2, send("Dora", "new"), OutboxState::Waiting)));
    assert_eq!(model.rows().len(), 3, "somebody without a conversation has a row too");
    assert!(order(&model).contains(&Some("Dora".to_owned())), "as it was typed");
}

#[test]
fn an_outbox_message_stands_behind_the_timeline_until_its_message_is_there() {
    let mut model = model([
        Update::Conversation(conversation(C1, BOB, 5)),
        opened(vec![message(4, true), message(5, false)]),
        Update::Outbox(item(1, send(BOB, "six"), OutboxState::Sent { since_ms: 9 })),
    ]);
    let to = Target::User("bob".to_owned());
    let entries = model.entries(&to);
    assert_eq!(entries.len(), 3);
    assert!(matches!(
        entries[2],
        Entry::Outgoing { text: "six", state: OwnState::Sending { since_ms: 9 }, .. }
    ));
    assert_eq!(model.waiting(), 1);
    model.apply(Update::OutboxRemoved(Txn([1; 16])));
    model.apply(Update::Message(C1, message(6, true)));
    assert_eq!(model.entries(&to).len(), 3);
    assert_eq!(model.waiting(), 0);
}

#[test]
fn what_was_refused_waits_for_the_person_and_is_not_counted_as_waiting() {
    let refused = OutboxState::Refused(ErrorReply::new(ErrorCode::NoSuchUser));
    let model = model([Update::Outbox(item(1, send("nobody", "hello"), refused.clone()))]);
    assert_eq!(model.waiting(), 0);
    let rows = model.rows();
    assert!(rows[0].has_refused);
    let OutboxState::Refused(error) = refused else { unreachable!() };
    assert_eq!(rows[0].preview, Preview::Outgoing("hello", OwnState::Refused(error)));
}

#[test]
fn an_unanswered_edit_stands_beside_its_message_and_the_newest_one_counts() {
    let edit = |text: &str| Work::Edit { conv: C1, seq: Seq(5), text: text.to_owned() };
    let mut model = model([
        Update::Conversation(conversation(C1, BOB, 5)),
        opened(vec![message(5, true)]),
        Update::Outbox(item(1, edit("first"), OutboxState::Waiting)),
        Update::Outbox(item(2, edit("second"), OutboxState::Waiting)),
    ]);
    let change = |model: &Model| match &model.entries(&Target::Conversation(C1))[0] {
        Entry::Message { change, .. } => change.map(|item| item.number),
        Entry::Outgoing { .. } => unreachable!(),
    };
    assert_eq!(change(&model), Some(2));
    model.apply(Update::OutboxRemoved(Txn([2; 16])));
    assert_eq!(change(&model), Some(1));
    model.apply(Update::OutboxRemoved(Txn([1; 16])));
    model.apply(Update::Edited { conv: C1, seq: Seq(5), text: "second".to_owned(), ts: 7 });
    assert_eq!(change(&model), None);
    let timeline = model.timeline(C1).unwrap();
    assert_eq!(timeline.message(Seq(5)).unwrap().view.text, "second");
}

#[test]
fn a_timeline_grows_upwards_without_a_hole_and_downwards_as_messages_come() {
    let mut model = model([opened(vec![message(8, false), message(9, false)])]);
    assert_eq!(model.timeline(C1).unwrap().older_than(), Some(Seq(8)));
    // A repair far above the window belongs to a page that was not loaded.
    model.apply(Update::Message(C1, message(3, false)));
    let messages = vec![message(6, false), message(7, false)];
    model.apply(Update::Older { conv: C1, before: Seq(8), messages, loading: true });
    model.apply(Update::Message(C1, message(10, false)));
    let timeline = model.timeline(C1).unwrap();
    let seqs: Vec<u64> = timeline.messages().map(|message| message.view.seq.0).collect();
    assert_eq!(seqs, [6, 7, 8, 9, 10]);
    assert!(timeline.is_loading());
    let messages = (1..6).map(|seq| message(seq, false)).collect();
    model.apply(Update::Older { conv: C1, before: Seq(6), messages, loading: false });
    assert_eq!(model.timeline(C1).unwrap().older_than(), None, "the beginning is here");
}

#[test]
fn a_message_told_again_keeps_the_copies_that_its_acknowledgement_told() {
    let mut model = model([opened(vec![message(5, true)])]);
    model.apply(Update::Copies { conv: C1, seq: Seq(5), copies: 3, of: 3 });
    model.apply(Update::Message(C1, message(5, true)));
    let timeline = model.timeline(C1).unwrap();
    assert_eq!(timeline.message(Seq(5)).unwrap().copies, 3);
}

#[test]
fn a_deleted_message_stays_deleted_and_a_gone_account_takes_its_messages_along() {
    let mut model = model([opened(vec![message(4, true), message(5, false), message(6, true)])]);
    model.apply(Update::Deleted(C1, Seq(6)));
    model.apply(Update::Edited { conv: C1, seq: Seq(6), text: "back".to_owned(), ts: 7 });
    model.apply(Update::PeerGone(C1));
    let timeline = model.timeline(C1).unwrap();
    let texts: Vec<&str> = timeline.messages().map(|message| message.view.text.as_str()).collect();
    assert_eq!(texts, ["message 4", "", ""]);
    assert_eq!(timeline.message(Seq(5)).unwrap().view.from, None);
}

#[test]
fn a_draft_typed_before_the_conversation_existed_is_found_in_it() {
    let typed = Target::User("BOB".to_owned());
    let mut model = model([Update::Draft(typed, "half a thou".to_owned())]);
    model.apply(Update::Conversation(conversation(C1, BOB, 1)));
    assert_eq!(model.draft(&Target::Conversation(C1)), Some("half a thou"));
    assert_eq!(model.rows().len(), 1);
    model.apply(Update::CacheDropped);
    assert!(model.conversation(C1).is_none());
    assert_eq!(model.rows().len(), 1, "drafts outlive what is cached");
}

#[test]
fn the_first_unread_message_is_the_first_of_the_other_above_the_mark() {
    let mut record = conversation(C1, BOB, 8);
    record.read = Seq(4);
    record.unread =
        Unread { counted_upto: Seq(6), counted: 1, above: vec![Seq(8)], is_unsure: false };
    let mut deleted = message(6, false);
    deleted.view.deleted = true;
    let messages =
        vec![message(4, false), message(5, true), deleted, message(7, false), message(8, false)];
    let model = model([Update::Conversation(record), opened(messages)]);
    assert_eq!(model.first_unread(C1), Some(Seq(7)));
    assert_eq!(model.unread_total(), 2);
}

#[test]
fn only_the_timelines_opened_last_are_kept() {
    let mut model = Model::default();
    for number in 1..=6 {
        let (messages, loading) = (Vec::new(), false);
        model.apply(Update::Opened { conv: ConversationId(number), messages, loading });
    }
    assert!(model.timeline(ConversationId(2)).is_none());
    assert!(model.timeline(ConversationId(3)).is_some());
}
