//! The administration socket, and the way from a backup to a server that serves.

use std::fs;

use serde_json::json;

use crate::support::client::{Client, fresh_txn};
use crate::support::neighbour::undisturbed;
use crate::support::server::Server;

const SETTINGS: &str = "BCRYPT_COST=4\nLIMIT_SENDS_PER_S=1000000\n";

fn login(server: &Server, user: &str, pass: &str) -> serde_json::Value {
    let d = json!({"user": user, "pass": pass, "device": "test"});
    Client::connect(server.address).call("login", d)
}

#[test]
fn an_administrator_adds_accounts_where_registration_is_closed_resets_passwords_and_deletes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &format!("{SETTINGS}REGISTRATION=closed\n"));
    let mut admin = Client::administration(&server.folder);
    let d = json!({"user": "ada", "pass": "correct horse", "device": "test", "txn": fresh_txn()});
    let mut stranger = Client::connect(server.address);
    assert_eq!(stranger.refused("register", d), "forbidden");
    // What is asked there can be asked nowhere else, and nothing else there.
    assert_eq!(stranger.refused("admin_users", json!({"prefix": ""})), "unknown_op");
    assert_eq!(admin.refused("hello", json!({"proto": [1], "client": "a/1"})), "unknown_op");
    let account = |pass: &str| json!({"user": "ada", "pass": pass});
    assert_eq!(admin.refused("admin_register", account("short")), "weak_password");
    admin.ok("admin_register", account("first password"));
    assert_eq!(admin.refused("admin_register", account("another one")), "user_exists");
    assert_eq!(admin.ok("admin_users", json!({"prefix": ""}))["users"], json!([{"user": "ada"}]));
    let first = login(&server, "ada", "first password")["ok"]["token"].take();
    let mut ada = Client::resume(server.address, first.as_str().unwrap(), None);
    admin.ok("admin_reset_password", account("second password"));
    assert_eq!(ada.event("bye")["d"]["reason"], "revoked");
    assert_eq!(login(&server, "ada", "first password")["err"]["code"], "wrong_credentials");
    let second = login(&server, "ada", "second password")["ok"]["token"].take();
    let mut ada = Client::resume(server.address, second.as_str().unwrap(), None);
    admin.ok("admin_delete_user", json!({"user": "ADA"}));
    assert_eq!(ada.event("bye")["d"]["reason"], "deleted");
    assert_eq!(admin.refused("admin_delete_user", json!({"user": "ada"})), "no_such_user");
    assert_eq!(admin.refused("admin_reset_password", account("third password")), "no_such_user");
    let (before, after) =
        (admin.ok("admin_verify", json!({})), admin.ok("admin_verify", json!({})));
    assert_eq!(before["hash"].as_str().unwrap().len(), 64);
    assert!(after["index"].as_u64() > before["index"].as_u64());
}

#[test]
fn a_backup_made_while_serving_is_restored_elsewhere_and_cursors_behind_it_are_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), SETTINGS);
    let (mut ada, token) = Client::register(server.address, "ada");
    Client::register(server.address, "bob");
    let mut conv = json!(null);
    for n in 0..200 {
        conv = ada.send("bob", &format!("message {n} {}", "x".repeat(1_000)))["conv"].take();
    }
    let common = ada.ok("conversations", json!({}))["cur"].take();
    let backup = folder.path().join("backup");
    let mut admin = Client::administration(&server.folder);
    let made = undisturbed(&server, || admin.ok("admin_backup", json!({"path": backup})));
    assert_eq!(made["bytes"].as_u64(), Some(fs::metadata(&backup).unwrap().len()));
    // Never over a file that is there, nor half of one.
    for path in [backup.clone(), folder.path().join("no such folder").join("backup")] {
        let refusal = admin.call("admin_backup", json!({"path": path}));
        let text = refusal["err"]["text"].as_str().expect("a sentence");
        assert!(text.contains(path.to_str().unwrap()), "{text}");
    }
    ada.send("bob", "behind the backup");
    let lost = ada.ok("conversations", json!({}))["cur"].take();
    let path = backup.to_str().unwrap();
    server.kill();
    let (code, _, said) = server.run(&["--restore", path]);
    assert!(code == Some(1) && said.contains("is not empty"), "{code:?} {said}");
    let elsewhere = tempfile::tempdir().unwrap();
    let mut restored = Server::prepare(elsewhere.path(), SETTINGS);
    damaged_backups_are_refused(&restored, &backup);
    let (code, told, said) = restored.run(&["--restore", path]);
    assert_eq!(code, Some(0), "{said}");
    assert!(told.starts_with("restored into "), "{told}");
    let (code, told, said) = restored.run(&["--check"]);
    assert!(code == Some(0) && told.starts_with("whole: "), "{told} {said}");
    restored.spawn();
    let mut ada = Client::connect(restored.address);
    let resume = |cur| json!({"token": token, "cur": cur});
    assert_eq!(ada.refused("resume", resume(&lost)), "cursor_expired");
    // What stands before the backup is common to both histories.
    ada.ok("resume", resume(&common));
    let texts = ada.texts(&conv);
    assert_eq!(texts.len(), 200);
    assert!(texts[199].1.starts_with("message 199 "));
    let sent = ada.send("bob", "a new history");
    assert_eq!((&sent["seq"], &sent["conv"]), (&json!(201), &conv));
    restored.kill();
    restored.spawn();
    assert_eq!(Client::resume(restored.address, &token, None).texts(&conv).len(), 201);
}

fn damaged_backups_are_refused(server: &Server, backup: &std::path::Path) {
    let whole = fs::read(backup).unwrap();
    let damaged = backup.with_extension("damaged");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 4;
    let halves = [&flipped[..], &whole[..whole.len() / 2], &whole[..whole.len() - 1], b"", b"no"];
    for bytes in halves {
        fs::write(&damaged, bytes).unwrap();
        let (code, _, said) = server.run(&["--restore", damaged.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("backup.damaged") && !said.contains("panicked"), "{said}");
        assert!(!server.folder.join("CURRENT").exists(), "a part was taken for the whole");
    }
    let (code, _, said) = server.run(&["--restore", "no such file"]);
    assert!(code == Some(1) && said.contains("no such file"), "{said}");
}
