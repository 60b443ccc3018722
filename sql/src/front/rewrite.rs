//! `SELECT sanitize(*) FROM t` becomes `SELECT * FROM sanitize((SELECT * FROM t))`, which is planned as
//! a relation. What makes no sense is refused with a word on what to write instead.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    ObjectName, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias,
    TableFactor, TableFunctionArgs, TableWithJoins, Value, VisitMut, VisitorMut,
    WildcardAdditionalOptions,
};

use super::relation::{self, SANITIZE};
use super::walk::walk_mut;
use crate::error::{Error, Result};

/// Rewrites every `sanitize(...)` of a statement.
pub(crate) fn rewrite(statement: &mut Parsed) -> Result<()> {
    match walk_mut(statement, &mut Rewriter) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Rewriter;

impl VisitorMut for Rewriter {
    type Break = Error;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        flow(rewrite_select(select))
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        flow(rewrite_factor(factor))
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Expr::Function(function) = expr
            && named(&function.name, SANITIZE)
        {
            return ControlFlow::Break(Error::Invalid(
                "sanitize(…) is a whole table: it stands alone in a SELECT list, or in FROM; write SELECT … FROM (SELECT sanitize(*) FROM t) AS clean"
                    .to_owned(),
            ));
        }
        ControlFlow::Continue(())
    }
}

fn flow(done: Result<()>) -> ControlFlow<Error> {
    match done {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

/// Whether an object is named so, without a schema.
pub(crate) fn named(name: &ObjectName, wanted: &str) -> bool {
    match name.0.as_slice() {
        [part] => part
            .as_ident()
            .is_some_and(|ident| ident.value.eq_ignore_ascii_case(wanted)),
        _ => false,
    }
}

/// The call of `sanitize` that an item of a SELECT list is.
fn sanitize_call(item: &SelectItem) -> Option<&Function> {
    let expr = match item {
        SelectItem::UnnamedExpr(expr)
        | SelectItem::ExprWithAlias { expr, .. }
        | SelectItem::ExprWithAliases { expr, .. } => expr,
        _ => return None,
    };
    match expr {
        Expr::Function(function) if named(&function.name, SANITIZE) => Some(function),
        _ => None,
    }
}

fn rewrite_select(select: &mut Select) -> Result<()> {
    let Some(call) = select.projection.iter().find_map(sanitize_call).cloned() else {
        return rewrite_row_hash(select);
    };
    let refuse = |problem: &str| Err(Error::Invalid(problem.to_owned()));
    if select.projection.len() > 1 {
        return refuse(
            "sanitize(…) is a whole table and stands alone in its SELECT list; write SELECT …, … FROM (SELECT sanitize(*) FROM t) AS clean",
        );
    }
    if matches!(
        select.projection[0],
        SelectItem::ExprWithAlias { .. } | SelectItem::ExprWithAliases { .. }
    ) {
        return refuse(
            "sanitize(…) is a whole table and has no column name of its own; leave AS out, or write FROM sanitize(t) AS name",
        );
    }
    if select
        .distinct
        .as_ref()
        .is_some_and(|d| *d != Distinct::All)
    {
        return refuse(
            "sanitize(…) takes no DISTINCT: the default pipeline removes duplicates; or write SELECT DISTINCT * FROM (SELECT sanitize(*) FROM t) AS clean",
        );
    }
    let grouped = match &select.group_by {
        GroupByExpr::Expressions(by, modifiers) => !by.is_empty() || !modifiers.is_empty(),
        GroupByExpr::All(_) => true,
    };
    if grouped || select.having.is_some() {
        return refuse(
            "sanitize(…) takes no GROUP BY and no HAVING; write SELECT …, count(*) FROM (SELECT sanitize(*) FROM t) AS clean GROUP BY …",
        );
    }
    if select.qualify.is_some() || !select.sort_by.is_empty() || select.into.is_some() {
        return refuse("sanitize(…) takes no QUALIFY, SORT BY and INTO; put it into a subquery");
    }
    if select.from.is_empty() {
        return refuse("sanitize(…) needs a FROM: SELECT sanitize(*) FROM t");
    }
    if call.over.is_some() || call.filter.is_some() || !call.within_group.is_empty() {
        return refuse("sanitize(…) is no aggregate: it takes no OVER, FILTER and WITHIN GROUP");
    }
    let (items, options) = split_arguments(&call)?;
    // Rows and columns are chosen first; what is left of the SELECT reads the cleaned rows.
    let mut inner = select.clone();
    inner.projection = items;
    inner.distinct = None;
    let mut arguments = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(
        Box::new(query_of(inner)),
    )))];
    arguments.extend(options);
    let alias = match select.from.as_slice() {
        // The name of the table stays that of its cleaned rows: ORDER BY t.age.
        [only] if only.joins.is_empty() => alias_of(&only.relation),
        _ => None,
    };
    *select = Select {
        projection: vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())],
        from: vec![TableWithJoins {
            relation: call_in_from(SANITIZE, arguments, alias),
            joins: Vec::new(),
        }],
        selection: None,
        ..select.clone()
    };
    Ok(())
}

