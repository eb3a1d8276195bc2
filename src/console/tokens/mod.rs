//! API tokens: what programs prove themselves with. A token's text is in a page only when it was asked for, by somebody who
//! has lately proved who they are; the same goes for whatever makes, ends or limits a token.

mod page;
mod replace;
mod terms;

use super::example::base_url;
use super::form::{Form, Posted};
use super::path::up;
use super::sandbox::{EXAMPLE_NUMBER, curl};
use super::shell::{Shell, show};
use super::show::{At, at};
use super::trouble::{Trouble, see_other};
use super::visit::{Act, Seat};
use crate::app::App;
use crate::engine::{Chore, DrawnToken};
use crate::store::{Change, TokenRow};
use crate::tokens::{draw, masked};
use askama::Template;
use axum::Router;
use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use chappe_core::{AccountId, Mode, Time, TokenId};
use ipnet::IpNet;
use std::sync::Arc;
use std::time::Duration;
use terms::{Choice, LIVES, life_of, ranges_of};

/// How many tokens a page shows.
const PAGE: usize = 50;
/// How many tokens of an account may be good at once: every server holds all of them in memory.
const GOOD_MAX: i64 = 100;
/// How many tokens may be made for a customer within [`MADE_WITHIN`]: those that have ended are kept, since reports are
/// still signed with them.
const MADE_MAX: i64 = 50;
const MADE_WITHIN: Duration = Duration::from_secs(24 * 3600);
/// The longest name, in characters.
const NAME_MAX: usize = 64;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/tokens", get(list).post(create))
        .route("/tokens/new", get(new_page))
        .route("/tokens/{id}", get(page::page))
        .route("/tokens/{id}/show", get(up).post(page::reveal))
        .route("/tokens/{id}/ranges", get(up).post(page::limit))
        .route("/tokens/{id}/name", get(up).post(page::rename))
        .route("/tokens/{id}/rotate", get(replace::rotate_page).post(replace::rotate))
        .route("/tokens/{id}/revoke", get(replace::revoke_page).post(replace::revoke))
}

/// A token as the list shows it.
struct Row {
    href: String,
    name: String,
    shown: String,
    state: State,
    limits: String,
    used: Option<At>,
    used_from: String,
    created: At,
}

/// Whether a token works, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Active,
    /// It works until then.
    Ends(At),
    Expired(At),
    Revoked(At),
}

impl State {
    fn of(token: &TokenRow, now: Time) -> State {
        match (token.revoked_at, token.expires_at) {
            (Some(revoked), _) => State::Revoked(at(revoked)),
            (None, Some(end)) if end <= now => State::Expired(at(end)),
            (None, Some(end)) => State::Ends(at(end)),
            (None, None) => State::Active,
        }
    }
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    shell: Shell,
    base_url: String,
    curl: String,
    rows: Vec<Row>,
    newer: String,
    older: String,
}

#[derive(Template)]
#[template(path = "token_new.html")]
struct NewPage {
    shell: Shell,
    form: Form,
    mode: &'static str,
    lives: Vec<Choice>,
}

async fn list(seat: Seat, headers: HeaderMap, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    seat.may(Act::Tokens)?;
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let before = query.value("before").parse().ok().map(TokenId);
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX).saturating_add(1);
    let mut tokens = seat.app().pages.token_page(seat.account, before, limit).await?;
    let more = tokens.len() > PAGE;
    tokens.truncate(PAGE);
    let last = tokens.last().filter(|_| more).map(|token| token.id.0);
    let now = seat.visit.now;
    let base_url = base_url(seat.app(), &headers);
    show(&TokensPage {
        shell: seat.shell("/tokens").await?,
        // The token itself is not in this page: nobody has asked for it.
        curl: curl(&base_url, "TOKEN", EXAMPLE_NUMBER),
        base_url,
        rows: tokens.iter().map(|token| row(token, now)).collect(),
        newer: if before.is_some() { "/tokens".to_owned() } else { String::new() },
        older: last.map(|last| format!("/tokens?before={last}")).unwrap_or_default(),
    })
}

