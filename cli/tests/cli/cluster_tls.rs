//! Members of a cluster prove who they are, in both directions, on every port; nobody else is served.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use benchmarks_harness::{ClusterOptions, ClusterTls, LocalCluster};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use reqwest::{Certificate, Identity, StatusCode};

use super::output::content;
use super::sandbox::Sandbox;

/// Name that members' certificates carry.
const NAME: &str = "data-sanitizer-cluster";

/// Time after which a member has looked at its files again.
const LOOKED_AGAIN: Duration = Duration::from_millis(1_200);

/// An authority of certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// Whether a certificate is valid at all times, or was once.
#[derive(Clone, Copy, PartialEq)]
enum Validity {
    Now,
    Over,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Writes the files of a member into a folder: a new certificate, its key, and the authority's.
    fn issue(&self, folder: &Path, name: &str, validity: Validity) -> ClusterTls {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        if validity == Validity::Over {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        std::fs::create_dir_all(folder).unwrap();
        let write = |name: &str, text: String| -> PathBuf {
            // As tools do that replace certificates: nobody reads half a file.
            let (path, new) = (folder.join(name), folder.join(format!("{name}.new")));
            std::fs::write(&new, text).unwrap();
            std::fs::rename(&new, &path).unwrap();
            path
        };
        ClusterTls {
            certificate: write("tls.crt", certificate.pem()),
            key: write("tls.key", key.serialize_pem()),
            authority: write("ca.crt", AsRef::<rcgen::Certificate>::as_ref(&self.0).pem()),
        }
    }
}

/// Asks a port over HTTP/2 and TLS, as a client that proves to be what the files say and trusts their authority.
fn asked(
    address: &str,
    path: &str,
    trusted: &ClusterTls,
    own: Option<&ClusterTls>,
) -> Result<StatusCode, String> {
    let address: std::net::SocketAddr = address.parse().unwrap();
    let read = |path: &Path| std::fs::read(path).unwrap();
    let root = Certificate::from_pem(&read(&trusted.authority)).unwrap();
    let mut client = reqwest::Client::builder()
        .use_rustls_tls()
        .tls_built_in_root_certs(false)
        .add_root_certificate(root)
        .resolve(NAME, address)
        .timeout(Duration::from_secs(10));
    if let Some(own) = own {
        let pem = [read(&own.certificate), read(&own.key)].concat();
        client = client.identity(Identity::from_pem(&pem).unwrap());
    }
    let url = format!("https://{NAME}:{}{path}", address.port());
    get(&client.build().unwrap(), &url)
}

/// Asks; gives the status of the answer.
fn get(client: &reqwest::Client, url: &str) -> Result<StatusCode, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // A request looks for the runtime when it is made.
    runtime.block_on(async {
        let asked = client.get(url).timeout(Duration::from_secs(10)).send();
        let answer = asked.await.map_err(|error| format!("{error:?}"))?;
        Ok(answer.status())
    })
}

/// All ports of a cluster.
fn ports(cluster: &LocalCluster) -> Vec<String> {
    let mut ports = vec![cluster.scheduler().address().to_owned()];
    for executor in cluster.executors() {
        ports.push(executor.address().to_owned());
        ports.push(executor.task_address().unwrap());
    }
    ports
}

/// The program, as a member with these certificates.
fn member(sandbox: &Sandbox, arguments: &[&str], tls: Option<&ClusterTls>) -> Command {
    let mut command = sandbox.command(arguments);
    command.envs(tls.iter().flat_map(|tls| tls.environment()));
    command
}

fn succeeded(output: &Output) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}

/// Arguments that run the standard job, on the cluster if there is one.
fn job(cluster: Option<&str>) -> Vec<&str> {
    let mut arguments = vec!["run", "job.yaml", "--job-id", "job-1"];
    arguments.extend(["--set", "output.rows_per_file=8192"]);
    arguments.extend(cluster.iter().flat_map(|url| ["--cluster", url]));
    arguments
}

