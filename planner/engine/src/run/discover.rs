//! Opening a source, and completing the contract from what its values show.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::datatypes::DataType;

use super::{Phase, Progress};
use crate::contract::{
    ColumnEvidence, Contract, MissingValues, complete, default_missing_values, needs_evidence,
};
use crate::error::{Error, Result};
use crate::operation::{data_type, type_name};
use crate::operators::SplitScan;
use crate::profile::{ColumnProfile, ColumnSketch, RowSample};
use crate::program::Program;
use crate::session::BATCH_ROWS;
use crate::source::{
    Compression, ContentLimits, DecompressedLimit, FetchLimits, Format, Source, SourceOptions,
};
use crate::spec::{CompressionSpec, DatasetSpec, ReadOptions, SourceFormat, SourceSpec};
use crate::storage::{LocationPolicy, Place};

/// Opens the source of a spec, as far as the policy lets it be named; `staging` takes decoded copies.
/// Splits have `rows_per_split` rows, or as many as the columns and the length of rows suggest.
pub fn open_source(
    spec: &SourceSpec,
    rows_per_split: Option<u64>,
    policy: &LocationPolicy,
    staging: &Place,
) -> Result<Arc<Source>> {
    let options = source_options(spec);
    let mut source = Source::discover(&spec.location.0, policy, &options, staging)?;
    if let Some(rows) = rows_per_split {
        source.rows_per_split = rows;
    }
    Ok(Arc::new(source))
}

/// Returns the fingerprint of the source's content; see [`Source::stamp`].
pub fn source_stamp(spec: &SourceSpec, policy: &LocationPolicy) -> Result<Option<String>> {
    Ok(Source::stamp(
        &spec.location.0,
        policy,
        &source_options(spec),
    )?)
}

fn source_options(spec: &SourceSpec) -> SourceOptions {
    let options = &spec.options;
    let limits = FetchLimits::default();
    SourceOptions {
        format: spec.format.map(|format| match format {
            SourceFormat::Csv => Format::Csv,
            SourceFormat::Tsv => Format::Tsv,
            SourceFormat::Jsonl => Format::Jsonl,
            SourceFormat::Json => Format::Json,
            SourceFormat::Parquet => Format::Parquet,
            SourceFormat::Excel => Format::Excel,
        }),
        delimiter: options.delimiter.map(|c| c.0),
        quote: options.quote.map(|c| c.0),
        escape: options.escape.map(|c| c.0),
        comment: options.comment.map(|c| c.0),
        header: options.header,
        encoding: options.encoding.clone().filter(|label| label != "auto"),
        compression: options
            .compression
            .and_then(|compression| match compression {
                CompressionSpec::Auto => None,
                CompressionSpec::None => Some(Compression::None),
                CompressionSpec::Gzip => Some(Compression::Gzip),
                CompressionSpec::Zstd => Some(Compression::Zstd),
                CompressionSpec::Bzip2 => Some(Compression::Bzip2),
                CompressionSpec::Xz => Some(Compression::Xz),
            }),
        sheet: options.sheet.as_ref().map(ToString::to_string),
        skip_rows: options.skip_rows,
        credentials: spec.credentials.clone(),
        partition_columns: options.partition_columns.clone(),
        fetch: FetchLimits {
            bytes: options.max_bytes.map_or(limits.bytes, |size| size.0),
            time: options
                .timeout_seconds
                .map_or(limits.time, Duration::from_secs),
        },
        decompressed: options
            .max_decompressed_bytes
            .map_or_else(DecompressedLimit::default, |size| DecompressedLimit(size.0)),
        limits: content_limits(options),
        shown_as: spec.shown_as.clone(),
    }
}

/// Bounds of what the files hold.
fn content_limits(options: &ReadOptions) -> ContentLimits {
    let usual = match options.strict {
        true => ContentLimits::STRICT,
        false => ContentLimits::default(),
    };
    usual.and(ContentLimits {
        cell: options.max_cell_bytes.map_or(u64::MAX, |size| size.0),
        columns: options.max_columns.unwrap_or(usize::MAX),
        record: usize::MAX,
        ratio: u64::MAX,
        held: u64::MAX,
    })
}

/// Name and type of each column of a source.
pub(super) fn source_columns(source: &Source) -> Vec<(String, DataType)> {
    source
        .columns
        .iter()
        .map(|column| (column.name.clone(), column.data_type.clone()))
        .collect()
}

/// Type of each column of a source.
pub(super) fn source_types(source: &Source) -> Vec<DataType> {
    source
        .columns
        .iter()
        .map(|column| column.data_type.clone())
        .collect()
}

