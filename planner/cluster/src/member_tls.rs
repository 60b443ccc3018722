//! Mutual TLS between the members of a cluster: scheduler, executors and drivers.
//!
//! Every member has a certificate of the cluster's authority that carries the cluster's name as a DNS name. Both sides of
//! a connection verify the other's chain, validity and name. Host names and addresses are not verified: executors come
//! and go under addresses that nobody knows beforehand, and each member is trusted alike.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::{Resumption, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// DNS name that the certificates of a cluster's members carry, unless another one is set.
pub const DEFAULT_CLUSTER_NAME: &str = "data-sanitizer-cluster";

/// Least time between two looks at the files. Connections made in between use what was read last.
const FRESH: Duration = Duration::from_secs(1);

/// Protocols that members speak over TLS.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where a member's certificates lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberTlsFiles {
    /// Certificate of the member, and those up to its authority, in PEM.
    pub certificate: PathBuf,
    /// Private key of the certificate, in PEM.
    pub key: PathBuf,
    /// Certificates of the authorities that members' certificates come from, in PEM.
    pub authority: PathBuf,
    /// DNS name that members' certificates carry.
    pub name: String,
}

/// What is wrong with the settings of TLS between members.
#[derive(Debug, thiserror::Error)]
pub enum MemberTlsError {
    /// Some of the three files are set, but not all.
    #[error("cluster_cert, cluster_key and cluster_ca belong together: set all of them or none")]
    Incomplete,
    /// The name is not a DNS name.
    #[error("cluster_name: {0:?} is not a DNS name")]
    Name(String),
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A file holds no certificate or key.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Certificate, key and authority do not make a valid configuration.
    #[error("the certificates of the cluster cannot be used: {0}")]
    Unusable(String),
}

impl MemberTlsFiles {
    /// Combines optional settings.
    ///
    /// # Errors
    ///
    /// Fails when only some of the three files are set.
    pub fn new(
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
        authority: Option<PathBuf>,
        name: Option<String>,
    ) -> Result<Option<Self>, MemberTlsError> {
        match (certificate, key, authority) {
            (Some(certificate), Some(key), Some(authority)) => Ok(Some(Self {
                certificate,
                key,
                authority,
                name: name.unwrap_or_else(|| DEFAULT_CLUSTER_NAME.to_owned()),
            })),
            (None, None, None) => Ok(None),
            _ => Err(MemberTlsError::Incomplete),
        }
    }
}

/// The certificates of a member. They are read again when their files change; new connections use the new ones.
#[derive(Clone)]
pub struct MemberTls(Arc<Files>);

struct Files {
    files: MemberTlsFiles,
    name: ServerName<'static>,
    current: Mutex<Current>,
}

struct Current {
    looked: Instant,
    contents: Contents,
    material: Material,
}

/// The bytes of the three files: certificate, key, authority.
#[derive(PartialEq, Eq)]
struct Contents([Vec<u8>; 3]);

#[derive(Clone)]
struct Material {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    channel: ClientTlsConfig,
}

impl MemberTls {
    /// Reads the files that settings name, if they do; see [`MemberTlsFiles::new`].
    ///
    /// # Errors
    ///
    /// Fails when only some of the files are set, or when they cannot be used.
    pub fn of_settings(
        certificate: Option<&PathBuf>,
        key: Option<&PathBuf>,
        authority: Option<&PathBuf>,
        name: Option<&String>,
    ) -> Result<Option<Self>, MemberTlsError> {
        let files = MemberTlsFiles::new(
            certificate.cloned(),
            key.cloned(),
            authority.cloned(),
            name.cloned(),
        )?;
        files.map(Self::load).transpose()
    }

    /// Returns the files that it is read from: certificate, key, authority.
    pub fn paths(&self) -> [PathBuf; 3] {
        let files = &self.0.files;
        [&files.certificate, &files.key, &files.authority].map(Clone::clone)
    }

    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Fails when a file cannot be read or its content cannot be used.
    pub fn load(files: MemberTlsFiles) -> Result<Self, MemberTlsError> {
        let name = ServerName::try_from(files.name.clone());
        let name = name.map_err(|_| MemberTlsError::Name(files.name.clone()))?;
        if !matches!(name, ServerName::DnsName(_)) {
            return Err(MemberTlsError::Name(files.name));
        }
        let contents = Contents::read(&files)?;
        let material = contents.material(&files, &name)?;
        Ok(Self(Arc::new(Files {
            files,
            name,
            current: Mutex::new(Current {
                looked: Instant::now(),
                contents,
                material,
            }),
        })))
    }

