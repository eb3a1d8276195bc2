//! What people leave behind beside requests: a team, its tokens and senders, what it did, and other customers.

use super::{DAY, SeedArgs};
use crate::env::Random;
use crate::store::console::audit_log::Entry;
use crate::store::console::people::{CustomerId, Profile, Role, describe, join, know};
use crate::store::{Change, NewToken, Reader, Store};
use anyhow::{Context, ensure};
use chappe_core::text::Username;
use chappe_core::{Mode, Phone, Time};
use std::time::Duration;

/// Who works for the customer, beside whoever does already.
const TEAM: [(&str, Role); 12] = [
    ("Ada", Role::Owner),
    ("Bruno", Role::Developer),
    ("Carla", Role::Finance),
    ("Dario", Role::Developer),
    ("Elif", Role::Developer),
    ("Femi", Role::Developer),
    ("Greta", Role::Finance),
    ("Hugo", Role::Developer),
    ("Ines", Role::Developer),
    ("Jonas", Role::Developer),
    ("Kavya", Role::Developer),
    ("Lena", Role::Finance),
];
/// What they do, in turns.
const DEEDS: [(&str, &str); 8] = [
    ("session.end", "another browser"),
    ("token.create", "nightly build, live"),
    ("token.revoke", "nightly build"),
    ("report.resend", "one report"),
    ("member.role", "Hugo: developer"),
    ("budget.alert", "below 25"),
    ("customer.describe", "website"),
    ("session.end", "another browser"),
];
/// How many things are done on a day.
const DEEDS_PER_DAY: u64 = 40;
/// How many days a token lives before another one takes its place.
const TOKEN_DAYS: u64 = 3;
/// How many tokens there are at most.
const TOKENS_MAX: u64 = 200;
const SENDERS: [&str; 3] = ["shop_codes", "shop_news", "shop_support"];
/// How many entries are written in one change.
const ENTRIES: usize = 500;

/// Fills what is beside the requests of `customer`.
pub(super) async fn settle_in(
    store: &mut Store,
    reader: &Reader,
    random: &Random,
    args: &SeedArgs,
    now: Time,
) -> anyhow::Result<()> {
    let customer = reader.customer_named(&args.customer).await?.context("no such customer")?;
    let vault = reader.vault().clone();
    for (at, (name, role)) in (0..).zip(TEAM) {
        let phone = number(at)?;
        ensure!(store.change(&know(&vault, phone, name, now)).await?, "{name} is known already");
        let person = reader.person_of(phone).await?.context("somebody who was just made known")?.id;
        ensure!(store.change(&join(customer, person, role, now)).await?, "{name} is in the team already");
    }
    for mode in [Mode::Live, Mode::Test] {
        let account = reader.account(&args.customer, mode).await?.id;
        for name in SENDERS {
            let name = Username::parse(name).context("a username")?;
            store.put_sender(account, &name, mode == Mode::Live, now).await?;
        }
    }
    tokens(store, reader, random, args, now).await?;
    deeds(store, customer, args, now).await?;
    neighbours(store, reader, args, now).await
}

/// Numbers that nobody has.
fn number(place: u32) -> anyhow::Result<Phone> {
    Phone::parse(&format!("99966098{place:03}")).context("a number")
}

/// One token after the other, each ended when the next one came.
async fn tokens(
    store: &mut Store,
    reader: &Reader,
    random: &Random,
    args: &SeedArgs,
    now: Time,
) -> anyhow::Result<()> {
    let account = reader.account(&args.customer, Mode::Live).await?.id;
    for place in (0..(u64::from(args.days) / TOKEN_DAYS).min(TOKENS_MAX)).rev() {
        let made = now - DAY * u32::try_from(place * TOKEN_DAYS)?;
        let text = crate::tokens::draw(random, Mode::Live)?;
        let name = format!("nightly build {}", place + 1);
        let token = NewToken { account, name: &name, text: &text, expires_at: None, allowed: &[] };
        let token = store.create_token(&token, made).await?;
        if place > 0 {
            let ends = made + DAY * u32::try_from(TOKEN_DAYS)?;
            store.end_token(token, ends, ends).await?;
        }
    }
    Ok(())
}

/// What the team did, the earliest first.
async fn deeds(store: &mut Store, customer: CustomerId, args: &SeedArgs, now: Time) -> anyhow::Result<()> {
    let count = u64::from(args.days) * DEEDS_PER_DAY;
    let entry = |place: u64| {
        let pick = |of: usize| usize::try_from(place).unwrap_or_default() % of;
        let ((who, _), (action, detail)) = (*TEAM.get(pick(TEAM.len()))?, *DEEDS.get(pick(DEEDS.len()))?);
        let before = (DAY * args.days).as_secs() * (count - place) / count;
        Some(Entry {
            at: now - Duration::from_secs(before),
            customer: Some(customer),
            person: None,
            who: who.to_owned(),
            action: action.to_owned(),
            detail: detail.to_owned(),
            address: "192.0.2.1".to_owned(),
        })
    };
    let entries: Vec<Entry> = (0..count).filter_map(entry).collect();
    for piece in entries.chunks(ENTRIES) {
        store.change(&piece.iter().fold(Change::default(), Change::noted)).await?;
    }
    Ok(())
}

/// Customers who have asked for nothing yet.
async fn neighbours(store: &mut Store, reader: &Reader, args: &SeedArgs, now: Time) -> anyhow::Result<()> {
    for place in 1..=args.customers {
        let name = format!("neighbour {place}");
        store.create_customer(&name, now).await?;
        let customer = reader.customer_named(&name).await?.context("a customer who was just made")?;
        let profile = Profile {
            company: format!("Neighbour {place} Ltd"),
            country: "Italy".to_owned(),
            city: "Torino".to_owned(),
            ..Profile::default()
        };
        store.change(&describe(customer, &profile)).await?;
    }
    Ok(())
}
