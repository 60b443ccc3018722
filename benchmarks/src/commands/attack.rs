//! `benchmarks attack`: one tenant does its worst to a service while another one asks for the state of its jobs.

mod assault;
mod victim;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use benchmarks_harness::peak_bytes;
use clap::Args;
use serde_json::{Value, json};

use self::assault::Assault;
use self::victim::{Seen, Victim};
use crate::figure_table::figure_table;
use crate::workspace::{BENCHMARK_SALT, Workspace};

/// Attack a service as one tenant; print how long another tenant waits for its calls, and whether its jobs succeed.
#[derive(Args, Clone, Debug)]
pub struct AttackArgs {
    /// Seconds of the attack, and of the quiet before it.
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// Uploads that are begun and never finished, each over a connection of its own.
    #[arg(long, default_value_t = 530)]
    pub uploads: usize,
    /// Most milliseconds that 95 of 100 calls of the other tenant may take.
    #[arg(long, default_value_t = 200.0)]
    pub limit_ms: f64,
}

/// Time in which the service must be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the command.
pub fn run(args: &AttackArgs) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(attack(args))
}

/// What goes on, and how often.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    counts: [AtomicU64; KINDS.len()],
}

/// The kinds of requests that the attacker sends.
const KINDS: [&str; 6] = [
    "half-sent uploads held",
    "half-sent headers held",
    "deep and repeating specs",
    "small files that unfold",
    "logins with a wrong password",
    "jobs accepted",
];

impl Counts {
    fn count(&self, kind: usize) {
        self.counts[kind].fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, kind: usize) -> u64 {
        self.counts[kind].load(Ordering::Relaxed)
    }
}

async fn attack(args: &AttackArgs) -> Result<()> {
    let workspace = Workspace::of_this_build()?;
    let folder = tempfile::tempdir_in(workspace.subfolder("attack")?)?;
    let service = Service::start(&workspace, folder.path())?;
    let attacker = service.tenant("attacker").await?;
    let victim = Arc::new(Victim::new(&service, service.tenant("victim").await?)?);
    let time = Duration::from_secs(args.seconds);
    victim.watch(Duration::from_secs(2)).await?;
    let quiet = victim.watch(time).await?;
    println!("{} calls in quiet; the attack begins …", quiet.calls());

    let counts = Arc::new(Counts::default());
    let stop = Arc::new(AtomicBool::new(false));
    let assault = Assault::begin(&service, &attacker, args.uploads, (&counts, &stop))?;
    // Until everything is under way.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let attacked = victim.watch(time).await;
    stop.store(true, Ordering::Relaxed);
    assault.end().await;
    let attacked = attacked?;
    print(&quiet, &attacked, &counts);
    println!(
        "peak memory of the service: {} MiB",
        service.peak_bytes() >> 20
    );
    judge(args, &attacked, &counts)
}

/// A row of the table: a figure in quiet and under attack, and their ratio.
fn row(name: &str, (before, during): (f64, f64)) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{before:.1}"),
        format!("{during:.1}"),
        format!("{:.1}", during / before.max(0.001)),
    ]
}

fn print(quiet: &Seen, attacked: &Seen, counts: &Counts) {
    let mut table = figure_table(&["another tenant", "in quiet", "under attack", "ratio"]);
    for share in [0.5, 0.95, 0.99] {
        let name = format!("status call, p{} in ms", share * 100.0);
        let both = (quiet.quantile_ms(share), attacked.quantile_ms(share));
        table.add_row(row(&name, both));
    }
    let count = |number: usize| number as f64;
    for (name, before, during) in [
        (
            "calls that failed",
            count(quiet.failed),
            count(attacked.failed),
        ),
        (
            "jobs that succeeded",
            count(quiet.succeeded),
            count(attacked.succeeded),
        ),
        ("jobs that failed", count(quiet.lost), count(attacked.lost)),
        (
            "job, mean in s",
            quiet.job_seconds(),
            attacked.job_seconds(),
        ),
    ] {
        table.add_row(row(name, (before, during)));
    }
    println!("\n{table}\n");
    for (kind, name) in KINDS.iter().enumerate() {
        println!("{name}: {}", counts.of(kind));
    }
}

