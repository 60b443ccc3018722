//! Limits of SQL text that comes from callers: how deep it may nest, and how long it may take to parse.
//!
//! A syntax tree is as deep as its chains of operators are long, and whatever walks it needs a stack of that depth. So the
//! limits are on tokens, before anything is parsed. They do not name the operators that nest: every token counts that is
//! neither an operand, nor a separator, nor one of a few words that cannot nest. A parser that reads some text in several ways
//! takes time that doubles with each level, so it has a budget of steps as well.

use std::any::TypeId;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// Operators and words with nothing between them that they could be applied to: each may be one level deeper.
const MAX_RUN: usize = 24;

/// Steps that a parser may take beside those for the tokens.
const FREE_STEPS: usize = 10_000;

/// Steps for each token.
const STEPS: usize = 16;

/// How large a text of SQL may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// Operators, and keywords that may nest.
    pub operators: usize,
    /// Levels of brackets.
    pub brackets: usize,
}

impl SqlLimits {
    /// The limits of a condition over the columns of a row.
    pub const CONDITION: Self = Self {
        operators: 200,
        brackets: 32,
    };

    /// Checks the tokens of a statement.
    ///
    /// # Errors
    /// What is too much, in a sentence.
    pub fn check(&self, tokens: &[TokenWithSpan]) -> Result<(), String> {
        let (mut operators, mut run) = (0_usize, 0_usize);
        let mut open: Vec<&TokenWithSpan> = Vec::new();
        for (place, token) in tokens.iter().enumerate() {
            match &token.token {
                Token::LParen | Token::LBracket | Token::LBrace => {
                    open.push(token);
                    if open.len() > self.brackets {
                        return Err(format!(
                            "brackets are nested more than {} levels deep at {}",
                            self.brackets, token.span.start
                        ));
                    }
                    // One subscript after the other nests too.
                    operators += usize::from(token.token == Token::LBracket);
                }
                Token::RParen | Token::RBracket | Token::RBrace => {
                    open.pop();
                    run = 0;
                }
                Token::Whitespace(_) | Token::Period | Token::EOF => {}
                token if is_operand(token) => run = 0,
                Token::Word(word) if is_flat(word.keyword) || is_name(&tokens[place + 1..]) => {}
                _ => {
                    operators += 1;
                    run += 1;
                    if run > MAX_RUN {
                        return Err(format!(
                            "more than {MAX_RUN} operators and keywords follow each other at {}",
                            token.span.start
                        ));
                    }
                }
            }
        }
        if let Some(bracket) = open.last() {
            return Err(format!(
                "SQL: the bracket {} at {} is not closed",
                bracket.token, bracket.span.start
            ));
        }
        if operators > self.operators {
            return Err(format!(
                "{operators} operators and keywords, where {} are the most; a long list of alternatives can be written as IN (…) or joined as a table",
                self.operators
            ));
        }
        Ok(())
    }

    /// Checks the text of an expression, and parses it within the limits.
    ///
    /// # Errors
    /// What is too much or wrong, in a sentence.
    pub fn check_expression(&self, sql: &str) -> Result<Expr, String> {
        let tokens = tokens_of(sql)?;
        self.check(&tokens)?;
        let dialect = MeteredDialect::new(tokens.len());
        let mut parser = Parser::new(&dialect)
            .with_tokens_with_locations(tokens)
            .with_recursion_limit(2 * self.brackets);
        let parsed = parser.parse_expr();
        parsed.map_err(|error| dialect.told(&error))
    }
}

/// Splits a text into tokens.
///
/// # Errors
/// What cannot be a token, in a sentence.
pub fn tokens_of(sql: &str) -> Result<Vec<TokenWithSpan>, String> {
    let mut tokenizer = Tokenizer::new(&GenericDialect {}, sql);
    let tokens = tokenizer.tokenize_with_location();
    tokens.map_err(|error| format!("SQL: {error}"))
}

/// What operators are applied to, and what separates it.
fn is_operand(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword == Keyword::NoKeyword || word.quote_style.is_some(),
        Token::Number(..)
        | Token::Comma
        | Token::Placeholder(_)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::DollarQuotedString(_) => true,
        _ => false,
    }
}

