//! Reports as people look for them. See [`super::requests`] for how far a search goes.

use super::requests::{Found, ROWS_MAX, Span, lowest_of_many};
use crate::store::columns::{last_attempt, parsed};
use crate::store::statement::{Cell, Columns, Row, Statement};
use crate::store::{Reader, StoreError};
use chappe_core::report::State;
use chappe_core::{AccountId, Delivery, ReportId, RequestId, Time};
use std::time::Duration;

/// What to look for.
#[derive(Clone, Debug)]
pub struct ReportSearch {
    /// Among the reports of which requests.
    pub span: Span,
    /// After which report the page begins.
    pub before: Option<ReportId>,
    /// In this state.
    pub state: Option<State>,
    /// To receivers whose scheme, host and port hold this, in lower case.
    pub receiver: String,
}

impl ReportSearch {
    /// Every report.
    pub const ALL: ReportSearch =
        ReportSearch { span: Span::ALL, before: None, state: None, receiver: String::new() };
}

/// A report in a list.
#[derive(Clone, Debug)]
pub struct ReportLine {
    /// Which one.
    pub id: ReportId,
    /// Scheme, host and port of where it goes.
    pub receiver: String,
    /// The delivery status that it tells.
    pub delivery: Delivery,
    /// When it was made.
    pub made_at: Time,
    /// Where it stands.
    pub state: State,
    /// Attempts that have ended.
    pub attempts: i64,
    /// When the next attempt is due.
    pub due_at: Time,
    /// Whether an attempt is under way.
    pub leased: bool,
    /// What the last attempt came to.
    pub last_result: Option<String>,
    /// When the last attempt ended, and how long it took.
    pub last_attempt: Option<(Time, Duration)>,
}

/// The columns that [`line`] reads, in its order.
const LINE: &str = "request_id, seq, receiver, delivery, delivery_at, state, attempts, due_at, leased, last_result, \
                    last_at, last_ms";

fn line(row: Row) -> Result<ReportLine, StoreError> {
    let mut columns = Columns::of(row);
    Ok(ReportLine {
        id: id(&mut columns)?,
        receiver: columns.text()?,
        delivery: parsed("delivery status", Delivery::parse(&columns.text()?))?,
        made_at: columns.time()?,
        state: parsed("report state", State::parse(&columns.text()?))?,
        attempts: columns.number()?,
        due_at: columns.time()?,
        leased: columns.flag()?,
        last_result: columns.optional_text()?,
        last_attempt: last_attempt(columns.optional_number()?, columns.optional_number()?)?,
    })
}

fn id(columns: &mut Columns) -> Result<ReportId, StoreError> {
    Ok(ReportId {
        request: parsed("request id", RequestId::from_number(columns.number()?))?,
        seq: parsed("number", u8::try_from(columns.number()?).ok())?,
    })
}

/// A text as a pattern of `LIKE` has it, found anywhere; `!` escapes.
fn pattern(text: &str) -> String {
    let escaped: String =
        text.chars().flat_map(|char| ["!%_".contains(char).then_some('!'), Some(char)]).flatten().collect();
    format!("%{escaped}%")
}

