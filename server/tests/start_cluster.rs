//! `start_cluster.sh` as a person uses it, with the built server and terminal client: one server,
//! and three of which any two may die.

#![expect(clippy::disallowed_methods, reason = "a test of processes opens ports and waits")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use support::house::{House, Said};

#[test]
fn one_word_starts_a_server_again_changes_nothing_and_stop_ends_it() {
    let house = House::new(1);
    assert!(house.run(&["status"]).ends_with(2).out.contains("stopped"));
    let said = house.run(&[]).ends_with(0);
    let pid = house.pid(1);
    let row = said.out.lines().find(|line| line.starts_with("1 ")).expect("a row of the table");
    for part in ["primary", pid.as_str(), "my data/logs/server1.log"] {
        assert!(row.contains(part), "{part:?} in {row:?}");
    }
    house.run(&[]).ends_with(0);
    assert_eq!(house.pid(1), pid, "what runs is left alone");
    house.run(&["status"]).ends_with(0);
    assert!(house.run(&["logs", "1"]).ends_with(0).out.contains("became primary"));
    house.run(&["stop"]).ends_with(0);
    house.run(&["stop"]).ends_with(0);
    house.run(&["status"]).ends_with(2);
    let log = fs::read_to_string(house.data("logs/server1.log")).unwrap();
    assert!(log.trim_end().ends_with("stopped"), "a graceful end: {log}");
}

#[test]
fn a_killed_server_is_started_again_and_restart_is_another_process() {
    let house = House::new(1);
    house.run(&[]).ends_with(0);
    house.run(&["kill", "1"]).ends_with(0);
    house.run(&["kill", "1"]).ends_with(1);
    house.run(&["status"]).ends_with(2);
    house.run(&["start", "1"]).ends_with(0);
    let pid = house.pid(1);
    house.run(&["restart"]).ends_with(0);
    assert_ne!(house.pid(1), pid);
    house.run(&["status"]).ends_with(0);
}

#[test]
fn a_port_that_is_taken_is_named_with_the_key_that_changes_it() {
    let house = House::new(1);
    let taken = TcpListener::bind(("127.0.0.1", house.places[0].client)).unwrap();
    let said = house.run(&[]).ends_with(1);
    assert!(said.error.contains(&format!("port {} ", house.places[0].client)), "{}", said.error);
    assert!(said.error.contains("CLIENT_PORT1"), "{}", said.error);
    assert!(!house.data("server1.pid").exists(), "nothing was started");
    drop(taken);
    house.run(&[]).ends_with(0);
}

#[test]
fn wrong_settings_end_it_with_code_2_and_all_faults() {
    let house = House::new(1);
    house.settings("BCRYPT_COST=3\nNO_SUCH_KEY=1\n");
    let said = house.run(&[]).ends_with(2);
    assert!(said.error.contains("BCRYPT_COST=3"), "{}", said.error);
    assert!(said.error.contains("NO_SUCH_KEY="), "{}", said.error);
    fs::remove_file(house.folder.join(".env")).unwrap();
    house.run(&["status"]).ends_with(2);
}

