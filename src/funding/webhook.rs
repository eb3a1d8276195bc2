//! Where Stripe tells what became of payments: `POST /funding/stripe`. Nothing is believed that it has not signed.

use super::book::Receipt;
use super::book::{Booked, NotBooked, failed, gone_back, paid};
use super::stripe::{Event, read};
use crate::app::App;
use crate::auth;
use crate::store::console::payments::Collector;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The longest event that is read, in bytes.
const BODY_MAX_BYTES: usize = 256 * 1024;
/// How long an event may take to arrive.
const BODY_MAX: Duration = Duration::from_secs(10);
const SIGNATURE: &str = "stripe-signature";

/// The routes of providers of payments.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/funding/stripe", post(handle))
}

async fn handle(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let status = hear(&app, peer, request).await;
    (status, format!("{}\n", status.canonical_reason().unwrap_or_default())).into_response()
}

async fn hear(app: &App, peer: SocketAddr, request: Request) -> StatusCode {
    let Some(stripe) = &app.funding.stripe else { return StatusCode::NOT_FOUND };
    if !auth::may_speak(app, peer.ip()) {
        return StatusCode::FORBIDDEN;
    }
    let (parts, body) = request.into_parts();
    let body = match tokio::time::timeout(BODY_MAX, to_bytes(body, BODY_MAX_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE,
        Err(_) => return StatusCode::REQUEST_TIMEOUT,
    };
    let header = parts.headers.get(SIGNATURE).and_then(|header| header.to_str().ok()).unwrap_or_default();
    if !stripe.signed(header, &body, app.clock.now()) {
        return StatusCode::BAD_REQUEST;
    }
    let Some(event) = read(&body) else { return StatusCode::BAD_REQUEST };
    match act(app, &event).await {
        // Telling an unknown one again would not make it known; what does not fit is in the log.
        Ok(Booked::Done | Booked::Unknown | Booked::Mismatch) => StatusCode::OK,
        Ok(Booked::Early) => StatusCode::CONFLICT,
        Err(error) => {
            tracing::error!(%error, "what Stripe tells waits");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

async fn act(app: &App, event: &Event) -> Result<Booked, NotBooked> {
    match event {
        Event::Paid { payment, charge, price, payer } => {
            paid(app, &Receipt { collector: Collector::Stripe, payment, charge, price, payer }).await
        }
        Event::Failed { payment } => failed(app, payment).await,
        Event::Refunded { payment, units } => gone_back(app, payment, *units).await,
        Event::Other => Ok(Booked::Done),
    }
}
