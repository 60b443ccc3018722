//! The secrets that a statement names by itself.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Visitor,
};

use super::rewrite::{named, text};
use super::walk::walk;

/// The names of secrets in the calls of `pii_hash`.
pub(crate) fn named_secrets(statement: &Parsed) -> Vec<String> {
    let mut found = Found(Vec::new());
    let _ = walk(statement, &mut found);
    found.0
}

struct Found(Vec<String>);

impl Visitor for Found {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && named(&function.name, "pii_hash")
            && let FunctionArguments::List(list) = &function.args
        {
            let texts = list
                .args
                .iter()
                .skip(1)
                .filter_map(|argument| match argument {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => text(expr),
                    _ => None,
                });
            self.0.extend(texts.map(str::to_owned));
        }
        ControlFlow::Continue(())
    }
}
