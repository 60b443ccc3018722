//! The charts of the page, as shapes and places in per cent: the template draws them, with text in
//! HTML, so that it keeps its size on any screen.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::Serialize;

use super::axis::{Domain, Scale, Tick};
use super::format::{count, cut, figure, figure_text, percent, percent_of, plural, width};
use super::model::ColumnReport;
use planner_profile::{ColumnProfile, Histogram};

/// Maximum number of values of a column that are compared.
const MOST_VALUES: usize = 8;

/// The distributions of a column before and after, above each other on the same scales.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Distribution {
    /// Before, and after if the column is in the cleaned data.
    pub(super) panels: Vec<Panel>,
    /// Labels of the axis.
    pub(super) ticks: Vec<Tick>,
    /// Number of values outside the axis, which are not drawn.
    pub(super) outside: Option<String>,
}

/// One distribution. Areas, not heights, represent numbers of rows: bins may differ in width.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Panel {
    /// `Before` or `After`.
    pub(super) label: &'static str,
    /// SVG path of the bars in a box of 1000 by 100.
    pub(super) path: String,
    /// Rows in the fullest bin.
    pub(super) peak: Option<Tick>,
    /// The median.
    pub(super) median: Option<Tick>,
    /// Description of the panel for screen readers.
    pub(super) description: String,
}

/// A histogram that can be drawn.
struct Bins<'a> {
    profile: &'a ColumnProfile,
    histogram: &'a Histogram,
    // Rows that a counted row stands for.
    weight: f64,
}

impl<'a> Bins<'a> {
    fn new(profile: &'a ColumnProfile) -> Option<Self> {
        let histogram = profile.histogram.as_ref()?;
        let edges = &histogram.edges;
        let counted: f64 = histogram.counts.iter().map(|count| *count as f64).sum();
        let ascending = edges.windows(2).all(|pair| pair[0] <= pair[1]);
        let drawable = edges.len() == histogram.counts.len() + 1
            && edges.iter().all(|edge| edge.is_finite())
            && ascending
            && counted > 0.0;
        let present = profile.rows.saturating_sub(profile.nulls) as f64;
        drawable.then_some(Self {
            profile,
            histogram,
            weight: present / counted,
        })
    }

    fn bounds(&self) -> (f64, f64) {
        let edges = &self.histogram.edges;
        (
            edges.first().copied().unwrap_or(0.0),
            edges.last().copied().unwrap_or(0.0),
        )
    }

