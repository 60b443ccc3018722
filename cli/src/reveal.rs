//! `sanitizer reveal`: what tokens of an output stand for.

use std::collections::BTreeMap;

use anyhow::Context;
use planner::run::reveal;
use planner::storage::LocationPolicy;

use crate::arguments::RevealArguments;

/// Prints each token and its value; a token that the output does not know has none.
pub(crate) fn run(arguments: &RevealArguments) -> anyhow::Result<()> {
    let here = std::env::current_dir().context("the current folder cannot be told")?;
    let output = LocationPolicy::everything(here).place(&arguments.output, None)?;
    let values: BTreeMap<String, String> = reveal(&output, &arguments.tokens)?;
    for token in &arguments.tokens {
        let value = values.get(token).map(String::as_str).unwrap_or_default();
        println!("{token}\t{value}");
    }
    Ok(())
}
