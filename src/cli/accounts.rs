//! Customers, their senders, and money by hand.

use super::{Admin, Done, Place, block_on, carry_out, output};
use crate::channels::{ChannelSettings, telegram};
use crate::store::{AccountRow, BookingRow, Reader};
use anyhow::{Context, anyhow, bail, ensure};
use chappe_core::ledger::Kind;
use chappe_core::text::{ChannelName, Username};
use chappe_core::{AccountId, Command, Mode, Money, Outcome, Phone, Rejection};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Create a customer with a live account and its test twin
    Create {
        /// The customer's name, unique
        name: String,
        /// The owner's own number, to which messages are free
        #[arg(long, value_name = "NUMBER")]
        own_number: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// List all accounts
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Show a customer's accounts
    Show {
        /// The customer's name
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Change a customer's accounts
    Set {
        /// The customer's name
        name: String,
        /// The owner's own number, to which messages are free; `none` takes it away
        #[arg(long, value_name = "NUMBER")]
        own_number: Option<String>,
        /// Whether a right code is good for one use only
        #[arg(long, value_name = "BOOL")]
        single_use: Option<bool>,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SenderCommand {
    /// Register a channel, or change whether it is verified
    Add {
        /// The customer's name
        customer: String,
        /// The channel's username
        username: String,
        /// Its ownership was proven: it may send to everybody, not only to the owner's own number
        #[arg(long)]
        verified: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Prove through a bot that a channel is the customer's: the person who has shared the customer's own number with the
    /// bot must be among the channel's administrators, and so must the bot
    Verify {
        /// The customer's name
        customer: String,
        /// The channel's username
        username: String,
        /// The bot: a channel of this kind in the configuration
        #[arg(long, value_name = "NAME")]
        channel: String,
        #[command(flatten)]
        place: Place,
    },
    /// Take a channel away
    Remove {
        /// The customer's name
        customer: String,
        /// The channel's username
        username: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreditArgs {
    /// The customer's name
    customer: String,
    /// How much, such as 25 or 0.5; below zero takes away
    #[arg(allow_negative_numbers = true)]
    amount: Money,
    /// The test account with its play money, instead of the live one
    #[arg(long)]
    test: bool,
    /// A correction, not a payment
    #[arg(long)]
    adjust: bool,
    /// A reference, such as an invoice number: money for one reference is booked only once
    #[arg(long)]
    reference: Option<String>,
    /// Why, in words
    #[arg(long, default_value = "booked by the operator")]
    reason: String,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(command: AccountCommand, json: bool) -> Done {
    block_on(async {
        let accounts = match command {
            AccountCommand::Create { name, own_number, place } => {
                ensure!(
                    (1..=64).contains(&name.len()) && !name.contains(char::is_control),
                    "a name has 1 to 64 bytes"
                );
                let own_number = own_number.as_deref().map(phone).transpose()?;
                let mut admin = place.open_or_create().await?;
                admin.store.create_customer(&name, admin.clock.now()).await?;
                set(&mut admin, &name, Some(own_number), None).await?
            }
            AccountCommand::List { place } => place.read().await?.accounts(None).await?,
            AccountCommand::Show { name, place } => {
                let accounts = place.read().await?.accounts(Some(&name)).await?;
                ensure!(!accounts.is_empty(), "there is no customer named {name:?}");
                accounts
            }
            AccountCommand::Set { name, own_number, single_use, place } => {
                let own_number = match own_number.as_deref() {
                    None => None,
                    Some("none") => Some(None),
                    Some(text) => Some(Some(phone(text)?)),
                };
                set(&mut place.open().await?, &name, own_number, single_use).await?
            }
        };
        show(&accounts, json);
        Ok(ExitCode::SUCCESS)
    })
}

/// Changes both accounts of a customer, and returns them.
async fn set(
    admin: &mut Admin,
    name: &str,
    own_number: Option<Option<Phone>>,
    single_use: Option<bool>,
) -> anyhow::Result<Vec<AccountRow>> {
    let accounts = admin.reader.accounts(Some(name)).await?;
    ensure!(!accounts.is_empty(), "there is no customer named {name:?}");
    for account in &accounts {
        if let Some(own_number) = own_number {
            admin.store.set_own_number(account.id, own_number).await?;
        }
        if let Some(single_use) = single_use {
            admin.store.set_single_use(account.id, single_use).await?;
        }
    }
    Ok(admin.reader.accounts(Some(name)).await?)
}

pub(super) fn run_sender(command: SenderCommand, json: bool) -> Done {
    let username =
        |text: &str| Username::parse(text).ok_or_else(|| anyhow!("{text:?} is no channel username"));
    block_on(async {
        let (place, customer) = match &command {
            SenderCommand::Add { place, customer, .. }
            | SenderCommand::Verify { place, customer, .. }
            | SenderCommand::Remove { place, customer, .. } => (place, customer),
        };
        let mut admin = place.open().await?;
        if let SenderCommand::Verify { username: text, channel, .. } = &command {
            let settings = bot(place, channel)?;
            prove_sender(&admin, customer, &username(text)?, channel, &settings).await?;
        }
        for mode in [Mode::Live, Mode::Test] {
            let account = admin.reader.account(customer, mode).await?.id;
            match &command {
                SenderCommand::Add { username: text, verified, .. } => {
                    let now = admin.clock.now();
                    admin.store.put_sender(account, &username(text)?, *verified, now).await?;
                }
                SenderCommand::Verify { username: text, .. } => {
                    admin.store.put_sender(account, &username(text)?, true, admin.clock.now()).await?;
                }
                SenderCommand::Remove { username: text, .. } => {
                    let found = admin.store.remove_sender(account, &username(text)?).await?;
                    ensure!(found, "{customer} has no sender {text}");
                }
            }
        }
        show(&admin.reader.accounts(Some(customer)).await?, json);
        Ok(ExitCode::SUCCESS)
    })
}

/// The settings of a bot.
fn bot(place: &Place, channel: &str) -> anyhow::Result<telegram::Settings> {
    let channels = place.config()?.channels()?;
    let found = ChannelName::parse(channel).and_then(|name| channels.get(&name));
    match found {
        Some(ChannelSettings::Telegram(settings)) => Ok(settings.as_ref().clone()),
        Some(_) => bail!("channel {channel} is no bot on Telegram"),
        None => bail!("there is no [channels.{channel}] in the configuration"),
    }
}

/// Whoever shared the customer's own number with the bot runs the channel: Telegram vouches for both.
async fn prove_sender(
    admin: &Admin,
    customer: &str,
    username: &Username,
    channel: &str,
    settings: &telegram::Settings,
) -> anyhow::Result<()> {
    let own_number = admin.reader.account(customer, Mode::Live).await?.own_number.with_context(|| {
        format!(
            "{customer} has no own number: set it with `chappe account set {customer} --own-number NUMBER`"
        )
    })?;
    let name = ChannelName::parse(channel).with_context(|| format!("{channel:?} is no channel"))?;
    let owner = admin.reader.subscriber(&name, own_number).await?.filter(|owner| !owner.blocked);
    let owner = owner.with_context(|| {
        format!(
            "nobody has shared {customer}'s own number with the bot: its owner is to open the bot, send /start and share \
             the number"
        )
    })?;
    let administrators = settings.bot().administrators(username).await.with_context(|| {
        format!("the bot cannot see who runs @{username}: make it one of the channel's administrators")
    })?;
    ensure!(
        // A private chat has the number of the person in it.
        administrators.contains(&owner.chat_id),
        "whoever shared {customer}'s own number with the bot is not among the administrators of @{username}"
    );
    Ok(())
}

pub(super) fn run_credit(args: CreditArgs, json: bool) -> Done {
    block_on(async {
        let mut admin = args.place.open().await?;
        let rules = args.place.config()?.rules()?;
        let mode = if args.test { Mode::Test } else { Mode::Live };
        let account = admin.reader.account(&args.customer, mode).await?;
        let kind = if args.adjust { Kind::Adjustment } else { Kind::Deposit };
        ensure!(
            args.adjust || args.amount.is_positive(),
            "a payment is above zero; --adjust makes it a correction"
        );
        let command = Command::Credit {
            now: admin.clock.now(),
            account: account.id,
            kind,
            amount: args.amount,
            reference: args.reference.clone(),
            reason: args.reason,
        };
        let (booked, balance) = match carry_out(&mut admin.store, &rules, &command).await? {
            Ok(Outcome::Credited(balance)) => (true, balance),
            Ok(Outcome::AlreadyCredited) => {
                let reference = args.reference.unwrap_or_default();
                refuse_if_reused(&admin.reader, &reference, account.id, args.amount).await?;
                (false, account.balance)
            }
            Err(Rejection::BalanceNotEnough) => bail!("the account has only {}", account.balance),
            Err(rejection) => bail!("it was not booked: {rejection}"),
            Ok(other) => bail!("it was not booked: {other:?}"),
        };
        if json {
            output::json(&json!({ "booked": booked, "balance": balance.to_string() }));
        } else if booked {
            println!("booked; the {} account of {} now has {balance}", mode.as_str(), args.customer);
        } else {
            println!("nothing was booked: this reference was booked before; the balance is {balance}");
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The same booking once more is no harm. One that differs was meant to move money, and did not.
async fn refuse_if_reused(
    reader: &Reader,
    reference: &str,
    account: AccountId,
    amount: Money,
) -> anyhow::Result<()> {
    let booking = reader.booking(reference).await?.context("the earlier booking cannot be found")?;
    let BookingRow { account: of, customer, mode, amount: booked } = booking;
    ensure!(
        (of, booked) == (account, amount),
        "nothing was booked: the reference {reference:?} was used before, for {booked} to the {} account of {customer}",
        mode.as_str()
    );
    Ok(())
}

pub(super) fn phone(text: &str) -> anyhow::Result<Phone> {
    Phone::parse(text).ok_or_else(|| anyhow!("{text:?} is no phone number, such as +391234567890"))
}

fn show(accounts: &[AccountRow], json: bool) {
    if json {
        output::json(&Value::Array(accounts.iter().map(as_json).collect()));
        return;
    }
    let rows: Vec<Vec<String>> = accounts.iter().map(as_row).collect();
    output::table(
        &["CUSTOMER", "MODE", "BALANCE", "TRANSFERS", "OWN NUMBER", "SINGLE USE", "SENDERS"],
        &rows,
    );
}

fn as_row(account: &AccountRow) -> Vec<String> {
    let sender = |(name, verified): &(Username, bool)| {
        format!("{name}{}", if *verified { "" } else { " (unverified)" })
    };
    vec![
        account.customer.clone(),
        account.mode.as_str().to_owned(),
        account.balance.to_string(),
        account.transfers.to_string(),
        account.own_number.map_or_else(|| "-".to_owned(), |phone| format!("+{phone}")),
        if account.single_use { "yes" } else { "no" }.to_owned(),
        account.senders.iter().map(sender).collect::<Vec<_>>().join(", "),
    ]
}

fn as_json(account: &AccountRow) -> Value {
    json!({
        "id": account.id.0,
        "customer": account.customer,
        "mode": account.mode.as_str(),
        "balance": account.balance.to_string(),
        "transfers": account.transfers,
        "own_number": account.own_number.map(|phone| format!("+{phone}")),
        "single_use": account.single_use,
        "created_at": account.created_at.secs(),
        "senders": account.senders.iter()
            .map(|(name, verified)| json!({ "username": name.as_str(), "verified": verified }))
            .collect::<Vec<_>>(),
    })
}
