//! From a text to the octets of its segments: GSM 7-bit or UCS-2, and concatenation.

/// The most segments of one message. Concatenation could carry 255; handsets and operators seldom take more than this.
pub const SEGMENTS_MAX: usize = 10;

/// The GSM 7-bit default alphabet (3GPP TS 23.038, 6.2.1): a character's place is its septet.
const GSM7: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1B}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// Its extension table: the septet after an escape.
const GSM7_EXTENSION: [(char, u8); 9] = [
    ('^', 0x14),
    ('{', 0x28),
    ('}', 0x29),
    ('\\', 0x2F),
    ('[', 0x3C),
    ('~', 0x3D),
    (']', 0x3E),
    ('|', 0x40),
    ('€', 0x65),
];

/// The escape to the extension table (3GPP TS 23.038, 6.2.1.1): the character is in the septet after it.
const ESCAPE: u8 = 0x1B;

/// What fills the spare seven bits of a packed text, which would otherwise read as an `@` (3GPP TS 23.038, 6.1.2.3.1).
const CARRIAGE_RETURN: u8 = 0x0D;

/// The octets of a user data header with an 8-bit concatenation element (3GPP TS 23.040, 9.2.3.24.1).
const HEADER: usize = 6;

/// How a text is written on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// The GSM 7-bit default alphabet with its extension table: data_coding 0. A unit is a septet: 160 in a single
    /// segment, 153 in one of several.
    Gsm7,
    /// UCS-2, data_coding 8; what lies outside of the basic plane as surrogate pairs, as handsets read it. A unit is
    /// two octets: 70 in a single segment, 67 in one of several.
    Ucs2,
}

impl Alphabet {
    /// Units of a message of one segment, and of each segment of a longer one (3GPP TS 23.038 and 23.040: 140 octets,
    /// less a header of six).
    fn units(self) -> (usize, usize) {
        match self {
            Alphabet::Gsm7 => (160, 153),
            Alphabet::Ucs2 => (70, 67),
        }
    }
}

/// How septets are laid into octets for data_coding 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Septets {
    /// One septet in each octet, which nearly every SMSC expects.
    #[default]
    Unpacked,
    /// Eight septets in seven octets, as on the air.
    Packed,
}

/// What a text takes to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// GSM 7-bit if it can say all of the text, UCS-2 otherwise.
    pub alphabet: Alphabet,
    /// The text's length in units of its alphabet. `€` and some others take two septets.
    pub units: usize,
    /// How many messages are sent, and paid for. More than [`SEGMENTS_MAX`] are not sent.
    pub segments: usize,
}

/// How a text would be sent: what to show while somebody types it.
///
/// ```
/// use chappe_smpp::{Alphabet, plan};
/// let plan = plan("Dein Code: 12345 – €");
/// assert_eq!((plan.alphabet, plan.units, plan.segments), (Alphabet::Ucs2, 20, 1));
/// ```
pub fn plan(text: &str) -> Plan {
    match gsm7(text) {
        Some(septets) => {
            let segments = split(&septets, Alphabet::Gsm7, |septet| septet == ESCAPE).len();
            Plan { alphabet: Alphabet::Gsm7, units: septets.len(), segments }
        }
        None => {
            let units: Vec<u16> = text.encode_utf16().collect();
            let segments = split(&units, Alphabet::Ucs2, is_high_surrogate).len();
            Plan { alphabet: Alphabet::Ucs2, units: units.len(), segments }
        }
    }
}

/// One segment, ready for a submit_sm.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// With the user data header, if there is one.
    pub octets: Vec<u8>,
    pub has_header: bool,
    pub alphabet: Alphabet,
}

