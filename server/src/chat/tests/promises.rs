//! One promise of the protocol a test.

use holdfast_common::ids::{ConversationId, Cursor, Seq, UserId};
use holdfast_common::protocol::{
    Conversations, ConversationsOk, ErrorCode, History, HistoryOk, Page, Reply, Scope,
};

use super::compare::refused;
use super::random::all;
use super::world::{World, follow_ups, new_session, register, send, session, token_hash, txn};
use crate::chat::operation::{
    Actor, Ended, Ending, Notice, Operation, Outcome, Recipient, Stamped, Success,
};
use crate::chat::query::{Answer, Query, Registration};
use crate::tables::{MemoryRows, Rows};

fn world() -> World<MemoryRows> {
    World::new(MemoryRows::new())
}

fn done() -> Outcome {
    Outcome::Done(Success::Plain)
}

fn history(world: &World<MemoryRows>, user: UserId, conv: u64) -> HistoryOk {
    let page = History { conv: ConversationId(conv), page: Page::Newest, limit: None };
    let answer = world.ask(&Query::History(user, page));
    let Answer::Reply(Reply::History(ok)) = answer else { panic!("{answer:?}") };
    ok
}

fn conversations(world: &World<MemoryRows>, user: UserId) -> ConversationsOk {
    let answer = world.ask(&Query::Conversations(user, Conversations::default()));
    let Answer::Reply(Reply::Conversations(ok)) = answer else { panic!("{answer:?}") };
    ok
}

/// Anna and Bob in conversation 1: each has sent `count` messages, in turn.
fn two(count: u32) -> (World<MemoryRows>, Actor, Actor) {
    let mut world = world();
    let (anna, bob) = (world.register("Anna", 1), world.register("Bob", 2));
    for n in 0..count {
        world.apply(send(anna, Recipient::User(bob.user), &format!("from anna {n}"), 100 + 2 * n));
        world.apply(send(bob, Recipient::User(anna.user), &format!("from bob {n}"), 101 + 2 * n));
    }
    (world, anna, bob)
}

fn contains(world: &World<MemoryRows>, text: &str) -> bool {
    all(&world.rows).iter().any(|(_, row)| row.windows(text.len()).any(|at| at == text.as_bytes()))
}

#[test]
fn a_deleted_account_is_unreadable_at_once_and_erased_step_by_step() {
    let (mut world, anna, bob) = two(20);
    world.settle(Operation::Read { actor: anna, conv: ConversationId(1), upto: Seq(9) });
    let before = world.at();
    let applied = world.apply(Operation::DeleteAccount { actor: anna, revision: 1 });
    assert_eq!(applied.outcome, Some(done()));
    let ended = Notice::Ended { user: anna.user, sessions: Ended::All, reason: Ending::Deleted };
    assert!(applied.notices.contains(&ended));
    assert!(applied.notices.contains(&Notice::Erasable));
    assert!(contains(&world, "from anna"), "erasing is work for later");
    for message in history(&world, bob.user, 1).messages {
        let own = message.from.as_deref() == Some("Bob");
        assert_eq!((message.from.is_none(), message.deleted), (!own, !own));
        assert_eq!(message.text.is_empty(), !own);
    }
    let listed = conversations(&world, bob.user).conversations.pop().unwrap();
    assert_eq!((listed.with, listed.peer_read, listed.unread), (None, Seq(0), 0));
    let query = Query::Backlog { user: bob.user, after: before, bytes_max: 1 << 20 };
    assert!(matches!(world.ask(&query), Answer::Backlog { lines, .. } if lines.is_empty()));

    let mut waiting = follow_ups(&applied);
    let (mut steps, mut told) = (0, 0);
    while let Some(next) = waiting.pop() {
        let applied = world.apply(next);
        waiting.extend(follow_ups(&applied));
        steps += 1;
        told += applied.notices.iter().filter(|n| matches!(n, Notice::Event { .. })).count();
    }
    assert!(steps > 5, "{steps}");
    assert_eq!(told, 1, "Bob is told once that the conversation's other member is gone");
    assert!(!contains(&world, "from anna") && !contains(&world, "Anna"));
    assert!(contains(&world, "from bob"));
    assert_eq!(history(&world, bob.user, 1).messages.len(), 40, "numbers stay");
    let to_nobody = send(bob, Recipient::Conversation(ConversationId(1)), "hello?", 900);
    assert_eq!(world.outcome(to_nobody), Outcome::Refused(ErrorCode::NoSuchUser));
}

