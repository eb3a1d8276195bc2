//! Writes that are no commands: customers, tokens, senders, and forgetting.

use super::rows::seal_phone;
use super::{StoreError, Writer};
use crate::store::columns::allowed_column;
use crate::store::records::{NewToken, PurgeBefore, TokenUse};
use crate::vault::Purpose;
use chappe_core::text::Username;
use chappe_core::{AccountId, Mode, Phone, RequestId, Time, TokenId};
use ipnet::IpNet;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

/// How many rows a purge takes at once, so that it never holds the writer for long: whoever purges asks again.
const PURGE_ROWS: usize = 1_000;

impl Writer {
    pub(super) fn write<R>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = write(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// See [`super::super::Store::create_customer`].
    pub fn create_customer(&mut self, name: &str, now: Time) -> Result<(), StoreError> {
        self.write(|connection| {
            let insert = "INSERT INTO customer (name, created_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            if connection.execute(insert, params![name, now.micros()])? == 0 {
                return Err(StoreError::Exists(format!("there is a customer named {name:?} already")));
            }
            let customer = connection.last_insert_rowid();
            for mode in [Mode::Live, Mode::Test] {
                let insert = "INSERT INTO account (customer_id, mode, created_at) VALUES (?1, ?2, ?3)";
                connection.execute(insert, params![customer, mode.as_str(), now.micros()])?;
            }
            Ok(())
        })
    }

    /// See [`super::super::Store::set_own_number`].
    pub fn set_own_number(&mut self, account: AccountId, phone: Option<Phone>) -> Result<(), StoreError> {
        let sealed = phone.map(|phone| seal_phone(&self.vault, Purpose::OwnNumber, account.0, phone));
        let update = "UPDATE account SET own_number_sealed = ?2 WHERE id = ?1";
        self.connection.execute(update, params![account.0, sealed])?;
        Ok(())
    }

    /// See [`super::super::Store::set_single_use`].
    pub fn set_single_use(&mut self, account: AccountId, single_use: bool) -> Result<(), StoreError> {
        let update = "UPDATE account SET single_use = ?2 WHERE id = ?1";
        self.connection.execute(update, params![account.0, single_use])?;
        Ok(())
    }

    /// See [`super::super::Store::create_token`].
    pub fn create_token(&mut self, token: &NewToken<'_>, now: Time) -> Result<TokenId, StoreError> {
        let vault = self.vault.clone();
        self.write(|connection| {
            let insert =
                "INSERT INTO token (account_id, name, digest, sealed, allowed, created_at, expires_at)
                          VALUES (?1, ?2, ?3, x'', ?4, ?5, ?6) ON CONFLICT DO NOTHING";
            let inserted = connection.execute(
                insert,
                params![
                    token.account.0,
                    token.name,
                    vault.token_digest(token.text),
                    allowed_column(token.allowed),
                    now.micros(),
                    token.expires_at.map(Time::micros),
                ],
            )?;
            if inserted == 0 {
                return Err(StoreError::Exists("this very token exists already".to_owned()));
            }
            let id = connection.last_insert_rowid();
            let sealed = vault.seal(Purpose::Token, id, token.text.as_bytes());
            connection.execute("UPDATE token SET sealed = ?2 WHERE id = ?1", params![id, sealed])?;
            tokens_changed(connection)?;
            Ok(TokenId(id))
        })
    }

    /// See [`super::super::Store::end_token`].
    pub fn end_token(&mut self, token: TokenId, at: Time, now: Time) -> Result<(), StoreError> {
        self.write(|connection| {
            if at <= now {
                let revoke = "UPDATE token SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1";
                connection.execute(revoke, params![token.0, now.micros()])?;
            } else {
                let expire = "UPDATE token SET expires_at = min(coalesce(expires_at, ?2), ?2) WHERE id = ?1";
                connection.execute(expire, params![token.0, at.micros()])?;
            }
            tokens_changed(connection)
        })
    }

    /// See [`super::super::Store::allow_token`].
    pub fn allow_token(&mut self, token: TokenId, allowed: &[IpNet]) -> Result<(), StoreError> {
        self.write(|connection| {
            let update = "UPDATE token SET allowed = ?2 WHERE id = ?1";
            connection.execute(update, params![token.0, allowed_column(allowed)])?;
            tokens_changed(connection)
        })
    }

