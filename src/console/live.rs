//! Tells pages that something of their account has changed. What, they ask for themselves.

use super::trouble::Trouble;
use super::visit::Seat;
use crate::app::App;
use axum::Router;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chappe_core::AccountId;
use futures_util::Stream;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// How many pages may be live at once.
const STREAMS_MAX: usize = 1_024;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/live/events", get(events))
}

async fn events(seat: Seat) -> Result<Response, Trouble> {
    let app = seat.visit.app.clone();
    if app.changed.receiver_count() >= STREAMS_MAX {
        return Err(Trouble::Busy);
    }
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(changes(app, seat.account)).keep_alive(keep_alive).into_response())
}

fn changes(app: Arc<App>, account: AccountId) -> impl Stream<Item = Result<Event, Infallible>> {
    let state = (app.changed.subscribe(), app.stopping.subscribe(), true);
    futures_util::stream::unfold(state, move |(mut changed, mut stopping, first)| async move {
        if first {
            // Something at once, so that a browser knows it is connected.
            let hello = Event::default().comment("live").retry(Duration::from_secs(1));
            return Some((Ok(hello), (changed, stopping, false)));
        }
        loop {
            let told = tokio::select! {
                told = changed.recv() => told,
                // An error means that the application is gone, which is a stop as well.
                _ = stopping.wait_for(|stopping| *stopping) => return None,
            };
            match told {
                Ok((whose, _)) if whose != account => {}
                // Too far behind: whatever was missed, the page asks for how things stand now.
                Ok(_) | Err(RecvError::Lagged(_)) => {
                    let change = Event::default().event("change").data("{}");
                    return Some((Ok(change), (changed, stopping, false)));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    })
}
