//! What a location names is below the roots of who names it, however it is written.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use proptest::prelude::*;

use planner_source::{Source, SourceOptions};
use planner_storage::{ByteFile, Location, LocationError, LocationPolicy, Place, TenantRoots};

/// A file system with a tenant's root, another tenant's beside it, and what the service keeps in both.
struct Yard {
    _folder: tempfile::TempDir,
    top: PathBuf,
}

const SECRET: &str = "secret,value\n1,2\n";
const OPEN: &str = "a,b\n1,2\n";

impl Yard {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        for name in ["acme/in/deep", "acme/home/store", "acme2", "other", "keys"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        for name in [
            "acme/a.csv",
            "acme/in/b.csv",
            "acme/in/deep/c.csv",
            "acme/in/%2e%2e.csv",
        ] {
            fs::write(top.join(name), OPEN).unwrap();
        }
        for name in [
            "passwd.csv",
            "acme2/a.csv",
            "other/a.csv",
            "keys/key.csv",
            "acme/home/first-api-key.csv",
            "acme/home/store/a.csv",
        ] {
            fs::write(top.join(name), SECRET).unwrap();
        }
        symlink("../passwd.csv", top.join("acme/link.csv")).unwrap();
        symlink("../other", top.join("acme/folder")).unwrap();
        symlink(&top, top.join("acme/in/top")).unwrap();
        symlink("home", top.join("acme/inner")).unwrap();
        fs::hard_link(top.join("keys/key.csv"), top.join("acme/hard.csv")).unwrap();
        Self {
            _folder: folder,
            top,
        }
    }

    fn policy(&self) -> LocationPolicy {
        let root = self.top.join("acme").display().to_string();
        let closed = [self.top.join("acme/home"), self.top.join("keys/key.csv")];
        let roots = [
            root.as_str(),
            "s3://lake/acme",
            "https://data.example.org/pub",
        ];
        LocationPolicy::below(self.top.join("acme/in"), roots, &closed).unwrap()
    }
}

/// Whatever is read or listed by this name, no row of it is a secret; how many files there were.
fn reads_no_secret(policy: &LocationPolicy, text: &str) -> usize {
    let mut read = 0;
    if let Ok(Location::Place(place)) = policy.check(text, None) {
        if let Ok(file) = ByteFile::find(&place) {
            let mut content = String::new();
            let mut reader = file.open(0..file.size()).unwrap();
            reader.read_to_string(&mut content).unwrap();
            assert_ne!(content, SECRET, "{text}");
            read += 1;
        }
        if let Some(path) = place.local_path() {
            assert!(path.root().is_some(), "{text}");
        }
    }
    let staging = tempfile::tempdir().unwrap();
    let options = SourceOptions::default();
    let staging = Place::own(staging.path());
    // Addresses of the web are only checked here.
    if !text.to_ascii_lowercase().starts_with("http")
        && !text.to_ascii_lowercase().starts_with("s3")
        && let Ok(source) = Source::discover(&[text.to_owned()], policy, &options, &staging)
    {
        let names: Vec<&str> = source.columns.iter().map(|c| c.name.as_str()).collect();
        assert!(!names.contains(&"secret"), "{text}: {names:?}");
        read += source.files.len();
    }
    read
}

/// What lies below the root is found by its name, from the base on, in full, and as a URL; what does not, is not,
/// however it is written.
#[test]
fn c1_names_and_detours() {
    let yard = Yard::new();
    let policy = yard.policy();
    let top = yard.top.display();
    for text in [
        "b.csv".to_owned(),
        "./deep/c.csv".to_owned(),
        "deep/*.csv".to_owned(),
        "**/c.csv".to_owned(),
        "%2e%2e.csv".to_owned(),
        format!("{top}/acme/a.csv"),
        format!("{top}/acme//in/./b.csv"),
        format!("file://{top}/acme/in/b.csv"),
        format!("FILE://{top}/acme/in/%62.csv"),
        format!("{top}/acme/"),
        format!("{top}/acme/*/*.csv"),
    ] {
        assert!(reads_no_secret(&policy, &text) > 0, "{text}");
    }
    for text in [
        "../../passwd.csv".to_owned(),
        "x://../../../passwd.csv".to_owned(),
        "x:/../../passwd.csv".to_owned(),
        "1x://../../../passwd.csv".to_owned(),
        "in:/x://../../../etc/passwd".to_owned(),
        format!("{top}/acme/x://../../passwd.csv"),
        format!("{top}/acme/../passwd.csv"),
        format!("{top}/acme2/a.csv"),
        format!("{top}/acme*/a.csv"),
        format!("{top}/other/a.csv"),
        format!("{top}/*.csv"),
        format!("{top}/**/*.csv"),
        format!("{top}/acme/link.csv"),
        format!("{top}/acme/folder/a.csv"),
        format!("{top}/acme/in/top/passwd.csv"),
        format!("{top}/acme/hard.csv"),
        format!("{top}/acme/home/first-api-key.csv"),
        format!("{top}/acme/home/*.csv"),
        format!("{top}/acme/home/"),
        format!("{top}/acme/inner/first-api-key.csv"),
        format!("file://{top}/acme/%2e%2e/passwd.csv"),
        format!("file://{top}/acme/..%2fpasswd.csv"),
        format!("file://{top}/acme/%2e%2e%2fother/a.csv"),
        format!("file://localhost{top}/passwd.csv"),
        format!("file:{top}/passwd.csv"),
        "/etc/passwd".to_owned(),
        "/proc/self/environ".to_owned(),
        "~/a.csv".to_owned(),
        String::new(),
        " ".to_owned(),
        "b.csv\0".to_owned(),
        "s3://lake/acme2/a".to_owned(),
        "s3://lake/acme/../other".to_owned(),
        "s3a://lake/acme/a".to_owned(),
        "https://data.example.org/pub/..%2fpriv".to_owned(),
        "https://data.example.org/pub/%2E%2E/priv".to_owned(),
        "https://data.example.org/pub\\..\\priv".to_owned(),
        "https://user@data.example.org/pub/a".to_owned(),
        "https://data.example.org/public".to_owned(),
        "rooted://2f/etc/passwd".to_owned(),
    ] {
        assert_eq!(reads_no_secret(&policy, &text), 0, "{text}");
        let checked = policy.check(&text, None);
        let web = matches!(
            &checked,
            Ok(Location::Web(_) | Location::Place(Place::Object(_)))
        );
        assert!(!web, "{text}: {checked:?}");
    }
    for text in ["s3://lake/acme/a", "https://data.example.org/pub/a.csv?k=1"] {
        assert!(policy.check(text, None).is_ok(), "{text}");
    }
}

