//! Walking through what is SQL in a statement, whatever statement of the engine it is part of.

use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{Visit, VisitMut, Visitor, VisitorMut};

/// Shows a statement to a visitor.
pub(crate) fn walk<V: Visitor>(statement: &Parsed, visitor: &mut V) -> ControlFlow<V::Break> {
    match statement {
        Parsed::Statement(statement) => statement.visit(visitor),
        Parsed::CopyTo(copy) => match &copy.source {
            CopyToSource::Query(query) => query.visit(visitor),
            CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        Parsed::Explain(explain) => walk(&explain.statement, visitor),
        Parsed::CreateExternalTable(_) | Parsed::Reset(_) => ControlFlow::Continue(()),
    }
}

/// Shows a statement to a visitor that may change it.
pub(crate) fn walk_mut<V: VisitorMut>(
    statement: &mut Parsed,
    visitor: &mut V,
) -> ControlFlow<V::Break> {
    match statement {
        Parsed::Statement(statement) => statement.visit(visitor),
        Parsed::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => query.visit(visitor),
            CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        Parsed::Explain(explain) => walk_mut(&mut explain.statement, visitor),
        Parsed::CreateExternalTable(_) | Parsed::Reset(_) => ControlFlow::Continue(()),
    }
}
