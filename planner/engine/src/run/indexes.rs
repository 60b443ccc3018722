//! Indexes of near duplicates: those of earlier outputs with which rows are compared, and that of the output.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::job::JobRun;
use crate::error::{Error, Result};
use crate::matching::{
    EarlierIndex, EarlierOutput, IndexHead, IndexPart, Matches, MatchingNeed, clusters_of,
    index_files, indexes,
};
use crate::operation::{Extensions, StatisticValue, known};
use crate::program::Program;
use crate::sink::{FileEntry, Manifest, PartFolder};
use crate::spec::{Columns, JobSpec};
use crate::steps::{REFERENCE_OPTION, ReferenceMut};
use crate::storage::Place;

/// The indexes of earlier outputs, by the operations that read them.
#[derive(Debug, Default)]
pub(super) struct Earlier(BTreeMap<usize, (u16, Arc<EarlierIndex>)>);

impl Earlier {
    /// Opens the indexes that the operations of a program read.
    pub(super) fn open(run: &JobRun, program: &Program) -> Result<Self> {
        let mut opened: BTreeMap<u16, Arc<EarlierIndex>> = BTreeMap::new();
        let mut earlier = BTreeMap::new();
        for (number, op) in program.ops.iter().enumerate() {
            let Some((need, location)) =
                clusters_of(op).and_then(|need| Some((need, need.against()?)))
            else {
                continue;
            };
            let index = match opened.get(&op.transformation) {
                Some(index) => Arc::clone(index),
                None => {
                    let field = field_of(run, location);
                    let index = open(run, program, need, location)
                        .map_err(|problem| Error::field(field, problem))?;
                    Arc::clone(opened.entry(op.transformation).or_insert(Arc::new(index)))
                }
            };
            earlier.insert(number, (op.transformation, index));
        }
        let mut ids = opened.values().map(|index| index.head.next_row_id);
        let first = ids.next();
        if ids.any(|next| Some(next) != first) {
            let problem = "must be the same output in all steps: rows are numbered on from it";
            return Err(Error::field(REFERENCE_OPTION, problem));
        }
        Ok(Self(earlier))
    }

    /// What an operation reads.
    fn of(&self, op: usize) -> Option<&EarlierIndex> {
        self.0.get(&op).map(|(_, index)| index.as_ref())
    }

    /// What the statistics of each transformation find of these.
    pub(super) fn shared(&self) -> BTreeMap<u16, Extensions> {
        let indexes = self.0.values();
        let shared = indexes.map(|(transformation, index)| {
            let mut shared = Extensions::default();
            shared.insert(EarlierOutput(Arc::clone(index)));
            (*transformation, shared)
        });
        shared.collect()
    }

    /// Writes what belongs to the indexes of an output beside the parts of its splits: the rows of earlier outputs, and
    /// the heads.
    pub(super) fn complete(
        &self,
        program: &Program,
        learned: &[Option<StatisticValue>],
        parts: &PartFolder,
        next_row_id: u64,
    ) -> Result<Vec<FileEntry>> {
        let mut files = Vec::new();
        for (op, need) in indexes(&program.ops) {
            let transformation = usize::from(program.ops[op].transformation);
            let transformation = &program.transformations[transformation].id;
            if let Some(earlier) = self.of(op) {
                files.extend(carry_on(earlier, transformation, parts)?);
            }
            let matches: &Matches = known(learned[op].as_ref())?;
            let (contract, agreement) = (&program.contract, matches.agreement.clone());
            let head = IndexHead::new(need, contract, &matches.plan, agreement, next_row_id)?;
            let name = index_files::head(transformation);
            let content = serde_json::to_vec_pretty(&head)?;
            files.push(FileEntry::write(&parts.files, &name, &content)?);
        }
        Ok(files)
    }

    /// The number of the first row behind all of these.
    pub(super) fn next_row_id(&self) -> u64 {
        let first = self.0.values().next();
        first.map_or(0, |(_, index)| index.head.next_row_id)
    }
}

/// The option, in the first step that has it so.
fn field_of(run: &JobRun, location: &str) -> String {
    let mut steps = run.spec.steps.iter().flatten();
    let step = steps.position(|step| step.step().reference() == Some(location));
    format!("steps[{}].{REFERENCE_OPTION}", step.unwrap_or_default())
}

