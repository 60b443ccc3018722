//! Documents of which some nearly repeat an earlier one.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use benchmarks_generator::quoted;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::find::{Found, clusters_of};
use crate::measure::{Usage, run_measured};
use crate::quality::share;
use crate::workspace::{make_once, remove_folder};

/// Words that documents are made of.
const WORDS: usize = 20_000;

/// Words of a document: about 5 KB.
const LENGTH: usize = 780;

/// Documents in a thousand that nearly repeat an earlier one.
const COPIES_PER_MILLE: u32 = 100;

/// Words in a thousand that are others in a copy: from and to.
const REPLACED_PER_MILLE: (u32, u32) = (5, 25);

/// Raised when other documents are written for the same seed.
const VERSION: u32 = 1;

/// Runs of words that are compared.
pub const SHINGLE: &str = "5 words";

/// Similarity from which documents are the same: copies with the most replaced words are at about 0.78.
pub const THRESHOLD: f64 = 0.7;

/// The first documents of a seed.
pub(super) fn document_texts(seed: u64, documents: u64) -> Vec<String> {
    let vocabulary = vocabulary(seed);
    let texts = (0..documents)
        .map(|document| text(&vocabulary, seed, document, original_of(seed, document)));
    texts.collect()
}

/// Documents on the disk, one JSON object a line, with the pairs that nearly repeat one another.
#[derive(Clone, Debug)]
pub struct DocumentSet {
    /// The file.
    pub path: PathBuf,
    /// Documents in it.
    pub documents: u64,
    /// The document that each copy is of; none for one of its own.
    of: Vec<Option<u64>>,
}

impl DocumentSet {
    /// So many documents of this seed, written to `folder` unless they are there.
    pub fn open(folder: &Path, documents: u64, seed: u64) -> Result<Self> {
        let path = folder.join(format!("documents-v{VERSION}-{documents}-{seed}.jsonl"));
        let of: Vec<_> = (0..documents)
            .map(|document| original_of(seed, document))
            .collect();
        make_once(&path, |unfinished| {
            let file = File::create(unfinished)
                .with_context(|| format!("cannot create {}", unfinished.display()))?;
            let mut file = BufWriter::with_capacity(1 << 20, file);
            let vocabulary = vocabulary(seed);
            for (document, original) in (0..).zip(&of) {
                let text = text(&vocabulary, seed, document, *original);
                serde_json::to_writer(&mut file, &serde_json::json!({"text": text}))?;
                file.write_all(b"\n")?;
            }
            Ok(file.flush()?)
        })?;
        Ok(Self {
            path,
            documents,
            of,
        })
    }

    /// What our program finds, and what it takes from start to end.
    pub fn find(
        &self,
        sanitizer: &Path,
        memory_limit: &str,
        folder: &Path,
    ) -> Result<(Found, Usage)> {
        let output = folder.join("out");
        remove_folder(&output)?;
        let spec = folder.join("job.yaml");
        let job = format!(
            "version: 1\nsource: {{location: {}}}\nsteps:\n  - {{type: near_dedupe, columns: [text], shingle: {SHINGLE}, \
             threshold: {THRESHOLD}}}\noutput: {{location: {}}}\noptions: {{memory_limit: {memory_limit}}}\n",
            quoted(&self.path.to_string_lossy()),
            quoted(&output.to_string_lossy()),
        );
        std::fs::write(&spec, job).with_context(|| format!("cannot write {}", spec.display()))?;
        let mut command = Command::new(sanitizer);
        command.arg("run").arg(&spec);
        let (usage, _) = run_measured(&mut command, folder).context("cleaning the documents")?;
        let found = Found {
            clusters: clusters_of(&output)?,
            seconds: usage.wall_seconds,
        };
        remove_folder(&output)?;
        Ok((found, usage))
    }

