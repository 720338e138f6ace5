//! No line is longer than the protocol allows, whatever stands in it, and every page leads on.

use holdfast_common::ids::{ConversationId, Cursor, Seq, UserId};
use holdfast_common::protocol::{
    Conversations, ErrorCode, History, LINE_BYTES_MAX, Page, Reply, ServerLine, TEXT_BYTES_MAX,
    Users, check_text, encode_event,
};

use super::world::{World, new_session, send};
use crate::chat::operation::{Actor, Notice, Operation, Recipient};
use crate::chat::query::{Answer, Query};
use crate::tables::{MemoryRows, Rows};

/// A request's largest id.
const ID_MAX: u64 = (1 << 53) - 1;

/// Two accounts with the longest names, and messages of this text in their conversation.
fn full_of(text: &str, count: u32) -> (World<MemoryRows>, Actor, Actor) {
    let mut world = World::new(MemoryRows::new());
    let anna = world.register(&"A".repeat(32), 1);
    let bob = world.register(&"B".repeat(32), 2);
    world.ts_ms = 1_795_420_800_000;
    for n in 0..count {
        world.apply(send(anna, Recipient::User(bob.user), text, 10 + n));
    }
    (world, anna, bob)
}

fn line(reply: &Reply) -> Vec<u8> {
    let line = reply.encode(ID_MAX);
    assert!(line.len() <= LINE_BYTES_MAX, "{} bytes", line.len());
    line
}

/// Reads the conversation forwards and backwards, page by page, and gives the numbers read.
fn read_all(world: &World<MemoryRows>, user: UserId, forwards: bool) -> Vec<Seq> {
    let conv = ConversationId(1);
    let mut page = if forwards { Page::After(Seq(0)) } else { Page::Newest };
    let mut read = Vec::new();
    loop {
        let query = Query::History(user, History { conv, page, limit: None });
        let Answer::Reply(reply) = world.ask(&query) else { panic!() };
        line(&reply);
        let Reply::History(ok) = reply else { panic!() };
        let seqs: Vec<Seq> = ok.messages.iter().map(|message| message.seq).collect();
        assert!(seqs.is_sorted() && !seqs.is_empty(), "a page leads on");
        page = if forwards { Page::After(seqs[seqs.len() - 1]) } else { Page::Before(seqs[0]) };
        read.extend(seqs);
        if !ok.more {
            read.sort_unstable();
            return read;
        }
    }
}

fn read_backlog(world: &World<MemoryRows>, user: UserId) -> usize {
    let mut after = Cursor { generation: 1, index: 2 };
    let mut read = 0;
    loop {
        let query = Query::Backlog { user, after, bytes_max: 128 * 1024 };
        let Answer::Backlog { lines, upto, more } = world.ask(&query) else { panic!() };
        let bytes: usize = lines.iter().map(|(_, line)| line.len()).sum();
        assert!(bytes <= 128 * 1024 + LINE_BYTES_MAX, "one line more at most");
        for (_, line) in &lines {
            assert!(line.len() <= LINE_BYTES_MAX, "{} bytes", line.len());
            assert!(matches!(
                ServerLine::parse(line.trim_ascii_end()),
                Ok(ServerLine::Durable(..))
            ));
        }
        read += lines.len();
        if !more {
            return read;
        }
        after = upto;
    }
}

fn check(text: &str) {
    let (world, anna, bob) = full_of(text, 30);
    let all: Vec<Seq> = (1..=30).map(Seq).collect();
    for forwards in [true, false] {
        assert_eq!(read_all(&world, bob.user, forwards), all);
    }
    assert_eq!(read_backlog(&world, anna.user), 30);
    assert_eq!(read_backlog(&world, bob.user), 30);
    let answer = world.ask(&Query::Conversations(bob.user, Conversations::default()));
    let Answer::Reply(reply) = answer else { panic!() };
    line(&reply);
    let Reply::Conversations(ok) = reply else { panic!() };
    assert!(ok.conversations[0].last.text.len() <= 280);
    assert!(text.starts_with(&ok.conversations[0].last.text));
}

#[test]
fn no_character_of_a_text_that_the_rules_allow_takes_more_than_twice_its_bytes() {
    for character in ('\0'..=char::MAX).filter(|one| check_text(&format!("x{one}")).is_ok()) {
        let json = serde_json::to_string(&character).unwrap();
        assert!(json.len() - 2 <= 2 * character.len_utf8(), "{character:?} is {json}");
    }
    // Twice the longest text, twice the longest name, and the rest of the longest line.
    const { assert!(2 * TEXT_BYTES_MAX + 2 * 32 + 1024 <= LINE_BYTES_MAX) };
}

#[test]
fn pages_of_the_longest_texts_fit_into_a_line() {
    check(&"x".repeat(TEXT_BYTES_MAX));
    check(&"ü".repeat(TEXT_BYTES_MAX / 2));
    check(&"🜁".repeat(TEXT_BYTES_MAX / 4));
    check("short");
}

#[test]
fn pages_of_the_longest_texts_of_quotes_fit_into_a_line() {
    check(&"\"\\\n".repeat(TEXT_BYTES_MAX / 3));
}

#[test]
fn texts_that_no_rule_allows_are_cut_rather_than_make_a_line_too_long() {
    // JSON takes six bytes for each of these.
    check(&"\u{1}".repeat(TEXT_BYTES_MAX));
    check(&"x".repeat(3 * TEXT_BYTES_MAX));
}