/// A name for a stranger, and what it would prove.
type Stranger = (&'static str, ClusterTls);

/// Every port serves a member, and nobody else.
fn no_port_serves(strangers: &[Stranger], cluster: &LocalCluster, tls: &ClusterTls) {
    for port in ports(cluster) {
        asked(&port, "/healthz", tls, Some(tls)).unwrap();
        let refused = asked(&port, "/healthz", tls, None);
        assert!(refused.is_err(), "{port}: nobody: {refused:?}");
        for (who, stranger) in strangers {
            let refused = asked(&port, "/healthz", tls, Some(stranger));
            assert!(refused.is_err(), "{port}: {who}: {refused:?}");
        }
        // A member would not talk to a server of another authority.
        let refused = asked(&port, "/healthz", &strangers[0].1, Some(tls));
        assert!(refused.is_err(), "{port}: {refused:?}");
        // Nor is there anything in the clear.
        let http1 = reqwest::Client::builder();
        let http2 = reqwest::Client::builder().http2_prior_knowledge();
        for plain in [http1, http2] {
            let answer = get(&plain.build().unwrap(), &format!("http://{port}/healthz"));
            assert!(answer.is_err(), "{port}: {answer:?}");
        }
    }
}

/// A driver or an executor that is no member gets nothing done, and says so.
fn no_member_without_certificate(strangers: &[Stranger], sandbox: &Sandbox, url: &str) {
    let mut drivers: Vec<(&str, Option<&ClusterTls>)> = vec![("nobody", None)];
    drivers.extend(strangers.iter().map(|(who, tls)| (*who, Some(tls))));
    for (who, tls) in drivers {
        std::fs::remove_dir_all(sandbox.path("out")).ok();
        let output = member(sandbox, &job(Some(url)), tls).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{who}: {error}");
        assert!(error.contains("does not answer"), "{who}: {error}");
        assert!(!sandbox.path("out").exists(), "{who}: {error}");
        let executor = format!("--scheduler={url}");
        let executor = [
            "executor",
            &executor,
            "--port=0",
            "--task-port=0",
            "--connect-seconds=1",
        ];
        let output = member(sandbox, &executor, tls).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{who}: {error}");
    }
}

/// A job on members with certificates gives the bytes of one process, and SQL works there too. Whoever has no certificate,
/// one of another authority, one with another name, or one that is over, is served on no port, and serves no member.
#[test]
fn m10_members_prove_who_they_are() {
    let sandbox = Sandbox::with_customers(30_000);
    let (own, other) = (Authority::new(), Authority::new());
    let tls = own.issue(&sandbox.path("tls"), NAME, Validity::Now);
    let cluster = sandbox.cluster(ClusterOptions {
        tls: Some(tls.clone()),
        ..ClusterOptions::default()
    });
    let url = cluster.url();

    sandbox.succeed(&job(None));
    let here = content(&sandbox.path("out"));
    succeeded(
        &member(&sandbox, &job(Some(&url)), Some(&tls))
            .output()
            .unwrap(),
    );
    assert_eq!(content(&sandbox.path("out")), here);
    for executor in cluster.executors() {
        assert!(executor.log().contains("Finished task"), "all took part");
    }
    let count = "SELECT count(*) AS n FROM 'customers.csv' WHERE email LIKE '%@%'";
    let here = sandbox.succeed(&["sql", count, "--format", "csv"]);
    let output = member(
        &sandbox,
        &["sql", count, "--format", "csv", "--cluster", &url],
        Some(&tls),
    )
    .output()
    .unwrap();
    succeeded(&output);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), here);

    let strangers = [
        (
            "another authority",
            other.issue(&sandbox.path("other"), NAME, Validity::Now),
        ),
        (
            "another name",
            own.issue(&sandbox.path("named"), "web.example.com", Validity::Now),
        ),
        (
            "over",
            own.issue(&sandbox.path("over"), NAME, Validity::Over),
        ),
    ];
    no_port_serves(&strangers, &cluster, &tls);
    no_member_without_certificate(&strangers, &sandbox, &url);
    let joined = cluster
        .scheduler()
        .log()
        .matches("an executor has joined")
        .count();
    assert_eq!(joined, 2, "{}", cluster.scheduler().log());
}

