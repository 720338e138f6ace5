//! The store on real files.
#![expect(clippy::disallowed_methods, reason = "one test measures how long opening takes")]

mod beside;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use super::*;
use crate::client::stored::{
    ClusterRecord, ConversationRecord, Home, Identity, MessageRecord, OutboxItem, OutboxState,
    RegistrationRecord, Unread, Work,
};
use crate::config::Secret;
use crate::ids::{ConversationId, Cursor, Seq, Txn};
use crate::protocol::{MessageView, Target};

const CONV: ConversationId = ConversationId(7);

fn key() -> AccountKey {
    AccountKey { cluster: "00ff".to_owned(), user: "alice".to_owned() }
}

/// Where the account's files are.
fn place(folder: &Path) -> PathBuf {
    folder.join("00ff").join("alice")
}

fn message(seq: u64, own: bool, text: &str) -> MessageRecord {
    let view = MessageView {
        seq: Seq(seq),
        from: Some(if own { "alice" } else { "bob" }.to_owned()),
        text: text.to_owned(),
        ts: 1_000 + seq,
        edited: None,
        deleted: false,
    };
    MessageRecord { view, own, copies: 0, of: 0 }
}

fn conversation(conv: ConversationId) -> ConversationRecord {
    ConversationRecord {
        conv,
        with: Some("bob".to_owned()),
        last_seq: Seq(3),
        last: Some(message(3, false, "hi")),
        read: Seq(1),
        read_told: Seq(1),
        delivered_told: Seq(3),
        peer_read: Seq(2),
        peer_delivered: Seq(2),
        unread: Unread { counted_upto: Seq(2), counted: 1, above: vec![Seq(3)], is_unsure: false },
    }
}

fn item(number: u64) -> OutboxItem {
    let mut txn = [0; 16];
    // Numbers and txns are ordered differently, as random txns are.
    txn[0] = 255 - number as u8;
    OutboxItem {
        txn: Txn(txn),
        number,
        created_ms: number * 10,
        work: Work::Send { to: Target::User("bob".to_owned()), text: format!("unsent {number}") },
        state: OutboxState::Waiting,
    }
}

/// Opens what is there, and gives the account.
fn opened(folder: &Path) -> (Cache, Account) {
    let (cache, stored) = Cache::open(folder).unwrap();
    (cache, stored.account.expect("somebody is signed in"))
}

/// A store with an account in it that has something of everything.
fn filled(folder: &Path) -> Cache {
    let (mut cache, stored) = Cache::open(folder).unwrap();
    assert_eq!(stored, Stored::default());
    cache.store(&[Write::Last(Some(key()))]).unwrap();
    let loaded = cache.load(&Load::Account(key())).unwrap();
    assert_eq!(loaded, Loaded::Account(Box::new(Account::new(key()))));
    let writes = [
        Write::User("Alice".to_owned()),
        Write::Token(Some(Secret::new("the token".to_owned()))),
        Write::Deletion(Some(Txn([9; 16]))),
        Write::Outbox(item(1)),
        Write::Outbox(item(2)),
        Write::Draft(Target::Conversation(CONV), "half a sen".to_owned()),
        Write::Interface("window".to_owned(), "10,10".to_owned()),
        Write::Conversation(conversation(CONV)),
        Write::Message(CONV, message(1, true, "one")),
        Write::Message(CONV, message(2, false, "two")),
        Write::Message(CONV, message(3, false, "three")),
        Write::Message(ConversationId(8), message(1, false, "elsewhere")),
        Write::Cursor(Some(Cursor { generation: 1, index: 42 })),
    ];
    cache.store(&writes).unwrap();
    cache
}

fn full_account() -> Account {
    Account {
        user: "Alice".to_owned(),
        token: Some(Secret::new("the token".to_owned())),
        cursor: Some(Cursor { generation: 1, index: 42 }),
        deletion: Some(Txn([9; 16])),
        conversations: vec![conversation(CONV)],
        outbox: vec![item(1), item(2)],
        drafts: vec![(Target::Conversation(CONV), "half a sen".to_owned())],
        interface: vec![("window".to_owned(), "10,10".to_owned())],
        ..Account::new(key())
    }
}

