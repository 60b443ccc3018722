//! Connections to other executors, kept for the next task. Ballista has such a pool too, for its own engine only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ballista_core::client::BallistaClient;
use ballista_core::client_pool::{BallistaClientPool, PooledClient};
use ballista_core::error::Result;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::utils::GrpcClientConfig;
use planner::cluster::MemberTls;

/// Time for which a connection that nobody uses is kept.
const KEPT: Duration = Duration::from_secs(30);

type Address = (String, u16, GrpcClientConfig);
type Idle = Arc<Mutex<HashMap<Address, Vec<(Instant, BallistaClient)>>>>;

/// Connections that nobody uses, by address.
pub(crate) struct ConnectionPool {
    idle: Idle,
    secured: Option<Arc<BallistaConfigGrpcEndpoint>>,
}

impl std::fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ConnectionPool").finish()
    }
}

impl ConnectionPool {
    /// Makes connections with `tls`, or in the clear without it.
    pub(crate) fn new(tls: Option<&MemberTls>) -> Self {
        let secured = tls.map(|tls| BallistaConfigGrpcEndpoint::new(tls.secured_endpoints()));
        Self {
            idle: Idle::default(),
            secured: secured.map(Arc::new),
        }
    }

    /// The connection that was used last, of those that are not too old; those that are, of all addresses, go.
    fn idle(&self, address: &Address) -> Option<BallistaClient> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|_, clients| {
            clients.retain(|(since, _)| since.elapsed() < KEPT);
            !clients.is_empty()
        });
        let (_, client) = idle.get_mut(address)?.pop()?;
        Some(client)
    }
}

#[async_trait]
impl BallistaClientPool for ConnectionPool {
    async fn acquire(
        &self,
        host: &str,
        port: u16,
        config: &GrpcClientConfig,
        // The settings of a task do not decide how members connect.
        _: Option<Arc<BallistaConfigGrpcEndpoint>>,
    ) -> Result<PooledClient> {
        let address = (host.to_owned(), port, config.clone());
        let client = match self.idle(&address) {
            Some(client) => client,
            None => {
                BallistaClient::try_new(
                    host,
                    port,
                    config.max_message_size,
                    false,
                    self.secured.clone(),
                    config.io_retries_times,
                    config.io_retry_wait_time_ms,
                    config.initial_connection_window_size,
                    config.initial_stream_window_size,
                )
                .await?
            }
        };
        let idle = Arc::clone(&self.idle);
        let give_back = move |client| {
            let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
            let clients = idle.entry(address).or_default();
            clients.push((Instant::now(), client));
        };
        Ok(PooledClient::new(client, Box::new(give_back)))
    }

    async fn evict_idle(&self) {
        // Each new connection sees to it.
    }
}
