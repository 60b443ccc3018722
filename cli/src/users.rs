//! `sanitizer users`: the logins of Flight SQL.

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use cli_process::Period;
use comfy_table::{Table, presets};
use sql::{Action, Engine, EngineOptions, Grants};

use crate::ending::UsageError;
use crate::home::HomeArguments;
use crate::password;

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
        /// Name of the login
        name: String,
        /// Tenant whose tables the user sees
        #[arg(long, value_name = "NAME")]
        tenant: String,
        /// Create no password: the user logs in with keys only
        #[arg(long)]
        no_password: bool,
        /// What the user may do.
        #[command(flatten)]
        grants: GrantArguments,
    },
    /// List the users
    List,
    /// Remove a user with all keys; the tables stay
    Remove {
        /// The user
        name: String,
    },
    /// Change what a user may do: what is left out is allowed again. Sessions of the user end
    Grant {
        /// The user
        name: String,
        /// What the user may do.
        #[command(flatten)]
        grants: GrantArguments,
    },
    /// Suspend a user with all keys; their sessions end at once
    Suspend {
        /// The user
        name: String,
    },
    /// Let a suspended user log in again
    Resume {
        /// The user
        name: String,
    },
    /// Give a user another password, from where `add` takes it
    Password {
        /// The user
        name: String,
    },
    /// Create an API key for a user and print it, this once. It has no more than the user, and ends with
    /// the user
    Key {
        /// The user
        name: String,
        /// What the key may do.
        #[command(flatten)]
        grants: GrantArguments,
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

/// What a login may do, and until when.
#[derive(Debug, Args)]
struct GrantArguments {
    /// Actions that are allowed, with commas between them: jobs:submit, data:read, provenance:read,
    /// contracts:write, tables:write, files:read, files:write [default: all]
    #[arg(long, value_name = "ACTIONS", value_delimiter = ',')]
    actions: Option<Vec<Action>>,
    /// Datasets that are visible, with commas between them: NAME is the job, the table or view of the
    /// schema public and the spec of this name, SCHEMA.NAME a table or view of another schema [default:
    /// all]
    #[arg(long, value_name = "DATASETS", value_delimiter = ',')]
    datasets: Option<Vec<String>>,
    /// Time after which the login ends, such as 90d [default: never]
    #[arg(long, value_name = "TIME")]
    expires: Option<Period>,
}

impl GrantArguments {
    fn grants(&self) -> anyhow::Result<Grants> {
        let actions = self.actions.as_ref();
        let datasets = self.datasets.as_ref();
        Ok(Grants {
            actions: actions.map(|actions| actions.iter().copied().collect()),
            datasets: datasets.map(|datasets| datasets.iter().cloned().collect()),
            expires_at: self.expires.map(from_now).transpose()?,
        })
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &UsersArguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("the runtime does not start")?;
    let base = std::env::current_dir().context("the current folder cannot be told")?;
    let options = EngineOptions::new(arguments.home.path()?, base);
    runtime.block_on(async {
        let users = Engine::open(options).await?.users();
        match &arguments.command {
            UsersCommand::Add {
                name,
                tenant,
                no_password,
                grants,
            } => {
                let grants = grants.grants()?;
                let password = match no_password {
                    true => None,
                    false => Some(password::new()?),
                };
                users
                    .add_with(name, tenant, password.as_deref(), &grants)
                    .await?;
            }
            UsersCommand::List => {
                let mut table = table([
                    "name", "tenant", "password", "keys", "added", "actions", "datasets", "ends",
                ]);
                for user in users.list().await? {
                    let keys = users.keys(&user.name).await?.len();
                    let password = if user.has_password { "yes" } else { "no" };
                    let [actions, datasets, ends] = shown(&user.grants);
                    table.add_row([
                        user.name,
                        user.tenant,
                        password.to_owned(),
                        keys.to_string(),
                        user.created_at,
                        actions,
                        datasets,
                        if user.suspended {
                            "suspended".to_owned()
                        } else {
                            ends
                        },
                    ]);
                }
                println!("{table}");
            }
            UsersCommand::Grant { name, grants } => {
                users.set_grants(name, &grants.grants()?).await?;
            }
            UsersCommand::Suspend { name } => users.set_suspended(name, true).await?,
            UsersCommand::Resume { name } => users.set_suspended(name, false).await?,
            UsersCommand::Remove { name } => users.remove(name).await?,
            UsersCommand::Password { name } => {
                users.set_password(name, &password::new()?).await?;
            }
            UsersCommand::Key { name, grants } => {
                println!("{}", users.add_key_with(name, &grants.grants()?).await?);
            }
            UsersCommand::Keys { name } => {
                let mut table = table(["key", "made", "actions", "datasets", "ends"]);
                for key in users.keys(name).await? {
                    let [actions, datasets, ends] = shown(&key.grants);
                    table.add_row([key.id, key.created_at, actions, datasets, ends]);
                }
                println!("{table}");
            }
            UsersCommand::RemoveKey { id } => users.remove_key(id).await?,
        }
        Ok(())
    })
}

/// Actions, datasets and end, as lists show them.
fn shown(grants: &Grants) -> [String; 3] {
    let all = || "all".to_owned();
    let actions = grants.actions.as_ref().map(|actions| {
        let names: Vec<&str> = actions.iter().map(|action| action.name()).collect();
        names.join(", ")
    });
    let datasets = grants.datasets.as_ref().map(|datasets| {
        let names: Vec<&str> = datasets.iter().map(String::as_str).collect();
        names.join(", ")
    });
    let ends = grants.expires_at.map(|at| at.to_rfc3339());
    [
        actions.unwrap_or_else(all),
        datasets.unwrap_or_else(all),
        ends.unwrap_or_else(|| "never".to_owned()),
    ]
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