fn page(cache: &mut Cache, before: Option<u64>, limit: usize) -> Vec<MessageRecord> {
    let before = before.map(Seq);
    let loaded = cache.load(&Load::Messages { conv: CONV, before, limit }).unwrap();
    let Loaded::Messages { conv: CONV, before: asked, messages } = loaded else {
        panic!("{loaded:?}");
    };
    assert_eq!(asked, before);
    messages
}

fn texts(messages: &[MessageRecord]) -> Vec<&str> {
    messages.iter().map(|message| message.view.text.as_str()).collect()
}

/// What is on the disk now: what a killed process leaves.
fn crash_image(folder: &Path) -> tempfile::TempDir {
    let image = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(place(image.path())).unwrap();
    for from in [folder.to_owned(), place(folder)] {
        for entry in from.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_file() {
                let inside = entry.strip_prefix(folder).unwrap();
                std::fs::copy(&entry, image.path().join(inside)).unwrap();
            }
        }
    }
    image
}

#[test]
fn everything_is_there_again_after_a_restart_and_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let cache = filled(folder.path());
    let image = crash_image(folder.path());
    drop(cache);
    for folder in [folder.path(), image.path()] {
        let (mut cache, account) = opened(folder);
        assert_eq!(account, full_account());
        assert_eq!(texts(&page(&mut cache, None, 10)), ["one", "two", "three"]);
    }
}

#[test]
fn home_keeps_clusters_by_id_and_what_is_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("new").join("home");
    let (mut cache, _) = Cache::open(&home).unwrap();
    let record = |cluster: &str, server: &str| ClusterRecord {
        cluster: cluster.to_owned(),
        identity: Some(Identity::Cluster([3; 32])),
        servers: vec![server.to_owned()],
    };
    let registration = RegistrationRecord { account: key(), txn: Txn([1; 16]) };
    cache.store(&[Write::Cluster(record("00ff", "a:1"))]).unwrap();
    cache.store(&[Write::Cluster(record("11ff", "b:1"))]).unwrap();
    let (mut beside, _) = Cache::open(&home).unwrap();
    beside.store(&[Write::Registration(Some(registration.clone()))]).unwrap();
    cache.store(&[Write::Cluster(record("00ff", "a:2"))]).unwrap();
    let expected = Home {
        clusters: vec![record("00ff", "a:2"), record("11ff", "b:1")],
        last: None,
        registration: Some(registration),
    };
    assert_eq!(Cache::open(&home).unwrap().1.home, expected);
}

#[test]
fn removing_writes_remove() {
    let folder = tempfile::tempdir().unwrap();
    let mut cache = filled(folder.path());
    let writes = [
        Write::Token(None),
        Write::Deletion(None),
        Write::OutboxRemoved(item(1).txn),
        Write::Draft(Target::Conversation(CONV), String::new()),
        Write::Interface("window".to_owned(), String::new()),
        Write::Cursor(None),
    ];
    cache.store(&writes).unwrap();
    drop(cache);
    let account = opened(folder.path()).1;
    let expected = Account {
        user: "Alice".to_owned(),
        conversations: vec![conversation(CONV)],
        outbox: vec![item(2)],
        ..Account::new(key())
    };
    assert_eq!(account, expected);
}

#[test]
fn messages_are_paged_downwards_and_change_only_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut cache = filled(folder.path());
    assert_eq!(texts(&page(&mut cache, None, 2)), ["two", "three"]);
    assert_eq!(texts(&page(&mut cache, Some(2), 2)), ["one"]);
    assert_eq!(texts(&page(&mut cache, Some(1), 2)), [""; 0]);
    let edited = |seq, text: &str| Write::Edited {
        conv: CONV,
        seq: Seq(seq),
        text: text.to_owned(),
        ts: 99,
    };
    let writes = [
        edited(1, "uno"),
        edited(77, "not here"),
        Write::Copies { conv: CONV, seq: Seq(1), copies: 2, of: 3 },
        Write::Deleted(CONV, Seq(2)),
        edited(2, "risen"),
        Write::Deleted(CONV, Seq(78)),
    ];
    cache.store(&writes).unwrap();
    let messages = page(&mut cache, None, 10);
    assert_eq!(texts(&messages), ["uno", "", "three"]);
    assert_eq!(messages[0].view.edited, Some(99));
    assert_eq!((messages[0].copies, messages[0].of), (2, 3));
    assert!(messages[1].view.deleted);
    cache.store(&[Write::PeerGone(CONV)]).unwrap();
    let messages = page(&mut cache, None, 10);
    assert_eq!(texts(&messages), ["uno", "", ""]);
    assert_eq!(messages[0].view.from.as_deref(), Some("alice"));
    assert!(messages[2].view.deleted && messages[2].view.from.is_none());
}

