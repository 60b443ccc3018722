//! Kinds of metrics: each is a family of series, one for each combination of label values.

use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry};

/// Bucket bounds of durations, from a fast response to a long job.
const SECONDS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0,
    300.0, 600.0, 1800.0, 3600.0, 7200.0,
];

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that only grows.
    Counter,
    /// A value that rises and falls.
    Gauge,
    /// Counts of values by bucket, with their sum and total count.
    Histogram,
}

impl Kind {
    /// Returns its name in Prometheus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The processes that export a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `sanitizer serve` and `sanitizer scheduler`.
    Service,
    /// `sanitizer scheduler`.
    Scheduler,
    /// `sanitizer executor`.
    Executor,
    /// All processes.
    All,
}

impl Role {
    /// Returns whether a process of this role exports the metrics of another role.
    pub(super) fn has(self, metric: Role) -> bool {
        metric == self
            || metric == Self::All
            || (self == Self::Scheduler && metric == Self::Service)
    }
}

/// Static description of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Full name, with the prefix.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Labels with their possible values; an empty list where these are not known in advance.
    pub labels: &'static [(&'static str, &'static [&'static str])],
    /// Processes that export it.
    pub role: Role,
    /// What it counts, and the unit.
    pub help: &'static str,
}

impl Metric {
    /// Returns all combinations of label values; none where these are not known in advance.
    pub(super) fn known(&self) -> Vec<Vec<&'static str>> {
        self.labels
            .iter()
            .fold(vec![Vec::new()], |rows, (_, values)| {
                let longer = rows.iter().flat_map(|row| {
                    values.iter().map(move |value| {
                        let mut row = row.clone();
                        row.push(*value);
                        row
                    })
                });
                longer.collect()
            })
    }

    fn names(&self) -> Vec<&'static str> {
        self.labels.iter().map(|(name, _)| *name).collect()
    }
}

/// A family of series.
pub(super) trait Family: Sized {
    const KIND: Kind;

    /// Registers the family.
    fn make(metric: &Metric, registry: &Registry) -> prometheus::Result<Self>;

    /// Initializes a series, so that it is exported with its first value.
    fn touch(&self, labels: &[&str]);
}

/// A counter with `N` labels.
#[derive(Debug)]
pub struct Counter<const N: usize>(CounterVec);

impl<const N: usize> Counter<N> {
    /// Adds to a series; adding 0 initializes it.
    pub fn add(&self, labels: [&str; N], amount: f64) {
        if amount >= 0.0
            && let Ok(series) = self.0.get_metric_with_label_values(&labels)
        {
            series.inc_by(amount);
        }
    }

    /// Adds one to a series.
    pub fn count(&self, labels: [&str; N]) {
        self.add(labels, 1.0);
    }
}

/// A gauge with `N` labels.
#[derive(Debug)]
pub struct Gauge<const N: usize>(GaugeVec);

impl<const N: usize> Gauge<N> {
    /// Sets a series.
    pub fn set(&self, labels: [&str; N], value: f64) {
        if let Ok(series) = self.0.get_metric_with_label_values(&labels) {
            series.set(value);
        }
    }

    /// Adds to a series; a negative amount subtracts.
    pub fn add(&self, labels: [&str; N], amount: f64) {
        if let Ok(series) = self.0.get_metric_with_label_values(&labels) {
            series.add(amount);
        }
    }
}

impl Gauge<0> {
    /// Increments the gauge until the guard is dropped.
    pub fn hold(&'static self) -> Held {
        self.add([], 1.0);
        Held(self)
    }
}

/// Decrements its gauge when dropped.
#[derive(Debug)]
pub struct Held(&'static Gauge<0>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.add([], -1.0);
    }
}

/// A histogram of durations with `N` labels.
#[derive(Debug)]
pub struct Histogram<const N: usize>(HistogramVec);

impl<const N: usize> Histogram<N> {
    /// Records a duration in seconds.
    pub fn observe(&self, labels: [&str; N], seconds: f64) {
        if let Ok(series) = self.0.get_metric_with_label_values(&labels) {
            series.observe(seconds.max(0.0));
        }
    }
}

macro_rules! family {
    ($family:ident, $vector:ident, $options:expr) => {
        impl<const N: usize> Family for $family<N> {
            const KIND: Kind = Kind::$family;

            fn make(metric: &Metric, registry: &Registry) -> prometheus::Result<Self> {
                let made = $vector::new(($options)(metric), &metric.names())?;
                registry.register(Box::new(made.clone()))?;
                Ok(Self(made))
            }

            fn touch(&self, labels: &[&str]) {
                let _ = self.0.get_metric_with_label_values(labels);
            }
        }
    };
}

fn options(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

family!(Counter, CounterVec, options);
family!(Gauge, GaugeVec, options);
family!(Histogram, HistogramVec, |metric: &Metric| {
    HistogramOpts::from(options(metric)).buckets(SECONDS.to_vec())
});
