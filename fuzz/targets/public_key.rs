#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::public_key::check(data));
