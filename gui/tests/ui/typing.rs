//! The composer: what Enter does, the counter, edits, and the order of Esc.

use egui::{Event, ImeEvent};
use holdfast_common::ids::Seq;

use super::*;

const NONE: Modifiers = Modifiers::NONE;

fn is_sent(stage: &Stage) -> bool {
    stage.take().iter().any(|command| matches!(command, Command::Send { .. }))
}

#[test]
fn shift_enter_begins_a_line_and_sends_nothing() {
    let (stage, mut harness) = shown(scenes::chat());
    type_into(&mut harness, "Message", "one");
    press(&mut harness, Modifiers::SHIFT, Key::Enter);
    assert!(!is_sent(&stage));
    assert_eq!(harness.get_by_label("Message").value().as_deref(), Some("one\n"));
}

#[test]
fn an_enter_that_an_input_method_takes_never_sends() {
    let (stage, mut harness) = shown(scenes::chat());
    type_into(&mut harness, "Message", "one");
    let text = "\u{306b}".to_owned();
    harness.event(Event::Ime(ImeEvent::Preedit { text, active_range_chars: None }));
    harness.run_steps(2);
    press(&mut harness, NONE, Key::Enter);
    assert!(!is_sent(&stage), "it confirms a candidate");
    harness.event(Event::Ime(ImeEvent::Commit("\u{65e5}".to_owned())));
    harness.run_steps(2);
    press(&mut harness, NONE, Key::Enter);
    assert!(is_sent(&stage));
}

#[test]
fn the_counter_is_shown_from_nine_tenths_on_and_too_long_is_not_sent() {
    let (stage, mut harness) = shown(scenes::chat());
    type_into(&mut harness, "Message", &"x".repeat(14_000));
    assert!(harness.query_by_label_contains(" left").is_none());
    type_into(&mut harness, "Message", &"x".repeat(1_000));
    harness.get_by_label("1384 left");
    type_into(&mut harness, "Message", &"x".repeat(1_390));
    harness.get_by_label("6 too long: shorten it, or send it in parts");
    press(&mut harness, NONE, Key::Enter);
    assert!(!is_sent(&stage));
}

#[test]
fn up_in_an_empty_composer_edits_the_last_own_message() {
    let (stage, mut harness) = shown(scenes::chat());
    press(&mut harness, NONE, Key::ArrowUp);
    harness.get_by_label("Editing");
    let field = harness.get_by_label("Message");
    assert_eq!(field.value().as_deref(), Some("I will be there a little earlier"));
    press(&mut harness, Modifiers::COMMAND, Key::A);
    harness.get_by_label("Message").type_text("later");
    press(&mut harness, NONE, Key::Enter);
    let text = "later".to_owned();
    let edit = Command::Edit { conv: ConversationId(1), seq: Seq(11), text };
    assert!(stage.take().contains(&edit));
}

#[test]
fn escape_closes_a_popup_then_find_then_the_edit_then_goes_to_the_end() {
    let (_stage, mut harness) = shown(scenes::long_chat(1, 300));
    press(&mut harness, NONE, Key::PageUp);
    harness.get_by_label("To the newest message");
    press(&mut harness, NONE, Key::ArrowUp);
    press(&mut harness, Modifiers::COMMAND, Key::F);
    press(&mut harness, Modifiers::COMMAND, Key::Slash);
    press(&mut harness, NONE, Key::Escape);
    assert!(harness.query_by_label("Keyboard").is_none());
    harness.get_by_label("Find in this chat");
    press(&mut harness, NONE, Key::Escape);
    assert!(harness.query_by_label("Find in this chat").is_none());
    harness.get_by_label("Editing");
    press(&mut harness, NONE, Key::Escape);
    assert!(harness.query_by_label("Editing").is_none());
    harness.get_by_label("To the newest message");
    press(&mut harness, NONE, Key::Escape);
    assert!(harness.query_by_label("To the newest message").is_none());
    assert_eq!(focused(&harness), "Message");
}

#[test]
fn what_is_typed_is_kept_half_a_second_after_the_last_key() {
    let (stage, mut harness) = shown(scenes::chat());
    stage.take();
    type_into(&mut harness, "Message", "half a thou");
    harness.run_steps(60);
    let (to, text) = (Target::Conversation(ConversationId(1)), "half a thou".to_owned());
    assert!(stage.take().contains(&Command::SaveDraft { to, text }));
}
