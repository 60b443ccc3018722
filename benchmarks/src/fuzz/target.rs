//! The parsers that strangers reach, as functions of some bytes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use planner::source::{ContentLimits, DecompressedLimit, Source, SourceOptions};
use planner::spec::{DocumentLimits, JobSpec};
use planner::storage::{LocationPolicy, Place};
use rustix::time::{ClockId, clock_gettime};
use sql::{Engine, EngineOptions, Identity, Session};

use super::memory::peak_of;
use super::messages::Messages;

/// Rows that are read of a file: its head tells how it is parsed.
const ROWS: u64 = 100_000;

/// Most bytes that a file may unfold to here.
const UNFOLDED: u64 = 64 << 20;

/// A parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// A job spec in JSON or YAML.
    Spec,
    /// SQL, parsed and planned.
    Sql,
    /// A message to Flight SQL: a ticket, a command or the body of an action.
    Ticket,
    /// Separated values.
    Csv,
    /// JSON lines and documents.
    Json,
    /// A Parquet file.
    Parquet,
    /// A workbook.
    Excel,
    /// A compressed text.
    Packed,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Spec,
        Self::Sql,
        Self::Ticket,
        Self::Csv,
        Self::Json,
        Self::Parquet,
        Self::Excel,
        Self::Packed,
    ];

    /// Its name, as of its folder in the corpus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spec => "spec",
            Self::Sql => "sql",
            Self::Ticket => "ticket",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Excel => "excel",
            Self::Packed => "packed",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Json => "input.json",
            Self::Parquet => "input.parquet",
            Self::Excel => "input.xlsx",
            Self::Packed => "input.csv.gz",
            Self::Spec | Self::Sql | Self::Ticket | Self::Csv => "input.csv",
        }
    }
}

/// What an input took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Processor time of the process, which does not grow with what else the machine does.
    pub time: Duration,
    /// The most bytes that were held.
    pub held: usize,
    /// Whether the input was taken as good.
    pub good: bool,
}

/// The parsers, with what they need.
pub struct Parsers {
    folder: PathBuf,
    runtime: tokio::runtime::Runtime,
    session: Session,
    messages: Messages,
}

impl Parsers {
    /// Opens what the parsers need, in a folder for what they write.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn open(folder: &Path) -> Result<Self> {
        let (runtime, session) = session(folder)?;
        let messages = runtime.block_on(Messages::start(&folder.join("flight")))?;
        Ok(Self {
            folder: folder.to_owned(),
            runtime,
            session,
            messages,
        })
    }

    /// Gives an input to a parser.
    ///
    /// # Errors
    /// The input could not be given to it at all.
    pub fn cost(&self, target: Target, input: &[u8]) -> Result<Cost> {
        match target {
            Target::Spec => Ok(measured(|| is_spec(input))),
            Target::Sql => Ok(measured(|| match std::str::from_utf8(input) {
                Ok(text) => is_statement(&self.runtime, &self.session, text),
                Err(_) => false,
            })),
            Target::Ticket => {
                let mut sent = Ok(false);
                let cost = measured(|| {
                    sent = self.runtime.block_on(self.messages.send(input));
                    matches!(sent, Ok(true))
                });
                sent.map(|_| cost)
            }
            file => {
                let path = self.folder.join(file.file());
                std::fs::write(&path, input)?;
                let staging = self.folder.join("staging");
                let cost = measured(|| is_table(&path, &staging));
                if staging.exists() {
                    std::fs::remove_dir_all(&staging)?;
                }
                Ok(cost)
            }
        }
    }
}

/// The processor time that this process has taken.
fn processor_time() -> Duration {
    let taken = clock_gettime(ClockId::ProcessCPUTime);
    taken.try_into().unwrap_or_default()
}

fn measured(work: impl FnOnce() -> bool) -> Cost {
    let begun = processor_time();
    let (good, held) = peak_of(work);
    Cost {
        time: processor_time().saturating_sub(begun),
        held,
        good,
    }
}

fn is_spec(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let document = DocumentLimits::WIRE.json_or_yaml(text);
    document.is_ok_and(|document| JobSpec::from_value(document, "spec").is_ok())
}

fn session(folder: &Path) -> Result<(tokio::runtime::Runtime, Session)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_stack_size(sql::STACK_BYTES)
        .enable_all()
        .build()?;
    let home = folder.join("home");
    std::fs::create_dir_all(&home)?;
    let session = runtime.block_on(async {
        let engine = Engine::open(EngineOptions::new(home.clone(), home)).await?;
        engine.session(Identity {
            user: "fuzz".to_owned(),
            tenant: "fuzz".to_owned(),
        })
    });
    Ok((runtime, session.context("no session")?))
}

/// Whether a text is statements, of which those that give rows can be planned.
fn is_statement(runtime: &tokio::runtime::Runtime, session: &Session, text: &str) -> bool {
    let session = session.clone();
    let text = text.to_owned();
    // On a thread with the stack that statements have in a service.
    let planned = runtime.spawn(async move {
        let statements = session.statements(&text)?;
        for statement in statements.into_iter().filter(|one| one.is_query()).take(4) {
            statement.plan().await?;
        }
        Ok::<_, sql::Error>(())
    });
    runtime
        .block_on(planned)
        .is_ok_and(|planned| planned.is_ok())
}

/// Whether a file is a table, of which the first rows can be read.
fn is_table(path: &Path, staging: &Path) -> bool {
    let options = SourceOptions {
        decompressed: DecompressedLimit(UNFOLDED),
        limits: ContentLimits::STRICT,
        ..SourceOptions::default()
    };
    let base = path.parent().unwrap_or(path);
    let locations = [path.to_string_lossy().into_owned()];
    let source = Source::discover(
        &locations,
        &LocationPolicy::everything(base),
        &options,
        &Place::own(staging),
    );
    let Ok(source) = source else {
        return false;
    };
    let mut read = 0;
    for split in 0..source.split_count() {
        let Ok(batches) = source.read_split(split, 8192) else {
            return false;
        };
        for batch in batches {
            match batch {
                Ok(batch) => read += batch.rows as u64,
                Err(_) => return false,
            }
            if read >= ROWS {
                return true;
            }
        }
    }
    true
}