#[test]
fn texts_erased_by_a_late_step_ask_for_another_compaction() {
    let (mut world, anna, _) = two(20);
    let mut waiting =
        follow_ups(&world.apply(Operation::DeleteAccount { actor: anna, revision: 1 }));
    let mut asked = 0;
    while let Some(next) = waiting.pop() {
        let had = contains(&world, "from anna");
        let applied = world.apply(next);
        waiting.extend(follow_ups(&applied));
        if had && !contains(&world, "from anna 19") {
            assert!(applied.notices.contains(&Notice::Erasable));
            asked += 1;
            break;
        }
    }
    assert_eq!(asked, 1);
}

#[test]
fn when_both_are_gone_nothing_of_them_is_left() {
    let (mut world, anna, bob) = two(9);
    world.apply(send(anna, Recipient::User(anna.user), "a note", 800));
    let mut waiting =
        follow_ups(&world.apply(Operation::DeleteAccount { actor: anna, revision: 1 }));
    // Half of Anna is erased when Bob goes, and the two then go on in turn.
    for _ in 0..2 {
        let next = waiting.pop().unwrap();
        waiting.extend(follow_ups(&world.apply(next)));
    }
    waiting.extend(follow_ups(&world.apply(Operation::AdminDeleteUser { user: bob.user })));
    while !waiting.is_empty() {
        let next = waiting.remove(0);
        waiting.extend(follow_ups(&world.apply(next)));
    }
    let kinds: Vec<u8> = all(&world.rows).iter().map(|(key, _)| key[0]).collect();
    let mut left = kinds.clone();
    left.dedup();
    assert_eq!(left, b"Rgmr", "where the rows stand, generations, and spent registrations");
}

#[test]
fn a_name_registered_anew_inherits_nothing() {
    let (mut world, anna, bob) = two(3);
    world.settle(Operation::DeleteAccount { actor: anna, revision: 1 });
    let heir = world.register("aNNa", 3);
    assert_ne!(heir.user, anna.user);
    assert!(conversations(&world, heir.user).conversations.is_empty());
    let page = History { conv: ConversationId(1), page: Page::Newest, limit: None };
    let answer = world.ask(&Query::History(heir.user, page));
    assert_eq!(refused(&answer), Some(ErrorCode::NoSuchConversation));
    assert!(matches!(world.ask(&Query::Token(token_hash(1))), Answer::Session(None)));
    let old = send(anna, Recipient::User(bob.user), "still here?", 700);
    assert_eq!(world.outcome(old), Outcome::Refused(ErrorCode::Unauthorized));
    // The old txn under the new account is a new message in a new conversation.
    let Operation::Send { text, txn, digest, .. } =
        send(anna, Recipient::User(bob.user), "from anna 0", 100)
    else {
        unreachable!()
    };
    let to = Recipient::User(bob.user);
    let again = world.outcome(Operation::Send { actor: heir, to, text, txn, digest });
    let Outcome::Done(Success::Sent { conv, seq, dup, .. }) = again else { panic!("{again:?}") };
    assert_eq!((conv, seq, dup), (ConversationId(2), Seq(1), false));
    assert_eq!(history(&world, bob.user, 1).messages.len(), 6, "Bob keeps the old one");
}

#[test]
fn a_registration_txn_outlives_its_account_for_thirty_day_marks() {
    let mut world = world();
    let anna = world.register("Anna", 1);
    let ask = |world: &World<MemoryRows>, name: &str, n| {
        let query = Query::Registration { name: name.to_owned(), txn: txn(n) };
        let Answer::Registration(found) = world.ask(&query) else { panic!() };
        found
    };
    assert!(
        matches!(ask(&world, "ANNA", 1), Registration::SameTxn(found) if found.user == anna.user)
    );
    assert!(matches!(ask(&world, "anna", 2), Registration::Taken));
    world.settle(Operation::DeleteAccount { actor: anna, revision: 1 });
    assert!(matches!(ask(&world, "anna", 1), Registration::TxnSpent));
    assert!(matches!(ask(&world, "anna", 2), Registration::Free));
    assert_eq!(world.outcome(register("Anna", 1)), Outcome::Stale);
    for _ in 0..30 {
        world.settle(Operation::DayMark);
    }
    assert!(matches!(ask(&world, "anna", 1), Registration::TxnSpent));
    world.settle(Operation::DayMark);
    assert!(matches!(ask(&world, "anna", 1), Registration::Free));
}

