//! What of a row is compared, and by which keys it meets others.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use udfs::kernels::matching::{
    KeyPlan, Record, RecordKeys, Sketch, Veil, comparable, comparable_into,
};
use udfs::kernels::minhash::{BandKeys, Banding};
use udfs::kernels::row_hash::hash_rows;
use udfs::kernels::shingle::{Shingler, Shingling, distinct};

use super::options::{MatchingNeed, Method};
use crate::error::{Error, Result};
use crate::operation::CleaningBatch;

/// Rows from this number on are of an earlier output.
pub const EARLIER: u64 = 1 << 63;

/// Slots of a text's signature.
const SLOTS: usize = 128;

/// What texts are cut into: as the job says, or as was planned.
pub(super) fn shingling(given: Option<&str>, planned: Option<&str>) -> Shingling {
    let shingle = given.or(planned);
    let parsed = shingle.and_then(|shingle| shingle.parse().ok());
    parsed.unwrap_or_default()
}

/// The bands of texts that are to meet from a similarity on: as few as find 995 of 1,000 pairs that
/// are just so alike.
fn banding(threshold: f64) -> Banding {
    let fits = (1..=32)
        .rev()
        .filter_map(|rows| Banding::new(SLOTS / rows, rows).ok());
    let mut fits = fits.filter(|banding| banding.probability(threshold) >= 0.995);
    fits.next().unwrap_or_default()
}

/// The values of columns of a frame, or of some of its rows, row by row.
pub(super) struct Values(Vec<StringViewArray>);

impl Values {
    pub(super) fn new(frame: &CleaningBatch, columns: &[usize]) -> Result<Self> {
        let columns = columns
            .iter()
            .map(|column| Ok(Arc::clone(&frame.columns[*column])));
        Self::of(columns)
    }

    /// Of these rows only.
    pub(super) fn at(frame: &CleaningBatch, columns: &[usize], rows: &[usize]) -> Result<Self> {
        let places = UInt32Array::from_iter_values(rows.iter().map(|row| *row as u32));
        let columns = columns.iter();
        Self::of(columns.map(|column| Ok(take(&frame.columns[*column], &places, None)?)))
    }

    fn of(columns: impl Iterator<Item = Result<ArrayRef>>) -> Result<Self> {
        let texts = columns.map(|column| {
            let text = cast(&column?, &DataType::Utf8View)?;
            let text = text.as_string_view_opt().cloned();
            text.ok_or(Error::Bug("a cast to text that is not"))
        });
        Ok(Self(texts.collect::<Result<_>>()?))
    }

    /// The comparable values of a row.
    pub(super) fn record(&self, row: usize) -> Record {
        let values = self.0.iter();
        values
            .map(|column| column.is_valid(row).then(|| column.value(row)))
            .map(|text| text.and_then(comparable))
            .collect()
    }

    /// Puts the comparable values of a row into memory that is kept.
    fn read_into(&self, row: usize, to: &mut Comparable) {
        to.text.clear();
        to.ends.clear();
        for column in &self.0 {
            let value = column.is_valid(row).then(|| column.value(row));
            let any = value.is_some_and(|text| comparable_into(text, &mut to.folded, &mut to.text));
            to.ends.push(any.then_some(to.text.len()));
        }
    }

    /// The values of a row as one text.
    pub(super) fn text(&self, row: usize) -> String {
        let mut text = String::new();
        for column in self.0.iter().filter(|column| column.is_valid(row)) {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(column.value(row));
        }
        text
    }
}

/// The side of each row of a frame.
pub(super) fn sides(frame: &CleaningBatch, link_by: Option<usize>) -> Option<Vec<u64>> {
    let column = Arc::clone(&frame.columns[link_by?]);
    let hashes = hash_rows(&[column]);
    Some(hashes.into_iter().map(|hash| hash as u64).collect())
}

/// The comparable values of a row, one behind the other.
#[derive(Debug, Default)]
struct Comparable {
    text: String,
    /// Where in it the value of each column ends; none of a column without one.
    ends: Vec<Option<usize>>,
    folded: String,
}

impl Comparable {
    fn values(&self) -> impl Iterator<Item = Option<&str>> + Clone {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = (*end)?;
            let value = &self.text[start..end];
            start = end;
            Some(value)
        })
    }
}

