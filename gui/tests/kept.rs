//! What a window keeps, and how the next one takes it up.

mod stage;

use egui::{Key, Modifiers, Rect, pos2, vec2};
use egui_kittest::kittest::Queryable;
use holdfast_common::client::{Command, MessageRecord, Update};
use holdfast_common::ids::{ConversationId, Seq};
use holdfast_common::protocol::Target;
use holdfast_gui::theme;
use stage::{MINUTE_MS, NOW_MS, Shown, Stage, conversation, framed, message, signed_in};

const CONV: ConversationId = ConversationId(1);

/// Messages of one conversation that has 200.
fn messages(range: std::ops::RangeInclusive<u64>) -> Vec<MessageRecord> {
    let one = |seq| message(seq, false, &format!("number {seq}"), NOW_MS - (200 - seq) * MINUTE_MS);
    range.map(one).collect()
}

/// A window whose earlier life has kept this, with the newest 50 messages.
fn shown(kept: &[(&str, &str)]) -> (Stage, Shown) {
    let (stage, window) = Stage::new();
    let last = messages(200..=200).pop().expect("one");
    let keep = |&(key, value): &(&str, &str)| Update::Interface(key.to_owned(), value.to_owned());
    stage.feed(kept.iter().map(keep));
    stage.feed([Update::Interface(
        "open".to_owned(),
        serde_json::to_string(&Target::Conversation(CONV)).expect("a target"),
    )]);
    stage.feed(signed_in());
    stage.feed([
        Update::Conversation(conversation(1, "bob", last)),
        Update::Listed,
        Update::Opened { conv: CONV, messages: messages(151..=200), loading: false },
    ]);
    let mut harness = framed(window, [1_000.0, 680.0], 1.0 / 60.0);
    harness.run_steps(3);
    (stage, harness)
}

/// What was handed over to be kept under this key.
fn kept(stage: &Stage, key: &str) -> Vec<String> {
    let mut kept = Vec::new();
    for command in stage.take() {
        if let Command::KeepInterface { key: of, value } = command
            && of == key
        {
            kept.push(value);
        }
    }
    kept
}

/// The upper end of a message on the screen, by its number.
fn top(harness: &Shown, seq: u64) -> Option<f32> {
    let text = format!(": number {seq}");
    let found =
        harness.query_all_by(move |node| node.value().is_some_and(|label| label.ends_with(&text)));
    found.map(|node| node.rect().top()).next()
}

#[test]
fn a_chat_stands_again_at_the_message_where_it_was_left() {
    let (stage, mut harness) = shown(&[("scroll", "70 -5")]);
    let older = Command::LoadOlder { conv: CONV, before: Seq(151) };
    assert!(stage.take().contains(&older), "the message is above those that were opened");
    assert_eq!(kept(&stage, "scroll"), Vec::<String>::new(), "nothing is forgotten meanwhile");
    let before = Seq(151);
    let older = Update::Older { conv: CONV, before, messages: messages(101..=150), loading: false };
    stage.feed([older]);
    harness.run_steps(3);
    assert!(stage.take().contains(&Command::LoadOlder { conv: CONV, before: Seq(101) }));
    let before = Seq(101);
    stage.feed([Update::Older {
        conv: CONV,
        before,
        messages: messages(51..=100),
        loading: false,
    }]);
    harness.run_steps(60);
    let room_above = top(&harness, 70).map(|top| top - (theme::HEADER - 5.0));
    assert!(room_above.is_some_and(|room| (0.0..=12.0).contains(&room)), "{room_above:?}");
    assert_eq!(top(&harness, 200), None);
    assert_eq!(kept(&stage, "scroll"), Vec::<String>::new(), "it is kept like that already");
}

#[test]
fn where_a_chat_stands_is_kept_when_it_rests_and_forgotten_at_its_end() {
    let (stage, mut harness) = shown(&[]);
    harness.run_steps(60);
    assert_eq!(kept(&stage, "scroll"), Vec::<String>::new(), "it stands at its end");
    harness.key_press(Key::PageUp);
    harness.run_steps(3);
    assert_eq!(kept(&stage, "scroll"), Vec::<String>::new(), "it may still move");
    harness.run_steps(60);
    let value = kept(&stage, "scroll").pop().expect("it rests");
    let (seq, _) = value.split_once(' ').expect("a message and how far below the edge");
    let seq: u64 = seq.parse().expect("a number");
    let (_stage, again) = shown(&[("scroll", &value)]);
    assert!(top(&harness, seq).is_some(), "{value}");
    assert_eq!(top(&again, seq).map(f32::round), top(&harness, seq).map(f32::round), "{value}");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::End);
    harness.run_steps(60);
    assert_eq!(kept(&stage, "scroll"), [String::new()]);
}

fn put(harness: &mut Shown, rect: Rect) {
    let viewport = harness.input_mut().viewports.values_mut().next().expect("the window");
    viewport.inner_rect = Some(rect);
    viewport.outer_rect = Some(rect);
}

#[test]
fn where_the_window_stands_is_kept_when_it_rests() {
    let (stage, mut harness) = shown(&[("place", "10 20 800 600 normal")]);
    stage.take();
    put(&mut harness, Rect::from_min_size(pos2(300.0, 40.0), vec2(900.0, 640.0)));
    harness.run_steps(3);
    assert_eq!(kept(&stage, "place"), Vec::<String>::new(), "it may still move");
    harness.run_steps(60);
    assert_eq!(kept(&stage, "place"), ["300 40 900 640 normal"]);
    let viewport = harness.input_mut().viewports.values_mut().next().expect("the window");
    viewport.maximized = Some(true);
    viewport.inner_rect = Some(Rect::from_min_size(pos2(0.0, 0.0), vec2(1_920.0, 1_080.0)));
    harness.run_steps(60);
    assert_eq!(kept(&stage, "place"), ["300 40 900 640 maximized"], "and its size otherwise");
}

#[test]
fn a_window_that_closes_keeps_what_has_not_come_to_rest() {
    let (stage, mut harness) = shown(&[]);
    stage.take();
    put(&mut harness, Rect::from_min_size(pos2(300.0, 40.0), vec2(900.0, 640.0)));
    harness.get_by_label("Message").focus();
    harness.run_steps(2);
    harness.get_by_label("Message").type_text("half a thou");
    harness.run_steps(2);
    stage.take();
    harness.state_mut().leave();
    let asked = stage.take();
    let (to, text) = (Target::Conversation(CONV), "half a thou".to_owned());
    assert!(asked.contains(&Command::SaveDraft { to, text }), "{asked:?}");
    let value = "300 40 900 640 normal".to_owned();
    let place = Command::KeepInterface { key: "place".to_owned(), value };
    assert!(asked.contains(&place), "{asked:?}");
}
