//! Asks the real chat and the naive one everything, and compares.

use holdfast_common::ids::{ConversationId, Cursor, Seq, UserId};
use holdfast_common::protocol::{
    Conversations, Durable, ErrorCode, History, LINE_BYTES_MAX, Page, Reply, ServerLine, Users,
};

use super::random::Run;
use super::world::txn;
use crate::chat::operation::Actor;
use crate::chat::query::{Answer, Query, Registration};

/// Everything that anybody can ask, as it stands now.
pub(super) fn compare(run: &Run) {
    crate::chat::check(&run.world.rows).unwrap();
    let users: Vec<UserId> = run.model.users.keys().copied().collect();
    for user in users {
        compare_conversations(run, user);
        compare_backlog(run, user);
    }
    for actor in run.actors.iter().rev().take(12) {
        compare_sessions(run, *actor);
    }
    compare_users(run);
    compare_registrations(run);
}

pub(super) fn refused(answer: &Answer) -> Option<ErrorCode> {
    if let Answer::Refused(error) = answer { Some(error.code) } else { None }
}

fn compare_conversations(run: &Run, user: UserId) {
    let expected = run.model.conversation_list(user);
    let mut found = Vec::new();
    let mut page = Conversations { after: None, limit: Some(3) };
    loop {
        let answer = run.world.ask(&Query::Conversations(user, page.clone()));
        let Answer::Reply(Reply::Conversations(ok)) = answer else { panic!("{answer:?}") };
        assert_eq!(ok.cur, run.world.at());
        assert!(ok.conversations.len() <= 3);
        page.after = ok.conversations.last().map(|last| last.conv);
        found.extend(ok.conversations);
        if !ok.more {
            break;
        }
    }
    assert_eq!(found, expected, "conversations of {user}");
    for conv in 1..=run.model.conversations.len() as u64 + 1 {
        let conv = ConversationId(conv);
        let last = run.model.conversations.get(&conv).map_or(0, |c| c.messages.len() as u64);
        let pages = [
            (Page::Newest, None),
            (Page::Newest, Some(2)),
            (Page::Before(Seq(last)), Some(3)),
            (Page::Before(Seq(last / 2)), None),
            (Page::After(Seq(last / 2)), Some(2)),
            (Page::After(Seq(0)), None),
            (Page::After(Seq(u64::MAX)), Some(0)),
        ];
        for (page, limit) in pages {
            let history = History { conv, page, limit };
            let answer = run.world.ask(&Query::History(user, history.clone()));
            match run.model.history(user, &history) {
                Ok(expected) => {
                    let Answer::Reply(Reply::History(ok)) = answer else { panic!("{answer:?}") };
                    assert_eq!(ok, expected, "{user} asks {history:?}");
                }
                Err(code) => assert_eq!(refused(&answer), Some(code), "{user} {history:?}"),
            }
        }
    }
}

/// All events behind a cursor, page by page, as a client reads them.
pub(super) fn backlog(run: &Run, user: UserId, after: Cursor) -> Vec<(Cursor, Durable)> {
    let mut found = Vec::new();
    let mut after = after;
    loop {
        let answer = run.world.ask(&Query::Backlog { user, after, bytes_max: 300 });
        let Answer::Backlog { lines, upto, more } = answer else { panic!("{answer:?}") };
        for (index, line) in lines {
            assert!(line.len() <= LINE_BYTES_MAX);
            let parsed = ServerLine::parse(line.trim_ascii_end()).unwrap();
            let ServerLine::Durable(event, cursor) = parsed else { panic!("{parsed:?}") };
            assert_eq!(index.0, cursor.index);
            found.push((cursor, event));
        }
        if !more {
            assert_eq!(upto, run.world.at());
            return found;
        }
        assert!(upto > after, "a page leads on");
        after = upto;
    }
}