/// Makes the keys of rows, one after the other.
pub(super) struct RowKeys {
    maker: Maker,
    veil: Option<Veil>,
    keys: Vec<u64>,
}

enum Maker {
    Records {
        maker: Box<RecordKeys>,
        /// Whether the values of each column are keys by themselves.
        alone: Vec<bool>,
        row: Comparable,
    },
    Texts(BandKeys),
}

impl RowKeys {
    /// By a plan, which records need.
    pub(super) fn new(need: &MatchingNeed, plan: Option<&KeyPlan>) -> Result<Self> {
        let maker = match &need.method {
            Method::Records { .. } => {
                let plan = plan.ok_or(Error::Bug("keys without a plan"))?;
                Maker::Records {
                    maker: Box::new(RecordKeys::new(plan)),
                    alone: need.keys.clone(),
                    row: Comparable::default(),
                }
            }
            Method::Texts { threshold, shingle } => {
                let planned = plan.and_then(|plan| plan.shingle.as_deref());
                let shingling = shingling(shingle.as_deref(), planned);
                Maker::Texts(BandKeys::new(shingling, banding(*threshold)))
            }
        };
        Ok(Self {
            maker,
            veil: need.veil()?,
            keys: Vec::new(),
        })
    }

    /// The keys of a row, that of the whole row first.
    pub(super) fn of(&mut self, values: &Values, row: usize) -> &[u64] {
        let keys = &mut self.keys;
        keys.clear();
        match &mut self.maker {
            Maker::Records {
                maker,
                alone,
                row: own,
            } => {
                values.read_into(row, own);
                maker.of(own.values().zip(alone.iter().copied()), keys);
            }
            Maker::Texts(maker) => {
                let text = values.text(row);
                let bands = maker.of(&text);
                // A text of nothing is like a missing value.
                if !bands.is_empty() {
                    keys.push(RecordKeys::text(&text));
                }
                keys.extend(bands.iter().map(|key| RecordKeys::band(*key)));
            }
        }
        if let Some(veil) = &self.veil {
            keys.iter_mut().for_each(|key| *key = veil.key(*key));
        }
        keys
    }
}

/// Makes what is compared of rows: their values, or the sketches that an index holds in their place.
#[derive(Debug)]
pub(super) struct RowRecords {
    veil: Option<Veil>,
    /// Columns of records of which only a sketch is compared.
    hidden: Vec<bool>,
    /// Of texts of which only a sketch is compared.
    shingler: Option<Shingler>,
    hashes: Vec<u64>,
    texts: bool,
}

impl RowRecords {
    pub(super) fn new(need: &MatchingNeed, plan: Option<&KeyPlan>) -> Result<Self> {
        let shingle = match &need.method {
            Method::Texts { shingle, .. } => Some(shingle.as_deref()),
            Method::Records { .. } => None,
        };
        let index = need.index.as_ref();
        let shingler = shingle.filter(|_| index.is_some()).map(|given| {
            let planned = plan.and_then(|plan| plan.shingle.as_deref());
            Shingler::new(shingling(given, planned))
        });
        Ok(Self {
            veil: need.veil()?,
            hidden: index.map_or(Vec::new(), |index| index.hidden.clone()),
            shingler,
            hashes: Vec::new(),
            texts: shingle.is_some(),
        })
    }

    /// What is compared of a row.
    pub(super) fn of(&mut self, values: &Values, row: usize) -> Record {
        if !self.texts {
            let mut record = values.record(row);
            self.hide(&mut record);
            return record;
        }
        let text = values.text(row);
        let Some(shingler) = &mut self.shingler else {
            return vec![Some(text)];
        };
        shingler.shingle(&text, &mut self.hashes);
        distinct(&mut self.hashes);
        let sketch = Sketch::of_shingles(&self.hashes, self.veil.as_ref());
        vec![Some(sketch.to_text())]
    }

    /// Puts sketches in the place of values of a record that are not to be read.
    pub(super) fn hide(&self, record: &mut Record) {
        let Some(veil) = &self.veil else { return };
        for (value, hidden) in record.iter_mut().zip(&self.hidden) {
            if let Some(text) = value.as_mut().filter(|_| *hidden) {
                *text = Sketch::of_value(text, veil).to_text();
            }
        }
    }
}
