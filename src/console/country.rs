//! What countries are called, in English.

use chappe_core::Country;

/// A code and a name on each line.
const NAMES: &str = include_str!("countries.txt");

/// The name of a country by its code: `Italy`, `Unknown`. A code that stands for none is its own name.
pub(super) fn name(code: &str) -> &str {
    if code == Country::UNKNOWN.as_str() {
        return "Unknown";
    }
    let named = |line: &'static str| line.split_once(' ').filter(|(of, _)| *of == code).map(|(_, name)| name);
    let mut lines = NAMES.lines().filter(|line| !line.starts_with('#'));
    lines.find_map(named).unwrap_or(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rlibphonenumber::PHONE_NUMBER_UTIL;

    #[test]
    fn countries_have_names() {
        for (code, expected) in
            [("IT", "Italy"), ("CI", "Côte d’Ivoire"), ("XK", "Kosovo"), ("ZZ", "Unknown")]
        {
            assert_eq!(name(code), expected);
        }
        for code in ["", "#", "AA", "it", "I"] {
            assert_eq!(name(code), code, "it is no country's");
        }
    }

    #[test]
    fn wherever_numbers_are_from_has_a_name() {
        let codes: Vec<_> =
            PHONE_NUMBER_UTIL.get_supported_regions().map(|region| region.to_string()).collect();
        let nameless: Vec<_> = codes.iter().filter(|code| name(code) == code.as_str()).collect();
        assert!(codes.len() > 200 && nameless.is_empty(), "{nameless:?}");
    }
}
