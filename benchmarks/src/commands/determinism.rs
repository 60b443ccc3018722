//! `benchmarks determinism`: the same jobs in one process and on clusters, compared byte by byte.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use benchmarks_generator::{CustomerGenerator, StandardJob, conversion, every_step, write_table};
use benchmarks_harness::{ClusterOptions, LocalCluster, ObjectServer};
use clap::Args;
use comfy_table::Table;
use serde_json::Value;

use crate::figure_table::figure_table;
use crate::workspace::{BENCHMARK_SALT, Workspace, remove_folder};

/// Compare the outputs of one process with those of clusters.
#[derive(Args, Clone, Debug)]
pub struct DeterminismArgs {
    /// Rows of the table.
    #[arg(long, default_value_t = 200_000)]
    pub rows: u64,
    /// Clusters, as EXECUTORSxSLOTS.
    #[arg(long, default_values_t = ["1x1", "1x4", "2x1", "2x2", "4x1", "4x4"].map(String::from))]
    pub clusters: Vec<String>,
    /// The program to run [default: the one built next to this one].
    #[arg(long, value_name = "PATH")]
    pub sanitizer: Option<PathBuf>,
}

/// Rows of a split: a table has several, and the clusters deal them out differently.
const SPLIT_ROWS: u64 = 16_384;

/// Runs the command.
pub fn run(args: &DeterminismArgs) -> Result<()> {
    let workspace = Workspace::of_this_build()?;
    let folder = workspace.subfolder("determinism")?;
    remove_folder(&folder)?;
    std::fs::create_dir_all(&folder)?;
    let bench = Bench {
        program: workspace.sanitizer(args.sanitizer.as_deref())?,
        folder,
        store: ObjectServer::start()?,
    };
    let jobs = bench.prepare(args.rows)?;
    let mut expected = Vec::new();
    for job in &jobs {
        eprintln!("one process: {}", job.name);
        expected.push(bench.run(job, None)?);
    }
    let header: Vec<&str> = std::iter::once("job")
        .chain(["files"])
        .chain(args.clusters.iter().map(String::as_str))
        .collect();
    let mut columns: Vec<Vec<bool>> = Vec::new();
    for shape in &args.clusters {
        let cluster = bench.cluster(shape)?;
        let mut same = Vec::new();
        for (job, expected) in jobs.iter().zip(&expected) {
            eprintln!("{shape}: {}", job.name);
            let found = bench.run(job, Some(&cluster.url()))?;
            for (name, digest) in expected {
                if found.get(name) != Some(digest) {
                    eprintln!("{shape}: {}: {name} differs", job.name);
                }
            }
            same.push(found == *expected);
        }
        columns.push(same);
    }
    let mut table: Table = figure_table(&header);
    for (row, job) in jobs.iter().enumerate() {
        let words = columns.iter().map(|column| match column[row] {
            true => "the same".to_owned(),
            false => "DIFFERENT".to_owned(),
        });
        let start = [job.name.clone(), expected[row].len().to_string()];
        table.add_row(start.into_iter().chain(words));
    }
    println!("{} rows; SHA-256 of every table file of", args.rows);
    println!("one process against clusters of EXECUTORSxSLOTS:");
    println!("{table}");
    remove_folder(&bench.folder)?;
    if columns.iter().flatten().any(|same| !same) {
        bail!("some outputs differ");
    }
    Ok(())
}

