//! Every function as a query calls it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::util::display::array_value_to_string;
use datafusion::common::{DFSchema, Result};
use datafusion::prelude::SessionContext;

use crate::registry::scalar_functions;

/// `call` over a batch of a text column `x` and a number column `n`.
fn ask(call: &str, cells: &[Option<&str>]) -> Result<Vec<String>> {
    let session = SessionContext::new();
    for function in scalar_functions() {
        session.register_udf(function.as_ref().clone());
    }
    let texts: ArrayRef = Arc::new(StringArray::from(cells.to_vec()));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..cells.len() as i64));
    let batch = RecordBatch::try_from_iter([("x", texts), ("n", numbers)])?;
    let schema = DFSchema::try_from(batch.schema())?;
    let call = session.parse_sql_expr(call, &schema)?;
    let result = session
        .create_physical_expr(call, &schema)?
        .evaluate(&batch)?
        .into_array(batch.num_rows())?;
    (0..result.len())
        .map(|row| Ok(array_value_to_string(&result, row)?))
        .collect()
}

/// What each function gives, null being shown as nothing.
#[test]
fn results() {
    let cases: &[(&str, Option<&str>, &str)] = &[
        ("normalize_text(x)", Some("  a \t b "), "a b"),
        ("normalize_text(x, 'title', 'nfkc')", Some("ﬁne"), "Fine"),
        (
            "normalize_text(x, 'mojibake')",
            Some("FranÃ§ois"),
            "François",
        ),
        ("normalize_text(x)", None, ""),
        ("normalize_phone(x)", Some("(415) 555-0132"), "+14155550132"),
        (
            "normalize_phone(x, 'DE')",
            Some("030 901820"),
            "+4930901820",
        ),
        ("normalize_phone(x)", Some("unknown"), ""),
        (
            "canonicalize(x, ['active', 'inactive'])",
            Some("Actve"),
            "active",
        ),
        (
            "canonicalize(x, ['active', 'inactive'], 1)",
            Some("actve"),
            "",
        ),
        (
            "pii_detect(x)",
            Some("a@example.org, b@example.org, 10.1.2.30"),
            "EMAIL,IP_ADDRESS",
        ),
        ("pii_detect(x)", Some("nothing"), ""),
        ("pii_redact(x)", Some("to a@example.org!"), "to <EMAIL>!"),
        ("pii_redact(x)", Some("nothing"), "nothing"),
        ("fix_mojibake(x)", Some("SÃ£o Paulo"), "São Paulo"),
        ("fix_mojibake(x)", Some("São Paulo"), "São Paulo"),
        (
            "normalize_iban(x)",
            Some("IBAN: DE89 3704 0044 0532 0130 00"),
            "DE89370400440532013000",
        ),
        ("normalize_iban(x)", Some("DE89 3704 0044 0532 0130 01"), ""),
        (
            "jaccard_similarity(x, 'night', 2)",
            Some("nacht"),
            "0.14285714285714285",
        ),
        (
            "jaccard_similarity(x, 'the cat', '1 word')",
            Some("The dog."),
            "0.3333333333333333",
        ),
        ("jaccard_similarity(x, x)", Some("?"), "1.0"),
        ("jaccard_similarity(x, 'a')", None, ""),
        ("jaccard_similarity('a', x)", None, ""),
        ("jaro_winkler_similarity(x, 'abcd')", Some("abcd"), "1.0"),
        ("jaro_winkler_similarity(x, 'abcd')", None, ""),
        ("jaro_winkler_similarity(n, 0)", None, "1.0"),
        ("array_length(minhash_lsh(x))", Some("Ada"), "32"),
        (
            "array_length(minhash_lsh(x, 16, 8, '2 words'))",
            Some("Ada"),
            "16",
        ),
        ("minhash_lsh(x)", Some("  "), "[]"),
        ("minhash_lsh(x)", None, ""),
        (
            "minhash_lsh(x) = minhash_lsh('élan vital')",
            Some("ELAN, vital"),
            "true",
        ),
        (
            "minhash_lsh(n, 1, 1) = minhash_lsh('0', 1, 1)",
            None,
            "true",
        ),
    ];
    for (call, cell, want) in cases {
        assert_eq!(ask(call, &[*cell]).unwrap(), [*want], "{call} of {cell:?}");
    }
}

/// A wrong option is refused with the function's name before any row is read.
#[test]
fn wrong_options() {
    for (call, says) in [
        (
            "normalize_text(x, 'shout')",
            "does not know the option 'shout'",
        ),
        ("normalize_phone(x, 'XX')", "unknown phone region 'XX'"),
        ("canonicalize(x)", "canonicalize takes"),
        ("canonicalize(x, ['a'], 7)", "from 0 to 1"),
        ("pii_hash(x, 'my secret salt!!')", "env:NAME or file:PATH"),
        ("pii_hash(x, 'env:NO_SUCH_SALT')", "NO_SUCH_SALT"),
        ("pii_hash(x, x)", "as a constant text"),
        ("pii_hash(x, 1)", "as a constant text"),
        ("minhash_lsh()", "minhash_lsh"),
        ("minhash_lsh(x, 0)", "must be at least 1"),
        ("minhash_lsh(x, -1)", "must be at least 1"),
        (
            "minhash_lsh(x, 1000, 1000)",
            "at most 4096, not 1000 bands of 1000 rows",
        ),
        ("minhash_lsh(x, 2.5)", "whole numbers"),
        (
            "minhash_lsh(x, 32, 4, '3 letters')",
            "'3 characters' or '5 words', not '3 letters'",
        ),
        (
            "minhash_lsh(x, 32, 4, true)",
            "a number of characters or a text",
        ),
        (
            "minhash_lsh(x, 32, 4, 3, 1)",
            "takes 1 to 4 arguments, got 5",
        ),
        ("jaccard_similarity(x)", "takes 2 to 3 arguments, got 1"),
        ("jaccard_similarity(x, x, 0)", "from 1 to 100"),
        ("jaccard_similarity(x, [x])", "as text"),
        (
            "jaro_winkler_similarity(x, x, 3)",
            "takes 2 arguments, got 3",
        ),
    ] {
        let error = ask(call, &[Some("a")]).unwrap_err().to_string();
        assert!(error.contains(says), "{call}: {error}");
        assert!(!error.contains("my secret"), "{error}");
    }
    for call in ["minhash_lsh(x, n)", "jaccard_similarity(x, x, n + 1)"] {
        let error = ask(call, &[Some("a"), Some("b")]).unwrap_err().to_string();
        assert!(error.contains("must be constants"), "{call}: {error}");
    }
}

/// The secret is resolved where the query runs, and the hash is HMAC-SHA-256.
#[test]
fn hashes() {
    let path = std::env::temp_dir().join(format!("salt-{}", std::process::id()));
    std::fs::write(&path, [0x0b; 20]).unwrap();
    let call = format!("pii_hash(x, 'file:{}')", path.display());
    let hashes = ask(&call, &[Some("Hi There"), None, Some("")]).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        hashes[0],
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    );
    assert!(hashes[1].is_empty() && hashes[2].len() == 64);
    let rows = ask("row_hash(x, n, true)", &[Some("a"), Some("a"), None]).unwrap();
    assert!(rows.iter().all(|hash| hash.len() == 32));
    assert_ne!(rows[0], rows[1]);
    assert_eq!(
        ask("row_hash(x) = row_hash('a')", &[Some("a"), None]).unwrap(),
        ["true", "false"]
    );
}
