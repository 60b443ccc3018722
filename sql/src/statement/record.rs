//! Records of statements in the audit log. Literals are left out, so that no value gets into it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use futures::StreamExt;
use serde_json::{Value, json};
use udfs::kernels::pii::column::is_about_a_person;

use super::Answer;
use crate::audit::{self, AuditEvent};
use crate::error::{Error, Result};
use crate::session::Session;

/// Longest shape of a statement in a record, in bytes.
const SHAPE_BYTES: usize = 2_000;

/// Most names of tables in a record.
const MAX_NAMES: usize = 200;

/// What is known of a statement before it runs.
#[derive(Debug, Clone)]
pub(super) struct Described {
    /// The kind, by its name in the table of kinds.
    pub(super) kind: &'static str,
    /// Names of the tables, views and files, as the statement writes them.
    pub(super) tables: Vec<String>,
    /// The text without literals and comments.
    pub(super) shape: String,
}

/// A statement that runs, until its end is recorded. One that is dropped before was cancelled.
pub(super) struct Running {
    session: Session,
    kind: &'static str,
    rows: AtomicU64,
    done: bool,
}

/// Records that a statement begins; nothing where the session records nothing.
pub(super) async fn begin(session: &Session, described: Described) -> Result<Option<Running>> {
    let details = json!({"tables": described.tables, "statement": described.shape});
    let kind = described.kind;
    if !record(session, "sql_statement", kind, details).await? {
        return Ok(None);
    }
    Ok(Some(Running {
        session: session.clone(),
        kind,
        rows: AtomicU64::new(0),
        done: false,
    }))
}

/// Records that a statement was refused, or could not be planned. The caller's error is what counts: a
/// record that cannot be written is logged.
pub(super) async fn refused(session: &Session, described: Described, error: &Error) {
    let reason = match error {
        // The reason names an action or a dataset, and nothing of the statement's values.
        Error::Forbidden(reason) => json!(reason),
        other => json!(format!("{:?}", other.kind()).to_lowercase()),
    };
    let details = json!({
        "tables": described.tables,
        "statement": described.shape,
        "reason": reason,
    });
    if let Err(error) = record(session, "sql_refused", described.kind, details).await {
        tracing::error!(%error, "a refused statement was not recorded");
    }
}

/// Records which columns of personal data a plan reads, before it reads them.
pub(super) async fn personal_reads(session: &Session, plan: &LogicalPlan) -> Result<()> {
    let records = session
        .served()
        .is_some_and(|served| served.audit.is_some());
    // A plan that is shown and not run reads nothing.
    if !records || matches!(plan, LogicalPlan::Explain(_)) {
        return Ok(());
    }
    let columns = personal_columns(plan)?;
    if columns.is_empty() {
        return Ok(());
    }
    let subject = columns.keys().cloned().collect::<Vec<_>>().join(", ");
    let subject = shortened(subject, SHAPE_BYTES);
    record(
        session,
        "sql_pii_read",
        &subject,
        json!({"columns": columns}),
    )
    .await?;
    Ok(())
}

