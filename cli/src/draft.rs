//! `sanitizer init`: a commented job spec to start from.

use std::fmt::Write as _;
use std::path::Path;

use planner::contract::ContractColumn;
use planner::profile::ColumnProfile;
use planner::spec::ColumnType;

use crate::arguments::InitArguments;
use crate::describe::{Described, look};

/// Looks at data and prints a spec for it.
pub(crate) fn init(arguments: &InitArguments) -> anyhow::Result<()> {
    let described = look(&arguments.data)?;
    print!("{}", draft(&arguments.data, &described)?);
    Ok(())
}

fn draft(location: &str, described: &Described) -> anyhow::Result<String> {
    let name = Path::new(location).file_stem().map_or_else(
        || "dataset".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    );
    let mut text = String::new();
    writeln!(
        text,
        "# A job for {location}: {} rows, {} columns.",
        described.source.total_rows,
        described.contract.columns.len()
    )?;
    writeln!(text, "# Run it with: sanitizer run THIS_FILE")?;
    for note in &described.source.notes {
        writeln!(text, "# note: {}", note.replace('\n', " "))?;
    }
    writeln!(text, "version: 1\nname: {}", scalar(&name)?)?;
    writeln!(text, "source:\n  location: {}", scalar(location)?)?;
    writeln!(text, "dataset:\n  # Texts that mean \"no value\".")?;
    writeln!(
        text,
        "  missing_values: {}",
        list(&described.contract.missing_values)?
    )?;
    if described.contract.columns.iter().any(found_pii) {
        writeln!(
            text,
            "  # What becomes of columns with pii: true: hash, redact, exclude or keep."
        )?;
        writeln!(
            text,
            "  # hash takes its salt (16 bytes or more) from the environment."
        )?;
        writeln!(
            text,
            "  pii_strategy: redact\n  pii_salt: env:SANITIZER_SALT"
        )?;
    }
    writeln!(text, "  columns:")?;
    for (column, profile) in described.contract.columns.iter().zip(&described.profiles) {
        describe_column(&mut text, column, profile)?;
    }
    steps(&mut text, described)?;
    writeln!(
        text,
        "output:\n  location: {}",
        scalar(&format!("{name}-clean"))?
    )?;
    writeln!(text, "  format: parquet        # or csv, jsonl")?;
    writeln!(
        text,
        "options: {{seed: 42, memory_limit: 4GiB, partitions: auto}}"
    )?;
    Ok(text)
}

fn found_pii(column: &ContractColumn) -> bool {
    column
        .inferred
        .as_ref()
        .is_some_and(|seen| seen.pii.is_some())
}

fn describe_column(
    text: &mut String,
    column: &ContractColumn,
    profile: &ColumnProfile,
) -> anyhow::Result<()> {
    let seen = column.inferred.clone().unwrap_or_default();
    let mut facts = vec![
        format!("{} missing", seen.missing),
        format!("{} different", seen.distinct),
    ];
    if let (Some(min), Some(max)) = (&profile.min, &profile.max) {
        facts.push(format!("{min} to {max}"));
    }
    writeln!(text, "    # {}", facts.join(", "))?;
    for remark in &seen.remarks {
        writeln!(text, "    # {}", remark.replace('\n', " "))?;
    }
    let kind = serde_json::to_value(column.column_type)?;
    let kind = kind.as_str().unwrap_or("string");
    write!(
        text,
        "    - {{name: {}, type: {kind}",
        scalar(&column.name)?
    )?;
    if let Some((precision, scale)) = column.decimal {
        write!(text, ", precision: {precision}, scale: {scale}")?;
    }
    if seen.unique && seen.missing == 0 {
        write!(text, ", nullable: false, business_rules: [unique]")?;
    }
    if !seen.categories.is_empty() && seen.categories.len() <= 12 {
        write!(text, ", canonical_values: {}", list(&seen.categories)?)?;
    }
    if let Some(pii) = &seen.pii {
        write!(text, ", pii: true")?;
        writeln!(
            text,
            "}}   # {} in {:.0} % of the values",
            pii.entity,
            pii.hit_rate * 100.0
        )?;
    } else {
        writeln!(text, "}}")?;
    }
    Ok(())
}

fn steps(text: &mut String, described: &Described) -> anyhow::Result<()> {
    let names = |fits: &dyn Fn(&ContractColumn) -> bool| -> Vec<String> {
        let columns = described
            .contract
            .columns
            .iter()
            .filter(|column| fits(column));
        columns.map(|column| column.name.clone()).collect()
    };
    let kind = |wanted: ColumnType| names(&move |column| column.column_type == wanted);
    let with_missing = |column: &ContractColumn| {
        column
            .inferred
            .as_ref()
            .is_some_and(|seen| seen.missing > 0 && !seen.unique && seen.pii.is_none())
    };
    writeln!(text, "steps:                     # in order")?;
    let texts = kind(ColumnType::String);
    if !texts.is_empty() {
        writeln!(
            text,
            "  - {{type: normalize_text, columns: {}}}",
            list(&texts)?
        )?;
    }
    let dates: Vec<String> =
        names(&|c| matches!(c.column_type, ColumnType::Date | ColumnType::Timestamp));
    if !dates.is_empty() {
        writeln!(
            text,
            "  - {{type: normalize, kind: date, columns: {}}}",
            list(&dates)?
        )?;
    }
    let phones = names(&|c| {
        c.inferred
            .as_ref()
            .and_then(|s| s.pii.as_ref())
            .is_some_and(|p| p.entity.contains("PHONE"))
    });
    if !phones.is_empty() {
        writeln!(
            text,
            "  - {{type: normalize, kind: phone, columns: {}, region: US}}",
            list(&phones)?
        )?;
    }
    if described.contract.columns.iter().any(|c| {
        c.inferred
            .as_ref()
            .is_some_and(|s| !s.categories.is_empty() && s.categories.len() <= 12)
    }) {
        writeln!(text, "  - {{type: canonicalize}}")?;
    }
    writeln!(
        text,
        "  - {{type: rules, on_violation: flag}}   # or set_null, quarantine, fail"
    )?;
    writeln!(text, "  - {{type: dedupe, columns: \"*\", keep: first}}")?;
    let numbers = names(&|c| {
        with_missing(c)
            && matches!(
                c.column_type,
                ColumnType::Integer | ColumnType::Float | ColumnType::Decimal
            )
    });
    if !numbers.is_empty() {
        writeln!(
            text,
            "  - {{type: impute, strategy: median, columns: {}}}",
            list(&numbers)?
        )?;
    }
    if described.contract.columns.iter().any(found_pii) {
        writeln!(text, "  - {{type: pii}}")?;
    }
    Ok(())
}

/// A text as YAML: JSON strings are YAML.
fn scalar(text: &str) -> anyhow::Result<String> {
    Ok(serde_json::to_string(text)?)
}

fn list(texts: &[String]) -> anyhow::Result<String> {
    let parts: Result<Vec<String>, _> = texts.iter().map(serde_json::to_string).collect();
    Ok(format!("[{}]", parts?.join(", ")))
}