/// Links are left out of folders and patterns alike, and so is what the service keeps below the root.
#[test]
fn m8_links_and_closed_folders_are_not_listed() {
    let yard = Yard::new();
    let policy = yard.policy();
    let found = |text: &str| {
        let staging = tempfile::tempdir().unwrap();
        let text = text.replace("TOP", &yard.top.display().to_string());
        let options = SourceOptions::default();
        let staging = Place::own(staging.path());
        let source = Source::discover(&[text], &policy, &options, &staging).unwrap();
        let paths = source.files.iter().map(|file| file.path.clone());
        let top = yard.top.display().to_string();
        paths.map(|path| path.replace(&top, "")).collect::<Vec<_>>()
    };
    let below = [
        "/acme/a.csv",
        "/acme/in/%2e%2e.csv",
        "/acme/in/b.csv",
        "/acme/in/deep/c.csv",
    ];
    assert_eq!(found("TOP/acme"), below);
    assert_eq!(found("TOP/acme/**/*.csv"), below);
    assert_eq!(found("TOP/acme/[la]*.csv"), ["/acme/a.csv"]);
}

/// Without a root nothing may be named; a root that is a file is that file alone; names of the service's own work
/// whatever the roots are.
#[test]
fn c3_nothing_by_default() {
    let yard = Yard::new();
    let none = LocationPolicy::below(&yard.top, [], &[]).unwrap();
    for text in [
        "passwd.csv",
        "acme/a.csv",
        "s3://lake/acme",
        "https://data.example.org/pub",
    ] {
        assert_eq!(
            none.check(text, None),
            Err(LocationError::Refused),
            "{text}"
        );
    }
    let file = yard.top.join("acme/a.csv").display().to_string();
    let one = LocationPolicy::below(&yard.top, [file.as_str()], &[]).unwrap();
    assert!(reads_no_secret(&one, "acme/a.csv") > 0);
    for text in ["acme/in/b.csv", "acme/a.csv/x", "acme", "acme/*.csv"] {
        assert_eq!(reads_no_secret(&one, text), 0, "{text}");
    }
    let place = Place::own(yard.top.join("other/a.csv"));
    let named = none.with_name("upload:1", place.clone());
    assert_eq!(named.place("upload:1", None), Ok(place));
    assert!(named.check("upload:2", None).is_err());
}

/// Roots are read as they stand on a command line, and are those of their tenant.
#[test]
fn c2_roots_of_tenants() {
    let roots = TenantRoots::parse([
        "/shared",
        "acme=/srv/acme",
        "acme=s3://a/x=y",
        "/data/y=2026",
    ]);
    let of = |tenant| roots.of(tenant).collect::<Vec<_>>();
    assert_eq!(
        of("acme"),
        ["/shared", "/data/y=2026", "/srv/acme", "s3://a/x=y"]
    );
    assert_eq!(of("other"), ["/shared", "/data/y=2026"]);
    assert_eq!(roots.all().count(), 4);
}

/// Pieces of paths that have been used to get out of folders.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "acme", "in", "deep", "home", "store", "other", "top", "folder", "inner", "passwd.csv", "link.csv",
            "a.csv", "b.csv", "hard.csv", "first-api-key.csv", "keys", "acme2", "proc", "self", "root",
        ]),
        4 => prop::sample::select(vec![
            "..", ".", "...", "%2e%2e", "%2E.", "..%2f", "%2f", "..\\", "..;", ".. ", "..\u{200b}", "．．", "‥",
            "%252e%252e", "%c0%ae", "~", "x:", "file:", "x://", "file://", "s3://", "*", "**", "?", "[a-z]*", "..*",
            "*.csv", "a.csv.", "A.CSV", "acme.", "ACME", "", " ", "\n", "a\u{301}", "$HOME", "-",
        ]),
    ]
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Whatever is put together from schemes, detours, encodings, links, patterns and odd letters, no file outside of
    /// the root is opened or listed, and none that the service keeps.
    #[test]
    fn c1_no_path_leads_out(
        start in prop::sample::select(vec!["", "/", "TOP/", "TOP/acme/", "TOP/acme/in/", "file://TOP/acme/",
            "file:///", "FILE://localhost/TOP/", "x://", "TOP/acme/x://", "x:/", "//", "./", "\\"]),
        pieces in prop::collection::vec(piece(), 1..6),
        separator in prop::sample::select(vec!["/", "//", "/./", "\\", "%2f"]),
    ) {
        thread_local!(static YARD: Yard = Yard::new());
        YARD.with(|yard| {
            let start = start.replace("TOP", &yard.top.display().to_string());
            let text = format!("{start}{}", pieces.join(separator));
            reads_no_secret(&yard.policy(), &text);
        });
    }
}
