//! `benchmarks fuzz`: mutated inputs for every parser that strangers reach, within bounds of memory and time.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::fuzz::{MOST_HELD, Mutator, Parsers, Target, seeds};
use crate::workspace::Workspace;

/// Give mutated inputs to every parser that strangers reach; keep those that take too much, or end the process.
#[derive(Args, Clone, Debug)]
pub struct FuzzArgs {
    /// Minutes, all parsers together.
    #[arg(long, default_value_t = 10.0)]
    pub minutes: f64,
    /// Most seconds of an input.
    #[arg(long, default_value_t = 5.0)]
    pub limit_seconds: f64,
    /// Seed of the inputs.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only this parser: spec, sql, ticket, csv, json, parquet, excel or packed.
    #[arg(long)]
    pub only: Option<String>,
    /// Works as one process of another one.
    #[arg(long, hide = true, value_name = "DIR")]
    pub worker: Option<PathBuf>,
}

/// An input that takes longer ends its process.
const HANG: Duration = Duration::from_secs(60);

/// Inputs that were good are mutated again, so many of them.
const KEPT: usize = 200;

/// Runs the command.
pub fn run(args: &FuzzArgs) -> Result<()> {
    let chosen = |target: &Target| {
        args.only
            .as_deref()
            .is_none_or(|name| name == target.name())
    };
    let targets: Vec<Target> = Target::ALL.into_iter().filter(chosen).collect();
    ensure!(!targets.is_empty(), "there is no such parser");
    let time = Duration::from_secs_f64(args.minutes * 60.0 / targets.len() as f64);
    if let (Some(folder), [target]) = (&args.worker, targets.as_slice()) {
        return work(args, *target, folder, time);
    }
    let folder = Workspace::of_this_build()?.subfolder("fuzz")?;
    let mut found = 0;
    for target in targets {
        found += supervise(args, target, &folder, time)?;
    }
    ensure!(
        found == 0,
        "{found} inputs are kept in {}",
        folder.display()
    );
    Ok(())
}

/// Runs processes for one parser until the time is over; one that ends by an input is followed by another one. Gives the
/// number of inputs that were kept.
fn supervise(args: &FuzzArgs, target: Target, folder: &Path, time: Duration) -> Result<usize> {
    let end = Instant::now() + time;
    let folder = folder.join(target.name());
    std::fs::create_dir_all(&folder)?;
    let before = kept(&folder)?;
    let mut seed = args.seed;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        let status = Command::new(std::env::current_exe()?)
            .arg("fuzz")
            .args(["--only", target.name()])
            .args(["--minutes", &(left.as_secs_f64() / 60.0).to_string()])
            .args(["--limit-seconds", &args.limit_seconds.to_string()])
            .args(["--seed", &seed.to_string()])
            .arg("--worker")
            .arg(&folder)
            .stdin(Stdio::null())
            .status()?;
        if status.success() {
            break;
        }
        let input = std::fs::read(folder.join("current"))?;
        keep(&folder, "ended", &input)?;
        println!(
            "{}: an input of {} bytes ended the process ({status})",
            target.name(),
            input.len()
        );
        seed += 1000;
    }
    Ok(kept(&folder)? - before)
}

fn kept(folder: &Path) -> Result<usize> {
    let entries = std::fs::read_dir(folder)?.flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name.ends_with(".input")).count())
}

fn keep(folder: &Path, why: &str, input: &[u8]) -> Result<()> {
    let number = kept(folder)?;
    let path = folder.join(format!("{why}-{number:04}.input"));
    std::fs::write(&path, input).with_context(|| path.display().to_string())
}

/// Gives inputs to a parser until the time is over.
fn work(args: &FuzzArgs, target: Target, folder: &Path, time: Duration) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let parsers = Parsers::open(scratch.path())?;
    let mut known = seeds(target)?;
    let mut mutator = Mutator::new(StdRng::seed_from_u64(args.seed));
    let begun = Instant::now();
    let since = Arc::new(AtomicU64::new(0));
    watch(begun, Arc::clone(&since));
    let mut current = std::fs::File::create(folder.join("current"))?;
    let (mut inputs, mut good, mut bad) = (0_u64, 0_u64, 0_u64);
    let (mut slowest, mut largest) = (Duration::ZERO, 0);
    while begun.elapsed() < time {
        let input = mutator.next(target, &known);
        std::io::Seek::rewind(&mut current)?;
        current.set_len(0)?;
        current.write_all(&input)?;
        since.store(begun.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
        let cost = parsers.cost(target, &input)?;
        since.store(0, Ordering::Relaxed);
        inputs += 1;
        good += u64::from(cost.good);
        slowest = slowest.max(cost.time);
        largest = largest.max(cost.held);
        if cost.time.as_secs_f64() > args.limit_seconds || cost.held > MOST_HELD {
            bad += 1;
            keep(folder, "cost", &input)?;
            println!(
                "{}: an input of {} bytes took {:.1} s and {} MiB",
                target.name(),
                input.len(),
                cost.time.as_secs_f64(),
                cost.held >> 20
            );
        } else if cost.good && input.len() < 64 << 10 {
            match known.len() < KEPT {
                true => known.push(input),
                false => {
                    let place = inputs as usize % KEPT;
                    known[place] = input;
                }
            }
        }
    }
    println!(
        "{}: {inputs} inputs, {good} of them good, {bad} kept; at most {:.2} s and {} MiB",
        target.name(),
        slowest.as_secs_f64(),
        largest >> 20
    );
    Ok(())
}

/// Ends the process when an input takes too long.
#[expect(
    clippy::disallowed_methods,
    reason = "the thread that is stuck cannot be asked to return"
)]
fn watch(begun: Instant, since: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let at = since.load(Ordering::Relaxed);
            let now = begun.elapsed().as_millis() as u64;
            if at > 0 && now.saturating_sub(at) > HANG.as_millis() as u64 {
                std::process::exit(124);
            }
        }
    });
}
