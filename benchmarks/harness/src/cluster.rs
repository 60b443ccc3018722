//! A Ballista cluster of real processes on this machine, on free ports, for tests and measurements.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::memory::peak_bytes;

/// Time in which a process must be ready, on a machine that builds something else meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a cluster is made.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Executors at the start.
    pub executors: usize,
    /// Tasks at the same time, of each.
    pub slots: usize,
    /// Memory of the tasks of each, such as `1GiB`.
    pub memory_limit: Option<String>,
    /// Silence after which an executor is given up.
    pub executor_timeout_seconds: u64,
    /// Time for which jobs wait for an executor when there is none.
    pub no_executors_grace_seconds: u64,
    /// Environment of all processes.
    pub environment: Vec<(String, String)>,
    /// Programs of the scheduler and of executors; the subcommands of `sanitizer` when none.
    pub programs: Option<(PathBuf, PathBuf)>,
    /// Certificates of all members; connections in the clear when none.
    pub tls: Option<ClusterTls>,
}

/// Files of the certificates of a cluster's members, in PEM.
#[derive(Debug, Clone)]
pub struct ClusterTls {
    /// Certificate.
    pub certificate: PathBuf,
    /// Key of the certificate.
    pub key: PathBuf,
    /// Certificate of the authority.
    pub authority: PathBuf,
}

impl ClusterTls {
    /// Returns the environment of a process that is a member with these certificates.
    pub fn environment(&self) -> [(&'static str, &Path); 3] {
        [
            ("SANITIZER_CLUSTER_CERT", &self.certificate),
            ("SANITIZER_CLUSTER_KEY", &self.key),
            ("SANITIZER_CLUSTER_CA", &self.authority),
        ]
    }

    /// Returns what a client proves and demands.
    fn client(&self) -> anyhow::Result<ClientTlsConfig> {
        let read = |path: &Path| std::fs::read(path);
        Ok(ClientTlsConfig::new()
            .domain_name(CLUSTER_NAME)
            .ca_certificate(Certificate::from_pem(read(&self.authority)?))
            .identity(Identity::from_pem(
                read(&self.certificate)?,
                read(&self.key)?,
            )))
    }
}

/// Name in the certificates of members.
const CLUSTER_NAME: &str = "data-sanitizer-cluster";

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            executors: 2,
            slots: 1,
            memory_limit: None,
            executor_timeout_seconds: 4,
            no_executors_grace_seconds: 6,
            environment: Vec::new(),
            programs: None,
            tls: None,
        }
    }
}

/// A scheduler and its executors, which end with it.
pub struct LocalCluster {
    program: PathBuf,
    options: ClusterOptions,
    scheduler: Member,
    executors: Vec<Member>,
    folder: TempDir,
}

/// One process of a cluster.
pub struct Member {
    process: Child,
    address: String,
    log: PathBuf,
}