fn compare_backlog(run: &Run, user: UserId) {
    let floor = run.model.floor;
    let all = run.world.log.len() as u64;
    let generation = |index: u64| match index.checked_sub(1) {
        Some(at) => run.world.log[at as usize].ballot.generation,
        None => 0,
    };
    for index in [floor.saturating_sub(1), floor, (floor + all) / 2, all.saturating_sub(3), all] {
        let after = Cursor { generation: generation(index), index };
        let expired = index + 1 < floor;
        if expired {
            continue;
        }
        assert_eq!(backlog(run, user, after), run.model.backlog(user, after), "{user} {after}");
    }
    let ask = |generation, index| {
        let after = Cursor { generation, index };
        refused(&run.world.ask(&Query::Backlog { user, after, bytes_max: 300 }))
    };
    let now = run.world.at();
    assert_eq!(ask(now.generation, all + 1), Some(ErrorCode::Behind));
    assert_eq!(ask(now.generation + 1, all), Some(ErrorCode::Behind));
    let elsewhere = if now.generation > 0 { Some(ErrorCode::CursorExpired) } else { None };
    assert_eq!(ask(now.generation.saturating_sub(1), all), elsewhere, "from another history");
    if let Some(old) = floor.checked_sub(2) {
        assert_eq!(ask(generation(old), old), Some(ErrorCode::CursorExpired), "too old");
    }
}

fn compare_sessions(run: &Run, actor: Actor) {
    let lives = run.model.users.get(&actor.user).and_then(|u| u.sessions.get(&actor.session));
    if let Some(session) = lives {
        let answer = run.world.ask(&Query::Sessions(actor));
        let Answer::Reply(Reply::Sessions(ok)) = answer else { panic!("{answer:?}") };
        assert_eq!(ok.sessions, run.model.session_list(actor));
        let answer = run.world.ask(&Query::OtherSessions(actor));
        let Answer::Sessions(others) = answer else { panic!("{answer:?}") };
        assert_eq!(others.len(), ok.sessions.len() - 1);
        let Answer::Session(Some(found)) = run.world.ask(&Query::Token(session.token_hash)) else {
            panic!("a live session has its token")
        };
        assert_eq!((found.actor, &found.name), (actor, &run.model.users[&actor.user].name));
    } else {
        let mut number = [0; 4];
        number.copy_from_slice(&actor.session.0[12..]);
        let token = super::world::token_hash(u32::from_be_bytes(number));
        let answer = run.world.ask(&Query::Token(token));
        // A registration repeated when its account was long gone makes the token another account's.
        let Answer::Session(found) = answer else { panic!("{answer:?}") };
        assert!(found.is_none_or(|found| found.actor.user != actor.user), "an ended session");
    }
}

fn compare_users(run: &Run) {
    for prefix in ["", "a", "AN", "carl", "zz"] {
        let mut found = Vec::new();
        let mut page = Users { prefix: prefix.to_owned(), after: None, limit: Some(2) };
        loop {
            let answer = run.world.ask(&Query::Users(page.clone()));
            let Answer::Reply(Reply::Users(ok)) = answer else { panic!("{answer:?}") };
            page.after = ok.users.last().map(|last| last.user.to_uppercase());
            found.extend(ok.users.into_iter().map(|user| user.user));
            if !ok.more {
                break;
            }
        }
        assert_eq!(found, run.model.names(prefix), "prefix {prefix:?}");
    }
}

fn compare_registrations(run: &Run) {
    for (name, number) in [("anna", 1), ("ANNA", 2), ("bob", 3), ("carla", 4), ("dora-3", 5)] {
        let txn = txn(number);
        let answer = run.world.ask(&Query::Registration { name: name.to_owned(), txn });
        let Answer::Registration(found) = answer else { panic!("{answer:?}") };
        let holder = run.model.named(name);
        let made = run.model.registrations.get(&(name.to_lowercase(), txn)).map(|made| made.0);
        match (holder, made) {
            (None, None) => assert!(matches!(found, Registration::Free), "{found:?}"),
            (Some(_), None) => assert!(matches!(found, Registration::Taken), "{found:?}"),
            (Some(holder), Some(made)) if holder == made => {
                assert!(matches!(found, Registration::SameTxn(account) if account.user == made));
            }
            (_, Some(_)) => assert!(matches!(found, Registration::TxnSpent), "{found:?}"),
        }
    }
}
