//! Secrets at rest. What the database holds of tokens, codes and phone numbers is sealed or digested here, with keys
//! that live outside it.
//!
//! * A token is looked up by a keyed digest and kept sealed, since it must be shown again and signs reports.
//! * A code is compared by a keyed digest and kept sealed only until a channel has it.
//! * A phone number is kept sealed, with a keyed digest for look-up.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use chappe_core::hex::{from_hex, to_hex};
use chappe_core::text::ChannelName;
use chappe_core::{CodeMac, Phone, RequestId};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a sealed value is: each kind has a key of its own, so a value put in another column does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The text of an API token, by token id.
    Token,
    /// A code, by request id.
    Code,
    /// The number of a request, by request id.
    Phone,
    /// An account's own number, by account id.
    OwnNumber,
    /// A subscriber's number, by its own digest.
    Subscriber,
    /// The number of somebody who logs in, by its own digest.
    Person,
}

/// The key from which all others are derived: 32 random bytes, written as 64 hex digits.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// Not a master key.
#[derive(Debug, thiserror::Error)]
#[error("a master key is 64 hexadecimal digits; `chappe key generate` makes one")]
pub struct InvalidMasterKey;

/// A value that does not open: the database was written with another key, or tampered with.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value does not open: wrong key, or a damaged database")]
pub struct Unsealable;

/// A key for the addresses that providers call back. It makes nothing else and opens nothing, so whoever makes such an
/// address need not be given the [`Vault`].
#[derive(Clone)]
pub struct CallbackKey(Hmac<Sha256>);

/// A key for what is handed to somebody outside, sealed, and has to be known again when it comes back. It opens nothing
/// that the database holds, so whoever has to seal such a thing need not be given the [`Vault`].
#[derive(Clone)]
pub struct Sealer(Cipher);

/// AES-256-GCM-SIV under one key. *Less safe* is the library's word for a caller who chooses the nonces; this cipher
/// stays safe should one come twice.
#[derive(Clone)]
struct Cipher(Arc<LessSafeKey>);

/// All keys in use.
#[derive(Clone)]
pub struct Vault {
    token: Hmac<Sha256>,
    code: Hmac<Sha256>,
    phone: Hmac<Sha256>,
    idempotency: Hmac<Sha256>,
    session: Hmac<Sha256>,
    callback: CallbackKey,
    seals: [Cipher; 6],
    button: Sealer,
    login: Sealer,
    check: [u8; 8],
}

