//! The aggregate functions as queries call them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::test_session::{ask, ask_in, session};

/// Partial counts of several partitions add up, also of groups that are in one of them only.
#[tokio::test]
async fn modes_of_groups() {
    let session = session();
    let table = "create table t as
        select value as id, value % 3 as g, nullif(value * value % 7, 0) as x, cast(value % 5 as varchar) as y
        from generate_series(0, 99)";
    ask_in(&session, table).await.unwrap();
    let partial = "explain select g, mode(x) from t group by g";
    let plan = ask_in(&session, partial).await.unwrap().join("\n");
    assert!(plan.contains("FinalPartitioned"), "{plan}");
    for (argument, group) in [("x", "g"), ("y", "g"), ("x", "id"), ("x", "'all'")] {
        let found = format!("select {group}, mode({argument}) from t group by 1 order by 1");
        let want = format!(
            "select g, x from (
               select {group} as g, {argument} as x, row_number() over (
                 partition by {group} order by {argument} is null, count(*) desc, {argument}) as place
               from t group by {group}, {argument}
             ) where place = 1 order by g"
        );
        let found = ask_in(&session, &found).await.unwrap();
        assert_eq!(
            found,
            ask_in(&session, &want).await.unwrap(),
            "{argument} by {group}"
        );
    }
}

/// Nothing but nulls, no rows, ties, and what has no mode.
#[tokio::test]
async fn edges() {
    for (statement, want) in [
        (
            "select mode(x) from (values (cast(null as int)), (null)) as t(x)",
            "null",
        ),
        (
            "select mode(x) from (values (1)) as t(x) where x > 1",
            "null",
        ),
        ("select mode(x) from (values ('b'), ('a')) as t(x)", "a"),
        (
            "select mode(x) filter (where x > 1) from (values (1), (1), (3)) as t(x)",
            "3",
        ),
        (
            "select mode(x) from (values (true), (false), (true)) as t(x)",
            "true",
        ),
        ("select mode(null)", "null"),
    ] {
        assert_eq!(
            ask(statement).await,
            Ok(vec![want.to_owned()]),
            "{statement}"
        );
    }
    for (call, says) in [
        ("mode(distinct x), mode(x)", "has no meaning"),
        ("mode([x])", "cannot count values"),
        ("mode(x, x)", "takes 1 argument"),
    ] {
        let statement = format!("select {call} from (values (1), (1)) as t(x)");
        let error = ask(&statement).await.unwrap_err();
        assert!(error.contains(says), "{call}: {error}");
    }
}
