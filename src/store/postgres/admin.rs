//! Writes that are no commands: customers, tokens, senders, and forgetting.

use super::{StoreError, Writer};
use crate::store::columns::{allowed_column, seal_phone};
use crate::store::records::{NewToken, PurgeBefore, TokenUse};
use crate::vault::{Purpose, Vault};
use chappe_core::text::Username;
use chappe_core::{AccountId, Mode, Phone, RequestId, Time, TokenId};
use ipnet::IpNet;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Transaction};

/// How many rows a purge takes at once, so that it never holds the writer for long: whoever purges asks again.
const PURGE_ROWS: i64 = 1_000;

impl Writer {
    /// A single statement. Says how many rows it touched.
    pub(super) async fn execute(
        &mut self,
        text: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, StoreError> {
        self.work(async |client| Ok(client.execute(text, parameters).await?)).await
    }

    /// See [`super::super::Store::create_customer`].
    pub async fn create_customer(&mut self, name: &str, now: Time) -> Result<(), StoreError> {
        self.work(async |client| create_customer(client, name, now).await).await
    }

    /// See [`super::super::Store::set_own_number`].
    pub async fn set_own_number(
        &mut self,
        account: AccountId,
        phone: Option<Phone>,
    ) -> Result<(), StoreError> {
        let sealed = phone.map(|phone| seal_phone(&self.vault, Purpose::OwnNumber, account.0, phone));
        let update = "UPDATE account SET own_number_sealed = $2 WHERE id = $1";
        self.execute(update, &[&account.0, &sealed]).await.map(|_| ())
    }

    /// See [`super::super::Store::set_single_use`].
    pub async fn set_single_use(&mut self, account: AccountId, single_use: bool) -> Result<(), StoreError> {
        let update = "UPDATE account SET single_use = $2 WHERE id = $1";
        self.execute(update, &[&account.0, &i16::from(single_use)]).await.map(|_| ())
    }

    /// See [`super::super::Store::create_token`].
    pub async fn create_token(&mut self, token: &NewToken<'_>, now: Time) -> Result<TokenId, StoreError> {
        let vault = self.vault.clone();
        self.work(async |client| create_token(client, &vault, token, now).await).await
    }

    /// See [`super::super::Store::end_token`].
    pub async fn end_token(&mut self, token: TokenId, at: Time, now: Time) -> Result<(), StoreError> {
        if at <= now {
            let revoke = "UPDATE token SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1";
            self.change_token(revoke, &[&token.0, &now.micros()]).await
        } else {
            let expire = "UPDATE token SET expires_at = least(coalesce(expires_at, $2), $2) WHERE id = $1";
            self.change_token(expire, &[&token.0, &at.micros()]).await
        }
    }

    /// See [`super::super::Store::allow_token`].
    pub async fn allow_token(&mut self, token: TokenId, allowed: &[IpNet]) -> Result<(), StoreError> {
        let update = "UPDATE token SET allowed = $2 WHERE id = $1";
        self.change_token(update, &[&token.0, &allowed_column(allowed)]).await
    }

    async fn change_token(
        &mut self,
        text: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<(), StoreError> {
        self.work(async |client| change_token(client, text, parameters).await).await
    }

    /// See [`super::super::Store::touch_tokens`].
    pub async fn touch_tokens(&mut self, uses: &[TokenUse]) -> Result<(), StoreError> {
        let ids: Vec<i64> = uses.iter().map(|used| used.token.0).collect();
        let moments: Vec<i64> = uses.iter().map(|used| used.at.micros()).collect();
        let addresses: Vec<String> = uses.iter().map(|used| used.from.to_string()).collect();
        // Locked in one order, since other servers note uses of the same tokens; whose note is the later one stays.
        let touch = "WITH locked AS MATERIALIZED (
                         SELECT id FROM token WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE)
                     UPDATE token SET last_used_at = new.at, last_used_from = new.address
                     FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS new (id, at, address)
                         JOIN locked ON locked.id = new.id
                     WHERE token.id = new.id AND coalesce(token.last_used_at, 0) <= new.at";
        self.execute(touch, &[&ids, &moments, &addresses]).await.map(|_| ())
    }

    /// See [`super::super::Store::put_sender`].
    pub async fn put_sender(
        &mut self,
        account: AccountId,
        username: &Username,
        verified: bool,
        now: Time,
    ) -> Result<(), StoreError> {
        let put = "INSERT INTO sender (account_id, username, verified, created_at) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (account_id, username) DO UPDATE SET verified = excluded.verified";
        let username = username.as_str();
        self.execute(put, &[&account.0, &username, &i16::from(verified), &now.micros()]).await.map(|_| ())
    }

    /// See [`super::super::Store::remove_sender`].
    pub async fn remove_sender(
        &mut self,
        account: AccountId,
        username: &Username,
    ) -> Result<bool, StoreError> {
        let remove = "DELETE FROM sender WHERE account_id = $1 AND username = $2";
        Ok(self.execute(remove, &[&account.0, &username.as_str()]).await? > 0)
    }

    /// See [`super::super::Store::purge`].
    pub async fn purge(&mut self, before: PurgeBefore) -> Result<bool, StoreError> {
        // What a batch has in hand is left for the next time. Windows are purged as wrong codes are: the longest window
        // that can be set for either is what makes a row old.
        let keys = "DELETE FROM idempotency USING
                        (SELECT account_id, key FROM idempotency WHERE at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) AS old
                    WHERE idempotency.account_id = old.account_id AND idempotency.key = old.key
                      AND idempotency.at < $1";
        let failures = "DELETE FROM phone_failure USING
                            (SELECT account_id, phone_key FROM phone_failure WHERE last_at < $1 LIMIT $2
                             FOR UPDATE SKIP LOCKED) AS old
                        WHERE phone_failure.account_id = old.account_id AND phone_failure.phone_key = old.phone_key
                          AND phone_failure.last_at < $1";
        let windows = "DELETE FROM phone_window USING
                           (SELECT number_key FROM phone_window WHERE last_at < $1 LIMIT $2
                            FOR UPDATE SKIP LOCKED) AS old
                       WHERE phone_window.number_key = old.number_key AND phone_window.last_at < $1";
        let references = "DELETE FROM channel_reference USING
                              (SELECT channel, reference FROM channel_reference WHERE at < $1 LIMIT $2
                               FOR UPDATE SKIP LOCKED) AS old
                          WHERE channel_reference.channel = old.channel AND channel_reference.reference = old.reference
                            AND channel_reference.at < $1";
        let windows_before = before.keys.min(before.failures) - self.sends_window;
        let steps = [
            (keys, before.keys),
            (failures, before.failures),
            (windows, windows_before),
            (references, before.references),
        ];
        let mut more = false;
        for (step, before) in steps {
            let forgotten = self.execute(step, &[&before.micros(), &PURGE_ROWS]).await?;
            more |= forgotten == PURGE_ROWS as u64;
        }
        Ok(self.wipe_codes(None, before.codes).await? || more)
    }

    /// See [`super::super::Store::clear_sandbox`].
    pub async fn clear_sandbox(&mut self, account: Option<AccountId>) -> Result<bool, StoreError> {
        self.wipe_codes(account, Time::from_micros(i64::MAX)).await
    }

    /// Wipes codes that the sandbox still holds, a bounded number an account. A message that is still to be handed over
    /// keeps its code.
    async fn wipe_codes(
        &mut self,
        account: Option<AccountId>,
        sent_before: Time,
    ) -> Result<bool, StoreError> {
        let accounts = match account {
            Some(account) => vec![account.0],
            None => self.work(async |client| account_ids(client).await).await?,
        };
        let mut more = false;
        for account in accounts {
            more |= self.work(async |client| wipe_codes(client, account, sent_before).await).await?;
        }
        Ok(more)
    }

    /// See [`super::super::Store::claim_for`].
    pub async fn claim_for(&mut self, purpose: &str) -> Result<(), StoreError> {
        let claim = "INSERT INTO meta (name, value) SELECT 'made_for', $1::text
                     WHERE $1 <> 'dev' OR NOT EXISTS (SELECT FROM customer) ON CONFLICT DO NOTHING";
        self.execute(claim, &[&purpose]).await?;
        let find = "SELECT value FROM meta WHERE name = 'made_for'";
        let found = self.work(async |client| Ok(client.query_opt(find, &[]).await?)).await?;
        let made_for: String = match found {
            Some(row) => row.try_get(0)?,
            None => "serve".to_owned(),
        };
        if made_for == purpose { Ok(()) } else { Err(StoreError::MadeFor(made_for)) }
    }
}

async fn create_customer(client: &mut Client, name: &str, now: Time) -> Result<(), StoreError> {
    let transaction = client.transaction().await?;
    let insert =
        "INSERT INTO customer (name, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id";
    let created = transaction.query_opt(insert, &[&name, &now.micros()]).await?;
    let exists = || StoreError::Exists(format!("there is a customer named {name:?} already"));
    let customer: i64 = created.ok_or_else(exists)?.try_get(0)?;
    for mode in [Mode::Live, Mode::Test] {
        let insert = "INSERT INTO account (customer_id, mode, created_at) VALUES ($1, $2, $3)";
        transaction.execute(insert, &[&customer, &mode.as_str(), &now.micros()]).await?;
    }
    Ok(transaction.commit().await?)
}

async fn create_token(
    client: &mut Client,
    vault: &Vault,
    token: &NewToken<'_>,
    now: Time,
) -> Result<TokenId, StoreError> {
    let transaction = client.transaction().await?;
    let insert = "INSERT INTO token (account_id, name, digest, sealed, allowed, created_at, expires_at)
                  VALUES ($1, $2, $3, '', $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id";
    let digest = vault.token_digest(token.text);
    let allowed = allowed_column(token.allowed);
    let expires_at = token.expires_at.map(Time::micros);
    let parameters: [&(dyn ToSql + Sync); 6] =
        [&token.account.0, &token.name, &digest.as_slice(), &allowed, &now.micros(), &expires_at];
    let created = transaction.query_opt(insert, &parameters).await?;
    let exists = || StoreError::Exists("this very token exists already".to_owned());
    let id: i64 = created.ok_or_else(exists)?.try_get(0)?;
    let sealed = vault.seal(Purpose::Token, id, token.text.as_bytes());
    transaction.execute("UPDATE token SET sealed = $2 WHERE id = $1", &[&id, &sealed]).await?;
    tokens_changed(&transaction).await?;
    transaction.commit().await?;
    Ok(TokenId(id))
}

async fn change_token(
    client: &mut Client,
    text: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<(), StoreError> {
    let transaction = client.transaction().await?;
    transaction.execute(text, parameters).await?;
    tokens_changed(&transaction).await?;
    Ok(transaction.commit().await?)
}

/// Tells every server that tokens have to be read anew.
async fn tokens_changed(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let count = "INSERT INTO meta (name, value) VALUES ('tokens_version', '1')
                 ON CONFLICT (name) DO UPDATE SET value = (meta.value::bigint + 1)::text";
    transaction.execute(count, &[]).await?;
    Ok(())
}

async fn account_ids(client: &Client) -> Result<Vec<i64>, StoreError> {
    let found = client.query("SELECT id FROM account ORDER BY id", &[]).await?;
    Ok(found.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Says whether there may be more to wipe.
async fn wipe_codes(client: &mut Client, account: i64, sent_before: Time) -> Result<bool, StoreError> {
    let below = RequestId::floor(sent_before).number();
    let transaction = client.transaction().await?;
    // Whoever writes to an account's requests holds the account's lock.
    transaction.execute("SELECT FROM account WHERE id = $1 FOR NO KEY UPDATE", &[&account]).await?;
    let wipe = "UPDATE request SET code_sealed = NULL WHERE id IN
                    (SELECT id FROM request WHERE account_id = $1 AND id < $2 AND channel = 'sandbox'
                         AND code_sealed IS NOT NULL AND sent_at < $3 AND progress NOT IN ('queued', 'leased')
                     ORDER BY id LIMIT $4)";
    let wiped = transaction.execute(wipe, &[&account, &below, &sent_before.micros(), &PURGE_ROWS]).await?;
    transaction.commit().await?;
    Ok(wiped == PURGE_ROWS as u64)
}