/// Certificates that are replaced, by those of another authority even, are used for new connections without a restart;
/// one that is over is no longer trusted.
#[test]
fn m10_certificates_are_replaced_while_members_run() {
    let sandbox = Sandbox::with_customers(20_000);
    let (first, second) = (Authority::new(), Authority::new());
    let folder = sandbox.path("tls");
    let tls = first.issue(&folder, NAME, Validity::Now);
    let before = first.issue(&sandbox.path("before"), NAME, Validity::Now);
    let after = second.issue(&sandbox.path("after"), NAME, Validity::Now);
    let cluster = sandbox.cluster(ClusterOptions {
        tls: Some(tls.clone()),
        ..ClusterOptions::default()
    });
    let ports = ports(&cluster);
    let looked = |trusted: &ClusterTls, served: bool| {
        std::thread::sleep(LOOKED_AGAIN);
        for port in &ports {
            let answer = asked(port, "/healthz", trusted, Some(trusted));
            assert_eq!(answer.is_ok(), served, "{port}: {answer:?}");
        }
    };
    looked(&before, true);
    looked(&after, false);

    second.issue(&folder, NAME, Validity::Now);
    looked(&after, true);
    looked(&before, false);
    sandbox.succeed(&job(None));
    let here = content(&sandbox.path("out"));
    let url = cluster.url();
    succeeded(
        &member(&sandbox, &job(Some(&url)), Some(&after))
            .output()
            .unwrap(),
    );
    assert_eq!(content(&sandbox.path("out")), here);

    second.issue(&folder, NAME, Validity::Over);
    looked(&after, false);
    // Half of a replacement changes nothing; the other half does.
    let certificate = std::fs::read(&tls.certificate).unwrap();
    second.issue(&folder, NAME, Validity::Now);
    let valid = std::fs::read(&tls.certificate).unwrap();
    std::fs::write(&tls.certificate, certificate).unwrap();
    looked(&after, false);
    std::fs::write(&tls.certificate, valid).unwrap();
    looked(&after, true);
}

/// Ballista's REST API answers nobody: not in the clear on loopback, and no member either.
#[test]
fn m10_ballistas_rest_answers_nobody() {
    let sandbox = Sandbox::new();
    let tls = Authority::new().issue(&sandbox.path("tls"), NAME, Validity::Now);
    let paths = [
        "/api/jobs",
        "/api/state",
        "/api/executors",
        "/api/version",
        "/api/metrics",
        "/api/openapi.json",
        "/api/job/x",
        "/api/job/x/stages",
        "/api/job/x/config",
        "/api/job/x/dot",
        "/",
    ];
    let options = |tls| ClusterOptions {
        executors: 0,
        tls,
        ..ClusterOptions::default()
    };
    let plain = sandbox.cluster(options(None));
    let in_the_clear = |path: &str| {
        let url = format!("http://{}{path}", plain.scheduler().address());
        get(&reqwest::Client::new(), &url)
    };
    assert_eq!(in_the_clear("/healthz"), Ok(StatusCode::OK));
    assert_eq!(in_the_clear("/readyz"), Ok(StatusCode::SERVICE_UNAVAILABLE));
    let secured = sandbox.cluster(options(Some(tls.clone())));
    let port = secured.scheduler().address();
    for path in paths {
        assert_eq!(in_the_clear(path), Ok(StatusCode::NOT_FOUND), "{path}");
        let answer = asked(port, path, &tls, Some(&tls));
        assert_eq!(answer, Ok(StatusCode::NOT_FOUND), "{path}");
    }
}

/// Members listen on loopback unless they are told otherwise, and beyond it only with certificates, or when the operator
/// says that the network is closed.
#[test]
fn m10_nothing_is_open_by_itself() {
    assert!(
        scheduler::ballista::SchedulerOptions::default()
            .bind
            .ip()
            .is_loopback()
    );
    assert!(executor::ExecutorOptions::default().bind_host.is_loopback());
    let sandbox = Sandbox::new();
    let tls = Authority::new().issue(&sandbox.path("tls"), NAME, Validity::Now);
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nowhere = format!("--scheduler=df://{free}");
    let scheduler = ["scheduler", "--bind=0.0.0.0:0"];
    let executor = [
        "executor",
        "--bind-host=0.0.0.0",
        "--port=0",
        "--task-port=0",
        &nowhere,
    ];
    for arguments in [&scheduler[..], &executor[..]] {
        let output = sandbox.run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("insecure_cluster_network"), "{error}");
        for (more, tls, warned) in [
            (&["--insecure-cluster-network"][..], None, true),
            (&[][..], Some(&tls), false),
        ] {
            let mut command = member(&sandbox, &[arguments, more].concat(), tls);
            let log = sandbox.path("log");
            command.stdout(Stdio::null());
            command.stderr(std::fs::File::create(&log).unwrap());
            let mut process = command.spawn().unwrap();
            let begun = Instant::now();
            let read = || std::fs::read_to_string(&log).unwrap();
            // It goes on until it is ended.
            while begun.elapsed() < Duration::from_millis(1_500)
                && process.try_wait().unwrap().is_none()
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            assert!(process.try_wait().unwrap().is_none(), "{}", read());
            process.kill().unwrap();
            process.wait().unwrap();
            assert_eq!(read().contains("without TLS"), warned, "{}", read());
        }
    }
    // Two of three files are a mistake, not half a security.
    let mut command = sandbox.command(&scheduler);
    let output = command
        .envs(tls.environment().into_iter().take(2))
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("belong together"), "{error}");
}
