//! Whatever octets an SMSC sends, the session lives on or ends, and answers every submit. `PROPTEST_CASES` raises the
//! number of conversations.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "support/hostile.rs"]
mod hostile;

use hostile::{pdu, survive};
use proptest::collection::vec;
use proptest::prelude::*;

const SUBMIT_SM_RESP: u32 = 0x8000_0004;
const DELIVER_SM: u32 = 5;
const DATA_SM: u32 = 0x103;

/// The body of a deliver_sm around a text.
fn deliver(esm_class: u8, text: &[u8], parameters: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 1, 1, b'3', b'9', 0, 1, 1, b'1', 0, esm_class, 0, 0, 0, 0, 0, 0, 0, 0];
    body.push(text.len() as u8);
    body.extend(text);
    body.extend(parameters);
    body
}

const RECEIPT: &[u8] =
    b"id:0123 sub:001 dlvrd:001 submit date:2611231402 done date:2611231403 stat:DELIVRD err:000 text:a";
const PARAMETERS: &[u8] = b"\x00\x1E\x00\x04abc\0\x04\x27\x00\x01\x02\x04\x23\x00\x03\x03\x00\x22";

/// What a well-behaved SMSC could say.
fn conversation() -> Vec<Vec<u8>> {
    let data = [&[0, 1, 1, b'3', 0, 1, 1, b'1', 0, 4, 0, 0][..], PARAMETERS].concat();
    vec![
        pdu(SUBMIT_SM_RESP, 0, 2, b"0123\0"),
        pdu(SUBMIT_SM_RESP, 0x58, 3, b"\0"),
        pdu(SUBMIT_SM_RESP, 0x0B, 4, b""),
        pdu(DELIVER_SM, 0, 1, &deliver(4, RECEIPT, b"")),
        pdu(DELIVER_SM, 0, 2, &deliver(4, b"", PARAMETERS)),
        pdu(DATA_SM, 0, 3, &data),
        pdu(0x15, 0, 4, b""),
        pdu(0x8000_0000, 3, 5, b""),
        pdu(0x8000_0015, 0, 5, b""),
        pdu(0x102, 0, 6, b""),
        pdu(6, 0, 7, b""),
    ]
}

#[test]
fn the_conversation_that_is_mutated_makes_sense() {
    assert_eq!(survive(&conversation().concat(), 7), 3);
}

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(1000), failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_octets(octets in vec(any::<u8>(), 0..2000), piece in 1_usize..2000) {
        survive(&octets, piece);
    }

    /// Headers that hold together, and anything behind them.
    #[test]
    fn any_bodies(pdus in vec((any_id(), any::<u32>(), 0_u32..8, vec(any::<u8>(), 0..300)), 0..12), piece in 1_usize..500) {
        let octets: Vec<u8> = pdus.iter().flat_map(|(id, status, sequence, body)| pdu(*id, status % 0x110, *sequence, body)).collect();
        survive(&octets, piece);
    }

    /// A conversation with some octets changed, lost or doubled.
    #[test]
    fn any_mutation(
        order in vec(0_usize..11, 1..20),
        changes in vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 0..12),
        piece in 1_usize..500,
    ) {
        let pdus = conversation();
        let mut octets: Vec<u8> = order.iter().flat_map(|at| pdus[*at].clone()).collect();
        for (at, value, kind) in changes {
            let at = at.index(octets.len());
            match kind {
                0 => octets[at] = value,
                1 => octets.insert(at, value),
                _ if octets.len() > 1 => drop(octets.remove(at)),
                _ => {}
            }
        }
        survive(&octets, piece);
    }

    /// Texts that look like receipts, of any encoding.
    #[test]
    fn any_receipt(
        esm_class in any::<u8>(),
        words in vec(prop_oneof![Just("id:"), Just("stat:"), Just("err:"), Just("text:"), Just(" "), Just("DELIVRD"), Just("è"), Just("\u{130}")], 0..20),
        tail in vec(any::<u8>(), 0..40),
        parameters in vec(any::<u8>(), 0..60),
        coding in any::<u8>(),
    ) {
        let mut text = words.concat().into_bytes();
        text.extend(tail);
        text.truncate(255);
        let mut body = deliver(esm_class, &text, &parameters);
        body[17] = coding;
        survive(&pdu(DELIVER_SM, 0, 1, &body), 100);
    }
}

fn any_id() -> impl Strategy<Value = u32> {
    let known =
        [SUBMIT_SM_RESP, DELIVER_SM, DATA_SM, 0x8000_0000, 0x15, 0x8000_0015, 6, 0x102, 9, 0x8000_0009];
    prop_oneof![9 => prop::sample::select(known.to_vec()), 1 => any::<u32>()]
}
