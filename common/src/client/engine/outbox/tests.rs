use super::*;

fn send(to: Target) -> Work {
    Work::Send { to, text: "text".to_owned() }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a place to begin; the test does not wait")]
fn a_lane_that_two_were_merged_into_goes_on_whichever_of_them_is_answered_first() {
    let now = Instant::now();
    let conv = ConversationId(1);
    for order in [[1, 2], [2, 1]] {
        let mut effects = Effects::default();
        let mut outbox = Outbox::default();
        let txn = |number: u8| Txn([number; 16]);
        outbox.add(txn(1), 0, send(Target::User("bob".to_owned())), CommandId(1));
        outbox.add(txn(2), 0, send(Target::Conversation(conv)), CommandId(2));
        outbox.add(txn(3), 0, send(Target::Conversation(conv)), CommandId(3));
        assert_eq!(outbox.take_due(now, 0, 9), [txn(1), txn(2)]);
        outbox.conversation_known("bob", conv);
        assert!(outbox.take_due(now, 0, 9).is_empty());
        for number in order {
            outbox.remove(txn(number), &mut effects);
        }
        assert_eq!(outbox.take_due(now, 0, 9), [txn(3)], "after {order:?}");
    }
}
