//! Adding funds: customers pay by Stripe Checkout or with Telegram Stars, and what was paid is booked once. A payment is
//! noted before anybody is asked for money; what became of it comes from the provider alone, never from the browser.

pub mod book;
pub mod stripe;
pub mod webhook;

use crate::secret::Secret;
use chappe_core::Money;
use chappe_core::text::ChannelName;
use std::num::NonZeroU32;
use std::time::Duration;
use stripe::Stripe;

/// How long a payment that was begun can be paid: as long as Stripe keeps a session open.
pub const LINK_LIFE: Duration = Duration::from_secs(24 * 3600);
/// The currency of Telegram Stars, as the Bot API calls it.
pub const STARS_CURRENCY: &str = "XTR";
/// Currencies without a smaller unit, and those with three digits of it, as Stripe counts them: all others have two.
const WHOLE: [&str; 15] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];
const THOUSANDTHS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// What the operator set of adding funds.
#[derive(Clone, Debug)]
pub struct FundingSettings {
    /// The least that can be added at once.
    pub least: Money,
    /// The most that can be added at once.
    pub most: Money,
    /// Stripe, if it is set up.
    pub stripe: Option<StripeSettings>,
    /// Stars, if they are set up.
    pub stars: Option<StarsSettings>,
}

/// What the operator set of Stripe.
#[derive(Clone, Debug)]
pub struct StripeSettings {
    /// The key of the API.
    pub secret_key: Secret,
    /// What events are signed with.
    pub webhook_secret: Secret,
    /// The currency, in lower case.
    pub currency: String,
    /// What a credit costs, in the smallest unit of that currency.
    pub per_credit: NonZeroU32,
    /// Where the API is, without a slash at its end.
    pub base_url: String,
}

/// What the operator set of Telegram Stars.
#[derive(Clone, Debug)]
pub struct StarsSettings {
    /// The channel whose bot collects them.
    pub channel: ChannelName,
    /// How many a credit costs.
    pub per_credit: NonZeroU32,
}

/// What adding funds needs while the server runs.
#[derive(Debug)]
pub struct Funding {
    /// The client of Stripe, if it is set up.
    pub stripe: Option<Stripe>,
}

impl Funding {
    /// What these settings need.
    pub fn new(settings: &FundingSettings) -> Funding {
        Funding { stripe: settings.stripe.clone().map(Stripe::new) }
    }
}

/// What an amount costs in whole units, of which a credit costs `per_credit`: rounded up, so that nothing is given away.
pub fn units(amount: Money, per_credit: NonZeroU32) -> i64 {
    let exact = i128::from(amount.micros()) * i128::from(per_credit.get());
    let units = exact.div_euclid(1_000_000) + i128::from(exact.rem_euclid(1_000_000) > 0);
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// A price as rows hold it and providers confirm it.
pub fn price(units: i64, currency: &str) -> String {
    format!("{units} {currency}")
}

/// A price as people read it: `12.50 EUR`, `500 Stars`.
pub fn shown(price: &str) -> String {
    let Some((units, currency)) = price.split_once(' ') else { return price.to_owned() };
    let digits = match currency {
        STARS_CURRENCY => return format!("{units} Stars"),
        whole if WHOLE.contains(&whole) => 0,
        fine if THOUSANDTHS.contains(&fine) => 3,
        _ => 2,
    };
    let (whole, fraction) = match units.len().checked_sub(digits).filter(|at| *at > 0) {
        Some(at) => (units[..at].to_owned(), units[at..].to_owned()),
        None => ("0".to_owned(), format!("{units:0>digits$}")),
    };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{whole}{point}{fraction} {}", currency.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_unit_costs_a_whole_one() {
        let units = |amount: &str, per: u32| units(amount.parse().unwrap(), NonZeroU32::new(per).unwrap());
        assert_eq!(units("25", 100), 2_500);
        assert_eq!(units("0.01", 100), 1);
        assert_eq!(units("0.000001", 100), 1);
        assert_eq!(units("1.001", 50), 51);
        assert_eq!(units("9223372036854", u32::MAX), i64::MAX);
    }

    #[test]
    fn a_price_is_shown_as_its_currency_is_written() {
        for (price, expected) in [
            ("1250 eur", "12.50 EUR"),
            ("5 eur", "0.05 EUR"),
            ("50 usd", "0.50 USD"),
            ("1250 jpy", "1250 JPY"),
            ("1250 kwd", "1.250 KWD"),
            ("500 XTR", "500 Stars"),
            ("odd", "odd"),
        ] {
            assert_eq!(shown(price), expected);
        }
    }
}
