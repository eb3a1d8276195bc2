//! Sender channels: registered by the customer, proven by their owner through the bot, let through by the operator.

use super::confirm::ConfirmPage;
use super::form::{Form, Posted};
use super::operator::senders::REFUSED;
use super::path::{Named, up};
use super::shell::{Shell, show};
use super::show::{At, at};
use super::trouble::{Trouble, see_other};
use super::visit::{Act, Seat};
use crate::app::App;
use crate::channels::telegram::{Bot, CallError};
use crate::store::Change;
use crate::store::console::senders::{SENDERS_MAX, SenderRow, prove, register, remove};
use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use chappe_core::text::{ChannelName, Username};
use std::sync::Arc;
use std::time::Duration;

/// How often a customer may have the bot look within [`CHECKS_WITHIN`]: it has messages to send, and Telegram counts.
const CHECKS_MAX: i64 = 10;
const CHECKS_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How long a customer is told that the operator refused a channel.
const REFUSED_WITHIN: Duration = Duration::from_secs(30 * 24 * 3600);
/// How far back is looked for that, in entries of the audit log.
const REFUSED_LOOK: i64 = 200;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/senders", get(list).post(add))
        .route("/senders/{username}", get(one))
        .route("/senders/{username}/check", get(up).post(check))
        .route("/senders/{username}/remove", get(remove_page).post(take_away))
}

#[derive(Template)]
#[template(path = "senders.html")]
struct SendersPage {
    shell: Shell,
    /// Whether there is a bot to prove anything through.
    provable: bool,
    operator: bool,
    rows: Vec<Row>,
    refused: Vec<Refused>,
    form: Form,
    proof: Option<Proof>,
}

/// A channel that the operator refused lately, and that is gone therefore.
struct Refused {
    /// Its name, with an `@`.
    name: String,
    at: At,
}

struct Row {
    username: String,
    state: State,
    added: At,
}

/// How far a channel is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody has proven that it is theirs.
    Registered,
    /// Its owner has.
    Proven,
    /// It may send to everybody.
    Verified,
}

impl State {
    fn of(sender: &SenderRow) -> State {
        match (sender.verified, sender.proven_at) {
            (true, _) => State::Verified,
            (false, Some(_)) => State::Proven,
            (false, None) => State::Registered,
        }
    }
}

/// How a channel is proven to be somebody's.
struct Proof {
    username: String,
    /// What the bot is called; empty if it cannot be asked now.
    bot: String,
    /// Whether the bot knows the person's number already.
    known: bool,
    /// The person's number, with its middle hidden.
    phone: String,
}

/// A bot, and the person's chat with it if they shared their number there.
struct Acquaintance<'a> {
    bot: &'a Bot,
    chat: Option<i64>,
}

async fn list(seat: Seat) -> Result<Response, Trouble> {
    seat.may(Act::Senders)?;
    show_list(&seat, Form::default(), None).await
}

async fn show_list(seat: &Seat, form: Form, proof: Option<Proof>) -> Result<Response, Trouble> {
    let senders = seat.app().pages.senders(seat.account).await?;
    let row = |sender: &SenderRow| Row {
        username: sender.username.to_string(),
        state: State::of(sender),
        added: at(sender.created_at),
    };
    show(&SendersPage {
        shell: seat.shell("/senders").await?,
        provable: bots(seat.app()).next().is_some(),
        operator: seat.visit.session.person.operator,
        rows: senders.iter().map(row).collect(),
        refused: refused(seat, &senders).await?,
        form,
        proof,
    })
}

/// The channels that the operator refused lately and that were not registered again: each once, the latest first.
async fn refused(seat: &Seat, senders: &[SenderRow]) -> Result<Vec<Refused>, Trouble> {
    let log = seat.app().pages.audit_log(Some(seat.member.customer), None, REFUSED_LOOK).await?;
    let since = seat.visit.now - REFUSED_WITHIN;
    let mut refused: Vec<Refused> = Vec::new();
    for (_, entry) in log {
        let there = senders.iter().any(|sender| entry.detail == format!("@{}", sender.username));
        let told = refused.iter().any(|other| other.name == entry.detail);
        if entry.action == REFUSED && entry.at >= since && !there && !told {
            refused.push(Refused { name: entry.detail, at: at(entry.at) });
        }
    }
    Ok(refused)
}

/// The bots that there are, with the names of their channels.
fn bots(app: &App) -> impl Iterator<Item = (&ChannelName, &Bot)> {
    app.channels.all_outside().filter_map(|(name, outside)| Some((name, outside.bot()?)))
}

/// The bot that knows the person's number, or one that may come to know it; `None` where there is none at all.
async fn acquaintance(seat: &Seat) -> Result<Option<Acquaintance<'_>>, Trouble> {
    let app = seat.app();
    for (channel, bot) in bots(app) {
        let subscriber = app.pages.subscriber(channel, seat.visit.session.person.phone).await?;
        // A private chat has the number of the person in it.
        if let Some(subscriber) = subscriber.filter(|subscriber| !subscriber.blocked) {
            return Ok(Some(Acquaintance { bot, chat: Some(subscriber.chat_id) }));
        }
    }
    Ok(bots(app).next().map(|(_, bot)| Acquaintance { bot, chat: None }))
}

