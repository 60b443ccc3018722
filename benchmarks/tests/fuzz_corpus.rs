//! Hostile inputs of every parser that strangers reach, kept: each stays within bounds of memory and time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use benchmarks::fuzz::{Counting, MOST_BYTES, MOST_HELD, Mutator, Parsers, Target, seeds};
use rand::SeedableRng;
use rand::rngs::StdRng;

#[global_allocator]
static MEMORY: Counting = Counting;

/// Time of an input in a build without optimisation, on a machine that does something else too; 5 s are the aim of an
/// optimised one.
const TIME: Duration = Duration::from_secs(90);

/// Mutated inputs of each parser that are tried beside those that are kept.
const FRESH: usize = 40;

fn check(parsers: &Parsers, target: Target, name: &str, input: &[u8]) {
    assert!(input.len() <= MOST_BYTES, "{name}");
    let cost = parsers.cost(target, input).unwrap();
    assert!(
        cost.time < TIME,
        "{} {name}: {:?}",
        target.name(),
        cost.time
    );
    assert!(
        cost.held <= MOST_HELD,
        "{} {name}: {} MiB",
        target.name(),
        cost.held >> 20
    );
}

/// Seeds are good; what was found and kept, and some mutations of seeds, cost little and end no process.
#[test]
fn fuzz_corpus() {
    let folder = tempfile::tempdir().unwrap();
    let parsers = Parsers::open(folder.path()).unwrap();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in Target::ALL {
        let known = seeds(target).unwrap();
        for (number, seed) in known.iter().enumerate() {
            let cost = parsers.cost(target, seed).unwrap();
            assert!(cost.good, "seed {number} of {}", target.name());
        }
        for entry in std::fs::read_dir(corpus.join(target.name()))
            .into_iter()
            .flatten()
        {
            let path = entry.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            check(&parsers, target, &path.display().to_string(), &input);
        }
        let mut mutator = Mutator::new(StdRng::seed_from_u64(4));
        for number in 0..FRESH {
            let input = mutator.next(target, &known);
            check(&parsers, target, &format!("mutation {number}"), &input);
        }
    }
}
