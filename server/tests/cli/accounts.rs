//! Accounts, and what is refused.

use std::fs;

use super::person::{PASSWORD, Person, server};

#[test]
fn who_registered_is_signed_in_until_they_sign_out() {
    let (folder, server) = server();
    let ada = Person::registered(folder.path(), "ada", &server);
    let users = ada.does_plainly(&["users", "--json"]).json();
    assert_eq!(users, serde_json::json!({"users": [{"user": "ada"}], "more": false}));
    assert_eq!(ada.does_plainly(&["users", "z"]).stdout, "");
    assert_eq!(ada.does(&["logout"]).code, 0);
    ada.does(&["users"]).is_refused("unauthorized");
    ada.does(&["chat"]).is_refused("unauthorized");
    ada.does(&["logout"]).is_refused("unauthorized");
    let signed_in = ada.says(&["login", "ADA", "--password-file", "-"], PASSWORD);
    assert_eq!((signed_in.code, signed_in.stdout.as_str()), (0, "signed in as ada\n"));
    assert_eq!(ada.does(&["users"]).stdout, "ada\n");
}

#[test]
fn a_wrong_password_a_taken_name_and_a_broken_rule_are_refused_with_their_codes() {
    let (folder, server) = server();
    let ada = Person::registered(folder.path(), "ada", &server);
    let bob = Person::new(folder.path(), "bob", &server);
    let login = ["login", "ada", "--password-file", "-"];
    bob.says(&login, "wrong horse").is_refused("wrong_credentials");
    let unknown = ["login", "nobody", "--password-file", "-"];
    bob.says(&unknown, PASSWORD).is_refused("wrong_credentials");
    bob.register("Ada", PASSWORD).is_refused("user_exists");
    bob.register("bob", "short").is_refused("weak_password");
    bob.register("b", PASSWORD).is_refused("invalid_name");
    ada.does(&["send", "nobody", "hi"]).is_refused("no_such_user");
    ada.does(&["send", "bob", "  "]).is_refused("invalid_text");
    ada.does(&["history", "bob"]).is_refused("no_such_conversation");
    let quit = ada.says(&["chat"], "");
    assert_eq!(quit.code, 0, "what was refused does not wait to be sent: {quit:?}");
}

#[test]
fn wrong_use_is_told_apart_from_a_refusal() {
    let (folder, server) = server();
    let ada = Person::new(folder.path(), "ada", &server);
    ada.does(&["dance"]).ends(2, "dance");
    ada.does(&["send", "bob"]).ends(2, "TEXT");
    ada.does_plainly(&["status"]).ends(2, "--server");
    ada.does_plainly(&["--server", "here", "status"]).ends(2, "ADDRESS:PORT");
    ada.does_plainly(&["--env", "nowhere.env", "users"]).ends(2, "nowhere.env");
    ada.does(&["register", "ada"]).ends(2, "--password-file");
    ada.does(&["register"]).ends(2, "which name");
    ada.does(&["register", "ada", "--password-file", "none"]).ends(2, "none");
    ada.does(&["register", "ada", "--password-file", "-"]).ends(2, "too few lines");
    fs::write(folder.path().join("wrong.env"), "SERVER1_IP=here\n").unwrap();
    ada.does_plainly(&["--env", "../wrong.env", "users"]).ends(2, "SERVER1_IP");
    assert_eq!(ada.does(&["--help"]).code, 0);
}

#[test]
fn another_password_ends_other_sign_ins_and_a_deleted_account_is_gone() {
    let (folder, server) = server();
    let ada = Person::registered(folder.path(), "ada", &server);
    let tablet = Person::new(folder.path(), "tablet", &server);
    let file = folder.path().join("password");
    fs::write(&file, format!("{PASSWORD}\r\n")).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(tablet.does(&["login", "ada", "--password-file", file]).code, 0);
    let passwd = ["passwd", "--password-file", "-"];
    ada.says(&passwd, "wrong horse\nbattery staple\n").is_refused("wrong_credentials");
    assert_eq!(ada.says(&passwd, &format!("{PASSWORD}\nbattery staple\n")).code, 0);
    assert_eq!(ada.does(&["users"]).code, 0);
    tablet.does(&["users"]).is_refused("unauthorized");
    let delete = ["delete-account", "--password-file", "-"];
    ada.says(&delete, PASSWORD).is_refused("wrong_credentials");
    assert_eq!(ada.says(&delete, "battery staple").code, 0);
    ada.does(&["users"]).is_refused("unauthorized");
    assert_eq!(ada.register("ada", PASSWORD).code, 0, "the name is free again");
}
