//! One split's part of every table.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter;
use arrow::datatypes::{DataType, SchemaRef};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use serde::{Deserialize, Serialize};

use super::cells::modified_cells;
use super::index::{IndexTable, IndexWriter};
use super::losses::LossTables;
use super::provenance::{ProvenanceTable, ProvenanceWriter};
use super::tokens::{self, TokenTable, TokenWriter};
use super::{Account, FileEntry, PartFolder, TableWriter};
use crate::error::{Error, Result};
use crate::matching::{index_files, indexes};
use crate::operation::CleaningBatch;
use crate::profile::{ColumnSketch, RowSample};
use crate::program::{Profiler, Program};
use crate::source::Source;
use crate::spec::{OutputFormat, OutputSpec, Provenance};

/// What the last pass is told to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkOrder {
    /// Where.
    pub folder: PartFolder,
    /// The job.
    pub job_id: String,
    /// Columns of the source whose values hardly repeat.
    pub various: Vec<bool>,
}

impl SinkOrder {
    /// Makes the folders of the tables.
    pub fn prepare(&self, output: &OutputSpec, program: &Program) -> Result<()> {
        let mut tables = vec!["data", "removed", "quarantine"];
        if program.finds_clusters() {
            tables.push("clusters");
        }
        if indexes(&program.ops).next().is_some() {
            tables.push(index_files::FOLDER);
        }
        if output.provenance == Provenance::Full {
            tables.push("provenance");
        }
        if !program.token_columns().is_empty() {
            tables.push(tokens::FOLDER);
        }
        self.folder.prepare(&tables)
    }
}

/// What every part of an output has in common.
#[derive(Debug)]
pub struct SinkPlan {
    program: Arc<Program>,
    folder: PartFolder,
    format: OutputFormat,
    schema: SchemaRef,
    provenance: Option<Arc<ProvenanceTable>>,
    losses: LossTables,
    private: Vec<bool>,
    sample: RowSample,
    /// Columns of the source whose values hardly repeat.
    various: Vec<bool>,
    indexes: Vec<Arc<IndexTable>>,
    tokens: Option<Arc<TokenTable>>,
    rows_per_split: u64,
    first_row_id: u64,
}

impl SinkPlan {
    /// A sink for the output of `program`, made from `source`; profiles look at the `sample`.
    pub fn new(
        program: Arc<Program>,
        source: Arc<Source>,
        order: SinkOrder,
        output: &OutputSpec,
        sample: RowSample,
    ) -> Result<Self> {
        let job_id = &order.job_id;
        let placeholders = program.placeholders();
        let table = (output.provenance == Provenance::Full)
            .then(|| ProvenanceTable::new(&program, job_id, placeholders.clone()))
            .transpose()?
            .map(Arc::new);
        let indexes = indexes(&program.ops).map(|(op, need)| {
            let transformation = program.ops[op].transformation;
            let id = program.transformations[usize::from(transformation)]
                .id
                .clone();
            Arc::new(IndexTable::new(transformation, id, need))
        });
        let indexes = indexes.collect();
        Ok(Self {
            indexes,
            tokens: TokenTable::of(&program),
            rows_per_split: source.rows_per_split,
            first_row_id: 0,
            losses: LossTables::new(&program, job_id, source, placeholders),
            provenance: table,
            private: program.private(),
            schema: program.output_schema(),
            program,
            folder: order.folder,
            format: output.format,
            sample,
            various: order.various,
        })
    }

    /// The same, for rows that are numbered from this number on.
    #[must_use]
    pub fn numbered_from(self, first_row_id: u64) -> Self {
        Self {
            first_row_id,
            ..self
        }
    }

    /// Settings of the data: a dictionary only where values repeat.
    fn data_properties(&self) -> WriterProperties {
        let mut builder = properties();
        for output in &self.program.output {
            if self.private[output.column] {
                // The least and the greatest digest help no reader.
                let path = ColumnPath::new(vec![output.field.name().clone()]);
                builder = builder.set_column_statistics_enabled(path, EnabledStatistics::None);
            }
            if !self.various.get(output.column).copied().unwrap_or_default() {
                continue;
            }
            // By parts: a dot in a name is no path.
            let path = ColumnPath::new(vec![output.field.name().clone()]);
            builder = builder.set_column_dictionary_enabled(path.clone(), false);
            if output.field.data_type() == &DataType::Int64 {
                builder = builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
            }
        }
        builder.build()
    }
}

/// What a split gave.
#[derive(Debug, Serialize, Deserialize)]
pub struct SplitOutcome {
    /// The split.
    pub split: u64,
    /// Its files.
    pub files: Vec<FileEntry>,
    /// What the steps did to it.
    pub account: Account,
    /// The raw columns, where no earlier pass has looked at them.
    pub before: Vec<Option<ColumnSketch>>,
    /// The cleaned columns, by number in the source.
    pub after: Vec<Option<ColumnSketch>>,
}

/// Writes one split.
pub struct PartWriter {
    plan: Arc<SinkPlan>,
    split: u64,
    data: TableWriter,
    provenance: Option<ProvenanceWriter>,
    removed: TableWriter,
    quarantine: TableWriter,
    clusters: Option<TableWriter>,
    indexes: Vec<IndexWriter>,
    tokens: Option<TokenWriter>,
    account: Account,
    before: Profiler,
    after: Profiler,
}