impl MasterKey {
    /// Reads 64 hexadecimal digits, white space around them aside.
    pub fn parse(text: &str) -> Result<MasterKey, InvalidMasterKey> {
        let text = Zeroizing::new(text.trim().to_ascii_lowercase());
        let bytes = Zeroizing::new(from_hex(&text).ok_or(InvalidMasterKey)?);
        let key: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| InvalidMasterKey)?;
        Ok(MasterKey::from_bytes(*key))
    }

    /// The key made of these random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> MasterKey {
        MasterKey(Zeroizing::new(bytes))
    }

    /// The 64 hexadecimal digits, for the file that keeps it.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(to_hex(self.0.as_slice()))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl Vault {
    /// Derives every key from the master key.
    pub fn new(master: &MasterKey) -> Vault {
        let hkdf = Hkdf::<Sha256>::new(Some(b"chappe v1"), master.0.as_slice());
        let mac = |label: &str| keyed(expand::<32>(&hkdf, label).as_slice());
        let seal = |label: &str| Cipher::new(&expand(&hkdf, label));
        let check = *expand::<8>(&hkdf, "check value");
        Vault {
            token: mac("token digest"),
            code: mac("code digest"),
            phone: mac("phone digest"),
            idempotency: mac("idempotency digest"),
            session: mac("session digest"),
            callback: CallbackKey(mac("callback address")),
            seals: [
                seal("token seal"),
                seal("code seal"),
                seal("phone seal"),
                seal("own number seal"),
                seal("subscriber seal"),
                seal("person seal"),
            ],
            button: Sealer(seal("button seal")),
            login: Sealer(seal("login seal")),
            check,
        }
    }

    /// A value that tells whether a database belongs to this key, and nothing about the key.
    pub fn check_value(&self) -> String {
        to_hex(&self.check)
    }

    /// The digest that a token is looked up by. Since it is keyed, the time of a look-up says nothing about a token.
    pub fn token_digest(&self, token: &str) -> [u8; 32] {
        digest(&self.token, &[token.as_bytes()])
    }

    /// The digest that a session is looked up by, or a log-in that was begun.
    pub fn session_digest(&self, secret: &str) -> [u8; 32] {
        digest(&self.session, &[secret.as_bytes()])
    }

    /// The digest that a code is compared by.
    pub fn code_mac(&self, request: RequestId, code: &str) -> CodeMac {
        let full = digest(&self.code, &[&request.number().to_be_bytes(), code.as_bytes()]);
        let mut mac = [0; 16];
        mac.copy_from_slice(full.first_chunk::<16>().unwrap_or(&[0; 16]));
        CodeMac(mac)
    }

    /// The digest that a phone number is looked up by: 64 bits are enough to tell numbers apart and fit a column.
    pub fn phone_key(&self, phone: Phone) -> i64 {
        let full = digest(&self.phone, &[&phone.number().to_be_bytes()]);
        i64::from_be_bytes(*full.first_chunk::<8>().unwrap_or(&[0; 8]))
    }

    /// The digest of an idempotency key, or of what was said under one: numbers and codes among it, which a digest without
    /// a key would give away to whoever tries them all. Each part counts with its length, so that no two lists look alike.
    pub fn idempotency_digest<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
        let mut mac = self.idempotency.clone();
        for part in parts {
            Mac::update(&mut mac, &(part.len() as u64).to_be_bytes());
            Mac::update(&mut mac, part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Seals a value for a row. The nonce is the row's id: AES-GCM-SIV stays safe should one row ever be sealed twice.
    pub fn seal(&self, purpose: Purpose, row: i64, plain: &[u8]) -> Vec<u8> {
        self.cipher(purpose).seal(nonce(row), &[], plain)
    }

    /// Opens a value of a row.
    pub fn open(&self, purpose: Purpose, row: i64, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        self.cipher(purpose).open(nonce(row), &[], sealed)
    }

    /// The key for the addresses that providers call back.
    pub fn callback_key(&self) -> CallbackKey {
        self.callback.clone()
    }

    /// The key for what stands behind the buttons of messages.
    pub fn button_sealer(&self) -> Sealer {
        self.button.clone()
    }

    /// The key for what a browser keeps of a log-in that was begun elsewhere.
    pub fn login_sealer(&self) -> Sealer {
        self.login.clone()
    }

    fn cipher(&self, purpose: Purpose) -> &Cipher {
        let [token, code, phone, own_number, subscriber, person] = &self.seals;
        match purpose {
            Purpose::Token => token,
            Purpose::Code => code,
            Purpose::Phone => phone,
            Purpose::OwnNumber => own_number,
            Purpose::Subscriber => subscriber,
            Purpose::Person => person,
        }
    }
}

impl CallbackKey {
    /// What makes the address for one hop of a request unguessable.
    pub fn mac(&self, channel: &ChannelName, request: RequestId, hop: u8) -> [u8; 16] {
        let full: [u8; 32] = self.over(channel, request, hop).finalize().into_bytes().into();
        *full.first_chunk::<16>().unwrap_or(&[0; 16])
    }

    /// Whether `mac` is that of this hop. The time that it takes says nothing about the right one.
    pub fn verify(&self, channel: &ChannelName, request: RequestId, hop: u8, mac: &[u8]) -> bool {
        mac.len() == 16 && self.over(channel, request, hop).verify_truncated_left(mac).is_ok()
    }

    /// The channel's name comes last: what is before it has a fixed length.
    fn over(&self, channel: &ChannelName, request: RequestId, hop: u8) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        Mac::update(&mut mac, &request.number().to_be_bytes());
        Mac::update(&mut mac, &[hop]);
        Mac::update(&mut mac, channel.as_str().as_bytes());
        mac
    }
}