struct Job {
    name: String,
    spec: String,
    /// Other data than the spec's, and its format.
    input: Option<(String, &'static str)>,
    /// Whether the output goes to the store.
    to_store: bool,
}

struct Bench {
    program: PathBuf,
    folder: PathBuf,
    store: ObjectServer,
}

impl Bench {
    /// The data in every format, and the jobs on it.
    fn prepare(&self, rows: u64) -> Result<Vec<Job>> {
        let generator = || CustomerGenerator::new(7);
        write_table(
            generator(),
            rows,
            1,
            &self.folder.join("customers.csv"),
            None,
        )?;
        let pieces = self.folder.join("pieces");
        std::fs::create_dir(&pieces)?;
        write_table(generator(), rows, 200, &pieces.join("customers.csv"), None)?;
        let mut standard = StandardJob::new("customers.csv", "out");
        standard.pii_salt = "env:SANITIZER_SALT".to_owned();
        let salt = "env:SANITIZER_SALT";
        std::fs::write(self.folder.join("standard.yaml"), standard.to_yaml())?;
        let every = every_step("customers.csv", "out", salt);
        std::fs::write(self.folder.join("every_step.yaml"), every)?;
        for format in ["jsonl", "parquet"] {
            self.sanitizer(&conversion(format))?;
        }
        for part in std::fs::read_dir(self.folder.join("parquet/data"))? {
            let part = part?;
            let name = part.file_name().to_string_lossy().into_owned();
            self.store.add(&format!("parquet/{name}"), &part.path())?;
        }
        self.store
            .add("customers.csv", &self.folder.join("customers.csv"))?;
        let local = |location: &str, format| Some((location.to_owned(), format));
        let stored = |key: &str, format| Some((self.store.url(key), format));
        let inputs = [
            ("CSV, one file", None, false),
            ("CSV, 200 files", local("pieces", "csv"), false),
            ("JSON lines", local("jsonl/data/*.jsonl", "jsonl"), false),
            ("Parquet", local("parquet/data/*.parquet", "parquet"), false),
            ("CSV on S3", stored("customers.csv", "csv"), true),
            (
                "Parquet on S3",
                stored("parquet/*.parquet", "parquet"),
                true,
            ),
        ];
        let jobs = ["standard", "every_step"].into_iter().flat_map(|spec| {
            inputs.iter().map(move |(name, input, to_store)| Job {
                name: format!("{spec}, {name}"),
                spec: format!("{spec}.yaml"),
                input: input.clone(),
                to_store: *to_store,
            })
        });
        Ok(jobs.collect())
    }

    /// What the program and the members of a cluster find in their environment.
    fn environment(&self) -> Vec<(String, String)> {
        let salt = ("SANITIZER_SALT".to_owned(), BENCHMARK_SALT.to_owned());
        [vec![salt], self.store.environment()].concat()
    }

    fn cluster(&self, shape: &str) -> Result<LocalCluster> {
        let (executors, slots) = shape
            .split_once('x')
            .and_then(|(executors, slots)| Some((executors.parse().ok()?, slots.parse().ok()?)))
            .with_context(|| format!("{shape}: expected EXECUTORSxSLOTS, such as 2x1"))?;
        let options = ClusterOptions {
            executors,
            slots,
            environment: self.environment(),
            ..ClusterOptions::default()
        };
        LocalCluster::start(&self.program, options)
    }

    /// Runs a job; gives the digest of each table file of its output.
    fn run(&self, job: &Job, cluster: Option<&str>) -> Result<BTreeMap<String, String>> {
        let split = format!("output.rows_per_file={SPLIT_ROWS}");
        let mut arguments = vec!["run", &job.spec, "--job-id", "job", "--set", &split];
        let format = job
            .input
            .as_ref()
            .map(|(_, format)| format!("source.format={format}"));
        arguments.extend(
            job.input
                .iter()
                .flat_map(|(input, _)| ["--input", input.as_str()]),
        );
        arguments.extend(format.iter().flat_map(|format| ["--set", format]));
        arguments.extend(cluster.iter().flat_map(|url| ["--cluster", url]));
        let target = self.store.url("out");
        if job.to_store {
            arguments.extend(["--output", &target]);
        }
        self.sanitizer(&arguments)?;
        digests(&match job.to_store {
            true => self.store.file("out"),
            false => self.folder.join("out"),
        })
    }

    fn sanitizer(&self, arguments: &[impl AsRef<OsStr> + Debug]) -> Result<()> {
        let output = Command::new(&self.program)
            .args(arguments)
            .current_dir(&self.folder)
            .envs(self.environment())
            .output()?;
        if !output.status.success() {
            bail!(
                "{arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }
}

/// The digest of each table file of an output, by its path.
fn digests(out: &Path) -> Result<BTreeMap<String, String>> {
    let manifest = std::fs::read(out.join("metadata.json"))?;
    let manifest: Value = serde_json::from_slice(&manifest)?;
    let files = manifest["files"].as_array().context("no files")?;
    let digests = files.iter().filter_map(|file| {
        let path = file["path"].as_str()?;
        // The documents at the top tell times.
        path.contains('/')
            .then(|| Some((path.to_owned(), file["sha256"].as_str()?.to_owned())))?
    });
    Ok(digests.collect())
}
