//! `sanitizer audit`: the audit log, exported, and verified without trust in the service that kept it.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use planner::storage::LocationPolicy;
use scheduler::audit::{AuditPublicKey, read_checkpoints, verify_log};

use crate::client::{ServerArguments, export_audit};

/// `sanitizer audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// What to do.
    #[command(subcommand)]
    command: AuditCommand,
}

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Download the audit log of a service as JSON lines
    Export {
        #[command(flatten)]
        server: ServerArguments,
        /// File to write to [default: standard output]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Verify an exported audit log against its signed checkpoints; needs no service and no database
    Verify {
        /// Log in JSON lines; - for standard input
        log: PathBuf,
        /// Folder or URL of the tenant's checkpoints: audit/TENANT-ID of the service's store
        #[arg(long, value_name = "LOCATION")]
        checkpoints: String,
        /// Public key of the service in PEM, from a place that the service does not write to (repeatable)
        #[arg(long = "public-key", value_name = "FILE", required = true)]
        public_keys: Vec<PathBuf>,
    },
}

/// Does it.
pub(crate) fn run(arguments: &AuditArguments) -> anyhow::Result<()> {
    match &arguments.command {
        AuditCommand::Export { server, output } => match output {
            Some(path) => {
                let file = File::create(path).with_context(|| path.display().to_string())?;
                export_audit(server, &mut BufWriter::new(file))
            }
            None => export_audit(server, &mut std::io::stdout().lock()),
        },
        AuditCommand::Verify {
            log,
            checkpoints,
            public_keys,
        } => verify(log, checkpoints, public_keys),
    }
}

fn verify(log: &PathBuf, checkpoints: &str, public_keys: &[PathBuf]) -> anyhow::Result<()> {
    let keys = public_keys.iter().map(|path| {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
        Ok(AuditPublicKey::from_pem(&name, &text)?)
    });
    let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
    let here = std::env::current_dir().context("the current folder cannot be determined")?;
    let place = LocationPolicy::everything(here).place(checkpoints, None)?;
    let signed = read_checkpoints(&place, &keys)?;
    let lines: Box<dyn BufRead> = match log.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => {
            let file = File::open(log).with_context(|| log.display().to_string())?;
            Box::new(BufReader::new(file))
        }
    };
    let verified = verify_log(lines, &signed)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "ok: {} records, {} checkpoints, signed up to record {}, last hash {}",
        verified.records, verified.checkpoints, verified.signed_up_to, verified.hash
    )?;
    Ok(())
}