impl Reader {
    /// What finds reports, `limit` at most.
    fn find_reports(&self, account: AccountId, search: &ReportSearch, limit: usize) -> Statement {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let Span { from, before } = search.span;
        let mut values: Vec<Cell> = vec![account.0.into(), from.into(), before.into(), limit.into()];
        let mut more = String::new();
        if let Some(before) = search.before {
            values.extend([Cell::from(before.request.number()), Cell::from(i64::from(before.seq))]);
            let (request, seq) = (values.len() - 1, values.len());
            more = format!(" AND (request_id < ${request} OR seq < ${seq})");
        }
        let is_lost = search.state == Some(State::Lost);
        if let Some(state) = search.state.filter(|_| !is_lost) {
            values.push(state.as_str().into());
            more += &format!(" AND state = ${}", values.len());
        }
        if !search.receiver.is_empty() {
            values.push(pattern(&search.receiver).into());
            more += &format!(" AND receiver LIKE ${} ESCAPE '!'", values.len());
        }
        let find = match is_lost {
            // First their names alone, for which an index of those that are lost holds whatever is asked: a database that
            // must choose between two indexes for the whole rows may take the one of all reports.
            true => format!(
                "SELECT {LINE} FROM (SELECT request_id AS lost_request, seq AS lost_seq FROM report
                                     WHERE account_id = $1 AND state = 'lost' AND request_id >= $2 AND request_id < $3{more}
                                     ORDER BY request_id DESC, seq DESC LIMIT $4) AS lost
                 JOIN report ON request_id = lost_request AND seq = lost_seq ORDER BY request_id DESC, seq DESC"
            ),
            false => {
                let (of_account, first) = self.keyed("request_id", "DESC");
                format!(
                    "SELECT {LINE} FROM report WHERE {of_account}{more}
                     ORDER BY {first}request_id DESC, seq DESC LIMIT $4"
                )
            }
        };
        values.into_iter().fold(Statement::new(find), Statement::with)
    }

    /// Looks for reports of an account, those of the newest requests first.
    pub async fn reports(
        &self,
        account: AccountId,
        search: &ReportSearch,
        limit: usize,
    ) -> Result<Found<ReportLine, ReportId>, StoreError> {
        let mut within = search.clone();
        let before = search.before.map_or(i64::MAX, |id| id.request.number().saturating_add(1));
        within.span.before = within.span.before.min(before);
        let floor = match (search.state, search.receiver.is_empty()) {
            // Each one fits.
            (None | Some(State::Lost), true) => None,
            (Some(State::Lost), false) => self.floor_of_lost(account, within.span).await?,
            _ => self.floor_of_reports(account, within.span).await?,
        };
        within.span.from = floor.unwrap_or(within.span.from);
        // One more than is asked for: then there is a next page.
        let found = self.rows(&self.find_reports(account, &within, limit.saturating_add(1))).await?;
        let is_full = found.len() > limit;
        let rows = found.into_iter().take(limit).map(line).collect::<Result<Vec<_>, _>>()?;
        Ok(Found {
            more: rows.last().map(|row| row.id).filter(|_| is_full),
            reached: floor.and_then(RequestId::from_number).filter(|_| !is_full),
            rows,
        })
    }

    async fn floor_of_lost(&self, account: AccountId, span: Span) -> Result<Option<i64>, StoreError> {
        let find = Statement::new(
            "SELECT min(request_id), count(*) FROM
                 (SELECT request_id FROM report WHERE account_id = $1 AND state = 'lost' AND request_id >= $2
                                                  AND request_id < $3 ORDER BY request_id DESC LIMIT $4) AS seen",
        );
        let find = find.with(account.0).with(span.from).with(span.before).with(ROWS_MAX);
        lowest_of_many(self.rows(&find).await?, ROWS_MAX)
    }

    async fn floor_of_reports(&self, account: AccountId, span: Span) -> Result<Option<i64>, StoreError> {
        let (of_account, first) = self.keyed("request_id", "DESC");
        let find = Statement::new(format!(
            "SELECT min(request_id), count(*) FROM (SELECT request_id FROM report WHERE {of_account}
                                                    ORDER BY {first}request_id DESC LIMIT $4) AS seen"
        ));
        let find = find.with(account.0).with(span.from).with(span.before).with(ROWS_MAX);
        lowest_of_many(self.rows(&find).await?, ROWS_MAX)
    }

    /// The reports of a request, in order.
    pub async fn reports_of(
        &self,
        account: AccountId,
        request: RequestId,
    ) -> Result<Vec<ReportLine>, StoreError> {
        let find =
            format!("SELECT {LINE} FROM report WHERE request_id = $1 AND account_id = $2 ORDER BY seq");
        let find = Statement::new(find).with(request.number()).with(account.0);
        self.rows(&find).await?.into_iter().map(line).collect()
    }

    /// How many reports of requests from this one on are lost. No more than `most` are counted.
    pub async fn count_lost(
        &self,
        account: AccountId,
        since: RequestId,
        most: i64,
    ) -> Result<i64, StoreError> {
        let find = Statement::new(
            "SELECT count(*) FROM (SELECT request_id FROM report WHERE account_id = $1 AND state = 'lost'
                                                                   AND request_id >= $2 LIMIT $3) AS lost",
        );
        let find = find.with(account.0).with(since.number()).with(most);
        self.rows(&find).await?.pop().map_or(Ok(0), |row| Columns::of(row).number())
    }

    /// Lost reports of requests from this one on, the oldest first, those after `after`.
    pub async fn lost_reports(
        &self,
        account: AccountId,
        since: RequestId,
        after: Option<ReportId>,
        limit: usize,
    ) -> Result<Vec<ReportId>, StoreError> {
        let since = after.map_or(since, |after| after.request.max(since));
        let (request, seq) = after.map_or((0, 0), |after| (after.request.number(), i64::from(after.seq)));
        let find = Statement::new(
            "SELECT request_id, seq FROM report
             WHERE account_id = $1 AND state = 'lost' AND request_id >= $2 AND (request_id > $3 OR seq > $4)
             ORDER BY request_id, seq LIMIT $5",
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let find = find.with(account.0).with(since.number()).with(request).with(seq).with(limit);
        self.rows(&find).await?.into_iter().map(|row| id(&mut Columns::of(row))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_no_pattern() {
        assert_eq!(pattern("example.com"), "%example.com%");
        assert_eq!(pattern("50%_!"), "%50!%!_!!%");
    }
}
