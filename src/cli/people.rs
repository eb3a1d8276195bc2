//! The people of the console: who acts for a customer, who runs the gateway, and a link to log in with where no code can
//! reach anybody yet.

use super::accounts::phone;
use super::{Admin, Done, Place, block_on, output};
use crate::store::Change;
use crate::store::console::audit_log::Entry;
use crate::store::console::people::{self, CustomerId, MemberRow, PersonRow, Role};
use crate::store::console::sessions;
use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::process::ExitCode;

/// How many letters and digits a link carries: 190 bits.
const KEY_LENGTH: usize = 32;
/// Whom the audit log names.
const WHO: &str = "command line";

#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// Let somebody act for a customer, or change what they may do
    Add {
        /// The customer's name
        customer: String,
        /// The number that they log in with
        number: String,
        /// What they may do: `owner` everything, `developer` no money and no people, `finance` money alone
        #[arg(long, default_value = "owner", value_parser = role)]
        role: Role,
        #[command(flatten)]
        place: Place,
    },
    /// List who acts for a customer
    List {
        /// The customer's name
        customer: String,
        #[command(flatten)]
        place: Place,
    },
    /// Let somebody act for a customer no longer
    Remove {
        /// The customer's name
        customer: String,
        /// The number that they log in with
        number: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// Let somebody run this gateway
    Add {
        /// The number that they log in with
        number: String,
        #[command(flatten)]
        place: Place,
    },
    /// List who runs this gateway
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Let somebody run this gateway no longer
    Remove {
        /// The number that they log in with
        number: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The number of somebody who was added with `member add` or `operator add`
    number: String,
    /// The server's address as a browser writes it [default: `public_url` of the configuration, else where it listens]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    #[command(flatten)]
    place: Place,
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "there are owner, developer and finance".to_owned())
}

