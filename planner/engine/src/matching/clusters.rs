//! The clusters of near duplicates: the statistic that compares the candidate pairs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::memory_pool::MemoryReservation;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::candidates::ROW_KEYS_BYTES;
use super::decide::{Judge, decide};
use super::earlier::EarlierIndex;
use super::found::{EarlierOutput, Found};
use super::matches::Matches;
use super::options::MatchingNeed;
use super::records::{MatchingRecords, pair_buckets, record_of};
use super::report::PairExplanation;
use super::rows::EARLIER;
use super::sample::Sample;
use super::score::{Scored, ScoredPair, Scorer};
use crate::error::{Error, Result};
use crate::operation::{
    Accumulator, BucketEvaluator, Collected, DriverContext, Extensions, KeyedStatistic,
    PartialStates, ReportContext, SplitContext, Statistic, StatisticFiles, StatisticReport,
    StatisticValue, Stored, Traffic, known,
};
use crate::profile::RowSample;
use crate::storage::{Place, WholeFile};

/// Which rows are of one thing, among those that may be. Its value is [`Matches`].
#[derive(Debug, Clone)]
pub struct Clusters(pub MatchingNeed);

/// What workers must know to compare pairs.
#[derive(Debug, Serialize, Deserialize)]
struct ScoreOrder {
    /// The sample from which the fields are learned, in JSON.
    sample: Place,
    /// Rows of an earlier output that are compared too.
    earlier: Option<Arc<EarlierIndex>>,
}

impl Statistic for Clusters {
    fn describe(&self, names: &dyn Fn(&[usize]) -> String) -> String {
        format!("{} of the rows that meet others", names(&self.0.columns))
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            what: "records of rows that may match",
            row_bytes: None,
        }
    }

    fn accumulator(&self, split: &SplitContext) -> Box<dyn Accumulator> {
        // The process that knows all pairs compares them in one bucket.
        let buckets = if split.alone {
            1
        } else {
            pair_buckets(split.total_rows)
        };
        Box::new(MatchingRecords::new(self.0.clone(), buckets))
    }

    fn evaluate(
        &self,
        partial: PartialStates,
        driver: &mut DriverContext<'_>,
    ) -> Result<StatisticValue> {
        let found = taken(driver)?;
        let earlier = EarlierOutput::of(driver.shared);
        let scorer = Scorer::new(&self.0, &found.sample, driver.threads);
        let held = driver.memory.new_empty();
        let mut buckets = partial.by_bucket();
        let mut scored = Scored::default();
        for records in buckets.values_mut() {
            if let Some(earlier) = &earlier {
                let watched = driver
                    .watched
                    .map_or(Vec::new(), |(one, two)| vec![one, two]);
                let watched: Vec<u64> = watched.into_iter().filter(|row| *row >= EARLIER).collect();
                records.extend(earlier.records_for(records, &watched, &held)?);
            }
            scored.add(scorer.score(records, driver.threads, &held)?);
        }
        let judge = self.judge(&found, &scorer, &scored, driver);
        let mut matches = decided(&judge, &scored, &found, driver)?;
        if let Some(rows) = driver.watched {
            let records: Vec<RecordBatch> = buckets.into_values().flatten().collect();
            let explained = explain(&judge, rows, &found, &matches, &records)?;
            matches.explained = Some(Arc::new(explained));
        }
        tell_removed(&matches, driver);
        Ok(StatisticValue::new(matches))
    }

    fn keyed(&self) -> Option<&dyn KeyedStatistic> {
        Some(self)
    }

    fn store(&self, value: &StatisticValue, files: &StatisticFiles) -> Result<Stored> {
        known::<Matches>(Some(value))?.store(files)
    }

    fn load(&self, stored: &Stored, split: u64) -> Result<StatisticValue> {
        Ok(StatisticValue::new(Matches::load(stored, split)?))
    }

    fn report(
        &self,
        value: Option<&StatisticValue>,
        _: &ReportContext<'_>,
    ) -> Option<StatisticReport> {
        let Some(matches) = value.and_then(StatisticValue::get::<Matches>) else {
            return Some(StatisticReport::exact());
        };
        let report = matches.report.as_ref()?;
        let found = match serde_json::to_value(report.as_ref()) {
            Ok(Value::Object(found)) => found,
            _ => serde_json::Map::new(),
        };
        Some(StatisticReport {
            method: format!("{}, from a score of {:.3}", report.method, report.threshold),
            found,
        })
    }
}

impl KeyedStatistic for Clusters {
    fn row_bytes(&self) -> u64 {
        ROW_KEYS_BYTES
    }

