//! Every screen and state by what it is called: updates are fed by hand, no socket, no display.
//!
//! Owns: the harness. The tests stand in a file for each screen.

#[path = "../stage/mod.rs"]
mod stage;

mod chats;
mod cluster;
mod find;
mod keyboard;
mod messages;
mod sign_in;
mod typing;

use egui::{Key, Modifiers};
use egui_kittest::kittest::{By, NodeT, Queryable};
use holdfast_common::client::{Command, Failure, Update};
use holdfast_common::ids::ConversationId;
use holdfast_common::protocol::{ErrorCode, ErrorReply, Target};
use holdfast_gui::window::Window;
use holdfast_gui::words;
use stage::{Shown, Stage, framed, scenes};

/// A window on a stage.
fn harness(stage_and_window: (Stage, Window), size: [f32; 2]) -> (Stage, Shown) {
    let (stage, window) = stage_and_window;
    let harness = framed(window, size, 0.25);
    (stage, harness)
}

/// A window on which these updates have happened.
fn shown(updates: Vec<Update>) -> (Stage, Shown) {
    let (stage, window) = Stage::new();
    stage.feed(updates);
    let (stage, mut harness) = harness((stage, window), [1_000.0, 680.0]);
    harness.run_steps(3);
    (stage, harness)
}

/// Presses a key, and lets the window come to rest.
fn press(harness: &mut Shown, modifiers: Modifiers, key: Key) {
    harness.key_press_modifiers(modifiers, key);
    harness.run_steps(4);
}

/// Types into what is called so.
fn type_into(harness: &mut Shown, label: &str, text: &str) {
    harness.get_by_label(label).focus();
    harness.run_steps(2);
    harness.get_by_label(label).type_text(text);
    harness.run_steps(3);
}

/// What is said of what has the focus.
fn focused(harness: &Shown) -> String {
    let mut found = harness.query_all(By::new().predicate(|n| n.is_focused()));
    let node = found.next().map(|node| node.accesskit_node());
    node.and_then(|node| node.label().or(node.value())).unwrap_or_default()
}

fn fill_in(harness: &mut Shown, name: &str, pass: &str) {
    harness.get_by_label("Name").type_text(name);
    harness.run_steps(2);
    harness.get_by_label("Password").focus();
    harness.run_steps(2);
    harness.get_by_label("Password").type_text(pass);
    harness.run_steps(2);
}

#[test]
fn signing_in_takes_a_name_a_password_and_enter() {
    let (stage, mut harness) = shown(scenes::signed_out());
    fill_in(&mut harness, "alice", "correct horse");
    harness.key_press(Key::Enter);
    harness.run_steps(2);
    let asked = stage.take();
    let Some(Command::Login { user, pass }) = asked.last() else { panic!("{asked:?}") };
    assert_eq!((user.as_str(), pass.expose()), ("alice", "correct horse"));
}

#[test]
fn a_second_window_says_whose_the_first_is_and_takes_a_password() {
    let (stage, mut window) = Stage::new();
    window.signs_in_again("alice".to_owned(), words::beside("alice"));
    stage.feed(scenes::signed_out());
    let (stage, mut harness) = harness((stage, window), [1_000.0, 680.0]);
    harness.run_steps(3);
    harness.get_by_label_contains("alice has another window open");
    harness.get_by_label("Password").type_text("correct horse");
    harness.run_steps(2);
    harness.key_press(Key::Enter);
    harness.run_steps(2);
    let asked = stage.take();
    assert!(
        matches!(asked.last(), Some(Command::Login { user, .. }) if user == "alice"),
        "{asked:?}"
    );
}

#[test]
fn a_wrong_password_is_said_below_it() {
    let (stage, mut harness) = shown(scenes::signed_out());
    fill_in(&mut harness, "alice", "wrong horse");
    harness.get_by_label("Sign in").click();
    harness.run_steps(2);
    stage.answer(Err(Failure::Refused(ErrorReply::new(ErrorCode::WrongCredentials))));
    harness.run_steps(3);
    harness.get_by_label("Wrong name or password.");
}

#[test]
fn a_message_is_sent_by_enter_and_the_field_is_empty_at_once() {
    let (stage, mut harness) = shown(scenes::chat());
    stage.take();
    harness.get_by_label("Message").focus();
    harness.run_steps(2);
    harness.get_by_label("Message").type_text("hello");
    harness.run_steps(2);
    harness.key_press(Key::Enter);
    harness.run_steps(2);
    let asked = stage.take();
    let send =
        Command::Send { to: Target::Conversation(ConversationId(1)), text: "hello".to_owned() };
    assert!(asked.contains(&send), "{asked:?}");
    assert_eq!(harness.get_by_label("Message").value().unwrap_or_default(), "");
}

#[test]
fn the_state_of_each_own_message_is_said_in_words() {
    let (_stage, harness) = shown(scenes::states());
    for sentence in [
        "You, 14:03: On its way. Sent, no answer yet.",
        "You, 14:03: On its way for long. Still trying.",
        "You, 14:03: Waiting in the outbox. Waiting: it will be sent when a server answers.",
        "You, 13:59: Yes.. Read.",
    ] {
        harness.get_by_label(sentence);
    }
}

#[test]
fn ctrl_k_finds_a_chat_and_enter_opens_it() {
    let (stage, mut harness) = shown(scenes::inbox());
    harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
    harness.run_steps(3);
    harness.get_by_label("A chat, or a person's name").type_text("mary");
    harness.run_steps(3);
    stage.take();
    harness.key_press(Key::Enter);
    harness.run_steps(3);
    assert!(stage.take().contains(&Command::Open(ConversationId(2))));
}

#[test]
fn where_nothing_can_be_kept_it_is_said_and_what_is_typed_stays() {
    let (stage, mut harness) = shown(scenes::chat());
    harness.get_by_label("Message").focus();
    harness.run_steps(2);
    harness.get_by_label("Message").type_text("hello");
    harness.run_steps(2);
    stage.end("cannot keep messages in /home/alice: the disk is full");
    harness.run_steps(2);
    stage.take();
    harness.key_press(Key::Enter);
    harness.run_steps(2);
    harness.get_by_label_contains("the disk is full");
    assert!(!stage.take().iter().any(|command| matches!(command, Command::Send { .. })));
    assert_eq!(harness.get_by_label("Message").value().as_deref(), Some("hello"));
}
