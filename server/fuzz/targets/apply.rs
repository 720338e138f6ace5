//! Arbitrary bytes as the operations of a log.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| holdfast_server::chat::fuzz_apply(bytes));
