//! Arbitrary lines through the whole server.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| holdfast_server::node::fuzz_requests(bytes));
