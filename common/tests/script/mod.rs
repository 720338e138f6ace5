//! The world that a script plays in: one engine, its store, a clock.

mod show;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_common::client::{Effect, Engine, Input, MemoryStore, Now, Settings};
use holdfast_common::ids::Txn;

/// 2026-11-23T08:00:00Z.
const START_MS: u64 = 1_795_420_800_000;

pub(crate) struct World {
    engine: Option<Engine>,
    store: MemoryStore,
    settings: Settings,
    seed: u8,
    now: Now,
    begin: Instant,
    commands: u64,
    outputs: Vec<String>,
    txns: BTreeMap<String, String>,
}

impl Default for World {
    fn default() -> World {
        let begin = Instant::now();
        World {
            engine: None,
            store: MemoryStore::default(),
            settings: Settings {
                client: "script/1".to_owned(),
                device: "desk".to_owned(),
                servers: Vec::new(),
                trusts_first_use: false,
            },
            seed: 0,
            now: Now { instant: begin, wall_ms: START_MS },
            begin,
            commands: 0,
            outputs: Vec::new(),
            txns: BTreeMap::new(),
        }
    }
}

impl World {
    /// Starts an engine from what is stored.
    fn start(&mut self) {
        self.seed += 1;
        let settings = Arc::new(self.settings.clone());
        self.engine = Some(Engine::new(settings, self.store.stored(), [self.seed; 32]));
    }

    fn handle(&mut self, input: Input) {
        let now = self.now;
        self.engine.as_mut().expect("the script begins with start").handle(input, now);
    }

    /// Signed in as alice at the first of the servers, over connection 1, with what `c1` with bob
    /// shows; the next request has id 4.
    fn make_ready(&mut self, servers: &str) {
        let listed = r#"{"conversations":[{"conv":"c1","with":"bob","last_seq":7,"read":5,"#
            .to_owned()
            + r#""peer_read":3,"peer_delivered":4,"unread":2,"last":{"seq":7,"from":"bob","#
            + r#""text":"seven","ts":7}}],"more":false,"cur":"1.10"}"#;
        for words in [
            &format!("start {servers}"),
            "login alice secret-1",
            "opened 1 plain",
            "hello 1",
            r#"ok 1 2 {"user":"alice","token":"aaaa","cur":"1.10"}"#,
            &format!("ok 1 3 {listed}"),
        ] {
            self.input(words);
            self.drain();
        }
        self.wait(Duration::from_secs(1));
        self.outputs.clear();
    }

    /// Executes effects to the end, and notes them.
    fn drain(&mut self) {
        while let Some(effect) = self.engine.as_mut().and_then(Engine::next_effect) {
            let shown = self.show(&effect);
            self.outputs.push(shown);
            match effect {
                Effect::Store(writes) => self.store.store(writes),
                Effect::Load(load) => {
                    let loaded = self.store.load(load);
                    self.handle(Input::Loaded(loaded));
                }
                Effect::Dial { .. }
                | Effect::Send { .. }
                | Effect::Close { .. }
                | Effect::Update(_) => {}
            }
        }
    }

    /// Lets time pass, with a timer at every deadline.
    fn wait(&mut self, wait: Duration) {
        let end = self.now.instant + wait;
        for _ in 0..1_000 {
            self.drain();
            let deadline = self.engine.as_ref().and_then(Engine::deadline);
            let next = deadline.filter(|at| *at <= end).unwrap_or(end);
            let passed = next.saturating_duration_since(self.now.instant);
            let before = self.outputs.len();
            self.now.instant += passed;
            self.now.wall_ms += u64::try_from(passed.as_millis()).unwrap();
            self.handle(Input::Timer);
            self.drain();
            if self.outputs.len() > before {
                let at = self.now.instant.saturating_duration_since(self.begin).as_millis();
                self.outputs.insert(before, format!("at {at} ms:"));
            }
            if next == end {
                return;
            }
        }
        panic!("the engine asks for timers without end");
    }

    pub(crate) fn finish_turn(&mut self) -> Vec<String> {
        self.drain();
        std::mem::take(&mut self.outputs)
    }

    fn txn(&self, name: &str) -> Txn {
        let found = self.txns.iter().find(|(_, known)| *known == name);
        found.unwrap_or_else(|| panic!("no txn {name} yet")).0.parse().unwrap()
    }

    /// Every txn in a text by its short name.
    fn name_txns(&mut self, text: &str) -> String {
        let mut named = String::new();
        let mut rest = text;
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        while let Some(at) = rest.find(is_hex) {
            named += &rest[..at];
            rest = &rest[at..];
            let end = rest.find(|c| !is_hex(c)).unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            if word.len() == 32 {
                let next = format!("t{}", self.txns.len() + 1);
                named += self.txns.entry(word.to_owned()).or_insert(next);
            } else {
                named += word;
            }
            rest = tail;
        }
        named + rest
    }
}
