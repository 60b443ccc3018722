//! A table of files: what `sanitizer run` reads, as SQL reads it.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::expressions::{Column, IsNullExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use futures::future::BoxFuture;
use planner::operators::{ACCOUNT_COLUMNS, scan_groups};
use planner::source::{Format, Source};
use planner::spec::{ColumnType, SourceSpec};
use planner::storage::{LocationPolicy, rooted_url};

use super::{Scope, project, split_groups};
use crate::engine::{Engine, Opened, Shared};
use crate::error::{Error, Result};

/// A table of files. Rows that cannot be read are left out; `sanitize` accounts for them.
#[derive(Debug, Clone)]
pub(crate) struct FileTable {
    shared: Arc<Shared>,
    source: SourceSpec,
    /// Which locations the source may name.
    locations: LocationPolicy,
    schema: SchemaRef,
    /// Whether a statement has given the columns their types.
    declared: bool,
}

impl FileTable {
    /// A table whose columns are known.
    pub(crate) fn new(
        engine: &Engine,
        (source, locations): (SourceSpec, LocationPolicy),
        schema: SchemaRef,
        declared: bool,
    ) -> Self {
        Self {
            shared: Arc::clone(&engine.shared),
            source,
            locations,
            schema,
            declared,
        }
    }

    /// The table of these files, with the columns that they have.
    pub(crate) async fn discover(
        engine: &Engine,
        (source, locations): (SourceSpec, LocationPolicy),
        state: &dyn Session,
    ) -> Result<Self> {
        engine.options().check_secret(source.credentials.as_ref())?;
        let opened = open(&engine.shared, &source, &locations).await?;
        let schema = match native(&opened.source) {
            Some(files) => listing(&files, None, state).await?.schema(),
            None => opened.source.schema(),
        };
        Ok(Self::new(engine, (source, locations), schema, false))
    }

    /// The table that a name of a catalog stands for, with the columns that its files have.
    // Boxed here: under the bounds that `async-trait` gives the methods of catalogs, the compiler takes seconds to find
    // that the state is `Send`.
    pub(crate) fn of_catalog(
        engine: &Engine,
        source: (SourceSpec, LocationPolicy),
    ) -> BoxFuture<'_, Result<Self>> {
        Box::pin(async move {
            let state = engine.reading_state();
            Self::discover(engine, source, &state).await
        })
    }

    /// Number of its columns.
    pub(crate) fn column_count(&self) -> usize {
        self.schema.fields().len()
    }

    /// The types that a statement has given the columns of a text.
    pub(crate) fn declared(&self) -> Vec<(String, ColumnType)> {
        let fields = self.schema.fields().iter().filter(|_| self.declared);
        let types = fields.map(|field| (field.name().clone(), column_type(field.data_type())));
        types
            .filter_map(|(name, column_type)| Some((name, column_type?)))
            .collect()
    }

    /// The source behind the table, whose columns are those of the table, in order.
    pub(crate) async fn open(&self, scope: &Scope) -> Result<Arc<Columns>> {
        scope.progress.check()?;
        let opened = open(&self.shared, &self.source, &self.locations).await?;
        let places = self.places(&opened.source)?;
        Ok(Arc::new(Columns { opened, places }))
    }

    /// For each column of the table, its number in the source.
    fn places(&self, source: &Source) -> Result<Vec<usize>> {
        let fields = self.schema.fields().iter();
        fields
            .map(|field| {
                let mut columns = source.columns.iter();
                let place = columns.position(|column| column.name == *field.name());
                place.ok_or_else(|| {
                    Error::Conflict(format!(
                        "the files of {} have no column {:?} any more; make the table anew with CREATE OR REPLACE EXTERNAL TABLE",
                        self.source.location.0.join(", "),
                        field.name()
                    ))
                })
            })
            .collect()
    }

    /// A scan by the engine's own reader where that takes the files, else by ours.
    // Boxed here, as in `of_catalog`.
    fn plan_scan<'a>(
        &'a self,
        state: &'a dyn Session,
        projection: Option<&'a Vec<usize>>,
        filters: &'a [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'a, EngineResult<Arc<dyn ExecutionPlan>>> {
        Box::pin(async move {
            let opened = open(&self.shared, &self.source, &self.locations).await?;
            if let Some(scope) = Scope::of(state) {
                scope.keep(&opened);
            }
            let single = state.config().target_partitions() == 1;
            if let Some(files) = native(&opened.source)
                && !self.declared
            {
                let table = listing(&files, Some(&self.schema), state).await?;
                return table.scan(state, projection, filters, limit).await;
            }
            let wanted = match projection {
                Some(wanted) => wanted.clone(),
                None => (0..self.column_count()).collect(),
            };
            Ok(self.scan_splits(&opened, &wanted, single)?)
        })
    }

    /// A scan of our own: any format, on any worker.
    fn scan_splits(
        &self,
        opened: &Opened,
        wanted: &[usize],
        single: bool,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let places = self.places(&opened.source)?;
        let mut chosen: Vec<usize> = wanted.iter().map(|at| places[*at]).collect();
        if chosen.is_empty() {
            // Rows are counted by a column.
            chosen.push(places.first().copied().unwrap_or_default());
        }
        let source = opened.select(&chosen);
        let splits = source.split_count();
        if splits == 0 {
            let schema = self.schema.project(wanted)?;
            return Ok(Arc::new(EmptyExec::new(Arc::new(schema))));
        }
        let cluster = self.shared.options.cluster.is_some();
        let scan = scan_groups(&source, &split_groups(splits, single, cluster));
        let [.., bad, _] = ACCOUNT_COLUMNS;
        let bad = Column::new_with_schema(bad, &scan.schema())?;
        let readable = IsNullExpr::new(Arc::new(bad));
        let rows = FilterExec::try_new(Arc::new(readable), scan)?;
        let wanted = wanted.iter().copied();
        Ok(project(Arc::new(rows), &self.schema, wanted)?)
    }
}

