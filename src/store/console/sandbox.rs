//! The sandbox's inbox. Its messages have an index of their own, account by account; whoever sees those of all accounts is
//! shown the newest of each, merged.

use crate::store::columns::{open_code, open_phone, parsed};
use crate::store::statement::{Columns, Row, Statement};
use crate::store::{Reader, SandboxRow, StoreError};
use crate::vault::{Purpose, Vault};
use chappe_core::text::Username;
use chappe_core::{AccountId, Delivery, Phone, RequestId, Ttl};

/// The columns that [`message`] reads, in its order.
const MESSAGE: &str = "request.id, request.account_id, request.phone_sealed, request.code_sealed, request.sender, \
                       request.delivery, request.hop, request.sent_at, request.ttl_s";

/// What makes a request a message in the inbox, in the words of its index.
const IN_SANDBOX: &str = "channel = 'sandbox' AND code_sealed IS NOT NULL";

fn message(vault: &Vault, row: Row) -> Result<SandboxRow, StoreError> {
    let mut columns = Columns::of(row);
    let number = columns.number()?;
    let request = parsed("request id", RequestId::from_number(number))?;
    let account = AccountId(columns.number()?);
    let phone = open_phone(vault, Purpose::Phone, number, &columns.bytes()?)?;
    let code = open_code(vault, number, &columns.bytes()?)?;
    let sender = columns.optional_text()?;
    let sender = sender.map(|name| parsed("sender", Username::parse(&name))).transpose()?;
    let delivery = parsed("delivery status", Delivery::parse(&columns.text()?))?;
    let hop = parsed("hop", u8::try_from(columns.number()?).ok())?;
    let sent_at = columns.time()?;
    let ttl = columns.optional_number()?;
    let ttl = ttl.map(|secs| parsed("ttl", u16::try_from(secs).ok().and_then(Ttl::from_secs))).transpose()?;
    let expires_at = ttl.map(|ttl| sent_at + ttl.duration());
    Ok(SandboxRow { request, account, phone, code, sender, delivery, hop, sent_at, expires_at })
}

impl Reader {
    /// Messages in the sandbox's inbox, newest first: those of an account, or of all.
    pub async fn sandbox_messages(
        &self,
        account: Option<AccountId>,
        phone: Option<Phone>,
        limit: usize,
    ) -> Result<Vec<SandboxRow>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let to_phone =
            |place| if phone.is_some() { format!(" AND phone_key = {place}") } else { String::new() };
        let find = match account {
            Some(account) => Statement::new(format!(
                "SELECT {MESSAGE} FROM request WHERE account_id = $2{} AND {IN_SANDBOX} ORDER BY id DESC LIMIT $1",
                to_phone("$3")
            ))
            .with(limit)
            .with(account.0),
            None => Statement::new(format!(
                "SELECT {MESSAGE} FROM account {} ORDER BY request.id DESC LIMIT $1",
                self.newest_of_each(&to_phone("$2"))
            ))
            .with(limit),
        };
        let find = match phone {
            Some(phone) => find.with(self.vault().phone_key(phone)),
            None => find,
        };
        self.rows(&find).await?.into_iter().map(|row| message(self.vault(), row)).collect()
    }

    /// The newest requests of each account, which is the one thing that no words say well to both databases: SQLite knows
    /// no table that depends on the one before it, and PostgreSQL would ask for such a list once for every request.
    fn newest_of_each(&self, to_phone: &str) -> String {
        let newest = format!(
            "request AS one WHERE one.account_id = account.id{to_phone} AND {IN_SANDBOX} ORDER BY one.id DESC LIMIT $1"
        );
        match self {
            Reader::Sqlite(_) => format!("JOIN request ON request.id IN (SELECT one.id FROM {newest})"),
            Reader::Postgres(_) => format!("CROSS JOIN LATERAL (SELECT one.* FROM {newest}) AS request"),
        }
    }

    /// One message in the sandbox's inbox.
    pub async fn sandbox_message(&self, request: RequestId) -> Result<Option<SandboxRow>, StoreError> {
        let find = format!("SELECT {MESSAGE} FROM request WHERE id = $1 AND {IN_SANDBOX}");
        let found = self.rows(&Statement::new(find).with(request.number())).await?.pop();
        found.map(|row| message(self.vault(), row)).transpose()
    }
}