    /// Lower edge, upper edge and rows of each bin.
    fn bins(&self) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
        let edges = self.histogram.edges.windows(2);
        let counts = self.histogram.counts.iter();
        edges
            .zip(counts)
            .map(|(pair, count)| (pair[0], pair[1], *count as f64 * self.weight))
    }

    /// Rows below and above the domain; a bin that reaches out counts for the part outside.
    fn outside(&self, domain: Domain) -> (f64, f64) {
        let parts = self.bins().map(|(low, high, rows)| {
            let (left, right) = (domain.place(low), domain.place(high));
            let part = |outside: f64| match right - left {
                width if width > 0.0 => rows * (outside / width).clamp(0.0, 1.0),
                _ if outside > 0.0 => rows,
                _ => 0.0,
            };
            (part(-left), part(right - 1.0))
        });
        parts.fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }

    /// Left end and width of each bar as shares of the domain, and its height as rows by width.
    fn bars(&self, domain: Domain) -> Vec<(f64, f64, f64)> {
        // A bin of no width holds one value many times: it gets the width of a hundredth.
        let bar = |(low, high, rows): (f64, f64, f64)| {
            let (left, right) = (domain.place(low), domain.place(high));
            let whole = (right - left).max(0.01);
            let height = rows / whole;
            let left = if right - left < 0.01 {
                (left + right - whole) / 2.0
            } else {
                left
            };
            let right = (left + whole).min(1.0);
            let left = left.max(0.0);
            (left, right - left, height)
        };
        self.bins()
            .map(bar)
            .filter(|(_, width, height)| *width > 0.0 && *height > 0.0)
            .collect()
    }

    fn panel(&self, label: &'static str, domain: Domain, scale: Scale, tallest: f64) -> Panel {
        let mut path = String::new();
        for (left, width, height) in self.bars(domain) {
            let gap = (width * 60.0).min(1.5);
            let (left, width) = (left * 1000.0 + gap / 2.0, width * 1000.0 - gap);
            // What is not nothing is seen.
            let height = (height / tallest * 100.0).max(0.8);
            // Writing to a string cannot fail.
            let _ = write!(path, "M{left:.1} 100v-{height:.1}h{width:.1}v{height:.1}z");
        }
        let fullest = self
            .bins()
            .filter(|(low, high, _)| low == high || (*high > domain.low && *low < domain.high))
            .reduce(|best, bin| if bin.2 > best.2 { bin } else { best });
        let peak = fullest.map(|(low, high, rows)| {
            domain.tick(low / 2.0 + high / 2.0, count(rows.round() as u64))
        });
        let median = self.profile.median.as_deref().and_then(|text| {
            let value = scale
                .parse(text)
                .filter(|value| (0.0..=1.0).contains(&domain.place(*value)))?;
            Some(domain.tick(value, format!("median {}", figure_text(text))))
        });
        Panel {
            label,
            path,
            peak,
            median,
            description: self.description(label),
        }
    }

    fn description(&self, label: &str) -> String {
        let present = self.profile.rows.saturating_sub(self.profile.nulls);
        let mut text = format!("{label}: {}", plural(present, "value"));
        let figures = [
            ("from", &self.profile.min),
            ("to", &self.profile.max),
            ("median", &self.profile.median),
        ];
        for (word, value) in figures {
            if let Some(value) = value {
                let _ = write!(text, ", {word} {}", figure_text(value));
            }
        }
        text
    }
}

/// Returns the distributions of a column, if it has any.
pub(super) fn distribution(column: &ColumnReport) -> Option<Distribution> {
    let before = Bins::new(&column.before);
    let after = column.after.as_ref().and_then(Bins::new);
    let domain = common_domain(before.as_ref(), after.as_ref())?;
    let scale = Scale::of(&column.column_type);
    let drawn = [("Before", before), ("After", after)];
    let drawn: Vec<_> = drawn
        .iter()
        .filter_map(|(label, bins)| Some((*label, bins.as_ref()?)))
        .collect();
    let heights = drawn
        .iter()
        .flat_map(|(_, bins)| bins.bars(domain))
        .map(|bar| bar.2);
    let tallest = heights.fold(f64::MIN_POSITIVE, f64::max);
    let outside = drawn.iter().filter_map(|(label, bins)| {
        let (below, above) = bins.outside(domain);
        let rows = (below + above).round() as u64;
        let ends = match (below >= 0.5, above >= 0.5) {
            (true, true) => "on both sides",
            (true, false) => "to the left",
            (false, _) => "to the right",
        };
        (rows > 0).then(|| {
            format!(
                "{label}: about {} further {ends}, not drawn.",
                plural(rows, "value")
            )
        })
    });
    let outside: Vec<String> = outside.collect();
    Some(Distribution {
        panels: drawn
            .iter()
            .map(|(label, bins)| bins.panel(label, domain, scale, tallest))
            .collect(),
        ticks: domain.ticks(scale),
        outside: (!outside.is_empty()).then(|| outside.join(" ")),
    })
}

/// Returns the range of both distributions; only that of the cleaned data where it is a small part of the whole and few
/// values are outside, so that removed outliers do not compress everything else into one bar.
fn common_domain(before: Option<&Bins<'_>>, after: Option<&Bins<'_>>) -> Option<Domain> {
    let (before, after) = match (before, after) {
        (None, None) => return None,
        (Some(only), None) | (None, Some(only)) => {
            let (low, high) = only.bounds();
            return Some(Domain::new(low, high));
        }
        (Some(before), Some(after)) => (before, after),
    };
    let (low, high) = before.bounds();
    let (clean_low, clean_high) = after.bounds();
    let whole = Domain::new(low.min(clean_low), high.max(clean_high));
    let clean = Domain::new(clean_low, clean_high);
    let (below, above) = before.outside(clean);
    let present = before.profile.rows.saturating_sub(before.profile.nulls) as f64;
    let small = whole.place(clean.high) - whole.place(clean.low) < 0.25;
    let few = below + above <= present * 0.05;
    Some(if small && few { clean } else { whole })
}