/// A source with the columns of a table.
#[derive(Debug)]
pub(crate) struct Columns {
    opened: Arc<Opened>,
    places: Vec<usize>,
}

impl Columns {
    /// The source with these columns of the table.
    pub(crate) fn select(&self, columns: &[usize]) -> Arc<Source> {
        let places: Vec<usize> = columns.iter().map(|at| self.places[*at]).collect();
        self.opened.select(&places)
    }
}

async fn open(
    shared: &Arc<Shared>,
    source: &SourceSpec,
    locations: &LocationPolicy,
) -> Result<Arc<Opened>> {
    let (shared, source, locations) = (Arc::clone(shared), source.clone(), locations.clone());
    let opening = move || shared.sources.open(&source, &locations, &shared.options);
    tokio::task::spawn_blocking(opening)
        .await
        .map_err(|_| Error::Bug("opening a source panicked"))?
}

/// The files that the engine's own reader takes, which knows every type of Parquet and skips what a
/// query does not ask for; none where it cannot reach them.
fn native(source: &Source) -> Option<Vec<url::Url>> {
    let files = source.files.iter().map(|file| {
        let place = file.place().filter(|_| file.format == Format::Parquet)?;
        match place.local() {
            Some(path) => url::Url::from_file_path(std::path::absolute(path).ok()?).ok(),
            None => rooted_url(place),
        }
    });
    let urls: Option<Vec<_>> = files.collect();
    urls.filter(|urls| !urls.is_empty() && !source.has_partition_columns())
}

/// A table of Parquet files, whose columns are brought to the types of a schema.
async fn listing(
    files: &[url::Url],
    schema: Option<&SchemaRef>,
    state: &dyn Session,
) -> Result<ListingTable> {
    let urls = files.iter().map(|url| ListingTableUrl::parse(url.as_str()));
    let urls = urls.collect::<EngineResult<Vec<_>>>()?;
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension("");
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options);
    let config = match schema {
        Some(schema) => config.with_schema(Arc::clone(schema)),
        None => config.infer_schema(state).await?,
    };
    Ok(ListingTable::try_new(config)?)
}

/// The type of a contract that a type of SQL is.
fn column_type(data_type: &DataType) -> Option<ColumnType> {
    Some(match data_type {
        data_type if data_type.is_integer() => ColumnType::Integer,
        data_type if data_type.is_floating() => ColumnType::Float,
        DataType::Decimal128(..) | DataType::Decimal256(..) => ColumnType::Decimal,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ColumnType::String,
        DataType::Boolean => ColumnType::Boolean,
        DataType::Date32 | DataType::Date64 => ColumnType::Date,
        DataType::Timestamp(..) => ColumnType::Timestamp,
        _ => return None,
    })
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    // The engine's own reader skips row groups; what it may let through is filtered behind it.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        self.plan_scan(state, projection, filters, limit).await
    }
}