#[test]
fn a_repeated_registration_replaces_the_first_ones_session() {
    let mut world = world();
    let anna = world.register("Anna", 1);
    assert_eq!(
        world.outcome(register("Anna", 1)),
        Outcome::Done(Success::SignedIn { user: anna.user, name: "Anna".to_owned() }),
        "the very same operation, repeated by a forwarder, yields the same"
    );
    let again = Operation::SignIn {
        user: anna.user,
        revision: 1,
        session: new_session(2),
        replaces: Some(txn(1)),
    };
    let applied = world.apply(again.clone());
    let sessions = Ended::These(vec![session(1)]);
    let ended = Notice::Ended { user: anna.user, sessions, reason: Ending::Revoked };
    assert_eq!(applied.notices, [ended]);
    assert!(matches!(world.ask(&Query::Token(token_hash(1))), Answer::Session(None)));
    assert!(matches!(world.ask(&Query::Token(token_hash(2))), Answer::Session(Some(_))));
    assert_eq!(world.apply(again).notices, [], "and its own repeat ends nothing");
    assert!(matches!(world.ask(&Query::Token(token_hash(2))), Answer::Session(Some(_))));
}

#[test]
fn a_repeated_sign_in_does_not_bring_back_a_session_that_was_ended() {
    let (mut world, anna, _) = two(0);
    let sign_in =
        Operation::SignIn { user: anna.user, revision: 1, session: new_session(7), replaces: None };
    assert!(matches!(world.outcome(sign_in.clone()), Outcome::Done(Success::SignedIn { .. })));
    assert!(matches!(world.outcome(sign_in.clone()), Outcome::Done(Success::SignedIn { .. })));
    world.apply(Operation::Revoke { actor: anna, sessions: vec![session(7)] });
    assert_eq!(world.outcome(sign_in), Outcome::Refused(ErrorCode::Unauthorized));
    assert!(matches!(world.ask(&Query::Token(token_hash(7))), Answer::Session(None)));
}

#[test]
fn a_changed_password_ends_the_other_sessions_and_a_repeat_of_it_changes_nothing() {
    let (mut world, anna, _) = two(0);
    let sign_in = |n, revision| Operation::SignIn {
        user: anna.user,
        revision,
        session: new_session(n),
        replaces: None,
    };
    world.apply(sign_in(7, 1));
    let change =
        Operation::ChangePassword { actor: anna, revision: 1, password_hash: "new".to_owned() };
    let applied = world.apply(change.clone());
    let sessions = Ended::AllBut(anna.session);
    assert_eq!(
        applied.notices,
        [Notice::Ended { user: anna.user, sessions, reason: Ending::Revoked }]
    );
    assert_eq!(world.outcome(sign_in(8, 1)), Outcome::Stale, "verified against the old password");
    world.apply(sign_in(9, 2));
    let repeated = world.apply(change);
    assert_eq!((repeated.outcome, repeated.notices), (Some(done()), Vec::new()));
    let reset =
        Operation::AdminResetPassword { user: anna.user, password_hash: "by admin".to_owned() };
    assert_eq!(world.apply(reset.clone()).notices.len(), 1);
    world.apply(sign_in(10, 3));
    assert_eq!(world.apply(reset).notices, [], "whoever signed in since stays");
    assert!(matches!(world.ask(&Query::Token(token_hash(10))), Answer::Session(Some(_))));
}

#[test]
fn a_txn_is_answered_again_for_thirty_day_marks_and_then_forgotten() {
    let (mut world, anna, bob) = two(0);
    let first = send(anna, Recipient::User(bob.user), "hi", 50);
    let Outcome::Done(Success::Sent { conv, seq, ts_ms, .. }) = world.outcome(first.clone()) else {
        panic!()
    };
    let again = Outcome::Done(Success::Sent { conv, seq, ts_ms, dup: true });
    for mark in 0..30 {
        assert_eq!(world.outcome(first.clone()), again, "mark {mark}");
        world.settle(Operation::DayMark);
    }
    assert_eq!(world.outcome(first.clone()), again);
    let other = send(anna, Recipient::User(bob.user), "other", 50);
    assert_eq!(world.outcome(other), Outcome::Refused(ErrorCode::TxnConflict));
    world.settle(Operation::DayMark);
    let forgotten = world.outcome(first);
    assert!(matches!(forgotten, Outcome::Done(Success::Sent { dup: false, .. })), "{forgotten:?}");
}

