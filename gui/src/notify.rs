//! Notifications of the desktop.
//!
//! Owns: the thread that tells them: a desktop may take its time to answer. Driven by: `main`, for
//! `window`. Invariants: the window never waits for it; a desktop without notifications is asked
//! once and then left alone. Does not: decide when somebody is told.

use crossbeam_channel::{Sender, bounded};

/// Notifications that wait for the desktop; beyond, they are dropped: nobody reads so many.
const WAITING_MAX: usize = 16;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    thread: Option<Sender<(String, String, bool)>>,
}

impl Notifier {
    /// Tells of something, soon.
    pub(crate) fn tell(&mut self, title: &str, text: &str, sounds: bool) {
        let thread = self.thread.get_or_insert_with(start);
        if thread.try_send((title.to_owned(), text.to_owned(), sounds)).is_err() {
            log::debug!("a notification is dropped");
        }
    }
}

fn start() -> Sender<(String, String, bool)> {
    let (sender, wanted) = bounded::<(String, String, bool)>(WAITING_MAX);
    let work = move || {
        for (title, text, sounds) in wanted {
            let mut notification = notify_rust::Notification::new();
            notification.appname("Holdfast").icon("holdfast").summary(&title).body(&text);
            if sounds {
                notification.sound_name("message-new-instant");
            }
            if let Err(error) = notification.show() {
                log::info!("no notifications from here on: {error}");
                return;
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("notify".to_owned()).spawn(work) {
        log::info!("no notifications: {error}");
    }
    sender
}