#[test]
fn a_live_event_of_the_longest_text_fits_into_a_line() {
    let (mut world, anna, bob) = full_of("x", 1);
    let text = "\"".repeat(TEXT_BYTES_MAX);
    let applied = world.apply(send(anna, Recipient::User(bob.user), &text, 900));
    let mut events = 0;
    for notice in applied.notices {
        if let Notice::Event { event, .. } = notice {
            let cursor = Cursor { generation: u64::MAX, index: u64::MAX };
            assert!(encode_event(&event, Some(cursor)).len() <= LINE_BYTES_MAX);
            events += 1;
        }
    }
    assert_eq!(events, 2);
}

#[test]
fn a_page_of_conversations_ends_early_and_the_next_one_goes_on() {
    let mut world = World::new(MemoryRows::new());
    let anna = world.register(&"A".repeat(32), 0);
    // As long as a preview can be: 280 bytes that JSON doubles.
    let text = "\"".repeat(400);
    for n in 1..=150 {
        let peer = world.register(&format!("{:p<32}", format!("peer-{n}-")), n);
        world.apply(send(peer, Recipient::User(anna.user), &text, 1_000 + n));
    }
    let mut page = Conversations::default();
    let (mut listed, mut pages) = (Vec::new(), 0);
    loop {
        let answer = world.ask(&Query::Conversations(anna.user, page.clone()));
        let Answer::Reply(reply) = answer else { panic!() };
        line(&reply);
        let Reply::Conversations(ok) = reply else { panic!() };
        pages += 1;
        page.after = ok.conversations.last().map(|last| last.conv);
        listed.extend(ok.conversations.iter().map(|one| one.conv));
        if !ok.more {
            break;
        }
    }
    let newest_first: Vec<_> = (1..=150).rev().map(ConversationId).collect();
    assert_eq!(listed, newest_first);
    assert!(pages >= 2);
}

#[test]
fn pages_are_cut_at_their_limits() {
    let (world, _, bob) = full_of("short", 230);
    let page = |limit| {
        let history = History { conv: ConversationId(1), page: Page::Newest, limit };
        let answer = world.ask(&Query::History(bob.user, history));
        let Answer::Reply(Reply::History(ok)) = answer else { panic!() };
        (ok.messages.len(), ok.more)
    };
    assert_eq!(page(None), (100, true));
    assert_eq!(page(Some(u32::MAX)), (100, true));
    assert_eq!(page(Some(0)), (1, true));
    assert_eq!(page(Some(7)), (7, true));
    let users = Users { prefix: String::new(), after: None, limit: Some(1_000) };
    let Answer::Reply(reply) = world.ask(&Query::Users(users)) else { panic!() };
    line(&reply);
}

#[test]
fn of_very_many_sessions_the_newest_are_shown() {
    let (mut world, anna, _) = full_of("x", 1);
    for n in 0..700 {
        let mut session = new_session(5_000 + n);
        session.device = "\u{1}".repeat(100);
        world.apply(Operation::SignIn { user: anna.user, revision: 1, session, replaces: None });
    }
    let Answer::Reply(reply) = world.ask(&Query::Sessions(anna)) else { panic!() };
    line(&reply);
    let Reply::Sessions(ok) = reply else { panic!() };
    assert!(ok.sessions.len() < 700);
    let created: Vec<u64> = ok.sessions.iter().map(|session| session.created).collect();
    assert!(created.is_sorted());
    assert_eq!(created.last(), Some(&world.ts_ms));
}

#[test]
fn a_page_of_conversations_ends_where_counting_the_unread_ones_takes_long() {
    let mut world = World::new(MemoryRows::new());
    let anna = world.register("anna", 1);
    for (friend, name) in [(2, "bob"), (3, "carol"), (4, "dora")] {
        let friend = world.register(name, friend);
        for n in 0..15 {
            let n = 100 * u32::try_from(friend.user.0).unwrap() + n;
            world.apply(send(friend, Recipient::User(anna.user), "unread", n));
        }
    }
    let mut page = Conversations::default();
    let mut seen = Vec::new();
    loop {
        let answer = world.ask(&Query::Conversations(anna.user, page.clone()));
        let Answer::Reply(Reply::Conversations(ok)) = answer else { panic!() };
        assert_eq!(ok.conversations.len(), 1, "two would be thirty messages");
        assert_eq!(ok.conversations[0].unread, 15);
        page.after = Some(ok.conversations[0].conv);
        seen.push(ok.conversations[0].conv.0);
        if !ok.more {
            break;
        }
    }
    assert_eq!(seen, [3, 2, 1]);
}

#[test]
fn a_conversation_without_its_last_message_ends_nothing_but_the_question() {
    let (mut world, anna, _) = full_of("text", 1);
    let key = crate::chat::schema::message_key(ConversationId(1), Seq(1));
    world.rows.commit(vec![(key, None)]).unwrap();
    let answer = world.ask(&Query::Conversations(anna.user, Conversations::default()));
    let Answer::Refused(error) = answer else { panic!("{answer:?}") };
    assert_eq!(error.code, ErrorCode::Internal);
    assert!(error.text.contains("c1"), "the reference stands in the log too: {}", error.text);
}