impl fmt::Debug for CallbackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackKey(…)")
    }
}

impl Sealer {
    /// How much longer a sealed value is than the plain one, in bytes.
    pub const OVERHEAD_BYTES: usize = Cipher::TAG_BYTES;

    /// Seals a value of a request, for one `place`: it does not open in another.
    pub fn seal(&self, request: RequestId, place: &[u8], plain: &[u8]) -> Vec<u8> {
        self.0.seal(nonce(request.number()), place, plain)
    }

    /// Opens a value of a request, in the place that it was sealed for.
    pub fn open(
        &self,
        request: RequestId,
        place: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        self.0.open(nonce(request.number()), place, sealed)
    }

    /// Seals a value that belongs to no request, for one `place`. `drawn` is random and for this value alone; it is put
    /// before what was sealed.
    pub fn seal_drawn(&self, drawn: [u8; 12], place: &[u8], plain: &[u8]) -> Vec<u8> {
        [&drawn[..], &self.0.seal(drawn, place, plain)].concat()
    }

    /// Opens a value that belongs to no request, in the place that it was sealed for.
    pub fn open_drawn(&self, place: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let (drawn, sealed) = sealed.split_first_chunk::<12>().ok_or(Unsealable)?;
        self.0.open(*drawn, place, sealed)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Cipher {
    /// How much longer a sealed value is than the plain one, in bytes.
    const TAG_BYTES: usize = 16;

    #[allow(clippy::expect_used)]
    fn new(key: &[u8; 32]) -> Cipher {
        let key = UnboundKey::new(&AES_256_GCM_SIV, key).expect("32 bytes are a key of AES-256");
        Cipher(Arc::new(LessSafeKey::new(key)))
    }

    fn seal(&self, nonce: [u8; 12], place: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plain.len() + Cipher::TAG_BYTES);
        sealed.extend_from_slice(plain);
        // Fails only for values of many gigabytes.
        let done = self.0.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(place),
            &mut sealed,
        );
        done.map_or(Vec::new(), |()| sealed)
    }

    fn open(&self, nonce: [u8; 12], place: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let mut opened = Zeroizing::new(sealed.to_vec());
        let plain = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut opened)
            .map_err(|_| Unsealable)?;
        let length = plain.len();
        opened.truncate(length);
        Ok(opened)
    }
}

/// The row's id, and zeros.
fn nonce(row: i64) -> [u8; 12] {
    let mut nonce = [0; 12];
    for (to, from) in nonce.iter_mut().zip(row.to_be_bytes()) {
        *to = from;
    }
    nonce
}

#[allow(clippy::expect_used)]
fn expand<const N: usize>(hkdf: &Hkdf<Sha256>, label: &str) -> Zeroizing<[u8; N]> {
    let mut key = Zeroizing::new([0; N]);
    hkdf.expand(label.as_bytes(), key.as_mut_slice()).expect("HKDF-SHA256 gives far more than 32 bytes");
    key
}

