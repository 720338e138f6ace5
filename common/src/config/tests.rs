use super::*;

const ONE: &str = "SERVER1_IP=127.0.0.1\nREPLICA_PORT1=8081\nCLIENT_PORT1=8091\n";

fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, Faults> {
    let look_up = |key: &str| {
        environment.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
    };
    Config::load(&Source {
        file: parse_file(file).unwrap(),
        folder: PathBuf::from("/etc/holdfast"),
        environment: &look_up,
    })
}

fn faults(file: &str) -> Vec<String> {
    load(file, &[]).unwrap_err().0.into_iter().map(|fault| fault.key).collect()
}

#[test]
fn addresses_and_ports_suffice_and_the_rest_has_its_documented_default() {
    let config = load(ONE, &[]).unwrap();
    assert_eq!(config.servers.len(), 1);
    assert_eq!(config.servers[0].client().to_string(), "127.0.0.1:8091");
    assert_eq!(config.servers[0].http_port, None, "no port, no endpoint");
    assert_eq!(config.data_dir, PathBuf::from("/etc/holdfast/data"));
    assert_eq!((config.heartbeat_ms, config.election_ms, config.remove_ms), (50, 300, 1000));
    assert_eq!((config.bcrypt_cost, config.sends_per_s, config.connections_max), (12, 20, 20_000));
    assert_eq!(config.client_plaintext, Plaintext::Loopback);
}

#[test]
fn the_environment_wins_over_the_file_and_may_hold_anything_else() {
    let config = load(ONE, &[("CLIENT_PORT1", "9999"), ("SOMETHING_ELSE", "x")]).unwrap();
    assert_eq!(config.servers[0].client_port, 9999);
}

