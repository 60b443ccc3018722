//! `sanitizer users`: who may come in.

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use cli::ending::UsageError;
use cli::home::HomeArguments;
use cli::password;
use cli::period::Period;
use comfy_table::{Table, presets};
use planner::spec::OptionsSpec;
use sql::{Access, Engine, EngineOptions};

/// `sanitizer users`.
#[derive(Debug, Args)]
pub(crate) struct UsersArguments {
    /// The folder of the catalog.
    #[command(flatten)]
    home: HomeArguments,
    /// What to do.
    #[command(subcommand)]
    command: UsersCommand,
}

/// What to do with users.
#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Add a user; the password comes from SANITIZER_PASSWORD, the terminal, or a line of standard
    /// input
    Add {
        /// Name to come in with
        name: String,
        /// Whose tables the user sees
        #[arg(long, value_name = "NAME")]
        tenant: String,
        /// The user comes in with keys only
        #[arg(long)]
        no_password: bool,
    },
    /// List the users
    List,
    /// Remove a user with all keys; the tables stay
    Remove {
        /// The user
        name: String,
    },
    /// Give a user another password, from where `add` takes it
    Password {
        /// The user
        name: String,
    },
    /// Make an API key for a user and print it, this once
    Key {
        /// The user
        name: String,
        /// Time after which the key ends, such as 90d [default: never]
        #[arg(long, value_name = "TIME")]
        expires: Option<Period>,
    },
    /// List the keys of a user
    Keys {
        /// The user
        name: String,
    },
    /// Remove a key
    RemoveKey {
        /// Public part of the key: what stands between dsk_ and the next _
        id: String,
    },
}

/// Does it.
pub(crate) fn run(arguments: &UsersArguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("the runtime does not start")?;
    let memory = OptionsSpec::default().memory_limit;
    let options = EngineOptions {
        home: arguments.home.path()?,
        base: std::env::current_dir().context("the current folder cannot be told")?,
        cluster: None,
        memory_limit: usize::try_from(memory.0).unwrap_or(usize::MAX),
        threads: 1,
        access: Access::All,
        rows_per_split: None,
    };
    runtime.block_on(async {
        let users = Engine::open(options).await?.users();
        match &arguments.command {
            UsersCommand::Add {
                name,
                tenant,
                no_password,
            } => {
                let password = match no_password {
                    true => None,
                    false => Some(password::new()?),
                };
                users.add(name, tenant, password.as_deref()).await?;
            }
            UsersCommand::List => {
                let mut table = table(["name", "tenant", "password", "keys", "added"]);
                for user in users.list().await? {
                    let keys = users.keys(&user.name).await?.len();
                    let password = if user.has_password { "yes" } else { "no" };
                    table.add_row([
                        user.name,
                        user.tenant,
                        password.to_owned(),
                        keys.to_string(),
                        user.created_at,
                    ]);
                }
                println!("{table}");
            }
            UsersCommand::Remove { name } => users.remove(name).await?,
            UsersCommand::Password { name } => {
                users.set_password(name, &password::new()?).await?;
            }
            UsersCommand::Key { name, expires } => {
                let expires = expires.map(from_now).transpose()?;
                println!("{}", users.add_key(name, expires).await?);
            }
            UsersCommand::Keys { name } => {
                let mut table = table(["key", "made", "ends"]);
                for key in users.keys(name).await? {
                    let ends = key.expires_at.unwrap_or_else(|| "never".to_owned());
                    table.add_row([key.id, key.created_at, ends]);
                }
                println!("{table}");
            }
            UsersCommand::RemoveKey { id } => users.remove_key(id).await?,
        }
        Ok(())
    })
}

fn from_now(period: Period) -> anyhow::Result<DateTime<Utc>> {
    let length = TimeDelta::from_std(period.0).ok();
    let moment = length.and_then(|length| Utc::now().checked_add_signed(length));
    moment.ok_or_else(|| UsageError(format!("{period} is too long")).into())
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_header(header);
    table
}
