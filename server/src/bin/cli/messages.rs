//! People and messages, one question at a time: users, send, inbox, history.
//!
//! Owns: how they are shown, and paging. Driven by: `main`. Invariant: what is listed is what a
//! server says now, not what is kept here.

use std::io::Read as _;

use holdfast_common::client::{Answer, Command, ConnectionState, OutboxState, Question};
use holdfast_common::ids::{ConversationId, Seq};
use holdfast_common::protocol::{
    ConversationView, Conversations, ConversationsOk, ErrorCode, HISTORY_PAGE_MAX, History,
    HistoryOk, MessageView, Page, Reply, SendOk, TEXT_BYTES_MAX, Target, Users, UsersOk,
    check_name, check_text, fold_name,
};

use super::options::{Options, WhichMessages};
use super::output::{Output, Style, moment, safe_block, safe_line};
use super::problem::Problem;
use super::session::{PATIENCE, Session};

/// Why a reply cannot be of another kind.
const AS_ASKED: &str = "a reply is read as the answer to the question that was asked";
/// What becomes of a message when nobody answers.
const KEPT: &str = "The message is kept here. It goes out, once, with the next holdfast command or \
                    chat that reaches a server";

/// `users`
pub(crate) fn users(options: &Options, output: &mut Output, prefix: &str) -> Result<(), Problem> {
    let mut session = Session::open(options)?;
    session.resume()?;
    let ask = &mut |users| {
        let Reply::Users(page) = session.question(Question::Users(users))? else {
            unreachable!("{AS_ASKED}")
        };
        Ok(page)
    };
    let found = every_user(ask, prefix)?;
    show_users(output, &found)?;
    session.tidy_up()
}

/// All pages as one.
pub(crate) fn every_user(
    ask: &mut dyn FnMut(Users) -> Result<UsersOk, Problem>,
    prefix: &str,
) -> Result<UsersOk, Problem> {
    let mut found = UsersOk { users: Vec::new(), more: true };
    while found.more {
        let after = found.users.last().map(|last| last.user.clone());
        let page = ask(Users { prefix: prefix.to_owned(), after, limit: None })?;
        found.more = page.more && !page.users.is_empty();
        found.users.extend(page.users);
    }
    Ok(found)
}

pub(crate) fn show_users(output: &mut Output, found: &UsersOk) -> Result<(), Problem> {
    if output.is_json() {
        return output.json(found);
    }
    found.users.iter().try_for_each(|user| output.line(&safe_line(&user.user)))
}

/// `send`
pub(crate) fn send(
    options: &Options,
    output: &mut Output,
    user: &str,
    text: &str,
) -> Result<(), Problem> {
    let text = if text == "-" { piped()? } else { text.to_owned() };
    let checked = check_name(user).and_then(|()| check_text(&text));
    checked.map_err(|broken| Problem::Refused(broken.into()))?;
    let mut session = Session::open(options)?;
    let resumed = session.ask(Command::Resume);
    let sent = session.ask(Command::Send { to: Target::User(user.to_owned()), text });
    session.until(PATIENCE, |session| {
        let nobody = matches!(session.model.connection(), ConnectionState::NotConnected { .. });
        let ended = session.is_answered(resumed) && !session.is_signed_in();
        session.is_answered(sent) || nobody || ended
    })?;
    match session.answer(sent) {
        Some(Ok(Answer::Sent(ok))) => {
            session.tidy_up()?;
            show_sent(output, user, &ok)
        }
        Some(Ok(other)) => unreachable!("{other:?} is no answer to a message"),
        Some(Err(failure)) => {
            discard_refused(&mut session)?;
            Err(failure.into())
        }
        None if !session.is_signed_in() => Err(Problem::not_signed_in()),
        None => {
            let mut tried = Vec::new();
            if let ConnectionState::NotConnected { tried: all, .. } = session.model.connection() {
                tried.clone_from(all);
            }
            Err(Problem::NoServer { tried, safe: KEPT.to_owned() })
        }
    }
}

/// A refused message waits for the person's word. This command's end is that word: the newest item
/// is the one that it made.
fn discard_refused(session: &mut Session) -> Result<(), Problem> {
    let refused = |session: &Session| {
        let newest = session.model.outbox().last();
        let refused = newest.filter(|item| matches!(item.state, OutboxState::Refused(_)));
        refused.map(|item| item.txn)
    };
    // The item's state is told behind the answer.
    session.settle(|session| refused(session).is_some())?;
    refused(session).map_or(Ok(()), |txn| session.call(Command::Discard(txn)).map(|_| ()))
}

fn show_sent(output: &mut Output, user: &str, ok: &SendOk) -> Result<(), Problem> {
    if output.is_json() {
        return output.json(ok);
    }
    let mark = output.paint(Style::Good, "✓");
    let copies = format!("stored on {} of {} servers", ok.copies, ok.of);
    output.line(&format!("{mark} message {} to {user}, {copies}", ok.seq))
}

/// A message from stdin; its last newline belongs to the pipe.
fn piped() -> Result<String, Problem> {
    let mut bytes = Vec::new();
    std::io::stdin().take(TEXT_BYTES_MAX as u64 + 2).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Problem::refused(ErrorCode::InvalidText, "a message is UTF-8 text; stdin is not")
    })?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// `inbox`
