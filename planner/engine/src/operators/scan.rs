//! The source as a DataFusion scan: each split is a "file" of a file group, so that an engine that
//! deals out file groups deals out splits.
//!
//! Beside the columns of the source, a batch tells of each row its id, its file and line, and of an
//! unreadable row the reason and its text. Partition numbers mean nothing.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringViewArray, StringViewBuilder, UInt32Array,
    UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type, UInt64Type};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileOpenFuture, FileOpener, FileScanConfigBuilder,
};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, Time};
use futures::StreamExt;
use object_store::ObjectStore;

use crate::error::{Error, Result};
use crate::operation::{CleaningBatch, Origin};
use crate::session::BATCH_ROWS;
use crate::source::{RawBatch, Source};

/// Metric: processor time spent reading and parsing.
pub const PARSE_TIME: &str = "parse";

/// Names of the columns that a batch carries beside those of the source: the row's id, its file and
/// line there, and of a row that cannot be read the reason and the text.
pub const ACCOUNT_COLUMNS: [&str; 5] = ["__row", "__file", "__line", "__bad", "__raw"];

/// The splits of a source as a [`FileSource`].
#[derive(Clone)]
pub struct SplitScan {
    source: Arc<Source>,
    schema: TableSchema,
    metrics: ExecutionPlanMetricsSet,
}

impl SplitScan {
    /// A scan of this source.
    pub fn new(source: Arc<Source>) -> Self {
        let columns = source.columns.iter();
        let mut fields: Vec<Field> = columns
            .map(|column| Field::new(&column.name, column.data_type.clone(), true))
            .collect();
        let [row, file, line, bad, raw] = ACCOUNT_COLUMNS;
        fields.extend([
            Field::new(row, DataType::UInt64, false),
            Field::new(file, DataType::UInt32, false),
            Field::new(line, DataType::UInt64, false),
            Field::new(bad, DataType::Utf8View, true),
            Field::new(raw, DataType::Utf8View, true),
        ]);
        Self {
            source,
            schema: Arc::new(Schema::new(fields)).into(),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl SplitScan {
    /// What it scans.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The frame that a batch of the source begins as.
    pub fn frame(&self, batch: RawBatch) -> Result<CleaningBatch> {
        to_frame(to_record_batch(batch, self.schema.table_schema())?)
    }
}

/// The scan that a pass reads.
pub(crate) fn split_scan(plan: &Arc<dyn ExecutionPlan>) -> Result<&SplitScan> {
    scan_of(plan)
        .map(|(_, scan)| scan)
        .ok_or(Error::Bug("a pass that does not read splits"))
}

/// The scan of splits that a plan is, with its splits by partition; none if it is something else.
pub fn scan_of(plan: &Arc<dyn ExecutionPlan>) -> Option<(Vec<Vec<usize>>, &SplitScan)> {
    let (config, scan) = plan
        .downcast_ref::<DataSourceExec>()?
        .downcast_to_file_source::<SplitScan>()?;
    let rows = scan.source.rows_per_split;
    let split = |file: &PartitionedFile| {
        let (start, _) = file.range();
        usize::try_from(start / rows).unwrap_or(usize::MAX)
    };
    let groups = config.file_groups.iter();
    let groups = groups.map(|group| group.iter().map(split).collect());
    Some((groups.collect(), scan))
}

/// A plan that reads these splits of a source, in turn, in so many partitions.
pub fn scan_splits(
    source: &Arc<Source>,
    splits: &[usize],
    partitions: usize,
) -> Arc<DataSourceExec> {
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); partitions.max(1)];
    for (place, split) in splits.iter().enumerate() {
        let group = place % groups.len();
        groups[group].push(*split);
    }
    scan_groups(source, &groups)
}

/// A plan with a partition for each group of splits.
pub fn scan_groups(source: &Arc<Source>, groups: &[Vec<usize>]) -> Arc<DataSourceExec> {
    let scan = SplitScan::new(Arc::clone(source));
    let rows = source.rows_per_split;
    let file = |split: &usize| {
        let start = *split as u64 * rows;
        let end = (start + rows).min(source.total_rows);
        // The range of a split counts rows, not bytes.
        PartitionedFile::new_with_range(
            format!("split-{split}"),
            source.total_rows,
            start as i64,
            end as i64,
        )
    };
    let groups = groups
        .iter()
        .map(|group| FileGroup::new(group.iter().map(file).collect()));
    let groups: Vec<FileGroup> = groups.collect();
    let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(scan))
        .with_file_groups(groups)
        .build();
    DataSourceExec::from_data_source(config)
}

