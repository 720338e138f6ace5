//! Bad input and bad luck: a sentence that helps, nothing lost, no crash.

mod stage;

use egui::{Event, Key};
use egui_kittest::kittest::Queryable;
use holdfast_common::client::{Command, ConnectionState, OutboxState, Update};
use holdfast_common::ids::ConversationId;
use holdfast_common::protocol::Target;
use stage::{NOW_MS, Shown, Stage, framed, outgoing, scenes};

/// A window on which these updates have happened.
fn shown(updates: Vec<Update>) -> (Stage, Shown) {
    let (stage, window) = Stage::new();
    stage.feed(updates);
    let mut harness = framed(window, [1_000.0, 680.0], 1.0 / 60.0);
    harness.run_steps(3);
    (stage, harness)
}

fn typed(harness: &Shown) -> String {
    harness.get_by_label("Message").value().unwrap_or_default()
}

#[test]
fn what_is_sent_in_the_moment_in_which_the_disk_is_full_is_typed_text_again() {
    let (stage, mut harness) = shown(scenes::chat());
    harness.get_by_label("Message").focus();
    harness.run_steps(2);
    for text in ["first", "second"] {
        harness.get_by_label("Message").type_text(text);
        harness.run_steps(2);
        harness.key_press(Key::Enter);
        harness.run_steps(2);
    }
    harness.get_by_label("Message").type_text("third");
    harness.run_steps(2);
    // The first one was kept before the disk was full.
    let to = Target::Conversation(ConversationId(1));
    stage.feed([outgoing(1, to, "first", OutboxState::Waiting)]);
    stage.end("cannot keep messages in /home/alice: the disk is full");
    harness.run_steps(3);
    assert_eq!(typed(&harness), "second\nthird");
}

#[test]
fn a_pasted_megabyte_stays_and_is_said_to_be_too_long() {
    let (stage, mut harness) = shown(scenes::chat());
    harness.get_by_label("Message").focus();
    harness.run_steps(2);
    let text = "All work and no play makes Jack a dull boy.\n".repeat(1_024 * 1_024 / 44);
    harness.event(Event::Paste(text.clone()));
    harness.run_steps(3);
    harness.get_by_label_contains("too long");
    stage.take();
    harness.key_press(Key::Enter);
    harness.run_steps(2);
    harness.state_mut().leave();
    let asked = stage.take();
    assert!(!asked.iter().any(|command| matches!(command, Command::Send { .. })));
    let (to, text) = (Target::Conversation(ConversationId(1)), text);
    assert!(asked.contains(&Command::SaveDraft { to, text }), "it is kept as typed text");
}

#[test]
fn a_clock_that_jumps_moves_no_message_and_stops_no_window() {
    let (stage, mut harness) = shown(scenes::chat());
    let to = Target::Conversation(ConversationId(1));
    stage.feed([outgoing(1, to, "on its way", OutboxState::Sent { since_ms: NOW_MS })]);
    let since_ms = NOW_MS;
    let not_connected = ConnectionState::NotConnected {
        since_ms,
        next_try_ms: Some(NOW_MS + 4_000),
        tried: vec![],
    };
    stage.feed([Update::Connection(not_connected)]);
    for wall_ms in [NOW_MS, 0, NOW_MS + 400 * 86_400_000, 1, u64::MAX, NOW_MS] {
        stage.wall_ms.set(wall_ms);
        harness.run_steps(3);
        for text in ["on its way", "I will be there a little earlier"] {
            assert!(harness.query_all_by_label_contains(text).count() > 0, "{text} at {wall_ms}");
        }
        assert!(harness.query_all_by_label_contains("Not connected").count() > 0, "{wall_ms}");
    }
}
