//! `setup_distributed.sh` as a person uses it: 127.0.0.1, .2 and .3 stand for three machines, each
//! with a folder of its own.

#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "a test of processes opens ports and waits")]

mod support;

use std::fs;
use std::net::TcpListener;

use support::house::{House, Place, Said};

const SECRET: &str = "CLUSTER_SECRET=0123456789abcdef0123456789abcdef\nBCRYPT_COST=4\n";

/// Three machines that have the same settings.
fn machines() -> Vec<House> {
    let places: Vec<_> = (1..=3).map(|n| Place::at(&format!("127.0.0.{n}"))).collect();
    let machines: Vec<_> = places.iter().map(|_| House::with(places.clone())).collect();
    machines.iter().for_each(|machine| machine.settings(SECRET));
    machines
}

fn setup(house: &House, words: &[&str]) -> Said {
    house.script("setup_distributed.sh", words)
}

/// `status` of all servers, until its exit code is this.
#[track_caller]
fn until(house: &House, code: i32) -> Said {
    for _ in 0..100 {
        let said = house.run(&["status"]);
        if said.code == Some(code) {
            return said;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    house.run(&["status"]).ends_with(code)
}

#[test]
fn three_machines_started_in_any_order_find_each_other_and_two_may_die() {
    let machines = machines();
    for number in [3, 1, 2] {
        let house = &machines[number - 1];
        let said = setup(house, &[&number.to_string(), "--background"]).ends_with(0);
        let unreachable = said.out.matches("not reachable yet").count();
        assert!(unreachable <= 2, "{}", said.out);
        house.run(&["logs", &number.to_string()]).ends_with(0);
    }
    until(&machines[0], 0);
    let said = setup(&machines[1], &["2", "--check"]).ends_with(0);
    assert!(said.out.contains("runs already"), "{}", said.out);
    assert_eq!(said.out.matches("reachable, clocks").count(), 2, "{}", said.out);
    machines[0].run(&["kill", "1"]).ends_with(0);
    machines[2].run(&["kill", "3"]).ends_with(0);
    until(&machines[1], 1);
    setup(&machines[0], &["1", "--background"]).ends_with(0);
    setup(&machines[2], &["3", "--background"]).ends_with(0);
    until(&machines[2], 0);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_nothing_starts() {
    let place = Place::at("127.0.0.2");
    let taken = TcpListener::bind(("127.0.0.2", place.client)).unwrap();
    let house = House::with(vec![Place::at("192.0.2.77"), place, Place::at("127.0.0.3")]);
    house.settings("CLUSTER_SECRET=short\n");
    let said = setup(&house, &["2", "--background"]).ends_with(1);
    for part in ["CLIENT_PORT2", "CLUSTER_SECRET has 5 characters", "nothing was started"] {
        assert!(said.error.contains(part), "{part:?} in {}", said.error);
    }
    assert!(!house.data("server2.pid").exists());
    drop(taken);
    house.settings("");
    let said = setup(&house, &["1", "--check"]).ends_with(1);
    for part in ["SERVER1_IP=192.0.2.77 is no address of this machine", "CLUSTER_SECRET is empty"] {
        assert!(said.error.contains(part), "{part:?} in {}", said.error);
    }
    let said = setup(&house, &["4", "--check"]).ends_with(1);
    assert!(said.error.contains("SERVER4_IP is missing"), "{}", said.error);
}

#[test]
fn a_clock_that_is_far_from_a_peers_is_named() {
    let machines = machines();
    setup(&machines[0], &["1", "--background"]).ends_with(0);
    machines[1].tool("date", "echo 1000000000");
    let said = setup(&machines[1], &["2", "--check"]).ends_with(1);
    assert!(said.error.contains("the clocks of this machine and of server 1"), "{}", said.error);
}

#[test]
fn a_secret_is_fresh_each_time_and_long_enough() {
    let house = House::new(1);
    let secret = || setup(&house, &["secret"]).ends_with(0).out.trim().to_owned();
    let (one, other) = (secret(), secret());
    assert_ne!(one, other);
    assert_eq!(one.len(), 64);
    assert!(one.chars().all(|digit| digit.is_ascii_hexdigit()), "{one}");
}

#[test]
fn the_unit_names_program_and_settings_and_restarts_always() {
    let house = House::new(3);
    house.settings("MAX_CONNECTIONS=70000\n");
    let unit = setup(&house, &["3", "--print-unit"]).ends_with(0).out;
    let settings = fs::canonicalize(house.folder.join(".env")).unwrap();
    let exec = format!("holdfast-server\" --id 3 --env \"{}\"", settings.display());
    for part in [exec.as_str(), "\nRestart=always\n", "\nLimitNOFILE=71024\n", "[Install]"] {
        assert!(unit.contains(part), "{part:?} in {unit}");
    }
}

#[test]
fn words_that_it_does_not_know_are_answered_with_those_that_it_does() {
    let house = House::new(1);
    for words in [&[] as &[&str], &["start"], &["1", "--now"], &["secret", "2"], &["12"]] {
        assert!(setup(&house, words).ends_with(2).error.contains("setup_distributed.sh N --check"));
    }
}
