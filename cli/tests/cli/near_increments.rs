//! Near duplicates of rows of an earlier output: found by its index, in clusters that keep their names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use benchmarks_harness::ClusterOptions;

use super::near_duplicates::{clusters, csv, people, precision_and_recall};
use super::output::{content, document, rows};
use super::sandbox::{Sandbox, files_under};

type Person = (usize, Vec<String>);

/// Runs a step over a table, into an output of this name.
fn clean(sandbox: &Sandbox, table: &[Person], step: &str, output: &str, more: &[&str]) {
    run(sandbox, table, "", step, output, more);
}

/// The same, of a table whose surnames are personal data.
fn clean_hidden(sandbox: &Sandbox, table: &[Person], step: &str, output: &str, more: &[&str]) {
    let columns = "columns: [{name: surname, pii: true}]";
    run(sandbox, table, columns, step, output, more);
}

fn run(
    sandbox: &Sandbox,
    table: &[Person],
    columns: &str,
    step: &str,
    output: &str,
    more: &[&str],
) {
    sandbox.write(&format!("{output}.csv"), &csv(table));
    let file = format!("{output}.yaml");
    let job = format!(
        "version: 1\nsource: {{location: {output}.csv}}\n\
         dataset: {{pii_salt: 'env:TEST_SALT', {columns}}}\n\
         steps: [{step}]\noutput: {{location: {output}, rows_per_file: 8192}}\n"
    );
    sandbox.write(&file, &job);
    let arguments = ["run", &file, "--job-id", output];
    sandbox.succeed(&[&arguments[..], more].concat());
}

/// The files of one kind of an output's index.
fn index_files(sandbox: &Sandbox, output: &str, kind: &str) -> Vec<PathBuf> {
    let files = files_under(&sandbox.path(&format!("{output}/index"))).into_iter();
    files
        .filter(|path| path.file_name().unwrap().to_string_lossy().contains(kind))
        .collect()
}

/// The rows of an index: number, cluster, hash, values.
fn indexed(sandbox: &Sandbox, output: &str) -> Vec<Vec<Option<String>>> {
    let copy = sandbox.path(&format!("{output}-rows"));
    std::fs::create_dir_all(copy.join("index")).unwrap();
    for file in index_files(sandbox, output, "-rows-") {
        let to = copy.join("index").join(file.file_name().unwrap());
        std::fs::copy(&file, &to).unwrap();
    }
    rows(&copy, "index")
}

fn number(cells: &[Option<String>], place: usize) -> usize {
    cells[place].as_deref().unwrap().parse().unwrap()
}

/// The clusters of several outputs by their names, with those rows of earlier outputs for which rows left.
fn named_clusters(sandbox: &Sandbox, outputs: &[&str]) -> BTreeMap<u64, BTreeSet<usize>> {
    let mut named: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
    for output in outputs {
        let removed = rows(&sandbox.path(output), "removed");
        let survivors = removed
            .iter()
            .map(|cells| (number(cells, 1), number(cells, 4)));
        let survivors: BTreeMap<usize, usize> = survivors.collect();
        for (name, (members, _)) in clusters(sandbox, output) {
            let cluster = named.entry(name).or_default();
            cluster.extend(members.iter().filter_map(|row| survivors.get(row)));
            cluster.extend(&members);
        }
    }
    named
}

