//! Payments: money that a provider is asked to collect. A payment is noted before the provider hears of it, and what
//! comes of it is booked by the provider's own name for it, so that nothing is booked twice.

use super::people::CustomerId;
use crate::store::columns::parsed;
use crate::store::statement::{Change, Columns, Row, Statement};
use crate::store::{Reader, StoreError};
use chappe_core::{AccountId, Money, Time};

/// Who collects money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collector {
    /// Stripe Checkout.
    Stripe,
    /// Telegram Stars, through a bot.
    Stars,
}

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// Nothing was paid yet.
    Open,
    /// It was paid, and booked.
    Paid,
    /// All of it went back.
    Refunded,
    /// Nothing will come of it.
    Failed,
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentRow {
    /// What we call it.
    pub id: String,
    /// Who collects it.
    pub collector: Collector,
    /// The account that it is for.
    pub account: AccountId,
    /// What the account gets.
    pub amount: Money,
    /// What is paid for it, in the smallest unit of a currency, such as `1250 eur`.
    pub price: String,
    /// Where it is paid; empty until the collector has said it.
    pub link: String,
    /// Where it stands.
    pub state: PaymentState,
    /// What the collector calls it, once it is paid.
    pub charge: Option<String>,
    /// Whom the collector names as the payer; empty until it does.
    pub payer: String,
    /// How much of the amount went back.
    pub refunded: Money,
    /// When it was begun.
    pub created_at: Time,
}

impl Collector {
    /// The name in rows and references.
    pub fn as_str(self) -> &'static str {
        match self {
            Collector::Stripe => "stripe",
            Collector::Stars => "stars",
        }
    }

    /// The collector with this name.
    pub fn parse(text: &str) -> Option<Collector> {
        [Collector::Stripe, Collector::Stars].into_iter().find(|one| one.as_str() == text)
    }
}

impl PaymentState {
    /// The name in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            PaymentState::Open => "open",
            PaymentState::Paid => "paid",
            PaymentState::Refunded => "refunded",
            PaymentState::Failed => "failed",
        }
    }

    /// The state with this name.
    pub fn parse(text: &str) -> Option<PaymentState> {
        let all = [PaymentState::Open, PaymentState::Paid, PaymentState::Refunded, PaymentState::Failed];
        all.into_iter().find(|state| state.as_str() == text)
    }
}

/// The columns that [`payment`] reads, in its order.
const PAYMENT: &str =
    "id, provider, account_id, amount, price, link, state, charge, payer, refunded, created_at";

fn payment(row: Row) -> Result<PaymentRow, StoreError> {
    let mut columns = Columns::of(row);
    Ok(PaymentRow {
        id: columns.text()?,
        collector: parsed("provider", Collector::parse(&columns.text()?))?,
        account: AccountId(columns.number()?),
        amount: columns.money()?,
        price: columns.text()?,
        link: columns.text()?,
        state: parsed("state", PaymentState::parse(&columns.text()?))?,
        charge: columns.optional_text()?,
        payer: columns.text()?,
        refunded: columns.money()?,
        created_at: columns.time()?,
    })
}

impl Reader {
    /// The payment that we call so.
    pub async fn payment(&self, id: &str) -> Result<Option<PaymentRow>, StoreError> {
        let find = Statement::new(format!("SELECT {PAYMENT} FROM payment WHERE id = $1")).with(id);
        self.rows(&find).await?.pop().map(payment).transpose()
    }

    /// The payment that its collector calls so.
    pub async fn payment_of(
        &self,
        collector: Collector,
        charge: &str,
    ) -> Result<Option<PaymentRow>, StoreError> {
        let find = format!("SELECT {PAYMENT} FROM payment WHERE provider = $1 AND charge = $2");
        let find = Statement::new(find).with(collector.as_str()).with(charge);
        self.rows(&find).await?.pop().map(payment).transpose()
    }

    /// An account's latest payments, the latest first.
    pub async fn payments(&self, account: AccountId, limit: i64) -> Result<Vec<PaymentRow>, StoreError> {
        let find = format!(
            "SELECT {PAYMENT} FROM payment WHERE account_id = $1 ORDER BY created_at DESC, id LIMIT $2"
        );
        let find = Statement::new(find).with(account.0).with(limit);
        self.rows(&find).await?.into_iter().map(payment).collect()
    }

    /// Whose account this is.
    pub async fn customer_of(&self, account: AccountId) -> Result<Option<CustomerId>, StoreError> {
        let find = Statement::new("SELECT customer_id FROM account WHERE id = $1").with(account.0);
        let found = self.rows(&find).await?.pop();
        let customer = found.map(|row| Columns::of(row).optional_number()).transpose()?;
        Ok(customer.flatten().map(CustomerId))
    }

    /// How many payments of an account were begun since a moment.
    pub async fn payments_begun(&self, account: AccountId, since: Time) -> Result<i64, StoreError> {
        let find = "SELECT count(*) FROM payment WHERE account_id = $1 AND created_at >= $2";
        let found = self.rows(&Statement::new(find).with(account.0).with(since)).await?.pop();
        found.map_or(Ok(0), |row| Columns::of(row).number())
    }
}

/// Notes a payment. One that is there already stays as it is.
pub fn begin(payment: &PaymentRow) -> Change {
    let put = format!(
        "INSERT INTO payment ({PAYMENT}, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) ON CONFLICT DO NOTHING"
    );
    let put = Statement::new(put)
        .with(payment.id.as_str())
        .with(payment.collector.as_str())
        .with(payment.account.0)
        .with(payment.amount)
        .with(payment.price.as_str())
        .with(payment.link.as_str())
        .with(payment.state.as_str())
        .with(payment.charge.clone())
        .with(payment.payer.as_str())
        .with(payment.refunded)
        .with(payment.created_at);
    Change::default().and(put)
}

/// Where a payment is paid.
pub fn offer(id: &str, link: &str, now: Time) -> Change {
    let update = "UPDATE payment SET link = $2, changed_at = $3 WHERE id = $1";
    Change::default().must(Statement::new(update).with(id).with(link).with(now))
}

/// Nothing will come of a payment. Nothing is done if something has.
pub fn fail(id: &str, now: Time) -> Change {
    let update = "UPDATE payment SET state = 'failed', changed_at = $2 WHERE id = $1 AND state = 'open'";
    Change::default().must(Statement::new(update).with(id).with(now))
}

/// A payment was paid. Nothing is done if that is known.
pub fn pay(id: &str, charge: &str, payer: &str, now: Time) -> Change {
    let update = "UPDATE payment SET state = 'paid', charge = $2, payer = $3, changed_at = $4
                  WHERE id = $1 AND state IN ('open', 'failed')";
    Change::default().must(Statement::new(update).with(id).with(charge).with(payer).with(now))
}

/// Of a payment, `to` has gone back, and not `from` any more. Nothing is done if somebody else has noted so.
pub fn give_back(id: &str, from: Money, to: Money, now: Time) -> Change {
    let update = "UPDATE payment SET refunded = $3, changed_at = $4,
                      state = CASE WHEN amount = $3 THEN 'refunded' ELSE state END
                  WHERE id = $1 AND refunded = $2";
    Change::default().must(Statement::new(update).with(id).with(from).with(to).with(now))
}
