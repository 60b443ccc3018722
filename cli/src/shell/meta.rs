//! The commands of the prompt, which begin with a backslash.

use std::path::Path;

use clap::ValueEnum;

use super::arguments::Format;
use super::output::Output;
use super::runner::{Flow, Shell};
use crate::ending::UsageError;

/// What the commands do, for people.
const HELP: &str = "\
\\d                tables and views
\\d NAME           columns of a table or view
\\dt  \\dv          tables; views
\\dn               schemas
\\ds               stored specs
\\df [PATTERN]     functions: a part of the name, or a pattern such as pii_*
\\format [FORMAT]  how rows are shown: table, csv, tsv, json, jsonl
\\x                tables with a line for each cell, on or off
\\timing           times, on or off
\\o [FILE]         rows go to a file; without a name, here again
\\i FILE           run a script
\\?  \\h            this text
\\q                leave (or Ctrl-D)
A statement ends with a semicolon. Ctrl-C ends the statement that runs.";

/// Carries out a command.
pub(crate) async fn command(shell: &mut Shell, text: &str) -> anyhow::Result<Flow> {
    let text = text.trim_end_matches(';').trim_end();
    let (name, argument) = text
        .split_once(char::is_whitespace)
        .map_or((text, ""), |(name, rest)| (name, rest.trim()));
    match (name, argument) {
        ("d", "") => shell.statement(&tables("")).await?,
        ("d", argument) => columns(shell, argument).await?,
        ("dt", "") => shell.statement(&tables("AND table_type <> 'VIEW'")).await?,
        ("dv", "") => shell.statement(&tables("AND table_type = 'VIEW'")).await?,
        ("dn", "") => shell.statement(SCHEMAS).await?,
        ("ds", "") => shell.statement("SHOW SPECS").await?,
        ("df", pattern) => shell.statement(&functions(pattern)).await?,
        ("format", "") => {
            let name = shell.view.format.to_possible_value();
            let name = name.map(|value| value.get_name().to_owned());
            shell.say(&format!("format is {}", name.unwrap_or_default()))?;
        }
        ("format", name) => {
            shell.view.format = Format::from_str(name, true).map_err(|_| {
                let text = format!("{name} is no format; expected table, csv, tsv, json or jsonl");
                UsageError(text)
            })?;
        }
        ("x", "") => {
            shell.view.expanded = !shell.view.expanded;
            shell.say(&format!("expanded tables are {}", on(shell.view.expanded)))?;
        }
        ("timing", "") => {
            shell.view.timing = !shell.view.timing;
            shell.say(&format!("times are {}", on(shell.view.timing)))?;
        }
        ("o", "") => shell.output = Output::Standard,
        ("o", file) => shell.output = Output::file(Path::new(unquoted(file)))?,
        ("i", file) if !file.is_empty() => shell.script(Path::new(unquoted(file))).await?,
        ("?" | "h" | "help", "") => Output::Standard.write(format!("{HELP}\n").as_bytes())?,
        ("q" | "quit", "") => return Ok(Flow::Leave),
        ("dt" | "dv" | "dn" | "ds" | "x" | "timing" | "?" | "h" | "help" | "q" | "quit", _) => {
            return Err(UsageError(format!("\\{name} takes nothing after it")).into());
        }
        ("i", _) => return Err(UsageError("\\i needs the name of a file".to_owned()).into()),
        _ => {
            let text = format!("\\{name} is no command; \\? lists them");
            return Err(UsageError(text).into());
        }
    }
    Ok(Flow::GoOn)
}

const SCHEMAS: &str = "SELECT schema_name AS schema FROM information_schema.schemata \
    WHERE schema_name <> 'information_schema' GROUP BY schema_name ORDER BY 1";

fn tables(more: &str) -> String {
    format!(
        "SELECT CASE table_catalog WHEN 'sanitizer' THEN table_schema \
         ELSE table_catalog || '.' || table_schema END AS schema, \
         table_name AS name, table_type AS type \
         FROM information_schema.tables \
         WHERE table_schema <> 'information_schema' {more} ORDER BY 1, 2"
    )
}

/// Shows the columns of a table.
async fn columns(shell: &mut Shell, name: &str) -> anyhow::Result<()> {
    let Some((schema, table)) = table_name(name) else {
        return Err(UsageError(format!("{name} is no name of a table")).into());
    };
    let mut wanted = format!("table_name = {}", literal(&table));
    if let Some(schema) = schema {
        wanted.push_str(&format!(" AND table_schema = {}", literal(&schema)));
    }
    let from = format!("FROM information_schema.columns WHERE {wanted}");
    let count = format!("SELECT count(*) {from}");
    if shell.target.texts(&count).await? == [["0"]] {
        let text = format!("there is no table or view {name}; \\d lists them");
        return Err(UsageError(text).into());
    }
    let query = format!(
        "SELECT column_name AS column, data_type AS type, is_nullable AS nullable \
         {from} ORDER BY table_schema, ordinal_position"
    );
    shell.statement(&query).await
}

fn functions(pattern: &str) -> String {
    let wanted = match pattern {
        "" => "%".to_owned(),
        pattern if pattern.contains('*') => pattern.replace('*', "%"),
        pattern => format!("%{pattern}%"),
    };
    // An underscore is part of names here, no wildcard.
    let wanted = literal(&wanted.replace('_', "\\_"));
    format!(
        "SELECT routine_name AS function, lower(min(function_type)) AS kind, \
         min(syntax_example) AS example, replace(min(description), chr(10), ' ') AS description \
         FROM information_schema.routines WHERE routine_name ILIKE {wanted} \
         GROUP BY routine_name ORDER BY 1"
    )
}

/// A name of a table as SQL reads it, perhaps with the schema's: small letters unless in quotes.
fn table_name(text: &str) -> Option<(Option<String>, String)> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let part = parts.last_mut()?;
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                part.push('"');
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            other if quoted => part.push(other),
            other => part.extend(other.to_lowercase()),
        }
    }
    let table = parts.pop().filter(|table| !table.is_empty() && !quoted)?;
    Some((parts.pop().filter(|schema| !schema.is_empty()), table))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A file's name, which may stand in quotes.
fn unquoted(file: &str) -> &str {
    let inner = |mark| file.strip_prefix(mark)?.strip_suffix(mark);
    inner('\'').or_else(|| inner('"')).unwrap_or(file)
}

fn on(yes: bool) -> &'static str {
    if yes { "on" } else { "off" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names are read as SQL reads them.
    #[test]
    fn names_of_tables() {
        let name = |schema: &str, table: &str| {
            let schema = Some(schema.to_owned()).filter(|schema| !schema.is_empty());
            Some((schema, table.to_owned()))
        };
        let cases = [
            ("Abc", name("", "abc")),
            ("\"Abc\"", name("", "Abc")),
            ("S.\"a.\"\"b\"", name("s", "a.\"b")),
            ("c.s.t", name("s", "t")),
            ("", None),
            ("\"a", None),
            ("a.", None),
        ];
        for (text, expected) in cases {
            assert_eq!(table_name(text), expected, "{text}");
        }
    }

    /// A part of a name finds it; quotes stay within the text.
    #[test]
    fn patterns_of_functions() {
        assert!(functions("").contains("ILIKE '%'"));
        assert!(functions("pii_*").contains("ILIKE 'pii\\_%'"));
        assert!(functions("o'x").contains("ILIKE '%o''x%'"));
    }
}
