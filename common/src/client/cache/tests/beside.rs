//! Several windows of one account.

use super::*;

/// A window beside the one that has the account's own place.
fn second(folder: &Path) -> (Cache, Account) {
    let (cache, stored) = Cache::open_beside(folder).unwrap();
    (cache, stored.account.expect("somebody is signed in"))
}

#[test]
fn a_second_window_has_a_place_of_its_own_and_finds_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = filled(folder.path());
    assert!(!first.is_beside());
    let (mut cache, account) = second(folder.path());
    assert!(cache.is_beside());
    assert_eq!(account, Account::new(key()), "nothing of the first one's is in it");
    let token = Some(Secret::new("another token".to_owned()));
    cache.store(&[Write::Token(token.clone()), Write::Outbox(item(7))]).unwrap();
    drop(cache);
    let (_cache, account) = second(folder.path());
    assert_eq!((account.token, account.outbox), (token, vec![item(7)]));
    let (third, account) = second(folder.path());
    assert!(third.is_beside() && account.token.is_none());
    drop(first);
    assert_eq!(opened(folder.path()).1, full_account(), "the first one's is as it was");
}

#[test]
fn the_first_window_that_comes_has_the_accounts_own_place_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = filled(folder.path());
    drop(second(folder.path()));
    drop(first);
    let (cache, account) = second(folder.path());
    assert!(!cache.is_beside());
    assert_eq!(account, full_account());
}

#[test]
fn what_a_second_window_left_unsent_is_found_by_the_next_first_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = filled(folder.path());
    let (mut cache, _) = second(folder.path());
    let other = Target::User("carol".to_owned());
    let writes = [
        Write::Outbox(item(7)),
        // Both have it: the first one was cut off between taking it and removing it there.
        Write::Outbox(item(1)),
        Write::Draft(other.clone(), "typed in the second".to_owned()),
        Write::Draft(Target::Conversation(CONV), "typed in both".to_owned()),
    ];
    cache.store(&writes).unwrap();
    drop(first);
    let (first, account) = opened(folder.path());
    assert_eq!(account, full_account(), "it is open: nothing is taken from it");
    drop((cache, first));
    let expected = Account {
        outbox: vec![item(1), item(2), OutboxItem { number: 3, ..item(7) }],
        drafts: vec![
            (Target::Conversation(CONV), "half a sen".to_owned()),
            (other, "typed in the second".to_owned()),
        ],
        ..full_account()
    };
    let (first, account) = opened(folder.path());
    assert_eq!(account, expected);
    drop(first);
    let (first, account) = opened(folder.path());
    assert_eq!((account.outbox, account.drafts), (expected.outbox, expected.drafts), "and stored");
    let (_second, account) = second(folder.path());
    assert_eq!(account.outbox, [], "it is sent from one place");
    let both = (Target::Conversation(CONV), "typed in both".to_owned());
    assert_eq!(account.drafts, [both], "no typed text replaces another");
    drop(first);
}

#[test]
fn signing_out_in_a_second_window_signs_no_other_one_out() {
    let folder = tempfile::tempdir().unwrap();
    let first = filled(folder.path());
    let (mut cache, _) = second(folder.path());
    cache.store(&[Write::Token(None), Write::Last(None)]).unwrap();
    assert_eq!(Cache::home(folder.path()).unwrap().last, Some(key()));
    drop(first);
    assert_eq!(opened(folder.path()).1, full_account());
}

#[test]
fn a_place_that_failed_is_opened_again_and_no_other_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = filled(folder.path());
    let (mut cache, _) = second(folder.path());
    drop(first);
    // As after a failure to write.
    cache.place = None;
    cache.store(&[Write::Outbox(item(7))]).unwrap();
    assert!(cache.is_beside());
    assert_eq!(opened(folder.path()).1, full_account());
}

#[test]
fn a_damaged_place_of_a_second_window_keeps_nobody_from_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let first = filled(folder.path());
    let (cache, _) = second(folder.path());
    drop((first, cache));
    let beside = place(folder.path()).with_file_name("alice~2");
    std::fs::write(beside.join("unsent.redb"), b"not a database").unwrap();
    assert_eq!(opened(folder.path()).1, full_account());
    assert_eq!(std::fs::read(beside.join("unsent.redb")).unwrap(), b"not a database");
}
