//! Requests as people look for them.
//!
//! An account may have millions, and an index serves its requests by their ids alone, with the number beside each. So a
//! search reads a bounded piece of them at a time, the newest first, and says how far back it has looked.

use super::reports::ReportLine;
use crate::store::columns::{open_phone, parsed};
use crate::store::statement::{Cell, Columns, Row, Statement};
use crate::store::{Reader, StoreError};
use crate::vault::{Purpose, Vault};
use chappe_core::phone::Country;
use chappe_core::text::ChannelName;
use chappe_core::{AccountId, Delivery, Money, Phone, RequestId, Time, TokenId, Verification};

/// How many requests one search reads, where each has to be looked at.
pub const ROWS_MAX: i64 = 10_000;
/// How many requests one search for a number goes through, which are entries of an index.
pub const NUMBERS_MAX: i64 = 40_000;

/// What people call the state of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Asked for by checkSendAbility, with no message after it.
    Checked,
    /// A message was sent, whatever became of it.
    Message,
    /// The message is on its way.
    Sent,
    /// The message is on the phone, whether or not it was opened.
    Delivered,
    /// The message was opened.
    Read,
    /// The message did not arrive in time.
    Expired,
    /// The message was withdrawn before it was delivered.
    Revoked,
    /// The right code was entered.
    Verified,
    /// The fee was given back.
    Refunded,
}

impl Status {
    /// Every state.
    pub const ALL: [Status; 9] = [
        Status::Message,
        Status::Sent,
        Status::Delivered,
        Status::Read,
        Status::Verified,
        Status::Expired,
        Status::Revoked,
        Status::Refunded,
        Status::Checked,
    ];

    /// The name in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Checked => "checked",
            Status::Message => "message",
            Status::Sent => "sent",
            Status::Delivered => "delivered",
            Status::Read => "read",
            Status::Expired => "expired",
            Status::Revoked => "revoked",
            Status::Verified => "verified",
            Status::Refunded => "refunded",
        }
    }

    /// The state with this name.
    pub fn parse(text: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.as_str() == text)
    }

    fn condition(self) -> &'static str {
        match self {
            Status::Checked => "delivery IS NULL",
            Status::Message => "delivery IS NOT NULL",
            Status::Sent => "delivery = 'sent'",
            Status::Delivered => "delivery IN ('delivered', 'read')",
            Status::Read => "delivery = 'read'",
            Status::Expired => "delivery = 'expired'",
            Status::Revoked => "delivery = 'revoked'",
            Status::Verified => "verified_at IS NOT NULL",
            Status::Refunded => "refunded = 1",
        }
    }
}

/// A range of request ids, and with it of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The lowest.
    pub from: i64,
    /// The one after the highest.
    pub before: i64,
}

impl Span {
    /// Every request.
    pub const ALL: Span = Span { from: 0, before: i64::MAX };
}

/// What to look for.
#[derive(Clone, Debug)]
pub struct Search {
    /// Among which requests.
    pub span: Span,
    /// To this number.
    pub phone: Option<Phone>,
    /// In this state.
    pub status: Option<Status>,
    /// To this country.
    pub country: Option<Country>,
    /// Through this channel: the one that delivered it, or whose turn it is.
    pub channel: Option<ChannelName>,
}

impl Search {
    /// Every request.
    pub const ALL: Search =
        Search { span: Span::ALL, phone: None, status: None, country: None, channel: None };

    /// How many requests may be gone through; `None` if each fits.
    fn bound(&self) -> Option<i64> {
        let by_row = self.status.is_some() || self.country.is_some() || self.channel.is_some();
        match self.phone {
            // Of those to other numbers, nothing but the index is read.
            Some(_) => Some(NUMBERS_MAX),
            None => by_row.then_some(ROWS_MAX),
        }
    }
}

/// What was found, the newest first.
#[derive(Clone, Debug)]
pub struct Found<T, N> {
    /// What fits.
    pub rows: Vec<T>,
    /// Where the page after this one begins: right before this one.
    pub more: Option<N>,
    /// The oldest request that was looked at, if there are older ones and the page is not full.
    pub reached: Option<RequestId>,
}

/// A request in a list.
#[derive(Clone, Debug)]
pub struct RequestLine {
    /// Its id.
    pub id: RequestId,
    /// The number.
    pub phone: Phone,
    /// Its country.
    pub country: Country,
    /// When it was made.
    pub created_at: Time,
    /// The fee.
    pub cost: Money,
    /// Whether the fee was given back.
    pub refunded: bool,
    /// The channel that delivered it, or whose turn it is.
    pub channel: ChannelName,
    /// What its caller wants back; empty for nothing.
    pub payload: String,
    /// Where the message is, and since when; `None` if none was sent.
    pub delivery: Option<(Delivery, Time)>,
    /// When its code stops working.
    pub code_expires_at: Option<Time>,
    /// When the right code was first entered.
    pub verified_at: Option<Time>,
    /// The last verdict over an entered code.
    pub last_check: Option<Verification>,
}

