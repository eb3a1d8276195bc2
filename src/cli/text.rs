//! The texts of messages, as people will read them.

use super::{Done, output};
use crate::channels::Wording;
use crate::config::Config;
use anyhow::{Context, ensure};
use chappe_core::text::ChannelName;
use chappe_smpp::{Alphabet, plan};
use clap::{Args, Subcommand};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// The code that is shown in texts: of six digits, as most are.
const EXAMPLE_CODE: &str = "123456";

#[derive(Debug, Subcommand)]
pub(crate) enum TextCommand {
    /// Show the texts by language, and how many SMS each takes
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Only this language, such as "pt" or "pt-br"
    #[arg(long)]
    language: Option<String>,
    /// As this channel writes them
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// The configuration file [default: chappe.toml, if there is one]
    #[arg(long, env = "CHAPPE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(command: &TextCommand, json: bool) -> Done {
    let TextCommand::Show(args) = command;
    let config = Config::load(args.config.as_deref())?;
    let texts = config.texts()?;
    let channels = if args.channel.is_some() { config.channels()? } else { BTreeMap::new() };
    let wording = match &args.channel {
        Some(name) => {
            let channel = ChannelName::parse(name).and_then(|name| channels.get(&name));
            let names: Vec<_> = channels.keys().map(ChannelName::as_str).collect();
            let there_are = if names.is_empty() { "none at all".to_owned() } else { names.join(", ") };
            channel.with_context(|| format!("there is no channel {name:?}: there are {there_are}"))?.wording()
        }
        None => Wording::default(),
    };
    let wanted = args.language.as_deref().or(Some(wording.language).filter(|language| !language.is_empty()));
    if let Some(language) = wanted {
        let known: Vec<_> = texts.languages().collect();
        ensure!(texts.knows(language), "there is no text in {language:?}: there are {}", known.join(", "));
    }
    let languages = match wanted {
        Some(language) => vec![language],
        None => texts.languages().collect(),
    };
    let shown = languages.into_iter().map(|language| {
        let text = texts.render(language, EXAMPLE_CODE, wording.webotp);
        (language, plan(&text), text)
    });
    if json {
        let list: Vec<_> = shown
            .map(|(language, plan, text)| {
                let alphabet = alphabet(plan.alphabet);
                json!({ "language": language, "text": text, "alphabet": alphabet, "units": plan.units, "sms": plan.segments })
            })
            .collect();
        output::json(&list.into());
    } else {
        let row = |(language, plan, text): (&str, chappe_smpp::Plan, String)| {
            let alphabet = alphabet(plan.alphabet).to_owned();
            // A line break would break the table.
            let text = text.replace('\n', " ⏎ ");
            vec![language.to_owned(), plan.segments.to_string(), plan.units.to_string(), alphabet, text]
        };
        output::table(
            &["LANGUAGE", "SMS", "LENGTH", "ALPHABET", "TEXT"],
            &shown.map(row).collect::<Vec<_>>(),
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn alphabet(alphabet: Alphabet) -> &'static str {
    match alphabet {
        Alphabet::Gsm7 => "GSM-7",
        Alphabet::Ucs2 => "UCS-2",
    }
}
