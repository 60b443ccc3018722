//! Near duplicates: found, accounted for, and the same however a job is run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use benchmarks_harness::ClusterOptions;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::output::{content, document, rows};
use super::sandbox::Sandbox;

const CONSONANTS: [char; 14] = [
    'b', 'd', 'f', 'g', 'h', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v',
];

const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];

fn word(random: &mut ChaCha8Rng, syllables: usize) -> String {
    let mut word = String::new();
    for _ in 0..syllables {
        word.push(CONSONANTS[random.random_range(0..CONSONANTS.len())]);
        word.push(VOWELS[random.random_range(0..VOWELS.len())]);
        word.push(CONSONANTS[random.random_range(0..CONSONANTS.len())]);
    }
    word
}

/// A slip of the pen: a letter left out, doubled, or exchanged with the next.
fn slip(random: &mut ChaCha8Rng, text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let at = random.random_range(0..bytes.len().max(2) - 1);
    match random.random_range(0..3) {
        0 => drop(bytes.remove(at)),
        1 => bytes.insert(at, bytes[at]),
        _ => bytes.swap(at, at + 1),
    }
    String::from_utf8(bytes).unwrap()
}

/// People, each with the number of the person: some twice or three times, with slips, missing values
/// and names in each other's place.
pub fn people(count: usize, seed: u64) -> Vec<(usize, Vec<String>)> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let first: Vec<String> = (0..60).map(|_| word(&mut random, 2)).collect();
    let last: Vec<String> = (0..200).map(|_| word(&mut random, 3)).collect();
    let mut rows = Vec::new();
    for person in 0..count {
        let given = first[random.random_range(0..first.len())].clone();
        let surname = last[random.random_range(0..last.len())].clone();
        let born = format!(
            "{}-{:02}-{:02}",
            random.random_range(1940..2005),
            random.random_range(1..13),
            random.random_range(1..29)
        );
        let street = format!("{} {}", random.random_range(1..400), word(&mut random, 3));
        let town = word(&mut random, 2);
        let record = vec![given, surname, born, street, town];
        for copy in 0..[1, 1, 1, 2, 2, 3][random.random_range(0..6)] {
            let mut row = record.clone();
            if copy > 0 {
                for _ in 0..random.random_range(1..3) {
                    let field = [0, 1, 3, 4][random.random_range(0..4)];
                    row[field] = slip(&mut random, &row[field]);
                }
                match random.random_range(0..8) {
                    0 => row.swap(0, 1),
                    1 => row[4].clear(),
                    _ => {}
                }
            }
            rows.push((person, row));
        }
    }
    rows.shuffle(&mut random);
    rows
}

pub fn csv(people: &[(usize, Vec<String>)]) -> String {
    let mut text = "given,surname,born,street,town\n".to_owned();
    for (_, row) in people {
        writeln!(text, "{}", row.join(",")).unwrap();
    }
    text
}

fn job(sandbox: &Sandbox, step: &str) {
    sandbox.write(
        "job.yaml",
        &format!("version: 1\nsource: {{location: people.csv}}\nsteps: [{step}]\noutput: {{location: out}}\n"),
    );
}

/// The rows of each cluster of an output, and which of them stays.
pub fn clusters(sandbox: &Sandbox, output: &str) -> BTreeMap<u64, (BTreeSet<usize>, usize)> {
    let mut clusters: BTreeMap<u64, (BTreeSet<usize>, usize)> = BTreeMap::new();
    for cells in rows(&sandbox.path(output), "clusters") {
        let cell = |place: usize| cells[place].clone().unwrap();
        let cluster = clusters.entry(cell(1).parse().unwrap()).or_default();
        let row = cell(2).parse().unwrap();
        cluster.0.insert(row);
        if cell(3) == "true" {
            cluster.1 = row;
        }
    }
    clusters
}

/// Share of the true pairs among those found, and of the found among the true ones.
pub fn precision_and_recall(
    people: &[(usize, Vec<String>)],
    found: &[BTreeSet<usize>],
) -> (f64, f64) {
    let pairs = |rows: Vec<usize>| {
        let mut pairs = Vec::new();
        for (place, one) in rows.iter().enumerate() {
            pairs.extend(rows[place + 1..].iter().map(|two| (*one, *two)));
        }
        pairs
    };
    let mut truth: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, (person, _)) in people.iter().enumerate() {
        truth.entry(*person).or_default().push(row);
    }
    let truth: BTreeSet<(usize, usize)> = truth.into_values().flat_map(pairs).collect();
    let found = found.iter().map(|rows| rows.iter().copied().collect());
    let found: BTreeSet<(usize, usize)> = found.flat_map(pairs).collect();
    let right = truth.intersection(&found).count() as f64;
    (right / found.len() as f64, right / truth.len() as f64)
}

