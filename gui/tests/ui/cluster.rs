//! What is said of connection and cluster, and what stands above the panes: cluster, settings,
//! account.

use holdfast_common::client::{Answer, SessionState};

use super::*;

#[test]
fn connected_says_nothing_but_how_many_servers() {
    let (_stage, harness) = shown(scenes::chat());
    harness.get_by_label("Cluster: 3 servers");
    assert!(harness.query_by_label_contains("onnected").is_none());
}

#[test]
fn a_switch_is_worth_words_after_a_second() {
    let (_stage, harness) = shown(scenes::switching());
    harness.get_by_label_contains("Server 1 stopped answering");
    let (stage, mut harness) = shown(scenes::chat());
    stage.wall_ms.set(stage::NOW_MS - 1_000);
    stage.feed(scenes::switching().pop());
    harness.run_steps(3);
    assert!(harness.query_by_label_contains("stopped answering").is_none(), "not yet");
}

#[test]
fn not_connected_says_since_when_what_waits_and_when_the_next_try_is() {
    let (stage, mut harness) = shown(scenes::offline());
    let sentence = "Not connected since 13:56. 2 messages will be sent when a server answers. \
                    Next try in 4 s.";
    harness.get_by_label(sentence);
    stage.wall_ms.set(stage::NOW_MS + 1_000);
    harness.run_steps(2);
    harness.get_by_label_contains("Next try in 3 s.");
    stage.take();
    harness.get_by_label("Try now").click();
    harness.run_steps(3);
    assert!(stage.take().contains(&Command::TryNow));
    harness.get_by_label("Cluster: Not connected");
}

#[test]
fn fewer_servers_are_said_in_the_footer() {
    let (stage, mut harness) = shown(scenes::chat());
    stage.feed([stage::cluster(1)]);
    harness.run_steps(3);
    harness.get_by_label("Cluster: 1 of 3 servers. New messages have one copy.");
}

#[test]
fn the_cluster_page_says_all_in_plain_words() {
    let (stage, mut harness) = shown(scenes::chat());
    stage.feed([stage::cluster(2)]);
    harness.run_steps(3);
    harness.get_by_label_contains("Cluster: ").click();
    harness.run_steps(4);
    harness.get_by_label("2 of 3 servers. New messages have 2 copies.");
    harness.get_by_label("This window uses server 1.");
    harness.get_by_label_contains("14:03  Server 3 is now");
    press(&mut harness, Modifiers::NONE, Key::Escape);
    assert_eq!(focused(&harness), "Message");
}

fn in_settings() -> (Stage, Shown) {
    in_settings_of(scenes::chat())
}

/// On a screen that is high enough to show all of them.
fn in_settings_of(updates: Vec<Update>) -> (Stage, Shown) {
    let (stage, window) = Stage::new();
    stage.feed(updates);
    let (stage, mut harness) = harness((stage, window), [1_000.0, 1_400.0]);
    harness.run_steps(3);
    press(&mut harness, Modifiers::COMMAND, Key::Comma);
    (stage, harness)
}

#[test]
fn settings_change_and_are_kept() {
    let (stage, mut harness) = in_settings();
    harness.get_by_label("Signed in as alice.");
    for (label, kept) in [
        ("Light", "light 100 1100 280"),
        ("Without the text", "light 100 1101 280"),
        ("Enter sends (Shift+Enter begins a line)", "light 100 0101 280"),
    ] {
        stage.take();
        harness.get_by_label(label).click();
        harness.run_steps(3);
        let asked = stage.take();
        let is_kept = asked.iter().any(|command| {
            matches!(command, Command::KeepInterface { value, .. } if value.starts_with(kept))
        });
        assert!(is_kept, "{label}: {asked:?}");
    }
}

#[test]
fn a_changed_password_is_answered_in_place() {
    let (stage, mut harness) = in_settings();
    type_into(&mut harness, "Present password", "correct horse");
    type_into(&mut harness, "New password", "correcter horse");
    harness.get_by_label("Change password").click();
    harness.run_steps(3);
    assert!(matches!(stage.asked.borrow().last(), Some((_, Command::Passwd { .. }))));
    stage.answer(Ok(Answer::Done));
    harness.run_steps(3);
    harness.get_by_label("The password is changed; all other devices are signed out.");
}

#[test]
fn deleting_the_account_takes_a_password_and_says_what_goes() {
    let (stage, mut harness) = in_settings();
    harness.get_by_label("Delete account").click();
    harness.run_steps(4);
    harness.get_by_label_contains("every message that you wrote");
    stage.take();
    harness.get_by_label("Delete my account").click();
    harness.run_steps(3);
    assert_eq!(stage.take(), [], "not without a password");
    type_into(&mut harness, "Your password", "wrong horse");
    harness.get_by_label("Delete my account").click();
    harness.run_steps(3);
    stage.answer(Err(Failure::Refused(ErrorReply::new(ErrorCode::WrongCredentials))));
    harness.run_steps(3);
    harness.get_by_label("Wrong name or password.");
}

#[test]
fn signing_out_says_what_stays() {
    let (stage, mut harness) = in_settings_of(scenes::offline());
    harness.get_by_label("Sign out").click();
    harness.run_steps(4);
    harness.get_by_label_contains("2 messages are not sent yet. They stay on this computer");
    stage.take();
    harness.get_by_label("Sign out").click();
    harness.run_steps(3);
    assert!(stage.take().contains(&Command::SignOut));
    stage.feed([Update::Session(SessionState::SignedOut(
        holdfast_common::client::SignedOut::ByPerson,
    ))]);
    harness.run_steps(3);
    harness.get_by_label("Sign in to your account");
}
