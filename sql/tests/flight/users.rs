//! Users and keys.

use chrono::{TimeDelta, Utc};
use sql::{Error, Users};

use super::server::{ADA, serve};

async fn wrong(users: &Users, user: &str, password: &str) -> bool {
    matches!(
        users.authenticate(user, password).await,
        Err(Error::Unauthenticated(_))
    )
}

/// Users come in with their password, as it is now, and with keys, while they last.
#[tokio::test(flavor = "multi_thread")]
async fn users_and_keys() {
    let served = serve(|_| {}).await;
    let users = served.engine.users();
    assert_eq!(
        users.authenticate(ADA.0, ADA.1).await.unwrap().tenant,
        "north"
    );
    assert!(wrong(&users, ADA.0, "guess").await);
    assert!(wrong(&users, ADA.0, "").await);
    assert!(wrong(&users, "nobody", ADA.1).await);
    assert!(wrong(&users, ADA.0, &"x".repeat(1 << 20)).await);

    users.set_password(ADA.0, "another password").await.unwrap();
    assert!(wrong(&users, ADA.0, ADA.1).await);
    assert!(users.authenticate(ADA.0, "another password").await.is_ok());

    let key = users.add_key(ADA.0, None).await.unwrap();
    assert_eq!(users.authenticate_key(&key).await.unwrap().user, ADA.0);
    let past = Some(Utc::now() - TimeDelta::seconds(1));
    let expired = users.add_key(ADA.0, past).await.unwrap();
    let (public, _) = key.rsplit_once('_').unwrap();
    for key in [
        expired.as_str(),
        public,
        &format!("{key}x"),
        "dsk_",
        "dsk__",
        "",
    ] {
        let refused = users.authenticate_key(key).await;
        assert!(matches!(refused, Err(Error::Unauthenticated(_))), "{key}");
    }

    // The store holds neither passwords nor keys.
    let secret = &key["dsk_0123456789abcdef_".len()..];
    for entry in std::fs::read_dir(served.home.path().join("home")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(path).unwrap();
            for secret in [secret, "another password"] {
                let found = bytes
                    .windows(secret.len())
                    .any(|part| part == secret.as_bytes());
                assert!(!found);
            }
        }
    }

    let ids: Vec<_> = users.keys(ADA.0).await.unwrap();
    assert_eq!(ids.len(), 2);
    users.remove_key(&ids[0].id).await.unwrap();
    assert!(matches!(
        users.remove_key("none").await,
        Err(Error::NotFound(_))
    ));
    users.remove(ADA.0).await.unwrap();
    assert!(users.authenticate_key(&key).await.is_err());
    let names: Vec<_> = users
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|user| user.name)
        .collect();
    assert_eq!(names, ["bob"]);
    served.stop().await;
}

/// Names, tenants and passwords that cannot be are refused; so is a user who is there already.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_users_are_refused() {
    let served = serve(|_| {}).await;
    let users = served.engine.users();
    let cases = [
        ("", "north", "long enough"),
        ("a:b", "north", "long enough"),
        ("new\n", "north", "long enough"),
        ("eve", "", "long enough"),
        ("eve", "../north", "long enough"),
        ("eve", "north", "short"),
    ];
    for (name, tenant, password) in cases {
        let refused = users.add(name, tenant, Some(password)).await;
        assert!(
            matches!(refused, Err(Error::Invalid(_))),
            "{name:?} {tenant:?}"
        );
    }
    let again = users.add(ADA.0, "south", Some("long enough")).await;
    assert!(matches!(again, Err(Error::Conflict(_))));
    let nobody = users.set_password("nobody", "long enough").await;
    assert!(matches!(nobody, Err(Error::NotFound(_))));
    assert!(matches!(
        users.add_key("nobody", None).await,
        Err(Error::NotFound(_))
    ));
    served.stop().await;
}
