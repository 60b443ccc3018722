//! Nobody reaches, or hands out, more than they have: keys limited to datasets or actions, keys made by keys and users,
//! stored protection of personal data, and what ends when a credential does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use super::postgres::Database;
use super::provider::Provider;
use super::rest_service::{Caller, PATIENCE, PEOPLE, RestService, Setup, made, with};
use super::sandbox::Sandbox;

/// Runs a check on a service with SQLite, and on one with Postgres.
fn on_both(check: impl Fn(&Sandbox, &RestService)) {
    let sandbox = Sandbox::new();
    check(&sandbox, &RestService::start(&sandbox, &Setup::default()));
    let sandbox = Sandbox::new();
    let database = Database::new();
    let service = RestService::start(&sandbox, &Setup::with(&["--database", &database.url()]));
    check(&sandbox, &service);
    drop(service);
}

fn status(caller: &Caller, method: Method, path: &str, body: Option<&Value>) -> (u16, String) {
    let answer = caller.call(method, path, |request| match body {
        Some(body) => request.json(body),
        None => request,
    });
    (answer.status.as_u16(), answer.text())
}

/// A problem without what is of its request alone: its trace, and the name that was asked for.
fn problem((status, text): (u16, String), name: &str) -> (u16, Value) {
    let mut problem: Value = serde_json::from_str(&text.replace(name, "it")).unwrap();
    problem.as_object_mut().unwrap().remove("trace_id");
    (status, problem)
}

/// All pages of a list, one row at a time; no cursor holds any of these words.
fn pages(caller: &Caller, path: &str, field: &str, words: &[&str]) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = caller.get(&format!("{path}?limit=1{cursor}"));
        rows.extend(page[field].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else {
            return rows;
        };
        let text = URL_SAFE_NO_PAD.decode(next).unwrap();
        let text = String::from_utf8(text).unwrap();
        for word in words {
            assert!(!text.contains(word), "{text}");
        }
        cursor = format!("&cursor={next}");
    }
}

fn begin_upload(caller: &Caller) -> String {
    let upload = caller
        .post("/uploads", &json!({"name": "people.csv"}))
        .json();
    let id = upload["upload_id"].as_str().unwrap().to_owned();
    let path = format!("/uploads/{id}/parts/1");
    let part = caller.call(Method::PUT, &path, |request| request.body(PEOPLE));
    assert_eq!(part.status, 200, "{}", part.text());
    id
}

