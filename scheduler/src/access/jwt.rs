//! JSON Web Tokens of an identity provider (RFC 7519), whose keys a JWKS document holds (RFC 7517).
//!
//! Only signatures of asymmetric keys count, and only with the algorithm of the key: a token that names
//! another one, or none, is refused (RFC 8725).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::warn;
use url::{Host, Url};

use crate::metadata::Role;

/// Time for which keys are taken as they were.
const FRESH: Duration = Duration::from_secs(300);

/// Least time between two requests for the keys: unknown key identifiers must not flood the provider.
const PAUSE: Duration = Duration::from_secs(10);

/// Most bytes of a JWKS document.
const MOST_BYTES: usize = 1 << 20;

/// How tokens of an identity provider are checked. With an address of keys, issuer and audience must be given too: a
/// provider signs tokens for many applications with the same keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JwtOptions {
    /// Address of the JWKS document; no tokens are taken when none.
    pub jwks_url: Option<String>,
    /// Who must have issued a token (`iss`); required with `jwks_url`.
    pub issuer: Option<String>,
    /// Whom a token must be for (`aud`); required with `jwks_url`.
    pub audience: Option<String>,
    /// The claim with the tenant's name or identifier; `tenant` when none.
    pub tenant_claim: Option<String>,
    /// The claim with the role, or a list with one of them; `role` when none.
    pub role_claim: Option<String>,
}

impl JwtOptions {
    /// Checks that the options say enough to tell tokens for this service from those for others.
    ///
    /// # Errors
    /// A sentence that names the missing or wrong setting.
    pub fn check(&self) -> Result<(), String> {
        self.provider().map(drop)
    }

    /// Returns the provider, if there is one.
    fn provider(&self) -> Result<Option<Provider>, String> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let Some(jwks_url) = given(&self.jwks_url) else {
            return Ok(None);
        };
        let (Some(issuer), Some(audience)) = (given(&self.issuer), given(&self.audience)) else {
            let problem = "--jwks-url requires --jwt-issuer and --jwt-audience (jwt_issuer and jwt_audience): \
                without them, tokens that the provider issued for other applications would be accepted";
            return Err(problem.to_owned());
        };
        let url = Url::parse(&jwks_url).map_err(|error| format!("--jwks-url: {error}"))?;
        let local = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && local) {
            let problem = "--jwks-url must be an https:// URL (http:// is accepted for loopback addresses only): \
                whoever can change the keys on the way can sign tokens";
            return Err(problem.to_owned());
        }
        Ok(Some(Provider {
            url,
            issuer,
            audience,
        }))
    }
}

/// An identity provider whose tokens are accepted.
struct Provider {
    url: Url,
    issuer: String,
    audience: String,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) subject: String,
    pub(crate) tenant: String,
    pub(crate) role: Role,
    /// When the token ends.
    pub(crate) expires_at: DateTime<Utc>,
}

/// Checks tokens.
pub(crate) struct JwtVerifier {
    options: JwtOptions,
    provider: Provider,
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
    /// Returns what checks tokens; none where no provider is given.
    ///
    /// # Errors
    /// A sentence on options that would let in too many, or on a client that cannot be made.
    pub(crate) fn new(options: JwtOptions) -> Result<Option<Self>, String> {
        let Some(provider) = options.provider()? else {
            return Ok(None);
        };
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            // Another address than the one that was configured is not asked.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| format!("the client for --jwks-url: {error}"))?;
        Ok(Some(Self {
            options,
            provider,
            client,
            known: Mutex::default(),
            fetching: tokio::sync::Mutex::new(()),
        }))
    }

    /// What a token says, if it holds.
    pub(crate) async fn verify(&self, token: &str) -> Option<Claims> {
        let header = decode_header(token).ok()?;
        if header.crit.is_some() {
            // Whoever does not know a critical extension must refuse the token (RFC 7515, 4.1.11).
            return None;
        }
        let key = self.key(header.kid.as_deref()).await?;
        if !algorithms_of(&key).contains(&header.alg) {
            return None;
        }
        let mut validation = Validation::new(header.alg);
        validation.algorithms = vec![header.alg];
        validation.validate_nbf = true;
        validation.leeway = 30;
        validation.set_issuer(&[&self.provider.issuer]);
        validation.set_audience(&[&self.provider.audience]);
        validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
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
            expires_at: DateTime::from_timestamp(seconds(claims.get("exp")?)?, 0)?,
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
            Err(error) => warn!(%error, "failed to fetch JWKS from identity provider"),
        }
    }

    async fn ask(&self) -> Result<Vec<Jwk>, String> {
        let answer = self.client.get(self.provider.url.clone()).send().await;
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
        keys_of(&content)
    }
}

