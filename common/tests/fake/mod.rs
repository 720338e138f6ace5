//! A cluster in a few lines: what a client must be able to rely on, and nothing else.
//!
//! One state behind any number of servers, so every server is always up to date. It keeps messages,
//! marks, txns and each account's events; the network around it does the harm.

use std::collections::BTreeMap;

use holdfast_common::ids::{ConversationId, Cursor, Seq, ServerId, Txn};
use holdfast_common::protocol::{
    ConversationView, ConversationsOk, Durable, Empty, ErrorCode, ErrorReply, HelloOk, HistoryOk,
    LastMessage, Limits, MarkEvent, MessageView, MsgEvent, Page, PingOk, Reply, Request, ResumeOk,
    Role, SendOk, SignedInOk, Status, Target,
};

/// Small pages, so that walks over them happen.
const PAGE: usize = 3;

#[derive(Default)]
pub(crate) struct Cluster {
    /// By their members, in alphabetical order.
    pub(crate) conversations: BTreeMap<ConversationId, Conversation>,
    txns: BTreeMap<Txn, SendOk>,
    /// Every account's events with their place in the log.
    pub(crate) events: BTreeMap<String, Vec<(u64, Durable)>>,
    index: u64,
}

pub(crate) struct Conversation {
    pub(crate) members: [String; 2],
    pub(crate) messages: Vec<MessageView>,
    pub(crate) read: BTreeMap<String, Seq>,
    pub(crate) delivered: BTreeMap<String, Seq>,
}

impl Conversation {
    pub(crate) fn peer(&self, me: &str) -> String {
        self.members[usize::from(self.members[0] == me)].clone()
    }

    pub(crate) fn mark(marks: &BTreeMap<String, Seq>, who: &str) -> Seq {
        marks.get(who).copied().unwrap_or_default()
    }

    pub(crate) fn unread(&self, me: &str) -> u64 {
        let read = Conversation::mark(&self.read, me);
        let unread = |m: &&MessageView| m.seq > read && m.from.as_deref() != Some(me);
        self.messages.iter().filter(unread).count() as u64
    }
}

pub(crate) fn hello(server: u8, writable: bool) -> Reply {
    Reply::Hello(HelloOk {
        proto: 1,
        cluster: "cc".to_owned(),
        limits: Limits { line: 65_536, text: 16_384, pipeline: 4 },
        ping_s: 15,
        status: Status {
            server: ServerId(server),
            role: Role::Backup,
            primary: None,
            ballot: String::new(),
            in_sync: 2,
            of: 3,
            writable,
            waiting: None,
            servers: Vec::new(),
            diverged: 0,
        },
    })
}

impl Cluster {
    fn cursor(&self) -> Cursor {
        Cursor { generation: 1, index: self.index }
    }

    /// The answer to a request of `me` (a sign-in names its own), and for a sign-in where events
    /// begin.
    pub(crate) fn ask(&mut self, me: &str, request: Request) -> Result<Reply, ErrorReply> {
        Ok(match request {
            Request::Login(login) => Reply::Login(SignedInOk {
                token: login.user.clone(),
                user: login.user,
                cur: self.cursor(),
                dup: false,
            }),
            Request::Resume(resume) => Reply::Resume(ResumeOk {
                user: resume.token,
                cur: resume.cur.unwrap_or(self.cursor()),
            }),
            Request::Ping(_) => Reply::Ping(PingOk { ts: 0 }),
            Request::Send(send) => Reply::Send(self.send(me, send.to, send.text, send.txn)?),
            Request::Read(mark) => {
                self.mark(me, mark.conv, mark.upto, true);
                Reply::Read(Empty {})
            }
            Request::Delivered(mark) => {
                self.mark(me, mark.conv, mark.upto, false);
                Reply::Delivered(Empty {})
            }
            Request::History(history) => {
                let messages = &self.conversations[&history.conv].messages;
                Reply::History(page(messages, history.page))
            }
            Request::Conversations(page) => Reply::Conversations(self.list(me, page.after)),
            _ => return Err(ErrorCode::UnknownOp.into()),
        })
    }

