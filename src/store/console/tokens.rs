//! API tokens, as pages read and name them. What servers must hear of (a new one, an end, a list of addresses) are chores:
//! see [`crate::engine::Chore`].

use super::people::CustomerId;
use crate::store::columns::{allowed, damaged, parsed};
use crate::store::statement::{Change, Columns, Row, Statement};
use crate::store::{Reader, StoreError, TokenRow};
use crate::vault::{Purpose, Vault};
use chappe_core::{AccountId, Mode, Time, TokenId};
use zeroize::Zeroizing;

/// The columns that [`token`] reads, in its order.
const TOKEN: &str = "token.id, token.account_id, account.mode, token.name, token.sealed, token.digest, token.allowed, \
                     token.created_at, token.expires_at, token.revoked_at, token.last_used_at, token.last_used_from";

fn token(vault: &Vault, row: Row) -> Result<TokenRow, StoreError> {
    let mut columns = Columns::of(row);
    let id = columns.number()?;
    let (account, mode, name) = (columns.number()?, columns.text()?, columns.text()?);
    let plain = vault.open(Purpose::Token, id, &columns.bytes()?).map_err(damaged)?;
    let text = std::str::from_utf8(&plain).map_err(damaged)?;
    Ok(TokenRow {
        id: TokenId(id),
        account: AccountId(account),
        mode: parsed("mode", Mode::parse(&mode))?,
        name,
        text: Zeroizing::new(text.to_owned()),
        digest: parsed("digest", columns.bytes()?.try_into().ok())?,
        allowed: allowed(&columns.text()?)?,
        created_at: columns.time()?,
        expires_at: columns.optional_time()?,
        revoked_at: columns.optional_time()?,
        last_used: columns.optional_time()?.zip(columns.optional_text()?),
    })
}

impl Reader {
    /// A page of an account's tokens, the newest first. `before` is the last one of the page before this one.
    pub async fn token_page(
        &self,
        account: AccountId,
        before: Option<TokenId>,
        limit: i64,
    ) -> Result<Vec<TokenRow>, StoreError> {
        let find = format!(
            "SELECT {TOKEN} FROM token JOIN account ON account.id = token.account_id
             WHERE token.account_id = $1 AND token.id < $2 ORDER BY token.id DESC LIMIT $3"
        );
        let before = before.map_or(i64::MAX, |token| token.0);
        let find = Statement::new(find).with(account.0).with(before).with(limit);
        self.rows(&find).await?.into_iter().map(|row| token(self.vault(), row)).collect()
    }

    /// A token of a customer.
    pub async fn token_of(&self, customer: CustomerId, id: TokenId) -> Result<Option<TokenRow>, StoreError> {
        let find = format!(
            "SELECT {TOKEN} FROM token JOIN account ON account.id = token.account_id
             WHERE token.id = $1 AND account.customer_id = $2"
        );
        let found = self.rows(&Statement::new(find).with(id.0).with(customer.0)).await?.pop();
        found.map(|row| token(self.vault(), row)).transpose()
    }

    /// The token with this digest.
    pub async fn token_with(&self, digest: [u8; 32]) -> Result<Option<TokenId>, StoreError> {
        let find = Statement::new("SELECT id FROM token WHERE digest = $1").with(digest);
        let found = self.rows(&find).await?.pop();
        found.map(|row| Columns::of(row).number().map(TokenId)).transpose()
    }

    /// How many tokens of an account are good.
    pub async fn good_tokens(&self, account: AccountId, now: Time) -> Result<i64, StoreError> {
        let find = "SELECT count(*) FROM token WHERE account_id = $1 AND revoked_at IS NULL
                        AND (expires_at IS NULL OR expires_at > $2)";
        let found = self.rows(&Statement::new(find).with(account.0).with(now)).await?.pop();
        found.map_or(Ok(0), |row| Columns::of(row).number())
    }

    /// Whether a good token of an account is called so.
    pub async fn has_good_token(
        &self,
        account: AccountId,
        name: &str,
        now: Time,
    ) -> Result<bool, StoreError> {
        let find = "SELECT id FROM token WHERE account_id = $1 AND name = $2 AND revoked_at IS NULL
                        AND (expires_at IS NULL OR expires_at > $3) LIMIT 1";
        let find = Statement::new(find).with(account.0).with(name).with(now);
        Ok(!self.rows(&find).await?.is_empty())
    }
}

/// What people call a token.
pub fn rename_token(id: TokenId, name: &str) -> Change {
    Change::default().must(Statement::new("UPDATE token SET name = $2 WHERE id = $1").with(id.0).with(name))
}
