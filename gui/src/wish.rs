//! What a view asks for. Views draw and return wishes; `window` carries them out.
//!
//! Owns: the vocabulary. Invariant: plain data, so a test can look at it. Does not: do anything.

use holdfast_common::client::{Command, Question};
use holdfast_common::config::Secret;
use holdfast_common::ids::{ConversationId, Seq};
use holdfast_common::protocol::Target;

/// See the module's page.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// The engine is to do this; nobody waits for the answer.
    Do(Command),
    /// Sign in, or create an account first.
    SignIn {
        /// The name.
        user: String,
        /// The password.
        pass: Secret,
        /// Whether the account is to be created.
        is_new: bool,
    },
    /// Change the password.
    ChangePassword {
        /// The present one.
        old: Secret,
        /// The new one.
        new: Secret,
    },
    /// Delete the account; the password.
    DeleteAccount(Secret),
    /// Put what helps to find a fault into the clipboard, without secrets and texts.
    CopyDiagnostics,
    /// Ask a server; the answer goes to whoever shows it.
    Ask(Question),
    /// Show this chat, with the cursor in the composer.
    Open(Target),
    /// Show the list: where one pane is shown at a time.
    Back,
    /// Send what is typed, or confirm an edit.
    Send(String),
    /// Edit an own message.
    Edit(Seq),
    /// Stop editing.
    CancelEdit,
    /// Go to the composer.
    Compose,
    /// Put this into the clipboard.
    Copy(String),
    /// Open a link in the browser.
    Browse(String),
    /// Show something above the panes.
    Show(Popup),
    /// Close what is above the panes.
    Hide,
    /// Change how the window looks or acts.
    Set(Preference),
}

/// What stands above the panes, one at a time.
#[derive(Debug, Clone, PartialEq)]
pub enum Popup {
    /// People and chats, by name.
    Switcher,
    /// The servers.
    Cluster,
    /// All settings.
    Settings,
    /// What can be done with the keyboard.
    Shortcuts,
    /// All about a message.
    Details(ConversationId, Seq),
    /// Really delete it for both?
    DeleteForBoth(ConversationId, Seq),
    /// Really delete the account?
    DeleteAccount,
    /// Really sign out, with messages that are not sent?
    SignOut,
}

/// Something that a person chooses about the window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Preference {
    /// Dark, light, or as the system.
    Theme(egui::ThemePreference),
    /// All sizes, in percent.
    Zoom(u16),
    /// Whether Enter sends (and Shift+Enter begins a line), or the other way round.
    EnterSends(bool),
    /// Whether to notify of messages.
    Notify(bool),
    /// Whether with a sound.
    Sound(bool),
    /// Whether without the text.
    HideText(bool),
    /// How wide the list is.
    ListWidth(f32),
}
