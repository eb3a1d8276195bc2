//! Days in a row, and how a chart of them is cut: by day as long as each can be told from the next, by week beyond that.

use super::chart::{Bars, Point, Series, bars, edge, labels, table, ticks};
use super::show::utc;
use crate::store::console::statistics::Sums;
use chappe_core::Time;
use chappe_core::statistics::Counters;

/// So many days are drawn one by one at most.
const DAYS_DRAWN: i32 = 31;
const WEEK: i32 = 7;

/// Days, counted from 1970-01-01 in UTC; both ends are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: i32,
    pub(super) to: i32,
}

impl Span {
    pub(super) fn holds(self, day: i32) -> bool {
        (self.from..=self.to).contains(&day)
    }

    /// How many days.
    pub(super) fn length(self) -> i32 {
        self.to - self.from + 1
    }

    /// As many days right before.
    pub(super) fn before(self) -> Span {
        Span { from: self.from - self.length(), to: self.from - 1 }
    }

    pub(super) fn in_words(self) -> String {
        self.worded("%-d %B")
    }

    fn worded(self, format: &str) -> String {
        match self.from == self.to {
            true => date(self.to, format),
            false => format!("{} to {}", date(self.from, format), date(self.to, format)),
        }
    }

    /// What a chart draws one bar for, the earliest first. Weeks end with the last day, so that the latest is whole; the
    /// first may be shorter.
    fn pieces(self) -> Vec<Span> {
        if self.length() <= DAYS_DRAWN {
            return (self.from..=self.to).map(|day| Span { from: day, to: day }).collect();
        }
        let weeks = (self.length() + WEEK - 1) / WEEK;
        let week = |back: i32| {
            let to = self.to - back * WEEK;
            Span { from: self.from.max(to - WEEK + 1), to }
        };
        (0..weeks).rev().map(week).collect()
    }
}

/// A day as a text.
pub(super) fn date(day: i32, format: &str) -> String {
    utc(Time::from_secs(i64::from(day) * 86_400), format)
}

/// What all days of a span add up to.
pub(super) fn total(sums: &Sums, span: Span) -> Counters {
    let mut total = Counters::default();
    sums.days.iter().filter(|(day, _)| span.holds(*day)).for_each(|(_, counters)| total += *counters);
    total
}

/// What a chart of days shows.
pub(super) struct Chart<'a> {
    pub(super) id: &'static str,
    /// What the table is of, beside the days.
    pub(super) series: &'a [Series],
    /// What the first series counts, as in "were sent"; and what is said if there is none.
    pub(super) most: &'static str,
    pub(super) nothing: &'static str,
    /// A value as a text.
    pub(super) written: fn(i64) -> String,
}

