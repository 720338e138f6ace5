use super::*;
use crate::replication::Replication;
use crate::work::{JournalWorker, TablesJob, TablesWorker};

pub(super) const SALTS: Salts = Salts { store: 0xfeed, journal: 7 };
pub(super) const ONE: ServerId = ServerId(1);

/// Opens the folder, logs and applies a first view as a server does, and gives the life it had.
pub(super) fn live_once(folder: &Path) -> Incarnation {
    let Store { journal, rows, incarnation, recovered, lock: _lock, .. } =
        open(folder, ONE, SALTS).unwrap();
    let cluster = crate::entry::ClusterId([1; 16]);
    let mut replication = Replication::alone(incarnation, recovered, cluster).unwrap();
    let mut journal = JournalWorker::new(journal);
    let mut tables = TablesWorker::new(Box::new(rows));
    while let Some(effect) = replication.next_effect() {
        match effect {
            crate::replication::Effect::Append(append) => {
                let number = append.number;
                journal.run(crate::work::JournalJob::Append(append)).unwrap();
                let now = replication.now();
                replication.handle(crate::replication::Input::Appended { number }, now);
            }
            crate::replication::Effect::Committed(entries) => {
                tables.run(TablesJob::Apply(entries)).unwrap();
            }
            crate::replication::Effect::Send { .. }
            | crate::replication::Effect::Probe(_)
            | crate::replication::Effect::Read { .. }
            | crate::replication::Effect::Snapshot { .. }
            | crate::replication::Effect::NewLife
            | crate::replication::Effect::Diverged { .. }
            | crate::replication::Effect::Left => panic!("a server alone asks for nothing else"),
        }
    }
    tables.run(TablesJob::Persist { ran_ms: 0 }).unwrap();
    incarnation
}

#[test]
fn each_start_is_another_life_of_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let lives: Vec<u64> = (0..3).map(|_| live_once(folder.path()).life).collect();
    assert_eq!(lives, [1, 2, 3]);
    let checked = check(folder.path()).unwrap();
    assert_eq!((checked.last, checked.applied), (Index(3), Index(3)));
}

#[test]
fn a_folder_serves_one_process_and_one_server_only() {
    let folder = tempfile::tempdir().unwrap();
    let held = open(folder.path(), ONE, SALTS).unwrap();
    assert!(matches!(open(folder.path(), ONE, SALTS), Err(StoreError::Locked(_))));
    drop(held);
    let other = open(folder.path(), ServerId(2), SALTS);
    assert!(matches!(other, Err(StoreError::OtherServer { found: ONE, .. })));
}

#[test]
fn a_first_start_that_was_cut_short_is_begun_anew_and_a_store_that_lived_never_is() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Incarnation { server: ONE, store: StoreId(5), life: 0 };
    write_identity(folder.path(), identity).unwrap();
    fs::create_dir_all(Pair::FIRST.journal(folder.path())).unwrap();
    fs::write(Pair::FIRST.journal(folder.path()).join("spare"), b"half").unwrap();
    assert_eq!(open(folder.path(), ONE, SALTS).unwrap().incarnation.store, StoreId(5));
    fs::remove_file(folder.path().join("CURRENT")).unwrap();
    assert!(matches!(open(folder.path(), ONE, SALTS), Err(StoreError::Damaged { .. })));
    assert!(Pair::FIRST.journal(folder.path()).exists(), "nothing was removed");
}

#[test]
fn without_its_file_store_a_store_is_refused_and_nothing_of_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    live_once(folder.path());
    let away = tempfile::tempdir().unwrap();
    for name in ["store", "CURRENT"] {
        fs::rename(folder.path().join(name), away.path().join(name)).unwrap();
        let refused = open(folder.path(), ONE, SALTS).unwrap_err();
        assert!(refused.to_string().contains("the file `store` is missing"), "{refused}");
    }
    for name in ["store", "CURRENT"] {
        fs::rename(away.path().join(name), folder.path().join(name)).unwrap();
    }
    assert_eq!(open(folder.path(), ONE, SALTS).unwrap().recovered.last(), Index(1));
}

