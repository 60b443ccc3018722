//! The reference page of all metrics.

use std::fmt::Write as _;

use super::{Metric, Metrics, Role};

fn row(metric: &Metric) -> String {
    let labels = metric
        .labels
        .iter()
        .map(|(name, values)| match values.is_empty() {
            true => format!("`{name}`"),
            false => format!("`{name}` ({})", values.join(", ")),
        });
    let labels: Vec<String> = labels.collect();
    format!(
        "| `{}` | {} | {} | {} |",
        metric.name,
        metric.kind.name(),
        labels.join("; "),
        metric.help
    )
}

/// Returns the page in Markdown.
pub(super) fn metrics_page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         In the text format of Prometheus, at `/metrics` of the address that `--metrics` (or `SANITIZER_METRICS`) names. Series whose\n\
         labels are known beforehand are there from the start, with 0. Counters and histograms are of one process, and begin anew with it; add them\n\
         up. `tenant` has at most 100 values, all others are `other`. No label holds a job or a value of data. On Linux the usual `process_*` are there too.\n",
    );
    for (role, title) in [
        (Role::All, "All processes"),
        (Role::Service, "`sanitizer serve` and `sanitizer scheduler`"),
        (Role::Scheduler, "`sanitizer scheduler` alone"),
        (Role::Executor, "`sanitizer executor`"),
    ] {
        let _ = write!(
            page,
            "\n## {title}\n\n| name | kind | labels | |\n|---|---|---|---|\n"
        );
        for metric in Metrics::LIST.iter().filter(|metric| metric.role == role) {
            page.push_str(&row(metric));
            page.push('\n');
        }
    }
    page
}