/// A table that comes in three parts gives the clusters that it gives at once; what left is accounted for;
/// clusters that grow keep their names, and the last index stands for all parts.
#[test]
fn parts_of_a_table() {
    let sandbox = Sandbox::new();
    let people = people(900, 11);
    let cuts = [0, people.len() / 2, people.len() * 3 / 4, people.len()];
    let part = |number: usize| &people[cuts[number]..cuts[number + 1]];
    let clean = |table: &[Person], step: &str, output: &str| {
        clean(&sandbox, table, step, output, &[]);
    };
    clean(part(0), "{type: near_dedupe, index: true}", "one");
    clean(part(1), "{type: near_dedupe, against: one}", "two");
    let against = "{type: normalize_text, columns: [town], case: upper}, \
         {type: near_dedupe, against: two/metadata.json}";
    clean(part(2), against, "three");

    let outputs = ["one", "two", "three"];
    let named = named_clusters(&sandbox, &outputs);
    let found: Vec<BTreeSet<usize>> = named.values().cloned().collect();
    let (precision, recall) = precision_and_recall(&people, &found);
    assert!(precision > 0.99 && recall > 0.95, "{precision} {recall}");
    for (name, rows) in &named {
        assert_eq!(rows.first().map(|row| *row as u64), Some(*name), "{rows:?}");
    }
    let before = named_clusters(&sandbox, &["one"]);
    let grown = before
        .iter()
        .filter(|(name, rows)| named[name].len() > rows.len());
    assert!(grown.count() > 20, "rows join clusters of earlier outputs");

    let mut staying = 0;
    for (number, output) in outputs.into_iter().enumerate() {
        let manifest = document(&sandbox.path(&format!("{output}/metadata.json")));
        let first = manifest["first_row_id"].as_u64().unwrap_or_default();
        assert_eq!(first as usize, cuts[number]);
        let data = rows(&sandbox.path(output), "data").len();
        let removed = rows(&sandbox.path(output), "removed").len();
        assert_eq!(data + removed, part(number).len());
        staying += data;
        let ids: Vec<usize> = indexed(&sandbox, output)
            .iter()
            .map(|cells| cells[0].as_deref().unwrap().parse().unwrap())
            .collect();
        assert_eq!(ids.len(), staying, "{output}");
        assert!(ids.is_sorted() && *ids.last().unwrap() < cuts[number + 1]);
    }
    let changed = rows(&sandbox.path("three"), "provenance");
    assert!(changed.len() > 100);
    for cells in changed {
        assert!((cuts[2]..cuts[3]).contains(&number(&cells, 1)), "{cells:?}");
    }
    let report = document(&sandbox.path("three/report.json"));
    let steps = report["transformations_applied"].as_array().unwrap();
    let step = steps.iter().find(|step| step["type"] == "near_dedupe");
    let earlier = indexed(&sandbox, "two").len();
    assert_eq!(step.unwrap()["learned"]["earlier_rows"], earlier);

    // The same rows once more leave for those that stayed.
    let again = "{type: near_dedupe, against: three, index: false}";
    clean(part(1), again, "again");
    assert_eq!(rows(&sandbox.path("again"), "data").len(), 0);
    assert!(!sandbox.path("again/index").exists());
}

/// Records with personal data, and texts: no value is in the index, copies are found all the same; on a
/// cluster the bytes are the same.
#[test]
fn personal_data_and_a_cluster() {
    let sandbox = Sandbox::new();
    let people = people(5_600, 12);
    let (old, new) = people.split_at(people.len() - 600);
    assert!(old.len() > 8_192, "the index has several splits");
    let cluster = sandbox.cluster(ClusterOptions {
        executors: 2,
        ..ClusterOptions::default()
    });
    for (name, step, least) in [
        (
            "records",
            "{type: near_dedupe, columns: [given, surname, born, street, town]",
            (0.98, 0.9),
        ),
        (
            "texts",
            "{type: near_dedupe, columns: [surname, street], threshold: 0.7",
            (0.98, 0.3),
        ),
    ] {
        let (first, second) = (format!("{name}1"), format!("{name}2"));
        clean_hidden(
            &sandbox,
            old,
            &format!("{step}, index: true}}"),
            &first,
            &[],
        );
        for cells in indexed(&sandbox, &first).iter().take(50) {
            let surname = &old[number(cells, 0)].1[1];
            let mut values = cells[3..].iter().flatten();
            assert!(!values.any(|value| value.contains(surname)), "{cells:?}");
        }
        let against = format!("{step}, against: {first}}}");
        clean_hidden(&sandbox, new, &against, &second, &[]);
        let here = content(&sandbox.path(&second));
        let named = named_clusters(&sandbox, &[&first, &second]);
        let found: Vec<BTreeSet<usize>> = named.into_values().collect();
        let (precision, recall) = precision_and_recall(&people, &found);
        assert!(
            precision > least.0 && recall > least.1,
            "{name}: {precision} {recall}"
        );
        let removed = rows(&sandbox.path(&second), "removed");
        let earlier = removed.iter().filter(|cells| number(cells, 4) < old.len());
        assert!(earlier.count() > 50, "{name}");
        let there = ["--cluster", &cluster.url()];
        clean_hidden(&sandbox, new, &against, &second, &there);
        assert_eq!(here, content(&sandbox.path(&second)), "{name}");
        let refused = sandbox
            .command(&["run", &format!("{second}.yaml")])
            .env("TEST_SALT", "another secret of some length")
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        let want = "the secret of pii_salt is another";
        assert!(message.contains(want), "{message}");
    }
}

