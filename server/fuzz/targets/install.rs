//! Arbitrary bytes as the rows of a snapshot.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| holdfast_server::tables::snapshot::fuzz_install(bytes));