/// Whether a keyword is the name of something, such as a column `date`, by what comes behind it: keywords that nest come
/// before an operand or another keyword.
fn is_name(behind: &[TokenWithSpan]) -> bool {
    let mut behind = behind.iter().map(|token| &token.token);
    let next = behind.find(|token| !matches!(token, Token::Whitespace(_)));
    match next {
        None
        | Some(
            Token::Comma
            | Token::Period
            | Token::RParen
            | Token::RBracket
            | Token::RBrace
            | Token::SemiColon
            | Token::EOF
            | Token::Eq
            | Token::DoubleEq
            | Token::Neq
            | Token::Lt
            | Token::Gt
            | Token::LtEq
            | Token::GtEq
            | Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::Mod
            | Token::StringConcat,
        ) => true,
        Some(_) => false,
    }
}

/// Words that cannot nest, of which honest statements have many: literals, names of types, and the parts of a list.
fn is_flat(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::AS
            | Keyword::ASC
            | Keyword::BIGINT
            | Keyword::BOOLEAN
            | Keyword::CHAR
            | Keyword::DATE
            | Keyword::DECIMAL
            | Keyword::DESC
            | Keyword::DOUBLE
            | Keyword::ELSE
            | Keyword::FALSE
            | Keyword::FLOAT
            | Keyword::INT
            | Keyword::INTEGER
            | Keyword::NULL
            | Keyword::NUMERIC
            | Keyword::PRECISION
            | Keyword::REAL
            | Keyword::SMALLINT
            | Keyword::STRING
            | Keyword::TEXT
            | Keyword::THEN
            | Keyword::TIME
            | Keyword::TIMESTAMP
            | Keyword::TINYINT
            | Keyword::TRUE
            | Keyword::VARCHAR
            | Keyword::WHEN
    )
}

/// The generic dialect, whose parser stops when it has taken too many steps.
#[derive(Debug)]
pub struct MeteredDialect {
    left: AtomicUsize,
}

impl MeteredDialect {
    /// Gives a parser the steps for so many tokens.
    pub fn new(tokens: usize) -> Self {
        Self {
            left: AtomicUsize::new(FREE_STEPS + STEPS * tokens),
        }
    }

    /// Whether the parser has taken all of its steps.
    pub fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// Says what a parser with this dialect has found wrong.
    pub fn told(&self, error: &ParserError) -> String {
        match error {
            ParserError::RecursionLimitExceeded if self.is_spent() => {
                "the text takes too long to parse: it nests what can be read in several ways"
                    .to_owned()
            }
            ParserError::RecursionLimitExceeded => "the text nests too deep".to_owned(),
            other => format!("SQL: {other}"),
        }
    }
}

/// Answers as the generic dialect does.
macro_rules! as_generic {
    ($($question:ident),+ $(,)?) => {
        $(fn $question(&self) -> bool {
            GenericDialect {}.$question()
        })+
    };
}

impl Dialect for MeteredDialect {
    // The parser asks for some dialects by their type.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    // Called wherever an operand is expected.
    fn parse_prefix(&self, _: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let spent = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        // The one error that the parser does not take for another way to read the text.
        let stop = Err(ParserError::RecursionLimitExceeded);
        spent.is_err().then_some(stop)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        GenericDialect {}.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        GenericDialect {}.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        GenericDialect {}.is_identifier_part(ch)
    }

