//! The service of one machine: jobs over REST, and Flight SQL, for those who are let in.

mod arguments;
mod options;

use std::sync::Arc;

use planner::telemetry::Role;
use rustix::fs::Mode;
use rustix::process::umask;
use scheduler::{Service, TlsFiles};
use sql::{Engine, FlightServer};
use tokio::sync::watch;
use tracing::warn;

pub use self::arguments::ServeArguments;
pub use self::options::ServeOptions;
use crate::api::{self, ApiSettings};
use crate::scrape::{self, Refresh};
use crate::settings::{asked_to_stop, runtime, say, settings};

/// Runs the service until it is interrupted or terminated.
pub fn serve(arguments: &ServeArguments) -> anyhow::Result<()> {
    let options: ServeOptions =
        settings(arguments.config.as_deref(), "SANITIZER_SERVE_", arguments)?;
    // Whatever the service writes is its own: files of mode 0600, folders of mode 0700.
    umask(Mode::RWXG | Mode::RWXO);
    let mut engine = options.engine(arguments)?;
    let flight = options.flight()?;
    let tls = flight.tls.as_ref().map(|files| TlsFiles {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
    });
    let home = engine.home.clone();
    let service = ApiSettings::load(arguments.config.as_deref(), &arguments.api)?;
    let mut service = service.service(&home, engine.cluster.clone(), tls)?;
    service.statements = options.roots();
    service.closed.extend(arguments.config.clone());
    engine.closed = service.kept();
    // Jobs and statements name the same secrets.
    engine.secrets = Some(service.secrets.allowed.clone());
    runtime()?.block_on(async {
        let open = flight.tls.is_none() && !flight.address.ip().is_loopback();
        let engine = Engine::open(engine).await?;
        let stop = asked_to_stop()?;
        let nobody = engine.users().list().await?.is_empty();
        let server = FlightServer::bind(engine, flight).await?;
        let service = Service::bind(service).await?;
        say(&format!("Flight SQL listens on {}", server.address()));
        if open {
            warn!("passwords and rows travel in the clear; set tls_cert and tls_key");
        }
        if nobody {
            warn!("nobody can come in over Flight SQL yet; see: sanitizer users add --help");
        }
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

/// Ready when the service is to end.
async fn until(mut ended: watch::Receiver<bool>) {
    // Nobody tells any more when the sender is gone.
    let _ = ended.wait_for(|ended| *ended).await;
}