/// A key that is limited to a dataset finds nothing of any other: no job, page, cursor, upload, rule or audit record,
/// and manages no keys.
#[test]
fn h4_a_key_limited_to_datasets_finds_nothing_else() {
    on_both(|_, service| {
        let admin = service.caller();
        let others = ["aaa_payroll", "people_old", "zzz_payroll"];
        let mut jobs = Vec::new();
        for name in [
            "aaa_payroll",
            "people",
            "people_old",
            "people",
            "zzz_payroll",
        ] {
            let job = admin.ingest("x.csv", PEOPLE, &[("dataset_name", name)]);
            assert_eq!(admin.ended(&job)["status"], "success");
            jobs.push(job);
        }
        let rule = json!({"steps": []});
        admin.call(Method::PUT, "/rules/tidy", |request| request.json(&rule));
        let limited = with(
            &admin,
            &json!({"name": "l", "role": "admin", "datasets": ["people"]}),
        );

        let seen = pages(&limited, "/jobs", "jobs", &[]);
        let names: Vec<&str> = seen
            .iter()
            .filter_map(|job| job["dataset_name"].as_str())
            .collect();
        assert_eq!(names, ["people", "people"]);
        let seen = pages(&limited, "/datasets/default", "datasets", &others);
        let names: Vec<&str> = seen
            .iter()
            .filter_map(|dataset| dataset["name"].as_str())
            .collect();
        assert_eq!(names, ["people"]);
        assert_eq!(
            limited.get("/jobs?dataset_name=zzz_payroll")["jobs"],
            json!([])
        );

        // What is another one's is answered as what is not there at all.
        let nothing = uuid::Uuid::new_v4().to_string();
        let upload = begin_upload(&admin);
        for (path, there, not) in [
            ("/jobs/{}", jobs[0].as_str(), nothing.as_str()),
            ("/jobs/{}/report", &jobs[4], &nothing),
            ("/datasets/default/{}", "zzz_payroll", "nothing"),
            ("/datasets/default/{}/versions/1", "zzz_payroll", "nothing"),
            ("/uploads/{}", &upload, &nothing),
        ] {
            let answers = [there, not].map(|name| {
                let path = path.replace("{}", name);
                problem(status(&limited, Method::GET, &path, None), name)
            });
            assert_eq!(answers[0].0, 404, "{path}: {}", answers[0].1);
            assert_eq!(answers[0], answers[1], "{path}");
        }
        let spec =
            |id: &str| json!({"name": "people", "source": {"location": format!("upload:{id}")}});
        let answers = [&upload, &nothing].map(|id| {
            let path = "/datasets/default/ingest";
            problem(status(&limited, Method::POST, path, Some(&spec(id))), id)
        });
        assert_eq!((answers[0].0, &answers[0]), (422, &answers[1]));
        for (method, path) in [
            (Method::DELETE, format!("/uploads/{upload}")),
            (Method::PUT, format!("/uploads/{upload}/parts/1")),
            (Method::POST, format!("/uploads/{upload}/complete")),
        ] {
            assert_eq!(status(&limited, method, &path, None).0, 404, "{path}");
        }
        // An engineer of the tenant does not touch another one's upload either; an admin does.
        let engineer = with(&admin, &json!({"name": "e", "role": "data_engineer"}));
        assert_eq!(
            status(&engineer, Method::GET, &format!("/uploads/{upload}"), None).0,
            404
        );

        let unlimited = made(&admin, &json!({"name": "u", "role": "admin"}));
        let id = unlimited["id"].as_str().unwrap();
        let request = json!({"name": "x", "role": "reviewer", "datasets": ["people"]});
        for (method, path, body) in [
            (Method::GET, "/audit", None),
            (Method::GET, "/audit/verify", None),
            (Method::GET, "/usage", None),
            (Method::GET, "/users", None),
            (Method::GET, "/keys", None),
            (Method::POST, "/keys", Some(&request)),
            (Method::DELETE, &format!("/keys/{id}"), None),
            (Method::POST, &format!("/keys/{id}/rotate"), None),
            (Method::GET, "/rules", None),
            (Method::GET, "/rules/tidy", None),
            (Method::PUT, "/rules/tidy", Some(&rule)),
            (Method::DELETE, "/rules/tidy", None),
        ] {
            let (status, text) = status(&limited, method, path, body);
            assert_eq!(status, 403, "{path}: {text}");
        }
        let refused = limited.try_ingest(
            "x.csv",
            PEOPLE,
            &[("dataset_name", "people"), ("rules", "tidy")],
        );
        assert_eq!(refused.status, 403, "{}", refused.text());
        let still = admin.with_key(unlimited["secret"].as_str().unwrap());
        assert_eq!(still.get("/me")["role"], "admin");

        // And its own work goes on.
        let own = begin_upload(&limited);
        let path = format!("/uploads/{own}/complete");
        assert_eq!(status(&limited, Method::POST, &path, None).0, 200);
        let job = limited.post("/datasets/default/ingest", &spec(&own)).json();
        assert_eq!(
            limited.ended(job["job_id"].as_str().unwrap())["status"],
            "success"
        );
    });
}

