//! `chappe seed`: a past for a development database, so that pages can be looked at, and measured, full.
//!
//! Nothing is written past the rules: requests are sent, delivered, checked and reported as commands, in large batches, at
//! moments that lie behind. So whatever the audit asks for holds by itself.

mod people;

use super::{Done, Place, block_on, carry_out};
use crate::env::Random;
use crate::numbering;
use crate::store::{Reader, Store, TokenRow};
use anyhow::{Context, anyhow, bail, ensure};
use chappe_core::command::{Caller, Entered, MessageParams, SendVerificationMessage};
use chappe_core::ledger::Kind;
use chappe_core::report::Attempt;
use chappe_core::route::{Reach, Route};
use chappe_core::text::ChannelName;
use chappe_core::{
    ChannelEvent, Code, CodeLength, Command, Country, Hop, Keys, Mode, Money, Phone, Rejection, ReportId,
    RequestId, Rules, Time, decide,
};
use clap::Args;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many requests are made in one batch.
const BATCH: usize = 2_000;
/// How many requests a number gets, on average.
const REQUESTS_PER_NUMBER: usize = 5;
/// How many requests there are beside each line of progress.
const PROGRESS_EVERY: usize = 50_000;
/// How many attempts at a report there are before it is lost.
const ATTEMPTS: usize = chappe_core::report::RETRY_DELAYS_S.len() + 1;
const DAY: Duration = Duration::from_secs(86_400);
const CALLBACK_URL: &str = "https://shop.example.com/hooks/codes";

/// Beginnings of mobile numbers, how many digits follow, and how many in a hundred numbers there are of each.
const NUMBERS: [(&str, u32, u32); 12] = [
    ("39333", 7, 30),
    ("49151", 8, 16),
    ("336", 8, 11),
    ("346", 8, 9),
    ("447", 9, 9),
    ("4860", 7, 6),
    ("1415", 7, 5),
    ("5511", 9, 4),
    ("9198", 8, 4),
    ("9053", 8, 3),
    ("7701", 7, 2),
    ("99966", 5, 1),
];

#[derive(Debug, Args)]
pub(crate) struct SeedArgs {
    /// How many requests to make
    #[arg(long, default_value = "100000", value_name = "NUMBER")]
    requests: usize,
    /// Over how many days until now they are spread
    #[arg(long, default_value = "90", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    days: u32,
    /// Whose live account gets them
    #[arg(long, default_value = "dev", value_name = "CUSTOMER")]
    customer: String,
    /// How many other customers there are, of whom nothing is known but their names
    #[arg(long, default_value = "0", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(..=10_000))]
    customers: u32,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: SeedArgs) -> Done {
    ensure!((1..=10_000_000).contains(&args.requests), "--requests must be 1 to 10,000,000");
    block_on(async {
        let mut admin = args.place.open().await?;
        let settings = args.place.config()?.dev_settings()?;
        // Many to one number at once, and as fast as the disk allows: those limits are not what is to be seen.
        let mut rules = Rules { account_rate: None, ..settings.rules };
        rules.sends_per_phone.max = usize::MAX;
        admin.store.claim_for("dev").await?;
        let now = admin.clock.now();
        let token = token_of(&admin.reader, &args.customer, now).await?;
        ensure!(
            !admin.reader.has_statistics(token.account).await?,
            "the account of {:?} has requests already; give a new data directory or an empty database",
            args.customer
        );
        // Nobody serves it at the same time.
        admin.store.start_serving(now, rules.sends_per_phone.within).await?;
        let mut seed = Seed::new(&admin.store, token, &args, now)?;
        let mut done = seed.sow(&mut admin.store, &rules, args.requests).await;
        if done.is_ok() {
            done = people::settle_in(&mut admin.store, &admin.reader, &seed.random, &args, now).await;
        }
        admin.store.settle().await?;
        done?;
        println!("{} requests over {} days, for {}", args.requests, args.days, args.customer);
        Ok(ExitCode::SUCCESS)
    })
}

async fn token_of(reader: &Reader, customer: &str, now: Time) -> anyhow::Result<TokenRow> {
    let account = reader.account(customer, Mode::Live).await.context("run `chappe dev` once before")?;
    let tokens = reader.tokens(None).await?;
    let good = tokens.into_iter().find(|token| token.account == account.id && token.is_good(now));
    good.with_context(|| format!("{customer} has no live token; run `chappe dev` once before"))
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Delivered,
    Read,
    /// The first channel fails, the next one delivers.
    FellBack,
    /// No channel can deliver it.
    Expired,
    /// Its caller withdraws it.
    Revoked,
}

