//! Logging in: a number is typed, Chappe sends it a code, the code is typed. The codes are messages of the house, and obey
//! the same limits as any other.
//!
//! Nobody learns here whether a number is known: where not everybody may sign up, a number that nobody knows is told the
//! same, as fast, and no code comes.

use super::cookies::Cookie;
use super::form::{Form, Open, Posted, local};
use super::path::up;
use super::shell::{Notice, show};
use super::trouble::{Trouble, see_other, with_then};
use super::visit::{Visit, called};
use crate::app::App;
use crate::engine::{Chore, Failure};
use crate::oidc;
use crate::store::console::audit_log::Entry;
use crate::store::console::people::{PersonRow, know};
use crate::store::console::sessions::{self, LOGIN_LIFE, LoginRow, NewSession, SESSION_MAX};
use askama::Template;
use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts, RawQuery, State};
use axum::http::header::{SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::routing::get;
use chappe_core::command::{Caller, Entered, MessageParams, SendVerificationMessage};
use chappe_core::{
    AccountId, Code, CodeLength, Command, Mode, Outcome, Phone, Rejection, RequestId, Time, TokenId,
    Verification,
};
use std::net::SocketAddr;
use std::sync::Arc;

/// How many log-ins may be begun from one address within [`LOGIN_LIFE`].
const LOGINS_PER_ADDRESS: i64 = 20;
/// How long the name of a browser may be, in characters.
const AGENT_MAX_CHARS: usize = 200;
/// How many letters and digits a browser holds: 190 bits.
const SECRET_LENGTH: usize = 32;
const CODE_LENGTH: &str = "6";
/// How long a name may be that Telegram tells, in characters.
const NAME_MAX_CHARS: usize = 80;
const NO_NUMBER: &str =
    "Telegram did not tell your phone number, by which you are known here. Allow it, or log in with a code.";
const NOT_KNOWN: &str =
    "Your number has no account here. Whoever runs this gateway, or an owner of your team, can add it.";

/// The house itself, as whoever sends its codes.
const HOUSE: Caller = Caller { account: AccountId::HOUSE, token: TokenId(0), mode: Mode::Live };

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/login", get(page).post(begin))
        .route("/login/code", get(code_page).post(enter))
        .route("/login/again", get(up).post(again))
        .route("/login/link", get(link_page).post(follow))
        .route("/login/telegram", get(to_telegram))
        .route(oidc::CALLBACK_PATH, get(from_telegram))
        .route("/confirm", get(confirm_page).post(confirm))
        .route("/logout", get(up).post(log_out))
}

/// Where a request comes from, for pages without a session.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The address of the browser.
    pub(super) address: String,
    /// What the browser calls itself.
    pub(super) agent: String,
}

impl FromRequestParts<Arc<App>> for Origin {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Origin, Trouble> {
        let peer = ConnectInfo::<SocketAddr>::from_request_parts(parts, app).await;
        let ConnectInfo(peer) = peer.map_err(|_| Trouble::Internal)?;
        let agent = parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
        Ok(Origin {
            address: app.settings.trusted_proxies.client(peer.ip(), &parts.headers).to_string(),
            agent: agent.chars().take(AGENT_MAX_CHARS).collect(),
        })
    }
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    form: Form,
    csrf: String,
    then: String,
    /// Whether one can log in with Telegram.
    telegram: bool,
    /// Whether everybody may sign up.
    open: bool,
    notice: Option<Notice>,
}

#[derive(Template)]
#[template(path = "code.html")]
struct CodePage {
    form: Form,
    csrf: String,
    then: String,
    /// The number as it was typed.
    phone: String,
    /// Whether the number certainly gets a code.
    sure: bool,
    dev: bool,
    notice: Option<Notice>,
}

#[derive(Template)]
#[template(path = "prove.html")]
struct ConfirmPage {
    csrf: String,
    then: String,
    /// The number with its middle hidden.
    phone: String,
    notice: Option<Notice>,
}

