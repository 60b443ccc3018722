//! From text to statements, within limits that keep the stack and the memory of a server safe.

use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{TableFactor, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::walk::walk;
use crate::error::{Error, Result};

/// Bytes of the longest text.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// Operators of the longest chain: a tree of expressions is as deep as its chain is long.
const MAX_OPERATORS: usize = 5_000;

/// Levels of brackets.
const MAX_DEPTH: usize = 64;

/// Levels of special forms such as `CAST(…)`. The parser reads what is wrong within one twice, as the form and as a
/// function of that name, so its time doubles with each level.
const MAX_FORMS: usize = 12;

/// Tables, subqueries and functions that a statement reads from.
const MAX_RELATIONS: usize = 512;

/// A statement as it was parsed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// A statement of SQL.
    Sql(Box<Parsed>),
    /// `CREATE [OR REPLACE] SPEC name AS 'spec'`.
    CreateSpec {
        name: String,
        spec: String,
        or_replace: bool,
    },
    /// `DROP SPEC [IF EXISTS] name`.
    DropSpec { name: String, if_exists: bool },
    /// `SHOW SPECS`.
    ShowSpecs,
}

/// The statements of a text, each with its own text.
pub(crate) fn parse_all(sql: &str) -> Result<Vec<(String, Command)>> {
    if sql.len() > MAX_BYTES {
        return Err(Error::Invalid(format!(
            "a text of {} bytes, where {MAX_BYTES} are the most",
            sql.len()
        )));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql)
        .tokenize_with_location()
        .map_err(|error| Error::Invalid(format!("SQL: {error}")))?;
    let lines = line_starts(sql);
    tokens
        .split(|token| token.token == Token::SemiColon)
        .filter(|tokens| tokens.iter().any(|token| !is_space(token)))
        .map(|tokens| {
            let text = text_of(sql, &lines, tokens);
            check_tokens(tokens)?;
            Ok((text.to_owned(), parse_one(text, tokens)?))
        })
        .collect()
}

fn is_space(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_) | Token::EOF)
}

/// Where the lines of a text begin.
fn line_starts(sql: &str) -> Vec<usize> {
    let breaks = sql.match_indices('\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(breaks).collect()
}

/// The text of some tokens, from the first to the last that is no white space.
fn text_of<'a>(sql: &'a str, lines: &[usize], tokens: &[TokenWithSpan]) -> &'a str {
    let place = |line: u64, column: u64| {
        let line = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let start = lines.get(line).copied().unwrap_or(sql.len());
        // Columns count characters.
        let skipped = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
        let rest = &sql[start..];
        let offset = rest.char_indices().nth(skipped);
        start + offset.map_or(rest.len(), |(at, _)| at)
    };
    let mut real = tokens.iter().filter(|token| !is_space(token));
    let (Some(first), last) = (real.next(), real.next_back()) else {
        return "";
    };
    let last = last.unwrap_or(first);
    let start = place(first.span.start.line, first.span.start.column);
    let end = place(last.span.end.line, last.span.end.column);
    sql.get(start..end.max(start)).unwrap_or_default()
}

/// Refuses what would nest too deeply to be worked on.
fn check_tokens(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut operators = 0;
    // The open brackets, and whether each is that of a special form.
    let mut open: Vec<(&TokenWithSpan, bool)> = Vec::new();
    let mut forms = 0;
    let mut before: Option<&Token> = None;
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                let form = matches!(before, Some(Token::Word(word)) if is_form(word.keyword));
                forms += usize::from(form);
                open.push((token, form));
                if forms > MAX_FORMS {
                    return Err(Error::Invalid(format!(
                        "CAST, EXTRACT, TRIM, NOT (…) and the like are nested more than {MAX_FORMS} levels deep at {}",
                        token.span.start
                    )));
                }
                if open.len() > MAX_DEPTH {
                    return Err(Error::Invalid(format!(
                        "brackets are nested more than {MAX_DEPTH} levels deep at {}",
                        token.span.start
                    )));
                }
                // One subscript behind the other nests too.
                operators += usize::from(token.token == Token::LBracket);
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                let form = open.pop().is_some_and(|(_, form)| form);
                forms -= usize::from(form);
            }
            Token::Word(word) => operators += usize::from(nests(word.keyword)),
            Token::Number(..)
            | Token::Comma
            | Token::Period
            | Token::Whitespace(_)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::Placeholder(_)
            | Token::EOF => {}
            _ => operators += 1,
        }
        if !is_space(token) {
            before = Some(&token.token);
        }
    }
    if let Some((bracket, _)) = open.last() {
        return Err(Error::Invalid(format!(
            "SQL: the bracket {} at {} is not closed",
            bracket.token, bracket.span.start
        )));
    }
    if operators > MAX_OPERATORS {
        return Err(Error::Invalid(format!(
            "{operators} operators, where {MAX_OPERATORS} are the most; a long list of alternatives can be written as IN (…) or joined as a table"
        )));
    }
    Ok(())
}