#[test]
fn a_restore_goes_into_an_empty_folder_only_and_what_was_there_stays() {
    let (folder, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    live_once(folder.path());
    let backup = new.path().join("backup");
    let store = open(folder.path(), ONE, SALTS).unwrap();
    snapshot::export(&store.rows, b"about", &mut File::create(&backup).unwrap()).unwrap();
    drop(store);
    fs::remove_file(folder.path().join("CURRENT")).unwrap();
    let refused = restore(folder.path(), ONE, SALTS, &backup);
    assert!(matches!(refused, Err(StoreError::NotEmpty(_))), "{refused:?}");
    fs::write(folder.path().join("CURRENT"), "1\n").unwrap();
    open(folder.path(), ONE, SALTS).unwrap();
}

#[test]
fn a_restore_that_was_cut_short_can_be_done_again_and_no_server_starts_on_it() {
    let (folder, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    live_once(folder.path());
    let backup = folder.path().join("backup");
    let store = open(folder.path(), ONE, SALTS).unwrap();
    snapshot::export(&store.rows, b"about", &mut File::create(&backup).unwrap()).unwrap();
    drop(store);
    let whole = fs::read(&backup).unwrap();
    fs::write(&backup, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(restore(new.path(), ONE, SALTS, &backup), Err(StoreError::Snapshot { .. })));
    assert!(matches!(open(new.path(), ONE, SALTS), Err(StoreError::HalfRestored(_))));
    fs::write(&backup, &whole).unwrap();
    assert_eq!(restore(new.path(), ONE, SALTS, &backup).unwrap(), Index(2));
    open(new.path(), ONE, SALTS).unwrap();
}

#[test]
fn a_secret_is_made_once_and_one_that_was_cut_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data").join("cluster.secret");
    let fresh = "first ".repeat(8);
    assert_eq!(secret(&path, &fresh).unwrap().expose(), fresh.trim());
    assert_eq!(secret(&path, &"second ".repeat(8)).unwrap().expose(), fresh.trim());
    for cut in ["", "first first"] {
        fs::write(&path, cut).unwrap();
        let refused = secret(&path, &fresh).unwrap_err().to_string();
        assert!(refused.contains("no secret of at least 32 characters"), "{refused}");
        assert!(!refused.contains("first"), "a secret is never printed: {refused}");
    }
}

#[test]
fn tables_and_journal_that_do_not_fit_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    live_once(folder.path());
    fs::remove_dir_all(Pair::FIRST.journal(folder.path())).unwrap();
    let disk = FolderDisk::new(&Pair::FIRST.journal(folder.path())).unwrap();
    let empty = (Index(0), Ballot::NONE);
    Journal::create(disk, empty, HardState::NONE, journal::Options::new(1)).unwrap();
    let refused = open(folder.path(), ONE, SALTS).unwrap_err();
    assert!(refused.to_string().contains("the tables stand at 1, the journal ends at 0"));
    fs::remove_dir_all(Pair::FIRST.tables(folder.path())).unwrap();
    let refused = open(folder.path(), ONE, SALTS).unwrap_err();
    assert!(refused.to_string().contains("the tables are missing"), "{refused}");
}

