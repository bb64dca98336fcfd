#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| layercage_fuzz::canonical(data));
