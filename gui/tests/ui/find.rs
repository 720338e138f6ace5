//! Find in a chat.

use holdfast_common::client::ConnectionState;
use holdfast_common::ids::Seq;

use super::*;

const FIELD: &str = "Find in this chat";

fn looking_for(updates: Vec<Update>, text: &str) -> (Stage, Shown) {
    let (stage, mut harness) = shown(updates);
    press(&mut harness, Modifiers::COMMAND, Key::F);
    assert_eq!(focused(&harness), FIELD);
    harness.get_by_label(FIELD).type_text(text);
    harness.run_steps(4);
    (stage, harness)
}

fn is_seen(harness: &Shown, text: &str) -> bool {
    let mut found = harness.query_all_by_label_contains(text);
    found.any(|node| {
        node.rect().left() > 280.0 && node.rect().top() > 100.0 && node.rect().bottom() < 620.0
    })
}

#[test]
fn hits_are_counted_and_enter_steps_to_older_and_shift_enter_to_newer_ones() {
    let (_stage, mut harness) = looking_for(scenes::long_chat(1, 350), "ete");
    harness.get_by_label("1 of 3");
    assert!(is_seen(&harness, "\u{c9}t\u{e9} 300"), "the newest hit is scrolled to");
    press(&mut harness, Modifiers::NONE, Key::Enter);
    harness.get_by_label("2 of 3");
    assert!(is_seen(&harness, "\u{c9}t\u{e9} 200"));
    press(&mut harness, Modifiers::NONE, Key::ArrowUp);
    harness.get_by_label("3 of 3");
    assert!(is_seen(&harness, "\u{c9}t\u{e9} 100"));
    press(&mut harness, Modifiers::SHIFT, Key::Enter);
    press(&mut harness, Modifiers::NONE, Key::ArrowDown);
    harness.get_by_label("1 of 3");
    harness.get_by_label("Next older").click();
    harness.run_steps(4);
    harness.get_by_label("2 of 3");
    assert!(is_seen(&harness, "\u{c9}t\u{e9} 200"));
}

#[test]
fn escape_closes_it_and_returns_to_the_composer_and_to_the_end_only_then() {
    let (_stage, mut harness) = looking_for(scenes::long_chat(1, 350), "ete");
    press(&mut harness, Modifiers::NONE, Key::Escape);
    assert!(harness.query_by_label(FIELD).is_none());
    assert_eq!(focused(&harness), "Message");
    assert!(is_seen(&harness, "\u{c9}t\u{e9} 300"), "what was found stays where it is");
    press(&mut harness, Modifiers::NONE, Key::Escape);
    assert!(is_seen(&harness, "line 350"));
}

#[test]
fn where_nothing_is_found_it_is_said() {
    let (_stage, harness) = looking_for(scenes::long_chat(1, 20), "zebra");
    harness.get_by_label("Nothing found");
    assert!(harness.query_by_label_contains("Not searched").is_none(), "all was searched");
}

#[test]
fn what_is_not_loaded_is_not_claimed_and_a_step_beyond_loads_until_there_is_a_hit() {
    let (stage, mut harness) = looking_for(scenes::long_chat(250, 100), "ete");
    harness.get_by_label("1 of 1");
    harness.get_by_label_contains("Not searched yet: before");
    stage.take();
    press(&mut harness, Modifiers::NONE, Key::Enter);
    harness.get_by_label_contains("Searching before");
    let conv = ConversationId(1);
    let asked = |before| Command::LoadOlder { conv, before: Seq(before) };
    assert!(stage.take().contains(&asked(250)));
    let older =
        |before, messages| [Update::Older { conv, before: Seq(before), messages, loading: false }];
    stage.feed(older(250, scenes::long(210, 249)));
    harness.run_steps(4);
    harness.get_by_label("1 of 1");
    assert!(stage.take().contains(&asked(210)), "no hit yet: on and on");
    stage.feed(older(210, scenes::long(150, 209)));
    harness.run_steps(4);
    harness.get_by_label("2 of 2");
    assert!(is_seen(&harness, "\u{c9}t\u{e9} 200"));
}

#[test]
fn without_a_server_it_says_when_older_messages_are_searched() {
    let mut updates = scenes::long_chat(250, 100);
    updates.push(Update::Connection(ConnectionState::NotConnected {
        since_ms: stage::NOW_MS,
        next_try_ms: None,
        tried: Vec::new(),
    }));
    let (_stage, mut harness) = looking_for(updates, "ete");
    harness.get_by_label("Search older").click();
    harness.run_steps(4);
    harness.get_by_label("Older messages are searched when a server answers.");
}

#[test]
fn a_deleted_hit_is_none_any_more() {
    let (stage, mut harness) = looking_for(scenes::long_chat(1, 350), "ete");
    stage.feed([Update::Deleted(ConversationId(1), Seq(300))]);
    harness.run_steps(4);
    harness.get_by_label("1 of 2");
    assert!(is_seen(&harness, "\u{c9}t\u{e9} 200"));
}

#[test]
fn a_long_chat_is_searched_from_end_to_end_and_drawn_at_the_oldest_hit() {
    let (_stage, mut harness) = looking_for(scenes::long_chat(1, 100_000), "line 4321");
    harness.run_steps(80);
    harness.get_by_label("1 of 11");
    for at in 2..=11 {
        press(&mut harness, Modifiers::NONE, Key::Enter);
        harness.get_by_label(&format!("{at} of 11"));
    }
    assert!(is_seen(&harness, ": line 4321"), "the oldest of them");
}