pub(crate) fn inbox(options: &Options, output: &mut Output) -> Result<(), Problem> {
    let mut session = Session::open(options)?;
    session.resume()?;
    let mut found =
        ConversationsOk { conversations: Vec::new(), more: false, ..page(&mut session, None)? };
    walk(&mut session, &mut |view| {
        if view.unread > 0 {
            found.conversations.push(view);
        }
        false
    })?;
    if output.is_json() {
        output.json(&found)?;
    } else if found.conversations.is_empty() {
        output.line("nothing unread")?;
    } else {
        let mut rows = vec![["unread", "from", "when", "last message"].map(str::to_owned).to_vec()];
        rows.extend(found.conversations.iter().map(|view| {
            let last = if view.last.deleted { "(deleted)" } else { &view.last.text };
            let when = moment(view.last.ts);
            vec![view.unread.to_string(), name(view.with.as_deref()), when, safe_line(last)]
        }));
        output.table(&rows)?;
    }
    session.tidy_up()
}

fn name(with: Option<&str>) -> String {
    with.map_or_else(|| "(deleted account)".to_owned(), safe_line)
}

fn page(session: &mut Session, after: Option<ConversationId>) -> Result<ConversationsOk, Problem> {
    let question = Question::Conversations(Conversations { after, limit: None });
    let Reply::Conversations(page) = session.question(question)? else {
        unreachable!("{AS_ASKED}")
    };
    Ok(page)
}

/// Every conversation, newest activity first, until `enough`.
fn walk(
    session: &mut Session,
    enough: &mut dyn FnMut(ConversationView) -> bool,
) -> Result<(), Problem> {
    let mut after = None;
    loop {
        let page = page(session, after)?;
        after = page.conversations.last().map(|last| last.conv);
        for view in page.conversations {
            if enough(view) {
                return Ok(());
            }
        }
        if !page.more || after.is_none() {
            return Ok(());
        }
    }
}

/// `history`
pub(crate) fn history(
    options: &Options,
    output: &mut Output,
    which: &WhichMessages,
) -> Result<(), Problem> {
    check_name(&which.user).map_err(|broken| Problem::Refused(broken.into()))?;
    let mut session = Session::open(options)?;
    session.resume()?;
    let mut found = None;
    walk(&mut session, &mut |view| {
        let is_meant = view.with.as_deref().map(fold_name) == Some(fold_name(&which.user));
        if is_meant {
            found = Some(view);
        }
        is_meant
    })?;
    let Some(view) = found else {
        let text = format!("there is no conversation with {}", which.user);
        return Err(Problem::refused(ErrorCode::NoSuchConversation, text));
    };
    let shown = messages(&mut session, view.conv, which)?;
    if output.is_json() {
        output.json(&shown)?;
    } else {
        shown.messages.iter().try_for_each(|message| show_message(output, message))?;
        if shown.more {
            let first = shown.messages.first().map_or(Seq(1), |first| first.seq);
            let more = format!("there is more: --before {first}");
            let more = output.paint(Style::Dim, &more);
            output.line(&more)?;
        }
    }
    if let Some(last) = shown.messages.last().filter(|_| !which.keep_unread) {
        mark_read(&mut session, view.conv, last.seq)?;
    }
    session.tidy_up()
}

/// The newest ones that are wanted, as one page.
fn messages(
    session: &mut Session,
    conv: ConversationId,
    which: &WhichMessages,
) -> Result<HistoryOk, Problem> {
    let mut found = HistoryOk { messages: Vec::new(), more: true };
    let mut page = which.before.map_or(Page::Newest, |seq| Page::Before(Seq(seq)));
    while found.more && found.messages.len() < which.limit as usize {
        let left = which.limit as usize - found.messages.len();
        let limit = u32::try_from(left.min(HISTORY_PAGE_MAX)).ok();
        let question = Question::History(History { conv, page, limit });
        let Reply::History(mut older) = session.question(question)? else {
            unreachable!("{AS_ASKED}")
        };
        found.more = older.more && !older.messages.is_empty();
        older.messages.append(&mut found.messages);
        found.messages = older.messages;
        page = found.messages.first().map_or(page, |first| Page::Before(first.seq));
    }
    Ok(found)
}

fn show_message(output: &mut Output, message: &MessageView) -> Result<(), Problem> {
    let from = name(message.from.as_deref());
    let head = format!("{:>5}  {:>16}  ", message.seq, moment(message.ts));
    let indent = head.chars().count() + from.chars().count() + 2;
    let text = match (message.deleted, message.edited) {
        (true, _) => output.paint(Style::Dim, "(deleted)"),
        (false, None) => safe_block(&message.text, indent),
        (false, Some(_)) => {
            let edited = output.paint(Style::Dim, " (edited)");
            safe_block(&message.text, indent) + &edited
        }
    };
    let head = output.paint(Style::Dim, &head);
    let from = output.paint(Style::Bold, &from);
    output.line(&format!("{head}{from}: {text}"))
}

/// The engine tells a server; what it could not tell now, it tells the next time.
fn mark_read(session: &mut Session, conv: ConversationId, upto: Seq) -> Result<(), Problem> {
    let is_known = |session: &Session| {
        session.model.conversation(conv).is_some_and(|record| record.last_seq >= upto)
    };
    if session.settle(is_known)? {
        session.call(Command::MarkRead { conv, upto })?;
        session.settle(|session| {
            session.model.conversation(conv).is_none_or(|record| record.read_told >= upto)
        })?;
    }
    Ok(())
}