/// What the call names to clean, and how: `*`, columns, then a spec and named options.
fn split_arguments(call: &Function) -> Result<(Vec<SelectItem>, Vec<FunctionArg>)> {
    let FunctionArguments::List(list) = &call.args else {
        return Err(Error::Invalid(
            "write sanitize(*), or sanitize(a, b)".to_owned(),
        ));
    };
    if list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
        return Err(Error::Invalid(
            "sanitize(…) takes columns and options, and neither DISTINCT nor ORDER BY".to_owned(),
        ));
    }
    let mut items = Vec::new();
    let mut options = Vec::new();
    let last = list.args.len().saturating_sub(1);
    for (at, argument) in list.args.iter().enumerate() {
        match argument {
            FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
                options.push(argument.clone());
            }
            _ if !options.is_empty() => {
                return Err(Error::Invalid(
                    "columns and the spec come before the named options of sanitize(…)".to_owned(),
                ));
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if is_text(expr) => {
                let named = |argument: &FunctionArg| !matches!(argument, FunctionArg::Unnamed(_));
                if at != last && !list.args[at + 1..].iter().all(named) {
                    return Err(Error::Invalid(
                        "the spec is the last argument of sanitize(…)".to_owned(),
                    ));
                }
                options.push(argument.clone());
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(inner)))
                if named(&inner.name, SANITIZE) =>
            {
                return Err(Error::Invalid(
                    "sanitize(…) cleans a table once; to clean the cleaned rows write FROM (SELECT sanitize(*) FROM t) AS clean"
                        .to_owned(),
                ));
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
                items.push(SelectItem::UnnamedExpr(expr.clone()));
            }
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => {
                items.push(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
            }
            FunctionArg::Unnamed(FunctionArgExpr::WildcardWithOptions(how)) => {
                items.push(SelectItem::Wildcard(how.clone()));
            }
            FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)) => {
                items.push(SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name.clone()),
                    WildcardAdditionalOptions::default(),
                ));
            }
        }
    }
    if items.is_empty() {
        items.push(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
    }
    Ok((items, options))
}

/// Whether an argument is a text, which names or holds a spec.
pub(crate) fn is_text(expr: &Expr) -> bool {
    text(expr).is_some()
}

/// The text that a constant is.
pub(crate) fn text(expr: &Expr) -> Option<&str> {
    let Expr::Value(value) = expr else {
        return None;
    };
    match &value.value {
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
        Value::DollarQuotedString(text) => Some(&text.value),
        _ => None,
    }
}

/// `FROM sanitize(t)` reads `FROM sanitize((SELECT * FROM t))`, and so for each step.
fn rewrite_factor(factor: &mut TableFactor) -> Result<()> {
    let TableFactor::Table {
        name,
        args: Some(arguments),
        ..
    } = factor
    else {
        return Ok(());
    };
    if !relation::NAMES.iter().any(|known| named(name, known)) {
        return Ok(());
    }
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(input))) = arguments.args.first_mut()
    else {
        return Err(Error::Invalid(format!(
            "{name} needs a table first: {name}(t, …) or {name}((SELECT …), …)"
        )));
    };
    let table = match input {
        Expr::Subquery(_) => return Ok(()),
        // One relation reads another: impute(dedupe(t)).
        Expr::Function(inner)
            if relation::NAMES
                .iter()
                .any(|known| named(&inner.name, known)) =>
        {
            let FunctionArguments::List(list) = &inner.args else {
                return Err(not_a_table(name, input));
            };
            let call = call_in_from(&inner.name.to_string(), list.args.clone(), None);
            *input = Expr::Subquery(Box::new(all_of(call)));
            return Ok(());
        }
        Expr::Identifier(ident) => ObjectName::from(vec![ident.clone()]),
        Expr::CompoundIdentifier(idents) => ObjectName::from(idents.clone()),
        // A path, as in FROM 'data.csv'.
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(path) => {
                ObjectName::from(vec![Ident::with_quote('"', path.clone())])
            }
            _ => return Err(not_a_table(name, input)),
        },
        _ => return Err(not_a_table(name, input)),
    };
    *input = Expr::Subquery(Box::new(all_of(in_from(table, None, None))));
    Ok(())
}

/// `SELECT * FROM relation`.
fn all_of(relation: TableFactor) -> Query {
    let mut select = empty_select();
    select.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
    select.from = vec![TableWithJoins {
        relation,
        joins: Vec::new(),
    }];
    query_of(select)
}