    /// See [`super::super::Store::touch_tokens`].
    pub fn touch_tokens(&mut self, uses: &[TokenUse]) -> Result<(), StoreError> {
        self.write(|connection| {
            let mut update = connection
                .prepare_cached("UPDATE token SET last_used_at = ?2, last_used_from = ?3 WHERE id = ?1")?;
            for token_use in uses {
                update.execute(params![
                    token_use.token.0,
                    token_use.at.micros(),
                    token_use.from.to_string()
                ])?;
            }
            Ok(())
        })
    }

    /// See [`super::super::Store::put_sender`].
    pub fn put_sender(
        &mut self,
        account: AccountId,
        username: &Username,
        verified: bool,
        now: Time,
    ) -> Result<(), StoreError> {
        let put = "INSERT INTO sender (account_id, username, verified, created_at) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO UPDATE SET verified = excluded.verified";
        self.connection.execute(put, params![account.0, username.as_str(), verified, now.micros()])?;
        Ok(())
    }

    /// See [`super::super::Store::remove_sender`].
    pub fn remove_sender(&mut self, account: AccountId, username: &Username) -> Result<bool, StoreError> {
        let remove = "DELETE FROM sender WHERE account_id = ?1 AND username = ?2";
        Ok(self.connection.execute(remove, params![account.0, username.as_str()])? > 0)
    }

    /// See [`super::super::Store::purge`].
    pub fn purge(&mut self, before: PurgeBefore) -> Result<bool, StoreError> {
        let keys = "DELETE FROM idempotency WHERE (account_id, key) IN
                        (SELECT account_id, key FROM idempotency WHERE at < ?1 LIMIT ?2)";
        let failures = "DELETE FROM phone_failure WHERE (account_id, phone_key) IN
                            (SELECT account_id, phone_key FROM phone_failure WHERE last_at < ?1 LIMIT ?2)";
        let references = "DELETE FROM channel_reference WHERE (channel, reference) IN
                              (SELECT channel, reference FROM channel_reference WHERE at < ?1 LIMIT ?2)";
        let steps = [(keys, before.keys), (failures, before.failures), (references, before.references)];
        let mut more = false;
        for (step, before) in steps {
            let forgotten =
                self.connection.prepare_cached(step)?.execute(params![before.micros(), PURGE_ROWS])?;
            more |= forgotten == PURGE_ROWS;
        }
        Ok(self.wipe_codes(None, before.codes)? || more)
    }

    /// See [`super::super::Store::clear_sandbox`].
    pub fn clear_sandbox(&mut self, account: Option<AccountId>) -> Result<bool, StoreError> {
        self.wipe_codes(account, Time::from_micros(i64::MAX))
    }

    /// Wipes codes that the sandbox still holds, a bounded number an account. A message that is still to be handed over
    /// keeps its code.
    fn wipe_codes(&mut self, account: Option<AccountId>, sent_before: Time) -> Result<bool, StoreError> {
        let accounts = match account {
            Some(account) => vec![account.0],
            None => {
                let mut find = self.connection.prepare_cached("SELECT id FROM account")?;
                find.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
            }
        };
        let mut more = false;
        for account in accounts {
            let mut wipe = self.connection.prepare_cached(
                "UPDATE request SET code_sealed = NULL WHERE id IN
                     (SELECT id FROM request WHERE account_id = ?1 AND id < ?2 AND channel = 'sandbox'
                          AND code_sealed IS NOT NULL AND sent_at < ?3 AND progress NOT IN ('queued', 'leased')
                      ORDER BY id LIMIT ?4)",
            )?;
            let below = RequestId::floor(sent_before).number();
            more |= wipe.execute(params![account, below, sent_before.micros(), PURGE_ROWS])? == PURGE_ROWS;
        }
        self.cache.clear();
        Ok(more)
    }

    /// See [`super::super::Store::claim_for`].
    pub fn claim_for(&mut self, purpose: &str) -> Result<(), StoreError> {
        let claim = "INSERT INTO meta (name, value) SELECT 'made_for', ?1
                     WHERE ?1 <> 'dev' OR NOT EXISTS (SELECT 1 FROM customer) ON CONFLICT DO NOTHING";
        self.connection.execute(claim, [purpose])?;
        let find = "SELECT value FROM meta WHERE name = 'made_for'";
        let found: Option<String> = self.connection.query_row(find, [], |row| row.get(0)).optional()?;
        let made_for = found.unwrap_or_else(|| "serve".to_owned());
        if made_for == purpose { Ok(()) } else { Err(StoreError::MadeFor(made_for)) }
    }
}

/// Tells every server that tokens have to be read anew.
fn tokens_changed(connection: &Connection) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO meta (name, value) VALUES ('tokens_version', '1')
         ON CONFLICT DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)",
        [],
    )?;
    Ok(())
}