/// The segments of a text. `reference` is what tells a handset which segments belong together.
pub(crate) fn segments(text: &str, septets: Septets, reference: u8) -> Vec<Segment> {
    let (alphabet, bodies) = match gsm7(text) {
        Some(units) => {
            let parts = split(&units, Alphabet::Gsm7, |septet| septet == ESCAPE);
            // The header takes six octets, 48 bits: one more bit, and the text begins at a whole septet.
            let fill = if parts.len() > 1 { 1 } else { 0 };
            let lay = |part: &[u8]| match septets {
                Septets::Unpacked => part.to_vec(),
                Septets::Packed => pack(part, fill),
            };
            (Alphabet::Gsm7, parts.into_iter().map(lay).collect::<Vec<_>>())
        }
        None => {
            let units: Vec<u16> = text.encode_utf16().collect();
            let parts = split(&units, Alphabet::Ucs2, is_high_surrogate);
            let lay = |part: &[u16]| part.iter().flat_map(|unit| unit.to_be_bytes()).collect();
            (Alphabet::Ucs2, parts.into_iter().map(lay).collect())
        }
    };
    let total = bodies.len();
    let with_header = |(at, body): (usize, Vec<u8>)| {
        if total == 1 {
            return Segment { octets: body, has_header: false, alphabet };
        }
        let mut octets = Vec::with_capacity(HEADER + body.len());
        // Five octets follow: element 0, three octets long: reference, how many, which.
        octets.extend([5, 0, 3, reference, total as u8, at as u8 + 1]);
        octets.extend(body);
        Segment { octets, has_header: true, alphabet }
    };
    bodies.into_iter().enumerate().map(with_header).collect()
}

/// The septets of a text, if the alphabet has all of its characters.
fn gsm7(text: &str) -> Option<Vec<u8>> {
    let mut septets = Vec::with_capacity(text.len());
    for character in text.chars() {
        if let Some((_, septet)) = GSM7_EXTENSION.iter().find(|(extended, _)| *extended == character) {
            septets.extend([ESCAPE, *septet]);
            continue;
        }
        let septet = u8::try_from(GSM7.chars().position(|basic| basic == character)?).ok()?;
        if septet == ESCAPE {
            return None;
        }
        septets.push(septet);
    }
    Some(septets)
}

fn is_high_surrogate(unit: u16) -> bool {
    (0xD800..0xDC00).contains(&unit)
}

