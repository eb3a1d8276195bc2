//! The country of a phone number, for statistics. The numbering plans are a library's; nothing else in the house knows
//! of it.

use chappe_core::{Country, Phone};
use rlibphonenumber::PHONE_NUMBER_UTIL;

/// The country of a number; [`Country::UNKNOWN`] where the plan knows none.
pub fn country(phone: Phone) -> Country {
    let parsed = PHONE_NUMBER_UTIL.parse(format!("+{phone}"), None).ok();
    let region = parsed.and_then(|number| PHONE_NUMBER_UTIL.get_region_for_number(&number));
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

    #[test]
    fn knows_the_country_of_real_numbers_and_of_no_others() {
        for (phone, expected) in [
            ("+14155550123", "US"),
            ("+79123456719", "RU"),
            ("+77012345678", "KZ"),
            ("+393331234567", "IT"),
            ("+9996600001", "ZZ"),
            ("+1234567", "ZZ"),
        ] {
            assert_eq!(country(Phone::parse(phone).unwrap()).as_str(), expected, "{phone}");
        }
    }
}
