//! What a name, a password, a text and a device's name may be. The server enforces these; a client
//! shows them while the person types.

use super::{ErrorCode, ErrorReply, TEXT_BYTES_MAX};

/// Longest name of a device in bytes. Not a rule that people meet: clients name themselves.
const DEVICE_BYTES_MAX: usize = 100;
/// bcrypt takes 72 bytes with its closing NUL: longer passwords are refused, never cut.
const PASSWORD_BYTES_MAX: usize = 71;

/// A rule that was broken, and how, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The protocol's code for this rule.
    pub code: ErrorCode,
    /// What the rule asks for.
    pub text: &'static str,
}

impl From<Broken> for ErrorReply {
    fn from(broken: Broken) -> ErrorReply {
        ErrorReply::with_text(broken.code, broken.text)
    }
}

fn require(holds: bool, code: ErrorCode, text: &'static str) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { code, text }) }
}

/// Names are unique without regard to case: this is the form under which they are compared.
pub fn fold_name(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// # Errors
/// The part of the rule for names that `name` breaks.
pub fn check_name(name: &str) -> Result<(), Broken> {
    let code = ErrorCode::InvalidName;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    require((3..=32).contains(&name.chars().count()), code, "a name has 3 to 32 characters")?;
    require(name.bytes().all(allowed), code, "a name has only a-z A-Z 0-9 _ . and -")?;
    require(name.as_bytes()[0].is_ascii_alphabetic(), code, "a name begins with a letter")
}

/// # Errors
/// The part of the rule for passwords that `password` of the account `name` breaks.
pub fn check_password(name: &str, password: &str) -> Result<(), Broken> {
    let code = ErrorCode::WeakPassword;
    require(password.len() >= 8, code, "a password has at least 8 bytes")?;
    require(password.len() <= PASSWORD_BYTES_MAX, code, "a password has at most 71 bytes")?;
    require(!password.contains('\0'), code, "a password has no NUL character")?;
    require(fold_name(password) != fold_name(name), code, "a password is not the name")
}

/// # Errors
/// The part of the rule for messages that `text` breaks.
pub fn check_text(text: &str) -> Result<(), Broken> {
    let code = ErrorCode::InvalidText;
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    require(text.len() <= TEXT_BYTES_MAX, code, "a message has at most 16384 bytes")?;
    require(!text.trim().is_empty(), code, "a message has something besides white space")?;
    require(
        !text.contains(control),
        code,
        "a message has no control characters but newline and tab",
    )
}

/// # Errors
/// The part of the rule for devices' names that `device` breaks.
pub fn check_device(device: &str) -> Result<(), Broken> {
    let code = ErrorCode::BadRequest;
    require(device.len() <= DEVICE_BYTES_MAX, code, "field `device`: at most 100 bytes")?;
    require(!device.contains(char::is_control), code, "field `device`: no control characters")
}
