//! A token gives way to another, or to none.

use super::super::confirm::{ConfirmPage, Point};
use super::super::form::{Form, Posted};
use super::super::path::Named;
use super::super::shell::{Shell, show};
use super::super::show::{At, at};
use super::super::trouble::{Trouble, see_other};
use super::super::visit::{Act, Seat};
use super::terms::{Choice, LIVES, OVERLAPS, life_of, overlap_of};
use super::{find, heard, make, named, no_room};
use crate::engine::Chore;
use crate::store::{Change, TokenRow};
use askama::Template;
use axum::response::Response;
use std::time::Duration;

#[derive(Template)]
#[template(path = "rotate.html")]
struct RotatePage {
    shell: Shell,
    id: i64,
    name: String,
    used: Option<At>,
    used_from: String,
    form: Form,
    overlaps: Vec<Choice>,
    lives: Vec<Choice>,
}

/// A token that works, and whose end is asked for by somebody who may; otherwise where to go instead.
async fn good(seat: &Seat, id: i64, back: &str) -> Result<Result<TokenRow, Response>, Trouble> {
    seat.may(Act::Tokens)?;
    let token = find(seat, id).await?;
    seat.visit.confirmed(&format!("/tokens/{id}/{back}"))?;
    let ended = !token.is_good(seat.visit.now);
    Ok(if ended { Err(see_other(&format!("/tokens/{id}?said=token-ended"))) } else { Ok(token) })
}

pub(super) async fn rotate_page(seat: Seat, Named(id): Named<i64>) -> Result<Response, Trouble> {
    match good(&seat, id, "rotate").await? {
        Err(elsewhere) => Ok(elsewhere),
        Ok(token) => {
            let form = Form::filled([("overlap", "24h".to_owned()), ("life", life_before(&token))]);
            show_rotate(&seat, &token, form).await
        }
    }
}

/// The choice that a token was made with, if it is one of ours.
fn life_before(token: &TokenRow) -> String {
    let life = token.expires_at.map(|end| end.since(token.created_at));
    let chosen = LIVES.iter().find(|choice| choice.time == life);
    chosen.map_or("never", |choice| choice.value).to_owned()
}

async fn show_rotate(seat: &Seat, token: &TokenRow, form: Form) -> Result<Response, Trouble> {
    show(&RotatePage {
        shell: seat.shell("/tokens").await?,
        id: token.id.0,
        name: token.name.clone(),
        used: token.last_used.as_ref().map(|(used, _)| at(*used)),
        used_from: token.last_used.as_ref().map(|(_, from)| from.clone()).unwrap_or_default(),
        form,
        overlaps: OVERLAPS.iter().map(Choice::from).collect(),
        lives: LIVES.iter().map(Choice::from).collect(),
    })
}

pub(super) async fn rotate(
    Named(id): Named<i64>,
    Posted { visit, mut form }: Posted,
) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    let old = match good(&seat, id, "rotate").await? {
        Err(elsewhere) => return Ok(elsewhere),
        Ok(token) => token,
    };
    let (overlap, life) = (overlap_of(&mut form), life_of(&mut form));
    if form.is_good()
        && let Some(why) = no_room(&seat, old.account).await?
    {
        form.fault("overlap", why);
    }
    let Some(overlap) = overlap.filter(|_| form.is_good()) else {
        return show_rotate(&seat, &old, form).await;
    };
    let now = seat.visit.now;
    let still = format!("{}; the old one still works: {}", named(&old), overlap.label.to_lowercase());
    let entry = seat.entry("token.rotate", still);
    seat.visit.change(Change::default().noted(&entry)).await?;
    // The new one first: whatever happens in between, there is a token that works.
    let expires_at = life.map(|life| now + life);
    let new = make(&seat, old.mode, old.account, old.name, expires_at, old.allowed).await?;
    let end = now + overlap.time.unwrap_or(Duration::ZERO);
    seat.app().engine.chore(Chore::EndToken(old.id, end, now)).await?;
    heard(seat.app()).await?;
    Ok(see_other(&format!("/tokens/{}?said=token-rotated", new.0)))
}

pub(super) async fn revoke_page(seat: Seat, Named(id): Named<i64>) -> Result<Response, Trouble> {
    let token = match good(&seat, id, "revoke").await? {
        Err(elsewhere) => return Ok(elsewhere),
        Ok(token) => token,
    };
    let used = token.last_used.as_ref().map_or_else(
        || "It was never used.".to_owned(),
        |(used, from)| format!("It was last used at {} from {from}.", at(*used).text),
    );
    show(&ConfirmPage {
        shell: seat.shell("/tokens").await?,
        title: format!("Revoke {}?", token.name),
        text: "Programs that call with this token are refused from then on. This cannot be undone."
            .to_owned(),
        points: vec![
            Point { text: used },
            Point { text: "To replace it without a gap, rotate it instead.".to_owned() },
        ],
        crumb: token.name.clone(),
        back: format!("/tokens/{id}"),
        action: format!("/tokens/{id}/revoke"),
        hidden: Vec::new(),
        submit: "Revoke",
        danger: true,
    })
}

pub(super) async fn revoke(Named(id): Named<i64>, Posted { visit, .. }: Posted) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    let token = match good(&seat, id, "revoke").await? {
        Err(elsewhere) => return Ok(elsewhere),
        Ok(token) => token,
    };
    let now = seat.visit.now;
    let entry = seat.entry("token.revoke", named(&token));
    seat.visit.change(Change::default().noted(&entry)).await?;
    seat.app().engine.chore(Chore::EndToken(token.id, now, now)).await?;
    heard(seat.app()).await?;
    Ok(see_other("/tokens?said=token-revoked"))
}
