//! Calls of the API, through the client library: against this gateway, or any that speaks the same API.

use super::{Done, block_on, output};
use anyhow::{Context, anyhow, ensure};
use chappe_client::client::Client;
use chappe_client::wire::{RequestStatus, SendMessage, VerificationState};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// Where to call, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The gateway's base URL; https://gatewayapi.telegram.org is Telegram's own
    #[arg(long, env = "CHAPPE_BASE_URL", default_value = "http://127.0.0.1:8787", value_name = "URL")]
    base_url: String,
    /// The API token; CHAPPE_TOKEN keeps it out of the process list, which every user of the machine can read
    #[arg(long, env = "CHAPPE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Call over plain http also beyond this machine
    #[arg(long)]
    allow_plain_http: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The phone number
    phone_number: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// The phone number
    phone_number: String,
    /// The code, 4 to 8 digits [default: the gateway draws one]
    #[arg(long)]
    code: Option<String>,
    /// How many digits the gateway draws
    #[arg(long, default_value_t = 6, conflicts_with = "code")]
    code_length: u8,
    /// The request id of a `chappe check`: then this send is free
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Seconds within which it must be delivered, 30 to 3600; after that it is refunded
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u32>,
    /// Where reports go
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
    /// A text to be given back in every answer
    #[arg(long)]
    payload: Option<String>,
    /// The channel to send from
    #[arg(long, value_name = "USERNAME")]
    sender: Option<String>,
    /// A key that makes a repeated call do nothing again (not part of Telegram's API)
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The request id
    request_id: String,
    /// The code to judge
    code: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The request id
    request_id: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct BalanceArgs {
    #[command(flatten)]
    target: Target,
}

impl Target {
    fn client(&self) -> anyhow::Result<Client> {
        let token =
            self.token.clone().ok_or_else(|| anyhow!("no API token: give --token or set CHAPPE_TOKEN"))?;
        let mut builder = Client::builder(token).base_url(&self.base_url);
        if self.allow_plain_http {
            builder = builder.allow_plain_http();
        }
        Ok(builder.build()?)
    }
}

pub(super) fn check(args: CheckArgs, json: bool) -> Done {
    let client = args.target.client()?;
    show(&block_on(async { Ok(client.check_send_ability(args.phone_number).await?) })?, json)
}

pub(super) fn send(args: SendArgs, json: bool) -> Done {
    let client = args.target.client()?;
    let mut message = match args.code {
        Some(code) => SendMessage::with_code(args.phone_number, code),
        None => SendMessage::with_code_length(args.phone_number, args.code_length),
    };
    if let Some(id) = args.request_id {
        message = message.request_id(id);
    }
    if let Some(ttl) = args.ttl {
        message = message.ttl_s(ttl);
    }
    if let Some(url) = args.callback_url {
        message = message.callback_url(url);
    }
    if let Some(payload) = args.payload {
        message = message.payload(payload);
    }
    if let Some(sender) = args.sender {
        message = message.sender_username(sender);
    }
    if let Some(key) = args.idempotency_key {
        message = message.idempotency_key(key);
    }
    show(&block_on(async { Ok(client.send_verification_message(&message).await?) })?, json)
}

pub(super) fn verify(args: VerifyArgs, json: bool) -> Done {
    let client = args.target.client()?;
    let code = args.code.as_deref();
    // The wire takes an empty code for none, and would tell an earlier verdict.
    ensure!(code != Some(""), "the code is empty");
    let status = block_on(async { Ok(client.check_verification_status(&args.request_id, code).await?) })?;
    show(&status, json)?;
    let valid =
        status.verification_status.is_some_and(|status| status.status == VerificationState::CodeValid);
    Ok(if code.is_none() || valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn revoke(args: RevokeArgs, json: bool) -> Done {
    let client = args.target.client()?;
    let received = block_on(async { Ok(client.revoke_verification_message(&args.request_id).await?) })?;
    if json {
        output::json(&json!(received));
    } else {
        println!(
            "{}",
            if received { "the withdrawal was received" } else { "the withdrawal was not received" }
        );
    }
    Ok(if received { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn balance(args: BalanceArgs, json: bool) -> Done {
    let client = args.target.client()?;
    let balance = block_on(async { Ok(client.get_balance().await?) })?;
    if json {
        output::json(&json!({ "balance": balance.to_string() }));
    } else {
        println!("{balance}");
    }
    Ok(ExitCode::SUCCESS)
}

fn show(status: &RequestStatus, json: bool) -> Done {
    if json {
        println!("{}", serde_json::to_string(status).context("the answer cannot be written")?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![
        vec!["request id".to_owned(), status.request_id.clone()],
        vec!["phone number".to_owned(), format!("+{}", status.phone_number)],
        vec![
            "cost".to_owned(),
            format!("{}{}", status.request_cost, if status.is_refunded { " (refunded)" } else { "" }),
        ],
    ];
    rows.extend(status.remaining_balance.map(|balance| vec!["balance".to_owned(), balance.to_string()]));
    rows.extend(
        status.delivery_status.as_ref().map(|delivery| vec!["delivery".to_owned(), name(&delivery.status)]),
    );
    rows.extend(
        status.verification_status.as_ref().map(|verdict| vec!["code".to_owned(), name(&verdict.status)]),
    );
    rows.extend(status.payload.clone().map(|payload| vec!["payload".to_owned(), payload]));
    for row in rows {
        println!("{:<13} {}", row.first().map_or("", String::as_str), row.get(1).map_or("", String::as_str));
    }
    Ok(ExitCode::SUCCESS)
}

/// A status under its name on the wire.
fn name(status: &impl serde::Serialize) -> String {
    serde_json::to_value(status).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}
