//! `benchmarks soak`: many jobs of many tenants at several services that share a database, with faults all along.

mod chaos;
mod client;
mod outcome;
mod process;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use benchmarks_generator::{CustomerGenerator, write_table};
use clap::Args;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use self::chaos::Chaos;
use self::client::Client;
use self::outcome::{Outcome, Sent, quantile};
use self::process::Services;
use crate::workspace::Workspace;

/// Run many jobs with faults injected all along; print what became of them.
#[derive(Args, Clone, Debug)]
pub struct SoakArgs {
    /// Jobs.
    #[arg(long, default_value_t = 1000)]
    pub jobs: usize,
    /// Tenants that submit them.
    #[arg(long, default_value_t = 10)]
    pub tenants: usize,
    /// Services that share the database.
    #[arg(long, default_value_t = 2)]
    pub services: usize,
    /// Rows of the largest table.
    #[arg(long, default_value_t = 5000)]
    pub rows: u64,
    /// Mean time between two faults, in seconds; 0 for none.
    #[arg(long, default_value_t = 4.0)]
    pub faults: f64,
    /// Jobs in the queue when the API is asked for states.
    #[arg(long, default_value_t = 10_000)]
    pub queued: usize,
    /// A Postgres database that nobody else uses; a SQLite file when left out, with one service.
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// Seed of what happens when.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
}

/// Runs the command.
pub fn run(args: &SoakArgs) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(soak(args))
}

/// A tenant and its key.
#[derive(Clone, Debug)]
struct Tenant {
    name: String,
    key: String,
}

async fn soak(args: &SoakArgs) -> Result<()> {
    let workspace = Workspace::of_this_build()?;
    let folder = tempfile::tempdir_in(workspace.subfolder("soak")?)?;
    let tables = tables(&folder.path().join("tables"), args)?;
    let count = if args.database.is_some() {
        args.services
    } else {
        1
    };
    let services = Services::start(folder.path(), args.database.as_deref(), count)?;
    let services = Arc::new(services);
    let admin = Client::new(Arc::clone(&services), services.key()?);
    let tenants = tenants(&admin, args).await?;
    let begun = Instant::now();
    let chaos = Chaos::start(
        Arc::clone(&services),
        args.database.clone(),
        args.faults,
        args.seed,
    );
    let sent = submit_all(args, &services, &tenants, &tables).await?;
    println!(
        "{} jobs were accepted in {:.0} s; waiting for their end …",
        sent.len(),
        begun.elapsed().as_secs_f64()
    );
    let outcome = Outcome::wait(&services, &tenants, &sent).await;
    let faults = chaos.stop().await;
    let outcome = outcome?;
    let seconds = begun.elapsed().as_secs_f64();
    outcome.print(&sent, &faults, seconds, services.peak_bytes());
    states(args, &services, &admin, &tables).await?;
    outcome.judge(&sent)
}

/// Some tables of different lengths.
fn tables(folder: &std::path::Path, args: &SoakArgs) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)?;
    let lengths = [args.rows / 50, args.rows / 10, args.rows / 3, args.rows];
    let mut tables = Vec::new();
    for (number, rows) in lengths.into_iter().enumerate() {
        let path = folder.join(format!("customers-{number}.csv"));
        write_table(
            CustomerGenerator::new(number as u64),
            rows.max(10),
            1,
            &path,
            None,
        )?;
        tables.push(path);
    }
    Ok(tables)
}

async fn tenants(admin: &Client, args: &SoakArgs) -> Result<Vec<Tenant>> {
    let mut tenants = Vec::new();
    for number in 0..args.tenants {
        let name = format!("tenant-{number}");
        let limits =
            json!({"max_running": 2, "max_queued": 1_000_000, "calls_per_second": 100_000});
        admin
            .made("/tenants", &json!({"name": name, "limits": limits}))
            .await?;
        let key = json!({"name": "soak", "role": "admin", "tenant": name});
        let key = admin.made("/keys", &key).await?;
        let key = key["secret"].as_str().context("no key came")?.to_owned();
        tenants.push(Tenant { name, key });
    }
    Ok(tenants)
}

