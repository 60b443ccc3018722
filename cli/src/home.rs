//! The folder of the catalog.

use std::path::PathBuf;

use clap::Args;
pub(crate) use scheduler_daemon::api::DEFAULT_TENANT;

use crate::ending::UsageError;

/// Where the catalog lies.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct HomeArguments {
    /// Folder of the catalog and of the tables that statements make
    /// [default: data-sanitizer in $XDG_DATA_HOME or ~/.local/share]
    #[arg(
        long = "home",
        value_name = "DIR",
        env = "SANITIZER_HOME",
        global = true
    )]
    pub(crate) folder: Option<PathBuf>,
}

impl HomeArguments {
    /// The folder, as a path from the root.
    pub(crate) fn path(&self) -> anyhow::Result<PathBuf> {
        let folder = self.folder.clone().or_else(default_home);
        let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) else {
            let text = "no folder for the catalog is known; name one with --home";
            return Err(UsageError(text.to_owned()).into());
        };
        Ok(std::path::absolute(folder)?)
    }
}

/// The place that a desktop keeps for the data of programs.
fn default_home() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    let data = folder("XDG_DATA_HOME").filter(|folder| folder.is_absolute());
    data.or_else(|| Some(folder("HOME")?.join(".local/share")))
        .map(|data| data.join("data-sanitizer"))
}
