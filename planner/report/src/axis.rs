//! The horizontal axis of a distribution: round numbers or round dates.

use chrono::{Datelike, Days, Months, NaiveDate};
use serde::Serialize;

use super::format::{day, figure};

/// A label on an axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Tick {
    /// Place in per cent of the width, such as `12.5%`.
    pub(super) left: String,
    /// Which way the label grows, so that it stays inside: `start`, `middle` or `end`.
    pub(super) anchor: &'static str,
    /// The label.
    pub(super) label: String,
}

/// What the numbers of an axis mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Numbers.
    Number,
    /// Days since 1970.
    Date,
    /// Microseconds since 1970.
    Timestamp,
}

const MICROSECONDS_A_DAY: f64 = 86_400e6;

impl Scale {
    /// Returns the scale of a column type.
    pub(super) fn of(column_type: &str) -> Self {
        match column_type {
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            _ => Self::Number,
        }
    }

    /// Returns the number of a value as profiles write it.
    pub(super) fn parse(self, text: &str) -> Option<f64> {
        let days = |text: &str| {
            let date: NaiveDate = text.get(..10)?.parse().ok()?;
            Some(f64::from(date.num_days_from_ce() - 719_163))
        };
        match self {
            Self::Number => text.parse().ok().filter(|value: &f64| value.is_finite()),
            Self::Date => days(text),
            Self::Timestamp => days(text).map(|days| days * MICROSECONDS_A_DAY),
        }
    }
}

/// The part of a scale that is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Domain {
    /// Left end.
    pub(super) low: f64,
    /// Right end, above the left one.
    pub(super) high: f64,
}

impl Domain {
    /// Returns the domain between two finite numbers, widened if they are the same.
    pub(super) fn new(low: f64, high: f64) -> Self {
        if high > low {
            return Self { low, high };
        }
        let margin = (low.abs() * 0.05).max(0.5);
        Self {
            low: low - margin,
            high: low + margin,
        }
    }

    /// Place of a number, 0 to 1 inside the domain.
    pub(super) fn place(self, value: f64) -> f64 {
        // Halved, so that no difference of finite numbers overflows.
        (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
    }

    /// Returns a label at a number.
    pub(super) fn tick(self, value: f64, label: String) -> Tick {
        let place = self.place(value).clamp(0.0, 1.0);
        let anchor = match place {
            p if p < 0.08 => "start",
            p if p > 0.92 => "end",
            _ => "middle",
        };
        Tick {
            left: super::format::width(place),
            anchor,
            label,
        }
    }

    /// Returns a few round labels inside the domain.
    pub(super) fn ticks(self, scale: Scale) -> Vec<Tick> {
        let ticks = match scale {
            Scale::Number => self.number_ticks(),
            Scale::Date => self.date_ticks(1.0),
            Scale::Timestamp => self.date_ticks(MICROSECONDS_A_DAY),
        };
        ticks
            .into_iter()
            .map(|(value, label)| self.tick(value, label))
            .collect()
    }

    fn number_ticks(self) -> Vec<(f64, String)> {
        let step = round_step((self.high - self.low) / 4.0);
        if !step.is_finite() || step <= 0.0 {
            return vec![(self.low, figure(self.low)), (self.high, figure(self.high))];
        }
        let first = (self.low / step).ceil();
        (0..8)
            .map(|number| (first + f64::from(number)) * step)
            .take_while(|value| *value <= self.high)
            .map(|value| (value, short_number(value)))
            .collect()
    }

    /// Labels at the starts of years or months, or every few days.
    fn date_ticks(self, day_length: f64) -> Vec<(f64, String)> {
        let (Some(low), Some(high)) = (day(self.low / day_length), day(self.high / day_length))
        else {
            return Vec::new();
        };
        let days = (high - low).num_days();
        let number = |date: NaiveDate| f64::from(date.num_days_from_ce() - 719_163) * day_length;
        let label = |date: NaiveDate, months: u32| match months {
            12.. => date.format("%Y").to_string(),
            1.. => date.format("%b %Y").to_string(),
            0 => date.format("%-d %b %Y").to_string(),
        };
        let (mut date, months) = first_round_date(low, days);
        let day_step = (days as u64 / 3).max(1);
        let mut ticks = Vec::new();
        while date <= high && ticks.len() < 8 {
            if number(date) >= self.low {
                ticks.push((number(date), label(date, months)));
            }
            let next = match months {
                0 => date.checked_add_days(Days::new(day_step)),
                months => date.checked_add_months(Months::new(months)),
            };
            match next {
                Some(next) => date = next,
                None => break,
            }
        }
        ticks
    }
}

/// The first date of the axis, and the months to the next one; none for steps in days.
fn first_round_date(low: NaiveDate, days: i64) -> (NaiveDate, u32) {
    const STEPS: [u32; 14] = [
        1, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 2400, 6000, 12_000, 60_000,
    ];
    if days < 80 {
        return (low, 0);
    }
    let fits = |months: &&u32| days / 30 / i64::from(**months) <= 5;
    let months = STEPS.iter().find(fits).copied().unwrap_or(60_000);
    let start = i64::from(low.year()) * 12 + i64::from(low.month0());
    let start = start - start.rem_euclid(i64::from(months));
    let year = i32::try_from(start.div_euclid(12)).unwrap_or(i32::MAX);
    let month = start.rem_euclid(12) as u32 + 1;
    (
        NaiveDate::from_ymd_opt(year, month, 1).unwrap_or(low),
        months,
    )
}

/// The smallest of 1, 2, 5, 10, … that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|round| *round >= step * 0.999)
        .unwrap_or(step)
}

