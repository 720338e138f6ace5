//! The fuzz function of apply, with bytes that are nearly operations.

use super::random::Run;
use crate::chat::fuzz_apply;
use crate::entry::Payload;
use crate::tables::testing::{fuzz, random};

#[test]
fn applying_arbitrary_bytes_never_panics() {
    fuzz(|seed| {
        let mut state = seed;
        let mut bytes = Vec::new();
        let mut run = Run::new();
        for _ in 0..8 {
            let choice = random(&mut state).to_le_bytes();
            run.step([choice[0] % 200, choice[1], choice[2], choice[3], choice[4]]);
        }
        for entry in &run.world.log {
            let Payload::Operation(payload) = &entry.payload else { continue };
            let mut payload = payload.to_vec();
            for _ in 0..random(&mut state) % 3 {
                let at = random(&mut state) as usize % payload.len();
                // Ones, noughts and 255 are numbers that something answers to.
                payload[at] =
                    [0, 1, 1, 2, 255, random(&mut state) as u8][random(&mut state) as usize % 6];
            }
            if random(&mut state).is_multiple_of(5) {
                payload.truncate(random(&mut state) as usize % payload.len());
            }
            payload.truncate(255);
            bytes.push(payload.len() as u8);
            bytes.extend(payload);
        }
        bytes.extend((0..random(&mut state) % 30).map(|_| random(&mut state) as u8));
        fuzz_apply(&bytes);
    });
}