/// Completes a contract. The values are looked at only if the contract leaves a type open, or
/// `look` asks for it.
pub fn discover(
    source: &Arc<Source>,
    dataset: &DatasetSpec,
    threads: usize,
    look: bool,
    progress: &Progress,
) -> Result<Contract> {
    let columns = source_columns(source);
    // What is wrong with the contract itself is said before the data is read.
    complete(dataset, &columns, None)?;
    if !look && !needs_evidence(dataset, &columns) {
        return Ok(complete(dataset, &columns, None)?);
    }
    progress.enter(Phase::Infer, source.total_rows)?;
    let missing = match &dataset.missing_values {
        Some(values) => MissingValues::new(values),
        None => MissingValues::new(&default_missing_values()),
    };
    let fresh = || {
        columns
            .iter()
            .map(|_| ColumnEvidence::new(&missing))
            .collect::<Vec<_>>()
    };
    let splits = over_splits(source, threads, progress, |source, split, progress| {
        let mut evidence = fresh();
        for batch in source.read_split(split, BATCH_ROWS)? {
            let batch = batch?;
            progress.check()?;
            for (evidence, column) in evidence.iter_mut().zip(&batch.columns) {
                evidence.observe(column, batch.first_row);
            }
            progress.add_rows(batch.rows as u64);
        }
        Ok(evidence)
    })?;
    let mut merged = fresh();
    for split in splits {
        for (total, later) in merged.iter_mut().zip(split) {
            total.merge(later);
        }
    }
    Ok(complete(dataset, &columns, Some(&merged))?)
}

/// The profiles of a source's raw columns.
pub fn profile_source(
    source: &Arc<Source>,
    contract: &Contract,
    seed: u64,
    threads: usize,
    progress: &Progress,
) -> Result<Vec<ColumnProfile>> {
    let program = Program::typed(contract, &source_types(source))?;
    let scan = SplitScan::new(Arc::clone(source));
    let sample = RowSample::of(source.total_rows, PROFILE_ROWS, seed);
    progress.enter(Phase::Infer, source.total_rows)?;
    let splits = over_splits(source, threads, progress, |source, split, progress| {
        let mut sketches: Vec<Option<ColumnSketch>> = Vec::new();
        for batch in source.read_split(split, BATCH_ROWS)? {
            let batch = batch?;
            progress.check()?;
            let rows = batch.rows as u64;
            let mut frame = scan.frame(batch)?;
            for op in &program.ops {
                op.op.apply(&mut frame, None)?;
            }
            sketches.resize_with(frame.columns.len(), || None);
            for (column, sketch) in sketches.iter_mut().enumerate() {
                let array = &frame.columns[column];
                sketch
                    .get_or_insert_with(|| ColumnSketch::new(array.data_type(), false))
                    .observe(array, frame.first_row, frame.live(), &sample);
            }
            progress.add_rows(rows);
        }
        Ok(sketches)
    })?;
    let mut merged = Vec::new();
    for sketches in splits {
        super::gathered::merge_sketches(&mut merged, sketches);
    }
    let named = contract.columns.iter().zip(merged).map(|(column, sketch)| {
        let name = type_name(&data_type(column.column_type, column.decimal));
        match sketch {
            Some(sketch) => sketch.finish(&column.name, name),
            None => ColumnProfile {
                name: column.name.clone(),
                column_type: name.to_owned(),
                ..ColumnProfile::default()
            },
        }
    });
    Ok(named.collect())
}

/// Rows that the sampled figures of profiles rest on.
pub(super) const PROFILE_ROWS: u64 = 50_000;

/// Runs `work` over every split in so many threads; the answers come in the order of the splits.
fn over_splits<A: Send>(
    source: &Arc<Source>,
    threads: usize,
    progress: &Progress,
    work: impl Fn(&Source, usize, &Progress) -> Result<A> + Sync,
) -> Result<Vec<A>> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let count = source.split_count();
    let answers: Mutex<Vec<Option<A>>> = Mutex::new((0..count).map(|_| None).collect());
    let run = || -> Result<()> {
        loop {
            let split = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if split >= count {
                return Ok(());
            }
            let answer = work(source, split, progress)?;
            let mut answers = answers
                .lock()
                .map_err(|_| Error::Bug("a lock was poisoned"))?;
            answers[split] = Some(answer);
        }
    };
    std::thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(run)).collect();
        for worker in workers {
            worker.join().map_err(|_| Error::Bug("a worker died"))??;
        }
        Ok(())
    })?;
    let answers = answers
        .into_inner()
        .map_err(|_| Error::Bug("a lock was poisoned"))?;
    answers
        .into_iter()
        .map(|answer| answer.ok_or(Error::Bug("a split was left out")))
        .collect()
}