fn short_number(value: f64) -> String {
    let units = [("T", 1e12), ("B", 1e9), ("M", 1e6)];
    for (unit, factor) in units {
        if value.abs() >= factor && value.abs() < 1e15 {
            return format!("{}{unit}", figure(value / factor));
        }
    }
    figure(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, scale: Scale) -> Vec<String> {
        let ticks = Domain::new(low, high).ticks(scale);
        ticks.into_iter().map(|tick| tick.label).collect()
    }

    /// Labels are round numbers and round dates, few, whatever the domain.
    #[test]
    fn labels_are_round() {
        assert_eq!(labels(0.0, 97.0, Scale::Number), ["0", "50"]);
        assert_eq!(labels(18.0, 95.0, Scale::Number), ["20", "40", "60", "80"]);
        assert_eq!(
            labels(0.0, 4e6, Scale::Number),
            ["0", "1M", "2M", "3M", "4M"]
        );
        assert_eq!(
            labels(18_262.0, 19_358.0, Scale::Date),
            ["2020", "2021", "2022", "2023"]
        );
        assert_eq!(
            labels(18_262.0, 18_412.0, Scale::Date)
                .first()
                .map(String::as_str),
            Some("Jan 2020")
        );
        for (low, high) in [
            (f64::MIN, f64::MAX),
            (5.0, 5.0),
            (1e300, 1e308),
            (0.0, f64::MIN_POSITIVE),
        ] {
            for scale in [Scale::Number, Scale::Date, Scale::Timestamp] {
                assert!(labels(low, high, scale).len() <= 8);
            }
        }
    }

    /// The text of a median finds its place on the axis.
    #[test]
    fn values_have_a_place() {
        assert_eq!(Scale::Number.parse("41.5"), Some(41.5));
        assert_eq!(Scale::Number.parse("inf"), None);
        assert_eq!(Scale::Date.parse("1970-01-02"), Some(1.0));
        assert_eq!(
            Scale::Timestamp.parse("1970-01-02T03:04:05Z"),
            Some(86_400e6)
        );
        assert_eq!(Scale::Date.parse("é2021-03-04"), None);
    }
}