fn judge(args: &AttackArgs, attacked: &Seen, counts: &Counts) -> Result<()> {
    for (kind, name) in KINDS.iter().enumerate().take(5) {
        ensure!(counts.of(kind) > 0, "the attack had no {name}");
    }
    let p95 = attacked.quantile_ms(0.95);
    ensure!(
        p95 < args.limit_ms,
        "95 of 100 calls took up to {p95:.0} ms; {:.0} ms are the limit",
        args.limit_ms
    );
    ensure!(attacked.failed == 0, "{} calls failed", attacked.failed);
    ensure!(
        attacked.lost == 0 && attacked.succeeded > 0,
        "{} jobs failed and {} succeeded",
        attacked.lost,
        attacked.succeeded
    );
    Ok(())
}

/// The service that is attacked.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    /// Where the API listens.
    pub(crate) url: String,
    /// Where Flight SQL listens.
    pub(crate) flight: String,
    operator: String,
}

/// A tenant and its key.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) key: String,
}

impl Service {
    fn start(workspace: &Workspace, folder: &Path) -> Result<Self> {
        let log = std::fs::File::create(folder.join("service.log"))?;
        let mut child = Command::new(workspace.sanitizer(None)?)
            .arg("serve")
            .args(["--http", "127.0.0.1:0", "--flight-sql", "127.0.0.1:0"])
            .arg("--home")
            .arg(folder.join("home"))
            .env("SANITIZER_SALT", BENCHMARK_SALT)
            .env("SANITIZER_LOG", "error")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("the service does not start")?;
        let stdout = child.stdout.take().context("the service says nothing")?;
        let mut reader = BufReader::new(stdout);
        let (mut url, mut flight, mut key) = (None, None, None);
        let begun = Instant::now();
        let mut line = String::new();
        while url.is_none() || flight.is_none() || key.is_none() {
            line.clear();
            if reader.read_line(&mut line)? == 0 || begun.elapsed() > PATIENCE {
                bail!("the service ended before it was ready");
            }
            let after = |begins: &str| line.trim().strip_prefix(begins).map(str::to_owned);
            url = url.or_else(|| after("REST API listens on "));
            flight = flight.or_else(|| after("Flight SQL listens on "));
            key = key.or_else(|| after("first API key: "));
        }
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        let file = key.context("no key was told")?;
        let operator = std::fs::read_to_string(&file).with_context(|| file.clone())?;
        let flight = flight.context("no address was told")?;
        let scheme = |address: String| match address.contains("://") {
            true => address,
            false => format!("http://{address}"),
        };
        Ok(Self {
            child,
            url: url.context("no address was told")?,
            flight: scheme(flight),
            operator: operator.trim().to_owned(),
        })
    }

    /// Makes a tenant that may call as often as it likes, and a key of it.
    async fn tenant(&self, name: &str) -> Result<Tenant> {
        let limits = json!({"max_running": 1, "calls_per_second": 100_000});
        self.made("/tenants", &json!({"name": name, "limits": limits}))
            .await?;
        let key = json!({"name": "attack", "role": "admin", "tenant": name});
        let key = self.made("/keys", &key).await?;
        Ok(Tenant {
            name: name.to_owned(),
            key: key["secret"].as_str().context("no key came")?.to_owned(),
        })
    }

    async fn made(&self, path: &str, document: &Value) -> Result<Value> {
        let request = reqwest::Client::new()
            .post(format!("{}/api/v1{path}", self.url))
            .bearer_auth(&self.operator)
            .json(document);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    fn peak_bytes(&self) -> u64 {
        peak_bytes(self.child.id()).unwrap_or(0)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
