//! Rows that no operation wrote, and what is said of each.

use super::world::{World, send, session, token_hash, txn};
use crate::chat::check;
use crate::chat::operation::Recipient;
use crate::chat::schema::{
    conversation_key, message_key, name_key, session_key, token_key, txn_key, user_key,
};
use crate::tables::{MemoryRows, Rows as _, Write};
use holdfast_common::ids::{ConversationId, Seq, UserId};

/// Two accounts that talk, with these changes to their rows.
fn with(changes: Vec<Write>) -> MemoryRows {
    let mut world = World::new(MemoryRows::new());
    let ada = world.register("ada", 1);
    let bob = world.register("bob", 2);
    for n in 0..3 {
        world.outcome(send(ada, Recipient::User(bob.user), "a secret text", 10 + n));
    }
    world.rows.commit(changes).unwrap();
    world.rows
}

fn refusal(key: Vec<u8>, value: Option<&[u8]>) -> String {
    let refused = check(&with(vec![(key, value.map(<[u8]>::to_vec))])).unwrap_err().to_string();
    assert!(!refused.contains("secret"), "{refused}");
    refused
}

#[test]
fn rows_that_were_written_by_operations_pass() {
    check(&with(Vec::new())).unwrap();
}

#[test]
fn keys_of_a_wrong_length_of_no_kind_and_values_that_do_not_decode_are_refused() {
    let ada = UserId(1);
    for key in [user_key(ada), session_key(ada, session(1)), token_key(&token_hash(1))] {
        let longer = [&key[..], b"x"].concat();
        assert!(refusal(longer, Some(b"x")).contains("wrong length"), "{key:?}");
        let shorter = key[..key.len() - 1].to_vec();
        assert!(refusal(shorter, Some(b"x")).contains("wrong length"), "{key:?}");
        assert!(refusal(key.clone(), Some(b"")).contains("does not hold"), "{key:?}");
    }
    assert!(refusal(b"zebra".to_vec(), Some(b"")).contains("of no kind"));
    assert!(refusal(txn_key(ada, txn(10)), Some(b"\xff")).contains("does not hold"));
}

#[test]
fn a_missing_message_account_token_or_conversation_is_noticed() {
    let conv = ConversationId(1);
    assert!(refusal(message_key(conv, Seq(1)), None).contains("without its first message"));
    assert!(refusal(message_key(conv, Seq(2)), None).contains("predecessor is missing"));
    assert!(refusal(message_key(conv, Seq(3)), None).contains("last messages are missing"));
    assert!(refusal(conversation_key(conv), None).contains("of no conversation"));
    let not_there = "is about something that is not there";
    for key in [user_key(UserId(1)), token_key(&token_hash(2)), session_key(UserId(2), session(2))]
    {
        assert!(refusal(key, None).contains(not_there));
    }
    let nobody = UserId(9);
    assert!(refusal(name_key("eve"), Some(&[9])).contains(not_there), "{nobody}");
}