    /// Precision and recall of the pairs within clusters.
    pub fn score(&self, clusters: &[Vec<u64>]) -> (Option<f64>, Option<f64>) {
        let group = |document: u64| {
            let original = self.of.get(document as usize).copied().flatten();
            original.unwrap_or(document)
        };
        let pairs = |count: u64| count * count.saturating_sub(1) / 2;
        let mut sizes = vec![0_u64; self.of.len()];
        (0..self.documents).for_each(|document| sizes[group(document) as usize] += 1);
        let truth: u64 = sizes.into_iter().map(pairs).sum();
        let (mut found, mut right) = (0, 0);
        for cluster in clusters {
            found += pairs(cluster.len() as u64);
            let mut groups: Vec<u64> = cluster.iter().map(|document| group(*document)).collect();
            groups.sort_unstable();
            let same = groups.chunk_by(|one, two| one == two);
            right += same.map(|same| pairs(same.len() as u64)).sum::<u64>();
        }
        (share(right, found), share(right, truth))
    }
}

fn vocabulary(seed: u64) -> Vec<String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let letters = b"etaoinshrdlucmfwypvbgk";
    let word = |_| {
        let length = random.random_range(2..10);
        let letter = |_| char::from(letters[random.random_range(0..letters.len())]);
        (0..length).map(letter).collect()
    };
    (0..WORDS).map(word).collect()
}

/// What decides about one document.
fn random_of(seed: u64, document: u64, purpose: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ purpose << 56);
    random.set_stream(document);
    random
}

/// The document that one nearly repeats: an earlier one that repeats none.
fn original_of(seed: u64, document: u64) -> Option<u64> {
    let mut random = random_of(seed, document, 1);
    if document == 0 || random.random_range(0..1000) >= COPIES_PER_MILLE {
        return None;
    }
    let mut earlier = random.random_range(0..document);
    while let Some(of) = original_of(seed, earlier) {
        earlier = of;
    }
    Some(earlier)
}

fn text(vocabulary: &[String], seed: u64, document: u64, original: Option<u64>) -> String {
    let mut random = random_of(seed, original.unwrap_or(document), 2);
    // Small numbers are frequent, as the first words of any language are.
    let word = |random: &mut ChaCha8Rng| {
        let at: f64 = random.random();
        (at * at * at * vocabulary.len() as f64) as usize
    };
    let mut words: Vec<usize> = (0..LENGTH).map(|_| word(&mut random)).collect();
    if original.is_some() {
        let mut random = random_of(seed, document, 3);
        let (least, most) = REPLACED_PER_MILLE;
        let replaced = random.random_range(least..=most) as usize * LENGTH / 1000;
        for _ in 0..replaced.max(1) {
            let place = random.random_range(0..LENGTH);
            words[place] = word(&mut random);
        }
    }
    let words: Vec<&str> = words
        .into_iter()
        .map(|word| vocabulary[word].as_str())
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Copies differ from their document by few words, and the same seed gives the same file.
    #[test]
    fn copies_are_near() {
        let folder = tempfile::tempdir().unwrap();
        let set = DocumentSet::open(folder.path(), 200, 7).unwrap();
        let text = std::fs::read_to_string(&set.path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!((500_000..1_500_000).contains(&text.len()), "{}", text.len());
        let mut copies = 0;
        for (document, of) in set.of.iter().enumerate() {
            let Some(of) = of else { continue };
            copies += 1;
            let words = |at: usize| lines[at].split(' ').collect::<Vec<_>>();
            let (one, two) = (words(document), words(*of as usize));
            let differ = one.iter().zip(&two).filter(|(one, two)| one != two).count();
            assert!((1..=20).contains(&differ), "{differ}");
        }
        assert!((8..40).contains(&copies), "{copies}");
        let again = DocumentSet::open(folder.path(), 200, 7).unwrap();
        assert_eq!(again.of, set.of);
    }

    /// Pairs of clusters are counted against those of copies.
    #[test]
    fn scores() {
        let set = DocumentSet {
            path: PathBuf::new(),
            documents: 5,
            of: vec![None, Some(0), None, Some(0), None],
        };
        assert_eq!(set.score(&[vec![0, 1, 3]]), (Some(1.0), Some(1.0)));
        assert_eq!(
            set.score(&[vec![0, 1, 2]]),
            (Some(1.0 / 3.0), Some(1.0 / 3.0))
        );
    }
}
