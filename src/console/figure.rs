//! Numbers as pages show them: whole numbers and thousandths, never a float.

/// Whether more of something is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liking {
    /// More is better.
    More,
    /// Less is better.
    Less,
    /// It is what it is.
    Neither,
}

/// A number beside the same number of the period before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// As in "12.4 % more"; empty if there is nothing to say.
    pub(super) text: String,
    /// `up`, `down` or `same`.
    pub(super) trend: &'static str,
    /// `good`, `bad` or nothing.
    pub(super) tone: &'static str,
}

/// A number with its thousands parted: `1,284,000`.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The thousandths that a part is of a whole, rounded to the nearest; 0 of nothing.
pub(super) fn permille(part: i64, whole: i64) -> i64 {
    if whole <= 0 {
        return 0;
    }
    let (part, whole) = (i128::from(part), i128::from(whole));
    i64::try_from((part * 2_000 + whole).div_euclid(whole * 2)).unwrap_or(i64::MAX)
}

/// Thousandths as a percentage: `96.2 %`, `100 %`.
pub(super) fn percent(permille: i64) -> String {
    let sign = if permille < 0 { "-" } else { "" };
    let permille = permille.unsigned_abs();
    match permille % 10 {
        0 => format!("{sign}{} %", grouped((permille / 10) as i64)),
        tenth => format!("{sign}{}.{tenth} %", grouped((permille / 10) as i64)),
    }
}

/// How a count or an amount has changed.
pub(super) fn change(now: i64, before: i64, liking: Liking) -> Change {
    let text = match (now, before) {
        (0, 0) => return Change::default(),
        (_, before) if before <= 0 => "none before".to_owned(),
        (now, before) if now == before => "as before".to_owned(),
        (now, before) => {
            let by = permille(now.saturating_sub(before).saturating_abs(), before);
            let word = if now > before { "more" } else { "less" };
            if by == 0 { format!("slightly {word}") } else { format!("{} {word}", percent(by)) }
        }
    };
    directed(text, now.cmp(&before), liking)
}

/// How a share has changed, both in thousandths: by how many points.
pub(super) fn points(now: i64, before: Option<i64>, liking: Liking) -> Change {
    let Some(before) = before else { return Change::default() };
    let by = now.saturating_sub(before).unsigned_abs();
    let text = match now.cmp(&before) {
        std::cmp::Ordering::Equal => "as before".to_owned(),
        order => {
            let word = if order.is_gt() { "more" } else { "less" };
            format!("{}.{} points {word}", by / 10, by % 10)
        }
    };
    directed(text, now.cmp(&before), liking)
}

fn directed(text: String, order: std::cmp::Ordering, liking: Liking) -> Change {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let trend = match order {
        Greater => "up",
        Less => "down",
        Equal => "same",
    };
    let tone = match (liking, order) {
        (Liking::Neither, _) | (_, Equal) => "",
        (Liking::More, Greater) | (Liking::Less, Less) => "good",
        (Liking::More, Less) | (Liking::Less, Greater) => "bad",
    };
    Change { text, trend, tone }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_parted() {
        for (number, text) in [
            (0, "0"),
            (7, "7"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
            (-1_000, "-1,000"),
            (i64::MIN, "-9,223,372,036,854,775,808"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn shares_are_rounded_to_a_thousandth() {
        assert_eq!(permille(0, 0), 0);
        assert_eq!(permille(5, 0), 0);
        assert_eq!(permille(1, 3), 333);
        assert_eq!(permille(2, 3), 667);
        assert_eq!(permille(1, 2_000), 1);
        assert_eq!(permille(1, 2_001), 0);
        assert_eq!(permille(i64::MAX, i64::MAX), 1_000);
        assert_eq!(permille(i64::MAX, 1), i64::MAX);
        assert_eq!(percent(962), "96.2 %");
        assert_eq!(percent(1_000), "100 %");
        assert_eq!(percent(-5), "-0.5 %");
        assert_eq!(percent(12_345_670), "1,234,567 %");
    }

    #[test]
    fn a_change_says_how_much_and_whether_that_is_good() {
        let said = |now, before, liking| {
            let Change { text, trend, tone } = change(now, before, liking);
            (text, trend, tone)
        };
        let expected = |text: &str, trend, tone| (text.to_owned(), trend, tone);
        assert_eq!(change(0, 0, Liking::More), Change::default());
        assert_eq!(said(3, 0, Liking::More), expected("none before", "up", "good"));
        assert_eq!(said(0, 3, Liking::More), expected("100 % less", "down", "bad"));
        assert_eq!(said(1_124, 1_000, Liking::Neither), expected("12.4 % more", "up", ""));
        assert_eq!(said(900, 1_000, Liking::Less), expected("10 % less", "down", "good"));
        assert_eq!(said(5, 5, Liking::More), expected("as before", "same", ""));
        assert_eq!(said(1_000_001, 1_000_000, Liking::Less), expected("slightly more", "up", "bad"));
        assert_eq!(said(i64::MAX, 1, Liking::Less).2, "bad");
    }

    #[test]
    fn a_share_changes_by_points() {
        assert_eq!(points(500, None, Liking::More), Change::default());
        assert_eq!(points(512, Some(500), Liking::More).text, "1.2 points more");
        assert_eq!(points(488, Some(500), Liking::More).tone, "bad");
        assert_eq!(points(500, Some(500), Liking::More).trend, "same");
    }
}
