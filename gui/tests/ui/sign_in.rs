//! Signing in, creating an account, and whether the servers are who they should be.

use holdfast_common::client::{Identity, SessionState, SignedOut, Tried};

use super::*;

/// A sign-in that came back with this.
fn refused(failure: Failure) -> Shown {
    let (stage, mut harness) = shown(scenes::signed_out());
    fill_in(&mut harness, "alice", "wrong horse");
    harness.key_press(Key::Enter);
    harness.run_steps(2);
    stage.answer(Err(failure));
    harness.run_steps(3);
    harness
}

fn code(code: ErrorCode) -> Failure {
    Failure::Refused(ErrorReply::new(code))
}

#[test]
fn each_failure_has_a_sentence_of_its_own() {
    refused(code(ErrorCode::WrongCredentials)).get_by_label("Wrong name or password.");
    let taken = "That name is taken. Is it yours? Then sign in instead.";
    refused(code(ErrorCode::UserExists)).get_by_label(taken);
    let wait = ErrorReply::new(ErrorCode::RateLimited).after_ms(6_200);
    let wait = refused(Failure::Refused(wait));
    wait.get_by_label("Too many attempts. Try again in 7 seconds.");
    let tried = |address: &str| Tried { address: address.to_owned(), reason: String::new() };
    let silent = refused(Failure::NoServer(vec![tried("a:1"), tried("b:2")]));
    silent.get_by_label("No server answers. Tried: a:1, b:2.");
}

#[test]
fn it_begins_with_the_name_and_tab_leads_to_the_password() {
    let (_stage, mut harness) = shown(scenes::signed_out());
    assert_eq!(focused(&harness), "Name");
    press(&mut harness, Modifiers::NONE, Key::Tab);
    assert_eq!(focused(&harness), "Password");
}

#[test]
fn an_account_is_created_and_its_rules_are_shown_while_typing() {
    let (stage, mut harness) = shown(scenes::signed_out());
    harness.get_by_label("New here? Create an account").click();
    harness.run_steps(3);
    fill_in(&mut harness, "alice", "short");
    harness.get_by_label_contains("at least 8");
    harness.get_by_label("Password").type_text(" but longer");
    harness.run_steps(2);
    harness.key_press(Key::Enter);
    harness.run_steps(2);
    let asked = stage.take();
    assert!(matches!(asked.last(), Some(Command::Register { .. })), "{asked:?}");
}

#[test]
fn signed_out_elsewhere_is_said_and_what_is_kept() {
    let updates = vec![Update::Session(SessionState::SignedOut(SignedOut::Ended))];
    let (_stage, harness) = shown(updates);
    let sentence = "You were signed out elsewhere. Drafts and unsent messages are kept.";
    harness.get_by_label(sentence);
}

#[test]
fn a_first_contact_shows_the_fingerprint_and_enter_confirms_it() {
    let (stage, mut harness) = shown(scenes::first_contact());
    harness.get_by_label("Is this your cluster?");
    harness.get_by_label_contains("5a5a");
    press(&mut harness, Modifiers::NONE, Key::Enter);
    assert!(stage.take().contains(&Command::AcceptIdentity(Identity::Cluster([0x5a; 32]))));
}

#[test]
fn a_changed_fingerprint_is_a_full_stop_that_no_key_passes_by_accident() {
    let (stage, mut harness) = shown(scenes::changed_key());
    harness.get_by_label("Stop: this may not be your server");
    harness.get_by_label_contains("c3c3");
    press(&mut harness, Modifiers::NONE, Key::Enter);
    press(&mut harness, Modifiers::NONE, Key::Escape);
    assert_eq!(stage.take(), [], "nothing was decided");
    harness.get_by_label("The new key is right").click();
    harness.run_steps(3);
    assert!(stage.take().contains(&Command::AcceptIdentity(Identity::Cluster([0xc3; 32]))));
}
