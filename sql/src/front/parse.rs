//! From text to statements, within limits that keep the stack and the memory of a server safe.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{Query, TableFactor, Visitor};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use planner::sql_limits::{MeteredDialect, SqlLimits, tokens_of};

use super::walk::walk;
use crate::error::{Error, Result};

/// Bytes of the longest text.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// How deep statements nest.
const LIMITS: SqlLimits = SqlLimits {
    operators: 5_000,
    brackets: 64,
};

/// Tables, subqueries, functions and common table expressions that a statement reads from.
const MAX_RELATIONS: usize = 512;

/// Tables that a statement comes to when each common table expression stands wherever it is named.
const MAX_EXPANDED: usize = 4_096;

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
    let tokens = tokens_of(sql).map_err(Error::Invalid)?;
    let mut places = Places::new(sql);
    tokens
        .split(|token| token.token == Token::SemiColon)
        .filter(|tokens| tokens.iter().any(|token| !is_space(token)))
        .map(|tokens| {
            let text = places.text_of(tokens);
            LIMITS.check(tokens).map_err(Error::Invalid)?;
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

/// Finds places of a text by line and column, which are asked for from the start to the end: so a long line is walked once,
/// however many statements it has.
struct Places<'a> {
    sql: &'a str,
    lines: Vec<usize>,
    /// The last place: line and column, from 0, and byte.
    last: (usize, usize, usize),
}

impl<'a> Places<'a> {
    fn new(sql: &'a str) -> Self {
        Self {
            sql,
            lines: line_starts(sql),
            last: (0, 0, 0),
        }
    }

    fn byte(&mut self, line: u64, column: u64) -> usize {
        let number = |n: u64| usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
        let (line, column) = (number(line), number(column));
        let start = self.lines.get(line).copied().unwrap_or(self.sql.len());
        let (from, skipped) = match self.last {
            (known, before, byte) if known == line && before <= column => (byte, column - before),
            _ => (start, column),
        };
        // Columns count characters.
        let rest = &self.sql[from..];
        let offset = rest.char_indices().nth(skipped);
        let byte = from + offset.map_or(rest.len(), |(at, _)| at);
        self.last = (line, column, byte);
        byte
    }

    /// The text of some tokens, from the first to the last that is no white space.
    fn text_of(&mut self, tokens: &[TokenWithSpan]) -> &'a str {
        let mut real = tokens.iter().filter(|token| !is_space(token));
        let (Some(first), last) = (real.next(), real.next_back()) else {
            return "";
        };
        let last = last.unwrap_or(first);
        let start = self.byte(first.span.start.line, first.span.start.column);
        let end = self.byte(last.span.end.line, last.span.end.column);
        self.sql.get(start..end.max(start)).unwrap_or_default()
    }
}

fn parse_one(text: &str, tokens: &[TokenWithSpan]) -> Result<Command> {
    if let Some(command) = parse_spec(tokens)? {
        return Ok(command);
    }
    let dialect = MeteredDialect::new(tokens.len());
    let mut parser = DFParserBuilder::new(text)
        .with_dialect(&dialect)
        .with_recursion_limit(2 * LIMITS.brackets)
        .build()?;
    let parsed = parser.parse_statements();
    if parsed.is_err() && dialect.is_spent() {
        let error = ParserError::RecursionLimitExceeded;
        return Err(Error::Invalid(dialect.told(&error)));
    }
    let mut statements = parsed?;
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
    let mut relations = Relations::default();
    let _ = walk(statement, &mut relations);
    if relations.named > MAX_RELATIONS {
        return Err(Error::Invalid(format!(
            "a statement reads from {MAX_RELATIONS} tables and common table expressions at most"
        )));
    }
    if relations.most > MAX_EXPANDED {
        return Err(Error::Invalid(format!(
            "the statement comes to more than {MAX_EXPANDED} tables, with what its common table expressions name several times"
        )));
    }
    Ok(())
}

/// Counts the relations of a statement.
#[derive(Default)]
struct Relations {
    /// Those that the text names.
    named: usize,
    /// The relations of each query that is being visited, those of its subqueries included.
    open: Vec<usize>,
    /// The queries of common table expressions, by where they are.
    definitions: HashMap<*const Query, String>,
    /// What each common table expression comes to; the most of those of one name.
    expressions: HashMap<String, usize>,
    /// The most relations of a query.
    most: usize,
}

impl Relations {
    fn count(&mut self, named: usize, expanded: usize) -> ControlFlow<()> {
        self.named += named;
        if let Some(open) = self.open.last_mut() {
            *open = open.saturating_add(expanded);
            self.most = self.most.max(*open);
        }
        if self.named > MAX_RELATIONS || self.most > MAX_EXPANDED {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.open.push(0);
        let defined = query.with.iter().flat_map(|with| &with.cte_tables);
        let mut count = 0;
        for expression in defined {
            let name = expression.alias.name.value.to_lowercase();
            let place = std::ptr::from_ref(expression.query.as_ref());
            self.definitions.insert(place, name);
            count += 1;
        }
        self.count(count, 0)
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let relations = self.open.pop().unwrap_or_default();
        match self.definitions.remove(&std::ptr::from_ref(query)) {
            Some(name) => {
                let known = self.expressions.entry(name).or_default();
                *known = relations.max(*known).max(1);
                ControlFlow::Continue(())
            }
            None => self.count(0, relations),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let known = match factor {
            TableFactor::Table { name, .. } => {
                let name = name.0.last().map(ToString::to_string).unwrap_or_default();
                let name = name.trim_matches(['"', '`']).to_lowercase();
                self.expressions.get(&name).copied()
            }
            _ => None,
        };
        self.count(1, known.unwrap_or(1))
    }
}
