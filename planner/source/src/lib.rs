//! Sources: from a location to batches of raw rows.
//!
//! [`Source::discover`] finds the files, detects their format, stages those that cannot be read in ranges, and finds in
//! one pass where records begin. From then on, a source is a number of rows that is divided at multiples of
//! [`Source::rows_per_split`], independent of the files, so the same rows give the same splits in one file and in five.
//! [`Source::read_split`] reads one of them.

mod batch;
mod blocks;
mod csv;
mod dataset;
mod dialect;
mod encoding;
mod error;
mod fetch;
mod fields;
mod guard;
mod header;
mod index;
mod json_document;
mod json_text;
mod jsonl;
mod locate;
mod options;
mod parquet_guard;
mod parquet_rows;
mod part;
mod prepare;
mod rows;
mod separated;
mod sheet;
mod sniff;
mod split;
mod stage;
mod thrift;
mod web;
mod workbook_guard;

pub use batch::{BadRow, RawBatch, RowOrigin};
pub use dataset::{LineUnit, Source, SourceColumn, SourceFile};
pub use error::{SourceError, SourceErrorKind};
pub use fetch::FetchLimits;
pub use options::{Compression, ContentLimits, DecompressedLimit, Format, SourceOptions};
pub use part::SourcePart;
pub use split::SplitReader;
pub use web::{WebPolicy, restrict_web};
