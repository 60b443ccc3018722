//! What the tokens of a split stand for, sealed: one row for each token.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use udfs::kernels::pii::token::TokenVault;

use super::part::properties;
use super::{FileEntry, Manifest, PartFolder, TableWriter};
use crate::error::{Error, Result};
use crate::operation::CleaningBatch;
use crate::program::Program;
use crate::spec::OutputFormat;
use crate::storage::Place;

/// Folder of the table.
pub(super) const FOLDER: &str = "tokens";

/// Takes the sealed values off an output: first its manifest no longer names them, then they are removed. What was
/// taken off before is no error.
///
/// # Errors
/// When the manifest cannot be read or written, or the files cannot be removed.
pub fn detach_tokens(output: &Place) -> Result<()> {
    let mut manifest = Manifest::read(output)?;
    let inside = |entry: &FileEntry| entry.path.split('/').next() == Some(FOLDER);
    if !manifest.files.iter().any(inside) {
        return Ok(());
    }
    manifest.files.retain(|entry| !inside(entry));
    let content = serde_json::to_vec_pretty(&manifest)?;
    let place = output.join(Manifest::NAME);
    let written = place.begin_whole().and_then(|mut file| {
        file.write_all(&content)?;
        file.finish()
    });
    written.map_err(|error| Error::io(&place, error))?;
    let folder = output.join(FOLDER);
    folder
        .remove_all()
        .map_err(|error| Error::io(&folder, error))
}

/// The columns whose values become tokens, by transformation.
#[derive(Debug)]
pub(super) struct TokenTable {
    sealed: Vec<(u16, usize, Arc<TokenVault>)>,
    names: Vec<String>,
    schema: SchemaRef,
}

impl TokenTable {
    /// None where no column has tokens.
    pub(super) fn of(program: &Program) -> Option<Arc<Self>> {
        let sealed = program.token_columns();
        let columns = program.contract.columns.iter();
        let schema = Schema::new(vec![
            Field::new("column_name", DataType::Utf8, false),
            Field::new("token", DataType::Utf8, false),
            Field::new("sealed", DataType::Binary, false),
        ]);
        (!sealed.is_empty()).then(|| {
            Arc::new(Self {
                sealed,
                names: columns.map(|column| column.name.clone()).collect(),
                schema: Arc::new(schema),
            })
        })
    }
}

/// Collects the tokens of one split.
pub(super) struct TokenWriter {
    table: Arc<TokenTable>,
    file: TableWriter,
    /// By column and token.
    seen: BTreeMap<(usize, String), Vec<u8>>,
}

impl TokenWriter {
    pub(super) fn create(table: &Arc<TokenTable>, folder: &PartFolder, split: u64) -> Result<Self> {
        let name = format!("{FOLDER}/part-{split:05}.parquet");
        let settings = properties().build();
        let format = OutputFormat::Parquet;
        Ok(Self {
            file: TableWriter::create(folder, name, format, &table.schema, settings, false)?,
            table: Arc::clone(table),
            seen: BTreeMap::new(),
        })
    }

    /// Adds the cells of a frame that became tokens.
    pub(super) fn write(&mut self, frame: &CleaningBatch) -> Result<()> {
        for (transformation, column, vault) in &self.table.sealed {
            let own = frame.changes.iter().filter(|change| {
                (change.transformation, change.column) == (*transformation, *column)
            });
            for change in own {
                let values = cast(&change.before, &DataType::Utf8View)?;
                let values = values
                    .as_string_view_opt()
                    .ok_or(Error::Bug("a cast to text"))?;
                for row in &change.rows {
                    let row = *row as usize;
                    if !frame.is_live(row) || values.is_null(row) {
                        continue;
                    }
                    let value = values.value(row);
                    let token = vault.token(value);
                    if let Entry::Vacant(free) = self.seen.entry((*column, token)) {
                        let sealed = vault.seal(&free.key().1, value);
                        let sealed = sealed.map_err(|_| Error::Bug("a value cannot be sealed"))?;
                        free.insert(sealed);
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<FileEntry> {
        let names = self
            .seen
            .keys()
            .map(|(column, _)| &self.table.names[*column]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(names)),
            Arc::new(StringArray::from_iter_values(
                self.seen.keys().map(|(_, token)| token),
            )),
            Arc::new(BinaryArray::from_iter_values(self.seen.values())),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&self.table.schema), columns)?;
        self.file.write(&batch)?;
        self.file.finish()
    }
}