#[test]
fn a_process_that_it_did_not_start_is_never_killed() {
    let house = House::new(1);
    let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
    fs::create_dir_all(house.data("")).unwrap();
    for word in ["stop", "kill"] {
        fs::write(house.data("server1.pid"), format!("{}\n", stranger.id())).unwrap();
        house.run(&if word == "stop" { vec!["stop"] } else { vec!["kill", "1"] });
        assert!(stranger.try_wait().unwrap().is_none(), "{word} killed a stranger");
    }
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn reset_asks_and_keeps_the_secret_and_what_no_server_made() {
    let house = House::new(1);
    house.run(&[]).ends_with(0);
    let secret = fs::read(house.data("cluster.secret")).unwrap();
    fs::write(house.data("notes.txt"), "mine").unwrap();
    house.run_answering(&["reset"], "no\n").ends_with(1);
    house.run(&["reset"]).ends_with(1);
    assert!(house.data("server1/store").exists());
    fs::create_dir(house.data("server1.aside-1")).unwrap();
    fs::write(house.data("diverged-server1-7.jsonl"), "{}\n").unwrap();
    let said = house.run_answering(&["reset"], "no\n").ends_with(1);
    let question = said.out.find("Type yes").unwrap();
    for kept in ["server1.aside-1", "diverged-server1-7.jsonl"] {
        assert!(said.out.find(kept).is_some_and(|at| at < question), "{}", said.out);
        assert!(house.data(kept).exists());
    }
    let said = house.run_answering(&["reset"], "yes\n").ends_with(0);
    assert!(said.out.contains("notes.txt"), "{}", said.out);
    assert!(!house.data("server1.aside-1").exists());
    assert!(!house.data("diverged-server1-7.jsonl").exists());
    assert!(!house.data("server1").exists() && !house.data("logs").exists());
    assert_eq!(fs::read(house.data("cluster.secret")).unwrap(), secret);
    assert!(house.data("notes.txt").exists());
}

#[test]
fn words_that_it_does_not_know_are_answered_with_those_that_it_does() {
    let house = House::new(1);
    for words in [&["begin"] as &[&str], &["kill"], &["start", "1", "2"], &["status", "1"]] {
        assert!(house.run(words).ends_with(2).error.contains("start_cluster.sh stop"));
    }
    assert!(house.run(&["kill", "7"]).ends_with(2).error.contains("no server '7'"));
}

/// The texts of ada's notes to herself, as one server tells them.
fn notes(house: &House, server: usize) -> Vec<String> {
    let said = house.client(Some(server), &["history", "bob", "--json"]).ends_with(0);
    let texts = said.out.split("\"text\":\"").skip(1);
    texts.map(|rest| rest.split('"').next().expect("a split has a part").to_owned()).collect()
}

/// The word in a column of a server's row.
fn cell(said: &Said, server: usize, column: usize) -> String {
    let row = said.out.lines().find(|line| line.starts_with(&format!("{server} ")));
    let mut cells = row.expect("each server has a row").split_whitespace();
    cells.nth(column).expect("each row has all columns").to_owned()
}

/// Three servers, of which ada is a user, and bob.
fn three() -> House {
    let house = House::new(3);
    house.settings("BCRYPT_COST=4\n");
    let said = house.run(&[]).ends_with(0);
    assert_eq!((1..=3).filter(|n| cell(&said, *n, 2) == "primary").count(), 1, "{}", said.out);
    let password = house.folder.join("password");
    fs::write(&password, "correct horse\n").expect("the test's own folder can be written");
    for name in ["bob", "ada"] {
        let file = password.to_str().expect("the folder's name is text");
        house.client(None, &["register", name, "--password-file", file]).ends_with(0);
    }
    house
}

#[test]
fn any_two_of_three_die_in_turn_and_start_brings_them_back_with_all_messages() {
    let house = three();
    let mut sent = Vec::new();
    let mut send = |text: String| {
        house.client(None, &["send", "bob", &text]).ends_with(0);
        sent.push(text);
    };
    for (first, second) in [("1", "2"), ("2", "3"), ("3", "1")] {
        send(format!("before {first}"));
        house.run(&["kill", first]).ends_with(0);
        house.run(&["status"]).ends_with(1);
        send(format!("without {first}"));
        house.run(&["kill", second]).ends_with(0);
        house.run(&["status"]).ends_with(1);
        send(format!("without {first} and {second}"));
        house.run(&["start", first]).ends_with(0);
        house.run(&["start", second]).ends_with(0);
        house.run(&[]).ends_with(0);
    }
    for server in 1..=3 {
        assert_eq!(notes(&house, server), sent, "server {server}");
    }
}

#[test]
fn two_of_three_die_together_and_the_third_goes_on() {
    let house = three();
    house.client(None, &["send", "bob", "three"]).ends_with(0);
    std::thread::scope(|scope| {
        for number in ["1", "2"] {
            let house = &house;
            scope.spawn(move || house.run(&["kill", number]).ends_with(0));
        }
    });
    let said = house.run(&["status"]).ends_with(1);
    assert_eq!(cell(&said, 3, 2), "primary", "{}", said.out);
    assert_eq!(cell(&said, 1, 3), "stopped", "{}", said.out);
    house.client(None, &["send", "bob", "one"]).ends_with(0);
    house.run(&[]).ends_with(0);
    for server in 1..=3 {
        assert_eq!(notes(&house, server), ["three", "one"], "server {server}");
    }
}

#[test]
fn a_rolling_restart_makes_three_new_processes_and_a_stopped_cluster_starts_again() {
    let house = three();
    let pids = |house: &House| [1, 2, 3].map(|server| house.pid(server));
    let before = pids(&house);
    let said = house.run(&["restart"]).ends_with(0);
    let after = pids(&house);
    assert!(before.iter().zip(&after).all(|(old, new)| old != new), "{before:?} {after:?}");
    assert_eq!(said.out.matches("is in sync again").count(), 3, "{}", said.out);
    house.client(None, &["send", "bob", "restarted"]).ends_with(0);
    house.run(&["stop"]).ends_with(0);
    house.run(&["status"]).ends_with(2);
    house.run(&[]).ends_with(0);
    for server in 1..=3 {
        assert_eq!(notes(&house, server), ["restarted"], "server {server}");
    }
}
