//! The service of one machine: jobs over REST, and Flight SQL where it is asked for.

mod arguments;
mod audit;
mod options;

use std::sync::Arc;

use cli_process::runtime::{asked_to_stop, runtime};
use cli_process::scrape::{self, Refresh};
use cli_process::{say, settings};
use planner::telemetry::Role;
use rustix::fs::Mode;
use rustix::process::umask;
use scheduler::{Service, TlsFiles};
use scheduler_daemon::api::{self, ApiSettings};
use sql::{Engine, EngineOptions, FlightOptions, FlightServer};
use tokio::sync::watch;
use tracing::warn;

pub(crate) use self::arguments::ServeArguments;
use self::audit::ServiceAudit;
use self::options::ServeOptions;

/// Runs the service until it is interrupted or terminated.
pub(crate) fn serve(arguments: &ServeArguments) -> anyhow::Result<()> {
    let options: ServeOptions =
        settings(arguments.config.as_deref(), "SANITIZER_SERVE_", arguments)?;
    // Whatever the service writes is its own: files of mode 0600, folders of mode 0700.
    umask(Mode::RWXG | Mode::RWXO);
    let mut engine = options.engine(arguments)?;
    let tls = options.tls()?;
    let flight = options.flight(tls.clone());
    let tls = tls.map(|files| TlsFiles {
        certificate: files.certificate,
        key: files.key,
    });
    let home = engine.home.clone();
    let service = ApiSettings::load(arguments.config.as_deref(), &arguments.api)?;
    let mut service = service.service(&home, engine.cluster.clone(), tls)?;
    service.statements = options.roots();
    service.closed.extend(arguments.config.clone());
    service.closed.extend(options.certificates());
    engine.closed = service.kept();
    // Jobs and statements name the same secrets.
    engine.secrets = Some(service.secrets.allowed.clone());
    runtime()?.block_on(async {
        let stop = asked_to_stop()?;
        let service = Service::bind(service).await?;
        let server = match flight {
            Some(flight) => Some(start_flight(&service, engine, flight).await?),
            None => None,
        };
        let figures = service.figures();
        let refresh: Refresh = Arc::new(move || {
            let figures = figures.clone();
            Box::pin(async move { figures.refresh().await })
        });
        scrape::listen(&arguments.scrape, Role::Service, refresh).await?;
        api::announce(&service, Some(&home)).await?;
        // Both end when the program is asked to, and when either fails.
        let (ending, ended) = watch::channel(false);
        let asked = async {
            tokio::select! {
                () = stop => {}
                () = until(ended.clone()) => {}
            }
            ending.send_replace(true);
        };
        let flight = async {
            let Some(server) = server else { return Ok(()) };
            let served = server.serve(until(ended.clone())).await;
            ending.send_replace(true);
            served
        };
        let rest = async {
            let served = service.serve(until(ended.clone())).await;
            ending.send_replace(true);
            served
        };
        let (flight, rest, ()) = tokio::join!(flight, rest, asked);
        flight?;
        Ok(rest?)
    })
}

/// Starts Flight SQL, whose audit log is that of the service.
async fn start_flight(
    service: &Service,
    engine: EngineOptions,
    mut flight: FlightOptions,
) -> anyhow::Result<FlightServer> {
    let open = flight.tls.is_none() && !flight.address.ip().is_loopback();
    let engine = Engine::open(engine).await?;
    let nobody = engine.users().list().await?.is_empty();
    flight.audit = Some(Arc::new(ServiceAudit::new(service.metadata().clone())));
    let server = FlightServer::bind(engine, flight).await?;
    say(&format!("Flight SQL listens on {}", server.address()));
    if open {
        warn!("Flight SQL is not encrypted: set tls_cert and tls_key");
    }
    if nobody {
        warn!("Flight SQL has no users yet; see: sanitizer users add --help");
    }
    Ok(server)
}

/// Ready when the service is to end.
async fn until(mut ended: watch::Receiver<bool>) {
    // Nobody tells any more when the sender is gone.
    let _ = ended.wait_for(|ended| *ended).await;
}
