//! Arbitrary bytes as the frames of a journal.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| holdfast_server::journal::fuzz_recovery(bytes));
