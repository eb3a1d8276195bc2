//! Movements as a file for spreadsheets: streamed, page by page, so that it may be of any length.

use super::csv;
use super::show::at;
use super::trouble::Trouble;
use crate::app::App;
use crate::store::StoreError;
use crate::store::console::movements::{MovementFilter, MovementRow, Side};
use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chappe_core::AccountId;
use futures_util::stream;
use std::sync::Arc;

/// How many movements are read at a time.
const CHUNK: i64 = 1_000;
const HEADINGS: &str = "number,at,kind,request_id,reference,reason,amount,balance_after\r\n";

/// What is sent piece by piece.
struct Download {
    app: Arc<App>,
    account: AccountId,
    filter: MovementFilter,
    /// The last number that was written.
    after: i64,
    done: bool,
}

/// The movements that the filter lets through, the oldest first. An error in between breaks the transfer off, so that
/// nobody takes a part for the whole.
pub(super) fn download(
    app: Arc<App>,
    account: AccountId,
    filter: MovementFilter,
    name: &str,
) -> Result<Response, Trouble> {
    let download = Download { app, account, filter, after: 0, done: false };
    let chunks = stream::try_unfold((download, true), |(mut download, first)| async move {
        if download.done {
            return Ok::<_, StoreError>(None);
        }
        let mut text = if first { HEADINGS.to_owned() } else { String::new() };
        download.next(&mut text).await?;
        Ok(Some((Bytes::from(text), (download, false))))
    });
    let disposition = format!("attachment; filename=\"chappe-{name}.csv\"");
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
        (CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

impl Download {
    async fn next(&mut self, text: &mut String) -> Result<(), StoreError> {
        let side = Side::After(self.after);
        let rows = self.app.pages.movements(self.account, &self.filter, side, CHUNK).await?;
        self.done = i64::try_from(rows.len()).unwrap_or(i64::MAX) < CHUNK;
        self.after = rows.last().map_or(self.after, |row| row.seq);
        rows.iter().for_each(|row| write_row(text, row));
        Ok(())
    }
}

/// Amounts are plain numbers, and can be summed.
fn write_row(text: &mut String, row: &MovementRow) {
    let MovementRow { seq, kind, request, reference, reason, amount, balance, at: when } = row;
    text.push_str(&csv::line([
        seq.to_string().as_str(),
        &at(*when).iso,
        kind.as_str(),
        &request.map(|request| request.to_string()).unwrap_or_default(),
        reference.as_deref().unwrap_or_default(),
        reason,
        &amount.to_string(),
        &balance.to_string(),
    ]));
}