/// A row of an earlier output and one of the job are explained by the numbers that both have outside.
#[test]
fn pairs_across_outputs() {
    let sandbox = Sandbox::new();
    let people = people(400, 13);
    let (old, new) = people.split_at(people.len() - 100);
    let (index, against) = (
        "{type: near_dedupe, index: true}",
        "{type: near_dedupe, against: one}",
    );
    clean_hidden(&sandbox, old, index, "one", &[]);
    clean_hidden(&sandbox, new, against, "two", &[]);
    let removed = rows(&sandbox.path("two"), "removed");
    let cells = removed.iter().find(|cells| number(cells, 4) < old.len());
    let (row, survivor) = (number(cells.unwrap(), 1), number(cells.unwrap(), 4));
    let arguments = [
        "explain-pair",
        "two",
        &survivor.to_string(),
        &row.to_string(),
    ];
    let said = sandbox.succeed(&arguments);
    let stays = format!("row {survivor} of their cluster stays");
    assert!(said.contains(&stays), "{said}");
    assert!(said.contains("(personal)") && !said.contains('~'), "{said}");
    let refused = sandbox.run(&["explain-pair", "two", "0", "1"]);
    assert!(!refused.status.success(), "neither is of this job");
}

/// What cannot be compared is refused, with the reason, and leaves nothing behind.
#[test]
fn outputs_that_do_not_fit() {
    let sandbox = Sandbox::new();
    let people = people(50, 14);
    clean(&sandbox, &people, "{type: near_dedupe}", "plain", &[]);
    let step = "{type: near_dedupe, columns: [given, surname, born], index: true}";
    clean(&sandbox, &people, step, "one", &[]);
    for (step, problem) in [
        (
            "against: plain",
            "has no index: the job that made it needs index: true",
        ),
        ("against: nowhere", "is no output that can be read"),
        ("against: refused", "would replace it"),
        (
            "against: one, columns: [given, town]",
            "what is compared: given, surname, born there",
        ),
        (
            "against: one, columns: [given, surname, born], threshold: 0.8",
            "the method: records there, texts here",
        ),
        (
            "index: true, link_by: town",
            "does not go together with link_by",
        ),
    ] {
        let job = format!(
            "version: 1\nsource: {{location: one.csv}}\n\
             steps: [{{type: near_dedupe, {step}}}]\noutput: {{location: refused}}\n"
        );
        sandbox.write("job.yaml", &job);
        let refused = sandbox.run(&["run", "job.yaml"]);
        assert!(!refused.status.success(), "{step}");
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        let placed = message.contains("steps[0]");
        assert!(message.contains(problem) && placed, "{message}");
        assert!(!sandbox.path("refused").exists(), "{step}");
    }
}

/// Rows that leave by a later step are in no index: nothing may leave for what is not in the output. Empty
/// tables, and a chain of them, are no errors.
#[test]
fn what_is_not_in_the_output() {
    let sandbox = Sandbox::new();
    let people = people(60, 15);
    let mut table = people.clone();
    table[7].1[4].clear();
    let step = "{type: near_dedupe, index: true}, \
         {type: rules, on_violation: quarantine, rules: [{column: town, rule: not_null}]}";
    clean(&sandbox, &table, step, "one", &[]);
    let ids = indexed(&sandbox, "one");
    let ids: BTreeSet<usize> = ids.iter().map(|cells| number(cells, 0)).collect();
    assert_eq!(ids.len(), rows(&sandbox.path("one"), "data").len());
    let quarantined = rows(&sandbox.path("one"), "quarantine");
    assert!(!quarantined.is_empty());
    for cells in &quarantined {
        assert!(!ids.contains(&number(cells, 3)), "{cells:?}");
    }
    let against = |output: &str| format!("{{type: near_dedupe, against: {output}}}");
    clean(&sandbox, &[], &against("one"), "two", &[]);
    clean(&sandbox, &[], &against("two"), "three", &[]);
    assert_eq!(indexed(&sandbox, "three").len(), ids.len());
    clean(&sandbox, &people[..20], &against("three"), "four", &[]);
    // Only those are new again that have left for a row which left itself.
    let new = quarantined.iter().filter(|cells| number(cells, 3) < 20);
    let data = rows(&sandbox.path("four"), "data").len();
    assert_eq!(data, new.count());
}
