//! What an SMSC says, octet by octet: a whole session has to survive it.
#![no_main]

#[path = "../../tests/support/hostile.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let (piece, octets) = octets.split_first().map_or((1, octets), |(piece, rest)| (usize::from(*piece), rest));
    hostile::survive(octets, piece);
});
