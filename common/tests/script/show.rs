//! How effects are written in a script: short enough to be read, whole enough to be believed.

use holdfast_common::client::{
    Answer, ConnectionState, ConversationRecord, Effect, Failure, Identity, Load, MessageRecord,
    OutboxItem, OutboxState, Tried, Update, Work, Write,
};
use holdfast_common::protocol::{Reply, Target};

use super::World;

impl World {
    pub(super) fn show(&mut self, effect: &Effect) -> String {
        let text = match effect {
            Effect::Dial { connection, address, pinned } => {
                let pinned = pinned.map_or(String::new(), |p| format!(" pinned {}", identity(p)));
                format!("dial {} {address}{pinned}", connection.0)
            }
            Effect::Send { connection, line } => {
                let line = String::from_utf8(line.clone()).unwrap();
                format!("send {} {}", connection.0, line.trim_end())
            }
            Effect::Close { connection } => format!("close {}", connection.0),
            Effect::Store(writes) => {
                let writes: Vec<String> = writes.iter().map(write).collect();
                format!("store {}", writes.join("; "))
            }
            Effect::Load(Load::Account(key)) => format!("load {}/{}", key.cluster, key.user),
            Effect::Load(Load::Messages { conv, before, limit }) => {
                format!("load {conv} before {} limit {limit}", seq_or_end(*before))
            }
            Effect::Update(told) => format!("tell {}", update(told)),
        };
        self.name_txns(&text)
    }
}

fn seq_or_end(seq: Option<holdfast_common::ids::Seq>) -> String {
    seq.map_or("end".to_owned(), |seq| seq.to_string())
}

fn identity(identity: Identity) -> String {
    match identity {
        Identity::Cluster(key) => format!("cluster {:02x}", key[0]),
        Identity::Ordinary => "ordinary".to_owned(),
        Identity::Plain => "plain".to_owned(),
    }
}

fn target(to: &Target) -> String {
    match to {
        Target::User(name) => name.clone(),
        Target::Conversation(conv) => conv.to_string(),
    }
}

fn write(write: &Write) -> String {
    match write {
        Write::Cluster(record) => format!(
            "cluster {} {} at {}",
            record.cluster,
            record.identity.map_or("plain".to_owned(), identity),
            record.servers.join(" ")
        ),
        Write::Last(last) => {
            format!("last {}", last.as_ref().map_or("nobody", |key| key.user.as_str()))
        }
        Write::Registration(record) => {
            let txn = record.as_ref().map(|record| record.txn.to_string());
            format!("registration {}", txn.as_deref().unwrap_or("none"))
        }
        Write::User(user) => format!("user {user}"),
        Write::Token(token) => format!("token {}", token.as_ref().map_or("none", |t| t.expose())),
        Write::Cursor(cur) => {
            format!("cursor {}", cur.map_or("none".to_owned(), |cur| cur.to_string()))
        }
        Write::Deletion(txn) => {
            format!("deletion {}", txn.map_or("none".to_owned(), |txn| txn.to_string()))
        }
        Write::Outbox(item) => format!("outbox {}", outbox(item)),
        Write::OutboxRemoved(txn) => format!("outbox {txn} removed"),
        Write::Draft(to, text) => format!("draft {} {text:?}", target(to)),
        Write::Interface(key, value) => format!("interface {key} {value:?}"),
        Write::Conversation(record) => conversation(record),
        Write::Message(conv, record) => format!("message {conv}.{}", message(record)),
        Write::Copies { conv, seq, copies, of } => format!("copies {conv}.{seq} {copies}/{of}"),
        Write::Edited { conv, seq, text, .. } => format!("edited {conv}.{seq} {text:?}"),
        Write::Deleted(conv, seq) => format!("deleted {conv}.{seq}"),
        Write::PeerGone(conv) => format!("peer gone {conv}"),
        Write::CacheDropped => "cache dropped".to_owned(),
        Write::AccountDropped => "account dropped".to_owned(),
    }
}

fn outbox(item: &OutboxItem) -> String {
    let work = match &item.work {
        Work::Send { to, text } => format!("send {} {text:?}", target(to)),
        Work::Edit { conv, seq, text } => format!("edit {conv}.{seq} {text:?}"),
        Work::Delete { conv, seq, scope } => format!("delete {conv}.{seq} {scope:?}"),
    };
    let state = match &item.state {
        OutboxState::Waiting => "waiting".to_owned(),
        OutboxState::Sent { .. } => "sent".to_owned(),
        OutboxState::Refused(error) => format!("refused {}", error.code),
        OutboxState::Stale => "stale".to_owned(),
    };
    format!("{} #{} {work}: {state}", item.txn, item.number)
}

