//! Charts, drawn by the server: from whole numbers to shapes in whole numbers, without a look at anything else.
//!
//! A chart is 1000 wide and 200 high, whatever its size on the page. The numbers behind it stand in a table beside it.

/// How wide a drawing is.
const WIDTH: i64 = 1_000;
/// How high a drawing is.
const HEIGHT: i64 = 200;
/// How wide a bar gets at most, where there are few.
const BAR_MAX: i64 = 120;
/// How many labels stand below a chart at most.
const TICKS_MAX: usize = 5;

/// A text, as templates ask for one in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) text: String,
}

/// What a layer of the bars shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Series {
    /// The class that colours it: `a`, `b` or `c`.
    pub(super) class: &'static str,
    pub(super) label: &'static str,
}

/// A layer of a bar, from its upper edge down to the ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) class: &'static str,
    pub(super) y: i64,
    pub(super) height: i64,
}

/// A bar: one layer in front of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    /// The list behind it; empty for none.
    pub(super) href: String,
    pub(super) title: String,
    pub(super) x: i64,
    pub(super) width: i64,
    pub(super) layers: Vec<Layer>,
}

/// A row of the table behind a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableRow {
    /// The list behind it; empty for none.
    pub(super) href: String,
    pub(super) label: String,
    pub(super) cells: Vec<Label>,
}

/// Bars over time, and the table behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bars {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// One sentence that says what is to be seen.
    pub(super) summary: String,
    /// What the upper edge stands for.
    pub(super) top: String,
    pub(super) ticks: Vec<Label>,
    pub(super) series: Vec<Series>,
    pub(super) bars: Vec<Bar>,
    pub(super) head: Vec<Label>,
    pub(super) rows: Vec<TableRow>,
}

/// What is to be drawn of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) href: String,
    pub(super) label: String,
    /// What stands below the chart, if its label does.
    pub(super) tick: String,
    /// A value for each series, none below zero.
    pub(super) values: Vec<i64>,
}

/// Texts, as templates ask for them in a list.
pub(super) fn labels<T: ToString>(texts: impl IntoIterator<Item = T>) -> Vec<Label> {
    texts.into_iter().map(|text| Label { text: text.to_string() }).collect()
}

/// The round number at the upper edge of a chart of values up to `most`: 1, 2 or 5 with zeros, and at least 1.
pub(super) fn edge(most: i64) -> i64 {
    let mut power: i64 = 1;
    loop {
        for step in [1, 2, 5] {
            match power.checked_mul(step) {
                Some(edge) if edge >= most => return edge,
                Some(_) => {}
                None => return i64::MAX,
            }
        }
        match power.checked_mul(10) {
            Some(next) => power = next,
            None => return i64::MAX,
        }
    }
}

/// How high a value stands below an edge. What is not nothing can be seen.
fn height(value: i64, edge: i64) -> i64 {
    if value <= 0 {
        return 0;
    }
    let scaled = i128::from(value) * i128::from(HEIGHT) / i128::from(edge.max(1));
    i64::try_from(scaled).unwrap_or(HEIGHT).clamp(2, HEIGHT)
}

/// Bars over `points`, one beside the other: the first series behind, the last in front.
pub(super) fn bars(
    points: &[Point],
    series: &[Series],
    edge: i64,
    title: impl Fn(&Point) -> String,
) -> Vec<Bar> {
    let count = i64::try_from(points.len()).unwrap_or(i64::MAX).max(1);
    let bar = |(at, point): (i64, &Point)| {
        let (from, to) = (at * WIDTH / count, (at + 1) * WIDTH / count);
        let width = ((to - from) * 4 / 5).clamp(1, BAR_MAX);
        let layer = |(series, value): (&Series, &i64)| {
            let height = height(*value, edge);
            Layer { class: series.class, y: HEIGHT - height, height }
        };
        let layers = series.iter().zip(&point.values).map(layer).filter(|layer| layer.height > 0);
        Bar {
            href: point.href.clone(),
            title: title(point),
            x: from + (to - from - width) / 2,
            width,
            layers: layers.collect(),
        }
    };
    (0..).zip(points).map(bar).collect()
}

/// The labels below a chart, spread evenly from the first point to the last.
pub(super) fn ticks(points: &[Point]) -> Vec<Label> {
    let last = points.len().saturating_sub(1);
    let count = points.len().min(TICKS_MAX);
    let at = |tick: usize| if count < 2 { 0 } else { (tick * last + (count - 1) / 2) / (count - 1) };
    labels((0..count).filter_map(|tick| points.get(at(tick))).map(|point| &point.tick))
}

/// The table behind a chart: the latest first, with each value as it is `written`.
pub(super) fn table(points: &[Point], written: fn(i64) -> String) -> Vec<TableRow> {
    let row = |point: &Point| TableRow {
        href: point.href.clone(),
        label: point.label.clone(),
        cells: labels(point.values.iter().map(|value| written(*value))),
    };
    points.iter().rev().map(row).collect()
}

