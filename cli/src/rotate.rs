//! `sanitizer rotate-tokens`: the token vault under a new key.

use std::io::Write as _;

use anyhow::Context;
use clap::Args;
use planner::spec::Secret;
use scheduler::{TokenKeys, rotate_tokens};
use scheduler_daemon::api::tokens_beside;

use crate::ending::UsageError;

/// Re-seal under --token-key every value of the token vault that an older key has sealed. Safe to stop at any moment
/// and to run again, and while the service runs, once the service has both keys.
#[derive(Debug, Args)]
pub(crate) struct RotateTokensArguments {
    /// Database of the service: postgres://USER@HOST/NAME or sqlite:PATH
    #[arg(
        long,
        value_name = "URL",
        env = "SANITIZER_API_DATABASE",
        hide_env_values = true
    )]
    database: String,
    /// Database of the token vault [default: the schema token_vault of --database where that is Postgres, else
    /// tokens.sqlite beside it]
    #[arg(
        long,
        value_name = "URL",
        env = "SANITIZER_API_TOKEN_DATABASE",
        hide_env_values = true
    )]
    token_database: Option<String>,
    /// The new key: env:NAME or file:PATH
    #[arg(long, value_name = "NAME", default_value = "env:SANITIZER_TOKEN_KEY")]
    token_key: String,
    /// Older key, under which values may be sealed (repeatable)
    #[arg(long = "old-token-key", value_name = "NAME", required = true)]
    old_token_keys: Vec<String>,
}

/// Re-seals, and says how far it is.
pub(crate) fn run(arguments: &RotateTokensArguments) -> anyhow::Result<()> {
    let named = |name: &String| -> anyhow::Result<Secret> {
        let secret = serde_json::from_value(serde_json::json!(name));
        secret.map_err(|error| UsageError(format!("key: {error}")).into())
    };
    let keys = TokenKeys {
        writing: named(&arguments.token_key)?,
        reading: arguments
            .old_token_keys
            .iter()
            .map(named)
            .collect::<Result<_, _>>()?,
    };
    let beside = || tokens_beside(&arguments.database);
    let tokens = arguments.token_database.clone().unwrap_or_else(beside);
    let runtime = tokio::runtime::Runtime::new().context("the runtime does not start")?;
    // Nobody needs to listen.
    let say = |line: String| drop(writeln!(std::io::stdout(), "{line}"));
    let progress = |tenant: &str, count: u64| say(format!("{tenant}: {count} tokens re-sealed"));
    let all = runtime.block_on(rotate_tokens(&arguments.database, &tokens, keys, progress))?;
    say(format!("done: {all} tokens re-sealed"));
    Ok(())
}
