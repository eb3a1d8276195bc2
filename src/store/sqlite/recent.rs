//! How often numbers were sent to lately: the window of the per-number limit, in memory.
//!
//! What it holds is derived: every counted message is a request row, so after a restart it is read from there. It is
//! changed only after a commit, so a batch that failed was never counted.

use super::load::Stored;
use super::rows::mode_bit;
use crate::store::records::StoreError;
use crate::vault::Vault;
use chappe_core::limits::Window;
use chappe_core::{Book, Mode, RequestId, Time};
use rusqlite::{Connection, params};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

/// Messages by number. Most numbers have one, which needs no allocation of its own.
#[derive(Debug, Default)]
pub(super) struct RecentSends {
    single: HashMap<u64, i64, BuildHasherDefault<KeyedAlready>>,
    several: HashMap<u64, Vec<i64>, BuildHasherDefault<KeyedAlready>>,
    within: Duration,
    /// When more than this many numbers are held, those outside the window are dropped.
    sweep_at: usize,
}

const SWEEP_AT_LEAST: usize = 65_536;

/// Keys are keyed digests, which nobody can choose to collide: hashing them again would gain nothing.
#[derive(Debug, Default)]
pub(super) struct KeyedAlready(u64);

impl Hasher for KeyedAlready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

impl RecentSends {
    /// Reads the window back from the request rows.
    pub(super) fn rebuild(
        connection: &Connection,
        now: Time,
        within: Duration,
    ) -> Result<RecentSends, StoreError> {
        let mut recent = RecentSends { within, sweep_at: SWEEP_AT_LEAST, ..RecentSends::default() };
        let start = now - within;
        // Ids follow the clock, or run a little ahead of it. Messages to a request that was only asked about before can
        // be much younger than its id: they have an index of their own.
        let mut statement = connection.prepare(
            "SELECT phone_key, account_id, sent_at FROM request
             WHERE id >= ?1 AND ability_checked = 0 AND sent_at > ?2
             UNION ALL
             SELECT phone_key, account_id, sent_at FROM request WHERE ability_checked = 1 AND sent_at > ?2",
        )?;
        let mut modes = HashMap::new();
        let mut rows = statement.query(params![RequestId::floor(start).number(), start.micros()])?;
        while let Some(row) = rows.next()? {
            let (phone_key, account, sent_at): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let mode = match modes.get(&account) {
                Some(mode) => *mode,
                None => {
                    let find = "SELECT mode FROM account WHERE id = ?1";
                    let name: String = connection.query_row(find, [account], |row| row.get(0))?;
                    let mode = Mode::parse(&name).unwrap_or(Mode::Live);
                    modes.insert(account, mode);
                    mode
                }
            };
            recent.add(key(phone_key, mode), sent_at);
        }
        Ok(recent)
    }

    /// The messages to a number.
    pub(super) fn window(&self, phone_key: i64, mode: Mode) -> Option<Window> {
        let key = key(phone_key, mode);
        let moments = match (self.single.get(&key), self.several.get(&key)) {
            (Some(moment), _) => vec![*moment],
            (None, Some(moments)) => moments.clone(),
            (None, None) => return None,
        };
        Some(Window::from_moments(moments.into_iter().map(Time::from_micros).collect()))
    }

    /// Takes over what a committed batch changed.
    pub(super) fn apply(&mut self, vault: &Vault, stored: &Stored, book: &Book) {
        let mut newest = None;
        for ((mode, phone), window) in book.changed_sends() {
            let key = key(stored.phone_key(vault, phone), mode);
            // The window is the whole of what is counted for the number, so it takes the place of what was held.
            match window.moments() {
                [only] => {
                    self.single.insert(key, only.micros());
                    self.several.remove(&key);
                }
                moments => {
                    self.single.remove(&key);
                    self.several.insert(key, moments.iter().map(|moment| moment.micros()).collect());
                }
            }
            newest = newest.max(window.moments().last().copied());
        }
        if let Some(now) = newest
            && self.single.len() + self.several.len() > self.sweep_at
        {
            let start = (now - self.within).micros();
            self.single.retain(|_, moment| *moment > start);
            self.several.retain(|_, moments| moments.last().is_some_and(|last| *last > start));
            self.sweep_at = SWEEP_AT_LEAST.max(2 * (self.single.len() + self.several.len()));
        }
    }

    fn add(&mut self, key: u64, moment: i64) {
        if let Some(moments) = self.several.get_mut(&key) {
            moments.push(moment);
        } else if let Some(first) = self.single.remove(&key) {
            self.several.insert(key, vec![first, moment]);
        } else {
            self.single.insert(key, moment);
        }
    }
}

/// Real and play messages are counted apart.
fn key(phone_key: i64, mode: Mode) -> u64 {
    (phone_key as u64 & !1) | mode_bit(mode)
}
