//! Who did what. An entry is written in the same change as the thing itself where that is a change; before it where it is
//! another kind of write, since an entry too many does less harm than one too few.

use super::people::{CustomerId, PersonId};
use crate::store::statement::{Change, Columns, Row, Statement};
use crate::store::{Reader, StoreError};
use chappe_core::Time;

/// Something that somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Time,
    /// Whom it concerns; `None`: the house.
    pub customer: Option<CustomerId>,
    /// Who did it; `None`: the command line, or the program itself.
    pub person: Option<PersonId>,
    /// What they were called.
    pub who: String,
    /// What they did, such as `token.create`.
    pub action: String,
    /// To what, and how. Never a secret.
    pub detail: String,
    /// From where.
    pub address: String,
}

impl Change {
    /// Notes this as well.
    pub fn noted(self, entry: &Entry) -> Change {
        let put = "INSERT INTO audit_log (at, customer_id, person_id, who, action, detail, address)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let put = Statement::new(put)
            .with(entry.at)
            .with(entry.customer.map(|customer| customer.0))
            .with(entry.person.map(|person| person.0))
            .with(entry.who.as_str())
            .with(entry.action.as_str())
            .with(entry.detail.as_str())
            .with(entry.address.as_str());
        self.and(put)
    }
}

impl Reader {
    /// What was done, the latest first: that which concerns a customer, or everything. `before` is the number of the last
    /// entry of the page before this one.
    pub async fn audit_log(
        &self,
        customer: Option<CustomerId>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<(i64, Entry)>, StoreError> {
        let columns = "id, at, customer_id, person_id, who, action, detail, address";
        let before = before.unwrap_or(i64::MAX);
        let find = match customer {
            // First their numbers alone, which the customer's index holds. For whole rows, a database may go through the
            // entries of all customers, and come to those of one that was quiet of late only after very many others.
            Some(customer) => Statement::new(format!(
                "SELECT {columns} FROM (SELECT id AS found FROM audit_log WHERE customer_id = $3 AND id < $1
                                        ORDER BY id DESC LIMIT $2) AS own
                 JOIN audit_log ON id = found ORDER BY id DESC"
            ))
            .with(before)
            .with(limit)
            .with(customer.0),
            None => Statement::new(format!(
                "SELECT {columns} FROM audit_log WHERE id < $1 ORDER BY id DESC LIMIT $2"
            ))
            .with(before)
            .with(limit),
        };
        self.rows(&find).await?.into_iter().map(entry).collect()
    }

    /// How often something was done for a customer since a moment.
    pub async fn done_since(
        &self,
        customer: CustomerId,
        action: &str,
        since: Time,
    ) -> Result<i64, StoreError> {
        let find = "SELECT count(*) FROM audit_log WHERE customer_id = $1 AND action = $2 AND at >= $3";
        let find = Statement::new(find).with(customer.0).with(action).with(since);
        let found = self.rows(&find).await?.pop();
        found.map_or(Ok(0), |row| Columns::of(row).number())
    }
}

fn entry(row: Row) -> Result<(i64, Entry), StoreError> {
    let mut columns = Columns::of(row);
    let id = columns.number()?;
    let entry = Entry {
        at: columns.time()?,
        customer: columns.optional_number()?.map(CustomerId),
        person: columns.optional_number()?.map(PersonId),
        who: columns.text()?,
        action: columns.text()?,
        detail: columns.text()?,
        address: columns.text()?,
    };
    Ok((id, entry))
}