#[test]
fn pruning_leaves_no_event_and_no_txn_below_the_floor() {
    // Far more rows than one step prunes, of two accounts.
    let (mut world, ..) = two(20);
    let steps: Vec<usize> = (0..31).map(|_| world.settle(Operation::DayMark)).collect();
    assert!(steps[..30].iter().all(|followed| *followed == 0));
    assert!(steps[30] > 10, "{}", steps[30]);
    let left = all(&world.rows).into_iter().filter(|(key, _)| b"etrRy".contains(&key[0]));
    assert_eq!(left.count(), 0);
}

#[test]
fn a_delete_that_changed_nothing_still_spends_its_txn() {
    let (mut world, anna, _) = two(1);
    let conv = ConversationId(1);
    let delete = |seq, n| Operation::Delete {
        actor: anna,
        conv,
        seq: Seq(seq),
        scope: Scope::Me,
        txn: txn(n),
    };
    assert_eq!(world.outcome(delete(1, 60)), done());
    assert_eq!(world.outcome(delete(1, 61)), done());
    assert_eq!(world.outcome(delete(2, 61)), Outcome::Refused(ErrorCode::TxnConflict));
    world.settle(Operation::DayMark);
    for _ in 0..30 {
        world.settle(Operation::DayMark);
    }
    assert_eq!(world.outcome(delete(2, 61)), done(), "and it is forgotten like any other");
}

#[test]
fn events_that_tell_nothing_do_not_hide_the_ones_behind_them() {
    let (mut world, anna, bob) = two(0);
    let before = world.at();
    // More sign-ins than a page of events has rows: each leaves one that tells nothing.
    for n in 0..20 {
        let session = new_session(300 + n);
        world.apply(Operation::SignIn { user: anna.user, revision: 1, session, replaces: None });
    }
    world.apply(send(bob, Recipient::User(anna.user), "found", 70));
    let (mut after, mut lines_found, mut pages) = (before, 0, 0);
    loop {
        let query = Query::Backlog { user: anna.user, after, bytes_max: 1 << 20 };
        let Answer::Backlog { lines, upto, more } = world.ask(&query) else { panic!() };
        (after, lines_found, pages) = (upto, lines_found + lines.len(), pages + 1);
        if !more {
            break;
        }
    }
    assert_eq!((after, lines_found), (world.at(), 1));
    assert!(pages > 1);
}

#[test]
fn a_cursor_from_another_history_is_known_however_far_it_reached() {
    let (mut world, anna, _) = two(3);
    world.generation = 5;
    world.apply(send(anna, Recipient::User(anna.user), "after the restore", 90));
    let now = world.at();
    let ask = |generation, index| {
        let after = Cursor { generation, index };
        refused(&world.ask(&Query::Backlog { user: anna.user, after, bytes_max: 1000 }))
    };
    assert_eq!(ask(1, now.index - 1), None, "what both histories share");
    assert_eq!(ask(1, now.index), Some(ErrorCode::CursorExpired), "the other history's end");
    assert_eq!(ask(1, now.index + 500), Some(ErrorCode::CursorExpired), "and far beyond it");
    assert_eq!(ask(5, now.index + 1), Some(ErrorCode::Behind), "to come");
    assert_eq!(ask(6, 1), Some(ErrorCode::Behind), "to come");
    assert_eq!(ask(3, now.index - 1), Some(ErrorCode::CursorExpired), "a generation never seen");
}

