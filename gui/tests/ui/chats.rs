//! The list of chats, the switcher, and what is said where there is nothing.

use holdfast_common::client::OutboxState;
use holdfast_common::client::{Answer, SessionState};
use holdfast_common::protocol::{Reply, UserView, UsersOk};

use super::*;

#[test]
fn a_row_says_name_unread_time_and_preview() {
    let (_stage, harness) = shown(scenes::inbox());
    harness.get_by_label("bob, 14:00: You: I will be there a little earlier");
    harness.get_by_label_contains("mary_ann.smith, 2 unread, 13:55: Could you look");
    harness.get_by_label("jean-luc, 09:03: Draft: I think we should");
    harness.get_by_label_contains("nadia, 12 unread, Yesterday");
    harness.get_by_label("oleg, Thu: ok");
    harness.get_by_label_contains("a_very_long_name_that_goes_on_on, 1 unread, 14 Oct");
}

#[test]
fn a_row_with_a_refused_message_says_not_sent() {
    let mut updates = scenes::inbox();
    let refused = OutboxState::Refused(ErrorReply::new(ErrorCode::InvalidText));
    let to = Target::Conversation(ConversationId(3));
    updates.push(stage::outgoing(1, to, "this one", refused));
    let (_stage, harness) = shown(updates);
    harness.get_by_label_contains("Not sent: this one");
}

#[test]
fn the_search_leaves_the_chats_with_that_name() {
    let (_stage, mut harness) = shown(scenes::inbox());
    type_into(&mut harness, "Search", "NAD");
    harness.get_by_label_contains("nadia, 12 unread");
    assert!(harness.query_by_label_contains("oleg").is_none());
    type_into(&mut harness, "Search", "zzz");
    harness.get_by_label_contains("No chat with");
}

#[test]
fn a_new_account_is_told_what_to_do() {
    let (_stage, mut harness) = shown(scenes::nothing_yet());
    harness.get_by_label("No chats yet.");
    harness.get_all_by_label("Find someone to write to").next().expect("a link").click();
    harness.run_steps(4);
    assert_eq!(focused(&harness), "A chat, or a person's name");
}

#[test]
fn chats_that_are_not_known_yet_are_not_claimed_to_be_none() {
    let session = SessionState::SignedIn { user: "alice".to_owned(), cluster: "c1".to_owned() };
    let (_stage, harness) = shown(vec![Update::Session(session)]);
    harness.get_by_label("Loading your chats\u{2026}");
    assert!(harness.query_by_label("No chats yet.").is_none());
}

#[test]
fn the_switcher_finds_people_a_moment_after_the_last_key_and_opens_a_new_chat() {
    let (stage, mut harness) = shown(scenes::inbox());
    press(&mut harness, Modifiers::COMMAND, Key::N);
    stage.take();
    harness.get_by_label("A chat, or a person's name").type_text("zoe");
    harness.run_steps(60);
    let asked = stage.take();
    assert_eq!(asked.len(), 1, "asked once, not for each key: {asked:?}");
    press(&mut harness, Modifiers::NONE, Key::Escape);

    press(&mut harness, Modifiers::COMMAND, Key::N);
    harness.get_by_label("A chat, or a person's name").type_text("zoe");
    harness.run_steps(60);
    let users = vec![UserView { user: "zoe".to_owned() }];
    stage.answer(Ok(Answer::Reply(Reply::Users(UsersOk { users, more: false }))));
    harness.run_steps(3);
    harness.get_by_label("zoe, write to");
    press(&mut harness, Modifiers::NONE, Key::Enter);
    harness.get_by_label("Nothing here yet. Say hello to zoe.");
    assert_eq!(focused(&harness), "Message");
}

#[test]
fn nothing_open_says_what_to_do() {
    let (_stage, harness) = shown(scenes::inbox());
    harness.get_by_label("Choose a chat, or begin a new one");
}
