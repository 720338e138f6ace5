//! Everything without a mouse: F6 between the parts, the arrows inside of them, menus by key.

use super::*;

const NONE: Modifiers = Modifiers::NONE;

#[test]
fn f6_goes_from_the_composer_to_the_list_to_the_messages_and_back() {
    let (_stage, mut harness) = shown(scenes::chat());
    assert_eq!(focused(&harness), "Message");
    press(&mut harness, NONE, Key::F6);
    assert!(focused(&harness).starts_with("bob"), "the open chat: {}", focused(&harness));
    press(&mut harness, NONE, Key::F6);
    assert!(focused(&harness).contains("a little earlier"), "{}", focused(&harness));
    press(&mut harness, NONE, Key::F6);
    assert_eq!(focused(&harness), "Message");
    press(&mut harness, Modifiers::SHIFT, Key::F6);
    assert!(focused(&harness).contains("a little earlier"));
}

#[test]
fn where_one_pane_is_shown_f6_goes_between_messages_and_composer() {
    let (stage, window) = Stage::new();
    stage.feed(scenes::chat());
    let (_stage, mut harness) = super::harness((stage, window), [400.0, 680.0]);
    harness.run_steps(3);
    press(&mut harness, NONE, Key::F6);
    assert!(focused(&harness).contains("a little earlier"));
    press(&mut harness, NONE, Key::F6);
    assert_eq!(focused(&harness), "Message");
}

#[test]
fn arrows_choose_a_chat_in_the_list_and_enter_opens_it() {
    let (stage, mut harness) = shown(scenes::many_chats());
    press(&mut harness, NONE, Key::F6);
    assert!(focused(&harness).starts_with("person-001"));
    for _ in 0..40 {
        press(&mut harness, NONE, Key::ArrowDown);
    }
    assert!(focused(&harness).starts_with("person-041"), "{}", focused(&harness));
    press(&mut harness, NONE, Key::ArrowUp);
    stage.take();
    press(&mut harness, NONE, Key::Enter);
    assert!(stage.take().contains(&Command::Open(ConversationId(40))));
    assert_eq!(focused(&harness), "Message");
}

#[test]
fn down_in_the_search_goes_to_the_first_hit() {
    let (_stage, mut harness) = shown(scenes::many_chats());
    type_into(&mut harness, "Search", "person-20");
    press(&mut harness, NONE, Key::ArrowDown);
    assert!(focused(&harness).starts_with("person-200"), "{}", focused(&harness));
}

/// The keyboard at the last message.
fn at_the_messages(updates: Vec<Update>) -> (Stage, Shown) {
    let (stage, mut harness) = shown(updates);
    press(&mut harness, Modifiers::SHIFT, Key::F6);
    stage.take();
    (stage, harness)
}

#[test]
fn arrows_choose_a_message_and_the_view_follows() {
    let (_stage, mut harness) = at_the_messages(scenes::long_chat(1, 900));
    assert!(focused(&harness).contains("900"), "{}", focused(&harness));
    for _ in 0..400 {
        harness.key_press(Key::ArrowUp);
        harness.run_steps(2);
    }
    let label = focused(&harness);
    assert!(label.contains("500"), "{label}");
    let rect = harness.get_by_label(&label).rect();
    assert!(rect.top() > 50.0 && rect.bottom() < 640.0, "{rect:?}");
    for _ in 0..400 {
        harness.key_press(Key::ArrowDown);
        harness.run_steps(2);
    }
    assert!(focused(&harness).contains("900"), "{}", focused(&harness));
    assert!(harness.query_by_label_contains("newest message").is_none(), "it is at the end");
}

#[test]
fn enter_opens_the_menu_of_a_message_and_escape_leads_back_to_it() {
    let (_stage, mut harness) = at_the_messages(scenes::chat());
    let message = focused(&harness);
    press(&mut harness, NONE, Key::Enter);
    assert_eq!(focused(&harness), "Copy");
    for label in ["Edit", "Delete for me", "Delete for both", "Details"] {
        press(&mut harness, NONE, Key::ArrowDown);
        assert_eq!(focused(&harness), label);
    }
    press(&mut harness, NONE, Key::Escape);
    assert!(harness.query_by_label("Delete for me").is_none());
    assert_eq!(focused(&harness), message);
}

#[test]
fn the_menu_edits_deletes_and_tells_details_by_key() {
    let (stage, mut harness) = at_the_messages(scenes::chat());
    press(&mut harness, NONE, Key::Menu);
    press(&mut harness, NONE, Key::ArrowDown);
    press(&mut harness, NONE, Key::Enter);
    harness.get_by_label("Editing");
    assert_eq!(focused(&harness), "Message");
    press(&mut harness, NONE, Key::Escape);

    press(&mut harness, Modifiers::SHIFT, Key::F6);
    press(&mut harness, Modifiers::SHIFT, Key::F10);
    for _ in 0..2 {
        press(&mut harness, NONE, Key::ArrowDown);
    }
    press(&mut harness, NONE, Key::Enter);
    let deletes = |command: &Command| matches!(command, Command::Delete { .. });
    assert!(stage.take().iter().any(deletes));
}

#[test]
fn the_sheet_lists_what_the_keys_do() {
    let (_stage, mut harness) = shown(scenes::chat());
    press(&mut harness, Modifiers::COMMAND, Key::Slash);
    for keys in ["Ctrl+K", "Ctrl+F", "F6, Shift+F6", "Enter, Menu"] {
        harness.get_by_label(keys);
    }
}