#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage {
    key: String,
}

async fn page(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let then = then_of(&query);
    // On a developer's machine there is one person, and the number of that one is known.
    let phone = if app.settings.dev { dev_number(&app).await? } else { String::new() };
    show_login(&app, Form::filled([("phone_number", phone)]), then)
}

async fn dev_number(app: &App) -> Result<String, Trouble> {
    let accounts = app.pages.accounts(Some("dev")).await?;
    let number = accounts.into_iter().find_map(|account| account.own_number);
    Ok(number.map(|number| format!("+{number}")).unwrap_or_default())
}

/// Where to go afterwards; empty for the overview.
fn then_of(form: &Form) -> String {
    let then = form.value("then");
    if then.is_empty() { String::new() } else { local(then) }
}

fn show_login(app: &App, form: Form, then: String) -> Result<Response, Trouble> {
    show_login_with(app, form, then, None)
}

fn show_login_with(app: &App, form: Form, then: String, notice: Option<Notice>) -> Result<Response, Trouble> {
    show(&LoginPage {
        form,
        csrf: String::new(),
        then,
        telegram: app.oidc.is_some(),
        open: app.settings.console.sign_up,
        notice,
    })
}

async fn begin(
    State(app): State<Arc<App>>,
    origin: Origin,
    Open(mut form): Open,
) -> Result<Response, Trouble> {
    let digits: String = form.value("phone_number").chars().filter(|char| !" -().".contains(*char)).collect();
    let then = then_of(&form);
    let Some(phone) = Phone::parse(&digits) else {
        form.fault("phone_number", "Write the number with its country code, such as +39 333 123 4567.");
        return show_login(&app, form, then);
    };
    let known = app.pages.person_of(phone).await?.is_some();
    match send(&app, phone, known || app.settings.console.sign_up, &origin).await? {
        Sent::Begun(cookie) => Ok(with_cookies(see_other(&with_then("/login/code", &then)), [cookie])),
        Sent::Not(why) => {
            form.fault("phone_number", why);
            show_login(&app, form, then)
        }
    }
}

/// What came of sending a code.
enum Sent {
    /// What the browser is to hold while it waits for the code; whether one comes is not said.
    Begun(HeaderValue),
    /// No code can be sent, and why.
    Not(String),
}

/// Begins a log-in, and sends its code if one is to be sent.
async fn send(app: &App, phone: Phone, wanted: bool, origin: &Origin) -> Result<Sent, Trouble> {
    let now = app.clock.now();
    // A developer's own tests log in as often as they like.
    let bounded = !app.settings.dev;
    if bounded && app.pages.logins_from(&origin.address, now - LOGIN_LIFE).await? >= LOGINS_PER_ADDRESS {
        return Ok(Sent::Not("Too many log-ins from your address. Try again in ten minutes.".to_owned()));
    }
    let secret = app.random.alphanumeric(SECRET_LENGTH)?;
    let digest = app.vault.session_digest(&secret);
    let request = app.next_request_id(now);
    let begun = sessions::begin(&app.vault, digest, phone, Some(request), now, &origin.address);
    app.engine.chore(Chore::Change(begun)).await?;
    if wanted {
        let refused = app.engine.submit(code_to(app, phone, request, now)?).await;
        match refused {
            Ok(_) => {}
            Err(Failure::Rejected(rejection)) if app.settings.console.sign_up => {
                return Ok(Sent::Not(in_words(rejection)));
            }
            // Where not everybody may sign up, this would say that the number is known.
            Err(Failure::Rejected(rejection)) => {
                tracing::warn!(%rejection, phone = phone.masked(), "no code was sent to log in with");
            }
            Err(failure) => return Err(failure.into()),
        }
    } else {
        // As much work as sending one.
        app.engine.chore(Chore::Change(sessions::idle(digest))).await?;
    }
    Ok(Sent::Begun(Cookie::Login.set(app, &secret, LOGIN_LIFE)))
}