fn not_a_table(name: &ObjectName, input: &Expr) -> Error {
    Error::Invalid(format!(
        "{input} is no table; write {name}(t, …) or {name}((SELECT …), …)"
    ))
}

/// `row_hash(*)` reads the hash of all columns of the one table in FROM.
fn rewrite_row_hash(select: &mut Select) -> Result<()> {
    /// Calls that were found, and how deep in subqueries the visitor is: those have their own FROM.
    struct Calls(usize, usize);
    impl VisitorMut for Calls {
        type Break = ();
        fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
            self.1 += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
            self.1 -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if self.1 == 0
                && let Expr::Function(function) = expr
                && named(&function.name, "row_hash")
                && let FunctionArguments::List(list) = &function.args
                && matches!(
                    list.args.as_slice(),
                    [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]
                )
            {
                self.0 += 1;
                *expr = Expr::Identifier(Ident::new(relation::ROW_HASH_COLUMN));
            }
            ControlFlow::Continue(())
        }
    }
    let mut calls = Calls(0, 0);
    for item in &mut select.projection {
        let unnamed = matches!(item, SelectItem::UnnamedExpr(_));
        let before = calls.0;
        let _ = item.visit(&mut calls);
        if let (true, true, SelectItem::UnnamedExpr(expr)) = (unnamed, calls.0 > before, &*item)
            && matches!(expr, Expr::Identifier(_))
        {
            *item = SelectItem::ExprWithAlias {
                expr: expr.clone(),
                alias: Ident::new("row_hash"),
            };
        }
    }
    for condition in select.selection.iter_mut().chain(&mut select.having) {
        let _ = condition.visit(&mut calls);
    }
    if let GroupByExpr::Expressions(by, _) = &mut select.group_by {
        for expr in by {
            let _ = expr.visit(&mut calls);
        }
    }
    if calls.0 == 0 {
        return Ok(());
    }
    let [only] = select.from.as_mut_slice() else {
        return Err(Error::Invalid(
            "row_hash(*) needs a FROM of one table; name the columns: row_hash(a, b)".to_owned(),
        ));
    };
    let wildcard = select.projection.iter().any(|item| {
        matches!(
            item,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
        )
    });
    if !only.joins.is_empty() {
        return Err(Error::Invalid(
            "row_hash(*) needs a FROM of one table; put the join into a subquery, or name the columns"
                .to_owned(),
        ));
    }
    if wildcard {
        // The hash is a column of its own and must not come twice.
        for item in &mut select.projection {
            if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item
            {
                if options.opt_exclude.is_some() {
                    return Err(Error::Invalid(
                        "row_hash(*) does not stand beside * EXCLUDE; name the columns".to_owned(),
                    ));
                }
                options.opt_exclude =
                    Some(datafusion::sql::sqlparser::ast::ExcludeSelectItem::Single(
                        ObjectName::from(vec![Ident::new(relation::ROW_HASH_COLUMN)]),
                    ));
            }
        }
    }
    let alias = alias_of(&only.relation);
    let all = all_of(only.relation.clone());
    let arguments = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(
        Box::new(all),
    )))];
    only.relation = call_in_from(relation::ROW_HASHED, arguments, alias);
    Ok(())
}

/// The name under which the columns of a relation are known.
fn alias_of(relation: &TableFactor) -> Option<TableAlias> {
    match relation {
        TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::Function { alias, .. }
            if alias.is_some() =>
        {
            let mut alias = alias.clone()?;
            // Renamed columns have their names inside.
            alias.columns.clear();
            Some(alias)
        }
        TableFactor::Table { name, .. } => {
            let last = name.0.last()?.as_ident()?.clone();
            Some(TableAlias {
                explicit: true,
                name: last,
                columns: Vec::new(),
                at: None,
            })
        }
        _ => None,
    }
}

fn call_in_from(name: &str, args: Vec<FunctionArg>, alias: Option<TableAlias>) -> TableFactor {
    let args = TableFunctionArgs {
        args,
        settings: None,
    };
    in_from(ObjectName::from(vec![Ident::new(name)]), Some(args), alias)
}

/// A table, or a call of a table function.
fn in_from(
    name: ObjectName,
    args: Option<TableFunctionArgs>,
    alias: Option<TableAlias>,
) -> TableFactor {
    TableFactor::Table {
        name,
        alias,
        args,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// A query of one SELECT.
fn query_of(select: Select) -> Query {
    Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

fn empty_select() -> Select {
    Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: Vec::new(),
        exclude: None,
        into: None,
        from: Vec::new(),
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: datafusion::sql::sqlparser::ast::SelectFlavor::Standard,
    }
}
