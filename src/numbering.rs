//! The country of a phone number, for statistics and for the language of messages. The numbering plans are a library's;
//! nothing else in the house knows of it.

use chappe_core::{Country, Phone};
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, Region};
use std::sync::LazyLock;

/// Whose numbers begin with a calling code.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// One country's.
    One(Country),
    /// Several countries': the rest of the number tells.
    Shared,
}

/// The plans by calling code, as the library knows them. No calling code is the beginning of another.
static PLANS: LazyLock<Vec<Option<Plan>>> = LazyLock::new(|| {
    let mut plans = vec![None; 1_000];
    for code in PHONE_NUMBER_UTIL.get_supported_calling_codes() {
        let regions = PHONE_NUMBER_UTIL.get_regions_for_country_calling_code(code);
        let regions: Vec<Region> = regions.into_iter().flatten().collect();
        let plan = match regions.as_slice() {
            [one] => Plan::One(of_region(Some(*one))),
            _ => Plan::Shared,
        };
        if let Some(slot) = usize::try_from(code).ok().and_then(|code| plans.get_mut(code)) {
            *slot = Some(plan);
        }
    }
    plans
});

/// The country of a number; [`Country::UNKNOWN`] where the plan knows none.
///
/// Taking a number apart is most of what the library does to find its country, and every message pays for it. A number in
/// E.164 stands apart already: its calling code is looked up, and the rest is asked about only where countries share one.
pub fn country(phone: Phone) -> Country {
    let number = phone.number();
    let digits = number.ilog10();
    for code_digits in 0..3 {
        let unit = 10_u64.pow(digits.saturating_sub(code_digits));
        let (code, national) = (number / unit, number % unit);
        let plan = usize::try_from(code).ok().and_then(|code| *PLANS.get(code)?);
        match plan {
            None => {}
            Some(Plan::One(country)) => return country,
            // The digits that a number may begin with when somebody left the prefix of calls within the country in it,
            // or the zero of an Italian landline: the library's to tell.
            Some(Plan::Shared) if matches!(national / (unit / 10), 0 | 1 | 8) => break,
            Some(Plan::Shared) => {
                let country_code = i32::try_from(code).unwrap_or_default();
                let number =
                    PhoneNumber { country_code, national_number: national, ..PhoneNumber::default() };
                return of_region(PHONE_NUMBER_UTIL.get_region_for_number(&number));
            }
        }
    }
    by_parsing(phone)
}

/// The country of a number as the library reads it from its text.
fn by_parsing(phone: Phone) -> Country {
    let parsed = PHONE_NUMBER_UTIL.parse(format!("+{phone}"), None).ok();
    of_region(parsed.and_then(|number| PHONE_NUMBER_UTIL.get_region_for_number(&number)))
}

/// Regions that are no countries, such as that of satellites, have names of other lengths.
fn of_region(region: Option<Region>) -> Country {
    region.and_then(|region| Country::parse(&region.to_string())).unwrap_or(Country::UNKNOWN)
}

/// Reads the numbering plans now, so that the first call need not.
pub fn warm_up() {
    if let Some(phone) = Phone::parse("14155550123") {
        country(phone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Random;

    #[test]
    fn knows_the_country_of_real_numbers_and_of_no_others() {
        for (phone, expected) in [
            ("+14155550123", "US"),
            ("+14165550123", "CA"),
            ("+79123456719", "RU"),
            ("+77012345678", "KZ"),
            ("+393331234567", "IT"),
            ("+390612345678", "IT"),
            ("+491701234567", "DE"),
            ("+442071838750", "GB"),
            ("+4402071838750", "GB"),
            ("+9996600001", "ZZ"),
            ("+870773111632", "ZZ"),
            ("+1234567", "ZZ"),
            ("+393000000000", "ZZ"),
        ] {
            assert_eq!(country(Phone::parse(phone).unwrap()).as_str(), expected, "{phone}");
        }
    }

    #[test]
    fn finds_what_the_library_reads_from_the_text() {
        let random = Random::seeded(1);
        let draw = |bound| random.below(bound).unwrap();
        let codes: Vec<usize> = (0..PLANS.len()).filter(|code| PLANS[*code].is_some()).collect();
        let shared: Vec<usize> =
            codes.iter().copied().filter(|code| matches!(PLANS[*code], Some(Plan::Shared))).collect();
        let mut known = 0;
        for round in 0..20_000 {
            let mut text = match round % 4 {
                0 => String::new(),
                1 => codes[draw(codes.len() as u32) as usize].to_string(),
                _ => shared[draw(shared.len() as u32) as usize].to_string(),
            };
            for _ in text.len()..7 + draw(9) as usize {
                text.push(char::from(b'0' + draw(10) as u8));
            }
            let Some(phone) = Phone::parse(&text) else { continue };
            let expected = by_parsing(phone);
            assert_eq!(country(phone), expected, "+{text}");
            known += usize::from(expected != Country::UNKNOWN);
        }
        assert!(known > 5_000, "only {known} numbers were of a country");
    }
}
