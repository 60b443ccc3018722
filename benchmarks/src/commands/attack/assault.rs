//! The attack: everything at once, from one tenant, again and again until it is told to stop.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use arrow_flight::sql::client::FlightSqlServiceClient;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use super::{Counts, Service, Tenant};

/// Time between two bytes of a sender that sends next to nothing.
const DRIP: Duration = Duration::from_secs(3);

/// Connections that send half of their headers.
const HALF_HEADERS: usize = 100;

/// Callers that send specs, files and passwords at the same time, of each kind.
const CALLERS: usize = 4;

const UPLOAD: usize = 0;
const HEADER: usize = 1;
const SPEC: usize = 2;
const BOMB: usize = 3;
const LOGIN: usize = 4;
const JOB: usize = 5;

/// Who attacks.
#[derive(Clone)]
struct Attacker {
    url: String,
    tenant: Tenant,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    client: reqwest::Client,
    /// Small files that unfold: one cell of 100 MB, and rows without end.
    bombs: Arc<[Vec<u8>; 2]>,
}

/// An attack that is under way.
pub(super) struct Assault {
    tasks: JoinSet<()>,
}

impl Assault {
    pub(super) fn begin(
        service: &Service,
        tenant: &Tenant,
        uploads: usize,
        (counts, stop): (&Arc<Counts>, &Arc<AtomicBool>),
    ) -> Result<Self> {
        let bombs = [
            gzipped(b"a,b\n1,", b"x", 100_000_000)?,
            gzipped(b"a,b\n", b"1,2\n", 300_000_000)?,
        ];
        let attacker = Attacker {
            url: service.url.clone(),
            tenant: tenant.clone(),
            counts: Arc::clone(counts),
            stop: Arc::clone(stop),
            client: reqwest::Client::builder()
                .timeout(Duration::from_secs(60))
                .build()?,
            bombs: Arc::new(bombs),
        };
        let mut tasks = JoinSet::new();
        for number in 0..uploads {
            let attacker = attacker.clone();
            tasks.spawn(async move { attacker.again(|| attacker.half_upload(number)).await });
        }
        for _ in 0..HALF_HEADERS {
            let attacker = attacker.clone();
            tasks.spawn(async move { attacker.again(|| attacker.half_header()).await });
        }
        for number in 0..CALLERS {
            let specs = attacker.clone();
            tasks.spawn(async move { specs.again(|| specs.spec(number)).await });
            let bombs = attacker.clone();
            tasks.spawn(async move { bombs.again(|| bombs.bomb(number)).await });
            let logins = attacker.clone();
            let flight = service.flight.clone();
            tasks.spawn(async move { logins.again(|| logins.login(&flight)).await });
        }
        Ok(Self { tasks })
    }

    /// Ends what is still under way.
    pub(super) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Attacker {
    /// Does it again and again; what fails is no reason to stop.
    async fn again<F: Future<Output = Result<()>>>(&self, once: impl Fn() -> F) {
        while !self.stop.load(Ordering::Relaxed) {
            if once().await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    async fn connect(&self) -> Result<TcpStream> {
        let address = self.url.strip_prefix("http://").context("no plain HTTP")?;
        Ok(TcpStream::connect(address).await?)
    }

    /// Sends a byte now and then until the service hangs up.
    async fn drip(&self, mut stream: TcpStream) {
        while !self.stop.load(Ordering::Relaxed) {
            tokio::time::sleep(DRIP).await;
            if stream.write_all(b"x").await.is_err() {
                return;
            }
        }
    }

    async fn half_upload(&self, number: usize) -> Result<()> {
        let begun = self
            .client
            .post(format!("{}/api/v1/uploads", self.url))
            .bearer_auth(&self.tenant.key)
            .json(&json!({"name": format!("{number}.csv")}));
        let begun: serde_json::Value = begun.send().await?.error_for_status()?.json().await?;
        let id = begun["upload_id"].as_str().context("no upload came")?;
        let mut stream = self.connect().await?;
        let head = format!(
            "PUT /api/v1/uploads/{id}/parts/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
             Content-Length: 100000000\r\n\r\na,b\n",
            self.tenant.key
        );
        stream.write_all(head.as_bytes()).await?;
        self.counts.count(UPLOAD);
        self.drip(stream).await;
        Ok(())
    }

    async fn half_header(&self) -> Result<()> {
        let mut stream = self.connect().await?;
        stream
            .write_all(b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nX-Long: ")
            .await?;
        self.counts.count(HEADER);
        self.drip(stream).await;
        Ok(())
    }

    /// Sends a spec that is nested deeply, or repeats a long text.
    async fn spec(&self, number: usize) -> Result<()> {
        let deep = format!("x: {}", "[".repeat(20_000 + number));
        let repeated = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(200_000),
            "*a,".repeat(20_000)
        );
        let short = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(30_000),
            "*a,".repeat(11_000)
        );
        for spec in [deep, repeated, short] {
            let file = reqwest::multipart::Part::text("a,b\n1,2\n").file_name("a.csv");
            let form = reqwest::multipart::Form::new().part("file", file);
            self.submit(form.text("spec", spec)).await?;
            self.counts.count(SPEC);
        }
        let json = format!("{}1", "{\"a\":".repeat(150_000));
        let put = self
            .client
            .put(format!("{}/api/v1/rules/deep", self.url))
            .bearer_auth(&self.tenant.key)
            .header("content-type", "application/json")
            .body(json);
        put.send().await?;
        self.counts.count(SPEC);
        Ok(())
    }

    /// Sends a small file that unfolds to a large one.
    async fn bomb(&self, number: usize) -> Result<()> {
        let content = self.bombs[number % 2].clone();
        let file = reqwest::multipart::Part::bytes(content).file_name("bomb.csv.gz");
        let status = self
            .submit(reqwest::multipart::Form::new().part("file", file))
            .await?;
        self.counts.count(BOMB);
        if status.is_success() {
            self.counts.count(JOB);
        }
        Ok(())
    }

    async fn submit(&self, form: reqwest::multipart::Form) -> Result<reqwest::StatusCode> {
        let url = format!("{}/api/v1/datasets/{}/ingest", self.url, self.tenant.name);
        let request = self.client.post(url).bearer_auth(&self.tenant.key);
        Ok(request.multipart(form).send().await?.status())
    }

    async fn login(&self, flight: &str) -> Result<()> {
        let channel = Endpoint::from_shared(flight.to_owned())?.connect().await?;
        let mut client = FlightSqlServiceClient::new(channel);
        // It is wrong; that takes the service as long as a right one.
        let refused = client.handshake("nobody", "a wrong password").await;
        self.counts.count(LOGIN);
        anyhow::ensure!(refused.is_err(), "a wrong password is right");
        Ok(())
    }
}

/// A head and so many bytes of the same thing, compressed.
fn gzipped(head: &[u8], repeated: &[u8], bytes: usize) -> Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(head)?;
    let block = repeated.repeat(1 << 18);
    let mut left = bytes;
    while left > 0 {
        let count = left.min(block.len());
        out.write_all(&block[..count])?;
        left -= count;
    }
    Ok(out.finish()?)
}
