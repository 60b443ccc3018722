//! The service: Flight SQL for those who are let in.

mod arguments;
mod options;

use sql::{Engine, FlightServer};
use tracing::warn;

pub use self::arguments::ServeArguments;
pub use self::options::ServeOptions;
use crate::settings::{asked_to_stop, runtime, settings};

/// Runs the service until it is interrupted or terminated.
pub fn serve(arguments: &ServeArguments) -> anyhow::Result<()> {
    let options: ServeOptions =
        settings(arguments.config.as_deref(), "SANITIZER_SERVE_", arguments)?;
    let engine = options.engine(arguments)?;
    let flight = options.flight()?;
    runtime()?.block_on(async {
        let open = flight.tls.is_none() && !flight.address.ip().is_loopback();
        let engine = Engine::open(engine).await?;
        let stop = asked_to_stop()?;
        let nobody = engine.users().list().await?.is_empty();
        let server = FlightServer::bind(engine, flight).await?;
        println!("Flight SQL listens on {}", server.address());
        if open {
            warn!("passwords and rows travel in the clear; set tls_cert and tls_key");
        }
        if nobody {
            warn!("nobody can come in yet; see: sanitizer users add --help");
        }
        Ok(server.serve(stop).await?)
    })
}
