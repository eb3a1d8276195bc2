//! The tokens that are good, in memory, as fresh as a second.

use crate::env::{NoEntropy, Random};
use crate::net::address::is_allowed;
use crate::store::{Reader, StoreError, TokenRow, TokenUse};
use chappe_core::command::Caller;
use chappe_core::{AccountId, Mode, Rejection, Time, TokenId};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use zeroize::Zeroizing;

/// How many letters and digits a token has after its prefix: 190 bits.
const TOKEN_LENGTH: usize = 32;

/// A new token's text. The prefix tells people and secret scanners what it is.
pub fn draw(random: &Random, mode: Mode) -> Result<Zeroizing<String>, NoEntropy> {
    Ok(Zeroizing::new(format!("chappe_{}_{}", mode.as_str(), random.alphanumeric(TOKEN_LENGTH)?)))
}

/// As much of a token's text as tells it apart and is of no use: its last four characters, and of a short one none.
pub fn masked(text: &str) -> String {
    let length = text.chars().count();
    if length < 16 {
        return "••••".to_owned();
    }
    format!("…{}", text.chars().skip(length - 4).collect::<String>())
}

/// A token as callers are checked against it.
pub type Token = Arc<TokenRow>;

/// All tokens. Reading them costs no look-up in the database.
#[derive(Debug)]
pub struct Tokens {
    snapshot: RwLock<Arc<Snapshot>>,
    uses: Mutex<HashMap<TokenId, TokenUse>>,
}

/// A call under way; it is over when this is dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

#[derive(Debug, Default)]
struct Snapshot {
    version: i64,
    by_digest: HashMap<[u8; 32], Token>,
    by_id: HashMap<TokenId, Token>,
    /// How many calls of each account are under way.
    under_way: HashMap<AccountId, Arc<AtomicUsize>>,
}

impl Tokens {
    /// Reads all tokens.
    pub async fn read(reader: &Reader) -> Result<Tokens, StoreError> {
        let snapshot = RwLock::new(Arc::new(Snapshot::read(reader, &Snapshot::default()).await?));
        Ok(Tokens { snapshot, uses: Mutex::default() })
    }

    /// Reads them anew if any has changed. To be called several times a second.
    pub async fn refresh(&self, reader: &Reader) -> Result<(), StoreError> {
        let before = self.snapshot();
        if reader.tokens_version().await? != before.version {
            let fresh = Arc::new(Snapshot::read(reader, &before).await?);
            *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        Ok(())
    }

    /// Judges a token as a caller presented it, from the address that it came from. `digest` is the keyed digest of its
    /// text, so the time of the look-up says nothing about any token.
    pub fn judge(&self, digest: &[u8; 32], from: IpAddr, now: Time) -> Result<Caller, Rejection> {
        let snapshot = self.snapshot();
        let token = snapshot.by_digest.get(digest).filter(|token| token.is_good(now));
        let token = token.ok_or(Rejection::AccessTokenInvalid)?;
        if !is_allowed(&token.allowed, from) {
            return Err(Rejection::IpNotAllowed);
        }
        self.note(token.id, now, from);
        Ok(Caller { account: token.account, token: token.id, mode: token.mode })
    }

    /// Counts a call of an account as under way, if the account has fewer than `most`.
    pub fn enter(&self, account: AccountId, most: usize) -> Result<Place, Rejection> {
        let snapshot = self.snapshot();
        // Whoever was let in has a token, and with it an entry: the tokens have changed since, and the account has none.
        let count = snapshot.under_way.get(&account).ok_or(Rejection::AccessTokenInvalid)?;
        let place = Place(count.clone());
        // The place is given back when it is dropped, also where there was none.
        if count.fetch_add(1, Ordering::Relaxed) < most.max(1) {
            Ok(place)
        } else {
            Err(Rejection::FloodWait(1))
        }
    }

    /// The token with this id, also when it has ended: its reports are still signed with it.
    pub fn by_id(&self, id: TokenId) -> Option<Token> {
        self.snapshot().by_id.get(&id).cloned()
    }

    /// A good token of this mode, for pages that show how to call.
    pub fn any_good(&self, mode: Mode, now: Time) -> Option<Token> {
        let snapshot = self.snapshot();
        let good = snapshot.by_id.values().filter(|token| token.mode == mode && token.is_good(now));
        good.min_by_key(|token| token.id).cloned()
    }

    /// A good token of this account, for pages that show how to call; one that may be used from anywhere, if there is one.
    pub fn good_of(&self, account: AccountId, now: Time) -> Option<Token> {
        let snapshot = self.snapshot();
        let good = snapshot.by_id.values().filter(|token| token.account == account && token.is_good(now));
        good.min_by_key(|token| (!token.allowed.is_empty(), token.id)).cloned()
    }

    /// Notes a use. When somebody else is noting one at this moment, this one is left out: under load another follows.
    fn note(&self, token: TokenId, at: Time, from: IpAddr) {
        if let Ok(mut uses) = self.uses.try_lock() {
            uses.insert(token, TokenUse { token, at, from });
        }
    }

    /// The uses since the last call, one a token.
    pub fn take_uses(&self) -> Vec<TokenUse> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *uses).into_values().collect()
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Snapshot {
    async fn read(reader: &Reader, before: &Snapshot) -> Result<Snapshot, StoreError> {
        // The version first: a token that changes in between is read once more, never missed.
        let version = reader.tokens_version().await?;
        let tokens: Vec<Token> = reader.tokens(None).await?.into_iter().map(Arc::new).collect();
        let under_way = |account| before.under_way.get(&account).cloned().unwrap_or_default();
        Ok(Snapshot {
            version,
            by_digest: tokens.iter().map(|token| (token.digest, token.clone())).collect(),
            under_way: tokens.iter().map(|token| (token.account, under_way(token.account))).collect(),
            by_id: tokens.into_iter().map(|token| (token.id, token)).collect(),
        })
    }
}