/// Operator acts are actions like all others, and nobody gives more of them than they have.
#[test]
fn h5_operators_are_limited_by_actions() {
    on_both(|_, service| {
        let admin = service.caller();
        let made_tenant = admin.post("/tenants", &json!({"name": "branch"}));
        assert_eq!(made_tenant.status, 201);
        let reader = with(
            &admin,
            &json!({"name": "r", "role": "reviewer", "operator": true, "actions": ["jobs:read"]}),
        );
        let suspend = json!({"suspended": true});
        let key = |role: &str| json!({"name": "x", "role": role, "tenant": "branch"});
        for (method, path, body) in [
            (Method::GET, "/tenants", None),
            (Method::POST, "/tenants", Some(json!({"name": "more"}))),
            (Method::PATCH, "/tenants/branch", Some(suspend.clone())),
            (
                Method::PATCH,
                "/tenants/branch",
                Some(json!({"max_running": 9})),
            ),
            (Method::POST, "/keys", Some(key("admin"))),
        ] {
            let (status, text) = status(&reader, method, path, body.as_ref());
            assert_eq!(status, 403, "{path}: {text}");
        }
        // Each act by itself.
        let warden = with(
            &admin,
            &json!({"name": "w", "role": "reviewer", "operator": true, "actions": ["tenants:suspend"]}),
        );
        assert_eq!(
            status(&warden, Method::PATCH, "/tenants/branch", Some(&suspend)).0,
            200
        );
        let both = json!({"suspended": false, "max_running": 9});
        assert_eq!(
            status(&warden, Method::PATCH, "/tenants/branch", Some(&both)).0,
            403
        );
        let resume = json!({"suspended": false});
        assert_eq!(
            status(&warden, Method::PATCH, "/tenants/branch", Some(&resume)).0,
            200
        );

        // Nobody gives more than they have: neither role, nor action, nor the right of an operator.
        let reviewer = with(
            &admin,
            &json!({"name": "v", "role": "reviewer", "operator": true}),
        );
        assert_eq!(
            status(&reviewer, Method::POST, "/keys", Some(&key("admin"))).0,
            403
        );
        assert_eq!(
            status(&reviewer, Method::POST, "/keys", Some(&key("reviewer"))).0,
            201
        );
        let keeper = with(
            &admin,
            &json!({"name": "k", "role": "admin", "actions": ["keys:manage", "jobs:read"]}),
        );
        for (request, expected) in [
            (json!({"name": "x", "role": "admin"}), 403),
            (
                json!({"name": "x", "role": "admin", "operator": true, "actions": ["jobs:read"]}),
                403,
            ),
            (
                json!({"name": "x", "role": "admin", "actions": ["jobs:read", "data:read"]}),
                403,
            ),
            (
                json!({"name": "x", "role": "reviewer", "actions": ["data:read"]}),
                422,
            ),
            (
                json!({"name": "x", "role": "reviewer", "tenant": "branch"}),
                403,
            ),
            (
                json!({"name": "x", "role": "reviewer", "actions": ["jobs:read"]}),
                201,
            ),
        ] {
            let (status, text) = status(&keeper, Method::POST, "/keys", Some(&request));
            assert_eq!(status, expected, "{request}: {text}");
        }
        // Neither by rotating a key that has more.
        let strong = made(&admin, &json!({"name": "s", "role": "admin"}));
        let path = format!("/keys/{}/rotate", strong["id"].as_str().unwrap());
        assert_eq!(status(&keeper, Method::POST, &path, None).0, 403);
        let operator = admin.get("/keys")["keys"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let plain = with(&admin, &json!({"name": "p", "role": "admin"}));
        let path = format!("/keys/{operator}");
        assert_eq!(status(&plain, Method::DELETE, &path, None).0, 403);
        assert_eq!(status(&admin, Method::DELETE, &path, None).0, 409);
    });
}

/// A key that a key or a user made ends with it: at its end, when it is revoked, and while the user is suspended.
#[test]
fn h6_keys_end_with_their_makers() {
    let sandbox = Sandbox::new();
    let provider = Provider::start(&sandbox);
    let database = Database::new();
    let setup = provider.setup();
    let on_postgres = Setup {
        home: "postgres".to_owned(),
        arguments: [
            setup.arguments.clone(),
            vec!["--database".to_owned(), database.url()],
        ]
        .concat(),
        ..setup.clone()
    };
    for setup in [setup, on_postgres] {
        let service = RestService::start(&sandbox, &setup);
        let admin = service.caller();
        let at =
            |seconds: i64| (chrono::Utc::now() + chrono::TimeDelta::seconds(seconds)).to_rfc3339();
        let who = |caller: &Caller| status(caller, Method::GET, "/me", None).0;

        // A child lasts no longer, whether it asks for more or says nothing.
        let parent = made(
            &admin,
            &json!({"name": "p", "role": "admin", "expires_at": at(15)}),
        );
        let short = admin.with_key(parent["secret"].as_str().unwrap());
        let request =
            |end: Option<String>| json!({"name": "c", "role": "admin", "expires_at": end});
        assert_eq!(
            status(&short, Method::POST, "/keys", Some(&request(Some(at(60))))).0,
            403
        );
        let child = made(&short, &request(None));
        assert_eq!(child["expires_at"], parent["expires_at"]);
        let child = short.with_key(child["secret"].as_str().unwrap());
        assert_eq!(who(&child), 200);

        // A revoked maker takes all along, and a rotated one none.
        let maker = made(&admin, &json!({"name": "m", "role": "admin"}));
        let first = admin.with_key(maker["secret"].as_str().unwrap());
        let second = with(&first, &json!({"name": "s", "role": "admin"}));
        let third = with(&second, &json!({"name": "t", "role": "reviewer"}));
        let id = maker["id"].as_str().unwrap();
        let rotated = admin.post(&format!("/keys/{id}/rotate"), &json!({}));
        let rotated = admin.with_key(rotated.json()["secret"].as_str().unwrap());
        assert_eq!(
            [&first, &rotated, &second, &third].map(who),
            [401, 200, 200, 200]
        );
        assert_eq!(
            status(&admin, Method::DELETE, &format!("/keys/{id}"), None).0,
            204
        );
        assert_eq!([&rotated, &second, &third].map(who), [401, 401, 401]);

        // A user's keys follow the user.
        let ann = |role: &str| admin.with_key(&provider.token("ann", role, (600, "one")));
        let key = made(&ann("admin"), &json!({"name": "k", "role": "admin"}));
        let end =
            chrono::DateTime::parse_from_rfc3339(key["expires_at"].as_str().unwrap()).unwrap();
        assert!((end.to_utc() - chrono::Utc::now()).num_days() <= 90);
        let far = json!({"name": "k", "role": "admin", "expires_at": at(91 * 86_400)});
        assert_eq!(
            status(&ann("admin"), Method::POST, "/keys", Some(&far)).0,
            403
        );
        let own = admin.with_key(key["secret"].as_str().unwrap());
        let theirs = with(&own, &json!({"name": "d", "role": "data_engineer"}));
        let path = format!(
            "/users/{}",
            admin.get("/users")["users"][0]["id"].as_str().unwrap()
        );
        for (suspended, expected) in [(true, 401), (false, 200)] {
            let body = json!({"suspended": suspended});
            assert_eq!(status(&admin, Method::PATCH, &path, Some(&body)).0, 200);
            assert_eq!([&own, &theirs].map(who), [expected, expected]);
        }
        // The provider makes less of them: their keys are less too.
        assert_eq!(ann("reviewer").get("/me")["role"], "reviewer");
        assert_eq!(
            [&own, &theirs].map(|caller| caller.get("/me")["role"].clone()),
            ["reviewer", "reviewer"]
        );

        let begun = Instant::now();
        while who(&child) == 200 {
            assert!(begun.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!([&short, &child].map(who), [401, 401]);
    }
}

/// Streams and uploads that are under way end when their key is revoked or their tenant is suspended.
#[test]
fn low_what_is_under_way_ends_with_its_credential() {
    on_both(|_, service| {
        let admin = service.caller();
        assert_eq!(
            admin.post("/tenants", &json!({"name": "branch"})).status,
            201
        );
        let authority = service.url.strip_prefix("http://").unwrap();
        let open = |key: &str, head: &str| {
            let mut stream = TcpStream::connect(authority).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let head = format!("{head}Host: x\r\nAuthorization: Bearer {key}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream
        };
        let revoke = |key: &Value| {
            let path = format!("/keys/{}", key["id"].as_str().unwrap());
            assert_eq!(status(&admin, Method::DELETE, &path, None).0, 204);
        };
        let suspend = |_: &Value| {
            let body = json!({"suspended": true});
            assert_eq!(
                status(&admin, Method::PATCH, "/tenants/branch", Some(&body)).0,
                200
            );
        };
        type End<'a> = (&'a str, &'a dyn Fn(&Value));
        let ends: [End<'_>; 2] = [("default", &revoke), ("branch", &suspend)];
        for (tenant, end) in ends {
            let key = made(
                &admin,
                &json!({"name": "k", "role": "admin", "tenant": tenant}),
            );
            let secret = key["secret"].as_str().unwrap();
            let caller = admin.with_key(secret);
            // A job that waits for its upload.
            let upload = begin_upload(&caller);
            let spec =
                json!({"name": "people", "source": {"location": format!("upload:{upload}")}});
            let job = caller
                .post(&format!("/datasets/{tenant}/ingest"), &spec)
                .json();
            let job = job["job_id"].as_str().unwrap();
            let mut events = open(
                secret,
                &format!("GET /api/v1/jobs/{job}/events HTTP/1.1\r\n"),
            );
            let mut told = Vec::new();
            while !String::from_utf8_lossy(&told).contains("event: progress") {
                let mut some = [0; 4096];
                let read = events.read(&mut some).unwrap();
                assert!(read > 0, "{}", String::from_utf8_lossy(&told));
                told.extend_from_slice(&some[..read]);
            }
            let part =
                format!("PUT /api/v1/uploads/{upload}/parts/2 HTTP/1.1\r\nContent-Length: 10\r\n");
            let mut sending = open(secret, &part);
            sending.write_all(b"1,2\n").unwrap();
            std::thread::sleep(Duration::from_millis(300));

            let begun = Instant::now();
            end(&key);
            let mut rest = Vec::new();
            let _ = events.read_to_end(&mut rest);
            assert!(
                begun.elapsed() < Duration::from_secs(8),
                "{:?}",
                begun.elapsed()
            );
            let mut answer = String::new();
            let _ = sending.read_to_string(&mut answer);
            assert!(answer.starts_with("HTTP/1.1 401"), "{tenant}: {answer}");
            assert!(
                begun.elapsed() < Duration::from_secs(12),
                "{:?}",
                begun.elapsed()
            );
            if tenant == "default" {
                let parts = admin.get(&format!("/uploads/{upload}"))["parts"].clone();
                assert_eq!(parts.as_array().unwrap().len(), 1, "{parts}");
            }
        }
    });
}

/// Who may not read the data sees no value of it: neither in the report, as data or as a page, nor in where a version
/// comes from.
#[test]
fn low_reports_hold_no_values_for_reviewers() {
    let sandbox = Sandbox::new();
    let service = RestService::start(&sandbox, &Setup::default());
    let admin = service.caller();
    let mut table = "id,name,city,score\n".to_owned();
    for row in 0..200 {
        let city = ["Quxburg", "Zorbville", " Zorbville"][row % 3];
        let score = if row % 10 == 0 {
            String::new()
        } else {
            format!("731294455{}", row % 7)
        };
        table.push_str(&format!("{row},Nymeria{},{city},{score}\n", row % 5));
    }
    let job = admin.ingest("cities.csv", &table, &[]);
    assert_eq!(admin.ended(&job)["status"], "success");
    let reviewer = with(&admin, &json!({"name": "r", "role": "reviewer"}));
    let engineer = with(&admin, &json!({"name": "e", "role": "data_engineer"}));
    let paths = [
        format!("/jobs/{job}/report"),
        format!("/jobs/{job}/report?format=html"),
        "/datasets/default/cities/versions/1".to_owned(),
    ];
    for path in paths {
        let text = |caller: &Caller| status(caller, Method::GET, &path, None);
        let (all, masked) = (text(&engineer), text(&reviewer));
        assert_eq!((all.0, masked.0), (200, 200), "{path}: {}", masked.1);
        let values = ["Quxburg", "Zorbville", "Nymeria", "731294455"];
        let holds = |text: &str| values.iter().any(|value| text.contains(value));
        assert!(holds(&all.1), "{path} holds no values at all");
        assert!(!holds(&masked.1), "{path}: {}", masked.1);
    }
    let report = reviewer.get(&format!("/jobs/{job}/report"));
    assert_eq!(report["summary"]["original_row_count"], 200);
    assert_eq!(report["columns"][1]["before"]["rows"], 200);
}

/// The service is not ready when its database is broken, even where connections still answer.
#[test]
fn low_a_broken_database_is_not_ready() {
    let ready = |caller: &Caller| status(caller, Method::GET, "/readyz", None).0;
    let sandbox = Sandbox::new();
    let service = RestService::start(&sandbox, &Setup::default());
    let caller = service.caller();
    assert_eq!(ready(&caller), 200);
    let file = sandbox.path("home/service.sqlite");
    let length = std::fs::metadata(&file).unwrap().len();
    std::fs::write(&file, vec![b'x'; usize::try_from(length).unwrap()]).unwrap();
    assert_eq!(ready(&caller), 503);
    drop(service);

    let sandbox = Sandbox::new();
    let database = Database::new();
    let service = RestService::start(&sandbox, &Setup::with(&["--database", &database.url()]));
    let caller = service.caller();
    assert_eq!(ready(&caller), 200);
    database.execute("ALTER TABLE tenants RENAME TO gone");
    assert_eq!(ready(&caller), 503);
    database.execute("ALTER TABLE gone RENAME TO tenants");
    assert_eq!(ready(&caller), 200);
}
