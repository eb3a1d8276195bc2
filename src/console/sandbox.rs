//! The built-in phone: its page, live, and the JSON API beside it.

use super::guard::{NO_STORE, Turned, Visitor, admit};
use super::shield::POLICY;
use super::show::utc;
use crate::app::{App, SandboxNews};
use crate::channels::sandbox::{MAGIC, text};
use crate::engine::Chore;
use crate::store::SandboxRow;
use crate::work;
use askama::Template;
use axum::body::to_bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, FromRequestParts, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, LOCATION};
use axum::http::request::Parts;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chappe_core::text::ChannelName;
use chappe_core::{ChannelEvent, Command, Mode, Phone, RequestId, Time};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

/// How many messages the page and the list show.
const LIST_MAX: usize = 100;
/// The furthest that the clock is moved at once: a year.
const ADVANCE_MAX_S: u64 = 366 * 24 * 3600;
/// How many rounds of due work are waited for after the clock was moved.
const ROUNDS_MAX: usize = 1_000;
/// The number of the example call: a magic one that delivers at once, and is nobody's own.
pub const EXAMPLE_NUMBER: &str = "9996600100";
/// How many pages may be live at once.
const STREAMS_MAX: usize = 256;
const BODY_MAX_BYTES: usize = 4 * 1024;

/// The routes of the sandbox. The page and the clock are there under `chappe dev` alone.
pub(super) fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let router = Router::new()
        .route("/sandbox/messages", get(list).delete(clear))
        .route("/sandbox/messages/latest", get(latest))
        .route("/sandbox/messages/{request}/{event}", post(happen))
        .route("/sandbox/clear", post(clear))
        .route("/sandbox/events", get(events));
    if app.settings.dev {
        router.route("/sandbox", get(page)).route("/sandbox/clock", post(clock))
    } else {
        router
    }
}

/// A message as the JSON API gives it.
#[derive(Debug, Serialize)]
struct Message {
    request_id: String,
    phone_number: String,
    code: String,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_username: Option<String>,
    delivery_status: String,
    sent_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(skip)]
    sent_at_text: String,
}

#[derive(Template)]
#[template(path = "sandbox.html")]
struct SandboxPage {
    base_url: String,
    curl: String,
    filter: String,
    clock_movable: bool,
    now_text: String,
    messages: Vec<Message>,
    magic: Vec<Magic>,
}

struct Magic {
    number: &'static str,
    what: &'static str,
}

/// The number to look for, as a person may have typed it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filter {
    phone_number: String,
    /// Another one was given as well.
    torn: bool,
}

impl<S: Sync> FromRequestParts<S> for Filter {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Filter, Infallible> {
        Ok(Filter::parse(parts.uri.query().unwrap_or("").as_bytes()))
    }
}

impl From<SandboxRow> for Message {
    fn from(row: SandboxRow) -> Message {
        Message {
            request_id: row.request.to_string(),
            phone_number: row.phone.to_string(),
            code: row.code.expose().to_owned(),
            text: text(row.code.expose()),
            sender_username: row.sender.map(|sender| sender.as_str().to_owned()),
            delivery_status: row.delivery.as_str().to_owned(),
            sent_at: row.sent_at.secs(),
            expires_at: row.expires_at.map(Time::secs),
            sent_at_text: format!("{} UTC", utc(row.sent_at, "%H:%M:%S")),
        }
    }
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Visitor, Turned> {
        let peer = ConnectInfo::<SocketAddr>::from_request_parts(parts, app).await;
        let ConnectInfo(peer) = peer.map_err(|_| Turned::Failed)?;
        admit(app, peer, &parts.method, &parts.headers)
    }
}

impl Filter {
    /// Reads a query string or a form. What is empty is absent, and the same twice is no conflict, as in the API.
    fn parse(form: &[u8]) -> Filter {
        let mut filter = Filter::default();
        let given = url::form_urlencoded::parse(form).filter(|(name, _)| name == "phone_number");
        for (_, value) in given.filter(|(_, value)| !value.is_empty()) {
            filter.torn |= !filter.phone_number.is_empty() && filter.phone_number != value;
            filter.phone_number = value.into_owned();
        }
        filter
    }

    /// `None` for every number.
    fn phone(&self) -> Result<Option<Phone>, Turned> {
        if self.torn {
            return Err(Turned::Conflict);
        }
        let digits: String = self.phone_number.chars().filter(|char| !" +-()".contains(*char)).collect();
        if digits.is_empty() {
            return Ok(None);
        }
        Phone::parse(&digits).map(Some).ok_or(Turned::Invalid("PHONE_NUMBER_INVALID"))
    }
}

