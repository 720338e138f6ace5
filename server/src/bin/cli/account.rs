//! Accounts: register, login, logout, passwd, delete-account.
//!
//! Owns: the words with the person. Driven by: `main` and `chat`. Invariant: a password is in
//! memory only, and no longer than the command.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use holdfast_common::client::{Answer, Command, Failure, SessionState};
use holdfast_common::config::Secret;
use holdfast_common::protocol::{ErrorCode, check_name, check_password};

use super::options::Options;
use super::output::{Output, tell};
use super::password::Passwords;
use super::problem::Problem;
use super::session::Session;

/// `register` and `login`
pub(crate) fn sign_in(
    options: &Options,
    output: &mut Output,
    name: Option<&str>,
    is_new: bool,
) -> Result<(), Problem> {
    let name = match name {
        Some(name) => name.to_owned(),
        None if std::io::stdin().is_terminal() => ask_for("Name: ")?,
        None => return Err(Problem::Usage("which name?".to_owned())),
    };
    let name = name.as_str();
    check_name(name).map_err(|broken| Problem::Refused(broken.into()))?;
    let mut session = Session::open(options)?;
    let mut passwords = Passwords::new(options)?;
    let pass = match is_new {
        true => new_password(&mut passwords, name, "Password for the new account")?,
        false => passwords.present(&format!("Password of {name}"))?,
    };
    let user = sign_in_with(&mut session, name, pass, is_new)?;
    session.tidy_up()?;
    let done = if is_new { "registered, and signed in as" } else { "signed in as" };
    output.note(&format!("{done} {user}"))
}

/// Asks a person for a line.
pub(crate) fn ask_for(prompt: &str) -> Result<String, Problem> {
    write!(std::io::stderr(), "{prompt}").ok();
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer)? == 0 {
        return Err(Problem::not_signed_in());
    }
    Ok(answer.trim().to_owned())
}

/// Signs in; gives the name as registered.
pub(crate) fn sign_in_with(
    session: &mut Session,
    name: &str,
    pass: Secret,
    is_new: bool,
) -> Result<String, Problem> {
    let user = name.to_owned();
    let command = match is_new {
        true => Command::Register { user, pass },
        false => Command::Login { user, pass },
    };
    let mut outcome = session.call_again_if_accepted(command)?;
    if let Err(Failure::Refused(error)) = &mut outcome
        && error.code == ErrorCode::UserExists
    {
        error.text += "; if it is yours: holdfast login NAME";
    }
    match outcome? {
        Answer::SignedIn(user) => Ok(user),
        other @ (Answer::Done | Answer::Sent(_) | Answer::Reply(_)) => {
            unreachable!("{other:?} is no answer to a sign-in")
        }
    }
}

/// A new password that the servers will take.
pub(crate) fn new_password(
    passwords: &mut Passwords,
    name: &str,
    prompt: &str,
) -> Result<Secret, Problem> {
    let pass = passwords.new_one(prompt)?;
    check_password(name, pass.expose()).map_err(|broken| Problem::Refused(broken.into()))?;
    Ok(pass)
}

/// `logout`
pub(crate) fn logout(options: &Options, output: &mut Output) -> Result<(), Problem> {
    let mut session = Session::open(options)?;
    let resumed = session.resume();
    if !session.is_signed_in() {
        return Err(resumed.err().unwrap_or_else(Problem::not_signed_in));
    }
    let waiting = session.model.waiting();
    session.call(Command::SignOut)?;
    output.note("signed out on this machine")?;
    if resumed.is_err() {
        tell(
            "No server was there to hear of it: the sign-in ends here only. \
             Changing the password (holdfast passwd) ends all others.",
        );
    }
    if waiting > 0 {
        tell(&format!("{waiting} unsent message(s) stay here and go out after the next sign-in."));
    }
    Ok(())
}

/// `passwd`
pub(crate) fn passwd(options: &Options, output: &mut Output) -> Result<(), Problem> {
    let mut session = Session::open(options)?;
    session.resume()?;
    let name = signed_in_name(&session)?;
    let mut passwords = Passwords::new(options)?;
    let old = passwords.present(&format!("Present password of {name}"))?;
    let new = new_password(&mut passwords, &name, "New password")?;
    session.call(Command::Passwd { old, new })?;
    output.note("the password is changed; all other sign-ins of this account have ended")
}

/// `delete-account`
pub(crate) fn delete(options: &Options, output: &mut Output) -> Result<(), Problem> {
    let mut session = Session::open(options)?;
    session.resume()?;
    let name = signed_in_name(&session)?;
    if std::io::stdin().is_terminal() {
        tell(&format!(
            "This deletes the account {name} and everything it wrote, for everybody and for good."
        ));
    }
    let pass = Passwords::new(options)?.present(&format!("Password of {name}"))?;
    session.call(Command::DeleteAccount { pass })?;
    output.note(&format!("the account {name} and everything it wrote are deleted"))
}

fn signed_in_name(session: &Session) -> Result<String, Problem> {
    match session.model.session() {
        SessionState::SignedIn { user, .. } => Ok(user.clone()),
        SessionState::SignedOut(_) | SessionState::SigningIn { .. } => {
            Err(Problem::not_signed_in())
        }
    }
}