/// A frequent value and its share before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ValueRow {
    /// The value, cut.
    pub(super) value: String,
    /// Its share of the rows before.
    pub(super) before: Option<ShareBar>,
    /// Its share of the rows after.
    pub(super) after: Option<ShareBar>,
}

/// A share as text and as a bar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ShareBar {
    /// The share in per cent.
    pub(super) label: String,
    /// Width of the bar; the largest share of the chart fills it.
    pub(super) width: String,
}

/// Returns the most frequent values of a column, before and after, on the same scale.
pub(super) fn frequent_values(column: &ColumnReport) -> Vec<ValueRow> {
    let none: &[(String, u64)] = &[];
    let before = column.before.top.as_slice();
    let after = column
        .after
        .as_ref()
        .map_or(none, |after| after.top.as_slice());
    // Half of the places for each side, the clean one first.
    let mut seen = BTreeSet::new();
    let mut values: Vec<&str> = Vec::new();
    let half = after.iter().take(MOST_VALUES / 2);
    for (value, _) in half.chain(before).chain(after) {
        if values.len() < MOST_VALUES && seen.insert(value.as_str()) {
            values.push(value);
        }
    }
    let share = |profile: &ColumnProfile, value: &str| {
        let found = profile.top.iter().find(|(top, _)| top == value)?;
        Some(found.1 as f64 / profile.sampled_rows.max(1) as f64)
    };
    let shares: Vec<(&str, Option<f64>, Option<f64>)> = values
        .into_iter()
        .map(|value| {
            let after = column.after.as_ref().and_then(|after| share(after, value));
            (value, share(&column.before, value), after)
        })
        .collect();
    let both = shares
        .iter()
        .flat_map(|(_, before, after)| [*before, *after])
        .flatten();
    let largest = both.fold(f64::MIN_POSITIVE, f64::max);
    let bar = |share: f64| ShareBar {
        label: percent(share),
        width: width(share / largest),
    };
    let row = |(value, before, after): (&str, Option<f64>, Option<f64>)| ValueRow {
        value: if value.is_empty() {
            "(empty)".to_owned()
        } else {
            cut(value, 40)
        },
        before: before.map(bar),
        after: after.map(bar),
    };
    shares.into_iter().map(row).collect()
}

/// A part of the rows of the source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct FlowPart {
    /// Name of its colour: `kept`, `duplicate`, `near`, `removed` or `quarantine`.
    pub(super) kind: &'static str,
    /// What became of the rows.
    pub(super) label: &'static str,
    /// How many.
    pub(super) rows: String,
    /// Their share.
    pub(super) share: String,
    /// Width of the part.
    pub(super) width: String,
    /// Whether the label fits into the part.
    pub(super) wide: bool,
}

/// Returns what became of the rows of the source. `parts` are kinds, labels and numbers of rows.
pub(super) fn row_flow(parts: &[(&'static str, &'static str, u64)]) -> Vec<FlowPart> {
    let total = parts
        .iter()
        .fold(0u64, |sum, part| sum.saturating_add(part.2));
    let part = |(kind, label, rows): &(&'static str, &'static str, u64)| FlowPart {
        kind,
        label,
        rows: count(*rows),
        share: percent_of(*rows, total),
        width: width(*rows as f64 / total.max(1) as f64),
        wide: *rows as f64 > total as f64 * 0.15,
    };
    parts.iter().filter(|part| part.2 > 0).map(part).collect()
}

/// Returns a figure of a column that is a number, for tables.
pub(super) fn optional_figure(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), figure)
}
