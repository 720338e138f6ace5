use holdfast_common::client::Model;
use holdfast_common::ids::ConversationId;
use holdfast_common::protocol::MessageView;

use super::*;

const C1: ConversationId = ConversationId(1);

fn message(seq: u64, text: &str) -> MessageRecord {
    let text = text.to_owned();
    let view = MessageView { seq: Seq(seq), from: None, text, ts: 0, edited: None, deleted: false };
    MessageRecord { view, own: false, copies: 0, of: 0 }
}

fn opened(messages: Vec<MessageRecord>) -> Model {
    let mut model = Model::default();
    model.apply(Update::Opened { conv: C1, messages, loading: false });
    model
}

/// A search that has looked at everything, and how many frames that took.
fn look_for(model: &Model, text: &str) -> (Search, usize) {
    let mut search = Search::default();
    search.look_for(text);
    let mut frames = 0;
    while !search.is_done() {
        search.advance(model.timeline(C1).unwrap());
        frames += 1;
    }
    (search, frames)
}

fn happens(model: &mut Model, search: &mut Search, update: Update) -> Option<Seq> {
    search.note(&update);
    model.apply(update);
    search.advance(model.timeline(C1).unwrap())
}

#[test]
fn hits_are_counted_from_the_newest_and_stepped_through_both_ways() {
    let model = opened(vec![message(5, "Été"), message(6, "no"), message(7, "the ete")]);
    let (mut search, _) = look_for(&model, " ETE ");
    assert_eq!((search.current(), search.place()), (Some(Seq(7)), Some((1, 2))));
    assert_eq!(search.step(true), Some(Seq(5)));
    assert_eq!(search.place(), Some((2, 2)));
    assert_eq!(search.step(false), Some(Seq(7)));
    assert_eq!(search.step(false), None, "there is nothing newer");
    assert_eq!(search.current(), Some(Seq(7)));
}

#[test]
fn a_step_beyond_the_oldest_waits_for_older_messages_and_arrives_at_their_newest_hit() {
    let mut model = opened(vec![message(5, "yes"), message(6, "yes")]);
    let (mut search, _) = look_for(&model, "yes");
    search.step(true);
    assert!(!search.wants_older());
    assert_eq!(search.step(true), None);
    assert!(search.wants_older());
    let older = |before, messages| Update::Older {
        conv: C1,
        before: Seq(before),
        messages,
        loading: false,
    };
    let page = older(5, vec![message(3, "no"), message(4, "no")]);
    assert_eq!(happens(&mut model, &mut search, page), None);
    assert!(search.wants_older(), "nothing yet");
    let page = older(3, vec![message(1, "yes"), message(2, "yes")]);
    assert_eq!(happens(&mut model, &mut search, page), Some(Seq(2)));
    assert!(!search.wants_older());
    assert_eq!(search.place(), Some((3, 4)));
    search.step(true);
    search.step(true);
    search.advance(model.timeline(C1).unwrap());
    assert!(!search.wants_older(), "the beginning is here");
}

#[test]
fn messages_that_come_change_or_go_are_counted_as_they_are_now() {
    let mut model = opened(vec![message(5, "yes"), message(6, "no"), message(7, "yes")]);
    let (mut search, _) = look_for(&model, "yes");
    let text = "yes".to_owned();
    let edited = Update::Edited { conv: C1, seq: Seq(6), text, ts: 1 };
    happens(&mut model, &mut search, edited);
    assert_eq!(search.place(), Some((1, 3)));
    happens(&mut model, &mut search, Update::Message(C1, message(8, "yes")));
    assert_eq!(search.place(), Some((2, 4)), "the person stays where it was");
    let shown = happens(&mut model, &mut search, Update::Deleted(C1, Seq(7)));
    assert_eq!(shown, Some(Seq(6)), "the next older one");
    assert_eq!(search.place(), Some((2, 3)));
}

#[test]
fn a_frame_looks_at_a_part_of_a_long_chat_only() {
    let texts = (1..=100_000).map(|seq| message(seq, "a line of some usual length, and one hit"));
    let model = opened(texts.collect());
    let (search, frames) = look_for(&model, "hit");
    assert_eq!(search.place(), Some((1, 100_000)));
    assert!(frames > 20, "{frames} frames");
    let mut search = Search::default();
    search.look_for("hit");
    search.advance(model.timeline(C1).unwrap());
    assert_eq!(search.current(), Some(Seq(100_000)), "the newest hit is there at once");
}

#[test]
fn marks_stand_where_the_text_has_it_whatever_was_folded_away() {
    let mut search = Search::default();
    search.look_for("ete");
    assert_eq!(search.marks("l'E\u{301}te\u{301}, été"), [2..6, 9..12]);
    search.look_for("");
    assert_eq!(search.marks("anything"), []);
}