/// A point in time of a claim, in whole seconds; it may be written with a fraction.
fn seconds(claim: &Value) -> Option<i64> {
    claim
        .as_i64()
        .or_else(|| claim.as_f64().map(|seconds| seconds as i64))
}

/// The keys of a JWKS document that may sign tokens. Those that cannot be read are left out, as RFC 7517 says: others
/// use them.
fn keys_of(document: &[u8]) -> Result<Vec<Jwk>, String> {
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<Value>,
    }
    let document: Document = serde_json::from_slice(document).map_err(|error| error.to_string())?;
    let keys = document.keys.into_iter();
    let keys = keys.filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    Ok(keys.filter(is_for_signatures).collect())
}

/// Returns whether a key may be used for signatures: a key for encryption is not, whatever signs with it.
fn is_for_signatures(key: &Jwk) -> bool {
    let used = match &key.common.public_key_use {
        None | Some(PublicKeyUse::Signature) => true,
        Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)) => false,
    };
    let operations = key.common.key_operations.as_ref();
    used && operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(url: &str, issuer: Option<&str>, audience: Option<&str>) -> JwtOptions {
        JwtOptions {
            jwks_url: Some(url.to_owned()),
            issuer: issuer.map(str::to_owned),
            audience: audience.map(str::to_owned),
            ..JwtOptions::default()
        }
    }

    /// Keys without an issuer and an audience, or from an address that others can change, are refused.
    #[test]
    fn m7_options_must_name_issuer_and_audience() {
        let url = "https://id.example.org/keys";
        assert_eq!(JwtOptions::default().check(), Ok(()));
        assert_eq!(options(url, Some("a"), Some("b")).check(), Ok(()));
        for (issuer, audience) in [
            (None, None),
            (Some("a"), None),
            (None, Some("b")),
            (Some(" "), Some("b")),
        ] {
            let problem = options(url, issuer, audience).check().unwrap_err();
            assert!(
                problem.contains("--jwt-issuer and --jwt-audience"),
                "{problem}"
            );
        }
        for wrong in ["http://id.example.org/keys", "ftp://127.0.0.1/keys", "keys"] {
            let problem = options(wrong, Some("a"), Some("b")).check().unwrap_err();
            assert!(problem.starts_with("--jwks-url"), "{problem}");
        }
        for local in [
            "http://127.0.0.1:1/k",
            "http://[::1]/k",
            "http://localhost/k",
        ] {
            assert_eq!(
                options(local, Some("a"), Some("b")).check(),
                Ok(()),
                "{local}"
            );
        }
    }

    /// Only keys that may verify signatures are kept; what cannot be read does not take the others along.
    #[test]
    fn m7_only_keys_for_signatures_are_kept() {
        let key = |id: &str, more: Value| {
            let mut key = json!({"kty": "RSA", "kid": id, "n": "AQAB", "e": "AQAB"});
            for (name, value) in more.as_object().unwrap() {
                key[name] = value.clone();
            }
            key
        };
        let document = json!({"keys": [
            key("plain", json!({})),
            key("sig", json!({"use": "sig"})),
            key("verify", json!({"key_ops": ["verify"]})),
            key("enc", json!({"use": "enc"})),
            key("other", json!({"use": "tls"})),
            key("wrap", json!({"key_ops": ["wrapKey"]})),
            key("both", json!({"use": "enc", "key_ops": ["verify"]})),
            {"kty": "of the future", "kid": "future"},
        ]});
        let kept = keys_of(document.to_string().as_bytes()).unwrap();
        let names: Vec<&str> = kept
            .iter()
            .filter_map(|key| key.common.key_id.as_deref())
            .collect();
        assert_eq!(names, ["plain", "sig", "verify", "future"]);
        // A key of a kind that is not known verifies nothing.
        assert!(kept.last().is_some_and(|key| algorithms_of(key).is_empty()));
        assert!(keys_of(b"{}").is_err());
    }
}
