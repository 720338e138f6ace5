//! What must not be found anywhere: passwords, tokens and texts in logs, and files that others may
//! read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::client::{Client, fresh_txn};
use crate::support::server::Server;
use crate::support::tls;

/// Every secret begins like this, so that a part of one is found as well.
const MARK: &str = "5ecre7";

fn secret(what: &str) -> String {
    format!("{MARK}-{what}")
}

/// Everything that chat/1 can do and refuse, with marked secrets; gives the tokens.
fn use_everything(server: &Server) -> Vec<String> {
    let mut ada = tls::connect(server.address);
    let registered =
        json!({"user": "ada", "pass": secret("first"), "device": "a", "txn": fresh_txn()});
    let token = |ok: &Value| ok["token"].as_str().unwrap().to_owned();
    let mut tokens = vec![token(&ada.ok("register", registered.clone()))];
    let mut bob = Client::connect(server.address);
    let d = json!({"user": "bob", "pass": secret("bob"), "device": "b", "txn": fresh_txn()});
    tokens.push(token(&bob.ok("register", d)));
    let mut other = Client::connect(server.address);
    tokens.push(token(&other.ok("register", registered)));
    assert_eq!(
        other.refused("login", json!({"user": "ada", "pass": "x", "device": "c"})),
        "bad_request"
    );
    let mut third = Client::connect(server.address);
    let wrong = json!({"user": "ada", "pass": secret("wrong"), "device": "c"});
    assert_eq!(third.refused("login", wrong), "wrong_credentials");
    let mistyped = json!({"user": secret("password in the name"), "pass": "x", "device": "c"});
    assert_eq!(third.refused("login", mistyped), "wrong_credentials");
    assert_eq!(third.refused("resume", json!({"token": secret("token")})), "unauthorized");
    let right = json!({"user": "ada", "pass": secret("first"), "device": "c"});
    tokens.push(token(&third.ok("login", right)));
    let sent = other.send("bob", &secret("text"));
    let conv = &sent["conv"];
    let change = |more: Value| {
        let mut d = json!({"conv": conv, "seq": 1, "txn": fresh_txn()});
        d.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        d
    };
    other.ok("edit", change(json!({"text": secret("edited")})));
    assert_eq!(bob.refused("edit", change(json!({"text": secret("forged")}))), "forbidden");
    let control = change(json!({"text": format!("{}\u{7}", secret("control"))}));
    assert_eq!(other.refused("send", control), "invalid_text");
    bob.ok("read", json!({"conv": conv, "upto": 1}));
    bob.ok("delivered", json!({"conv": conv, "upto": 1}));
    for (op, d) in [
        ("history", json!({"conv": conv})),
        ("conversations", json!({})),
        ("sessions", json!({})),
        ("users", json!({"prefix": ""})),
    ] {
        bob.ok(op, d);
    }
    other.ok("delete", change(json!({"for": "all"})));
    other.ok("passwd", json!({"old": secret("first"), "new": secret("second")}));
    assert_eq!(
        other.refused("passwd", json!({"old": secret("x"), "new": secret("y")})),
        "wrong_credentials"
    );
    other.ok("revoke", json!({"session": "others"}));
    broken_lines(server);
    administer(server);
    bob.ok("delete_account", json!({"pass": secret("bob"), "txn": fresh_txn()}));
    other.ok("logout", json!({}));
    tokens
}

/// Lines that cannot be read are refused with a reason, which may be logged: it must not quote
/// them.
fn broken_lines(server: &Server) {
    for line in [
        format!("{}\n", secret("no json")),
        format!("{{\"id\":1,\"op\":\"{}\"}}\n", secret("as an operation")),
        format!("{{\"id\":\"{}\"}}\n", secret("as an id")),
        format!(
            "{{\"id\":2,\"op\":\"login\",\"d\":{{\"user\":7,\"pass\":\"{}\"}}}}\n",
            secret("d")
        ),
        format!("{{\"id\":3,\"op\":\"hello\",\"d\":{{\"proto\":\"{}\"}}}}\n", secret("proto")),
        format!("{{\"id\":4,\"op\":\"resume\",\"d\":{{\"token\":[\"{}\"]}}}}\n", secret("list")),
        format!("GET /{} HTTP/1.1\n", secret("path")),
    ] {
        let mut client = Client::connect(server.address);
        client.raw(line.as_bytes()).unwrap();
        assert!(client.line().unwrap().get("err").is_some());
    }
}

fn administer(server: &Server) {
    let mut admin = Client::administration(&server.folder);
    admin.ok("admin_users", json!({"prefix": ""}));
    admin.ok("admin_register", json!({"user": "carol", "pass": secret("carol")}));
    assert_eq!(
        admin.refused("admin_register", json!({"user": "carol", "pass": secret("c")})),
        "user_exists"
    );
    admin.ok("admin_reset_password", json!({"user": "carol", "pass": secret("reset")}));
    admin.ok("admin_delete_user", json!({"user": "carol"}));
    admin.ok("admin_verify", json!({}));
    admin.refused(&secret("as an operation"), json!({}));
}

#[test]
fn no_password_token_or_text_is_in_any_log_even_when_everything_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        "BCRYPT_COST=4\nLOG_LEVEL=trace,rustls=trace,mio=trace,fjall=trace,lsm_tree=trace\n";
    let mut server = Server::start(folder.path(), settings);
    let mut forbidden = use_everything(&server);
    forbidden.push(MARK.to_owned());
    forbidden.push(fs::read_to_string(folder.path().join("data/cluster.secret")).unwrap());
    let metrics = server.http_get("/metrics");
    // A second life reads all of it again.
    server.kill();
    server.spawn();
    assert!(server.stop().success());
    for (name, text) in
        [("the log", server.logged()), ("stderr", server.said()), ("the metrics", metrics)]
    {
        assert!(!text.is_empty(), "{name} is empty");
        for forbidden in &forbidden {
            let line = text.lines().find(|line| line.contains(forbidden.trim()));
            assert_eq!(line, None, "{name} tells {forbidden}");
        }
    }
    assert!(server.logged().contains("TRACE"), "the test has seen nothing");
    assert!(server.logged().contains("login refused user=ada"), "no failure in the audit");
}

fn modes(folder: &Path, wrong: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        if mode != expected {
            wrong.push(format!("{} {mode:o}", path.display()));
        }
        if path.is_dir() {
            modes(&path, wrong);
        }
    }
}

#[test]
fn whatever_is_made_in_the_data_folder_is_for_its_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "BCRYPT_COST=4\n");
    let (mut ada, _) = Client::register(server.address, "ada");
    ada.send("ada", "to myself");
    let backup = folder.path().join("data").join("backup");
    Client::administration(&server.folder).ok("admin_backup", json!({"path": backup}));
    server.signal("HUP");
    assert!(server.stop().success());
    server.spawn();
    let mut wrong = Vec::new();
    modes(folder.path(), &mut wrong);
    wrong.retain(|line| !line.contains("settings.env") && !line.contains("/stderr "));
    assert!(wrong.is_empty(), "others may read: {wrong:?}");
}