impl LocalCluster {
    /// Starts the members from this program (`sanitizer`) and waits until they are ready.
    pub fn start(program: &Path, options: ClusterOptions) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut arguments = vec![
            "--bind=127.0.0.1:0".to_owned(),
            "--external-host=127.0.0.1".to_owned(),
            format!(
                "--executor-timeout-seconds={}",
                options.executor_timeout_seconds
            ),
            format!(
                "--no-executors-grace-seconds={}",
                options.no_executors_grace_seconds
            ),
        ];
        let log = folder.path().join("scheduler.log");
        let command = match &options.programs {
            Some((scheduler, _)) => Command::new(scheduler),
            None => {
                arguments.insert(0, "scheduler".to_owned());
                Command::new(program)
            }
        };
        let (environment, tls) = (&options.environment, options.tls.as_ref());
        let scheduler = Member::start(command, &arguments, environment, tls, log)?;
        let mut cluster = Self {
            program: program.to_owned(),
            scheduler,
            executors: Vec::new(),
            folder,
            options,
        };
        for _ in 0..cluster.options.executors {
            cluster.add_executor()?;
        }
        Ok(cluster)
    }

    /// What `--cluster` takes.
    pub fn url(&self) -> String {
        format!("df://{}", self.scheduler.address)
    }

    /// Starts one more executor and waits until it is ready; gives its number.
    pub fn add_executor(&mut self) -> anyhow::Result<usize> {
        self.add_executor_by(|program| Command::new(program))
    }

    /// Starts one more executor on a disk that is as good as full: no file may be longer than so many
    /// kibibytes.
    pub fn add_executor_with_full_disk(&mut self, kibibytes: u32) -> anyhow::Result<usize> {
        self.add_executor_by(|program| {
            let mut shell = Command::new("sh");
            // Units of 512 bytes. Without the signal, writing fails as on a full disk.
            let limited = format!(
                "trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"",
                kibibytes * 2
            );
            shell.args(["-c", &limited]).arg(program);
            shell
        })
    }

    fn add_executor_by(&mut self, program: impl Fn(&Path) -> Command) -> anyhow::Result<usize> {
        let number = self.executors.len();
        let work = self.folder.path().join(format!("work-{number}"));
        let mut arguments = vec![
            format!("--scheduler={}", self.url()),
            "--bind-host=127.0.0.1".to_owned(),
            "--external-host=127.0.0.1".to_owned(),
            "--port=0".to_owned(),
            "--task-port=0".to_owned(),
            "--heartbeat-seconds=1".to_owned(),
            format!("--slots={}", self.options.slots),
            format!("--work-dir={}", work.display()),
        ];
        if let Some(limit) = &self.options.memory_limit {
            arguments.push(format!("--memory-limit={limit}"));
        }
        let log = self.folder.path().join(format!("executor-{number}.log"));
        let environment = &self.options.environment;
        let command = match &self.options.programs {
            Some((_, executor)) => program(executor),
            None => {
                arguments.insert(0, "executor".to_owned());
                program(&self.program)
            }
        };
        let tls = self.options.tls.as_ref();
        let member = Member::start(command, &arguments, environment, tls, log)?;
        member.wait_healthy(tls)?;
        self.executors.push(member);
        Ok(number)
    }

    /// Where the members keep their logs, and the results that nobody has fetched.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The scheduler.
    pub fn scheduler(&self) -> &Member {
        &self.scheduler
    }

    /// The scheduler, to be ended.
    pub fn scheduler_mut(&mut self) -> &mut Member {
        &mut self.scheduler
    }

    /// An executor, by the number that it was given.
    pub fn executor(&mut self, number: usize) -> &mut Member {
        &mut self.executors[number]
    }

    /// The executors, by number.
    pub fn executors(&self) -> &[Member] {
        &self.executors
    }
}

impl Member {
    fn start(
        mut command: Command,
        arguments: &[String],
        environment: &[(String, String)],
        tls: Option<&ClusterTls>,
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let errors = File::create(&log)?;
        let mut process = command
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .envs(tls.iter().flat_map(|tls| tls.environment()))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("{command:?} does not start"))?;
        // The first line tells where it listens.
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let Some((_, address)) = line.trim().rsplit_once(' ') else {
            let _ = process.kill();
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("{} does not listen: {log}", arguments[0]);
        };
        Ok(Self {
            process,
            address: address.to_owned(),
            log,
        })
    }

    /// Asks for its health until it serves.
    fn wait_healthy(&self, tls: Option<&ClusterTls>) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let begun = Instant::now();
        runtime.block_on(async {
            while begun.elapsed() < PATIENCE {
                if self.is_serving(tls).await.unwrap_or_default() {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            bail!("{} is not ready: {}", self.address, self.log());
        })
    }

    async fn is_serving(&self, tls: Option<&ClusterTls>) -> anyhow::Result<bool> {
        let endpoint = match tls {
            Some(tls) => Endpoint::from_shared(format!("https://{}", self.address))?
                .tls_config(tls.client()?)?,
            None => Endpoint::from_shared(format!("http://{}", self.address))?,
        };
        let mut client = HealthClient::new(endpoint.connect().await?);
        let answer = client.check(HealthCheckRequest::default()).await?;
        Ok(answer.into_inner().status() == ServingStatus::Serving)
    }

    /// Where it listens, `HOST:PORT`: the scheduler's only port, or an executor's port of results.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where an executor takes tasks, `HOST:PORT`.
    pub fn task_address(&self) -> Option<String> {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("tasks are taken"))?;
        let (_, address) = line.split_once("address=")?;
        address.split_whitespace().next().map(str::to_owned)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        Ok(kill_process(pid.context("no process")?, signal)?)
    }

    /// Ends it at once.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Waits for its end; gives whether it succeeded.
    pub fn wait(&mut self) -> anyhow::Result<bool> {
        Ok(self.process.wait()?.success())
    }

    /// The most memory that it has had, in bytes.
    pub fn peak_bytes(&self) -> Option<u64> {
        peak_bytes(self.process.id())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // One that has ended cannot be killed, which is as well.
        let _ = self.kill();
    }
}