/// People are found again by the step as it is by default; what leaves is accounted for, row by row; a
/// shuffled table gives the same clusters.
#[test]
fn people_are_found_again() {
    let sandbox = Sandbox::new();
    let mut people = people(500, 1);
    job(&sandbox, "{type: near_dedupe}");
    let mut found_before: Option<BTreeSet<BTreeSet<String>>> = None;
    for _ in 0..2 {
        sandbox.write("people.csv", &csv(&people));
        sandbox.succeed(&["run", "job.yaml"]);
        let clusters = clusters(&sandbox, "out");
        let found: Vec<BTreeSet<usize>> = clusters.values().map(|c| c.0.clone()).collect();
        let (precision, recall) = precision_and_recall(&people, &found);
        assert!(precision > 0.99 && recall > 0.97, "{precision} {recall}");
        check_account(&sandbox, people.len(), &clusters);
        // By their content, whatever their numbers.
        let name = |row: &usize| people[*row].1.join("|");
        let named = found.iter().map(|rows| rows.iter().map(name).collect());
        let named: BTreeSet<BTreeSet<String>> = named.collect();
        if let Some(before) = &found_before {
            assert_eq!(before, &named, "the order of the rows tells nothing");
        }
        found_before = Some(named);
        people.reverse();
    }
}