    as_generic!(
        supports_unicode_string_literal,
        supports_partition_by_after_order_by,
        supports_array_join_syntax,
        supports_group_by_expr,
        supports_group_by_with_modifier,
        supports_left_associative_joins_without_parens,
        supports_connect_by,
        supports_match_recognize,
        supports_pipe_operator,
        supports_start_transaction_modifier,
        supports_window_function_null_treatment_arg,
        supports_dictionary_syntax,
        supports_window_clause_named_window_reference,
        supports_parenthesized_set_variables,
        supports_select_wildcard_except,
        support_map_literal_syntax,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_extract_comma_syntax,
        supports_create_view_comment_syntax,
        supports_parens_around_table_factor,
        supports_values_as_table_factor,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_limit_comma,
        supports_update_order_by,
        supports_from_first_select,
        supports_projection_trailing_commas,
        supports_asc_desc_in_column_definition,
        supports_try_convert,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_assignment_operator,
        supports_struct_literal,
        supports_empty_projections,
        supports_nested_comments,
        supports_multiline_comment_hints,
        supports_user_host_grantee,
        supports_string_escape_constant,
        supports_array_typedef_with_brackets,
        supports_match_against,
        supports_set_names,
        supports_comma_separated_set_assignments,
        supports_filter_during_aggregation,
        supports_select_wildcard_exclude,
        supports_data_type_signed_suffix,
        supports_interval_options,
        supports_quote_delimited_string,
        supports_select_wildcard_replace,
        supports_select_wildcard_ilike,
        supports_select_wildcard_rename,
        supports_optimize_table,
        supports_install,
        supports_detach,
        supports_prewhere,
        supports_with_fill,
        supports_limit_by,
        supports_interpolate,
        supports_settings,
        supports_select_format,
        supports_comment_optimizer_hint,
        supports_constraint_keyword_without_name,
        supports_key_column_option,
        supports_comma_separated_trim,
        supports_cte_without_as,
        supports_select_item_multi_column_alias,
        supports_xml_expressions,
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Whatever nests is bounded, by its length, its brackets, or the steps of the parser; nothing of it takes long.
    #[test]
    fn h2_conditions_are_bounded() {
        let chain = |operator: &str| format!("a{}", format!(" {operator} a").repeat(201));
        let mut hostile: Vec<String> = [
            "+",
            "OR",
            "XOR",
            "RLIKE",
            "REGEXP",
            "SIMILAR TO",
            "OVERLAPS",
            "||",
            "::",
        ]
        .iter()
        .map(|operator| chain(operator))
        .collect();
        hostile.push(format!("a{}", " IN (1)".repeat(201)));
        hostile.push(format!("a{}", " MEMBER OF (1)".repeat(201)));
        for prefix in ["INTERVAL ", "NOT ", "- ", "~ ", "PRIOR ", "INTERVAL NOT "] {
            hostile.push(format!("{}'1' DAY", prefix.repeat(450)));
        }
        for form in [
            "CASE(",
            "CAST(",
            "CURRENT_TIMESTAMP(",
            "TRIM(",
            "EXTRACT(",
            "NOT (",
            "f(",
        ] {
            let levels = 30;
            hostile.push(format!("{}1 1{}", form.repeat(levels), ")".repeat(levels)));
        }
        hostile.push("(".repeat(40) + "a" + &")".repeat(40));
        hostile.push(format!(
            "CAST(a AS {}INT{})",
            "ARRAY<".repeat(60),
            ">".repeat(60)
        ));
        for sql in hostile {
            let parsed = SqlLimits::CONDITION.check_expression(&sql);
            assert!(parsed.is_err(), "{}", &sql[..60.min(sql.len())]);
        }
    }

    /// What people write passes, and is read as the generic dialect reads it.
    #[test]
    fn honest_conditions() {
        let list = (0..2_000)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        let branches = (0..60).map(|n| format!(" WHEN a = {n} THEN DATE '2020-01-01'"));
        for sql in [
            "age >= 0 AND (age < 120 OR age IS NULL)".to_owned(),
            format!("a IN ({list})"),
            format!("CASE{} ELSE NULL END > b", branches.collect::<String>()),
            "NOT (NOT (NOT (a IS NOT DISTINCT FROM b)))".to_owned(),
            "start_date + INTERVAL '1' DAY <= end_date".to_owned(),
            "array_length([1, 2, [3][1]]) = 3 AND {'a': 1}['a'] = 1".to_owned(),
            "length(trim(lower(replace(\"Name\", 'x', '')))) BETWEEN 1 AND 20".to_owned(),
            "CAST(CAST(CAST(a AS TEXT) AS INT) AS DOUBLE) < 1e3".to_owned(),
            vec!["id = '1'"; 90].join(" OR "),
        ] {
            let parsed = SqlLimits::CONDITION.check_expression(&sql).unwrap();
            let mut generic = Parser::new(&GenericDialect {}).try_with_sql(&sql).unwrap();
            assert_eq!(parsed, generic.parse_expr().unwrap(), "{sql}");
        }
    }
}