#[allow(clippy::expect_used)]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn digest(keyed: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed.clone();
    parts.iter().for_each(|part| Mac::update(&mut mac, part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: u8) -> Vault {
        Vault::new(&MasterKey::from_bytes([byte; 32]))
    }

    #[test]
    fn a_sealed_value_opens_only_in_its_place() {
        let one = vault(1);
        let sealed = one.seal(Purpose::Code, 7, b"123456");
        assert_eq!(one.open(Purpose::Code, 7, &sealed).unwrap().as_slice(), b"123456");
        assert!(one.open(Purpose::Code, 8, &sealed).is_err(), "another row");
        assert!(one.open(Purpose::Phone, 7, &sealed).is_err(), "another column");
        assert!(vault(2).open(Purpose::Code, 7, &sealed).is_err(), "another key");
        let mut tampered = sealed.clone();
        tampered[0] ^= 1;
        assert!(one.open(Purpose::Code, 7, &tampered).is_err());
        assert!(one.open(Purpose::Code, 7, b"").is_err());
    }

    /// A database that an older version wrote must open with every later one.
    #[test]
    fn what_was_once_sealed_opens_for_ever() {
        let (vault, request) = (vault(1), RequestId::parse("222370177540343").unwrap());
        let code = vault.seal(Purpose::Code, request.number(), b"123456");
        assert_eq!(to_hex(&code), "bab0814c1d5e3332ac6b4e8cf533d3ebd633eb46487b");
        let phone = vault.seal(Purpose::Phone, request.number(), &391_234_567_890_u64.to_be_bytes());
        assert_eq!(to_hex(&phone), "68d948de7a30d7ca035ed8fc089b7ad61d57ba9d6a1ede50");
        let token = vault.seal(Purpose::Token, 7, b"chappe_live_0123456789abcdef0123456789abcdef");
        let expected = "45da0b4d8fa11158374952b5e2e9aaeb495d0f720b41fd990b1957fe9e97f19672c7bb1f9bfacf4293fc73acbb54046c\
                        0e4f1a1c6ddcea10f6ea3ea0";
        assert_eq!(to_hex(&token), expected);
        let button = vault.button_sealer().seal(request, b"chat 1", b"123456");
        assert_eq!(to_hex(&button), "89547423548fa5d644fdd83dc3af3f6487d17651afd5");
    }

    #[test]
    fn what_was_handed_out_opens_only_where_it_belongs() {
        let request = RequestId::parse("222370177540343").unwrap();
        let sealer = vault(1).button_sealer();
        let sealed = sealer.seal(request, b"chat 1", b"123456");
        assert_eq!(sealed.len(), 6 + Sealer::OVERHEAD_BYTES);
        assert_eq!(sealer.open(request, b"chat 1", &sealed).unwrap().as_slice(), b"123456");
        assert!(sealer.open(request, b"chat 2", &sealed).is_err(), "another place");
        let other = RequestId::parse("222370177540344").unwrap();
        assert!(sealer.open(other, b"chat 1", &sealed).is_err(), "another request");
        assert!(vault(2).button_sealer().open(request, b"chat 1", &sealed).is_err(), "another key");
        assert!(vault(1).open(Purpose::Code, request.number(), &sealed).is_err(), "nothing of the database");
    }

    #[test]
    fn what_belongs_to_no_request_opens_where_it_was_sealed_for() {
        let sealer = vault(1).login_sealer();
        let sealed = sealer.seal_drawn([7; 12], b"issuer", b"state");
        assert_eq!(sealer.open_drawn(b"issuer", &sealed).unwrap().as_slice(), b"state");
        assert!(sealer.open_drawn(b"another", &sealed).is_err(), "another place");
        assert!(vault(2).login_sealer().open_drawn(b"issuer", &sealed).is_err(), "another key");
        assert!(vault(1).button_sealer().open_drawn(b"issuer", &sealed).is_err(), "another use");
        for length in 0..sealed.len() {
            assert!(sealer.open_drawn(b"issuer", &sealed[..length]).is_err(), "{length} bytes of it");
        }
        assert_ne!(sealed, sealer.seal_drawn([8; 12], b"issuer", b"state"));
    }

    #[test]
    fn digests_differ_by_key_and_by_request() {
        let (first, second) = (RequestId::parse("222370177540343"), RequestId::parse("222370177540344"));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert!(vault(1).code_mac(first, "1234") == vault(1).code_mac(first, "1234"));
        assert!(vault(1).code_mac(first, "1234") != vault(1).code_mac(second, "1234"));
        assert!(vault(1).code_mac(first, "1234") != vault(2).code_mac(first, "1234"));
        assert_ne!(vault(1).check_value(), vault(2).check_value());
    }

    #[test]
    fn a_master_key_is_64_hex_digits() {
        let key = MasterKey::from_bytes([0xab; 32]);
        for text in [format!(" {}\n", *key.to_hex()), key.to_hex().to_uppercase()] {
            assert_eq!(MasterKey::parse(&text).unwrap().0, key.0);
        }
        for text in
            ["", "ab", &"zz".repeat(32), &"a".repeat(63), &"a".repeat(66), &"+a".repeat(32), &"é".repeat(32)]
        {
            assert!(MasterKey::parse(text).is_err());
        }
    }
}
