//! Summing up what was learned of near duplicates.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use udfs::kernels::matching::KeyPlan;

use super::learn::Summing;
use crate::error::{Error, Result};
use crate::learn::KEY_BUCKETS;
use crate::matching::{
    Candidates, CappedKeys, EARLIER, EarlierIndex, Judge, Matches, MatchingNeed, Meeting, Method,
    PairExplanation, Sample, Scored, Scorer, decide, find_pairs, record_of,
};
use crate::operators::scored_place;
use crate::program::Program;
use crate::storage::Place;
use planner_base::in_threads;

/// What earlier passes have found, beside the pairs.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sample: Sample,
    pub(super) plan: Arc<KeyPlan>,
    capped: CappedKeys,
    /// Whether the rows that are watched are a pair.
    met: bool,
}

/// What a sample of the rows tells.
pub(super) fn sample(
    need: &MatchingNeed,
    parts: &[RecordBatch],
    earlier: Option<&EarlierIndex>,
    summing: &Summing<'_>,
) -> Result<Found> {
    let mut sample = match need.method {
        Method::Texts { .. } => Sample::of_texts(parts)?,
        Method::Records { .. } => Sample::merge(parts)?,
    };
    // Rows meet those of an earlier output by the keys that these have.
    let plan = match (earlier, &need.method) {
        (Some(earlier), _) => {
            let plan = earlier.head.plan.clone();
            plan.for_rows(summing.rows + earlier.rows())
        }
        (None, Method::Texts { .. }) => KeyPlan {
            shingle: sample.shingle.clone(),
            ..KeyPlan::default()
        },
        (None, Method::Records { .. }) => KeyPlan::learn(&sample.records, &need.keys, summing.rows),
    };
    sample.prepare(need, earlier)?;
    summing.memory.try_grow(sample.bytes())?;
    Ok(Found {
        plan: Arc::new(plan),
        sample,
        ..Found::default()
    })
}

/// Which rows of a key meet.
pub(super) fn meeting(need: &MatchingNeed, found: Option<&Found>) -> Meeting {
    match found {
        Some(found) => need.meeting(&found.plan),
        None => need.meeting(&KeyPlan::default()),
    }
}

/// Takes the counts, which are no keys, out of the logs.
fn count(found: &mut Found, logs: &mut BTreeMap<u16, Vec<RecordBatch>>) -> Result<()> {
    let counts = logs.split_off(&(KEY_BUCKETS as u16));
    let counts: Vec<RecordBatch> = counts.into_values().flatten().collect();
    found.sample.count(&counts)
}

/// The pairs in all buckets of keys, found in this process.
pub(super) fn pairs_here(
    found: &mut Found,
    meeting: Meeting,
    mut logs: BTreeMap<u16, Vec<RecordBatch>>,
    earlier: Option<&EarlierIndex>,
    summing: &Summing<'_>,
) -> Result<Candidates> {
    count(found, &mut logs)?;
    let held = summing.memory.new_empty();
    if let Some(earlier) = earlier {
        earlier.add_keys(&mut logs, summing.threads, &held)?;
    }
    let buckets: Vec<Vec<RecordBatch>> = logs.into_values().collect();
    let parts = in_threads(summing.threads, buckets, |logs| -> Result<_> {
        find_pairs(&logs, meeting, &held)
    })?;
    let mut pairs = Vec::with_capacity(parts.len());
    for part in parts {
        found.capped.add(part.capped);
        pairs.push(part.pairs);
    }
    let mut candidates = Candidates::merge(&pairs, meeting.least_shared, summing.threads)?;
    if let Some(rows) = summing.watched {
        found.met = candidates.watch(rows);
    }
    summing.memory.try_grow(candidates.bytes())?;
    Ok(candidates)
}

/// What workers tell of the pairs that they have found and stored; gives the buckets that have some.
pub(super) fn pairs_there(
    found: &mut Found,
    mut logs: BTreeMap<u16, Vec<RecordBatch>>,
) -> Result<Vec<u16>> {
    count(found, &mut logs)?;
    for told in logs.values().flatten() {
        found.capped.add(CappedKeys::read(told)?);
    }
    Ok(logs.into_keys().collect())
}

/// The clusters among the pairs, compared in this process.
pub(super) fn matches_here(
    program: &Program,
    need: &MatchingNeed,
    found: &Found,
    mut logs: BTreeMap<u16, Vec<RecordBatch>>,
    earlier: Option<&EarlierIndex>,
    summing: &Summing<'_>,
) -> Result<Matches> {
    let scorer = Scorer::new(need, &found.sample, summing.threads);
    let held = summing.memory.new_empty();
    let mut scored = Scored::default();
    for logs in logs.values_mut() {
        if let Some(earlier) = earlier {
            let watched = summing
                .watched
                .map_or(Vec::new(), |(one, two)| vec![one, two]);
            let watched: Vec<u64> = watched.into_iter().filter(|row| *row >= EARLIER).collect();
            logs.extend(earlier.records_for(logs, &watched, &held)?);
        }
        scored.add(scorer.score(logs, summing.threads, &held)?);
    }
    let judge = judge(program, need, found, &scorer, &scored);
    let mut matches = decide(&judge, &scored, found.capped, earlier, summing.memory)?;
    matches.plan = Arc::clone(&found.plan);
    if let Some(rows) = summing.watched {
        let logs: Vec<RecordBatch> = logs.into_values().flatten().collect();
        let explained = explain(&judge, rows, found, &matches, &logs)?;
        matches.explained = Some(Arc::new(explained));
    }
    Ok(matches)
}

/// The clusters among the pairs that workers have compared and stored.
pub(super) fn matches_there(
    program: &Program,
    (op, need): (usize, &MatchingNeed),
    found: &Found,
    told: BTreeMap<u16, Vec<RecordBatch>>,
    (folder, earlier): (&Place, Option<&EarlierIndex>),
    summing: &Summing<'_>,
) -> Result<Matches> {
    let scorer = Scorer::new(need, &found.sample, summing.threads);
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
    let judge = judge(program, need, found, &scorer, &scored);
    let mut matches = decide(&judge, &scored, found.capped, earlier, summing.memory)?;
    matches.plan = Arc::clone(&found.plan);
    Ok(matches)
}

fn judge<'a>(
    program: &Program,
    need: &MatchingNeed,
    found: &Found,
    scorer: &'a Scorer,
    scored: &Scored,
) -> Judge<'a> {
    let columns = &program.contract.columns;
    let names = need.columns.iter();
    let names = names.map(|column| columns[*column].name.clone()).collect();
    Judge::learn(need, names, &found.sample, scorer, scored)
}

/// Why two rows are in one cluster or not.
fn explain(
    judge: &Judge<'_>,
    rows: (u64, u64),
    found: &Found,
    matches: &Matches,
    logs: &[RecordBatch],
) -> Result<PairExplanation> {
    let records = [record_of(logs, rows.0)?, record_of(logs, rows.1)?];
    let cluster = |row| {
        let matched = matches.of_row(row);
        matched.map(|matched| (matched.cluster, matched.survivor))
    };
    let explanation = match &records {
        [Some(left), Some(right)] => judge.explain(rows, [left, right]),
        [left, right] => {
            let gone = [(left, rows.0), (right, rows.1)];
            let gone = gone.into_iter().filter(|(record, _)| record.is_none());
            PairExplanation {
                rows,
                gone: gone.map(|(_, row)| row).collect(),
                ..PairExplanation::default()
            }
        }
    };
    Ok(PairExplanation {
        met: found.met,
        clusters: [cluster(rows.0), cluster(rows.1)],
        ..explanation
    })
}
