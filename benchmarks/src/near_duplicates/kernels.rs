//! The kernels of near duplicates by themselves, on one thread.

use std::hint::black_box;
use std::time::{Duration, Instant};

use benchmarks_generator::CustomerGenerator;
use udfs::kernels::matching::{KeyPlan, RecordKeys, comparable, comparable_into};
use udfs::kernels::minhash::{BandKeys, Banding, MinHasher};
use udfs::kernels::shingle::{Shingler, Shingling, distinct, jaccard};

use super::documents::{SHINGLE, document_texts};

/// Slots of a text's signature.
const SLOTS: usize = 128;

/// Records and documents that are worked on in turn.
const RECORDS: u64 = 2_000;
const DOCUMENTS: u64 = 50;

/// What a kernel takes.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// The work.
    pub name: &'static str,
    /// Nanoseconds for one of `unit`.
    pub nanoseconds: f64,
    /// What is counted.
    pub unit: &'static str,
    /// The figure to come near to, where one is known.
    pub limit: Option<f64>,
}

/// Times the kernels, each at its best of several rounds.
pub fn time_kernels(seed: u64) -> Vec<KernelTime> {
    let mut times = Vec::new();
    let mut signature = Vec::new();
    let hasher = MinHasher::new(SLOTS);
    for (name, shingles) in [
        ("signing 60 shingles, 128 slots", 60),
        ("signing 5,000 shingles, 128 slots", 5_000),
    ] {
        let hashes: Vec<u64> = (0..shingles)
            .map(|n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .collect();
        let nanoseconds = best(1, || {
            hasher.sign(black_box(&hashes), &mut signature);
            black_box(&signature);
        });
        times.push(KernelTime {
            name,
            nanoseconds: nanoseconds / shingles as f64,
            unit: "shingle",
            // Measured for this loop alone on the same kind of machine.
            limit: Some(3.3),
        });
    }
    times.extend(of_documents(seed));
    times.extend(of_records(seed));
    times
}

fn of_documents(seed: u64) -> Vec<KernelTime> {
    let texts = document_texts(seed, DOCUMENTS);
    let shingling: Shingling = SHINGLE.parse().unwrap_or_default();
    let mut keys = BandKeys::new(shingling, Banding::default());
    let signing = best(texts.len(), || {
        for text in &texts {
            black_box(keys.of(text));
        }
    });
    let mut shingler = Shingler::new(shingling);
    let sets: Vec<Vec<u64>> = texts
        .iter()
        .map(|text| {
            let mut hashes = Vec::new();
            shingler.shingle(text, &mut hashes);
            distinct(&mut hashes);
            hashes
        })
        .collect();
    let comparing = best(sets.len() - 1, || {
        for pair in sets.windows(2) {
            black_box(jaccard(&pair[0], &pair[1]));
        }
    });
    let of = |name, nanoseconds, limit| KernelTime {
        name,
        nanoseconds,
        unit: "document",
        limit,
    };
    vec![
        of("keys of a 5 KB document, 5 words", signing, Some(25_000.0)),
        of(
            "Jaccard similarity of two of them",
            comparing,
            Some(13_000.0),
        ),
    ]
}

fn of_records(seed: u64) -> Vec<KernelTime> {
    let generator = CustomerGenerator::new(seed);
    let rows: Vec<Vec<String>> = (0..RECORDS)
        .map(|row| generator.row(row).dirty.iter().map(str::to_owned).collect())
        .collect();
    let records: Vec<Vec<Option<String>>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| comparable(cell)).collect())
        .collect();
    let (mut folded, mut value) = (String::new(), String::new());
    let comparing = best(rows.len(), || {
        for cell in rows.iter().flatten() {
            value.clear();
            black_box(comparable_into(cell, &mut folded, &mut value));
        }
    });
    let mut maker = RecordKeys::new(&KeyPlan::default());
    let mut keys = Vec::new();
    let signing = best(records.len(), || {
        for record in &records {
            keys.clear();
            let values = record.iter().map(|value| (value.as_deref(), true));
            maker.of(values, &mut keys);
            black_box(&keys);
        }
    });
    let of = |name, nanoseconds, limit| KernelTime {
        name,
        nanoseconds,
        unit: "record",
        limit,
    };
    vec![
        of("comparable values of 9 columns", comparing, None),
        of(
            "keys of 9 columns: 32 bands, values, record",
            signing,
            Some(409.0),
        ),
    ]
}

/// Nanoseconds of one of so many pieces of work, in the best of some rounds.
fn best(pieces: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut best = Duration::MAX;
    for _ in 0..10 {
        // Long enough for the clock.
        let mut rounds = 0u32;
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(10) {
            work();
            rounds += 1;
        }
        best = best.min(start.elapsed() / rounds);
    }
    best.as_nanos() as f64 / pieces.max(1) as f64
}
