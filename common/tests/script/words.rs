//! The words of a script's inputs.

use std::time::Duration;

use holdfast_common::client::{
    CloseReason, Command, CommandId, ConnectionId, Identity, Input, Question,
};
use holdfast_common::config::Secret;
use holdfast_common::ids::{ConversationId, Seq};
use holdfast_common::protocol::{
    Conversations, ErrorCode, ErrorReply, RevokeTarget, Scope, Target, Users, encode_error,
};

use super::World;

impl World {
    /// `start s1:1 s2:1` · `ready s1:1 s2:1` · `restart` · `wait MS` · `jump-wall MS` · `opened N
    /// [plain|ordinary|cluster XX]` · `hello N [key=value]` · `line N JSON` · `ok N ID JSON` · `err
    /// N ID CODE [AFTER_MS]` · `ev N CUR NAME JSON` · `closed N [changed XX|REASON]` · everything
    /// else is a command.
    pub(crate) fn input(&mut self, words: &str) {
        let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
        let (first, tail) = rest.split_once(' ').unwrap_or((rest, ""));
        let connection = || ConnectionId(first.parse().expect("a connection's number"));
        match word {
            "start" => {
                self.settings.servers = rest.split_whitespace().map(ToOwned::to_owned).collect();
                self.start();
            }
            "ready" => self.make_ready(rest),
            "restart" => self.start(),
            "wait" => self.wait(Duration::from_millis(rest.parse().unwrap())),
            "jump-wall" => self.now.wall_ms += rest.parse::<u64>().unwrap(),
            "opened" => {
                let identity = identity(tail);
                self.handle(Input::Opened { connection: connection(), identity });
            }
            "hello" => self.line(connection(), &hello(tail, &self.settings.servers)),
            "line" => self.line(connection(), tail),
            "ok" => {
                let (id, ok) = tail.split_once(' ').unwrap_or((tail, "{}"));
                self.line(connection(), &format!(r#"{{"id":{id},"ok":{ok}}}"#));
            }
            "err" => {
                let mut parts = tail.split(' ');
                let id = parts.next().unwrap().parse().unwrap();
                let name = parts.next().unwrap();
                let code = ErrorCode::ALL.iter().find(|code| code.name() == name).unwrap();
                let mut error = ErrorReply::with_text(*code, name);
                error.after_ms = parts.next().map(|ms| ms.parse().unwrap());
                let line = encode_error(Some(id), &error);
                self.line(connection(), std::str::from_utf8(&line).unwrap().trim_end());
            }
            "ev" => {
                let mut parts = tail.splitn(3, ' ');
                let (cur, name) = (parts.next().unwrap(), parts.next().unwrap());
                let d = parts.next().unwrap();
                self.line(connection(), &format!(r#"{{"ev":"{name}","cur":"{cur}","d":{d}}}"#));
            }
            "closed" => {
                let reason = match tail.split_once(' ') {
                    Some(("changed", what)) => {
                        CloseReason::IdentityChanged { presented: identity(what) }
                    }
                    _ if tail.is_empty() => CloseReason::Ended,
                    _ => CloseReason::Failed(tail.to_owned()),
                };
                self.handle(Input::Closed { connection: connection(), reason });
            }
            _ => {
                self.commands += 1;
                let command = self.command(word, rest);
                self.handle(Input::Command(CommandId(self.commands), command));
            }
        }
    }

    fn line(&mut self, connection: ConnectionId, line: &str) {
        let mut line = line.to_owned();
        for (txn, name) in &self.txns {
            line = line.replace(&format!("\"{name}\""), &format!("\"{txn}\""));
        }
        self.handle(Input::Line { connection, line: line.into_bytes() });
    }

    fn command(&self, word: &str, rest: &str) -> Command {
        let (first, tail) = rest.split_once(' ').unwrap_or((rest, ""));
        let secret = |text: &str| Secret::new(text.to_owned());
        let message = || {
            let (seq, tail) = tail.split_once(' ').unwrap_or((tail, ""));
            (conv(first), Seq(seq.parse().unwrap()), tail.to_owned())
        };
        match word {
            "resume" => Command::Resume,
            "login" => Command::Login { user: first.to_owned(), pass: secret(tail) },
            "register" => Command::Register { user: first.to_owned(), pass: secret(tail) },
            "cancel" => Command::CancelSignIn,
            "sign-out" => Command::SignOut,
            "passwd" => Command::Passwd { old: secret(first), new: secret(tail) },
            "revoke-others" => Command::Revoke(RevokeTarget::Others),
            "delete-account" => Command::DeleteAccount { pass: secret(first) },
            "send" => {
                // Texts of a repository end with no white space.
                let text = tail.replace("<blank>", " ");
                Command::Send { to: target(first), text }
            }
            "draft" => Command::SaveDraft { to: target(first), text: tail.to_owned() },
            "keep" => Command::KeepInterface { key: first.to_owned(), value: tail.to_owned() },
            "edit" => {
                let (conv, seq, text) = message();
                Command::Edit { conv, seq, text }
            }
            "delete" => {
                let (conv, seq, scope) = message();
                let scope = if scope == "all" { Scope::All } else { Scope::Me };
                Command::Delete { conv, seq, scope }
            }
            "read" => {
                let (conv, upto, _) = message();
                Command::MarkRead { conv, upto }
            }
            "open" => Command::Open(conv(first)),
            "older" => {
                let (conv, before, _) = message();
                Command::LoadOlder { conv, before }
            }
            "retry" => Command::Retry(self.txn(first)),
            "discard" => Command::Discard(self.txn(first)),
            "try-now" => Command::TryNow,
            "accept" => Command::AcceptIdentity(identity(rest)),
            "reject" => Command::RejectIdentity,
            "users" => Command::Ask(Question::Users(Users {
                prefix: first.to_owned(),
                after: None,
                limit: None,
            })),
            "conversations" => Command::Ask(Question::Conversations(Conversations::default())),
            "sessions" => Command::Ask(Question::Sessions),
            "status" => Command::Ask(Question::Status),
            _ => panic!("no such word: {word}"),
        }
    }
}

fn conv(text: &str) -> ConversationId {
    text.parse().expect("a conversation such as c1")
}

fn target(text: &str) -> Target {
    match text.parse() {
        Ok(conv) => Target::Conversation(conv),
        Err(_) => Target::User(text.to_owned()),
    }
}

fn identity(text: &str) -> Identity {
    match text.split_once(' ') {
        Some(("cluster", byte)) => {
            Identity::Cluster([u8::from_str_radix(byte, 16).expect("two hex digits"); 32])
        }
        _ if text == "ordinary" => Identity::Ordinary,
        _ => Identity::Plain,
    }
}

/// The answer to `hello` of server 1, three of three in sync, unless the words say otherwise.
fn hello(words: &str, servers: &[String]) -> String {
    let value = |key: &str, default: &str| {
        let found = words.split_whitespace().find_map(|word| word.strip_prefix(&format!("{key}=")));
        found.unwrap_or(default).to_owned()
    };
    let servers: Vec<String> = (1..)
        .zip(servers)
        .map(|(number, address): (u8, _)| {
            format!(r#"{{"server":{number},"addr":"{address}","state":"in_sync","lag":0}}"#)
        })
        .collect();
    let of_the_cluster = format!(
        r#""in_sync":{},"of":3,"writable":{},"servers":[{}]"#,
        value("in_sync", "3"),
        value("writable", "true"),
        servers.join(",")
    );
    format!(
        r#"{{"id":1,"ok":{{"proto":1,"cluster":"{}","limits":{{"line":65536,"text":9,{}}},{}}}}}"#,
        value("cluster", "aa"),
        format_args!(r#""pipeline":{}"#, value("pipeline", "64")),
        format_args!(
            r#""ping_s":15,"server":{},"role":"backup","primary":1,"ballot":"1.1.1",{}"#,
            value("server", "1"),
            of_the_cluster
        ),
    )
}