impl RequestLine {
    /// What is known of the code at `now`; `None` as long as none was entered and it lives.
    pub fn verification(&self, now: Time) -> Option<Verification> {
        match (self.verified_at, self.code_expires_at) {
            (Some(_), _) => Some(Verification::Valid),
            (None, Some(at)) if now >= at => Some(Verification::Expired),
            _ => self.last_check,
        }
    }
}

/// The columns that [`line`] reads, in its order.
const LINE: &str = "id, phone_sealed, country, created_at, cost, refunded, channel, payload, delivery, delivery_at, \
                    code_expires_at, verified_at, last_check";

fn line(vault: &Vault, columns: &mut Columns) -> Result<RequestLine, StoreError> {
    let number = columns.number()?;
    Ok(RequestLine {
        id: parsed("request id", RequestId::from_number(number))?,
        phone: open_phone(vault, Purpose::Phone, number, &columns.bytes()?)?,
        country: parsed("country", Country::parse(&columns.text()?))?,
        created_at: columns.time()?,
        cost: columns.money()?,
        refunded: columns.flag()?,
        channel: parsed("channel", ChannelName::parse(&columns.text()?))?,
        payload: columns.optional_text()?.unwrap_or_default(),
        delivery: {
            let status = columns.optional_text()?;
            let status = status.map(|name| parsed("delivery status", Delivery::parse(&name))).transpose()?;
            status.zip(columns.optional_time()?)
        },
        code_expires_at: columns.optional_time()?,
        verified_at: columns.optional_time()?,
        last_check: {
            let name = columns.optional_text()?;
            name.map(|name| parsed("verification status", Verification::parse(&name))).transpose()?
        },
    })
}

/// One request with all that happened to it.
#[derive(Clone, Debug)]
pub struct RequestStory {
    /// What a list shows of it.
    pub line: RequestLine,
    /// The token that made it.
    pub token: TokenId,
    /// Whether it began with checkSendAbility.
    pub ability_checked: bool,
    /// The channels of its route, in order.
    pub route: Vec<String>,
    /// The sender channel that the caller named.
    pub sender: Option<String>,
    /// Where reports go.
    pub callback_url: Option<String>,
    /// How long delivery may take, in seconds.
    pub ttl_s: Option<i64>,
    /// How many wrong codes were entered.
    pub attempts: i64,
    /// What happened, in order.
    pub events: Vec<Happened>,
    /// The fee and its return, in order.
    pub transfers: Vec<TransferLine>,
    /// Its reports, in order.
    pub reports: Vec<ReportLine>,
}

/// A line of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// When.
    pub at: Time,
    /// What: the name of an event, as in [`chappe_core::timeline::What::name`].
    pub name: String,
    /// More of it: a channel, an amount, a reason.
    pub detail: String,
}

/// Money that moved for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferLine {
    /// When.
    pub at: Time,
    /// `charge` or `refund`.
    pub kind: String,
    /// How much.
    pub amount: Money,
    /// What the account had then.
    pub balance_after: Money,
}

impl Reader {
    /// What finds requests, `limit` at most.
    fn find_requests(&self, account: AccountId, search: &Search, limit: usize) -> Statement {
        let Span { from, before } = search.span;
        let (of_account, first) = self.keyed("id", "DESC");
        let mut conditions = vec![of_account];
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut values: Vec<Cell> = vec![account.0.into(), from.into(), before.into(), limit.into()];
        let key = search.phone.map(|phone| Cell::from(self.vault().phone_key(phone)));
        let country = search.country.map(|country| Cell::from(country.as_str()));
        let channel = search.channel.as_ref().map(|channel| Cell::from(channel.as_str()));
        for (column, value) in [("phone_key", key), ("country", country), ("channel", channel)] {
            if let Some(value) = value {
                values.push(value);
                conditions.push(format!("{column} = ${}", values.len()));
            }
        }
        conditions.extend(search.status.map(|status| status.condition().to_owned()));
        let find = format!(
            "SELECT {LINE} FROM request WHERE {} ORDER BY {first}id DESC LIMIT $4",
            conditions.join(" AND ")
        );
        values.into_iter().fold(Statement::new(find), Statement::with)
    }