/// A message of the house with a code.
fn code_to(app: &App, phone: Phone, request: RequestId, now: Time) -> Result<Command, Trouble> {
    let length = CodeLength::parse(CODE_LENGTH).ok_or(Trouble::Internal)?;
    let code = Code::from_draw(length, app.random.below(length.codes())?);
    let code_mac = app.vault.code_mac(request, code.expose());
    Ok(Command::Send(SendVerificationMessage {
        caller: HOUSE,
        now,
        prior: None,
        new_id: request,
        phone,
        country: crate::numbering::country(phone),
        route: app.channels.route(Mode::Live, phone),
        message: Ok(MessageParams {
            code,
            code_mac,
            sender: None,
            callback_url: None,
            payload: None,
            ttl: None,
        }),
        idempotency: None,
    }))
}

fn in_words(rejection: Rejection) -> String {
    match rejection {
        Rejection::FloodWait(seconds) => {
            format!("Too many codes were sent to this number. Try again in {} min.", seconds.div_ceil(60))
        }
        Rejection::PhoneNumberNotAvailable => "This number cannot be reached from here.".to_owned(),
        other => format!("No code can be sent to this number: {other}."),
    }
}

/// The log-in that a browser has begun, if its time is not over.
async fn begun(app: &App, headers: &HeaderMap) -> Result<Option<([u8; 32], LoginRow)>, Trouble> {
    let Some(secret) = Cookie::Login.read(app, headers) else { return Ok(None) };
    let digest = app.vault.session_digest(&secret);
    let login = app.pages.login(digest).await?;
    let fresh = |login: &LoginRow| app.clock.now().since(login.created_at) <= LOGIN_LIFE;
    Ok(login.filter(fresh).map(|login| (digest, login)))
}

async fn code_page(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let then = then_of(&query);
    match begun(&app, &headers).await? {
        Some((_, login)) => show_code(&app, Form::default(), login.phone, then),
        None => Ok(see_other(&with_then("/login", &then))),
    }
}

fn show_code(app: &App, form: Form, phone: Phone, then: String) -> Result<Response, Trouble> {
    show(&CodePage {
        form,
        csrf: String::new(),
        then,
        phone: format!("+{phone}"),
        sure: app.settings.console.sign_up,
        dev: app.settings.dev,
        notice: None,
    })
}

async fn enter(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    origin: Origin,
    Open(mut form): Open,
) -> Result<Response, Trouble> {
    let then = then_of(&form);
    let Some((digest, login)) = begun(&app, &headers).await? else {
        return Ok(see_other(&with_then("/login", &then)));
    };
    let code: String = form.value("code").chars().filter(|char| !char.is_whitespace()).collect();
    if !app.engine.chore(Chore::Change(sessions::attempt(digest))).await? {
        form.fault("code", "Too many codes were tried. Ask for a new one.");
        return show_code(&app, form, login.phone, then);
    }
    let right = match login.request {
        Some(request) => is_right(&app, request, &code).await?,
        None => false,
    };
    if !right {
        form.fault("code", "This code is not right, or too old. Look at it again, or ask for a new one.");
        return show_code(&app, form, login.phone, then);
    }
    let person = person_of(&app, login.phone).await?;
    let opened = open(&app, Some(digest), &person, &headers, &origin).await?;
    Ok(opened.map_or_else(
        || see_other("/login"),
        |cookies| with_cookies(see_other(if then.is_empty() { "/overview" } else { &then }), cookies),
    ))
}

/// Sends another code for the same log-in.
async fn again(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    origin: Origin,
    Open(mut form): Open,
) -> Result<Response, Trouble> {
    let then = then_of(&form);
    let Some((_, login)) = begun(&app, &headers).await? else {
        return Ok(see_other(&with_then("/login", &then)));
    };
    let known = app.pages.person_of(login.phone).await?.is_some();
    match send(&app, login.phone, known || app.settings.console.sign_up, &origin).await? {
        Sent::Begun(cookie) => Ok(with_cookies(see_other(&with_then("/login/code", &then)), [cookie])),
        Sent::Not(why) => {
            form.fault("code", why);
            show_code(&app, form, login.phone, then)
        }
    }
}