impl PartWriter {
    /// Begins the part of a split.
    pub fn create(plan: Arc<SinkPlan>, split: u64) -> Result<Self> {
        let extension = match plan.format {
            OutputFormat::Parquet => "parquet",
            OutputFormat::Csv => "csv",
            OutputFormat::Jsonl => "jsonl",
        };
        let name = format!("data/part-{split:05}.{extension}");
        let data = TableWriter::create(
            &plan.folder,
            name,
            plan.format,
            &plan.schema,
            plan.data_properties(),
            true,
        )?;
        let table = |folder: &str, schema: &SchemaRef| {
            let name = format!("{folder}/part-{split:05}.parquet");
            let format = OutputFormat::Parquet;
            TableWriter::create(
                &plan.folder,
                name,
                format,
                schema,
                properties().build(),
                false,
            )
        };
        let provenance = plan.provenance.as_ref().map(|table| {
            let name = format!("provenance/part-{split:05}.parquet");
            ProvenanceWriter::create(Arc::clone(table), &plan.folder, name)
        });
        let first_row_id = plan.first_row_id + split * plan.rows_per_split;
        let indexes = plan.indexes.iter();
        let indexes = indexes.map(|table| IndexWriter::create(table, &plan.folder, first_row_id));
        Ok(Self {
            split,
            indexes: indexes.collect::<Result<_>>()?,
            tokens: (plan.tokens.as_ref())
                .map(|table| TokenWriter::create(table, &plan.folder, split))
                .transpose()?,
            data,
            provenance: provenance.transpose()?,
            removed: table("removed", plan.losses.removed_schema())?,
            quarantine: table("quarantine", plan.losses.quarantine_schema())?,
            clusters: (plan.program.finds_clusters())
                .then(|| table("clusters", plan.losses.clusters_schema()))
                .transpose()?,
            account: Account::new(&plan.program),
            before: Profiler::new(&plan.program, plan.sample),
            after: Profiler::new(&plan.program, plan.sample),
            plan,
        })
    }

    /// What looks at the raw columns.
    pub fn before(&mut self) -> &mut Profiler {
        &mut self.before
    }

    /// Adds a frame that has gone through the whole program.
    pub fn write(&mut self, frame: &CleaningBatch) -> Result<()> {
        let plan = &self.plan;
        if let Some(flag) = frame.flags.iter().find(|flag| flag.fatal) {
            let row = flag.rows.first().copied().unwrap_or_default();
            return Err(Error::Violation {
                transformation_id: plan.program.transformations[usize::from(flag.transformation)]
                    .id
                    .clone(),
                row_id: frame.first_row + u64::from(row),
                column: plan.program.contract.columns[flag.column].name.clone(),
                rule: flag.rule.to_owned(),
            });
        }
        self.data.write(&self.clean_rows(frame)?)?;
        let cells = modified_cells(frame, &plan.program)?;
        if let Some(writer) = &mut self.provenance {
            writer.write(frame.first_row, &cells)?;
        }
        if !frame.losses.is_empty() {
            self.removed.write(&plan.losses.removed(frame)?)?;
            self.quarantine.write(&plan.losses.quarantine(frame)?)?;
        }
        if let (Some(clusters), false) = (&mut self.clusters, frame.clustered.is_empty()) {
            clusters.write(&plan.losses.clusters(frame)?)?;
        }
        for index in &mut self.indexes {
            index.write(frame)?;
        }
        if let Some(tokens) = &mut self.tokens {
            tokens.write(frame)?;
        }
        self.account.add(frame, &cells, &plan.private);
        self.after.clean(frame, &plan.program);
        Ok(())
    }

    /// The live rows of a frame, in the columns of the output.
    fn clean_rows(&self, frame: &CleaningBatch) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = self
            .plan
            .program
            .output
            .iter()
            .map(|column| Arc::clone(&frame.columns[column.column]))
            .collect();
        if let Some(live) = frame.live() {
            let mask = BooleanArray::from(live.clone());
            for column in &mut columns {
                *column = filter(column, &mask)?;
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(frame.live_rows()));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.plan.schema),
            columns,
            &options,
        )?)
    }

    /// Ends the part.
    pub fn finish(self) -> Result<SplitOutcome> {
        let mut files = vec![self.data.finish()?];
        if let Some(provenance) = self.provenance {
            files.push(provenance.finish()?);
        }
        files.push(self.removed.finish()?);
        files.push(self.quarantine.finish()?);
        if let Some(clusters) = self.clusters {
            files.push(clusters.finish()?);
        }
        for index in self.indexes {
            files.extend(index.finish()?);
        }
        if let Some(tokens) = self.tokens {
            files.push(tokens.finish()?);
        }
        Ok(SplitOutcome {
            split: self.split,
            files,
            account: self.account,
            before: self.before.finish(),
            after: self.after.finish(),
        })
    }
}

/// Settings of every Parquet file. Nothing in them may depend on the machine or the moment.
pub(crate) fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("data-sanitizer ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_max_row_group_row_count(Some(1 << 20))
        .set_statistics_enabled(EnabledStatistics::Chunk)
}
