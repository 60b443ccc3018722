//! Tokens of an identity provider, good ones and forged ones.

use std::process::Command;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};

use super::provider::{Provider, served};
use super::rest_service::{RestService, Setup};
use super::sandbox::Sandbox;

/// Tokens that are forged, stale, or signed in another way than the key's own let nobody in.
#[test]
fn forged_tokens() {
    let sandbox = Sandbox::new();
    let (private, n, e) = rsa_key(&sandbox);
    let jwks = json!({"keys": [{"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", "n": n, "e": e}]}).to_string();
    let url = served(jwks.clone());
    let setup = Setup::with(&[
        "--jwks-url",
        &url,
        "--jwt-issuer",
        "https://id.example.org",
        "--jwt-audience",
        "sanitizer",
    ]);
    let setup = Setup {
        log: Some("log".to_owned()),
        ..setup
    };
    let service = RestService::start(&sandbox, &setup);
    let now = chrono::Utc::now().timestamp();
    let claims = json!({"sub": "ann", "iss": "https://id.example.org", "aud": "sanitizer", "exp": now + 600, "tenant": "default", "role": ["other", "DataEngineer"]});
    let signed =
        |claims: &Value, header: Header, key: &EncodingKey| encode(&header, claims, key).unwrap();
    let header = |algorithm: Algorithm| Header {
        kid: Some("one".to_owned()),
        ..Header::new(algorithm)
    };
    let rsa = EncodingKey::from_rsa_pem(private.as_bytes()).unwrap();
    let good = signed(&claims, header(Algorithm::RS256), &rsa);
    let me = service.caller().with_key(&good).get("/me");
    assert_eq!(
        (&me["actor"], &me["role"], &me["operator"]),
        (&json!("user:ann"), &json!("data_engineer"), &json!(false))
    );

    let changed = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        signed(&claims, header(Algorithm::RS256), &rsa)
    };
    let (other, _, _) = rsa_key(&sandbox);
    let other = EncodingKey::from_rsa_pem(other.as_bytes()).unwrap();
    let hmac = |secret: &str| {
        signed(
            &claims,
            header(Algorithm::HS256),
            &EncodingKey::from_secret(secret.as_bytes()),
        )
    };
    let parts: Vec<&str> = good.split('.').collect();
    let encoded = |document: &Value| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(document.to_string())
    };
    let admin = {
        let mut claims = claims.clone();
        claims["role"] = json!("admin");
        encoded(&claims)
    };
    for (what, token) in [
        ("stale", changed("exp", json!(now - 3600))),
        ("not yet", changed("nbf", json!(now + 3600))),
        (
            "of another issuer",
            changed("iss", json!("https://evil.example.org")),
        ),
        ("for somebody else", changed("aud", json!("other"))),
        ("of no tenant", changed("tenant", json!("nobody"))),
        ("without a role", changed("role", json!("king"))),
        (
            "of another key",
            signed(&claims, header(Algorithm::RS256), &other),
        ),
        (
            "of an unknown key",
            signed(
                &claims,
                Header {
                    kid: Some("two".to_owned()),
                    ..Header::new(Algorithm::RS256)
                },
                &rsa,
            ),
        ),
        (
            "with another algorithm of the key",
            signed(&claims, header(Algorithm::PS256), &rsa),
        ),
        ("signed with the public key as a secret", hmac(&jwks)),
        ("signed with its modulus", hmac(&n)),
        (
            "unsigned",
            format!(
                "{}.{}.",
                encoded(&json!({"alg": "none", "kid": "one"})),
                parts[1]
            ),
        ),
        ("changed", format!("{}.{admin}.{}", parts[0], parts[2])),
        ("cut", good[..good.len() - 4].to_owned()),
    ] {
        let answer = service
            .caller()
            .with_key(&token)
            .call(Method::GET, "/me", |request| request);
        assert_eq!(answer.status, 401, "a token {what}: {}", answer.text());
    }

    // Who holds a good token may still be shut out, by an admin.
    let admin = service.caller();
    let users = admin.get("/users");
    let ann = &users["users"][0];
    assert_eq!(
        (
            &ann["subject"],
            &ann["role"],
            users["users"].as_array().unwrap().len()
        ),
        (&json!("ann"), &json!("data_engineer"), 1),
        "{users:#}"
    );
    let path = format!("/users/{}", ann["id"].as_str().unwrap());
    for (suspended, status) in [(true, 401), (false, 200)] {
        let changed = admin.call(Method::PATCH, &path, |request| {
            request.json(&json!({"suspended": suspended}))
        });
        assert_eq!(changed.json()["suspended"], suspended);
        let answer = admin
            .with_key(&good)
            .call(Method::GET, "/me", |request| request);
        assert_eq!(answer.status, status);
    }
    let refused = admin
        .with_key(&good)
        .call(Method::GET, "/users", |request| request);
    assert_eq!(refused.status, 403);

    // Refusals are in the log, and no token is.
    let log = std::fs::read_to_string(sandbox.path("log")).unwrap();
    let refusals = log
        .lines()
        .filter(|line| line.contains("a request was refused"));
    let of = |status: &str| {
        refusals
            .clone()
            .filter(|line| line.contains(status))
            .count()
    };
    assert_eq!((of("status=401"), of("status=403")), (15, 1), "{log}");
    assert!(log.contains("user:ann"), "{log}");
    for secret in [parts[1], parts[2], &service.key] {
        assert!(!log.contains(secret), "{log}");
    }
}

