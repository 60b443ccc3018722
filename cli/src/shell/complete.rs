//! What the prompt proposes: keywords, names of the catalog, functions, files.

use std::borrow::Cow;
use std::collections::BTreeSet;

use console::Style;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::HistoryHinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper, Hinter};

use super::script::ScriptReader;
use super::target::Target;

/// Words of SQL, with those of our own statements.
const KEYWORDS: &str = "ALL AND ANY AS ASC BETWEEN BY CASE CAST COLUMN COPY CREATE CROSS DELETE \
    DESC DESCRIBE DISTINCT DROP ELSE END EXCEPT EXCLUDE EXISTS EXPLAIN EXTERNAL FALSE FILTER FIRST \
    FOLLOWING FROM FULL GROUP HAVING IF ILIKE IN INNER INSERT INTERSECT INTERVAL INTO IS JOIN LAST \
    LATERAL LEFT LIKE LIMIT LOCATION NATURAL NOT NULL NULLS OFFSET ON OPTIONS OR ORDER OUTER OVER \
    PARTITION PRECEDING QUALIFY RANGE RECURSIVE REPLACE RIGHT ROW ROWS SCHEMA SELECT SEMI SET SHOW \
    SPEC SPECS STORED SYMMETRIC TABLE TABLES THEN TO TRUE UNBOUNDED UNION UNNEST USING VALUES VIEW \
    WHEN WHERE WINDOW WITH";

/// Commands of the prompt that take a file.
const OF_FILES: [&str; 2] = ["\\i ", "\\o "];

/// Names that statements may use.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Schema, table and column.
    columns: BTreeSet<[String; 3]>,
    functions: BTreeSet<String>,
}

impl Names {
    /// Asks what there is; what cannot be told is not proposed.
    pub(crate) async fn look_up(target: &Target) -> Self {
        let columns = "SELECT table_schema, table_name, column_name \
                       FROM information_schema.columns";
        let functions = "SELECT DISTINCT routine_name FROM information_schema.routines";
        let columns = target.texts(columns).await.unwrap_or_default();
        let functions = target.texts(functions).await.unwrap_or_default();
        Self {
            columns: columns
                .into_iter()
                .filter_map(|row| row.try_into().ok())
                .collect(),
            functions: functions.into_iter().flatten().collect(),
        }
    }

    /// What a word may become, in the order of its letters.
    fn proposals(&self, word: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        if let Some((before, begun)) = word.rsplit_once('.') {
            let of = plain(before.rsplit('.').next().unwrap_or(before));
            for [schema, table, column] in &self.columns {
                if *table == of && begins(column, begun) {
                    found.insert(quoted(column));
                }
                if *schema == of && begins(table, begun) {
                    found.insert(quoted(table));
                }
            }
            return found;
        }
        for [schema, table, column] in &self.columns {
            // What the engine tells of itself is asked for with its schema.
            let own = schema == "information_schema";
            let names = [schema, table, column].into_iter();
            let names = names.take(if own { 1 } else { 3 });
            found.extend(
                names
                    .filter(|name| begins(name, word))
                    .map(|name| quoted(name)),
            );
        }
        if word.is_empty() || word.starts_with('"') {
            return found;
        }
        let functions = self.functions.iter().filter(|name| begins(name, word));
        found.extend(functions.map(|name| format!("{name}(")));
        let small = word.chars().all(|c| !c.is_ascii_uppercase());
        let keywords = KEYWORDS.split_whitespace();
        found.extend(
            keywords
                .filter(|name| begins(name, word))
                .map(|name| match small {
                    true => name.to_ascii_lowercase(),
                    false => name.to_owned(),
                }),
        );
        found
    }
}

/// Whether a name begins so; a word in quotes minds the case.
fn begins(name: &str, word: &str) -> bool {
    match word.strip_prefix('"') {
        Some(exact) => name.starts_with(exact),
        None => name
            .get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word)),
    }
}