    fn send(&mut self, me: &str, to: Target, text: String, txn: Txn) -> Result<SendOk, ErrorReply> {
        if let Some(done) = self.txns.get(&txn) {
            return Ok(SendOk { dup: true, ..done.clone() });
        }
        let conv = match to {
            Target::Conversation(conv) => conv,
            Target::User(name) => self.conversation_of(me, &name),
        };
        let conversation =
            self.conversations.get_mut(&conv).ok_or(ErrorCode::NoSuchConversation)?;
        let seq = Seq(conversation.messages.len() as u64 + 1);
        self.index += 1;
        let from = Some(me.to_owned());
        let view = MessageView {
            seq,
            from: from.clone(),
            text: text.clone(),
            ts: self.index,
            edited: None,
            deleted: false,
        };
        conversation.messages.push(view);
        let members = conversation.members.clone();
        for member in &members {
            let with = Some(conversation.peer(member));
            let txn = (member == me).then_some(txn);
            let (text, from) = (text.clone(), from.clone());
            let ts = self.index;
            let msg = MsgEvent { conv, seq, from, text, ts, with, txn, deleted: false };
            let events = self.events.entry(member.clone()).or_default();
            events.push((self.index, Durable::Msg(msg)));
        }
        let done = SendOk { conv, seq, ts: self.index, copies: 2, of: 3, dup: false };
        self.txns.insert(txn, done.clone());
        Ok(done)
    }

    fn conversation_of(&mut self, me: &str, name: &str) -> ConversationId {
        let mut members = [me.to_owned(), name.to_owned()];
        members.sort();
        if let Some((conv, _)) = self.conversations.iter().find(|(_, c)| c.members == members) {
            return *conv;
        }
        let conv = ConversationId(self.conversations.len() as u64 + 1);
        let (messages, read, delivered) = Default::default();
        self.conversations.insert(conv, Conversation { members, messages, read, delivered });
        conv
    }

    fn mark(&mut self, me: &str, conv: ConversationId, upto: Seq, is_read: bool) {
        let Some(conversation) = self.conversations.get_mut(&conv) else { return };
        let upto = upto.min(Seq(conversation.messages.len() as u64));
        let marks = if is_read { &mut conversation.read } else { &mut conversation.delivered };
        let mark = marks.entry(me.to_owned()).or_default();
        if *mark >= upto {
            return;
        }
        *mark = upto;
        self.index += 1;
        let event = MarkEvent { conv, user: Some(me.to_owned()), upto };
        let event = if is_read { Durable::Read(event) } else { Durable::Delivered(event) };
        for member in conversation.members.clone() {
            self.events.entry(member).or_default().push((self.index, event.clone()));
        }
    }

    fn list(&self, me: &str, after: Option<ConversationId>) -> ConversationsOk {
        let mine = self.conversations.iter().filter(|(_, c)| c.members.contains(&me.to_owned()));
        let mut mine: Vec<_> = mine.collect();
        mine.sort_by_key(|(_, c)| std::cmp::Reverse(c.messages.last().map(|last| last.ts)));
        let start = after.and_then(|after| mine.iter().position(|(conv, _)| **conv == after));
        let rest = &mine[start.map_or(0, |at| at + 1)..];
        let views = rest.iter().take(PAGE).map(|(conv, c)| {
            let last = c.messages.last().expect("made by its first message");
            let peer = c.peer(me);
            ConversationView {
                conv: **conv,
                with: Some(peer.clone()),
                last_seq: last.seq,
                read: Conversation::mark(&c.read, me),
                peer_read: Conversation::mark(&c.read, &peer),
                peer_delivered: Conversation::mark(&c.delivered, &peer),
                unread: c.unread(me),
                last: LastMessage {
                    seq: last.seq,
                    from: last.from.clone(),
                    text: last.text.clone(),
                    ts: last.ts,
                    deleted: false,
                },
            }
        });
        ConversationsOk {
            conversations: views.collect(),
            more: rest.len() > PAGE,
            cur: self.cursor(),
        }
    }

    pub(crate) fn knows(&self, txn: Txn) -> bool {
        self.txns.contains_key(&txn)
    }
}

fn page(messages: &[MessageView], page: Page) -> HistoryOk {
    let chosen: Vec<&MessageView> = match page {
        Page::Newest => messages.iter().collect(),
        Page::Before(seq) => messages.iter().filter(|m| m.seq < seq).collect(),
        Page::After(seq) => messages.iter().filter(|m| m.seq > seq).collect(),
    };
    let skipped = match page {
        Page::After(_) => 0,
        Page::Newest | Page::Before(_) => chosen.len().saturating_sub(PAGE),
    };
    let more = chosen.len() > PAGE;
    let messages = chosen.into_iter().skip(skipped).take(PAGE).cloned().collect();
    HistoryOk { messages, more }
}