/// A request, and its whole life.
#[derive(Clone, Debug)]
struct Life {
    id: RequestId,
    at: Time,
    phone: Phone,
    country: Country,
    route: Route,
    code: Code,
    callback: bool,
    end: End,
    /// How many wrong codes are entered.
    wrong: u32,
    /// Whether the right one is, afterwards.
    right: bool,
}

/// What lives are drawn from.
struct Seed {
    caller: Caller,
    vault: crate::vault::Vault,
    random: Random,
    routes: Vec<Route>,
    numbers: Vec<(Phone, Country)>,
    callback_url: Arc<str>,
    /// When each day begins, the earliest first; the last one ends now.
    days: Vec<Time>,
    now: Time,
    lane: u8,
    last: Option<RequestId>,
}

impl Seed {
    fn new(store: &Store, token: TokenRow, args: &SeedArgs, now: Time) -> anyhow::Result<Seed> {
        let route = |hops: &[&str]| -> anyhow::Result<Route> {
            let hops: Option<Vec<Hop>> = hops.iter().map(|hop| Hop::parse(hop)).collect();
            let hops = hops.context("a hop")?;
            Ok(Route { hops: hops.into(), subscribers_only: Arc::default(), reach: Reach::Yes })
        };
        let caller = Caller { account: token.account, token: token.id, mode: token.mode };
        let days = (0..args.days).rev().map(|day| now - DAY * (day + 1)).collect();
        let mut seed = Seed {
            caller,
            vault: store.reader()?.vault().clone(),
            // The same past each time.
            random: Random::Seeded(Arc::new(Mutex::new(1))),
            routes: vec![
                route(&["telegram", "sms"])?,
                route(&["telegram", "sms", "voice"])?,
                route(&["sms"])?,
            ],
            numbers: Vec::new(),
            callback_url: CALLBACK_URL.into(),
            days,
            now,
            lane: store.lane(),
            last: None,
        };
        let count = (args.requests / REQUESTS_PER_NUMBER).max(1);
        seed.numbers = (0..count).map(|_| seed.number()).collect::<anyhow::Result<_>>()?;
        Ok(seed)
    }

    /// A draw from 0 up to and without `bound`.
    fn below(&self, bound: u32) -> anyhow::Result<u32> {
        Ok(self.random.below(bound)?)
    }

    fn number(&self) -> anyhow::Result<(Phone, Country)> {
        let mut draw = self.below(100)?;
        let (begin, digits) = NUMBERS
            .iter()
            .find_map(|(begin, digits, share)| match draw.checked_sub(*share) {
                Some(rest) => {
                    draw = rest;
                    None
                }
                None => Some((*begin, *digits)),
            })
            .unwrap_or(("39333", 7));
        let width = usize::try_from(digits)?;
        // Magic numbers of the sandbox are but those that deliver at once or are read.
        let rest = self.below(if begin == "99966" { 20_000 } else { 10_u32.pow(digits) })?;
        let phone = Phone::parse(&format!("{begin}{rest:0width$}")).context("a number")?;
        Ok((phone, numbering::country(phone)))
    }

    /// Makes so many requests, the earliest first.
    async fn sow(&mut self, store: &mut Store, rules: &Rules, requests: usize) -> anyhow::Result<()> {
        let shares = shares(&self.days.iter().map(|day| day.day()).collect::<Vec<_>>(), requests);
        let mut done = 0;
        for (at, share) in shares.into_iter().enumerate() {
            let day = self.days.get(at).copied().unwrap_or(self.now);
            self.pay(store, rules, share, day).await?;
            let mut left = share;
            while left > 0 {
                let size = left.min(BATCH);
                let begin = share - left;
                let lives = (begin..begin + size).map(|place| self.life(day, place, share));
                let lives = lives.collect::<anyhow::Result<Vec<_>>>()?;
                self.live(store, rules, &lives).await?;
                left -= size;
                if done / PROGRESS_EVERY != (done + size) / PROGRESS_EVERY {
                    eprintln!("{} of {requests} requests", done + size);
                }
                done += size;
            }
        }
        Ok(())
    }