/// A service that is told of a provider's keys, and not of its issuer and whom tokens are for, does not start; keys of
/// the provider that are not for signatures sign nothing.
#[test]
fn m7_tokens_are_for_this_service_and_signed_by_keys_for_signatures() {
    let sandbox = Sandbox::new();
    let provider = Provider::start(&sandbox);
    for more in [
        &[][..],
        &["--jwt-issuer", "https://id.example.org"],
        &["--jwt-audience", "sanitizer"],
    ] {
        let command = [
            &["serve", "--home", "refused", "--jwks-url", provider.url()],
            more,
        ]
        .concat();
        let output = sandbox.run(&command);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {error}");
        assert!(error.contains("--jwt-issuer and --jwt-audience"), "{error}");
        assert!(!sandbox.path("refused/first-api-key").exists());
    }
    let far = [
        "--jwks-url",
        "http://id.example.org/k",
        "--jwt-issuer",
        "a",
        "--jwt-audience",
        "b",
    ];
    let output = sandbox.run(&[&["serve", "--home", "refused"][..], &far].concat());
    assert!(String::from_utf8_lossy(&output.stderr).contains("https://"));

    let service = RestService::start(&sandbox, &provider.setup());
    for (key, status) in [("one", 200), ("enc", 401), ("wrap", 401)] {
        let token = provider.token("ann", "admin", (600, key));
        let caller = service.caller().with_key(&token);
        let answer = caller.call(Method::GET, "/me", |request| request);
        assert_eq!(answer.status, status, "{key}: {}", answer.text());
    }
}

/// A key pair: the private key in PEM, and modulus and exponent of the public one.
pub fn rsa_key(sandbox: &Sandbox) -> (String, String, String) {
    let path = sandbox.path("key.pem");
    let made = Command::new("openssl")
        .args([
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-out",
        ])
        .arg(&path)
        .output()
        .unwrap();
    assert!(made.status.success());
    let modulus = Command::new("openssl")
        .args(["rsa", "-noout", "-modulus", "-in"])
        .arg(&path)
        .output()
        .unwrap();
    let modulus = String::from_utf8(modulus.stdout).unwrap();
    let modulus = modulus.trim().strip_prefix("Modulus=").unwrap();
    let bytes: Vec<u8> = (0..modulus.len() / 2)
        .map(|at| u8::from_str_radix(&modulus[at * 2..at * 2 + 2], 16).unwrap())
        .collect();
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let pem = std::fs::read_to_string(&path).unwrap();
    (pem, engine.encode(bytes), engine.encode([1, 0, 1]))
}