#[test]
fn all_faults_are_told_at_once_each_with_key_value_and_what_is_expected() {
    let text = "SERVER1_IP=localhost\nREPLICA_PORT1=8081\nCLIENT_PORT1=8081x\nBCRYPT_COST=3\n\
                SURVIVOR_POLICY=hope\nCLEINT_PORT2=1\nLOG_LEVEL=loud\n";
    let error = load(text, &[]).unwrap_err();
    let text = error.to_string();
    for part in [
        "SERVER1_IP=localhost: expected an IP address",
        "CLIENT_PORT1=8081x: expected a port",
        "BCRYPT_COST=3: expected a whole number from 4 to 15",
        "SURVIVOR_POLICY=hope: expected one of proof, timeout, majority",
        "CLEINT_PORT2=(not shown): expected a key that exists",
        "LOG_LEVEL=loud: expected off, error",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
}

#[test]
fn equal_ports_missing_parts_and_odd_numbers_of_servers_are_faults() {
    assert_eq!(faults(&ONE.replace("8091", "8081")), ["CLIENT_PORT1"]);
    assert_eq!(faults("SERVER1_IP=127.0.0.1\nCLIENT_PORT1=1\n"), ["REPLICA_PORT1"]);
    assert_eq!(faults(""), ["SERVER1_IP"]);
    let two = ONE.to_owned() + "SERVER2_IP=127.0.0.1\nREPLICA_PORT2=1\nCLIENT_PORT2=2\n";
    assert_eq!(faults(&two), ["SERVER1_IP"]);
    let gap = ONE.to_owned() + "SERVER3_IP=127.0.0.1\nREPLICA_PORT3=1\nCLIENT_PORT3=2\n";
    assert_eq!(faults(&gap), ["SERVER2_IP", "REPLICA_PORT2", "CLIENT_PORT2"]);
    assert_eq!(faults(&(ONE.to_owned() + ONE)), ["SERVER1_IP", "REPLICA_PORT1", "CLIENT_PORT1"]);
}

#[test]
fn a_secret_is_needed_off_loopback_has_32_characters_and_is_never_printed() {
    let away = ONE.replace("127.0.0.1", "192.168.1.5");
    assert_eq!(faults(&away), ["CLUSTER_SECRET"]);
    let short = load(&away, &[("CLUSTER_SECRET", "hunter2")]).unwrap_err().to_string();
    assert!(!short.contains("hunter2"), "{short}");
    let config = load(&away, &[("CLUSTER_SECRET", &"s3cret".repeat(6))]).unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn a_complaint_never_shows_a_secret_however_its_line_is_wrong() {
    for line in [
        "CLUSTER_SECRT=hunter2hunter2",
        "CLUSTER_SECRET=hunter2\nCLUSTER_SECRET=hunter2",
        "CLUSTER_SECRET=hunter2 hunter2",
        "CLUSTER_SECRET='hunter2",
        "CLUSTER_SECRET hunter2",
        "CLUSTER_SECRET=hunter2$",
    ] {
        let said = match parse_file(&format!("{ONE}{line}\n")) {
            Err(said) => said,
            Ok(_) => load(&format!("{ONE}{line}\n"), &[]).unwrap_err().to_string(),
        };
        assert!(!said.contains("hunter2"), "{line}: {said}");
    }
    let said = parse_file(&format!("{ONE}CLUSTER_SECRET=hunter2 hunter2\n")).unwrap_err();
    assert!(said.starts_with("line 4: expected NAME=value"), "{said}");
}

#[test]
fn a_dollar_stands_for_itself_or_is_refused_and_never_for_the_environment() {
    let value = |line: &str| parse_file(line).map(|pairs| pairs[0].1.clone());
    assert_eq!(value("DATA_DIR='/a$PATH'").unwrap(), "/a$PATH");
    assert_eq!(value("DATA_DIR=/a\\$PATH # $PATH").unwrap(), "/a$PATH");
    for line in ["DATA_DIR=/a$PATH", "DATA_DIR=\"/a${PATH}\"", "# $\nDATA_DIR=it\\'s$PATH"] {
        assert!(value(line).unwrap_err().contains("a $ stands for nothing"), "{line}");
    }
}

#[test]
fn what_is_for_tests_alone_is_refused_in_the_file() {
    assert_eq!(
        faults(&(ONE.to_owned() + "TEST_FOREIGN_LOOPBACK=127.0.0.9\n")),
        ["TEST_FOREIGN_LOOPBACK"]
    );
    assert!(load(ONE, &[("TEST_FOREIGN_LOOPBACK", "127.0.0.9")]).is_ok());
    let keep = "TEST_JOURNAL_KEEP_BYTES";
    assert_eq!(faults(&(ONE.to_owned() + keep + "=1000\n")), [keep]);
    assert_eq!(load(ONE, &[(keep, "1000")]).unwrap().journal_keep_bytes, Some(1000));
}

#[test]
fn levels_are_read_for_all_and_by_target() {
    let config = load(ONE, &[("LOG_LEVEL", "warn,holdfast_server::replication=debug")]).unwrap();
    assert_eq!(config.log_level.default, log::LevelFilter::Warn);
    assert_eq!(
        config.log_level.targets,
        [("holdfast_server::replication".to_owned(), log::LevelFilter::Debug)]
    );
}

#[test]
fn the_committed_file_is_three_servers_with_every_key_at_its_default() {
    let text = include_str!("../../../.env");
    let config = load(text, &[]).unwrap();
    let without = load(ONE, &[]).unwrap();
    let ports = |server: &ServerAddresses| {
        (server.replica_port, server.client_port, server.http_port.unwrap())
    };
    let all: Vec<_> = config.servers.iter().map(ports).collect();
    assert_eq!(all, [(8081, 8091, 8071), (8082, 8092, 8072), (8083, 8093, 8073)]);
    let same = |config: &Config| {
        let mut config = config.clone();
        config.servers.clear();
        format!("{config:?}")
    };
    assert_eq!(same(&config), same(&without), "a default in .env is not the one in config.rs");
    for key in keys::KNOWN {
        assert!(text.contains(&format!("\n{key}=")), "{key} is not explained in .env");
    }
}
