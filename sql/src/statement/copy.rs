//! COPY … TO: writes the rows of a query to a file.

use std::sync::Arc;

use datafusion::sql::parser::{CopyToSource, CopyToStatement, DFParser, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{Statement as Sql, Value};
use planner::source::Format;
use planner::spec::Secret;
use planner::storage::Place;

use super::context::StatementContext;
use super::{Answer, plan};
use crate::catalog::{RowFormat, SingleFile, write_file};
use crate::error::{Error, Result};

/// Runs COPY … TO.
pub(super) async fn copy(
    context: &Arc<StatementContext>,
    order: CopyToStatement,
) -> Result<Answer> {
    if !order.partitioned_by.is_empty() {
        return Err(Error::Invalid(
            "COPY … PARTITIONED BY is not supported".to_owned(),
        ));
    }
    let mut options = CopyOptions::read(&order)?;
    let engine = context.session.engine().options();
    engine.check_secret(options.credentials.as_ref())?;
    let place = context
        .session
        .locations()
        .place(&order.target, options.credentials.as_ref())?;
    let single = Format::of_name(&order.target).is_some();
    let format = options.format(&order)?;
    let place = if single {
        place
    } else {
        check_empty(&place)?;
        place.join(&format!("part-00000.{}", format.ending()))
    };
    let query = match order.source {
        CopyToSource::Query(query) => Parsed::Statement(Box::new(Sql::Query(query))),
        CopyToSource::Relation(name) => {
            let mut parsed = DFParser::parse_sql(&format!("SELECT * FROM {name}"))?;
            parsed
                .pop_front()
                .ok_or(Error::Bug("a query that is none"))?
        }
    };
    let rows = plan::plan(context, query).await?.run().await?;
    Ok(Answer::Written(
        write_file(SingleFile { place, format }, rows).await?,
    ))
}

/// A folder takes the rows of one COPY: older files would be taken for a part of them.
fn check_empty(place: &Place) -> Result<()> {
    let Some(folder) = place.local_path() else {
        return Ok(());
    };
    let holds = place.names().is_ok_and(|names| !names.is_empty());
    if holds {
        let folder = folder.name().display();
        return Err(Error::Conflict(format!(
            "{folder} is not empty; name a file, such as {folder}/rows.parquet"
        )));
    }
    Ok(())
}

/// What OPTIONS of COPY say.
#[derive(Debug, Default)]
struct CopyOptions {
    delimiter: Option<u8>,
    header: Option<bool>,
    credentials: Option<Secret>,
}

impl CopyOptions {
    fn read(order: &CopyToStatement) -> Result<Self> {
        let mut options = Self::default();
        for (name, value) in &order.options {
            let text = match value {
                Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
                other => other.to_string(),
            };
            let name = name.to_ascii_lowercase();
            match name.strip_prefix("format.").unwrap_or(&name) {
                "delimiter" => match text.as_bytes() {
                    [byte] if byte.is_ascii() => options.delimiter = Some(*byte),
                    _ => {
                        return Err(Error::Invalid(
                            "delimiter: one ASCII character is expected".to_owned(),
                        ));
                    }
                },
                "header" | "has_header" => {
                    let truth = text.to_ascii_lowercase().parse();
                    options.header = Some(truth.map_err(|_| {
                        Error::Invalid("header: true or false is expected".to_owned())
                    })?);
                }
                "credentials" => {
                    let secret = serde_json::from_value(text.into());
                    options.credentials = Some(
                        secret.map_err(|error| Error::Invalid(format!("credentials: {error}")))?,
                    );
                }
                other => {
                    return Err(Error::Invalid(format!(
                        "COPY has no option {other}; there are delimiter, header, credentials"
                    )));
                }
            }
        }
        Ok(options)
    }

    /// The format that STORED AS names, else the name of the file.
    fn format(&mut self, order: &CopyToStatement) -> Result<RowFormat> {
        let named = order
            .stored_as
            .as_ref()
            .map(|name| name.to_ascii_lowercase());
        let of_file = Format::of_name(&order.target);
        let separated = |delimiter: u8, options: &Self| RowFormat::Csv {
            delimiter: options.delimiter.unwrap_or(delimiter),
            header: options.header.unwrap_or(true),
        };
        let target = order.target.to_ascii_lowercase();
        if [".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz"]
            .iter()
            .any(|e| target.ends_with(e))
        {
            return Err(Error::Invalid(
                "COPY does not compress files as a whole".to_owned(),
            ));
        }
        Ok(match (named.as_deref(), of_file) {
            (Some("parquet"), _) | (None, Some(Format::Parquet) | None) => RowFormat::Parquet,
            (Some("csv"), _) | (None, Some(Format::Csv)) => separated(b',', self),
            (Some("tsv"), _) | (None, Some(Format::Tsv)) => separated(b'\t', self),
            (Some("json" | "jsonl" | "ndjson"), _) | (None, Some(Format::Jsonl | Format::Json)) => {
                RowFormat::Jsonl
            }
            (Some(other), _) => {
                return Err(Error::Invalid(format!(
                    "COPY writes Parquet, CSV, TSV and JSON lines, not {other}"
                )));
            }
            (None, Some(Format::Excel)) => {
                return Err(Error::Invalid(
                    "COPY writes Parquet, CSV, TSV and JSON lines, not spreadsheets".to_owned(),
                ));
            }
        })
    }
}
