//! The certificates of a member of a cluster on the command line.

use std::path::PathBuf;

use clap::Args;
use planner::cluster::{ClusterAddress, MemberTls};
use serde::Serialize;

use crate::ending::UsageError;

/// Where the certificates of this member of a cluster lie.
#[derive(Debug, Default, Clone, Args, Serialize)]
pub struct ClusterTlsArguments {
    /// Certificate of this member of the cluster, and those up to its authority (PEM). With it, all connections between
    /// members use mutual TLS
    #[arg(long, value_name = "FILE", env = "SANITIZER_CLUSTER_CERT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_cert: Option<PathBuf>,
    /// Private key of --cluster-cert (PEM)
    #[arg(long, value_name = "FILE", env = "SANITIZER_CLUSTER_KEY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_key: Option<PathBuf>,
    /// Certificates of the authorities of the cluster's members (PEM)
    #[arg(long, value_name = "FILE", env = "SANITIZER_CLUSTER_CA")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_ca: Option<PathBuf>,
    /// DNS name that the certificates of all members carry [default: data-sanitizer-cluster]
    #[arg(long, value_name = "NAME", env = "SANITIZER_CLUSTER_NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
}

impl ClusterTlsArguments {
    /// Reads the certificates, if they are set, for connections to `cluster`.
    ///
    /// # Errors
    ///
    /// Fails when only some of the files are set, or when they cannot be used.
    pub fn secure(
        &self,
        cluster: Option<ClusterAddress>,
    ) -> anyhow::Result<Option<ClusterAddress>> {
        let Some(cluster) = cluster else {
            return Ok(None);
        };
        let tls = MemberTls::of_settings(
            self.cluster_cert.as_ref(),
            self.cluster_key.as_ref(),
            self.cluster_ca.as_ref(),
            self.cluster_name.as_ref(),
        );
        let tls = tls.map_err(|error| UsageError(error.to_string()))?;
        Ok(Some(cluster.with_tls(tls)))
    }
}
