//! The body of a deliver_sm, with a header that holds together: what reads receipts has to survive it.
#![no_main]

#[path = "../../tests/support/hostile.rs"]
mod hostile;

const DELIVER_SM: u32 = 5;

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    hostile::survive(&hostile::pdu(DELIVER_SM, 0, 1, body), usize::MAX);
});