    fn order(&self, files: &StatisticFiles, shared: &Extensions) -> Result<Value> {
        let found = shared.get::<Found>();
        let found = found.ok_or(Error::Bug("matches without pairs"))?;
        let sample = files.place("sample.json");
        let io = |error| Error::io(&sample, error);
        let mut file = sample.create().map_err(io)?;
        serde_json::to_writer(&mut file, &found.sample)?;
        file.finish().map_err(io)?;
        let earlier = EarlierOutput::of(shared);
        Ok(serde_json::to_value(ScoreOrder { sample, earlier })?)
    }

    fn evaluator(
        &self,
        order: &Value,
        files: StatisticFiles,
        _: Option<RowSample>,
    ) -> Result<Box<dyn BucketEvaluator>> {
        let ScoreOrder { sample, earlier } = ScoreOrder::deserialize(order)?;
        let file = sample.open().map_err(|error| Error::io(&sample, error))?;
        let sample: Sample = serde_json::from_reader(file)?;
        Ok(Box::new(PairScorer {
            scorer: Scorer::new(&self.0, &sample, 1),
            earlier,
            files,
        }))
    }

    fn collect(
        &self,
        told: BTreeMap<u16, Vec<RecordBatch>>,
        driver: &mut DriverContext<'_>,
    ) -> Result<Collected> {
        let found = taken(driver)?;
        let scorer = Scorer::new(&self.0, &found.sample, driver.threads);
        let held = driver.memory.new_empty();
        let mut scored = Scored::default();
        for (bucket, told) in told {
            let place = driver.files.place(&scored_name(bucket));
            let told = told.first().ok_or(Error::Bug("nothing was told"))?;
            let file = place.open().map_err(|error| Error::io(&place, error))?;
            let part = Scored::read(told, file)?;
            held.try_grow(part.pairs.len() * size_of::<ScoredPair>())?;
            scored.add(part);
        }
        scored.pairs.sort_unstable();
        let judge = self.judge(&found, &scorer, &scored, driver);
        let matches = decided(&judge, &scored, &found, driver)?;
        tell_removed(&matches, driver);
        Ok(Collected::Value(StatisticValue::new(matches)))
    }
}

impl Clusters {
    fn judge<'a>(
        &self,
        found: &Found,
        scorer: &'a Scorer,
        scored: &Scored,
        driver: &DriverContext<'_>,
    ) -> Judge<'a> {
        let columns = &driver.contract.columns;
        let names = self.0.columns.iter();
        let names = names.map(|column| columns[*column].name.clone()).collect();
        Judge::learn(&self.0, names, &found.sample, scorer, scored)
    }
}

/// The clusters among compared pairs.
fn decided(
    judge: &Judge<'_>,
    scored: &Scored,
    found: &Found,
    driver: &DriverContext<'_>,
) -> Result<Matches> {
    let earlier = EarlierOutput::of(driver.shared);
    let matches = decide(
        judge,
        scored,
        found.capped,
        earlier.as_deref(),
        driver.memory,
    )?;
    Ok(Matches {
        plan: Arc::clone(&found.plan),
        ..matches
    })
}

/// What the statistics before have found.
fn taken(driver: &mut DriverContext<'_>) -> Result<Found> {
    let found = driver.shared.remove();
    found.ok_or(Error::Bug("matches without pairs"))
}

/// Rows that leave for others count in no statistic behind this one.
fn tell_removed(matches: &Matches, driver: &mut DriverContext<'_>) {
    let removed = matches.rows.iter().filter(|row| row.row != row.survivor);
    driver.removed.extend(removed.map(|row| row.row));
}

/// Compares the pairs of buckets, and stores what that gives.
struct PairScorer {
    scorer: Scorer,
    earlier: Option<Arc<EarlierIndex>>,
    files: StatisticFiles,
}

impl BucketEvaluator for PairScorer {
    fn evaluate(
        &self,
        bucket: u16,
        mut partial: Vec<RecordBatch>,
        memory: &MemoryReservation,
    ) -> Result<RecordBatch> {
        let held = memory.new_empty();
        if let Some(earlier) = &self.earlier {
            partial.extend(earlier.records_for(&partial, &[], &held)?);
        }
        let scored = self.scorer.score(&partial, 1, &held)?;
        let place = self.files.place(&scored_name(bucket));
        let io = |error| Error::io(&place, error);
        let mut file = WholeFile::create(&place, &self.files.folder).map_err(io)?;
        scored.write(&mut file)?;
        file.finish().map_err(io)?;
        scored.told()
    }
}

/// The file of the compared pairs of a bucket.
fn scored_name(bucket: u16) -> String {
    format!("scored-{bucket:03}.arrow")
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
