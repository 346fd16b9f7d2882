#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::login_name::check(data));