    /// Returns the configuration for connections that this member makes.
    pub(super) fn client(&self) -> Arc<ClientConfig> {
        self.material().client
    }

    /// Returns the configuration for connections that this member accepts.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        self.material().server
    }

    /// Returns the configuration of tonic's own connector, for clients that take no other one.
    pub(super) fn channel(&self) -> ClientTlsConfig {
        self.material().channel
    }

    /// Returns the name that the other side must prove.
    pub(super) fn name(&self) -> ServerName<'static> {
        self.0.name.clone()
    }

    /// Returns what the files hold now. Files that cannot be used, such as half of a replacement, leave what was read
    /// before in use.
    fn material(&self) -> Material {
        let current = &self.0.current;
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() < FRESH {
            return current.material.clone();
        }
        current.looked = Instant::now();
        let read = Contents::read(&self.0.files).and_then(|contents| {
            if contents == current.contents {
                return Ok(None);
            }
            let material = contents.material(&self.0.files, &self.0.name)?;
            Ok(Some((contents, material)))
        });
        match read {
            Ok(None) => {}
            Ok(Some((contents, material))) => {
                tracing::info!("the certificates of the cluster have changed and were read again");
                current.contents = contents;
                current.material = material;
            }
            Err(error) => {
                tracing::warn!(%error, "failed to read the certificates of the cluster again");
            }
        }
        current.material.clone()
    }
}

impl PartialEq for MemberTls {
    fn eq(&self, other: &Self) -> bool {
        self.0.files == other.0.files
    }
}

impl Eq for MemberTls {}

impl fmt::Debug for MemberTls {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_tuple("MemberTls").field(&self.0.files).finish()
    }
}

impl Contents {
    fn read(files: &MemberTlsFiles) -> Result<Self, MemberTlsError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| MemberTlsError::Read {
                path: path.clone(),
                source,
            })
        };
        Ok(Self([
            read(&files.certificate)?,
            read(&files.key)?,
            read(&files.authority)?,
        ]))
    }

    fn material(
        &self,
        files: &MemberTlsFiles,
        name: &ServerName<'static>,
    ) -> Result<Material, MemberTlsError> {
        let Self([certificate, key, authority]) = self;
        let unusable = |error: &dyn fmt::Display| MemberTlsError::Unusable(error.to_string());
        let chain = certificates(&files.certificate, certificate)?;
        let secret =
            PrivateKeyDer::from_pem_slice(key).map_err(|error| MemberTlsError::Content {
                path: files.key.clone(),
                problem: format!("holds no private key: {error}"),
            })?;
        let mut roots = RootCertStore::empty();
        for root in certificates(&files.authority, authority)? {
            roots.add(root).map_err(|error| unusable(&error))?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let verifier = Arc::new(NamedMember {
            chain: verifier.build().map_err(|error| unusable(&error))?,
            name: name.clone(),
        });
        let protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let mut server = server
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| unusable(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), secret.clone_key())
            .map_err(|error| unusable(&error))?;
        server.alpn_protocols.clone_from(&protocols);
        // A resumed session would not verify the certificate again.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let client = ClientConfig::builder_with_provider(provider);
        let mut client = client
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| unusable(&error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, secret)
            .map_err(|error| unusable(&error))?;
        client.alpn_protocols = vec![PROTOCOLS[0].to_vec()];
        client.resumption = Resumption::disabled();
        let channel = ClientTlsConfig::new()
            .domain_name(files.name.clone())
            .ca_certificate(Certificate::from_pem(authority))
            .identity(Identity::from_pem(certificate, key));
        Ok(Material {
            client: Arc::new(client),
            server: Arc::new(server),
            channel,
        })
    }
}

/// Returns the certificates of a file; there is one at least.
fn certificates(
    path: &std::path::Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, MemberTlsError> {
    let wrong = |problem: String| MemberTlsError::Content {
        path: path.to_owned(),
        problem,
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| wrong(format!("is not in PEM: {error}")))?;
    if found.is_empty() {
        return Err(wrong("holds no certificate".to_owned()));
    }
    Ok(found)
}

/// Verifies that a client's certificate comes from the cluster's authority and carries the cluster's name.
#[derive(Debug)]
struct NamedMember {
    chain: Arc<dyn ClientCertVerifier>,
    name: ServerName<'static>,
}

impl ClientCertVerifier for NamedMember {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self
            .chain
            .verify_client_cert(end_entity, intermediates, now)?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, &self.name)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
