//! The services under test, which die and come back.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use benchmarks_harness::peak_bytes;
use rustix::process::{Pid, Signal, kill_process};

use crate::workspace::{BENCHMARK_SALT, Workspace};

/// Time in which a service must be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// The services.
#[derive(Debug)]
pub(super) struct Services {
    folder: PathBuf,
    database: Option<String>,
    program: PathBuf,
    running: Vec<Mutex<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    url: String,
    peak: u64,
}

impl Services {
    pub(super) fn start(folder: &Path, database: Option<&str>, count: usize) -> Result<Self> {
        let mut services = Self {
            folder: folder.to_owned(),
            database: database.map(str::to_owned),
            program: Workspace::of_this_build()?.sanitizer(None)?,
            running: Vec::new(),
        };
        for number in 0..count.max(1) {
            let service = services.launch(number)?;
            services.running.push(Mutex::new(service));
        }
        Ok(services)
    }

    fn launch(&self, number: usize) -> Result<Running> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join(format!("service-{number}.log")))?;
        let home = match &self.database {
            Some(_) => self.folder.join(format!("home-{number}")),
            None => self.folder.join("home"),
        };
        let mut command = Command::new(&self.program);
        command
            .args([
                "serve",
                "--http",
                "127.0.0.1:0",
                "--flight-sql",
                "127.0.0.1:0",
            ])
            .args(["--lease", "5s", "--attempts", "25", "--jobs", "2"])
            .arg("--home")
            .arg(home)
            .arg("--store")
            .arg(self.folder.join("store"))
            .env("SANITIZER_SALT", BENCHMARK_SALT)
            .env("SANITIZER_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(log);
        if let Some(database) = &self.database {
            command.env("SANITIZER_API_DATABASE", database);
        }
        let mut child = command.spawn().context("the service does not start")?;
        let stdout = child.stdout.take().context("the service says nothing")?;
        let mut reader = BufReader::new(stdout);
        let begun = Instant::now();
        let mut line = String::new();
        let url = loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 || begun.elapsed() > PATIENCE {
                bail!("the service ended before it was ready");
            }
            if let Some(url) = line.trim().strip_prefix("REST API listens on ") {
                break url.to_owned();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        Ok(Running {
            child,
            url,
            peak: 0,
        })
    }

    /// The first key of all.
    pub(super) fn key(&self) -> Result<String> {
        let home = if self.database.is_some() {
            "home-0"
        } else {
            "home"
        };
        let path = self.folder.join(home).join("first-api-key");
        let begun = Instant::now();
        loop {
            if let Ok(key) = std::fs::read_to_string(&path)
                && key.ends_with('\n')
            {
                return Ok(key.trim().to_owned());
            }
            if begun.elapsed() > PATIENCE {
                bail!("there is no first key; the database was used before");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    /// Where one of them listens; the next one's turn is another's.
    pub(super) fn url(&self, turn: usize) -> Result<String> {
        let service = self.running[turn % self.running.len()].lock();
        Ok(service
            .map_err(|_| anyhow!("a service is lost"))?
            .url
            .clone())
    }

    /// Ends one as a power cut would, and starts it again.
    pub(super) fn restart(&self, number: usize) -> Result<()> {
        let mut service = self.running[number]
            .lock()
            .map_err(|_| anyhow!("a service is lost"))?;
        let peak = service
            .peak
            .max(peak_bytes(service.child.id()).unwrap_or(0));
        service.child.kill()?;
        service.child.wait()?;
        let mut next = self.launch(number)?;
        next.peak = peak;
        *service = next;
        Ok(())
    }

    /// Stops one for a while.
    pub(super) async fn freeze(&self, number: usize, time: Duration) -> Result<()> {
        let process = {
            let service = self.running[number]
                .lock()
                .map_err(|_| anyhow!("a service is lost"))?;
            Pid::from_child(&service.child)
        };
        kill_process(process, Signal::STOP)?;
        tokio::time::sleep(time).await;
        kill_process(process, Signal::CONT)?;
        Ok(())
    }

    /// The most memory that one of them had.
    pub(super) fn peak_bytes(&self) -> u64 {
        let peaks = self.running.iter().filter_map(|service| {
            let service = service.lock().ok()?;
            Some(
                service
                    .peak
                    .max(peak_bytes(service.child.id()).unwrap_or(0)),
            )
        });
        peaks.max().unwrap_or(0)
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        for service in &self.running {
            if let Ok(mut service) = service.lock() {
                let _ = service.child.kill();
                let _ = service.child.wait();
            }
        }
    }
}