#[test]
fn a_dropped_cache_keeps_drafts_and_outbox_and_what_comes_after() {
    let folder = tempfile::tempdir().unwrap();
    let mut cache = filled(folder.path());
    let later = ConversationId(9);
    let writes = [
        Write::Conversation(conversation(ConversationId(8))),
        Write::CacheDropped,
        Write::Conversation(conversation(later)),
        Write::Message(CONV, message(5, false, "new")),
    ];
    cache.store(&writes).unwrap();
    assert_eq!(texts(&page(&mut cache, None, 10)), ["new"]);
    drop(cache);
    let expected =
        Account { cursor: None, conversations: vec![conversation(later)], ..full_account() };
    assert_eq!(opened(folder.path()).1, expected);
}

#[test]
fn a_dropped_account_leaves_nothing_and_may_begin_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut cache = filled(folder.path());
    cache.store(&[Write::AccountDropped, Write::Last(None)]).unwrap();
    assert!(!place(folder.path()).exists());
    assert!(matches!(cache.store(&[Write::Token(None)]), Err(CacheError::NoAccount)));
    let loaded = cache.load(&Load::Account(key())).unwrap();
    assert_eq!(loaded, Loaded::Account(Box::new(Account::new(key()))));
    assert_eq!(Cache::open(folder.path()).unwrap().1, Stored::default());
}

#[test]
fn accounts_have_places_of_their_own_whatever_a_server_calls_its_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let mut cache = filled(&home);
    for cluster in ["../..", "/etc", "", "11ff", &"a".repeat(300), "00FF", "."] {
        let other = AccountKey { cluster: cluster.to_owned(), user: "alice".to_owned() };
        let loaded = cache.load(&Load::Account(other.clone())).unwrap();
        assert_eq!(loaded, Loaded::Account(Box::new(Account::new(other.clone()))));
        cache.store(&[Write::User(cluster.to_owned())]).unwrap();
        assert!(page(&mut cache, None, 10).is_empty());
    }
    let outside = folder.path().read_dir().unwrap().count();
    assert_eq!((outside, home.read_dir().unwrap().count()), (1, 2 + 8), "home's files and places");
    cache.load(&Load::Account(key())).unwrap();
    assert_eq!(page(&mut cache, None, 10).len(), 3);
}

#[test]
fn an_account_that_another_program_has_open_is_told_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let cache = filled(folder.path());
    let error = Cache::open(folder.path()).unwrap_err();
    assert!(matches!(error, CacheError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("HOLDFAST_HOME"), "{error}");
    drop(cache);
    opened(folder.path());
}

#[test]
fn files_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let _cache = filled(folder.path());
    for file in ["unsent.redb", "history.redb"].map(|name| place(folder.path()).join(name)) {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let home = folder.path().join("home.json");
    assert_eq!(std::fs::metadata(home).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Ways in which a file goes bad. The program that met it first has died of it.
fn ruin(path: &Path, how: usize) {
    std::fs::write(path.with_file_name("lock"), "open\n").unwrap();
    let whole = std::fs::read(path).unwrap();
    let ruined = match how {
        0 => b"this is no database".to_vec(),
        1 => vec![0xa5; whole.len()],
        2 => vec![0; whole.len()],
        3 => whole[..100].to_vec(),
        4 => whole[..whole.len() / 2].to_vec(),
        _ => [&whole[..4096], &vec![0x5a; whole.len() - 4096]].concat(),
    };
    std::fs::write(path, ruined).unwrap();
}

#[test]
fn a_ruined_history_is_set_aside_and_costs_no_draft_and_no_unsent_message() {
    for how in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        drop(filled(folder.path()));
        let history = place(folder.path()).join("history.redb");
        ruin(&history, how);
        let (mut cache, account) = opened(folder.path());
        let expected = Account { cursor: None, conversations: Vec::new(), ..full_account() };
        assert_eq!(account, expected, "way {how}");
        assert!(page(&mut cache, None, 10).is_empty());
        cache.store(&[Write::Message(CONV, message(1, true, "again"))]).unwrap();
        assert_eq!(texts(&page(&mut cache, None, 10)), ["again"]);
        assert!(place(folder.path()).join("history.redb.damaged-1").exists(), "way {how}");
    }
}

#[test]
fn a_ruined_outbox_is_set_aside_and_costs_no_history() {
    for how in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        drop(filled(folder.path()));
        ruin(&place(folder.path()).join("unsent.redb"), how);
        let (mut cache, account) = opened(folder.path());
        assert_eq!(account.cursor, full_account().cursor);
        assert!(account.outbox.is_empty() && account.token.is_none());
        assert_eq!(page(&mut cache, None, 10).len(), 3);
        let aside = place(folder.path()).join("unsent.redb.damaged-1");
        assert!(aside.exists(), "way {how}");
        assert_eq!(cache.lost_unsent(), Some(aside.as_path()), "and it is said");
    }
}

