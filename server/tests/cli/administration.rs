//! What the administrator does on the server's machine.

use std::fs;

use super::person::{PASSWORD, Person, server};
use super::support::server::Server;

#[test]
fn the_administrator_adds_resets_and_deletes_accounts() {
    let (folder, mut server) = server();
    let root = Person::new(folder.path(), "root", &server);
    let admin = |words: &[&str]| {
        root.says(&[&["--password-file", "-", "admin"], words].concat(), "battery staple")
    };
    assert_eq!(admin(&["add-user", "ada"]).code, 0);
    admin(&["add-user", "Ada"]).is_refused("user_exists");
    assert_eq!(admin(&["users"]).stdout, "ada\n");
    assert_eq!(admin(&["users", "--json"]).json()["users"][0]["user"], "ada");
    assert_eq!(admin(&["users", "b"]).stdout, "");
    let ada = Person::new(folder.path(), "ada", &server);
    assert_eq!(ada.says(&["login", "ada", "--password-file", "-"], "battery staple").code, 0);
    let reset = ["admin", "reset-password", "ada", "--password-file", "-"];
    assert_eq!(root.says(&reset, PASSWORD).code, 0);
    ada.does(&["users"]).is_refused("unauthorized");
    assert_eq!(ada.says(&["login", "ada", "--password-file", "-"], PASSWORD).code, 0);
    root.does(&["admin", "delete-user", "ada"]).ends(2, "--yes");
    assert_eq!(root.does(&["admin", "delete-user", "ada", "--yes"]).code, 0);
    admin(&["delete-user", "ada", "--yes"]).is_refused("no_such_user");
    admin(&["--id", "7", "users"]).ends(2, "--id 7");
    server.kill();
    admin(&["users"]).ends(3, "admin.sock");
}

#[test]
fn a_backup_goes_into_an_empty_folder_and_nothing_is_missing() {
    let (folder, server) = server();
    let ada = Person::registered(folder.path(), "ada", &server);
    assert_eq!(ada.does(&["send", "ada", "keep this"]).code, 0);
    let verified = ada.does(&["verify", "--json"]).json();
    assert_eq!(verified["hash"].as_str().unwrap().len(), 64);
    assert!(ada.does(&["verify"]).stdout.contains(" rows "));
    let made = ada.does(&["backup", "../copy", "--json"]).json();
    let file = folder.path().join("copy");
    assert_eq!(made["bytes"], fs::metadata(&file).unwrap().len());
    ada.does(&["backup", "../copy"]).is_refused("bad_request");
    let file = file.to_str().unwrap();
    ada.does(&["restore", file, "--id", "1"]).ends(1, "");
    drop(server);

    let elsewhere = tempfile::tempdir().unwrap();
    let mut second = Server::prepare(elsewhere.path(), "BCRYPT_COST=4\n");
    let bob = Person::new(elsewhere.path(), "bob", &second);
    let restored = bob.does(&["restore", file, "--id", "1"]);
    assert_eq!(restored.code, 0, "{restored:?}");
    second.spawn();
    assert_eq!(bob.says(&["login", "ada", "--password-file", "-"], PASSWORD).code, 0);
    assert!(bob.does(&["history", "ada"]).stdout.contains("keep this"));
}