/// Cuts into segments, never between two units that are one character: `leads` says that a unit is the first of two.
/// An empty text is one empty segment.
fn split<T: Copy>(units: &[T], alphabet: Alphabet, leads: impl Fn(T) -> bool) -> Vec<&[T]> {
    let (single, each) = alphabet.units();
    if units.len() <= single {
        return vec![units];
    }
    let mut parts = Vec::new();
    let mut rest = units;
    while !rest.is_empty() {
        let mut end = each.min(rest.len());
        if end < rest.len() && rest[..end].last().is_some_and(|last| leads(*last)) {
            end -= 1;
        }
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts
}

/// Lays septets into octets, lowest bit first, after `fill` empty bits (3GPP TS 23.038, 6.1.2.1).
fn pack(septets: &[u8], fill: usize) -> Vec<u8> {
    let bits = fill + septets.len() * 7;
    let spare = bits.next_multiple_of(8) - bits;
    let filler = (spare == 7).then_some(CARRIAGE_RETURN);
    let mut octets = vec![0_u8; bits.div_ceil(8)];
    for (at, septet) in septets.iter().copied().chain(filler).enumerate() {
        let bit = fill + at * 7;
        let wide = u16::from(septet & 0x7F) << (bit % 8);
        for (octet, part) in octets[bit / 8..].iter_mut().zip(wide.to_le_bytes()) {
            *octet |= part;
        }
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Septets out of octets, bit by bit: the slow way round.
    fn unpack(octets: &[u8], fill: usize, count: usize) -> Vec<u8> {
        let bit = |at: usize| octets[at / 8] >> (at % 8) & 1;
        (0..count).map(|n| (0..7).map(|b| bit(fill + n * 7 + b) << b).sum()).collect()
    }

    #[test]
    fn the_table_has_every_septet_once() {
        let characters: std::collections::HashSet<char> = GSM7.chars().collect();
        assert_eq!((GSM7.chars().count(), characters.len()), (128, 128));
        assert!(GSM7_EXTENSION.iter().all(|(character, _)| !characters.contains(character)));
        assert_eq!(GSM7.chars().nth(usize::from(ESCAPE)), Some('\u{1B}'));
        // ASCII stays where it is, but for what GSM has otherwise.
        let moved =
            |(at, character): &(usize, char)| character.is_ascii_graphic() && *at != *character as usize;
        assert_eq!(GSM7.chars().enumerate().filter(moved).map(|(_, c)| c).collect::<String>(), "@$_");
        assert_eq!(gsm7("à\u{1B}"), None, "an escape is no character");
    }

    #[test]
    fn the_alphabet_is_the_smallest_that_can_say_it() {
        let units = |text: &str| (plan(text).alphabet, plan(text).units, plan(text).segments);
        assert_eq!(units(""), (Alphabet::Gsm7, 0, 1));
        assert_eq!(units("Il tuo codice è 1234"), (Alphabet::Gsm7, 20, 1));
        assert_eq!(units("[€]"), (Alphabet::Gsm7, 6, 1), "the extension table takes two septets");
        assert_eq!(units("Код 1234"), (Alphabet::Ucs2, 8, 1));
        assert_eq!(units("ok 👍"), (Alphabet::Ucs2, 5, 1), "a surrogate pair is two units");
    }

    #[test]
    fn a_segment_holds_what_the_standard_says() {
        let count = |character: &str, n: usize| plan(&character.repeat(n)).segments;
        assert_eq!([count("a", 160), count("a", 161), count("a", 306), count("a", 307)], [1, 2, 2, 3]);
        assert_eq!([count("я", 70), count("я", 71), count("я", 134), count("я", 135)], [1, 2, 2, 3]);
    }

    #[test]
    fn no_character_is_cut_in_two() {
        let euro = format!("{}€{}", "a".repeat(152), "b".repeat(20));
        let parts = segments(&euro, Septets::Unpacked, 7);
        assert_eq!(parts[0].octets.len(), 6 + 152);
        assert_eq!(parts[1].octets[6..8], [ESCAPE, 0x65]);
        let thumb = format!("{}👍{}", "я".repeat(66), "я".repeat(20));
        let parts = segments(&thumb, Septets::Unpacked, 7);
        assert_eq!(parts[0].octets.len(), 6 + 66 * 2);
        assert_eq!(parts[1].octets[6..10], [0xD8, 0x3D, 0xDC, 0x4D]);
    }

    #[test]
    fn segments_say_which_they_are() {
        let parts = segments(&"a".repeat(400), Septets::Unpacked, 0x2A);
        let headers: Vec<&[u8]> = parts.iter().map(|part| &part.octets[..6]).collect();
        assert_eq!(headers, [[5, 0, 3, 0x2A, 3, 1], [5, 0, 3, 0x2A, 3, 2], [5, 0, 3, 0x2A, 3, 3]]);
        assert!(parts.iter().all(|part| part.has_header));
        assert!(!segments("a", Septets::Unpacked, 0x2A)[0].has_header);
    }

    #[test]
    fn packing_is_that_of_the_standard() {
        // The well-known example: "hellohello" in nine octets.
        let octets = &segments("hellohello", Septets::Packed, 0)[0].octets;
        assert_eq!(octets[..], [0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37]);
        // Seven septets leave seven bits, which would read as an `@`.
        let octets = &segments("1234567", Septets::Packed, 0)[0].octets;
        assert_eq!(unpack(octets, 0, 8), b"1234567\r");
        for n in 1..200 {
            let septets: Vec<u8> = (0..n).map(|at| (at * 37 % 128) as u8).collect();
            for fill in 0..7 {
                assert_eq!(unpack(&pack(&septets, fill), fill, septets.len()), septets);
            }
        }
        let parts = segments(&"a".repeat(161), Septets::Packed, 0);
        assert_eq!(parts[0].octets.len(), 140);
        assert_eq!(unpack(&parts[0].octets, 49, 153), [b'a'; 153]);
    }
}
