//! What a message costs, and what keeps one customer or one number from hurting the others. Both stand in the
//! configuration.

use super::{Desk, Pair};
use crate::console::country as countries;
use crate::console::form::Form;
use crate::console::shell::{Shell, show};
use crate::console::trouble::Trouble;
use crate::numbering;
use askama::Template;
use axum::extract::RawQuery;
use axum::response::Response;
use chappe_core::limits::Limit;
use chappe_core::{Money, Phone, Rules};

#[derive(Template)]
#[template(path = "operator_prices.html")]
struct PricesPage {
    shell: Shell,
    rows: Vec<Row>,
    limits: Vec<Pair>,
    asked: Form,
    answer: String,
}

struct Row {
    prefix: String,
    price: Money,
}

pub(super) async fn page(desk: Desk, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    let mut asked = Form::parse(query.unwrap_or_default().as_bytes());
    let rules = &desk.app().settings.rules;
    let row = |(prefix, price): (&str, Money)| Row { prefix: prefix.to_owned(), price };
    let answer = answer(&desk, &mut asked);
    show(&PricesPage {
        shell: desk.shell("/operator/prices"),
        rows: rules.prices.entries().map(row).collect(),
        limits: limits(rules),
        asked,
        answer,
    })
}

/// What a number would cost; empty if none was asked about.
fn answer(desk: &Desk, asked: &mut Form) -> String {
    let text: String = asked.value("phone_number").chars().filter(|char| !" -().".contains(*char)).collect();
    if text.is_empty() {
        return String::new();
    }
    let Some(phone) = Phone::parse(&text) else {
        asked.fault("phone_number", "Write the number with its country code, such as +39 333 123 4567.");
        return String::new();
    };
    let (prefix, price) = desk.app().settings.rules.prices.entry(phone);
    let by =
        if prefix.is_empty() { "the price of all others".to_owned() } else { format!("by prefix +{prefix}") };
    let country = numbering::country(phone);
    let (_, line) = desk.app().channels.routes().entry(phone);
    let through: Vec<String> = line.channels().iter().map(ToString::to_string).collect();
    let through = if through.is_empty() { "nothing".to_owned() } else { through.join(", then ") };
    format!(
        "A message to +{phone} ({}) costs {price}, {by}, and goes through {through}.",
        countries::name(country.as_str())
    )
}

fn limits(rules: &Rules) -> Vec<Pair> {
    let pair = |label, value| Pair { label, value };
    let within = |Limit { max, within }: Limit| format!("{max} within {} s", within.as_secs());
    let rate = rules.account_rate.map_or_else(
        || "no limit".to_owned(),
        |rate| format!("{} in a second, {} at once", rate.per_second, rate.burst),
    );
    vec![
        pair("Messages to one number, over all accounts", within(rules.sends_per_phone)),
        pair("Wrong codes for one request", rules.attempts_max.to_string()),
        pair("Wrong codes for one number, per account", within(rules.failures_per_phone)),
        pair("Calls of one account that may charge", rate),
        pair("Life of a code", format!("{} s", rules.code_life.as_secs())),
    ]
}