#[test]
fn a_row_that_goes_bad_while_running_sets_the_history_aside_until_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut cache = filled(folder.path());
    let database = cache.place.as_ref().and_then(Place::history).unwrap();
    history::spoil(database, CONV, Seq(2));
    assert!(page(&mut cache, None, 10).is_empty());
    let cursor = Write::Cursor(Some(Cursor { generation: 1, index: 43 }));
    cache.store(&[cursor, Write::OutboxRemoved(item(1).txn)]).unwrap();
    drop(cache);
    let expected = Account {
        cursor: None,
        conversations: Vec::new(),
        outbox: vec![item(2)],
        ..full_account()
    };
    assert_eq!(opened(folder.path()).1, expected, "everything is asked for again");
    assert!(place(folder.path()).join("history.redb.damaged-1").exists());
}

#[test]
fn a_ruined_home_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path()));
    std::fs::write(folder.path().join("home.json"), "{\"clusters\": [").unwrap();
    assert_eq!(Cache::open(folder.path()).unwrap().1, Stored::default());
    assert!(folder.path().join("home.json.damaged-1").exists());
}

#[test]
fn a_place_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path()));
    let unsent = place(folder.path()).join("unsent.redb");
    tables::set_form(&unsent, 2);
    let error = Cache::open(folder.path()).unwrap_err();
    assert!(matches!(error, CacheError::Newer { .. }), "{error}");
    tables::set_form(&unsent, 1);
    assert_eq!(opened(folder.path()).1, full_account());
}

#[test]
fn a_folder_that_cannot_be_used_is_named_with_the_reason() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (mut cache, _) = match Cache::open(&file.path().join("home")) {
        Ok(opened) => opened,
        Err(error) => {
            let path = file.path().display().to_string();
            assert!(error.to_string().contains(&path), "{error}");
            return;
        }
    };
    let error = cache.load(&Load::Account(key())).unwrap_err().to_string();
    assert!(error.contains(&file.path().display().to_string()), "{error}");
}

#[test]
fn what_the_system_refuses_is_said_for_people() {
    for (kind, expected) in [
        (io::ErrorKind::StorageFull, "cannot keep messages in /x: the disk is full"),
        (io::ErrorKind::ReadOnlyFilesystem, "cannot keep messages in /x: it must not be written"),
    ] {
        let error = CacheError::Disk { path: "/x".into(), source: kind.into() };
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_hundred_thousand_messages_open_at_once_even_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut cache = filled(folder.path());
    for batch in 0..50 {
        let write = |at: u64| {
            let conv = ConversationId(100 + at % 50);
            Write::Message(
                conv,
                message(batch * 2_000 + at, at.is_multiple_of(2), &"text ".repeat(20)),
            )
        };
        cache.store(&(0..2_000).map(write).collect::<Vec<_>>()).unwrap();
    }
    let image = crash_image(folder.path());
    drop(cache);
    for folder in [image.path(), folder.path()] {
        let start = Instant::now();
        let (mut cache, _) = opened(folder);
        let load = Load::Messages { conv: ConversationId(120), before: None, limit: 100 };
        let Loaded::Messages { messages, .. } = cache.load(&load).unwrap() else { panic!() };
        let took = start.elapsed();
        println!("opened with a page of messages in {took:?}");
        assert_eq!(messages.len(), 100);
        // A busy machine may be slow; reading everything row by row would be slower still.
        assert!(took < Duration::from_secs(2), "{took:?}, where 20 to 60 ms are usual");
    }
}
