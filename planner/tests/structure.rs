//! The modules of each crate depend on each other one way, but for those that are named here.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;

/// Modules that still depend on each other in a circle, by crate. Nothing joins them, and a circle that is broken leaves
/// the list.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "planner/source",
        &["dataset", "parquet_rows", "prepare", "separated", "split"],
    ),
    ("planner/source", &["fetch", "options", "stage"]),
    ("planner/storage", &["file", "place", "read", "write"]),
];

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Folders of all crates of the workspace, by their path in it.
fn crates(root: &Path) -> Vec<String> {
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = manifest.lines().find(|line| line.starts_with("members"));
    let names = members.unwrap().split('"').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

/// All source files below a folder, but for those of tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let of_tests = Regex::new(r"#\[cfg\(test\)\]\s*(?:pub\(crate\) )?mod (\w+);").unwrap();
    let mut tests = BTreeSet::new();
    for name in ["lib.rs", "mod.rs"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        tests.extend(
            of_tests
                .captures_iter(&text)
                .map(|found| found[1].to_owned()),
        );
    }
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "tests" || tests.contains(&name) {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// Which modules at the root of a crate name which others.
fn modules(source: &Path) -> Graph {
    let mut files = Vec::new();
    sources(source, &mut files);
    let module = |file: &Path| {
        let first = file.strip_prefix(source).unwrap().components().next();
        let first = first.unwrap().as_os_str().to_string_lossy().into_owned();
        first.trim_end_matches(".rs").to_owned()
    };
    let roots = ["lib", "main", "bin"];
    let mut graph: Graph = files
        .iter()
        .map(|file| module(file))
        .filter(|name| !roots.contains(&name.as_str()))
        .map(|name| (name, BTreeSet::new()))
        .collect();
    // What the root gives out under its own name.
    let given = Regex::new(r"use (?:self::)?(\w+)::(?:\w+::)*(?:\{([^}]*)\}|(\w+));").unwrap();
    let word = Regex::new(r"\w+").unwrap();
    let root = std::fs::read_to_string(source.join("lib.rs")).unwrap_or_default();
    let mut homes: BTreeMap<String, String> = BTreeMap::new();
    for found in given.captures_iter(&root) {
        let names = found.get(2).or(found.get(3)).unwrap().as_str();
        for name in word.find_iter(names) {
            homes.insert(name.as_str().to_owned(), found[1].to_owned());
        }
    }
    let comment = Regex::new(r"//[^\n]*").unwrap();
    let tests = Regex::new(r"#\[cfg\(test\)\]\s*mod ").unwrap();
    let named = Regex::new(r"crate::(?:\{([^}]*)\}|(\w+))").unwrap();
    let above = Regex::new(r"((?:super::)+)(\w+)").unwrap();
    for file in &files {
        let own = module(file);
        let text = std::fs::read_to_string(file).unwrap();
        let text = tests.split(&text).next().unwrap();
        let text = comment.replace_all(text, "");
        let depth = file.strip_prefix(source).unwrap().components().count();
        let depth = depth - usize::from(file.ends_with("mod.rs"));
        let mut uses: BTreeSet<String> = BTreeSet::new();
        for found in named.captures_iter(&text) {
            let names = found.get(1).or(found.get(2)).unwrap().as_str();
            uses.extend(word.find_iter(names).map(|name| name.as_str().to_owned()));
        }
        for found in above.captures_iter(&text) {
            if found[1].matches("super").count() == depth {
                uses.insert(found[2].to_owned());
            }
        }
        let uses: BTreeSet<String> = uses
            .into_iter()
            .map(|name| match graph.contains_key(&name) {
                true => name,
                false => homes.get(&name).cloned().unwrap_or(name),
            })
            .filter(|name| *name != own && graph.contains_key(name))
            .collect();
        if let Some(all) = graph.get_mut(&own) {
            all.extend(uses);
        }
    }
    graph
}

/// The circles of a graph: modules each of which reaches all the others.
fn circles(graph: &Graph) -> BTreeSet<BTreeSet<String>> {
    let reached = |from: &String| {
        let mut all: BTreeSet<String> = BTreeSet::new();
        let mut next: Vec<&String> = graph[from].iter().collect();
        while let Some(module) = next.pop() {
            if all.insert(module.clone()) {
                next.extend(&graph[module]);
            }
        }
        all
    };
    let reach: Graph = graph
        .keys()
        .map(|name| (name.clone(), reached(name)))
        .collect();
    let circle = |name: &String| -> BTreeSet<String> {
        let both = reach[name]
            .iter()
            .filter(|other| reach[*other].contains(name));
        both.cloned().collect()
    };
    let circles = graph.keys().map(circle);
    circles.filter(|circle| circle.len() > 1).collect()
}

/// Circles are found, also those of three and those that meet no other.
#[test]
fn circles_are_found() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry((*to).to_owned()).or_default();
            let all = graph.entry((*from).to_owned()).or_default();
            all.insert((*to).to_owned());
        }
        graph
    };
    assert!(circles(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    let found = circles(&graph(&[
        ("a", "b"),
        ("b", "c"),
        ("c", "a"),
        ("c", "d"),
        ("d", "e"),
        ("e", "d"),
    ]));
    let sizes: Vec<usize> = found.iter().map(BTreeSet::len).collect();
    assert_eq!(sizes, [3, 2]);
}

/// No module joins a circle, and the list above has none that is broken.
#[test]
fn modules_depend_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = BTreeSet::new();
    let mut edges = 0;
    for name in crates(root) {
        let graph = modules(&root.join(&name).join("src"));
        edges += graph.values().map(BTreeSet::len).sum::<usize>();
        found.extend(
            circles(&graph)
                .into_iter()
                .map(|circle| (name.clone(), circle)),
        );
    }
    assert!(edges > 300, "{edges} dependencies are too few to be all");
    let known: BTreeSet<(String, BTreeSet<String>)> = KNOWN
        .iter()
        .map(|(name, circle)| {
            let circle = circle.iter().map(|module| (*module).to_owned());
            ((*name).to_owned(), circle.collect())
        })
        .collect();
    assert_eq!(found, known);
}