/// The spec of a job, with the columns of an earlier output's index named where a step compares all: which
/// these are was told by other rows.
pub(super) fn name_columns(run: &JobRun) -> Result<JobSpec> {
    let mut spec = run.spec.clone();
    for (number, step) in spec.steps.iter_mut().flatten().enumerate() {
        let Some(ReferenceMut {
            location,
            columns: Some(columns),
        }) = step.step_mut().reference_mut()
        else {
            continue;
        };
        let wrong = |problem| Error::field(format!("steps[{number}].{REFERENCE_OPTION}"), problem);
        let (root, manifest) = earlier_output(run, location).map_err(wrong)?;
        let paths = manifest.files.iter().map(|file| file.path.as_str());
        let indexes: Vec<&str> = paths
            .filter_map(index_files::transformation_of_head)
            .collect();
        let index = match indexes.as_slice() {
            [] => return Err(wrong(NO_INDEX.to_owned())),
            [index] => index,
            _ => return Err(wrong("has several indexes: name the columns".to_owned())),
        };
        let head = read_head(&root, index).map_err(wrong)?;
        *columns = Columns::Named(head.columns().to_vec());
    }
    Ok(spec)
}

const NO_INDEX: &str = "has no index: the job that made it needs index: true";

/// Whether two places are one, as far as their names tell, or the file system.
fn same_place(one: &Place, two: &Place) -> bool {
    let real = |place: &Place| place.local().and_then(|path| path.canonicalize().ok());
    one == two || real(one).is_some_and(|path| real(two) == Some(path))
}

/// The place of an earlier output, and its manifest.
fn earlier_output(run: &JobRun, location: &str) -> Result<(Place, Manifest), String> {
    let output = &run.spec.output;
    let credentials = output.credentials.as_ref();
    let folder = location.strip_suffix(Manifest::NAME).unwrap_or(location);
    let folder = if folder.is_empty() { "." } else { folder };
    let root = run
        .locations
        .place(folder, credentials)
        .map_err(|error| error.to_string())?;
    let own = run
        .locations
        .place(&output.location, credentials)
        .map_err(|error| error.to_string())?;
    if same_place(&own, &root) {
        return Err("is the place of this job's own output, which would replace it".to_owned());
    }
    let manifest =
        Manifest::read(&root).map_err(|error| format!("is no output that can be read: {error}"))?;
    Ok((root, manifest))
}

fn open(
    run: &JobRun,
    program: &Program,
    need: &MatchingNeed,
    location: &str,
) -> Result<EarlierIndex, String> {
    let (root, manifest) = earlier_output(run, location)?;
    let paths = manifest.files.iter().map(|file| file.path.as_str());
    let mut unfit = Vec::new();
    for transformation in paths.filter_map(index_files::transformation_of_head) {
        let head = read_head(&root, transformation)?;
        let differs = head.differs(need, &program.contract);
        match differs.map_err(|error| error.to_string())? {
            None => return Ok(index(&root, head, transformation, &manifest)),
            Some(why) => unfit.push(format!("its index of {transformation} does not fit: {why}")),
        }
    }
    if unfit.is_empty() {
        return Err(NO_INDEX.to_owned());
    }
    Err(unfit.join("; "))
}

fn read_head(root: &Place, transformation: &str) -> Result<IndexHead, String> {
    let place = root.join(&index_files::head(transformation));
    let file = place.open().map_err(|error| format!("{place}: {error}"))?;
    serde_json::from_reader(file).map_err(|error| format!("{place}: {error}"))
}

fn index(root: &Place, head: IndexHead, transformation: &str, manifest: &Manifest) -> EarlierIndex {
    let mut parts: Vec<IndexPart> = Vec::new();
    for file in &manifest.files {
        let first_row_id = index_files::first_row_of(&file.path, transformation);
        let Some((first_row_id, count)) = first_row_id.zip(file.rows.filter(|rows| *rows > 0))
        else {
            continue;
        };
        parts.push(IndexPart {
            rows: root.join(&file.path),
            keys: root.join(&index_files::keys(transformation, first_row_id)),
            first_row_id,
            count,
        });
    }
    parts.sort_by_key(|part| part.first_row_id);
    EarlierIndex { head, parts }
}

/// Copies the rows of an earlier index to the one of this output, which so stands for both.
fn carry_on(
    earlier: &EarlierIndex,
    transformation: &str,
    parts: &PartFolder,
) -> Result<Vec<FileEntry>> {
    let mut files = Vec::new();
    for part in &earlier.parts {
        let names = [
            (
                &part.rows,
                index_files::rows(transformation, part.first_row_id),
                Some(part.count),
            ),
            (
                &part.keys,
                index_files::keys(transformation, part.first_row_id),
                None,
            ),
        ];
        for (from, name, rows) in names {
            files.push(parts.copy(from, name, rows)?);
        }
    }
    Ok(files)
}
