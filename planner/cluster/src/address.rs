//! Where a cluster is.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::MemberTls;

/// Port of a scheduler whose address names none.
const DEFAULT_PORT: u16 = 50050;

/// The address of a cluster's scheduler: `df://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterAddress {
    host: String,
    port: u16,
    tls: Option<MemberTls>,
}

impl ClusterAddress {
    /// The scheduler's host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The scheduler's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes connections to the cluster with mutual TLS, or in the clear without it.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<MemberTls>) -> Self {
        self.tls = tls;
        self
    }

    /// Returns the certificates with which members are connected to, if the cluster uses TLS.
    pub fn tls(&self) -> Option<&MemberTls> {
        self.tls.as_ref()
    }

    /// Address of the scheduler's gRPC service.
    pub fn endpoint(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }
}

impl FromStr for ClusterAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected df://HOST:PORT, found {text:?}");
        let url = Url::parse(text).map_err(|_| wrong())?;
        let plain = matches!(url.path(), "" | "/")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if url.scheme() != "df" || !plain {
            return Err(wrong());
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        Ok(Self {
            host: host.ok_or_else(wrong)?.to_owned(),
            port: url.port().unwrap_or(DEFAULT_PORT),
            tls: None,
        })
    }
}

impl fmt::Display for ClusterAddress {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "df://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host, a port or none, and nothing else.
    #[test]
    fn addresses() {
        let read = |text: &str| {
            text.parse::<ClusterAddress>()
                .map(|address| address.to_string())
        };
        for (text, address) in [
            ("df://localhost:50050", "df://localhost:50050"),
            ("df://10.0.0.1", "df://10.0.0.1:50050"),
            ("df://[::1]:7/", "df://[::1]:7"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(address));
        }
        for text in [
            "localhost:50050",
            "http://a:1",
            "df://",
            "df://a:1/x",
            "df://u:p@a",
            "",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