async fn page(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    headers: HeaderMap,
    filter: Filter,
) -> Result<Response, Turned> {
    // What cannot be a number is no filter: the page shows every number, and an empty field.
    let phone = filter.phone().ok().flatten();
    let messages = read(&app, visitor, phone, LIST_MAX).await?;
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    let base_url = format!("http://{host}");
    let now = app.clock.now();
    let token = app.tokens.any_good(Mode::Live, now);
    let number = phone.map_or_else(|| EXAMPLE_NUMBER.to_owned(), |phone| phone.to_string());
    let page = SandboxPage {
        curl: curl(&base_url, token.as_ref().map_or("TOKEN", |token| &token.text), &number),
        base_url,
        filter: phone.map(|phone| phone.to_string()).unwrap_or_default(),
        clock_movable: app.settings.dev,
        now_text: format!("{} UTC", utc(now, "%Y-%m-%d %H:%M:%S")),
        messages,
        magic: MAGIC.iter().map(|(number, what)| Magic { number, what }).collect(),
    };
    let html = page.render().map_err(|error| failed("the sandbox page", &error))?;
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        // Not `no-referrer`: browsers then send a form of this very page with a null origin, which is refused.
        (axum::http::header::REFERRER_POLICY, "same-origin"),
        (axum::http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((NO_STORE, headers, Html(html)).into_response())
}

/// The line that sends a first code, as a terminal takes it.
pub fn curl(base_url: &str, token: &str, number: &str) -> String {
    format!(
        "curl {base_url}/sendVerificationMessage \\\n  -H 'Authorization: Bearer {token}' \\\n  \
         -d phone_number={number} -d code_length=6"
    )
}

async fn list(State(app): State<Arc<App>>, visitor: Visitor, filter: Filter) -> Result<Response, Turned> {
    let messages = read(&app, visitor, filter.phone()?, LIST_MAX).await?;
    Ok((NO_STORE, Json(messages)).into_response())
}

async fn latest(State(app): State<Arc<App>>, visitor: Visitor, filter: Filter) -> Result<Response, Turned> {
    let message = read(&app, visitor, filter.phone()?, 1).await?.pop().ok_or(Turned::NotFound)?;
    Ok((NO_STORE, Json(message)).into_response())
}

async fn happen(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    request_body: Request,
) -> Result<Response, Turned> {
    // Bytes that are no text name no message.
    let Path((request, event)) = path.map_err(|_| Turned::NotFound)?;
    let event = match event.as_str() {
        "delivered" => ChannelEvent::Delivered,
        "read" => ChannelEvent::Read,
        "failed" => ChannelEvent::Failed { reason: "marked as failed in the sandbox".to_owned() },
        _ => return Err(Turned::NotFound),
    };
    let id = RequestId::parse(&request).ok_or(Turned::NotFound)?;
    let row = find(&app, visitor, id).await?.ok_or(Turned::NotFound)?;
    let (now, channel) = (app.clock.now(), ChannelName::sandbox());
    let command = Command::Channel { now, request: id, hop: row.hop, channel, events: vec![event] };
    app.engine.submit(command).await.map_err(|error| failed("an event of the sandbox", &error))?;
    if wants_page(&headers) {
        let filter = Filter::parse(&bytes(request_body).await?);
        return Ok(back(filter.phone().ok().flatten()));
    }
    let message = find(&app, visitor, id).await?.map(Message::from).ok_or(Turned::NotFound)?;
    Ok((NO_STORE, Json(message)).into_response())
}

async fn clear(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let chore = Chore::ClearSandbox(visitor.account());
    while app.engine.chore(chore.clone()).await.map_err(|error| failed("clearing the sandbox", &error))? {}
    // Nobody is looking: fine.
    let _ = app.sandbox_news.send(SandboxNews::Cleared(visitor.account()));
    Ok(if wants_page(&headers) {
        back(None)
    } else {
        (NO_STORE, Json(json!({ "ok": true }))).into_response()
    })
}

#[derive(Debug, Deserialize)]
struct Advance {
    advance_s: u64,
}

/// Moves the clock ahead, and answers once everything that fell due by it has been looked at.
async fn clock(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Turned> {
    debug_assert_eq!(visitor, Visitor::Developer, "the route is there under `chappe dev` alone");
    let json =
        headers.get(CONTENT_TYPE).is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")));
    let Advance { advance_s } = if json { body_json(request).await? } else { form(request).await? };
    if advance_s > ADVANCE_MAX_S {
        return Err(Turned::Invalid("ADVANCE_TOO_FAR"));
    }
    app.clock.advance(Duration::from_secs(advance_s));
    for _ in 0..ROUNDS_MAX {
        let due = work::due::round(&app).await.map_err(|_| Turned::Failed)?;
        if due == 0 {
            break;
        }
    }
    app.wakes.requests.now();
    app.wakes.reports.now();
    let now = app.clock.now();
    let _ = app.sandbox_news.send(SandboxNews::Clock(now));
    Ok(if wants_page(&headers) {
        back(None)
    } else {
        (NO_STORE, Json(json!({ "now": now.secs() }))).into_response()
    })
}

/// What changes in the sandbox, as it happens.
async fn events(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Response, Turned> {
    if app.changed.receiver_count() >= STREAMS_MAX {
        return Err(Turned::Crowded);
    }
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok((NO_STORE, Sse::new(changes(app, visitor)).keep_alive(keep_alive)).into_response())
}

fn changes(app: Arc<App>, visitor: Visitor) -> impl Stream<Item = Result<Event, Infallible>> {
    let (changed, news) = (app.changed.subscribe(), app.sandbox_news.subscribe());
    let stopping = app.stopping.subscribe();
    let state = (app, changed, news, stopping, true);
    futures_util::stream::unfold(state, move |(app, mut changed, mut news, mut stopping, first)| async move {
        if first {
            // Something at once, so that a browser knows it is connected.
            let hello = Event::default().comment("live").retry(Duration::from_secs(1));
            return Some((Ok(hello), (app, changed, news, stopping, false)));
        }
        loop {
            let event = tokio::select! {
                request = changed.recv() => match request {
                    Ok((account, Some(request))) if visitor.sees(account) => {
                        message_event(&app, visitor, request).await
                    }
                    Ok(_) => None,
                    // Too far behind, or nothing more comes: the browser connects anew and reads the list again.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                },
                told = news.recv() => match told {
                    Ok(SandboxNews::Cleared(whose)) if whose.is_none_or(|account| visitor.sees(account)) => {
                        Some(Event::default().event("cleared").data("{}"))
                    }
                    Ok(SandboxNews::Cleared(_)) => None,
                    Ok(SandboxNews::Clock(now)) => {
                        Event::default().event("clock").json_data(json!({ "now": now.secs() })).ok()
                    }
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                },
                () = stops(&mut stopping) => return None,
            };
            if let Some(event) = event {
                return Some((Ok(event), (app, changed, news, stopping, false)));
            }
        }
    })
}

/// Waits until the server stops.
async fn stops(stopping: &mut watch::Receiver<bool>) {
    // An error means that the application is gone, which is a stop as well.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

async fn message_event(app: &App, visitor: Visitor, request: RequestId) -> Option<Event> {
    let message = find(app, visitor, request).await.ok().flatten().map(Message::from)?;
    Event::default().event("message").json_data(message).ok()
}

async fn read(
    app: &App,
    visitor: Visitor,
    phone: Option<Phone>,
    limit: usize,
) -> Result<Vec<Message>, Turned> {
    let rows = app.pages.sandbox_messages(visitor.account(), phone, limit).await;
    let rows = rows.map_err(|error| failed("the sandbox's messages", &error))?;
    Ok(rows.into_iter().map(Message::from).collect())
}

async fn find(app: &App, visitor: Visitor, request: RequestId) -> Result<Option<SandboxRow>, Turned> {
    let row =
        app.pages.sandbox_message(request).await.map_err(|error| failed("a sandbox message", &error))?;
    Ok(row.filter(|row| visitor.sees(row.account)))
}

/// Whether a browser sent this as a form, and wants to see a page.
fn wants_page(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")))
}

fn back(phone: Option<Phone>) -> Response {
    let to = phone.map_or_else(|| "/sandbox".to_owned(), |phone| format!("/sandbox?phone_number={phone}"));
    (StatusCode::SEE_OTHER, NO_STORE, [(LOCATION, to)]).into_response()
}

async fn bytes(request: Request) -> Result<axum::body::Bytes, Turned> {
    to_bytes(request.into_body(), BODY_MAX_BYTES).await.map_err(|_| Turned::Invalid("BODY_INVALID"))
}

async fn form<T: for<'de> Deserialize<'de>>(request: Request) -> Result<T, Turned> {
    let bytes = bytes(request).await?;
    let fields: serde_json::Map<_, _> = url::form_urlencoded::parse(&bytes)
        .map(|(name, value)| {
            let number = value.parse::<u64>().ok().filter(|_| name == "advance_s");
            (name.into_owned(), number.map_or_else(|| json!(value), |number| json!(number)))
        })
        .collect();
    serde_json::from_value(fields.into()).map_err(|_| Turned::Invalid("BODY_INVALID"))
}

async fn body_json<T: for<'de> Deserialize<'de>>(request: Request) -> Result<T, Turned> {
    serde_json::from_slice(&bytes(request).await?).map_err(|_| Turned::Invalid("BODY_INVALID"))
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> Turned {
    tracing::error!(%error, "{what} failed");
    Turned::Failed
}
