//! Summing up what was learned of near duplicates.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;

use super::learn::Summing;
use crate::error::{Error, Result};
use crate::learn::{KEY_BUCKETS, in_threads};
use crate::matching::{
    Candidates, CappedKeys, Matches, MatchingNeed, Sample, Scored, Scorer, decide, find_pairs,
};
use crate::operators::scored_place;
use crate::program::Program;
use crate::storage::Place;

/// What the first of the two passes finds, beside the pairs.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sample: Sample,
    capped: CappedKeys,
}

/// The pairs in all buckets of keys, found in this process.
pub(super) fn pairs_here(
    need: &MatchingNeed,
    mut logs: BTreeMap<u16, Vec<RecordBatch>>,
    summing: &Summing<'_>,
) -> Result<(Candidates, Found)> {
    let others = logs.split_off(&(KEY_BUCKETS as u16));
    let found = Found {
        sample: sample(others, summing)?,
        capped: CappedKeys::default(),
    };
    let held = summing.memory.new_empty();
    let buckets: Vec<Vec<RecordBatch>> = logs.into_values().collect();
    let parts = in_threads(summing.threads, buckets, |logs| {
        find_pairs(&logs, need.most_rows(), &held)
    })?;
    let (mut pairs, mut capped) = (Vec::new(), CappedKeys::default());
    for part in parts {
        held.try_grow(part.pairs.len() * size_of::<(u64, u64)>())?;
        capped.add(part.capped);
        pairs.extend(part.pairs);
    }
    let candidates = Candidates::merge(pairs);
    summing.memory.try_grow(candidates.bytes())?;
    Ok((candidates, Found { capped, ..found }))
}

/// What workers tell of the pairs that they have found and stored; gives the buckets that have some.
pub(super) fn pairs_there(
    mut logs: BTreeMap<u16, Vec<RecordBatch>>,
    summing: &Summing<'_>,
) -> Result<(Vec<u16>, Found)> {
    let others = logs.split_off(&(KEY_BUCKETS as u16));
    let mut capped = CappedKeys::default();
    for told in logs.values().flatten() {
        capped.add(CappedKeys::read(told)?);
    }
    let sample = sample(others, summing)?;
    Ok((logs.into_keys().collect(), Found { sample, capped }))
}

fn sample(others: BTreeMap<u16, Vec<RecordBatch>>, summing: &Summing<'_>) -> Result<Sample> {
    let parts: Vec<RecordBatch> = others.into_values().flatten().collect();
    let sample = Sample::merge(&parts)?;
    summing.memory.try_grow(sample.bytes())?;
    Ok(sample)
}

/// The clusters among the pairs, compared in this process.
pub(super) fn matches_here(
    program: &Program,
    need: &MatchingNeed,
    found: &Found,
    logs: BTreeMap<u16, Vec<RecordBatch>>,
    summing: &Summing<'_>,
) -> Result<Matches> {
    let scorer = Scorer::new(need, &found.sample);
    let held = summing.memory.new_empty();
    let mut scored = Scored::default();
    for logs in logs.values() {
        scored.add(scorer.score(logs, summing.threads, &held)?);
    }
    conclude(program, need, found, &scorer, scored, summing)
}

/// The clusters among the pairs that workers have compared and stored.
pub(super) fn matches_there(
    program: &Program,
    (op, need): (usize, &MatchingNeed),
    found: &Found,
    told: BTreeMap<u16, Vec<RecordBatch>>,
    folder: &Place,
    summing: &Summing<'_>,
) -> Result<Matches> {
    let scorer = Scorer::new(need, &found.sample);
    let held = summing.memory.new_empty();
    let mut scored = Scored::default();
    for (bucket, told) in told {
        let place = scored_place(folder, op, bucket);
        let told = told.first().ok_or(Error::Bug("nothing was told"))?;
        let file = place.open().map_err(|error| Error::io(&place, error))?;
        let part = Scored::read(told, file)?;
        held.try_grow(part.pairs.len() * size_of::<crate::matching::ScoredPair>())?;
        scored.add(part);
    }
    scored.pairs.sort_unstable();
    conclude(program, need, found, &scorer, scored, summing)
}

fn conclude(
    program: &Program,
    need: &MatchingNeed,
    found: &Found,
    scorer: &Scorer,
    scored: Scored,
    summing: &Summing<'_>,
) -> Result<Matches> {
    let columns = &program.contract.columns;
    let names = need.columns.iter();
    let names: Vec<String> = names.map(|column| columns[*column].name.clone()).collect();
    let sample = &found.sample;
    decide(
        need,
        &names,
        sample,
        scorer,
        scored,
        found.capped,
        summing.memory,
    )
}
