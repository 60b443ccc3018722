//! An identity provider: it serves its keys, and signs tokens.

use std::io::{Read, Write};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::rest_service::Setup;
use super::sandbox::Sandbox;
use super::service_identity::rsa_key;

/// Whom it says it is, and whom its tokens are for.
const ISSUER: &str = "https://id.example.org";
const AUDIENCE: &str = "sanitizer";

/// An identity provider with a key for signatures (`one`), and others that are none: `enc` is for encryption, `wrap`
/// wraps keys.
pub struct Provider {
    url: String,
    keys: Vec<(&'static str, EncodingKey)>,
}

/// Serves a document of keys on this machine; gives its address.
pub fn served(document: String) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                document.len()
            );
            let _ = stream.write_all(format!("{head}{document}").as_bytes());
        }
    });
    url
}

impl Provider {
    /// Starts to serve its keys on this machine.
    pub fn start(sandbox: &Sandbox) -> Self {
        let mut published = Vec::new();
        let mut keys = Vec::new();
        for (id, more) in [
            ("one", json!({"use": "sig", "alg": "RS256"})),
            ("enc", json!({"use": "enc"})),
            ("wrap", json!({"key_ops": ["wrapKey", "unwrapKey"]})),
        ] {
            let (private, n, e) = rsa_key(sandbox);
            let mut key = json!({"kty": "RSA", "kid": id, "n": n, "e": e});
            for (name, value) in more.as_object().unwrap() {
                key[name] = value.clone();
            }
            published.push(key);
            keys.push((id, EncodingKey::from_rsa_pem(private.as_bytes()).unwrap()));
        }
        let url = served(json!({"keys": published}).to_string());
        Self { url, keys }
    }

    /// A service that accepts its tokens.
    pub fn setup(&self) -> Setup {
        Setup::with(&[
            "--jwks-url",
            &self.url,
            "--jwt-issuer",
            ISSUER,
            "--jwt-audience",
            AUDIENCE,
        ])
    }

    /// The address of its keys.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A token of a user of the tenant `default` that lasts so many seconds, signed with a key.
    pub fn token(&self, subject: &str, role: &str, (seconds, key): (i64, &str)) -> String {
        let claims = json!({
            "sub": subject, "role": role, "tenant": "default", "iss": ISSUER, "aud": AUDIENCE,
            "exp": chrono::Utc::now().timestamp() + seconds,
        });
        self.signed(&claims, key)
    }

    fn signed(&self, claims: &Value, id: &str) -> String {
        let header = Header {
            kid: Some(id.to_owned()),
            ..Header::new(Algorithm::RS256)
        };
        let (_, key) = self.keys.iter().find(|(known, _)| *known == id).unwrap();
        encode(&header, claims, key).unwrap()
    }
}