/// Every row of a cluster but one is removed, with the row that stays and a score.
fn check_account(
    sandbox: &Sandbox,
    count: usize,
    clusters: &BTreeMap<u64, (BTreeSet<usize>, usize)>,
) {
    let report = document(&sandbox.path("out/report.json"));
    let removed = rows(&sandbox.path("out"), "removed");
    let data = rows(&sandbox.path("out"), "data");
    assert_eq!(data.len() + removed.len(), count);
    let expected: usize = clusters.values().map(|cluster| cluster.0.len() - 1).sum();
    assert_eq!(removed.len(), expected);
    for cells in &removed {
        let cell = |place: usize| cells[place].clone().unwrap();
        assert_eq!(cell(2), "near_duplicate");
        let (row, survivor): (usize, usize) = (cell(1).parse().unwrap(), cell(4).parse().unwrap());
        let cluster = clusters.values().find(|cluster| cluster.0.contains(&row));
        assert_eq!(cluster.unwrap().1, survivor);
        assert!(
            cluster.unwrap().0.iter().min() == Some(&survivor),
            "the first stays"
        );
        assert!((0.0..=1.0).contains(&cell(5).parse::<f64>().unwrap()));
    }
    let metrics = &report["quality_metrics"];
    assert_eq!(metrics["near_duplicates_detected"], expected);
    assert_eq!(metrics["duplicates_detected"], 0);
    let steps = report["transformations_applied"].as_array().unwrap();
    let step = steps.iter().find(|step| step["type"] == "near_dedupe");
    let learned = &step.unwrap()["learned"];
    assert_eq!(learned["method"], "records");
    assert_eq!(learned["clusters"], clusters.len());
    assert_eq!(learned["exchanged_columns"][0][0], "given");
    assert!(
        !learned["doubtful_pairs"][0]["fields"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

/// Records, texts and linked tables, whoever stays: the same bytes in one process and on clusters.
#[test]
fn a_cluster_finds_the_same() {
    let sandbox = Sandbox::new();
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let people = people(5_400, 2);
    assert!(people.len() > 8_192, "several splits are tested");
    let mut text = "id,side,given,surname,born,street,town\n".to_owned();
    for (id, (_, row)) in people.iter().enumerate() {
        let side = if random.random_bool(0.5) { "a" } else { "b" };
        writeln!(text, "{id},{side},{}", row.join(",")).unwrap();
    }
    sandbox.write("people.csv", &text);
    for (executors, step) in [
        (
            1,
            "{type: near_dedupe, columns: [given, surname, street], threshold: 0.7, keep: most_recent, recent_by: id}",
        ),
        (
            4,
            "{type: dedupe, columns: [given, surname, born]}, {type: near_dedupe, columns: [given, surname, born, street, town], keep: last, merge: true}, {type: impute, strategy: mode, columns: [town]}",
        ),
        (
            2,
            "{type: near_dedupe, columns: [surname, born, street], method: record, link_by: side, keep: most_complete}",
        ),
    ] {
        let cluster = sandbox.cluster(ClusterOptions {
            executors,
            ..ClusterOptions::default()
        });
        job(&sandbox, step);
        let run = |more: &[&str]| {
            let arguments = [
                "run",
                "job.yaml",
                "--job-id",
                "j",
                "--set",
                "output.rows_per_file=8192",
            ];
            sandbox.succeed(&[&arguments[..], more].concat());
            content(&sandbox.path("out"))
        };
        let here = run(&[]);
        let removed = rows(&sandbox.path("out"), "removed");
        let near = removed
            .iter()
            .filter(|cells| cells[2].as_deref() == Some("near_duplicate"));
        assert!(near.count() > 500, "{step}");
        assert_eq!(here, run(&["--cluster", &cluster.url()]), "{step}");
    }
}

/// A table without near duplicates loses no row; one that is too small to learn from is no error.
#[test]
fn nothing_is_found_where_nothing_is() {
    let sandbox = Sandbox::new();
    let mut seen = BTreeSet::new();
    let mut people = people(400, 4);
    people.retain(|(person, _)| seen.insert(*person));
    job(&sandbox, "{type: near_dedupe}");
    for rows_left in [people.len(), 2, 1, 0] {
        sandbox.write("people.csv", &csv(&people[..rows_left]));
        sandbox.succeed(&["run", "job.yaml"]);
        assert_eq!(rows(&sandbox.path("out"), "data").len(), rows_left);
        assert!(clusters(&sandbox, "out").is_empty());
    }
}

/// Where nothing tells rows apart, those that are the same are copies, and rows that lack something stay.
#[test]
fn a_table_of_copies() {
    let sandbox = Sandbox::new();
    let copies = "anna,bergstrom,1971-06-24,9 zephyrine,waldorf\n".repeat(5_000);
    let others = ",,,,waldorf\nanna,,,,\n,,,,\n,,,,\n";
    let text = format!("given,surname,born,street,town\n{copies}{others}");
    sandbox.write("people.csv", &text);
    job(&sandbox, "{type: near_dedupe}");
    sandbox.succeed(&["run", "job.yaml"]);
    assert_eq!(clusters_of_sizes(&sandbox), [5_000]);
    assert_eq!(rows(&sandbox.path("out"), "data").len(), 5);
    let said = sandbox.succeed(&["explain-pair", "out", "0", "1"]);
    assert!(said.contains("row 0 of their cluster stays"), "{said}");
}

/// Texts of several lengths and scripts, by their similarity; copies in masses are one cluster.
#[test]
fn texts_and_masses() {
    let sandbox = Sandbox::new();
    let mut text = "note\n".to_owned();
    for copy in 0..300 {
        writeln!(
            text,
            "The delivery of order {copy} was late and the box was open"
        )
        .unwrap();
    }
    text.push_str(
        "東京都渋谷区の配達が遅れました\n東京都渋谷区の配達が遅れました。\nsomething else\n\n",
    );
    sandbox.write("people.csv", &text);
    job(
        &sandbox,
        "{type: near_dedupe, columns: [note], threshold: 0.8, shingle: 3 characters}",
    );
    sandbox.succeed(&["run", "job.yaml"]);
    assert_eq!(clusters_of_sizes(&sandbox), [300, 2]);
}

/// The row that stays takes what it lacks from the others, the provenance names the row, and nothing that
/// it has is changed.
#[test]
fn a_golden_record() {
    let sandbox = Sandbox::new();
    let mut text = csv(&people(300, 5));
    let first = text.lines().count() - 1;
    // Of these the first stays; it lacks a town and a birthday, which the others have.
    text.push_str("aldwin,quixworth,,17 zephyrine,\n");
    text.push_str("aldwin,quixworth,1971-06-24,17 zephyrin,\n");
    text.push_str("aldwin,quixworth,1971-06-24,17 zephyrine,waldorf\n");
    sandbox.write("people.csv", &text);
    job(&sandbox, "{type: near_dedupe, merge: true}");
    sandbox.succeed(&["run", "job.yaml"]);
    let cluster = &clusters(&sandbox, "out")[&(first as u64)];
    assert_eq!(cluster.0, BTreeSet::from([first, first + 1, first + 2]));
    let data = rows(&sandbox.path("out"), "data");
    let golden: Vec<&str> = data
        .last()
        .unwrap()
        .iter()
        .map(|c| c.as_deref().unwrap())
        .collect();
    let want = [
        "aldwin",
        "quixworth",
        "1971-06-24",
        "17 zephyrine",
        "waldorf",
    ];
    assert_eq!(golden, want);
    let provenance = rows(&sandbox.path("out"), "provenance");
    let own = provenance
        .iter()
        .filter(|cells| cells[1].as_deref() == Some(first.to_string().as_str()));
    let mut filled = 0;
    for cells in own.filter(|cells| cells[7].as_deref() == Some("lsh_suggest")) {
        let from: usize = cells[8].as_deref().unwrap().parse().unwrap();
        assert!(cells[3].is_none(), "only what is missing is filled");
        match cells[2].as_deref() {
            Some("born") => assert!(from > first),
            Some("town") => assert_eq!(from, first + 2),
            other => panic!("{other:?} was filled"),
        }
        filled += 1;
    }
    assert_eq!(filled, 2);
}

/// Weights that are given decide, and columns without one are not compared.
#[test]
fn weights_by_hand() {
    let sandbox = Sandbox::new();
    let names =
        "name,code,note\nanna bergstrom,A-1771,x\nanna bergstrom,B-9310,y\npeter quill,A-1771,z\n";
    sandbox.write("people.csv", names);
    for (weights, together) in [
        ("{name: 9, code: 1}", [0, 1]),
        ("{name: 1, code: 9}", [0, 2]),
    ] {
        let step = format!("{{type: near_dedupe, weights: {weights}}}");
        job(&sandbox, &step);
        sandbox.succeed(&["run", "job.yaml"]);
        let found: Vec<BTreeSet<usize>> = clusters(&sandbox, "out")
            .into_values()
            .map(|cluster| cluster.0)
            .collect();
        assert_eq!(found, [BTreeSet::from(together)], "{weights}");
    }
    job(
        &sandbox,
        "{type: near_dedupe, columns: [name], weights: {code: 2}}",
    );
    let refused = sandbox.run(&["run", "job.yaml"]);
    assert!(!refused.status.success());
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("steps[0].weights.code"), "{message}");
}

/// Any two rows are explained: those that match, those that do not, those that never met, and those that
/// had left before; personal data is not shown.
#[test]
fn pairs_are_explained() {
    let sandbox = Sandbox::new();
    let people = people(300, 6);
    let mut text = csv(&people);
    let count = people.len();
    // A copy of the first row, which leaves before rows are compared.
    text.push_str(&people[0].1.join(","));
    sandbox.write("people.csv", &text);
    sandbox.write(
        "job.yaml",
        "version: 1\nsource: {location: people.csv}\n\
         dataset: {columns: [{name: surname, pii: true, pii_strategy: keep}]}\n\
         steps: [{type: dedupe}, {type: near_dedupe}]\noutput: {location: out}\n",
    );
    sandbox.succeed(&["run", "job.yaml"]);
    let before = content(&sandbox.path("out"));
    let (cluster, (rows, survivor)) = clusters(&sandbox, "out").into_iter().next().unwrap();
    let other = rows.iter().find(|row| **row != survivor).unwrap();
    let explain = |left: usize, right: usize, more: &[&str]| {
        let (left, right) = (left.to_string(), right.to_string());
        let arguments = ["explain-pair", "out", &left, &right];
        sandbox.succeed(&[&arguments[..], more].concat())
    };
    let same = explain(*other, survivor, &[]);
    assert!(
        same.contains(&format!("row {survivor} of their cluster stays")),
        "{same}"
    );
    assert!(
        same.contains("(personal)") && !same.contains(&people[survivor].1[1]),
        "{same}"
    );
    assert!(same.contains(&people[survivor].1[3]), "{same}");
    let json: serde_json::Value =
        serde_json::from_str(&explain(survivor, *other, &["--json"])).unwrap();
    let near = &json[1]["near"];
    assert_eq!(near["clusters"][0][0], cluster);
    assert!(near["score"].as_f64().unwrap() > 0.5 && near["met"] == true);
    // What the fields tell adds up to the score.
    let mut bits = near["outset"].as_f64().unwrap() + near["rarity"].as_f64().unwrap();
    bits += near["exchanged"].as_f64().unwrap_or_default();
    for field in near["fields"].as_array().unwrap() {
        bits += field["weight"].as_f64().unwrap_or_default();
    }
    let probability = 1.0 / (1.0 + (-bits).exp2());
    assert!(
        (probability - near["score"].as_f64().unwrap()).abs() < 0.02,
        "{near}"
    );
    let stranger = (0..count)
        .find(|row| people[*row].0 != people[survivor].0)
        .unwrap();
    let different = explain(survivor, stranger, &[]);
    assert!(different.contains("not taken for the same"), "{different}");
    let gone = explain(0, count, &[]);
    assert!(
        gone.contains(&format!("row {count} is a copy of row 0")),
        "{gone}"
    );
    assert!(
        gone.contains(&format!("row {count} had left before")),
        "{gone}"
    );
    let refused = sandbox.run(&["explain-pair", "out", "3", "99999"]);
    assert!(!refused.status.success());
    assert_eq!(content(&sandbox.path("out")), before, "nothing was written");
}

/// What nobody wants to meet: a mass of copies, rows without a value, columns of constants, a cell of
/// megabytes, emoji and text from right to left. All of it ends, and the copies are one cluster.
#[test]
fn ugly_tables() {
    let sandbox = Sandbox::new();
    let people = people(200, 8);
    let mut text = "given,surname,born,street,town,same\n".to_owned();
    for (_, row) in &people {
        writeln!(text, "{},x", row.join(",")).unwrap();
    }
    let first = people.len();
    // One record 12,000 times, once with a slip; and rows that hold nothing but what all rows hold.
    for copy in 0..12_000 {
        let street = if copy == 77 {
            "9 zephyrin"
        } else {
            "9 zephyrine"
        };
        writeln!(text, "aldwin,quixworth,1971-06-24,{street},waldorf,x").unwrap();
    }
    text.push_str(&",,,,,x\n".repeat(500));
    writeln!(
        text,
        "🙈🙉,שלום עולם,,🏠 улица,{},x",
        "long ".repeat(60_000)
    )
    .unwrap();
    sandbox.write("people.csv", &text);
    job(&sandbox, "{type: near_dedupe}");
    sandbox.succeed(&["run", "job.yaml", "--set", "output.rows_per_file=8192"]);
    let clusters = clusters(&sandbox, "out");
    let largest = clusters
        .values()
        .max_by_key(|cluster| cluster.0.len())
        .unwrap();
    assert_eq!(largest.0, (first..first + 12_000).collect());
    assert_eq!(largest.1, first);
    let removed = rows(&sandbox.path("out"), "removed").len();
    let data = rows(&sandbox.path("out"), "data").len();
    assert_eq!(removed + data, first + 12_000 + 501);
    assert!(data >= 501, "rows without values stay");
    job(&sandbox, "{type: near_dedupe, columns: [town]}");
    sandbox.succeed(&["run", "job.yaml"]);
    let texts = clusters_of_sizes(&sandbox);
    // Rows without a town are no copies of one another.
    assert_eq!(
        texts
            .iter()
            .filter(|rows| **rows >= 500)
            .collect::<Vec<_>>(),
        [&12_000]
    );
    job(&sandbox, "{type: near_dedupe, columns: [same, given]}");
    sandbox.succeed(&["run", "job.yaml"]);
}

fn clusters_of_sizes(sandbox: &Sandbox) -> Vec<usize> {
    let clusters = clusters(sandbox, "out").into_values();
    clusters.map(|cluster| cluster.0.len()).collect()
}

/// What texts are cut into follows from their length, unless the job says so.
#[test]
fn shingles_by_length() {
    let sandbox = Sandbox::new();
    for (words, given, want) in [
        (3, "", "3 characters"),
        (40, "", "5 characters"),
        (400, "", "5 words"),
        (400, ", shingle: 2 words", "2 words"),
    ] {
        let mut random = ChaCha8Rng::seed_from_u64(9);
        let mut text = "note\n".to_owned();
        let mut last = String::new();
        for _ in 0..30 {
            last = (0..words).map(|_| word(&mut random, 2) + " ").collect();
            writeln!(text, "{last}").unwrap();
        }
        // A copy with another ending.
        writeln!(text, "{}", slip(&mut random, last.trim_end())).unwrap();
        sandbox.write("people.csv", &text);
        job(
            &sandbox,
            &format!("{{type: near_dedupe, columns: [note], threshold: 0.5{given}}}"),
        );
        sandbox.succeed(&["run", "job.yaml"]);
        assert_eq!(clusters_of_sizes(&sandbox), [2], "{words} words{given}");
        let report = document(&sandbox.path("out/report.json"));
        let steps = report["transformations_applied"].as_array().unwrap();
        let step = steps
            .iter()
            .find(|step| step["type"] == "near_dedupe")
            .unwrap();
        assert_eq!(step["learned"]["shingle"], want);
    }
}