impl Chart<'_> {
    /// Draws a span: `values` gives one for each series, `href` the list behind a bar.
    pub(super) fn draw(
        &self,
        sums: &Sums,
        span: Span,
        values: impl Fn(&Counters) -> Vec<i64>,
        href: impl Fn(Span) -> String,
    ) -> Bars {
        let pieces = span.pieces();
        let by_week = pieces.iter().any(|piece| piece.length() > 1);
        let point = |piece: &Span| Point {
            href: href(*piece),
            label: piece.worded("%-d %b"),
            tick: date(piece.from, "%-d %b"),
            values: values(&total(sums, *piece)),
        };
        let drawn: Vec<Point> = pieces.iter().map(point).collect();
        let first = |point: &Point| point.values.first().copied().unwrap_or_default();
        // Of several with as many, the latest.
        let most = drawn.iter().zip(&pieces).max_by_key(|(point, _)| first(point));
        let summary = match most.map(|(point, piece)| (first(point), piece)) {
            Some((value, piece)) if value > 0 => {
                let when = if by_week { "from" } else { "on" };
                let most = self.most;
                let weeks = if by_week { "Weeks end today; days" } else { "Days" };
                format!("{most} {when} {}: {}. {weeks} are in UTC.", piece.in_words(), (self.written)(value))
            }
            _ => self.nothing.to_owned(),
        };
        let top = edge(drawn.iter().map(first).max().unwrap_or_default());
        let title = |point: &Point| {
            let parts = self.series.iter().zip(&point.values);
            let parts = parts
                .map(|(series, value)| format!("{} {}", (self.written)(*value), series.label.to_lowercase()));
            format!("{}: {}", point.label, parts.collect::<Vec<_>>().join(", "))
        };
        let head = std::iter::once(if by_week { "Week" } else { "Day" });
        Bars {
            id: self.id,
            title: if by_week { "Week by week" } else { "Day by day" },
            summary,
            top: (self.written)(top),
            ticks: ticks(&drawn),
            bars: bars(&drawn, self.series, top, title),
            series: self.series.to_vec(),
            head: labels(head.chain(self.series.iter().map(|series| series.label))),
            rows: table(&drawn, self.written),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::figure::grouped;
    use chappe_core::Money;

    const CHART: Chart<'static> = Chart {
        id: "days",
        series: &[Series { class: "a", label: "Sent" }],
        most: "Most were sent",
        nothing: "Nothing was sent.",
        written: grouped,
    };

    fn drawn(days: &[(i32, i64)], span: Span) -> Bars {
        let day = |(day, sent): &(i32, i64)| {
            (*day, Counters { sent: *sent, charged: Money::ZERO, ..Counters::default() })
        };
        let sums = Sums { days: days.iter().map(day).collect(), ..Sums::default() };
        CHART.draw(
            &sums,
            span,
            |counters| vec![counters.sent],
            |piece| format!("/{}-{}", piece.from, piece.to),
        )
    }

    #[test]
    fn the_period_before_is_as_long_and_right_before() {
        let span = Span { from: 71, to: 100 };
        assert_eq!(span.before(), Span { from: 41, to: 70 });
        assert_eq!(Span { from: 100, to: 100 }.before(), Span { from: 99, to: 99 });
        assert_eq!(Span { from: 0, to: 1 }.in_words(), "1 January to 2 January");
    }

    #[test]
    fn every_day_is_in_one_piece() {
        for length in [1, 7, 30, 31, 32, 35, 90, 91, 366] {
            let span = Span { from: 101 - length, to: 100 };
            let pieces = span.pieces();
            assert_eq!((pieces[0].from, pieces[pieces.len() - 1].to), (span.from, 100), "{length}");
            assert!(pieces.windows(2).all(|pair| pair[0].to + 1 == pair[1].from), "{length}");
            assert_eq!(pieces.iter().all(|piece| piece.length() == 1), length <= DAYS_DRAWN);
            assert!(pieces.iter().skip(1).all(|piece| [1, WEEK].contains(&piece.length())), "{length}");
        }
        assert_eq!(Span { from: 11, to: 100 }.pieces().len(), 13);
    }

    #[test]
    fn days_are_drawn_one_by_one_and_months_by_week() {
        let days = drawn(&[(99, 7), (100, 7)], Span { from: 94, to: 100 });
        assert_eq!((days.title, days.bars.len(), days.rows.len()), ("Day by day", 7, 7));
        assert_eq!(days.summary, "Most were sent on 11 April: 7. Days are in UTC.");
        assert_eq!(days.bars[6].title, "11 Apr: 7 sent");

        let weeks = drawn(&[(11, 1), (93, 2), (94, 1_000), (100, 234)], Span { from: 11, to: 100 });
        assert_eq!((weeks.title, weeks.bars.len(), weeks.rows.len()), ("Week by week", 13, 13));
        assert_eq!(
            weeks.summary,
            "Most were sent from 5 April to 11 April: 1,234. Weeks end today; days are in UTC."
        );
        assert_eq!(
            (weeks.bars[12].title.as_str(), weeks.bars[12].href.as_str()),
            ("5 Apr to 11 Apr: 1,234 sent", "/94-100")
        );
        assert_eq!(weeks.ticks[4].text, "5 Apr");
        assert_eq!(weeks.head, labels(["Week", "Sent"]));

        let none = drawn(&[(1, 1)], Span { from: 94, to: 100 });
        assert_eq!((none.summary.as_str(), none.top.as_str()), ("Nothing was sent.", "1"));
    }
}