#[test]
fn a_backup_is_restored_as_a_new_store_in_a_new_generation_of_the_same_cluster() {
    let (folder, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    live_once(folder.path());
    let backup = folder.path().join("backup");
    let store = open(folder.path(), ONE, SALTS).unwrap();
    let mut file = File::create(&backup).unwrap();
    snapshot::export(&store.rows, b"about", &mut file).unwrap();
    drop(store);
    let salts = Salts { store: 0xbeef, ..SALTS };
    assert_eq!(restore(new.path(), ServerId(2), salts, &backup).unwrap(), Index(2));
    let again = restore(new.path(), ServerId(2), salts, &backup);
    assert!(matches!(again, Err(StoreError::NotEmpty(_))));
    let store = open(new.path(), ServerId(2), salts).unwrap();
    assert_eq!(store.incarnation.store, StoreId(0xbeef));
    let replication =
        Replication::alone(store.incarnation, store.recovered, crate::entry::ClusterId([9; 16]))
            .unwrap();
    assert_eq!(replication.cluster(), crate::entry::ClusterId([1; 16]));
    assert_eq!(replication.ballot().generation, 2);
}

#[test]
fn a_check_leaves_the_journal_as_it_is_and_says_what_a_start_would_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    live_once(folder.path());
    let journal = Pair::FIRST.journal(folder.path());
    let name = fs::read_dir(&journal).unwrap().map(|entry| entry.unwrap().file_name());
    let name = name.into_iter().find(|name| name != "spare").unwrap();
    let mut torn = fs::read(journal.join(&name)).unwrap();
    let end = torn.iter().rposition(|byte| *byte != 0).unwrap();
    // Behind the last frame, as far as frames are apart.
    torn[end + 512] = 7;
    fs::write(journal.join(&name), &torn).unwrap();
    fs::write(journal.join("spare"), b"as it was").unwrap();
    let checked = check(folder.path()).unwrap();
    assert!(checked.torn_bytes > 0 && checked.last == Index(1), "{checked:?}");
    assert!(fs::read(journal.join(&name)).unwrap() == torn, "the segment was changed");
    assert_eq!(fs::read(journal.join("spare")).unwrap(), b"as it was");
    drop(open(folder.path(), ONE, SALTS).unwrap());
    assert_eq!(check(folder.path()).unwrap().torn_bytes, 0);
    fs::remove_dir_all(&journal).unwrap();
    assert!(check(folder.path()).unwrap_err().to_string().contains("there is none"));
    assert!(!journal.exists(), "looking made a folder");
}

#[test]
fn a_backup_whose_rows_nobody_would_write_is_refused() {
    use crate::tables::Rows as _;
    let new = tempfile::tempdir().unwrap();
    let mut rows = crate::tables::MemoryRows::new();
    rows.commit(vec![(b"s12345678too short".to_vec(), Some(Vec::new()))]).unwrap();
    let backup = new.path().join("backup");
    snapshot::export(&rows, b"about", &mut File::create(&backup).unwrap()).unwrap();
    let refused = restore(&new.path().join("server1"), ONE, SALTS, &backup);
    assert!(matches!(refused, Err(StoreError::Rows { .. })), "{refused:?}");
}

#[test]
fn a_store_that_was_set_aside_is_kept_and_known_until_it_is_removed() {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("server1");
    fs::create_dir(top.path().join("server10.aside-1")).unwrap();
    for number in 1..=2 {
        live_once(&folder);
        assert_eq!(has_set_aside(&folder), number > 1, "before store {number}");
        set_aside(&folder).unwrap();
        assert!(has_set_aside(&folder) && !folder.exists());
        let kept = top.path().join(format!("server1.aside-{number}"));
        assert_eq!(check(&kept).unwrap().last, Index(1));
        if number == 2 {
            fs::remove_dir_all(kept).unwrap();
            fs::remove_dir_all(top.path().join("server1.aside-1")).unwrap();
        }
    }
    assert!(!has_set_aside(&folder));
}

#[test]
fn no_more_stores_are_set_aside_than_an_operator_would_overlook() {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("server1");
    for number in 1..=super::ASIDE_MAX {
        fs::create_dir(top.path().join(format!("server1.aside-{number}"))).unwrap();
    }
    live_once(&folder);
    let said = set_aside(&folder).unwrap_err().to_string();
    assert!(said.contains("server1.aside-1"), "{said}");
    assert_eq!(check(&folder).unwrap().last, Index(1), "it stays where it is");
    fs::remove_dir(top.path().join("server1.aside-3")).unwrap();
    set_aside(&folder).unwrap();
}
