//! Comma-separated values (RFC 4180) for people who open them with a spreadsheet: no cell can become a formula there.

/// A line of cells, with its end.
pub(super) fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cells: Vec<String> = cells.into_iter().map(cell).collect();
    cells.join(",") + "\r\n"
}

/// A cell. What a spreadsheet would compute gets an apostrophe before it; a plain number is left alone.
fn cell(text: &str) -> String {
    let computed = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number(text);
    let text = if computed { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits.split_once('.').map_or(all_digits(digits), |(whole, rest)| all_digits(whole) && all_digits(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (text, expected) in [
            ("plain", "plain"),
            ("-0.01", "-0.01"),
            ("=1+1", "'=1+1"),
            ("+39", "'+39"),
            ("-1+1", "'-1+1"),
            ("-", "'-"),
            ("@sum(a1)", "'@sum(a1)"),
            ("\tx", "'\tx"),
            ("=cmd|' /C calc'!A0,1", "\"'=cmd|' /C calc'!A0,1\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
        assert_eq!(line(["a", "", "b,c"]), "a,,\"b,c\"\r\n");
    }
}