    /// Pays what the messages of a day cost at most.
    async fn pay(&self, store: &mut Store, rules: &Rules, share: usize, now: Time) -> anyhow::Result<()> {
        let prices = NUMBERS.iter().filter_map(|(begin, ..)| Phone::parse(&format!("{begin}0000000")));
        let dearest = prices.map(|phone| rules.prices.price(phone).micros()).max().unwrap_or_default();
        let amount = dearest.checked_mul(i64::try_from(share)?).context("so many cost too much")?;
        if amount == 0 {
            return Ok(());
        }
        let command = Command::Credit {
            now,
            account: self.caller.account,
            kind: Kind::Deposit,
            amount: Money::from_micros(amount),
            reference: None,
            reason: "chappe seed".to_owned(),
        };
        carry_out(store, rules, &command).await?.map_err(|rejection| anyhow!("no deposit: {rejection}"))?;
        Ok(())
    }

    /// Draws the life that has this place among `share` of a day.
    fn life(&mut self, day: Time, place: usize, share: usize) -> anyhow::Result<Life> {
        // The last ones have ended when the day has.
        let span = u64::try_from((DAY - Duration::from_secs(600)).as_micros())?;
        let micros = span * u64::try_from(place)? / u64::try_from(share.max(1))?;
        let at = day + Duration::from_micros(micros);
        let id = RequestId::next(at, self.lane, self.last);
        self.last = Some(id);
        let number = usize::try_from(self.below(u32::try_from(self.numbers.len())?)?)?;
        let (phone, country) = *self.numbers.get(number).context("a number")?;
        let route = match self.below(100)? {
            0..60 => 0,
            60..70 => 1,
            _ => 2,
        };
        let route = self.routes.get(route).cloned().context("a route")?;
        let end = match self.below(1_000)? {
            0..510 => End::Delivered,
            510..860 => End::Read,
            860..930 if route.hops.len() > 1 => End::FellBack,
            930..975 => End::Expired,
            975..985 => End::Revoked,
            _ => End::Delivered,
        };
        let arrives = matches!(end, End::Delivered | End::Read | End::FellBack);
        let length = CodeLength::parse("6").context("a length")?;
        Ok(Life {
            id,
            at,
            phone,
            country,
            route,
            code: Code::from_draw(length, self.below(length.codes())?),
            callback: self.below(100)? < 30,
            end,
            wrong: if arrives && self.below(100)? < 8 { 1 + self.below(3)? } else { 0 },
            right: arrives && self.below(100)? < 88,
        })
    }

    /// Lets requests live: what is sent and delivered, then what is checked and withdrawn, then what is reported. What a
    /// caller does of a request can come only after the batch in which it was made.
    async fn live(&self, store: &mut Store, rules: &Rules, lives: &[Life]) -> anyhow::Result<()> {
        let sent: Vec<Command> = lives.iter().flat_map(|life| self.messages(life)).collect();
        batch(store, rules, &sent).await?;
        let checked: Vec<Command> = lives.iter().flat_map(|life| self.calls(life)).collect();
        batch(store, rules, &checked).await?;
        let reports = self.reports(lives)?;
        batch(store, rules, &reports).await
    }

    fn messages(&self, life: &Life) -> Vec<Command> {
        let params = MessageParams {
            code: life.code,
            code_mac: self.vault.code_mac(life.id, life.code.expose()),
            sender: None,
            callback_url: life.callback.then(|| self.callback_url.clone()),
            payload: None,
            ttl: None,
        };
        let send = Command::Send(SendVerificationMessage {
            caller: self.caller,
            now: life.at,
            prior: None,
            new_id: life.id,
            phone: life.phone,
            country: life.country,
            route: life.route.clone(),
            message: Ok(params),
            idempotency: None,
        });
        let told = life.told().into_iter().filter_map(|(hop, after_s, event)| {
            Some(Command::Channel {
                now: life.at + Duration::from_secs(after_s),
                request: life.id,
                hop,
                channel: life.channel(hop)?,
                events: vec![event],
            })
        });
        std::iter::once(send).chain(told).collect()
    }

    fn calls(&self, life: &Life) -> Vec<Command> {
        let enter = |(try_number, code): (u64, &str)| Command::CheckStatus {
            caller: self.caller,
            now: life.at + Duration::from_secs(20 + 10 * try_number),
            request: life.id,
            entered: Some(Entered { text: code.into(), mac: self.vault.code_mac(life.id, code) }),
        };
        let revoke =
            Command::Revoke { caller: self.caller, now: life.at + Duration::from_secs(9), request: life.id };
        let wrong = (0..life.wrong).map(|_| "0000");
        let right = life.right.then(|| life.code.expose());
        let entered = (0..).zip(wrong.chain(right)).map(enter);
        entered.chain((life.end == End::Revoked).then_some(revoke)).collect()
    }