impl FileSource for SplitScan {
    fn create_file_opener(
        &self,
        _: Arc<dyn ObjectStore>,
        _: &FileScanConfig,
        partition: usize,
    ) -> EngineResult<Arc<dyn FileOpener>> {
        Ok(Arc::new(SplitOpener {
            parsing: MetricBuilder::new(&self.metrics).subset_time(PARSE_TIME, partition),
            source: Arc::clone(&self.source),
            schema: Arc::clone(self.schema.table_schema()),
        }))
    }

    fn table_schema(&self) -> &TableSchema {
        &self.schema
    }

    // Batches are cut at fixed row ids, whatever the session says.
    fn with_batch_size(&self, _: usize) -> Arc<dyn FileSource> {
        Arc::new(self.clone())
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        "splits"
    }

    // The ranges are rows: nobody else may cut them.
    fn supports_repartitioning(&self) -> bool {
        false
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
}

struct SplitOpener {
    parsing: Time,
    source: Arc<Source>,
    schema: SchemaRef,
}

impl FileOpener for SplitOpener {
    fn open(&self, file: PartitionedFile) -> EngineResult<FileOpenFuture> {
        let source = Arc::clone(&self.source);
        let schema = Arc::clone(&self.schema);
        let parsing = self.parsing.clone();
        Ok(Box::pin(async move {
            let start = file.range().0;
            let split = usize::try_from(start / source.rows_per_split)
                .map_err(|error| DataFusionError::External(Box::new(error)))?;
            let mut reader = source.read_split(split, BATCH_ROWS).map_err(Error::from)?;
            let parsed = std::iter::from_fn(move || {
                let _timer = parsing.timer();
                reader.next()
            });
            let batches = parsed.map(move |batch| {
                let batch = batch.map_err(Error::from)?;
                Ok(to_record_batch(batch, &schema)?)
            });
            Ok(futures::stream::iter(batches).boxed())
        }))
    }
}

fn to_record_batch(raw: RawBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = raw.rows;
    let mut files = Vec::with_capacity(rows);
    let mut lines = Vec::with_capacity(rows);
    for origin in &raw.origin {
        for row in 0..origin.rows {
            files.push(origin.file);
            lines.push(origin.line(row));
        }
    }
    let (bad, text) = if raw.bad.is_empty() {
        (no_texts(rows), no_texts(rows))
    } else {
        let mut reasons: Vec<Option<&str>> = vec![None; rows];
        let mut texts: Vec<Option<&str>> = vec![None; rows];
        for row in &raw.bad {
            reasons[row.row as usize] = Some(&row.reason);
            texts[row.row as usize] = Some(&row.raw);
        }
        (StringViewArray::from(reasons), StringViewArray::from(texts))
    };
    let mut columns = raw.columns;
    columns.push(Arc::new(UInt64Array::from_iter_values(
        raw.first_row..raw.first_row + rows as u64,
    )));
    columns.push(Arc::new(UInt32Array::from(files)));
    columns.push(Arc::new(UInt64Array::from(lines)));
    columns.push(Arc::new(bad));
    columns.push(Arc::new(text));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// An array of nulls; nearly every batch has no unreadable row.
fn no_texts(rows: usize) -> StringViewArray {
    static NONE: LazyLock<StringViewArray> = LazyLock::new(|| {
        let mut builder = StringViewBuilder::with_capacity(BATCH_ROWS);
        (0..BATCH_ROWS).for_each(|_| builder.append_null());
        builder.finish()
    });
    if rows <= NONE.len() {
        NONE.slice(0, rows)
    } else {
        StringViewArray::new_null(rows)
    }
}

/// The frame that a batch of a scan begins as.
pub(super) fn to_frame(batch: RecordBatch) -> Result<CleaningBatch> {
    let broken = || Error::Bug("a batch that no scan of splits gave");
    let count = batch
        .num_columns()
        .checked_sub(ACCOUNT_COLUMNS.len())
        .ok_or_else(broken)?;
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    let account = columns.split_off(count);
    let rows = account[0]
        .as_primitive_opt::<UInt64Type>()
        .ok_or_else(broken)?;
    let file = account[1]
        .as_primitive_opt::<UInt32Type>()
        .ok_or_else(broken)?;
    let line = account[2]
        .as_primitive_opt::<UInt64Type>()
        .ok_or_else(broken)?;
    let bad = account[3].as_string_view_opt().ok_or_else(broken)?;
    let raw = account[4].as_string_view_opt().ok_or_else(broken)?;
    let first_row = rows.values().first().copied().ok_or_else(broken)?;
    let origin = Origin {
        file: file.clone(),
        line: line.clone(),
    };
    Ok(CleaningBatch::new(first_row, columns, origin, bad, raw))
}
