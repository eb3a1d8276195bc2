//! Looking into a database: the audit, and one request's timeline.

use super::{Done, Place, block_on, output};
use anyhow::{Context, anyhow};
use chappe_core::{RequestId, Time};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// The request id
    request_id: String,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: AuditArgs, json: bool) -> Done {
    let mut checks = 0;
    let findings = block_on(async {
        let reader = args.place.read().await?;
        let progress = |check: &str| {
            checks += 1;
            if !json {
                eprintln!("checking: {check}");
            }
        };
        Ok(reader.audit(progress).await?)
    })?;
    if json {
        let list: Vec<_> = findings
            .iter()
            .map(|finding| json!({ "check": finding.check, "where": finding.detail }))
            .collect();
        output::json(&json!({ "checks": checks, "findings": list }));
    } else if findings.is_empty() {
        println!("{checks} checks, all invariants hold");
    } else {
        for finding in &findings {
            println!("BROKEN: {}: {}", finding.check, finding.detail);
        }
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn show_request(args: RequestArgs, json: bool) -> Done {
    let id = RequestId::parse(&args.request_id)
        .ok_or_else(|| anyhow!("{:?} is no request id: it has 15 digits", args.request_id))?;
    let row = block_on(async { Ok(args.place.read().await?.request(id).await?) })?;
    let row = row.context("there is no request with this id")?;
    let events: Vec<(Time, &str, &str)> = row.timeline.lines().filter_map(event).collect();
    if json {
        let events: Vec<_> = events
            .iter()
            .map(|(at, name, detail)| json!({ "at_micros": at.micros(), "event": name, "detail": detail }))
            .collect();
        output::json(&json!({
            "request_id": id.to_string(),
            "account": row.account.0,
            "channel": row.channel.as_str(),
            "delivery_status": row.delivery.map(|delivery| delivery.as_str()),
            "timeline": events,
        }));
    } else {
        let rows: Vec<Vec<String>> = events
            .iter()
            .map(|(at, name, detail)| vec![output::moment(*at), (*name).to_owned(), (*detail).to_owned()])
            .collect();
        output::table(&["WHEN", "EVENT", "DETAIL"], &rows);
    }
    Ok(ExitCode::SUCCESS)
}

/// A line of a timeline.
fn event(line: &str) -> Option<(Time, &str, &str)> {
    let (at, rest) = line.split_once(' ')?;
    let (name, detail) = rest.split_once(' ').unwrap_or((rest, ""));
    Some((Time::from_micros(at.parse().ok()?), name, detail))
}
