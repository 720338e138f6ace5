//! Many people who have written to one: 50 chats, 100,000 messages, all on her disk.
//!
//! They come as all messages come: sent to a server, told to her program, which keeps them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use holdfast_common::client::Command;
use holdfast_common::ids::{ConversationId, Seq};
use holdfast_common::protocol::Target;
use serde_json::json;

use crate::desk::support::client::{Client, fresh_txn};
use crate::desk::support::person::Person;

/// How many write to her.
pub(crate) const CHATS: usize = 50;
/// How many messages each writes.
const EACH: usize = 2_000;
/// Requests in flight.
const IN_FLIGHT: usize = 200;
/// Settings that make people and messages cheap.
pub(crate) const SETTINGS: &str = "BCRYPT_COST=4\nLIMIT_SENDS_PER_S=1000000\n\
    LIMIT_SIGNIN_FAILS_PER_MIN=1000000\nLOG_LEVEL=warn\n";

/// Makes Alice in `home` and all who write to her; gives the chat at the end of her list.
pub(crate) fn fill(home: &Path, server: SocketAddr) -> Target {
    let mut alice = Person::start(home, &[server]);
    alice.register("alice");
    let mut oldest = None;
    for number in 1..=CHATS {
        let (mut writer, _) = Client::register(server, &format!("writer{number}"));
        let mut asked = Vec::new();
        for at in 1..=EACH {
            let text =
                format!("{at}. {}", "A few words, as people write them. ".repeat(1 + at % 4));
            let d = json!({"to": "alice", "text": text.trim_end(), "txn": fresh_txn()});
            asked.push(writer.ask("send", d));
            if asked.len() == IN_FLIGHT || at == EACH {
                // The last answer is enough: they come in the order of the requests.
                let last = asked.drain(..).next_back().expect("some were asked");
                writer.answer_among(last);
            }
        }
        let wanted = number * EACH;
        alice.until("all messages of a writer", |alice| alice.told.len() >= wanted);
        oldest = oldest.or_else(|| alice.told.first().map(|(conv, ..)| *conv));
    }
    read_all(&mut alice);
    alice.end();
    Target::Conversation(oldest.expect("somebody has written"))
}

fn read_all(alice: &mut Person) {
    let mut newest: BTreeMap<ConversationId, Seq> = BTreeMap::new();
    for (conv, seq, _) in &alice.told {
        newest.insert(*conv, *seq);
    }
    for (conv, upto) in newest {
        let id = alice.ask(Command::MarkRead { conv, upto });
        alice.answer(id).expect("a mark is taken");
    }
}