/// Whether this is the code that the request carries.
async fn is_right(app: &App, request: RequestId, code: &str) -> Result<bool, Trouble> {
    let entered = Entered { text: code.into(), mac: app.vault.code_mac(request, code) };
    let now = app.clock.now();
    let command = Command::CheckStatus { caller: HOUSE, now, request, entered: Some(entered) };
    match app.engine.submit(command).await {
        Ok(Outcome::Request(view)) => Ok(matches!(view.verification, Some((Verification::Valid, _)))),
        Ok(_) | Err(Failure::Rejected(_)) => Ok(false),
        Err(failure) => Err(failure.into()),
    }
}

/// The person of a number, who may be new.
pub(super) async fn person_of(app: &App, phone: Phone) -> Result<PersonRow, Trouble> {
    if let Some(person) = app.pages.person_of(phone).await? {
        return Ok(person);
    }
    app.engine.chore(Chore::Change(know(&app.vault, phone, "", app.clock.now()))).await?;
    app.pages.person_of(phone).await?.ok_or(Trouble::Internal)
}

/// Opens a session, in the place of a log-in where there was one. Gives the cookies that the browser is to hold; `None` if the log-in has
/// been used.
pub(super) async fn open(
    app: &App,
    login: Option<[u8; 32]>,
    person: &PersonRow,
    headers: &HeaderMap,
    origin: &Origin,
) -> Result<Option<[HeaderValue; 2]>, Trouble> {
    let now = app.clock.now();
    let secret = app.random.alphanumeric(SECRET_LENGTH)?;
    let mut id = [0; 8];
    app.random.fill(&mut id)?;
    // The session before ends: whoever proves anew who they are goes on in a new one, in the same place.
    let before = Cookie::Session.read(app, headers).map(|secret| app.vault.session_digest(&secret));
    let old = match before {
        Some(digest) => app.pages.session(digest).await?.filter(|old| old.person.id == person.id),
        None => None,
    };
    let new = NewSession {
        digest: app.vault.session_digest(&secret),
        id: i64::from_be_bytes(id) & i64::MAX,
        person: person.id,
        customer: old.as_ref().and_then(|old| old.customer),
        mode: old.as_ref().map_or(Mode::Live, |old| old.mode),
        now,
        address: &origin.address,
        agent: &origin.agent,
    };
    let entry = Entry {
        at: now,
        customer: None,
        person: Some(person.id),
        who: called(person),
        action: "log-in".to_owned(),
        detail: String::new(),
        address: origin.address.clone(),
    };
    let ended = login.map(sessions::end).unwrap_or_default();
    let mut change = ended.with(sessions::open(&new)).noted(&entry);
    if let Some(digest) = before {
        change = change.with(sessions::close(digest));
    }
    let opened = app.engine.chore(Chore::Change(change)).await?;
    let life = SESSION_MAX;
    Ok(opened.then(|| [Cookie::Session.set(app, &secret, life), Cookie::Login.clear(app)]))
}

/// An answer with cookies.
pub(super) fn with_cookies<const N: usize>(mut response: Response, cookies: [HeaderValue; N]) -> Response {
    cookies.into_iter().for_each(|cookie| {
        response.headers_mut().append(SET_COOKIE, cookie);
    });
    response
}

/// A link that the operator made on the command line. It is followed by a button, not by being looked at: what checks
/// links in messages must not use it up.
async fn link_page(RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    show(&LinkPage { key: query.value("key").to_owned() })
}

