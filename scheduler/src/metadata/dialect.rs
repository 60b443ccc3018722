//! What differs between the databases, so that each statement is written once.
//!
//! Statements are Postgres' SQL as far as SQLite has it too. What SQLite says otherwise stands in
//! braces:
//!
//! | written | meaning |
//! |---|---|
//! | `{now}` | the database's clock |
//! | `{after $1}` | so many seconds from now |
//! | `{age column}` | seconds since a time |
//! | `{lock}` | `FOR NO KEY UPDATE`: rows that refer to it may still be added |
//! | `{lock skip}` | the same, of rows that nobody else has locked |
//! | `{greatest}`, `{least}` | of several values |
//! | `{names $1}` | the texts of a JSON array, as a subquery: `name IN {names $1}` |
//! | `{month}` | the current month in UTC, as `2026-11` |

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{LazyLock, RwLock};

/// A database's way of saying it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Dialect {
    Postgres,
    Sqlite,
}

type Known = HashMap<(Dialect, &'static str), &'static str>;

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);

/// A statement in a dialect. There are as many as stand in this crate, so each is kept for good.
pub(super) fn translated(statement: &'static str, dialect: Dialect) -> &'static str {
    let key = (dialect, statement);
    if let Ok(known) = KNOWN.read()
        && let Some(text) = known.get(&key)
    {
        return text;
    }
    let text: &'static str = match translate(statement, dialect) {
        Cow::Borrowed(_) => statement,
        Cow::Owned(text) => Box::leak(text.into_boxed_str()),
    };
    if let Ok(mut known) = KNOWN.write() {
        known.insert(key, text);
    }
    text
}

fn translate(statement: &str, dialect: Dialect) -> Cow<'_, str> {
    if !statement.contains('{') {
        return Cow::Borrowed(statement);
    }
    let mut text = String::with_capacity(statement.len() + 64);
    let mut rest = statement;
    while let Some((before, behind)) = rest.split_once('{') {
        let (word, after) = behind.split_once('}').unwrap_or((behind, ""));
        text.push_str(before);
        text.push_str(&said(word, dialect));
        rest = after;
    }
    text.push_str(rest);
    Cow::Owned(text)
}

fn said(word: &str, dialect: Dialect) -> Cow<'static, str> {
    let (word, operand) = word.split_once(' ').unwrap_or((word, ""));
    match (word, dialect) {
        ("now", Dialect::Postgres) => "clock_timestamp()".into(),
        ("now", Dialect::Sqlite) => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)".into(),
        ("after", Dialect::Postgres) => {
            format!("clock_timestamp() + {operand} * interval '1 second'").into()
        }
        ("after", Dialect::Sqlite) => {
            format!("CAST((unixepoch('subsec') + {operand}) * 1000000 AS INTEGER)").into()
        }
        ("age", Dialect::Postgres) => {
            format!("extract(epoch FROM clock_timestamp() - {operand})::float8").into()
        }
        ("age", Dialect::Sqlite) => format!("(unixepoch('subsec') - {operand} / 1e6)").into(),
        ("lock", Dialect::Postgres) if operand == "skip" => "FOR NO KEY UPDATE SKIP LOCKED".into(),
        ("lock", Dialect::Postgres) => "FOR NO KEY UPDATE".into(),
        // A transaction that writes has the whole file.
        ("lock", Dialect::Sqlite) => "".into(),
        ("greatest", Dialect::Postgres) => "greatest".into(),
        ("greatest", Dialect::Sqlite) => "max".into(),
        ("least", Dialect::Postgres) => "least".into(),
        ("least", Dialect::Sqlite) => "min".into(),
        ("names", Dialect::Postgres) => {
            format!("(SELECT jsonb_array_elements_text({operand}))").into()
        }
        ("names", Dialect::Sqlite) => format!("(SELECT value FROM json_each({operand}))").into(),
        ("month", Dialect::Postgres) => {
            "to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM')".into()
        }
        ("month", Dialect::Sqlite) => "strftime('%Y-%m', 'now')".into(),
        _ => format!("{{{word}}}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Statements come out as each database takes them.
    #[test]
    fn both() {
        let statement = "SELECT {now}, {after $2} FROM a WHERE {age at} > $1 {lock skip}";
        let postgres = "SELECT clock_timestamp(), clock_timestamp() + $2 * interval '1 second' FROM a \
                        WHERE extract(epoch FROM clock_timestamp() - at)::float8 > $1 FOR NO KEY UPDATE SKIP LOCKED";
        assert_eq!(translated(statement, Dialect::Postgres), postgres);
        let sqlite = "SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER), \
                      CAST((unixepoch('subsec') + $2) * 1000000 AS INTEGER) FROM a \
                      WHERE (unixepoch('subsec') - at / 1e6) > $1 ";
        assert_eq!(translated(statement, Dialect::Sqlite), sqlite);
        assert_eq!(translated("SELECT 1", Dialect::Sqlite), "SELECT 1");
    }
}
