//! SQL functions of dates.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result, ScalarValue};

use super::cell_function::{CellFunction, OptionCount, document, text_options};
use crate::kernels::cell::CellKernel;
use crate::kernels::date::{DateFormats, DayMonthOrder, NormalizeDate};

/// `normalize_date(x[, format...])`: dates and timestamps in the notation of ISO 8601.
pub fn normalize_date() -> CellFunction {
    CellFunction::new(
        "normalize_date",
        OptionCount::up_to(usize::MAX - 1),
        date_kernel,
        document(
            "Writes a date as `YYYY-MM-DD`, one with a time as `YYYY-MM-DDTHH:MM:SS`; in UTC with a \
             `Z` where the text tells its offset. Null where the text is no date.",
            "normalize_date(text[, format, ...])",
            "normalize_date('31.12.2023', '%d.%m.%Y', '%Y-%m-%d')",
            "2023-12-31",
        )
        .with_argument("text", "The text to read.")
        .with_argument(
            "format",
            "Formats in the language of strftime, the first that fits reads the cell; or \
             `day_first` or `month_first` (as if left out) for the usual notations, with \
             `03/04/2021` read in that order.",
        )
        .build(),
    )
}

fn date_kernel(options: &[ScalarValue]) -> Result<Arc<dyn CellKernel>> {
    let options = text_options("normalize_date", options)?;
    let formats = match options.as_slice() {
        [] => DateFormats::usual(DayMonthOrder::MonthFirst),
        [order] if order == "month_first" => DateFormats::usual(DayMonthOrder::MonthFirst),
        [order] if order == "day_first" => DateFormats::usual(DayMonthOrder::DayFirst),
        formats => DateFormats::parse(formats)
            .map_err(|error| DataFusionError::Plan(format!("normalize_date: {error}")))?,
    };
    Ok(Arc::new(NormalizeDate::new(formats)))
}