async fn follow(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    origin: Origin,
    Open(form): Open,
) -> Result<Response, Trouble> {
    let digest = app.vault.session_digest(form.value("key"));
    let login = app.pages.login(digest).await?;
    let good =
        |login: &LoginRow| login.request.is_none() && app.clock.now().since(login.created_at) <= LOGIN_LIFE;
    let Some(login) = login.filter(good) else { return Err(Trouble::NotFound) };
    let person = person_of(&app, login.phone).await?;
    match open(&app, Some(digest), &person, &headers, &origin).await? {
        Some(cookies) => Ok(with_cookies(see_other("/overview"), cookies)),
        None => Err(Trouble::NotFound),
    }
}

/// Sends the browser to where Telegram says who somebody is.
async fn to_telegram(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    let oidc = app.oidc.as_ref().ok_or(Trouble::NotFound)?;
    let then = then_of(&Form::parse(query.unwrap_or_default().as_bytes()));
    match oidc.begin(&then).await {
        Ok(begun) => {
            let cookie = Cookie::Telegram.set(&app, &begun.cookie, oidc::PENDING_MAX);
            Ok(with_cookies(see_other(&begun.redirect_url), [cookie]))
        }
        Err(error) => show_login_with(&app, Form::default(), then, Some(bad(error.message()))),
    }
}

/// Takes the browser back, with what Telegram says of the person. A person is known by their number, whichever way it was
/// proved.
async fn from_telegram(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    origin: Origin,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let oidc = app.oidc.as_ref().ok_or(Trouble::NotFound)?;
    let cookie = Cookie::Telegram.read(&app, &headers).unwrap_or_default();
    let used = Cookie::Telegram.clear(&app);
    let refuse = |text| {
        let page = show_login_with(&app, Form::default(), String::new(), Some(bad(text)))?;
        Ok(with_cookies(page, [used.clone()]))
    };
    let (identity, then) = match oidc.finish(&cookie, &query.unwrap_or_default()).await {
        Ok(finished) => finished,
        Err(error) => return refuse(error.message()),
    };
    let Some(phone) = identity.phone else { return refuse(NO_NUMBER) };
    if app.pages.person_of(phone).await?.is_none() {
        if !app.settings.console.sign_up {
            return refuse(NOT_KNOWN);
        }
        let name: String = identity.name.unwrap_or_default().chars().take(NAME_MAX_CHARS).collect();
        app.engine.chore(Chore::Change(know(&app.vault, phone, &name, app.clock.now()))).await?;
    }
    let person = person_of(&app, phone).await?;
    let cookies = open(&app, None, &person, &headers, &origin).await?.ok_or(Trouble::Internal)?;
    let to = if then.is_empty() { "/overview".to_owned() } else { local(&then) };
    Ok(with_cookies(with_cookies(see_other(&to), cookies), [used]))
}

fn bad(text: &'static str) -> Notice {
    Notice { kind: "bad", text }
}

async fn confirm_page(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let phone = format!("+{}", visit.session.person.phone.masked());
    show(&ConfirmPage { csrf: visit.csrf(), then: then_of(&query), phone, notice: visit.notice() })
}

async fn confirm(origin: Origin, Posted { visit, form }: Posted) -> Result<Response, Trouble> {
    let then = then_of(&form);
    match send(&visit.app, visit.session.person.phone, true, &origin).await? {
        Sent::Begun(cookie) => Ok(with_cookies(see_other(&with_then("/login/code", &then)), [cookie])),
        Sent::Not(_) => Ok(see_other("/confirm?said=no-code")),
    }
}

async fn log_out(Posted { visit, .. }: Posted) -> Result<Response, Trouble> {
    visit.change(sessions::close(visit.digest).noted(&visit.entry("log-out", ""))).await?;
    Ok(with_cookies(see_other("/login"), [Cookie::Session.clear(&visit.app)]))
}

/// The page to come back to after a switch.
pub(super) fn back_to(form: &Form) -> String {
    local(form.value("back"))
}