#[test]
fn who_has_deleted_a_message_is_not_shown_it_again_by_an_edit() {
    let (mut world, anna, bob) = two(1);
    let conv = ConversationId(1);
    let hide =
        |actor, n| Operation::Delete { actor, conv, seq: Seq(1), scope: Scope::Me, txn: txn(n) };
    let edit = |n| Operation::Edit {
        actor: anna,
        conv,
        seq: Seq(1),
        text: "edited".to_owned(),
        txn: txn(n),
    };
    world.apply(hide(bob, 80));
    let told = world.apply(edit(81)).notices.into_iter().filter_map(|notice| match notice {
        Notice::Event { user, .. } => Some(user),
        Notice::Ended { .. } | Notice::FollowUp(_) | Notice::DayMarked | Notice::Erasable => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [anna.user]);
    world.apply(hide(anna, 82));
    assert_eq!(world.outcome(edit(83)), Outcome::Refused(ErrorCode::NoSuchMessage));
}

#[test]
fn nothing_is_written_for_an_account_that_is_gone() {
    let (mut world, anna, bob) = two(2);
    world.settle(Operation::DeleteAccount { actor: anna, revision: 1 });
    let conv = ConversationId(1);
    world.apply(Operation::Read { actor: bob, conv, upto: Seq(4) });
    let (text, seq) = ("late".to_owned(), Seq(2));
    world.apply(Operation::Edit { actor: bob, conv, seq, text, txn: txn(95) });
    world.apply(Operation::Delete { actor: bob, conv, seq, scope: Scope::All, txn: txn(96) });
    let of_anna = |key: &[u8]| key[0] == b'e' && key[1..9] == anna.user.0.to_be_bytes();
    assert!(!all(&world.rows).iter().any(|(key, _)| of_anna(key)));
}

#[test]
fn a_message_of_an_account_that_is_gone_is_a_tombstone_before_it_is_erased() {
    let (mut world, anna, bob) = two(2);
    world.apply(Operation::DeleteAccount { actor: anna, revision: 1 });
    let (conv, seq, scope) = (ConversationId(1), Seq(1), Scope::Me);
    let hide = Operation::Delete { actor: bob, conv, seq, scope, txn: txn(97) };
    let applied = world.apply(hide);
    assert_eq!((applied.outcome, applied.notices), (Some(done()), Vec::new()));
}

#[test]
fn what_a_crash_left_half_done_is_known() {
    let (mut world, anna, _) = two(3);
    world.apply(Operation::DeleteAccount { actor: anna, revision: 1 });
    for _ in 0..31 {
        world.apply(Operation::DayMark);
    }
    let Answer::FollowUps(found, _) = world.ask(&Query::FollowUps) else { panic!() };
    assert_eq!(found, [Operation::Erase { user: anna.user }, Operation::Prune]);
    for operation in found {
        world.settle(operation);
    }
    assert!(matches!(world.ask(&Query::FollowUps), Answer::FollowUps(left, _) if left.is_empty()));
}

#[test]
fn whoever_signs_in_on_one_device_too_many_ends_the_oldest_session() {
    let mut world = world();
    let anna = world.register("anna", 1);
    let mut sign_in = |n| {
        let session = new_session(n);
        let operation = Operation::SignIn { user: anna.user, revision: 1, session, replaces: None };
        world.apply(operation).notices
    };
    for n in 2..=6 {
        assert_eq!(sign_in(n), Vec::new());
    }
    for n in 7..10 {
        let sessions = Ended::These(vec![session(n - 6)]);
        let reason = Ending::Revoked;
        assert_eq!(sign_in(n), [Notice::Ended { user: anna.user, sessions, reason }]);
    }
    let newest = Actor { session: session(9), ..anna };
    let Answer::Reply(Reply::Sessions(ok)) = world.ask(&Query::Sessions(newest)) else { panic!() };
    assert_eq!(ok.sessions.len(), 6);
}

#[test]
fn the_hash_is_over_every_row_and_tells_one_changed_byte() {
    let verified = |tampered: bool| {
        let (mut world, ..) = two(5);
        if tampered {
            let (key, mut value) = all(&world.rows).pop().unwrap();
            let last = value.len() - 1;
            value[last] ^= 1;
            world.rows.commit(vec![(key, Some(value))]).unwrap();
        }
        // Everything but the row that says where the rows stand.
        let rows_before = all(&world.rows).len() as u64 - 1;
        assert_eq!(world.outcome(Operation::Verify), done());
        let (rows, hash) = crate::chat::hash_all(&world.rows).unwrap();
        assert_eq!(rows, rows_before);
        hash
    };
    assert_eq!(verified(false), verified(false));
    assert_ne!(verified(false), verified(true));
}

#[test]
fn every_operation_reads_back_what_it_was_written_as() {
    let (world, ..) = two(2);
    for entry in &world.log {
        let crate::entry::Payload::Operation(bytes) = &entry.payload else { panic!() };
        let stamped = Stamped::decode(bytes).unwrap();
        assert_eq!(&stamped.encode(), bytes);
    }
}
