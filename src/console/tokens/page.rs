//! One token.

use super::super::example::base_url;
use super::super::form::{Form, Posted};
use super::super::path::Named;
use super::super::sandbox::{EXAMPLE_NUMBER, curl};
use super::super::shell::{Shell, show};
use super::super::show::at;
use super::super::trouble::{Trouble, see_other};
use super::super::visit::{Act, Seat};
use super::terms::{in_lines, ranges_of};
use super::{NAME_MAX, State, find, heard, named};
use crate::engine::Chore;
use crate::net::address::is_allowed;
use crate::store::console::tokens::rename_token;
use crate::store::{Change, TokenRow};
use crate::tokens::masked;
use askama::Template;
use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::response::Response;
use std::net::IpAddr;

#[derive(Template)]
#[template(path = "token.html")]
struct TokenPage {
    shell: Shell,
    id: i64,
    name: String,
    mode: &'static str,
    shown: String,
    state: State,
    /// Whether it works now.
    good: bool,
    facts: Vec<Fact>,
    secret: Option<Secret>,
    /// Whether the person has lately proved who they are.
    confirmed: bool,
    form: Form,
    /// Which address is asked about.
    ask: Form,
    limits: Vec<String>,
    passes: Option<bool>,
    your_address: String,
    /// Whether it would pass.
    you_pass: bool,
}

struct Fact {
    label: &'static str,
    value: String,
}

/// A token's text, which was asked for.
struct Secret {
    text: String,
    curl: String,
}

impl TokenPage {
    async fn of(seat: &Seat, token: &TokenRow) -> Result<TokenPage, Trouble> {
        let visit = &seat.visit;
        let lines = in_lines(&token.allowed);
        Ok(TokenPage {
            shell: seat.shell("/tokens").await?,
            id: token.id.0,
            name: token.name.clone(),
            mode: token.mode.as_str(),
            shown: masked(&token.text),
            state: State::of(token, visit.now),
            good: token.is_good(visit.now),
            facts: facts(token),
            secret: None,
            confirmed: visit.confirmed("").is_ok(),
            form: Form::filled([("ranges", lines.clone()), ("name", token.name.clone())]),
            ask: Form::default(),
            limits: lines.lines().map(str::to_owned).collect(),
            passes: None,
            your_address: visit.address.clone(),
            you_pass: visit.address.parse().is_ok_and(|address| is_allowed(&token.allowed, address)),
        })
    }
}

fn facts(token: &TokenRow) -> Vec<Fact> {
    let fact = |label, value| Fact { label, value };
    let mut facts = vec![fact("Number", token.id.0.to_string()), fact("Created", at(token.created_at).text)];
    match (token.revoked_at, token.expires_at) {
        (Some(revoked), _) => facts.push(fact("Revoked", at(revoked).text)),
        (None, Some(end)) => facts.push(fact("Ends", at(end).text)),
        (None, None) => {}
    }
    facts.push(match &token.last_used {
        Some((used, from)) => fact("Last used", format!("{} from {from}", at(*used).text)),
        None => fact("Last used", "never".to_owned()),
    });
    facts
}

pub(super) async fn page(
    seat: Seat,
    Named(id): Named<i64>,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    seat.may(Act::Tokens)?;
    let token = find(&seat, id).await?;
    let mut page = TokenPage::of(&seat, &token).await?;
    page.ask = Form::parse(query.unwrap_or_default().as_bytes());
    let address = page.ask.value("address").to_owned();
    if !address.is_empty() {
        match address.parse::<IpAddr>() {
            Ok(address) => page.passes = Some(is_allowed(&token.allowed, address)),
            Err(_) => page.ask.fault("address", "Write an address, such as 203.0.113.7."),
        }
    }
    show(&page)
}

/// Shows a token's text, once it was asked for.
pub(super) async fn reveal(
    Named(id): Named<i64>,
    headers: HeaderMap,
    Posted { visit, .. }: Posted,
) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    seat.may(Act::Tokens)?;
    let token = find(&seat, id).await?;
    seat.visit.confirmed(&format!("/tokens/{id}"))?;
    if !token.is_good(seat.visit.now) {
        return Ok(see_other(&format!("/tokens/{id}?said=token-ended")));
    }
    let entry = seat.entry("token.show", named(&token));
    seat.visit.change(Change::default().noted(&entry)).await?;
    let mut page = TokenPage::of(&seat, &token).await?;
    // A switch of the account, from here, leads to the token's page.
    page.shell.here = format!("/tokens/{id}");
    let curl = curl(&base_url(seat.app(), &headers), &token.text, EXAMPLE_NUMBER);
    page.secret = Some(Secret { text: token.text.to_string(), curl });
    show(&page)
}

/// Limits a token to addresses and ranges.
pub(super) async fn limit(
    Named(id): Named<i64>,
    Posted { visit, mut form }: Posted,
) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    seat.may(Act::Tokens)?;
    let token = find(&seat, id).await?;
    seat.visit.confirmed(&format!("/tokens/{id}"))?;
    if !token.is_good(seat.visit.now) {
        return Ok(see_other(&format!("/tokens/{id}?said=token-ended")));
    }
    let allowed = ranges_of(&mut form);
    if !form.is_good() {
        return show_fault(&seat, &token, form, [("name", token.name.clone())]).await;
    }
    let listed = match in_lines(&allowed) {
        none if none.is_empty() => "any address".to_owned(),
        lines => lines.replace('\n', ", "),
    };
    let entry = seat.entry("token.ranges", format!("{}: {listed}", named(&token)));
    seat.visit.change(Change::default().noted(&entry)).await?;
    seat.app().engine.chore(Chore::AllowToken(token.id, allowed)).await?;
    heard(seat.app()).await?;
    Ok(see_other(&format!("/tokens/{id}?said=saved")))
}

pub(super) async fn rename(
    Named(id): Named<i64>,
    Posted { visit, mut form }: Posted,
) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    seat.may(Act::Tokens)?;
    let token = find(&seat, id).await?;
    let name = form.text("name", NAME_MAX, true);
    if !form.is_good() {
        return show_fault(&seat, &token, form, [("ranges", in_lines(&token.allowed))]).await;
    }
    let entry = seat.entry("token.rename", format!("{}: {name}", named(&token)));
    seat.visit.change(rename_token(token.id, &name).noted(&entry)).await?;
    Ok(see_other(&format!("/tokens/{id}?said=saved")))
}

/// The page again, with what is wrong with one of its forms and what stands in the other.
async fn show_fault(
    seat: &Seat,
    token: &TokenRow,
    mut form: Form,
    other: [(&str, String); 1],
) -> Result<Response, Trouble> {
    form.fill(other);
    let mut page = TokenPage::of(seat, token).await?;
    page.shell.here = format!("/tokens/{}", token.id.0);
    page.form = form;
    show(&page)
}