/// A name as a statement must spell it.
fn quoted(name: &str) -> String {
    let small = |c: char| c.is_ascii_lowercase() || c == '_';
    let simple = name.starts_with(small) && name.chars().all(|c| small(c) || c.is_ascii_digit());
    let keyword = KEYWORDS
        .split_whitespace()
        .any(|word| word.eq_ignore_ascii_case(name));
    match simple && !keyword {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// The name that a word in a statement means.
fn plain(word: &str) -> String {
    match word.strip_prefix('"') {
        Some(exact) => exact.trim_end_matches('"').replace("\"\"", "\""),
        None => word.to_lowercase(),
    }
}

/// The word that ends at the cursor, and where its last part begins.
fn word(line: &str, position: usize) -> (usize, &str) {
    let before = &line[..position];
    let is_of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '"');
    let rest = before.trim_end_matches(is_of_word).len();
    let word = &before[rest..];
    let last = word.rfind('.').map_or(0, |dot| dot + 1);
    (rest + last, word)
}

/// Everything that helps the person at the prompt.
#[derive(Helper, Hinter)]
pub(crate) struct PromptHelper {
    pub(crate) names: Names,
    files: FilenameCompleter,
    #[rustyline(Hinter)]
    hinter: HistoryHinter,
}

impl PromptHelper {
    pub(crate) fn new(names: Names) -> Self {
        Self {
            names,
            files: FilenameCompleter::new(),
            hinter: HistoryHinter::new(),
        }
    }
}

impl Completer for PromptHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..position];
        let of_file = OF_FILES.iter().any(|command| before.starts_with(command));
        let of_text = ScriptReader::ends_in_text(before);
        if of_file || of_text {
            let (start, mut found) = self.files.complete_path(line, position)?;
            // A file that is found ends the text; a folder may go on.
            if let [only] = found.as_mut_slice()
                && of_text
                && !only.replacement.ends_with('/')
                && !line[position..].starts_with('\'')
            {
                only.replacement.push('\'');
            }
            return Ok((start, found));
        }
        let (start, word) = word(line, position);
        let pair = |text: String| Pair {
            display: text.clone(),
            replacement: text,
        };
        let found = self.names.proposals(word);
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

impl Validator for PromptHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match ScriptReader::is_whole(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Highlighter for PromptHelper {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Style::new().dim().apply_to(hint).to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let column = |path: [&str; 3]| path.map(str::to_owned);
        Names {
            columns: [
                column(["public", "people", "age"]),
                column(["public", "people", "Full Name"]),
                column(["public", "places", "order"]),
                column(["information_schema", "tables", "table_name"]),
            ]
            .into(),
            functions: ["pii_hash".to_owned()].into(),
        }
    }

    /// Tables, columns, functions and keywords are found by how they begin; odd names come in quotes.
    #[test]
    fn words_are_completed() {
        let cases: [(&str, &[&str]); 9] = [
            (
                "SELECT p",
                &[
                    "partition",
                    "people",
                    "pii_hash(",
                    "places",
                    "preceding",
                    "public",
                ],
            ),
            ("SEL", &["SELECT"]),
            ("select people.a", &["age"]),
            ("select people.", &["\"Full Name\"", "age"]),
            ("select public.pl", &["places"]),
            ("select \"Fu", &["\"Full Name\""]),
            ("select places.o", &["\"order\""]),
            ("select infor", &["information_schema"]),
            ("select zzz", &[]),
        ];
        for (line, expected) in cases {
            let (_, word) = word(line, line.len());
            let found: Vec<String> = names().proposals(word).into_iter().collect();
            assert_eq!(found, expected, "{line}");
        }
    }

    /// Only the part behind the last dot is replaced.
    #[test]
    fn where_a_word_begins() {
        assert_eq!(word("select a.bé", 12), (9, "a.bé"));
        assert_eq!(word("f(", 2), (2, ""));
    }
}