pub(super) fn run_member(command: MemberCommand, json: bool) -> Done {
    block_on(async {
        let (place, name) = match &command {
            MemberCommand::Add { place, customer, .. }
            | MemberCommand::List { place, customer }
            | MemberCommand::Remove { place, customer, .. } => (place, customer),
        };
        let mut admin = place.open().await?;
        let customer = admin.reader.customer_named(name).await?;
        let customer = customer.with_context(|| format!("there is no customer named {name:?}"))?;
        match &command {
            MemberCommand::Add { number, role, .. } => {
                let person = admin.know(number).await?;
                let of = admin.reader.members(customer).await?;
                let entry =
                    admin.entry(Some(customer), "member.add", format!("{} as {role}", shown(&person)));
                let now = admin.clock.now();
                let change = match of.iter().find(|member| member.person.id == person.id) {
                    None => people::join(customer, person.id, *role, now),
                    Some(member) if member.accepted => people::set_role(customer, person.id, *role),
                    Some(_) => people::accept(customer, person.id, now)
                        .with(people::set_role(customer, person.id, *role)),
                };
                let done = admin.store.change(&change.noted(&entry)).await?;
                ensure!(done, "{name} would have no owner left: add another one first");
            }
            MemberCommand::Remove { number, .. } => {
                let person = admin.reader.person_of(phone(number)?).await?;
                let members = admin.reader.members(customer).await?;
                let of = |person: &PersonRow| members.iter().any(|member| member.person.id == person.id);
                let person =
                    person.filter(of).with_context(|| format!("{number} does not act for {name}"))?;
                let entry = admin.entry(Some(customer), "member.remove", shown(&person));
                let done = admin.store.change(&people::part(customer, person.id).noted(&entry)).await?;
                ensure!(done, "{name} would have no owner left: add another one first");
            }
            MemberCommand::List { .. } => {}
        }
        let members = admin.reader.members(customer).await?;
        if json {
            output::json(&Value::Array(members.iter().map(member_as_json).collect()));
        } else {
            let row = |member: &MemberRow| {
                let MemberRow { person, role, since, accepted, .. } = member;
                let role = if *accepted { role.to_string() } else { format!("{role}, invited") };
                vec![number(person), name_of(person), role, output::moment(*since)]
            };
            output::table(&["NUMBER", "NAME", "ROLE", "SINCE"], &members.iter().map(row).collect::<Vec<_>>());
        }
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn run_operator(command: OperatorCommand, json: bool) -> Done {
    block_on(async {
        let (place, change) = match &command {
            OperatorCommand::Add { place, number } => (place, Some((number, true))),
            OperatorCommand::Remove { place, number } => (place, Some((number, false))),
            OperatorCommand::List { place } => (place, None),
        };
        let mut admin = match change {
            // The first thing that is done with a new gateway may be this.
            Some((_, true)) => place.open_or_create().await?,
            _ => place.open().await?,
        };
        if let Some((text, operator)) = change {
            let person = match operator {
                true => admin.know(text).await?,
                false => {
                    let person = admin.reader.person_of(phone(text)?).await?;
                    let runs = person.filter(|person| person.operator);
                    runs.with_context(|| format!("{text} does not run this gateway"))?
                }
            };
            let action = if operator { "operator.add" } else { "operator.remove" };
            let entry = admin.entry(None, action, shown(&person));
            admin.store.change(&people::set_operator(person.id, operator).noted(&entry)).await?;
        }
        let operators = admin.reader.operators().await?;
        if json {
            output::json(&Value::Array(operators.iter().map(person_as_json).collect()));
        } else {
            let rows: Vec<_> = operators.iter().map(|one| vec![number(one), name_of(one)]).collect();
            output::table(&["NUMBER", "NAME"], &rows);
        }
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn run_login(args: LoginArgs, json: bool) -> Done {
    block_on(async {
        let base = base_url(&args)?;
        let mut admin = args.place.open().await?;
        let phone = phone(&args.number)?;
        let Some(person) = admin.reader.person_of(phone).await? else {
            bail!(
                "nobody logs in with {}: add them first with `chappe member add` or `chappe operator add`",
                args.number
            );
        };
        let key = admin.random.alphanumeric(KEY_LENGTH)?;
        let vault = admin.reader.vault();
        let digest = vault.session_digest(&key);
        let begun = sessions::begin(vault, digest, phone, None, admin.clock.now(), "");
        let entry = admin.entry(None, "login.link", shown(&person));
        admin.store.change(&begun.noted(&entry)).await?;
        let link = format!("{base}/login/link?key={key}");
        if json {
            output::json(&json!({ "link": link, "expires_in": sessions::LOGIN_LIFE.as_secs() }));
        } else {
            println!("{link}");
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Where the server is, without a slash at its end.
fn base_url(args: &LoginArgs) -> anyhow::Result<String> {
    let config = args.place.config()?;
    let given = args.base_url.clone().or(config.public_url()?);
    let scheme = if config.tls.certificate.as_os_str().is_empty() { "http" } else { "https" };
    let text = given.unwrap_or_else(|| format!("{scheme}://{}", config.listen));
    let url = url::Url::parse(&text).with_context(|| format!("{text:?} is no address"))?;
    let bare = url.query().is_none() && url.fragment().is_none();
    ensure!(
        matches!(url.scheme(), "https" | "http") && url.has_host() && bare,
        "{text:?} is no address such as https://codes.example.com"
    );
    Ok(text.trim_end_matches('/').to_owned())
}

impl Admin {
    /// The person of a number, who may be new.
    async fn know(&mut self, number: &str) -> anyhow::Result<PersonRow> {
        let phone = phone(number)?;
        let known: Change = people::know(self.reader.vault(), phone, "", self.clock.now());
        self.store.change(&known).await?;
        self.reader.person_of(phone).await?.context("the person cannot be found")
    }

    fn entry(&self, customer: Option<CustomerId>, action: &str, detail: String) -> Entry {
        Entry {
            at: self.clock.now(),
            customer,
            person: None,
            who: WHO.to_owned(),
            action: action.to_owned(),
            detail,
            address: String::new(),
        }
    }
}

/// A number as the audit log shows it.
fn shown(person: &PersonRow) -> String {
    format!("+{}", person.phone.masked())
}

fn number(person: &PersonRow) -> String {
    format!("+{}", person.phone)
}

fn name_of(person: &PersonRow) -> String {
    if person.name.is_empty() { "-".to_owned() } else { person.name.clone() }
}

fn person_as_json(person: &PersonRow) -> Value {
    json!({ "phone_number": number(person), "name": person.name })
}

fn member_as_json(member: &MemberRow) -> Value {
    let MemberRow { person, role, since, accepted, .. } = member;
    json!({ "phone_number": number(person), "name": person.name, "role": role.as_str(), "since": since.secs(),
            "accepted": accepted })
}
