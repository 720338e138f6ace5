use super::*;
use crate::tables::testing::{fuzz, random};

#[test]
fn whatever_frames_come_on_links_three_servers_handle_them() {
    fuzz_links(b"");
    fuzz(|seed| {
        let mut state = seed;
        let bytes: Vec<u8> = (0..75).flat_map(|_| random(&mut state).to_le_bytes()).collect();
        fuzz_links(&bytes);
    });
}

#[test]
fn a_probe_that_has_ended_is_not_answered_by_a_probe() {
    let mut world = World::new();
    let lost = |(end, other): (&End, &Option<End>)| {
        let is_own = matches!(end, (2, LinkId::Own(_)));
        (is_own && matches!(other, Some((1, _)))).then_some(*end)
    };
    let end = world.ends.iter().find_map(lost).expect("server 2 has dialled server 1");
    let before = world.accepted;
    world.close(end);
    world.handle(2, Input::LinkClosed(end.1));
    world.elapse(1_000);
    // The link anew, and a look or two at who is there. Without an end there would be hundreds.
    let dials = world.accepted - before;
    assert!((1..=6).contains(&dials), "{dials} dials after one lost link");
}

#[test]
fn a_candidate_that_asks_a_thousand_times_in_a_turn_gets_one_answer() {
    let mut world = World::new();
    let link = |(end, other): (&End, &Option<End>)| {
        let is_inward = matches!(end, (1, LinkId::Theirs(_)));
        (is_inward && matches!(other, Some((2, _)))).then_some(end.1)
    };
    let link = world.ends.iter().find_map(link).expect("server 2 has dialled server 1");
    let now = world.now;
    for attempt in 0..1_000 {
        let pull = Message::Pull(Pull { attempt, after: Index(1) });
        world.node(1).handle(Input::LinkFrame(link, Frame::Replication(pull).encode()), now);
    }
    let mut answers = Vec::new();
    while let Some(effect) = world.node(1).next_effect() {
        if let Effect::SendFrame { frame, .. } = effect
            && let Ok(Frame::Replication(Message::Suffix(suffix))) = Frame::decode(&frame)
        {
            answers.push(suffix.attempt);
        }
    }
    assert_eq!(answers, [999], "the newest alone");
}