    /// Looks for requests of an account, the newest first.
    pub async fn requests(
        &self,
        account: AccountId,
        search: &Search,
        limit: usize,
    ) -> Result<Found<RequestLine, RequestId>, StoreError> {
        let floor = match search.bound() {
            Some(bound) => self.floor(account, search.span, bound).await?,
            None => None,
        };
        let mut within = search.clone();
        within.span.from = floor.unwrap_or(within.span.from);
        // One more than is asked for: then there is a next page.
        let found = self.rows(&self.find_requests(account, &within, limit.saturating_add(1))).await?;
        let is_full = found.len() > limit;
        let rows = found.into_iter().take(limit).map(|row| line(self.vault(), &mut Columns::of(row)));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        Ok(Found {
            more: rows.last().map(|row| row.id).filter(|_| is_full),
            reached: floor.and_then(RequestId::from_number).filter(|_| !is_full),
            rows,
        })
    }

    /// The oldest of the `bound` newest requests of a span; `None` if there are no more than that.
    async fn floor(&self, account: AccountId, span: Span, bound: i64) -> Result<Option<i64>, StoreError> {
        let (of_account, first) = self.keyed("id", "DESC");
        let find = Statement::new(format!(
            "SELECT min(id), count(*) FROM (SELECT id FROM request WHERE {of_account}
                                            ORDER BY {first}id DESC LIMIT $4) AS seen"
        ));
        let find = find.with(account.0).with(span.from).with(span.before).with(bound);
        lowest_of_many(self.rows(&find).await?, bound)
    }

    /// The countries and channels of an account's requests since a day (counted from 1970-01-01), each pair once.
    pub async fn kinds_of_requests(
        &self,
        account: AccountId,
        since_day: i32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let find = Statement::new(
            "SELECT DISTINCT country, channel FROM day WHERE account_id = $1 AND day >= $2
             ORDER BY country, channel",
        );
        let pair = |row: Row| {
            let mut columns = Columns::of(row);
            Ok((columns.text()?, columns.text()?))
        };
        let find = find.with(account.0).with(i64::from(since_day));
        self.rows(&find).await?.into_iter().map(pair).collect()
    }

    /// A request of an account with all that happened to it.
    pub async fn request_story(
        &self,
        account: AccountId,
        id: RequestId,
    ) -> Result<Option<RequestStory>, StoreError> {
        let find = Statement::new(format!(
            "SELECT {LINE}, token_id, ability_checked, route, sender, callback_url, ttl_s, attempts, timeline
             FROM request WHERE id = $1 AND account_id = $2"
        ));
        let Some(row) = self.rows(&find.with(id.number()).with(account.0)).await?.pop() else {
            return Ok(None);
        };
        let mut columns = Columns::of(row);
        Ok(Some(RequestStory {
            line: line(self.vault(), &mut columns)?,
            token: TokenId(columns.number()?),
            ability_checked: columns.flag()?,
            route: columns.text()?.split(',').map(str::to_owned).collect(),
            sender: columns.optional_text()?,
            callback_url: columns.optional_text()?,
            ttl_s: columns.optional_number()?,
            attempts: columns.number()?,
            events: columns.text()?.lines().map(happened).collect::<Result<_, _>>()?,
            transfers: self.transfers_of(id).await?,
            reports: self.reports_of(account, id).await?,
        }))
    }

    async fn transfers_of(&self, id: RequestId) -> Result<Vec<TransferLine>, StoreError> {
        let find = Statement::new(
            "SELECT at, kind, amount, balance_after FROM transfer WHERE request_id = $1 ORDER BY seq",
        );
        let transfer = |row: Row| {
            let mut columns = Columns::of(row);
            Ok(TransferLine {
                at: columns.time()?,
                kind: columns.text()?,
                amount: columns.money()?,
                balance_after: columns.money()?,
            })
        };
        self.rows(&find.with(id.number())).await?.into_iter().map(transfer).collect()
    }
}

/// The lowest id of a piece that was counted, if the piece is full.
pub(super) fn lowest_of_many(rows: Vec<Row>, bound: i64) -> Result<Option<i64>, StoreError> {
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut columns = Columns::of(row);
    let lowest = columns.optional_number()?;
    let is_full = columns.number()? >= bound;
    Ok(lowest.filter(|_| is_full))
}

fn happened(text: &str) -> Result<Happened, StoreError> {
    let mut parts = text.splitn(3, ' ');
    let at = parts.next().and_then(|micros| micros.parse().ok());
    Ok(Happened {
        at: parsed("moment", at).map(Time::from_micros)?,
        name: parsed("event", parts.next())?.to_owned(),
        detail: parts.next().unwrap_or("").to_owned(),
    })
}