fn row(token: &TokenRow, now: Time) -> Row {
    let limits = match token.allowed.as_slice() {
        [] => "any address".to_owned(),
        [one] => one.to_string(),
        many => format!("{} ranges", many.len()),
    };
    Row {
        href: format!("/tokens/{}", token.id.0),
        name: token.name.clone(),
        shown: masked(&token.text),
        state: State::of(token, now),
        limits,
        used: token.last_used.as_ref().map(|(used, _)| at(*used)),
        used_from: token.last_used.as_ref().map(|(_, from)| from.clone()).unwrap_or_default(),
        created: at(token.created_at),
    }
}

/// The token of this number, if it is one of the customer's.
async fn find(seat: &Seat, id: i64) -> Result<TokenRow, Trouble> {
    let found = seat.app().pages.token_of(seat.member.customer, TokenId(id)).await?;
    found.ok_or(Trouble::NotFound)
}

async fn new_page(seat: Seat) -> Result<Response, Trouble> {
    seat.may(Act::Tokens)?;
    // Now, and not once the form is filled in.
    seat.visit.confirmed("/tokens/new")?;
    show_new(&seat, seat.mode, Form::default()).await
}

async fn show_new(seat: &Seat, mode: Mode, form: Form) -> Result<Response, Trouble> {
    let shell = seat.shell("/tokens").await?;
    show(&NewPage { shell, form, mode: mode.as_str(), lives: LIVES.iter().map(Choice::from).collect() })
}

async fn create(Posted { visit, mut form }: Posted) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    seat.may(Act::Tokens)?;
    seat.visit.confirmed("/tokens/new")?;
    // That which the form was shown for: another window may have turned the session since.
    let mode = Mode::parse(form.value("mode")).unwrap_or(seat.mode);
    let account = seat.member.account(mode);
    let name = form.text("name", NAME_MAX, true);
    let allowed = ranges_of(&mut form);
    let life = life_of(&mut form);
    // Also so that a form which is sent twice makes one token.
    if form.is_good() && seat.app().pages.has_good_token(account, &name, seat.visit.now).await? {
        form.fault("name", "A token of this name is there already. Choose another name, or rotate that one.");
    }
    if form.is_good()
        && let Some(why) = no_room(&seat, account).await?
    {
        form.fault("name", why);
    }
    if !form.is_good() {
        return show_new(&seat, mode, form).await;
    }
    let expires_at = life.map(|life| seat.visit.now + life);
    let entry = seat.entry("token.create", format!("{name} ({})", mode.as_str()));
    seat.visit.change(Change::default().noted(&entry)).await?;
    let id = make(&seat, mode, account, name, expires_at, allowed).await?;
    Ok(see_other(&format!("/tokens/{}?said=token-created", id.0)))
}

/// Why no token can be made now.
async fn no_room(seat: &Seat, account: AccountId) -> Result<Option<&'static str>, Trouble> {
    let (pages, now, customer) = (&seat.app().pages, seat.visit.now, seat.member.customer);
    if pages.good_tokens(account, now).await? >= GOOD_MAX {
        return Ok(Some("This account has as many tokens as it can have. Revoke one first."));
    }
    let mut made = 0;
    for action in ["token.create", "token.rotate"] {
        made += pages.done_since(customer, action, now - MADE_WITHIN).await?;
    }
    Ok((made >= MADE_MAX).then_some("So many tokens were made today that there are no more until tomorrow."))
}

/// Makes a token, so that the very next call sees it; gives its number.
async fn make(
    seat: &Seat,
    mode: Mode,
    account: AccountId,
    name: String,
    expires_at: Option<Time>,
    allowed: Vec<IpNet>,
) -> Result<TokenId, Trouble> {
    let app = seat.app();
    let text = draw(&app.random, mode)?;
    let digest = app.vault.token_digest(&text);
    let drawn = DrawnToken { account, name, text, expires_at, allowed };
    app.engine.chore(Chore::CreateToken(drawn, seat.visit.now)).await?;
    heard(app).await?;
    app.pages.token_with(digest).await?.ok_or(Trouble::Internal)
}

/// Lets this server see at once what has become of tokens; others see it within a second.
async fn heard(app: &App) -> Result<(), Trouble> {
    Ok(app.tokens.refresh(&app.pages).await?)
}

/// A token in the audit log.
fn named(token: &TokenRow) -> String {
    format!("{} ({}, number {})", token.name, token.mode.as_str(), token.id.0)
}