/// The columns that a plan reads whose names are those of personal data, by table.
fn personal_columns(plan: &LogicalPlan) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let names = scan.projected_schema.fields().iter();
            let names = names.map(|field| field.name());
            let personal = names
                .filter(|name| is_about_a_person(name))
                .cloned()
                .collect::<BTreeSet<String>>();
            if !personal.is_empty() {
                let table = scan.table_name.to_string();
                found.entry(table).or_default().extend(personal);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

async fn record(
    session: &Session,
    action: &'static str,
    subject: &str,
    details: Value,
) -> Result<bool> {
    let Some(served) = session.served() else {
        return Ok(false);
    };
    let Some(log) = &served.audit else {
        return Ok(false);
    };
    let event = AuditEvent {
        tenant: Some(session.identity().tenant.clone()),
        actor: served.actor.clone(),
        action,
        subject: subject.to_owned(),
        details,
    };
    audit::append(Some(log), event).await?;
    Ok(true)
}

impl Running {
    /// Records the end of the statement, or follows its rows to their end.
    pub(super) async fn follow(self, answer: Result<Answer>) -> Result<Answer> {
        match answer {
            Ok(Answer::Rows(rows)) => Ok(Answer::Rows(self.counted(rows))),
            Ok(Answer::Written(rows)) => {
                self.end("success", Some(rows)).await?;
                Ok(Answer::Written(rows))
            }
            Ok(Answer::Done) => {
                self.end("success", None).await?;
                Ok(Answer::Done)
            }
            Err(error) => {
                self.failed(&error).await;
                Err(error)
            }
        }
    }

    /// The same rows; the last of them is the end of the statement, once that is recorded.
    fn counted(self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = rows.schema();
        let rows = futures::stream::unfold(Some((self, rows)), |state| async move {
            let (running, mut rows) = state?;
            match rows.next().await {
                Some(Ok(batch)) => {
                    let count = batch.num_rows() as u64;
                    running.rows.fetch_add(count, Ordering::Relaxed);
                    Some((Ok(batch), Some((running, rows))))
                }
                Some(Err(error)) => {
                    let error = Error::from(error);
                    running.failed(&error).await;
                    Some((Err(error.into()), None))
                }
                None => {
                    let count = running.rows.load(Ordering::Relaxed);
                    let ended = running.end("success", Some(count)).await;
                    ended.err().map(|error| (Err(error.into()), None))
                }
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }

    async fn failed(self, error: &Error) {
        let outcome = match error {
            Error::Planner(planner::Error::Cancelled) => "cancelled",
            _ => "failed",
        };
        let rows = self.rows.load(Ordering::Relaxed);
        if let Err(error) = self.end(outcome, Some(rows)).await {
            tracing::error!(%error, "the end of a statement was not recorded");
        }
    }

    async fn end(mut self, outcome: &'static str, rows: Option<u64>) -> Result<()> {
        self.done = true;
        let details = json!({"outcome": outcome, "rows": rows});
        record(&self.session, "sql_statement_ended", self.kind, details).await?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let Some(served) = self.session.served() else {
            return;
        };
        // Whoever read the rows has gone; the record is written without them.
        let (session, kind) = (self.session.clone(), self.kind);
        let rows = self.rows.load(Ordering::Relaxed);
        served.work().spawn(async move {
            let details = json!({"outcome": "cancelled", "rows": rows});
            let written = record(&session, "sql_statement_ended", kind, details).await;
            if let Err(error) = written {
                tracing::error!(%error, "the end of a statement was not recorded");
            }
        });
    }
}

/// A text of SQL without its literals and comments, in one line.
pub(super) fn shape(sql: &str) -> String {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else {
        return "(cannot be read)".to_owned();
    };
    let mut shape = String::new();
    let mut space = false;
    for token in tokens {
        if matches!(token, Token::Whitespace(_)) {
            space = !shape.is_empty();
            continue;
        }
        if std::mem::take(&mut space) {
            shape.push(' ');
        }
        match token {
            Token::EOF => {}
            Token::Word(word) => shape.push_str(&word.to_string()),
            Token::Comma => shape.push(','),
            Token::Period => shape.push('.'),
            token if is_literal(&token) => shape.push('?'),
            token => shape.push_str(&token.to_string()),
        }
        if shape.len() > SHAPE_BYTES {
            break;
        }
    }
    shortened(shape, SHAPE_BYTES)
}

/// Whether a token is a value. What is neither a word nor a sign counts as one, so that kinds of
/// literals that a later parser adds stay out of the log.
fn is_literal(token: &Token) -> bool {
    let text = token.to_string();
    matches!(token, Token::Number(..))
        || text
            .chars()
            .any(|c| c.is_alphanumeric() || c == '\'' || c == '"')
}

/// Names for a record: not too many, and none too long.
pub(super) fn names(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let names: BTreeSet<String> = names.into_iter().map(|name| shortened(name, 256)).collect();
    names.into_iter().take(MAX_NAMES).collect()
}

fn shortened(mut text: String, most: usize) -> String {
    if text.len() > most {
        let mut end = most;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// m4: no literal of a statement is in its record, however it is written.
    #[test]
    fn m4_shapes_have_no_literals() {
        for (sql, expected) in [
            (
                "SELECT name, \"E mail\" FROM t WHERE id = 4711 AND name = 'Ada' -- Ada\n",
                "SELECT name, \"E mail\" FROM t WHERE id = ? AND name = ?",
            ),
            ("SELECT $$Ada$$, $x$Ada$x$", "SELECT ?, ?"),
            ("SELECT X'416461', N'Ada'", "SELECT ?, ?"),
            ("SELECT /* Ada */ a + 1.5e3", "SELECT a + ?"),
            ("COPY t TO 'Ada.csv'", "COPY t TO ?"),
            ("SELECT 'Ada", "(cannot be read)"),
        ] {
            assert_eq!(shape(sql), expected);
        }
        for sql in [
            "SELECT E'Ada'",
            "SELECT U&'Ada'",
            "SELECT R'Ada'",
            "SELECT B'Ada'",
        ] {
            assert!(!shape(sql).contains("Ada"), "{sql}");
        }
        assert!(shape(&"SELECT a, ".repeat(10_000)).len() <= SHAPE_BYTES + 16);
    }
}
