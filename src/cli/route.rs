//! `chappe route explain`: what would happen to a message to a number, and why.

use super::{Done, Place, block_on, output};
use crate::app::{Settings, lend};
use crate::channels::{ChannelSettings, Channels};
use crate::env::{Clock, Random};
use crate::numbering;
use crate::store::Reader;
use crate::vault::{MasterKey, Vault};
use anyhow::{anyhow, ensure};
use chappe_core::route::{Reach, Route};
use chappe_core::text::ChannelName;
use chappe_core::{Mode, Money, Phone};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// Say what would happen to a message to a number, and why; nothing is sent or charged
    Explain(ExplainArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The phone number
    phone_number: String,
    /// A message of a test account, instead of a live one
    #[arg(long)]
    test: bool,
    /// The customer that sends it: messages to its own number are free
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// What would happen to a message.
struct Plan {
    phone: Phone,
    mode: Mode,
    price: Money,
    own_number: bool,
    /// Which setting chose the route.
    chosen_by: String,
    /// The name of the refusal, if the call would be refused.
    refusal: Option<String>,
    hops: Vec<Planned>,
    code_life: Duration,
    /// Why the database was not looked into.
    unread: Option<String>,
}

/// A hop of the route.
struct Planned {
    channel: ChannelName,
    kind: &'static str,
    /// When it gets its turn at the latest, from the sending; `None` if that depends on a hop without a wait.
    turn: Option<Duration>,
    wait: Option<Duration>,
    /// For a channel that reaches its subscribers alone: whether the number is one of them; `None` if that is not known.
    subscribed: Option<Option<bool>>,
    /// Whether its wait is less than its channel takes a message for.
    too_short: bool,
    last: bool,
}

pub(super) fn run(command: RouteCommand, json: bool) -> Done {
    let RouteCommand::Explain(args) = command;
    let phone = Phone::parse(&args.phone_number)
        .ok_or_else(|| anyhow!("{:?} is no phone number, such as +391234567890", args.phone_number))?;
    let plan = block_on(plan(&args, phone))?;
    if json {
        output::json(&plan.json())
    } else {
        plan.print()
    }
    Ok(ExitCode::SUCCESS)
}

async fn plan(args: &ExplainArgs, phone: Phone) -> anyhow::Result<Plan> {
    let config = args.place.config()?;
    let settings = config.settings()?;
    let (reader, unread) = match args.place.read().await {
        Ok(reader) => (Some(reader), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let mode = if args.test { Mode::Test } else { Mode::Live };
    let own_number = match (&args.account, &reader) {
        (None, _) => false,
        (Some(name), Some(reader)) => reader.account(name, mode).await?.own_number == Some(phone),
        (Some(_), None) => {
            let why = unread.unwrap_or_default();
            return Err(anyhow!("--account needs the database, which cannot be read: {why}"));
        }
    };
    // Nothing is sent, so that without a key any other will do.
    let vault = args.place.vault(&config);
    let vault = vault.unwrap_or_else(|_| Vault::new(&MasterKey::from_bytes([0; 32])));
    let lent = lend(&settings, &vault, &Clock::system(), &Random::Os);
    let channels = Channels::new(settings.routes.clone(), settings.channels.clone(), &lent);
    let route = channels.route(mode, phone);
    let hops = planned(&settings, &route, phone, reader.as_ref()).await?;
    let price = if own_number { Money::ZERO } else { settings.rules.prices.price(phone) };
    let refusal = match route.reach {
        Reach::No => Some("PHONE_NUMBER_NOT_AVAILABLE".to_owned()),
        Reach::Wait(seconds) => Some(format!("FLOOD_WAIT_{seconds}")),
        Reach::Yes if hops.iter().all(Planned::is_left_out) => Some("PHONE_NUMBER_NOT_AVAILABLE".to_owned()),
        Reach::Yes => None,
    };
    let chosen_by = match (mode, settings.routes.entry(phone).0) {
        (Mode::Test, _) => "messages of test accounts always go to the sandbox".to_owned(),
        (Mode::Live, "") => "routes.live".to_owned(),
        (Mode::Live, prefix) => format!("routes.by_prefix.{prefix}"),
    };
    let hops = if route.reach == Reach::No { Vec::new() } else { hops };
    let code_life = settings.rules.code_life;
    Ok(Plan { phone, mode, price, own_number, chosen_by, refusal, hops, code_life, unread })
}

/// The hops of a route as the number would go through them.
async fn planned(
    settings: &Settings,
    route: &Route,
    phone: Phone,
    reader: Option<&Reader>,
) -> anyhow::Result<Vec<Planned>> {
    ensure!(!route.hops.is_empty(), "the route has no hops");
    let mut turn = Some(Duration::ZERO);
    let mut hops = Vec::new();
    for (at, hop) in route.hops.iter().enumerate() {
        let subscribed = match (route.is_subscribers_only(&hop.channel), reader) {
            (false, _) => None,
            (true, None) => Some(None),
            (true, Some(reader)) => {
                let subscriber = reader.subscriber(&hop.channel, phone).await?;
                Some(Some(subscriber.is_some_and(|subscriber| !subscriber.blocked)))
            }
        };
        let kind = settings.channels.get(&hop.channel).map_or("sandbox", ChannelSettings::kind);
        let too_short = settings.is_too_short(hop);
        let last = at + 1 == route.hops.len();
        let channel = hop.channel.clone();
        let planned = Planned { channel, kind, turn, wait: hop.wait, subscribed, too_short, last };
        if !planned.is_left_out() {
            turn = settings.turn_after(hop, turn);
        }
        hops.push(planned);
    }
    Ok(hops)
}

impl Planned {
    fn is_left_out(&self) -> bool {
        self.subscribed == Some(Some(false))
    }

    fn note(&self) -> &'static str {
        match self.subscribed {
            _ if self.too_short => "fails at once: its channel takes no message with so little time",
            None => "",
            Some(None) => "serves subscribers alone; whether this number is one is not known",
            Some(Some(true)) => "serves subscribers alone; this number is one",
            Some(Some(false)) => "left out: serves subscribers alone, and this number is none",
        }
    }

    fn row(&self) -> Vec<String> {
        let turn = match self.turn {
            _ if self.is_left_out() => "-".to_owned(),
            Some(Duration::ZERO) => "at once".to_owned(),
            Some(turn) => format!("after {} s", turn.as_secs()),
            None => "if the one before fails".to_owned(),
        };
        let has = match self.wait {
            _ if self.is_left_out() => "-".to_owned(),
            Some(wait) => format!("{} s", wait.as_secs()),
            None if self.last => "what is left".to_owned(),
            None => "until it fails".to_owned(),
        };
        vec![self.channel.to_string(), self.kind.to_owned(), turn, has, self.note().to_owned()]
    }

    fn json(&self) -> Value {
        json!({
            "channel": self.channel.as_str(),
            "kind": self.kind,
            "turn_s": self.turn.filter(|_| !self.is_left_out()).map(|turn| turn.as_secs()),
            "wait_s": self.wait.map(|wait| wait.as_secs()),
            "subscribers_only": self.subscribed.is_some(),
            "subscribed": self.subscribed.flatten(),
            "left_out": self.is_left_out(),
            "too_short": self.too_short,
        })
    }
}

impl Plan {
    /// When the last hop gets its turn, if no hop before it delivers or fails.
    fn last_turn(&self) -> Option<Duration> {
        self.hops.iter().rev().find(|hop| !hop.is_left_out()).and_then(|hop| hop.turn)
    }

    fn print(&self) {
        let mode = self.mode.as_str();
        println!("number   +{} ({})", self.phone, numbering::country(self.phone).as_str());
        println!("account  {mode}{}", if self.own_number { ", its own number: free" } else { "" });
        println!("price    {}", self.price);
        println!("route    {}", self.chosen_by);
        match &self.refusal {
            Some(name) => println!("result   the call is refused as {name}, and costs nothing"),
            None => println!("result   the message goes through these hops until one has confirmed delivery"),
        }
        if !self.hops.is_empty() {
            println!();
            let rows: Vec<_> = self.hops.iter().map(Planned::row).collect();
            output::table(&["CHANNEL", "KIND", "TURN", "HAS", "NOTE"], &rows);
        }
        println!();
        if let (None, Some(turn)) = (&self.refusal, self.last_turn()) {
            println!("The last hop gets its turn after {} s at the latest.", turn.as_secs());
        }
        println!(
            "Without a ttl, a message that no channel has taken by then is given up after {} s.",
            self.code_life.as_secs()
        );
        if let Some(why) = &self.unread {
            println!("The database was not looked into: {why}");
        }
    }

    fn json(&self) -> Value {
        json!({
            "phone_number": self.phone.to_string(),
            "country": numbering::country(self.phone).as_str(),
            "mode": self.mode.as_str(),
            "price": self.price.to_string(),
            "own_number": self.own_number,
            "chosen_by": self.chosen_by,
            "refusal": self.refusal,
            "hops": self.hops.iter().map(Planned::json).collect::<Vec<_>>(),
            "last_turn_s": self.last_turn().map(|turn| turn.as_secs()),
            "code_life_s": self.code_life.as_secs(),
            "database_read": self.unread.is_none(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::store::{Durability, Store, SubscriberRow};
    use chappe_core::{Hop, Time};

    #[tokio::test]
    async fn a_hop_for_subscribers_is_left_out_for_all_others() {
        let directory = tempfile::tempdir().unwrap();
        let vault = Vault::new(&MasterKey::from_bytes([1; 32]));
        let mut store = Store::open_sqlite(directory.path(), vault, Durability::ProcessOnly).unwrap();
        let (bot, phone) = (ChannelName::parse("bot").unwrap(), Phone::parse("+393331234567").unwrap());
        let row = |blocked| SubscriberRow {
            channel: bot.clone(),
            phone,
            chat_id: 7,
            language: String::new(),
            blocked,
            created_at: Time::from_secs(1),
        };
        store.put_subscriber(&row(false)).await.unwrap();
        let reader = store.reader().unwrap();
        let settings = Config::defaults().unwrap().settings().unwrap();
        let route = Route {
            hops: ["bot:30", "sms"].map(|hop| Hop::parse(hop).unwrap()).into(),
            subscribers_only: [bot.clone()].into(),
            reach: Reach::Yes,
        };
        let turns = async |phone: &str, reader| {
            let phone = Phone::parse(phone).unwrap();
            let hops = planned(&settings, &route, phone, reader).await.unwrap();
            hops.iter().map(|hop| (hop.subscribed, hop.row().swap_remove(2))).collect::<Vec<_>>()
        };
        let turn = |subscribed, turn: &str| (subscribed, turn.to_owned());
        let yes = [turn(Some(Some(true)), "at once"), turn(None, "after 30 s")];
        assert_eq!(turns("+393331234567", Some(&reader)).await, yes);
        let no = [turn(Some(Some(false)), "-"), turn(None, "at once")];
        assert_eq!(turns("+393331234568", Some(&reader)).await, no);
        let who_knows = [turn(Some(None), "at once"), turn(None, "after 30 s")];
        assert_eq!(turns("+393331234567", None).await, who_knows);
        store.block_subscriber(&bot, 7).await.unwrap();
        assert_eq!(turns("+393331234567", Some(&reader)).await, no);
    }
}