/// The upper edges of the steps of a funnel, each in a drawing 100 by 100: from the step's own share, in thousandths of the
/// first step, to that of the next one. The last stays where it is.
pub(super) fn steps(shares: &[i64]) -> Vec<String> {
    // A little room above, so that the whole does not touch the edge.
    let y = |share: i64| 100 - share.clamp(0, 1_000) * 96 / 1_000;
    let next = |at: usize, share: i64| shares.get(at + 1).copied().unwrap_or(share);
    let line = |(at, share): (usize, &i64)| format!("0,{} 100,{}", y(*share), y(next(at, *share)));
    shares.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::figure::grouped;

    const SERIES: [Series; 2] =
        [Series { class: "a", label: "Sent" }, Series { class: "b", label: "Delivered" }];

    fn point(label: &str, values: &[i64]) -> Point {
        let (href, label, tick) = (format!("/requests?on={label}"), label.to_owned(), label.to_owned());
        Point { href, label, tick, values: values.to_vec() }
    }

    fn drawn(points: &[Point]) -> Vec<Bar> {
        let most = points.iter().flat_map(|point| point.values.iter().copied()).max().unwrap_or(0);
        bars(points, &SERIES, edge(most), |point| point.label.clone())
    }

    #[test]
    fn the_edge_is_the_next_round_number() {
        for (most, expected) in [
            (i64::MIN, 1),
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 5),
            (6, 10),
            (10, 10),
            (11, 20),
            (499, 500),
            (501, 1_000),
            (1_000_001, 2_000_000),
            (5_000_000_000_000_000_001, i64::MAX),
            (i64::MAX, i64::MAX),
        ] {
            assert_eq!(edge(most), expected, "{most}");
        }
    }

    #[test]
    fn no_value_draws_nothing() {
        assert_eq!(drawn(&[]), []);
        assert_eq!(ticks(&[]), []);
        assert_eq!(table(&[], grouped), []);
        assert_eq!(steps(&[]), Vec::<String>::new());
        assert_eq!(drawn(&[point("1", &[0, 0])])[0].layers, []);
    }

    #[test]
    fn one_day_is_one_bar_in_the_middle() {
        let bars = drawn(&[point("1", &[4, 1])]);
        assert_eq!((bars.len(), bars[0].x, bars[0].width), (1, 440, 120));
        assert_eq!(bars[0].layers[0], Layer { class: "a", y: 40, height: 160 });
        assert_eq!(bars[0].layers[1], Layer { class: "b", y: 160, height: 40 });
        assert_eq!(ticks(&[point("1", &[4, 1])]), labels(["1"]));
    }

    #[test]
    fn bars_stay_inside_and_apart() {
        for count in [1, 2, 7, 30, 90, 366, 1_000] {
            let points: Vec<_> = (0..count).map(|at| point(&at.to_string(), &[at, at / 2])).collect();
            let bars = drawn(&points);
            assert_eq!(bars.len(), points.len());
            assert!(bars.iter().all(|bar| bar.width >= 1 && bar.x >= 0 && bar.x + bar.width <= WIDTH));
            assert!(bars.windows(2).all(|pair| pair[0].x + pair[0].width <= pair[1].x), "{count}");
        }
    }

    #[test]
    fn huge_and_tiny_values_fit_into_one_drawing() {
        let bars = drawn(&[point("1", &[i64::MAX, 1]), point("2", &[1, 0])]);
        assert_eq!(bars[0].layers[0], Layer { class: "a", y: 0, height: HEIGHT });
        assert_eq!(bars[0].layers[1].height, 2, "one of many can still be seen");
        assert_eq!((bars[1].layers.len(), bars[1].layers[0].height), (1, 2));
    }

    #[test]
    fn labels_stand_at_both_ends_and_evenly_between() {
        let points: Vec<_> = (1..=30).map(|at| point(&at.to_string(), &[at])).collect();
        assert_eq!(ticks(&points), labels(["1", "8", "16", "23", "30"]));
        assert_eq!(ticks(&points[..2]), labels(["1", "2"]));
    }

    #[test]
    fn the_table_begins_with_the_latest() {
        let rows = table(&[point("1", &[1_000, 2]), point("2", &[3, 4])], grouped);
        assert_eq!((rows[0].label.as_str(), rows[1].label.as_str()), ("2", "1"));
        assert_eq!(rows[1].cells, labels(["1,000", "2"]));
    }

    #[test]
    fn steps_go_from_share_to_share() {
        assert_eq!(steps(&[1_000, 500, 0]), ["0,4 100,52", "0,52 100,100", "0,100 100,100"]);
        assert_eq!(steps(&[2_000, -5]), ["0,4 100,100", "0,100 100,100"]);
    }
}