/// Submits all jobs, as fast as they are taken, four at a time; each with a key that makes it safe to ask again.
async fn submit_all(
    args: &SoakArgs,
    services: &Arc<Services>,
    tenants: &[Tenant],
    tables: &[PathBuf],
) -> Result<Vec<Sent>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..4_u64 {
        let (next, services) = (Arc::clone(&next), Arc::clone(services));
        let (args, tenants, tables) = (args.clone(), tenants.to_vec(), tables.to_vec());
        senders.spawn(async move {
            let mut random = StdRng::seed_from_u64(args.seed * 100 + sender);
            let mut sent = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= args.jobs {
                    return anyhow::Ok(sent);
                }
                let tenant = number % tenants.len();
                let client = Client::new(Arc::clone(&services), tenants[tenant].key.clone());
                // One in twenty must fail, and one in thirty-three is cancelled.
                let must_fail = random.random_bool(0.05);
                let table = std::fs::read(&tables[random.random_range(0..tables.len())])?;
                let spec = must_fail.then(|| {
                    let rule = json!({"name": "age", "type": "integer", "business_rules": [{"range": {"max": -1}}]});
                    json!({"dataset": {"columns": [rule]}, "steps": [{"type": "rules", "on_violation": "fail"}]})
                });
                let name = &tenants[tenant].name;
                let job = client.submit(name, &format!("soak-{number}"), &table, spec).await?;
                let cancelled = random.random_bool(0.03);
                if cancelled {
                    tokio::time::sleep(Duration::from_millis(random.random_range(0..500))).await;
                    client.cancel(&job).await?;
                }
                sent.push(Sent {
                    tenant,
                    job,
                    must_fail,
                    cancelled,
                });
            }
        });
    }
    let mut all = Vec::new();
    while let Some(sent) = senders.join_next().await {
        all.extend(sent??);
    }
    Ok(all)
}

/// Times questions for the state of jobs while many are in the queue and workers are busy.
async fn states(
    args: &SoakArgs,
    services: &Arc<Services>,
    admin: &Client,
    tables: &[PathBuf],
) -> Result<()> {
    if args.queued == 0 {
        return Ok(());
    }
    let limits = json!({"max_running": 2, "max_queued": 1_000_000, "calls_per_second": 100_000});
    admin
        .made("/tenants", &json!({"name": "crowd", "limits": limits}))
        .await?;
    let key = json!({"name": "soak", "role": "admin", "tenant": "crowd"});
    let key = admin.made("/keys", &key).await?;
    let key = key["secret"].as_str().context("no key came")?.to_owned();
    let client = Client::new(Arc::clone(services), key.clone());
    let upload = client.upload("crowd", &std::fs::read(&tables[3])?).await?;
    let spec =
        json!({"version": 1, "name": "crowd", "source": {"location": format!("upload:{upload}")}});
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = tokio::task::JoinSet::new();
    let begun = Instant::now();
    for _ in 0..8 {
        let (next, spec, queued) = (Arc::clone(&next), spec.clone(), args.queued);
        let client = Client::new(Arc::clone(services), key.clone());
        senders.spawn(async move {
            let mut jobs = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < queued {
                jobs.push(client.submit_spec("crowd", &spec).await?);
            }
            anyhow::Ok(jobs)
        });
    }
    let mut jobs = Vec::new();
    while let Some(sent) = senders.join_next().await {
        jobs.extend(sent??);
    }
    println!(
        "{} jobs were accepted in {:.0} s",
        jobs.len(),
        begun.elapsed().as_secs_f64()
    );
    let listed: Value = client.get("/jobs?status=queued&limit=1").await?;
    ensure!(
        listed["jobs"]
            .as_array()
            .is_some_and(|jobs| !jobs.is_empty())
    );
    let mut seconds = Vec::new();
    let asked = Instant::now();
    let stop = AtomicBool::new(false);
    let questions = async {
        for number in 0..2000 {
            let job = &jobs[number * 7919 % jobs.len()];
            let begun = Instant::now();
            client.get(&format!("/jobs/{job}")).await?;
            seconds.push(begun.elapsed().as_secs_f64());
        }
        stop.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    questions.await?;
    println!(
        "2,000 questions for a state with {} jobs submitted, workers busy: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, {:.0} a second",
        jobs.len(),
        quantile(&mut seconds, 0.5) * 1e3,
        quantile(&mut seconds, 0.95) * 1e3,
        quantile(&mut seconds, 0.99) * 1e3,
        2000.0 / asked.elapsed().as_secs_f64(),
    );
    Ok(())
}
