//! Questions before what cannot be undone.

use egui::{Id, RichText, Ui};
use holdfast_common::client::Command;
use holdfast_common::client::model::Model;
use holdfast_common::config::Secret;
use holdfast_common::ids::{ConversationId, Seq};
use holdfast_common::protocol::Scope;

use super::hint;
use crate::controls::{self, Kind};
use crate::theme::{GAP, Palette, Type};
use crate::wish::Wish;
use crate::words;

/// The two ways out: to do it, and not to.
fn choice(
    ui: &mut Ui,
    label: &str,
    is_possible: bool,
    wish: impl FnOnce() -> Vec<Wish>,
) -> Vec<Wish> {
    let mut wishes = Vec::new();
    ui.add_space(GAP);
    ui.horizontal(|ui| {
        let does =
            ui.add_enabled_ui(is_possible, |ui| controls::button(ui, label, Kind::Danger, None));
        if does.inner.clicked() {
            wishes.extend(wish());
        }
        if controls::button(ui, "Cancel", Kind::Plain, None).clicked() {
            wishes.push(Wish::Hide);
        }
    });
    wishes
}

/// A message is to go from the other's screen too.
pub(super) fn delete_for_both(
    ui: &mut Ui,
    palette: &Palette,
    (conv, seq): (ConversationId, Seq),
) -> Vec<Wish> {
    hint(
        ui,
        palette,
        "Its text is erased on all servers. Both of you will see that a message was deleted. It \
         cannot be undone.",
    );
    choice(ui, "Delete for both", true, || {
        vec![Wish::Do(Command::Delete { conv, seq, scope: Scope::All }), Wish::Hide]
    })
}

/// The account is to go, with all that it wrote.
pub(super) fn delete_account(
    ui: &mut Ui,
    palette: &Palette,
    password: &mut String,
    told: &Option<(bool, String)>,
) -> Vec<Wish> {
    hint(
        ui,
        palette,
        "This removes, on all servers and for everybody: your name, every message that you wrote, \
         and your chats. What others wrote to you stays with them. It cannot be undone.",
    );
    controls::field(ui, Id::unique("deletion password"), password, "Your password", true);
    if let Some((false, sentence)) = told {
        ui.label(RichText::new(sentence).font(Type::Small.font()).color(palette.danger));
    }
    let is_possible = !password.is_empty();
    choice(ui, "Delete my account", is_possible, || {
        let pass = Secret::new(std::mem::take(password));
        vec![Wish::DeleteAccount(pass)]
    })
}

/// The session is to end while something waits to be sent.
pub(super) fn sign_out(ui: &mut Ui, palette: &Palette, model: &Model) -> Vec<Wish> {
    let waiting = u64::try_from(model.waiting()).unwrap_or(u64::MAX);
    let text = match waiting {
        0 => "Your drafts stay on this computer.".to_owned(),
        waiting => format!(
            "{} not sent yet. They stay on this computer, and are sent when you sign in again.",
            match waiting {
                1 => "1 message is".to_owned(),
                more => format!("{} are", words::count(more, "message")),
            }
        ),
    };
    hint(ui, palette, text);
    choice(ui, "Sign out", true, || vec![Wish::Do(Command::SignOut), Wish::Hide])
}