    fn reports(&self, lives: &[Life]) -> anyhow::Result<Vec<Command>> {
        let mut commands = Vec::new();
        for life in lives.iter().filter(|life| life.callback) {
            for seq in 1..=life.changes() {
                let report = ReportId { request: life.id, seq };
                let draw = self.below(1_000)?;
                let failures = match draw {
                    0..15 => ATTEMPTS,
                    15..50 => 1,
                    _ => 0,
                };
                let mut now = life.at + Duration::from_secs(12);
                for attempt in 0..=failures.min(ATTEMPTS - 1) {
                    let failed = attempt < failures;
                    let attempt = match failed {
                        true => Attempt::Failed("503".to_owned()),
                        false => Attempt::Acknowledged,
                    };
                    commands.push(Command::ConcludeReport {
                        now,
                        report,
                        attempt,
                        took: Duration::from_millis(80),
                        jitter_permille: 0,
                    });
                    now = now + Duration::from_secs(5);
                }
            }
        }
        Ok(commands)
    }
}

impl Life {
    fn channel(&self, hop: u8) -> Option<ChannelName> {
        self.route.hops.get(usize::from(hop)).map(|hop| hop.channel.clone())
    }

    /// What channels say: of which hop, how many seconds after it was sent, and what.
    fn told(&self) -> Vec<(u8, u64, ChannelEvent)> {
        let accepted =
            |hop, after_s| (hop, after_s, ChannelEvent::Accepted { reference: None, poll_at: None });
        let failed = |hop: u8| {
            let reason = "no such subscriber".to_owned();
            (hop, 1 + u64::from(hop), ChannelEvent::Failed { reason })
        };
        match self.end {
            End::Delivered => vec![accepted(0, 1), (0, 3, ChannelEvent::Delivered)],
            End::Read => vec![accepted(0, 1), (0, 2, ChannelEvent::Delivered), (0, 8, ChannelEvent::Read)],
            End::FellBack => vec![failed(0), accepted(1, 2), (1, 5, ChannelEvent::Delivered)],
            End::Expired => (0..u8::try_from(self.route.hops.len()).unwrap_or(u8::MAX)).map(failed).collect(),
            End::Revoked => vec![accepted(0, 1)],
        }
    }

    /// How often its delivery status changes after it was sent.
    fn changes(&self) -> u8 {
        if self.end == End::Read { 2 } else { 1 }
    }
}

/// How many of the requests fall on each day: more from year to year's end, fewer on Saturdays and Sundays.
fn shares(days: &[i32], requests: usize) -> Vec<usize> {
    // The first of January 1970 was a Thursday.
    let weight = |(at, day): (usize, &i32)| {
        let weekend = matches!((day + 3).rem_euclid(7), 5 | 6);
        (100 + at) * if weekend { 6 } else { 10 }
    };
    let weights: Vec<usize> = days.iter().enumerate().map(weight).collect();
    let all: usize = weights.iter().sum();
    let (mut sum, mut given) = (0, 0);
    let share = |weight: &usize| {
        sum += weight;
        // Up to this day so many, so that all of them are given in the end.
        let until = requests * sum / all.max(1);
        let share = until - given;
        given = until;
        share
    };
    weights.iter().map(share).collect()
}

/// Carries commands out in one batch; all of them are good.
async fn batch(store: &mut Store, rules: &Rules, commands: &[Command]) -> anyhow::Result<()> {
    if commands.is_empty() {
        return Ok(());
    }
    let mut keys = Keys::default();
    commands.iter().for_each(|command| command.add_keys(&mut keys));
    let judge = |book: &mut chappe_core::Book| -> Result<(), Rejection> {
        commands.iter().try_for_each(|command| decide(rules, book, command).map(|_| ()))
    };
    match store.transact(&keys, judge).await?.0 {
        Ok(()) => Ok(()),
        Err(rejection) => bail!("a request was refused: {rejection}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_its_day() {
        for (days, requests) in [(1, 1), (90, 1_000_000), (90, 7), (7, 100), (1_000, 10_000_000)] {
            let days: Vec<i32> = (20_000..20_000 + days).collect();
            let shares = shares(&days, requests);
            assert_eq!((shares.len(), shares.iter().sum::<usize>()), (days.len(), requests));
        }
        let week = shares(&(20_000..20_007).collect::<Vec<_>>(), 100_000);
        assert_eq!(week.iter().filter(|share| **share < 12_000).count(), 2, "{week:?}");
    }

    #[test]
    fn every_hundredth_number_is_somewhere() {
        assert_eq!(NUMBERS.iter().map(|(.., share)| share).sum::<u32>(), 100);
    }
}
