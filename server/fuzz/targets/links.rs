//! Arbitrary doings of the links between three servers.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| holdfast_server::node::fuzz_links(bytes));
