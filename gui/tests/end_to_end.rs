//! The built window on a display, typed into by keyboard alone, over three real servers that die.
//!
//! The other person is a client that knows nothing but lines of JSON; what came of it all is read
//! from the servers.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test of processes reads clocks and opens sockets, and fails where it must not go on"
)]

mod desk;

use std::path::Path;
use std::time::{Duration, Instant};

use desk::gui::Gui;
use desk::kept::{Kept, kept};
use desk::support::client::Client;
use desk::support::cluster::Cluster;
use desk::{PATIENCE, is_ready, until, until_true};
use holdfast_common::protocol::Target;
use holdfast_gui::theme;
use serde_json::json;

const PASSWORD: &str = "correct horse";
/// Right of this is the chat.
const CHAT_LEFT: u32 = 320;

/// Three servers, Bob, and Alice's window, in which nobody has an account yet.
struct Scene {
    cluster: Cluster,
    bob_token: String,
    gui: Gui,
}

impl Scene {
    fn set(folder: &Path) -> Scene {
        let cluster = Cluster::start(folder, 3);
        let (_, bob_token) = Client::register(cluster.address(1), "bob");
        let gui = Gui::prepare(folder, cluster.addresses());
        Scene { cluster, bob_token, gui }
    }

    /// Bob, on a server that runs.
    fn bob(&self) -> Client {
        let number = *self.cluster.awake().last().unwrap();
        Client::resume(self.cluster.address(number), &self.bob_token, None)
    }

    /// Waits until the servers have exactly these messages, oldest first.
    fn until_texts(&self, wanted: &[&str]) {
        let mut seen = Vec::new();
        let start = Instant::now();
        while seen != wanted {
            assert!(start.elapsed() < PATIENCE, "{seen:?} instead of {wanted:?}");
            // Servers refuse whoever asks for too many pages.
            std::thread::sleep(Duration::from_millis(100));
            let texts = self.bob().texts(&json!("c1"));
            seen = texts.into_iter().map(|(_, text)| text).collect();
        }
    }

    /// Alice makes an account and has a chat with Bob, without a mouse.
    fn enter(&mut self) {
        let gui = &mut self.gui;
        gui.start();
        // From the name over password, eye and "Sign in" to "Create an account".
        for _ in 0..4 {
            gui.key("Tab");
        }
        gui.key("Return");
        gui.write("alice");
        gui.key("Tab");
        gui.send(PASSWORD);
        // Enter says yes to the fingerprint, once it is there; before, nothing heeds it.
        until("an account", || {
            gui.key("Return");
            kept(&gui.home())
        });
        self.begin_chat();
    }

    fn begin_chat(&mut self) {
        let gui = &mut self.gui;
        gui.key("ctrl+n");
        gui.write("bob");
        // Enter opens the first hit as soon as there is one.
        until("a chat with Bob", || {
            gui.key("Return");
            let kept = kept(&gui.home())?;
            (kept.open() == Some(Target::User("bob".to_owned()))).then_some(())
        });
    }
}

#[test]
fn an_account_a_chat_marks_an_edit_and_a_deletion_take_a_keyboard_and_no_mouse() {
    if !is_ready("the window on a display: account, chat, marks, edit, deletion") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::set(folder.path());
    scene.enter();
    scene.gui.send("hello bob");
    scene.until_texts(&["hello bob"]);

    // Bob has read it: two ticks in the colour of the own bubbles' accent.
    let mut bob = scene.bob();
    let read_color = theme::DARK.own_accent;
    assert_eq!(scene.gui.display.count(read_color, CHAT_LEFT), 0, "nobody has read anything");
    bob.ok("read", json!({"conv": "c1", "upto": 1}));
    scene.gui.until_kept("Bob's mark", |kept| kept.0.conversations[0].peer_read.0 == 1);
    until_true("two ticks on the screen", || scene.gui.display.count(read_color, CHAT_LEFT) > 0);

    // Bob answers: it is on the screen, and so Bob learns that it was read.
    bob.send("alice", "hello alice");
    until_true("Alice's mark", || {
        let event = bob.event("read");
        event["d"]["user"] == "alice" && event["d"]["upto"] == 2
    });

    // Up edits the last own message.
    scene.gui.key("Up");
    scene.gui.key("ctrl+a");
    scene.gui.send("hello, Bob");
    scene.until_texts(&["hello, Bob", "hello alice"]);

    // From the composer Tab goes to the messages; the first one's menu begins at Copy; then come
    // Edit, Delete for me, Delete for both.
    scene.gui.key("Tab");
    scene.gui.key("shift+F10");
    for _ in 0..3 {
        scene.gui.key("Tab");
    }
    scene.gui.key("Return");
    // The question: its way out is first, then what it asks.
    scene.gui.key("Tab");
    scene.gui.key("Tab");
    scene.gui.key("Return");
    scene.until_texts(&["", "hello alice"]);
}

#[test]
fn servers_that_die_while_somebody_writes_cost_no_word_and_no_focus() {
    if !is_ready("the window on a display: servers killed while writing") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::set(folder.path());
    scene.enter();
    let texts: Vec<String> = (1..=12).map(|number| format!("message {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    // Two of three die, one after the other, each between a text and its Enter; one returns.
    for (at, text) in texts.iter().enumerate() {
        scene.gui.write(text);
        match at {
            3 => scene.cluster.kill(&[1]),
            6 => scene.cluster.kill(&[2]),
            9 => scene.cluster.launch(1),
            _ => {}
        }
        scene.gui.key("Return");
    }
    scene.until_texts(&texts);
    scene.cluster.launch(2);
    scene.cluster.until_in_sync(3);
    // The focus is where it was.
    scene.gui.send("after all that");
    let all: Vec<&str> = texts.into_iter().chain(["after all that"]).collect();
    scene.until_texts(&all);
}

#[test]
fn a_window_killed_with_text_typed_and_messages_waiting_has_all_of_it_and_sends_it_once() {
    if !is_ready("the window on a display: kill -9 with text typed and messages waiting") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::set(folder.path());
    scene.enter();
    scene.gui.send("before");
    scene.until_texts(&["before"]);

    scene.cluster.kill(&[1, 2, 3]);
    scene.gui.send("waits");
    scene.gui.send("waits too");
    scene.gui.write("half a thou");
    let waiting = ["waits", "waits too"];
    let is_whole = |kept: &Kept| kept.waiting() == waiting && kept.typed() == Some("half a thou");
    scene.gui.until_kept("two messages and a text", is_whole);
    scene.gui.kill();

    // Without any server: all there, the chat open, the keyboard in its composer.
    scene.gui.start();
    scene.gui.write("ght");
    let is_whole =
        |kept: &Kept| kept.waiting() == waiting && kept.typed() == Some("half a thought");
    scene.gui.until_kept("the same, and the text typed to its end", is_whole);

    scene.cluster.launch_all();
    scene.cluster.until_in_sync(3);
    scene.until_texts(&["before", "waits", "waits too"]);
    scene.gui.key("Return");
    scene.until_texts(&["before", "waits", "waits too", "half a thought"]);
    let is_empty = |kept: &Kept| kept.0.outbox.is_empty() && kept.typed().is_none();
    scene.gui.until_kept("nothing to be sent", is_empty);
}
