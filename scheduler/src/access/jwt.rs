//! JSON Web Tokens of an identity provider (RFC 7519), whose keys a JWKS document holds (RFC 7517).
//!
//! Only signatures of asymmetric keys count, and only with the algorithm of the key: a token that names
//! another one, or none, is refused (RFC 8725).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::warn;

use crate::metadata::Role;

/// Time for which keys are taken as they were.
const FRESH: Duration = Duration::from_secs(300);

/// Least time between two requests for the keys: unknown key identifiers must not flood the provider.
const PAUSE: Duration = Duration::from_secs(10);

/// Most bytes of a JWKS document.
const MOST_BYTES: usize = 1 << 20;

/// How tokens of an identity provider are checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JwtOptions {
    /// Address of the JWKS document; no tokens are taken when none.
    pub jwks_url: Option<String>,
    /// Who must have issued a token (`iss`).
    pub issuer: Option<String>,
    /// Whom a token must be for (`aud`).
    pub audience: Option<String>,
    /// The claim with the tenant's name or identifier; `tenant` when none.
    pub tenant_claim: Option<String>,
    /// The claim with the role, or a list with one of them; `role` when none.
    pub role_claim: Option<String>,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) subject: String,
    pub(crate) tenant: String,
    pub(crate) role: Role,
}

/// Checks tokens.
pub(crate) struct JwtVerifier {
    options: JwtOptions,
    url: String,
    client: reqwest::Client,
    known: Mutex<Known>,
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    keys: Vec<Jwk>,
    fetched: Option<Instant>,
    asked: Option<Instant>,
}

impl JwtVerifier {
    pub(crate) fn new(options: JwtOptions) -> Option<Self> {
        let url = options.jwks_url.clone()?;
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()
            .ok()?;
        Some(Self {
            options,
            url,
            client,
            known: Mutex::default(),
            fetching: tokio::sync::Mutex::new(()),
        })
    }

    /// What a token says, if it holds.
    pub(crate) async fn verify(&self, token: &str) -> Option<Claims> {
        let header = decode_header(token).ok()?;
        let key = self.key(header.kid.as_deref()).await?;
        let algorithms = algorithms_of(&key);
        if !algorithms.contains(&header.alg) {
            return None;
        }
        let mut validation = Validation::new(header.alg);
        validation.algorithms = vec![header.alg];
        validation.validate_nbf = true;
        validation.leeway = 30;
        let mut required = vec!["exp", "sub"];
        match &self.options.issuer {
            Some(issuer) => {
                validation.set_issuer(&[issuer]);
                required.push("iss");
            }
            None => validation.iss = None,
        }
        match &self.options.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        validation.set_required_spec_claims(&required);
        let key = DecodingKey::from_jwk(&key).ok()?;
        let claims = decode::<Map<String, Value>>(token, &key, &validation).ok()?;
        self.read(&claims.claims)
    }

    fn read(&self, claims: &Map<String, Value>) -> Option<Claims> {
        let named = |claim: &Option<String>, usual: &'static str| -> Option<&Value> {
            claims.get(claim.as_deref().unwrap_or(usual))
        };
        let roles = match named(&self.options.role_claim, "role")? {
            Value::String(role) => vec![role.as_str()],
            Value::Array(roles) => roles.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        let roles: Vec<Role> = roles.iter().filter_map(|role| role.parse().ok()).collect();
        // Of several roles, the one that may do most.
        let role = [Role::Admin, Role::DataEngineer, Role::Reviewer]
            .into_iter()
            .find(|role| roles.contains(role))?;
        Some(Claims {
            subject: claims.get("sub")?.as_str()?.to_owned(),
            tenant: named(&self.options.tenant_claim, "tenant")?
                .as_str()?
                .to_owned(),
            role,
        })
    }

    /// The key of an identifier; the only one where a token names none.
    async fn key(&self, id: Option<&str>) -> Option<Jwk> {
        let (found, fresh) = self.look(id);
        if found.is_some() && fresh {
            return found;
        }
        let _turn = self.fetching.lock().await;
        // Somebody else may have fetched them meanwhile.
        let (found, fresh) = self.look(id);
        if found.is_some() && fresh {
            return found;
        }
        self.fetch().await;
        self.look(id).0
    }

    fn look(&self, id: Option<&str>) -> (Option<Jwk>, bool) {
        let Ok(known) = self.known.lock() else {
            return (None, false);
        };
        let fresh = known.fetched.is_some_and(|at| at.elapsed() < FRESH);
        let found = match id {
            Some(id) => known
                .keys
                .iter()
                .find(|key| key.common.key_id.as_deref() == Some(id)),
            None => Some(&known.keys).and_then(|keys| match keys.as_slice() {
                [only] => Some(only),
                _ => None,
            }),
        };
        (found.cloned(), fresh)
    }

    async fn fetch(&self) {
        {
            let Ok(mut known) = self.known.lock() else {
                return;
            };
            if known.asked.is_some_and(|at| at.elapsed() < PAUSE) {
                return;
            }
            known.asked = Some(Instant::now());
        }
        match self.ask().await {
            Ok(keys) => {
                if let Ok(mut known) = self.known.lock() {
                    known.keys = keys;
                    known.fetched = Some(Instant::now());
                }
            }
            // Those that are known go on.
            Err(error) => warn!(%error, "the keys of the identity provider cannot be had"),
        }
    }

    async fn ask(&self) -> Result<Vec<Jwk>, String> {
        let answer = self.client.get(&self.url).send().await;
        let mut answer = answer
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| error.without_url().to_string())?;
        let mut content = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
            content.extend_from_slice(&chunk);
            if content.len() > MOST_BYTES {
                return Err("the document is too long".to_owned());
            }
        }
        let set: JwkSet = serde_json::from_slice(&content).map_err(|error| error.to_string())?;
        Ok(set.keys)
    }
}

/// The algorithms with which a key signs; none of a secret that both sides share.
fn algorithms_of(key: &Jwk) -> Vec<Algorithm> {
    let all = match &key.algorithm {
        AlgorithmParameters::RSA(_) => vec![
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => Vec::new(),
        },
        AlgorithmParameters::OctetKeyPair(_) => vec![Algorithm::EdDSA],
        _ => Vec::new(),
    };
    match key.common.key_algorithm {
        // A key that says what it is for is for nothing else.
        Some(named) => all
            .into_iter()
            .filter(|algorithm| format!("{algorithm:?}") == named.to_string())
            .collect(),
        None => all,
    }
}