async fn find(seat: &Seat, name: &str) -> Result<SenderRow, Trouble> {
    let username = Username::parse(name).ok_or(Trouble::NotFound)?;
    let senders = seat.app().pages.senders(seat.account).await?;
    senders.into_iter().find(|sender| sender.username == username).ok_or(Trouble::NotFound)
}

/// One channel: what is missing until it can be sent from.
async fn one(seat: Seat, Named(name): Named<String>) -> Result<Response, Trouble> {
    seat.may(Act::Senders)?;
    let sender = find(&seat, &name).await?;
    let mut proof = None;
    if State::of(&sender) == State::Registered
        && let Some(Acquaintance { bot, chat }) = acquaintance(&seat).await?
    {
        proof = Some(Proof {
            username: sender.username.to_string(),
            bot: bot.username().await.map(str::to_owned).unwrap_or_default(),
            known: chat.is_some(),
            phone: format!("+{}", seat.visit.session.person.phone.masked()),
        });
    }
    show_list(&seat, Form::default(), proof).await
}

async fn add(Posted { visit, mut form }: Posted) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    seat.may(Act::Senders)?;
    let typed = form.value("username").trim_start_matches("https://").trim_start_matches("t.me/").to_owned();
    let Some(username) = Username::parse(&typed) else {
        form.fault(
            "username",
            "Write the username of a public channel: 5 to 32 letters, digits and underscores.",
        );
        return show_list(&seat, form, None).await;
    };
    let entry = seat.entry("sender.create", format!("@{username}"));
    if seat.visit.change(register(&seat.member, &username, seat.visit.now).noted(&entry)).await? {
        let provable = bots(seat.app()).next().is_some();
        let said = if provable { "sender-registered" } else { "sender-waits" };
        return Ok(see_other(&format!("/senders/{username}?said={said}")));
    }
    let known = find(&seat, username.as_str()).await.is_ok();
    let why = match known {
        true => format!("@{username} is registered already."),
        false => format!("There can be {SENDERS_MAX} channels at most. Remove one first."),
    };
    form.fault("username", why);
    show_list(&seat, form, None).await
}

/// Has the bot look whether the person owns the channel.
async fn check(Named(name): Named<String>, Posted { visit, .. }: Posted) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    seat.may(Act::Senders)?;
    let sender = find(&seat, &name).await?;
    let said = |key: &str| see_other(&format!("/senders/{}?said={key}", sender.username));
    if State::of(&sender) != State::Registered {
        return Ok(said("unchanged"));
    }
    let (bot, chat) = match acquaintance(&seat).await? {
        Some(Acquaintance { bot, chat: Some(chat) }) => (bot, chat),
        Some(Acquaintance { chat: None, .. }) => return Ok(said("sender-stranger")),
        None => return Ok(said("sender-no-bot")),
    };
    // Noted before it is counted, so that many at once are counted too.
    let (customer, now) = (seat.member.customer, seat.visit.now);
    let entry = seat.entry("sender.check", format!("@{}", sender.username));
    seat.visit.change(Change::default().noted(&entry)).await?;
    let checks = seat.app().pages.done_since(customer, "sender.check", now - CHECKS_WITHIN).await?;
    if checks > CHECKS_MAX {
        return Ok(said("sender-too-often"));
    }
    match bot.owner(&sender.username).await {
        Ok(Some(owner)) if owner == chat => {}
        Ok(_) => return Ok(said("sender-not-owner")),
        Err(CallError::Refused { code: 400 | 403, .. }) => return Ok(said("sender-unseen")),
        Err(error) => {
            tracing::warn!(%error, "the bot could not look who owns a channel");
            return Ok(said("sender-no-answer"));
        }
    }
    let entry = seat.entry("sender.prove", format!("@{}", sender.username));
    let done = seat.visit.change(prove(&seat.member, &sender.username, now).noted(&entry)).await?;
    Ok(said(if done { "sender-proven" } else { "gone" }))
}

async fn remove_page(seat: Seat, Named(name): Named<String>) -> Result<Response, Trouble> {
    seat.may(Act::Senders)?;
    let sender = find(&seat, &name).await?;
    let username = &sender.username;
    show(&ConfirmPage {
        shell: seat.shell("/senders").await?,
        title: format!("Remove @{username}?"),
        text: format!(
            "Calls that name it in sender_username are refused from then on. If you register @{username} again, it has \
             to be proven and verified again."
        ),
        points: Vec::new(),
        crumb: "Senders".to_owned(),
        back: "/senders".to_owned(),
        action: format!("/senders/{username}/remove"),
        hidden: Vec::new(),
        submit: "Remove",
        danger: true,
    })
}

async fn take_away(Named(name): Named<String>, Posted { visit, .. }: Posted) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    seat.may(Act::Senders)?;
    let sender = find(&seat, &name).await?;
    let entry = seat.entry("sender.remove", format!("@{}", sender.username));
    let done = seat.visit.change(remove(&seat.member, &sender.username).noted(&entry)).await?;
    Ok(see_other(if done { "/senders?said=sender-removed" } else { "/senders?said=gone" }))
}