fn conversation(record: &ConversationRecord) -> String {
    let ConversationRecord { conv, last_seq, read, read_told, delivered_told, .. } = record;
    format!(
        "{conv} with {} last {last_seq} {} read {read} (told {read_told}) delivered told \
         {delivered_told} peer read {} delivered {} unread {}",
        record.with.as_deref().unwrap_or("nobody"),
        record.last.as_ref().map_or("nothing".to_owned(), |last| format!("{:?}", last.view.text)),
        record.peer_read,
        record.peer_delivered,
        record.unread.total(),
    )
}

fn message(record: &MessageRecord) -> String {
    let view = &record.view;
    let own = if record.own { " own" } else { "" };
    let copies = match record.copies {
        0 => String::new(),
        copies => format!(" {copies}/{}", record.of),
    };
    let deleted = if view.deleted { " deleted" } else { "" };
    let from = view.from.as_deref().unwrap_or("nobody");
    format!("{} {from}: {:?}{own}{copies}{deleted}", view.seq, view.text)
}

fn messages(records: &[MessageRecord]) -> String {
    let shown: Vec<String> = records.iter().map(message).collect();
    format!("[{}]", shown.join(", "))
}

fn tried(tried: &[Tried]) -> String {
    let tried: Vec<String> = tried.iter().map(|t| format!("{} {}", t.address, t.reason)).collect();
    format!("[{}]", tried.join(", "))
}

fn update(update: &Update) -> String {
    match update {
        Update::Connection(state) => connection(state),
        Update::Session(state) => format!("session {state:?}"),
        Update::Cluster(status) => format!(
            "cluster: server {}, {} of {} in sync, writable {}",
            status.server, status.in_sync, status.of, status.writable
        ),
        Update::CacheDropped => "cache dropped".to_owned(),
        Update::Conversation(record) => conversation(record),
        Update::Listed => "listed".to_owned(),
        Update::Opened { conv, messages: shown, loading } => {
            format!("opened {conv} {} loading {loading}", messages(shown))
        }
        Update::Older { conv, before, messages: shown, loading } => {
            format!("older {conv} below {before} {} loading {loading}", messages(shown))
        }
        Update::Message(conv, record) => format!("message {conv}.{}", message(record)),
        Update::Edited { conv, seq, text, .. } => format!("edited {conv}.{seq} {text:?}"),
        Update::Deleted(conv, seq) => format!("deleted {conv}.{seq}"),
        Update::PeerGone(conv) => format!("peer gone {conv}"),
        Update::Copies { conv, seq, copies, of } => format!("copies {conv}.{seq} {copies}/{of}"),
        Update::Outbox(item) => format!("outbox {}", outbox(item)),
        Update::OutboxRemoved(txn) => format!("outbox {txn} removed"),
        Update::Draft(to, text) => format!("draft {} {text:?}", target(to)),
        Update::Interface(key, value) => format!("interface {key} {value:?}"),
        Update::Answer(command, outcome) => format!("answer {}: {}", command.0, answer(outcome)),
    }
}

fn connection(state: &ConnectionState) -> String {
    match state {
        ConnectionState::Idle => "idle".to_owned(),
        ConnectionState::Connecting => "connecting".to_owned(),
        ConnectionState::Connected { server, address, instead_of } => {
            let instead = instead_of.map_or(String::new(), |of| format!(" instead of {of}"));
            format!("connected to {server} at {address}{instead}")
        }
        ConnectionState::Switching { from, .. } => format!("switching from {from}"),
        ConnectionState::NotConnected { since_ms, next_try_ms, tried: list } => {
            let since = since_ms % 1_000_000;
            let next = next_try_ms.map_or("now".to_owned(), |at| (at % 1_000_000).to_string());
            format!("not connected since {since}, next try {next}, tried {}", tried(list))
        }
        ConnectionState::Unconfirmed { address, identity: shown } => {
            format!("unconfirmed {address} shows {}", identity(*shown))
        }
        ConnectionState::IdentityChanged { address, pinned, presented } => format!(
            "identity changed at {address}: pinned {}, shown {}",
            identity(*pinned),
            identity(*presented)
        ),
    }
}

fn answer(outcome: &Result<Answer, Failure>) -> String {
    match outcome {
        Ok(Answer::Done) => "done".to_owned(),
        Ok(Answer::SignedIn(user)) => format!("signed in as {user}"),
        Ok(Answer::Sent(ok)) => format!("sent {}.{} {}/{}", ok.conv, ok.seq, ok.copies, ok.of),
        Ok(Answer::Reply(Reply::Status(_))) => "status".to_owned(),
        Ok(Answer::Reply(reply)) => serde_json::to_string(reply).unwrap(),
        Err(Failure::Refused(error)) => match error.after_ms {
            Some(after_ms) => format!("refused {} after {after_ms} ms", error.code),
            None => format!("refused {}", error.code),
        },
        Err(Failure::NoServer(list)) => format!("no server, tried {}", tried(list)),
        Err(failure) => format!("{failure:?}"),
    }
}
