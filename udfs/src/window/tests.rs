//! The window functions as queries call them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, StringArray, StringDictionaryBuilder};
use arrow::datatypes::{DataType, Int32Type};
use arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use crate::test_session::{ask, ask_in, session};

/// A table `t` of `id`, `g` (three groups and null) and `x`, in three partitions of small batches; a
/// third of `x` is missing.
fn table(rows: i64) -> SessionContext {
    let batch = |rows: Vec<i64>| {
        let groups: StringArray = rows
            .iter()
            .map(|id| ["a", "b", "c"].get((id % 4) as usize))
            .collect();
        let values: Int64Array = rows
            .iter()
            .map(|id| (id % 3 != 0).then_some(id * 7 % 11))
            .collect();
        let columns: [(&str, ArrayRef, bool); 3] = [
            ("id", Arc::new(Int64Array::from(rows)), false),
            ("g", Arc::new(groups), true),
            ("x", Arc::new(values), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    let schema = batch(Vec::new()).schema();
    let partitions: Vec<Vec<RecordBatch>> = (0..3)
        .map(|partition| {
            let rows: Vec<i64> = (0..rows).filter(|id| id % 3 == partition).collect();
            rows.chunks(2).map(|rows| batch(rows.to_vec())).collect()
        })
        .collect();
    let session = session();
    let table = MemTable::try_new(schema, partitions).unwrap();
    session.register_table("t", Arc::new(table)).unwrap();
    session
}

/// Over many partitions, whole batches and frames, the filled value is what joining with the
/// partition's own figure gives.
#[tokio::test]
async fn filled_with_the_figure_of_the_partition() {
    let session = table(100);
    for (call, figure) in [
        ("impute_median(x) over (partition by g)", "median"),
        ("impute_mode(x) over (partition by g)", "mode"),
        (
            "impute_mode(x) over (partition by g order by id rows 1 preceding)",
            "mode",
        ),
        (
            "impute_median(x) over (partition by g order by x desc)",
            "median",
        ),
    ] {
        let found = format!("select id, {call} from t order by id");
        // DataFusion's median of integers cuts the half off: it is taken of floats here, and
        // rounded to the even one.
        let want = format!(
            "with f as (select g, {figure}(cast(x as double)) as f from t group by g)
             select t.id, coalesce(x, cast(
               case when f - floor(f) = 0.5 then 2 * round(f / 2) else f end as bigint))
             from t join f on t.g is not distinct from f.g order by t.id"
        );
        let found = ask_in(&session, &found).await.unwrap();
        assert_eq!(found.len(), 100);
        assert_eq!(found, ask_in(&session, &want).await.unwrap(), "{call}");
    }
}

/// Without groups, without rows, without values; the row's own value always stays.
#[tokio::test]
async fn edges() {
    let cases: &[(&str, &[&str])] = &[
        (
            "select impute_median(x) over () from (values (1), (null), (4)) as t(x)",
            &["1", "2", "4"],
        ),
        (
            "select impute_median(x) over (partition by g), impute_mode(x) over (partition by g)
             from (values ('a', cast(null as int)), ('a', null)) as t(g, x)",
            &["null | null", "null | null"],
        ),
        (
            "select impute_median(x) over (), impute_mode(x) over () from (values (1)) as t(x) where x > 1",
            &[],
        ),
        (
            "select impute_median(null) over (), impute_mode(null) over ()",
            &["null | null"],
        ),
        (
            "select impute_median(x) over () from (values (1.5), (null), (2.5)) as t(x)",
            &["1.5", "2.0", "2.5"],
        ),
        (
            "select impute_median(cast(x as decimal(6, 2))) over () from (values ('1.00'), (null), ('1.03')) as t(x)",
            &["1.00", "1.02", "1.03"],
        ),
        (
            "select impute_median(cast(x as date)) over ()
             from (values ('2021-01-01'), (null), ('2021-01-02')) as t(x)",
            &["2021-01-01", "2021-01-01", "2021-01-02"],
        ),
        (
            "select impute_median(cast(x as timestamp)) over ()
             from (values ('2021-01-01'), (null), ('2021-01-02')) as t(x)",
            &[
                "2021-01-01T00:00:00",
                "2021-01-01T12:00:00",
                "2021-01-02T00:00:00",
            ],
        ),
        (
            "select impute_mode(x) over (), impute_mode(x = 'b') over () from (values ('b'), (null), ('a')) as t(x)",
            &["b | true", "a | false", "a | false"],
        ),
    ];
    for (statement, want) in cases {
        let found = ask(statement).await;
        assert_eq!(
            found,
            Ok(want.iter().map(ToString::to_string).collect()),
            "{statement}"
        );
    }
}

/// A dictionary of texts is filled as texts.
#[tokio::test]
async fn dictionaries() {
    let mut texts = StringDictionaryBuilder::<Int32Type>::new();
    texts.extend([Some("a"), None, Some("a"), Some("b")]);
    let texts: ArrayRef = Arc::new(texts.finish());
    let session = session();
    let batch = RecordBatch::try_from_iter([("x", texts)]).unwrap();
    session.register_batch("t", batch).unwrap();
    let filled = session
        .sql("select impute_mode(x) over () from t")
        .await
        .unwrap();
    let filled = filled.collect().await.unwrap();
    assert_eq!(filled[0].column(0).data_type(), &DataType::Utf8);
    assert_eq!(filled[0].column(0).null_count(), 0);
}

/// What cannot be filled is refused with what to write instead.
#[tokio::test]
async fn wrong_calls() {
    for (call, says) in [
        ("impute_median('a') over ()", "impute_mode(x)"),
        (
            "impute_median(true) over ()",
            "impute_median fills numbers, dates and times",
        ),
        ("impute_median(1, 2) over ()", "takes 1 argument"),
        ("impute_mode([1]) over ()", "take a list or a struct apart"),
    ] {
        let error = ask(&format!("select {call}")).await.unwrap_err();
        assert!(error.contains(says), "{call}: {error}");
    }
}