/// Words that are more than the name of a function where a bracket follows.
fn is_form(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::ARRAY
            | Keyword::CAST
            | Keyword::CEIL
            | Keyword::CONVERT
            | Keyword::EXISTS
            | Keyword::EXTRACT
            | Keyword::FLOOR
            | Keyword::INTERVAL
            | Keyword::MAP
            | Keyword::MATCH
            | Keyword::NOT
            | Keyword::OVERLAY
            | Keyword::POSITION
            | Keyword::SAFE_CAST
            | Keyword::STRUCT
            | Keyword::SUBSTR
            | Keyword::SUBSTRING
            | Keyword::TRIM
            | Keyword::TRY_CAST
            | Keyword::TRY_CONVERT
    )
}

/// Words that put what stands before or behind them one level down.
fn nests(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::AND
            | Keyword::OR
            | Keyword::NOT
            | Keyword::IS
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::BETWEEN
            | Keyword::COLLATE
            | Keyword::AT
            | Keyword::JOIN
            | Keyword::UNION
            | Keyword::EXCEPT
            | Keyword::INTERSECT
            | Keyword::EXPLAIN
            | Keyword::CASE
    )
}

fn parse_one(text: &str, tokens: &[TokenWithSpan]) -> Result<Command> {
    if let Some(command) = parse_spec(tokens)? {
        return Ok(command);
    }
    let mut parser = DFParserBuilder::new(text)
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(2 * MAX_DEPTH)
        .build()?;
    let mut statements = parser.parse_statements()?;
    let (Some(statement), None) = (statements.pop_front(), statements.pop_front()) else {
        return Err(Error::Invalid("one statement is expected".to_owned()));
    };
    check_relations(&statement)?;
    Ok(Command::Sql(Box::new(statement)))
}

/// The statements about stored specs, which are no SQL.
fn parse_spec(tokens: &[TokenWithSpan]) -> Result<Option<Command>> {
    let tokens: Vec<&Token> = tokens
        .iter()
        .filter(|token| !is_space(token))
        .map(|token| &token.token)
        .collect();
    let word = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
        _ => String::new(),
    };
    let name = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) => Ok(match word.quote_style {
            None => word.value.to_lowercase(),
            Some(_) => word.value.clone(),
        }),
        _ => Err(Error::Invalid("the name of a spec is expected".to_owned())),
    };
    let end = |at: usize| match tokens.get(at) {
        None => Ok(()),
        Some(token) => Err(Error::Invalid(format!(
            "unexpected {token} behind the statement"
        ))),
    };
    let or_replace = word(1) == "OR" && word(2) == "REPLACE";
    let at = if or_replace { 3 } else { 1 };
    Ok(Some(match (word(0).as_str(), word(at).as_str()) {
        ("CREATE", "SPEC") => {
            let name = name(at + 1)?;
            let spec = match (word(at + 2).as_str(), tokens.get(at + 3)) {
                (
                    "AS",
                    Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)),
                ) => text.clone(),
                ("AS", Some(Token::DollarQuotedString(text))) => text.value.clone(),
                _ => {
                    return Err(Error::Invalid(
                        "CREATE SPEC name AS 'a job spec, in JSON or YAML' is expected".to_owned(),
                    ));
                }
            };
            end(at + 4)?;
            Command::CreateSpec {
                name,
                spec,
                or_replace,
            }
        }
        ("DROP", "SPEC") => {
            let if_exists = word(2) == "IF" && word(3) == "EXISTS";
            let at = if if_exists { 4 } else { 2 };
            end(at + 1)?;
            Command::DropSpec {
                name: name(at)?,
                if_exists,
            }
        }
        ("SHOW", "SPECS") => {
            end(2)?;
            Command::ShowSpecs
        }
        _ => return Ok(None),
    }))
}

/// Refuses more relations than a plan can be made of.
fn check_relations(statement: &Parsed) -> Result<()> {
    struct Count(usize);
    impl Visitor for Count {
        type Break = ();
        fn pre_visit_table_factor(&mut self, _: &TableFactor) -> ControlFlow<()> {
            self.0 += 1;
            if self.0 > MAX_RELATIONS {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    let mut count = Count(0);
    let _ = walk(statement, &mut count);
    if count.0 > MAX_RELATIONS {
        return Err(Error::Invalid(format!(
            "a statement reads from {MAX_RELATIONS} tables at most"
        )));
    }
    Ok(())
}
