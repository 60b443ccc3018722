//! The kinds of statements, and what each needs: one table, from which the check and the reference
//! follow. A statement of a kind that is not in it is refused.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    ObjectName, ObjectType, SetExpr, Statement as Sql, TableObject, Visitor,
};

use super::record::{self, Described};
use crate::error::{Error, Result};
use crate::front::parse::Command;
use crate::front::walk::walk;
use crate::grants::{Action, Grants, dataset_of};
use crate::session::Session;

/// What a login that is limited to some datasets may do with a kind of statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Datasets {
    /// Nothing of a dataset is involved.
    None,
    /// What it reads must be listed; anything else is not found.
    Reads,
    /// The table, view or spec that it changes must be listed, and what it reads.
    Target,
    /// It is about the tenant as a whole: refused.
    Tenant,
}

/// A kind of statement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Name, as records of the audit log have it.
    pub(crate) name: &'static str,
    /// How the statement is written.
    pub(crate) statement: &'static str,
    /// Actions that the login must have, all of them.
    pub(crate) needs: &'static [Action],
    /// Actions of which the login must have one, where there are any.
    pub(crate) one_of: &'static [Action],
    /// What a login that is limited to some datasets may do with it.
    pub(crate) datasets: Datasets,
}

const READS: &[Action] = &[Action::ReadData, Action::ReadProvenance];
const NOTHING: &[Action] = &[];

const fn kind(
    name: &'static str,
    statement: &'static str,
    needs: &'static [Action],
    one_of: &'static [Action],
    datasets: Datasets,
) -> Kind {
    Kind {
        name,
        statement,
        needs,
        one_of,
        datasets,
    }
}

/// A kind that only tells what the login may see, or changes its own session.
const fn own(name: &'static str, statement: &'static str) -> Kind {
    kind(name, statement, NOTHING, NOTHING, Datasets::None)
}

const TABLES: &[Action] = &[Action::WriteTables];

macro_rules! kinds {
    ($($constant:ident = $kind:expr;)+) => {
        $(const $constant: &Kind = &$kind;)+
        /// All kinds of statements that the service takes.
        pub(crate) const KINDS: &[&Kind] = &[$($constant),+];
    };
}

kinds! {
    QUERY = kind("query", "`SELECT`, `VALUES`, `WITH`", NOTHING, READS, Datasets::Reads);
    EXPLAIN = kind("explain", "`EXPLAIN [ANALYZE]` of a query", NOTHING, READS, Datasets::Reads);
    DESCRIBE = kind("describe", "`DESCRIBE t`, `SHOW COLUMNS`", NOTHING, NOTHING, Datasets::Reads);
    SHOW_NAMES = kind("show_names", "`SHOW TABLES`, `SHOW SCHEMAS`, `SHOW DATABASES`", NOTHING, NOTHING, Datasets::Reads);
    SHOW_CREATE = kind("show_create", "`SHOW CREATE TABLE v`", NOTHING, NOTHING, Datasets::Reads);
    SHOW_FUNCTIONS = own("show_functions", "`SHOW FUNCTIONS`");
    SHOW_SETTING = own("show_setting", "`SHOW name`, `SHOW ALL`");
    SHOW_SPECS = kind("show_specs", "`SHOW SPECS`", NOTHING, &[Action::SubmitJobs, Action::WriteContracts], Datasets::Reads);
    SET = own("set", "`SET name = value`, `RESET name`");
    PREPARE = own("prepare", "`PREPARE name AS …`: what the statement in it needs");
    EXECUTE = own("execute", "`EXECUTE name(…)`: what the prepared statement needs");
    DEALLOCATE = own("deallocate", "`DEALLOCATE name`");
    COPY = kind("copy", "`COPY … TO`", &[Action::WriteFiles], READS, Datasets::Reads);
    EXTERNAL_TABLE = kind("create_external_table", "`CREATE EXTERNAL TABLE`", &[Action::WriteTables, Action::ReadFiles], NOTHING, Datasets::Tenant);
    CREATE_TABLE = kind("create_table", "`CREATE TABLE t (…)`", TABLES, NOTHING, Datasets::Target);
    CREATE_TABLE_AS = kind("create_table_as", "`CREATE TABLE t AS SELECT …`", TABLES, READS, Datasets::Target);
    CREATE_VIEW = kind("create_view", "`CREATE VIEW`", TABLES, READS, Datasets::Target);
    INSERT = kind("insert", "`INSERT INTO`", TABLES, NOTHING, Datasets::Target);
    DROP_TABLE = kind("drop_table", "`DROP TABLE`, `DROP VIEW`", TABLES, NOTHING, Datasets::Target);
    CREATE_SCHEMA = kind("create_schema", "`CREATE SCHEMA`", TABLES, NOTHING, Datasets::Tenant);
    DROP_SCHEMA = kind("drop_schema", "`DROP SCHEMA`", TABLES, NOTHING, Datasets::Tenant);
    CREATE_SPEC = kind("create_spec", "`CREATE SPEC`", &[Action::WriteContracts], NOTHING, Datasets::Target);
    DROP_SPEC = kind("drop_spec", "`DROP SPEC`", &[Action::WriteContracts], NOTHING, Datasets::Target);
    INGEST = kind("ingest", "rows that a client sends for a table (Flight SQL ingest)", TABLES, NOTHING, Datasets::Target);
}

/// Rows that a client sends for a table.
pub(super) const INGESTED: &Kind = INGEST;

/// Returns the kind of a statement.
///
/// # Errors
/// [`Error::Invalid`] where the statement is of no kind in the table.
pub(crate) fn kind_of(command: &Command) -> Result<&'static Kind> {
    match command {
        Command::ShowSpecs => Ok(SHOW_SPECS),
        Command::CreateSpec { .. } => Ok(CREATE_SPEC),
        Command::DropSpec { .. } => Ok(DROP_SPEC),
        Command::Sql(parsed) => {
            let kind = match parsed.as_ref() {
                Parsed::CreateExternalTable(_) => EXTERNAL_TABLE,
                Parsed::CopyTo(_) => COPY,
                Parsed::Reset(_) => SET,
                Parsed::Explain(_) => EXPLAIN,
                Parsed::Statement(sql) => kind_of_sql(sql)?,
            };
            check_inner(parsed)?;
            Ok(kind)
        }
    }
}

fn kind_of_sql(sql: &Sql) -> Result<&'static Kind> {
    Ok(match sql {
        Sql::Query(_) => QUERY,
        Sql::Explain { .. } => EXPLAIN,
        Sql::ExplainTable { .. } | Sql::ShowColumns { .. } => DESCRIBE,
        Sql::ShowTables { .. } | Sql::ShowSchemas { .. } | Sql::ShowDatabases { .. } => SHOW_NAMES,
        Sql::ShowCreate { .. } => SHOW_CREATE,
        Sql::ShowFunctions { .. } => SHOW_FUNCTIONS,
        Sql::ShowVariable { .. } => SHOW_SETTING,
        Sql::Set(_) | Sql::Reset(_) => SET,
        Sql::Prepare { statement, .. } => {
            // What is prepared is of a kind too, and checked once more when it is executed.
            kind_of_sql(statement)?;
            PREPARE
        }
        Sql::Execute { .. } => EXECUTE,
        Sql::Deallocate { .. } => DEALLOCATE,
        Sql::CreateTable(table) if table.query.is_some() => CREATE_TABLE_AS,
        Sql::CreateTable(_) => CREATE_TABLE,
        Sql::CreateView(_) => CREATE_VIEW,
        Sql::Insert(_) => INSERT,
        Sql::CreateSchema { .. } => CREATE_SCHEMA,
        Sql::Drop { object_type, .. } => match object_type {
            ObjectType::Table | ObjectType::View => DROP_TABLE,
            ObjectType::Schema => DROP_SCHEMA,
            other => return Err(Error::Invalid(format!("DROP {other} is not supported"))),
        },
        other => return Err(unsupported(other)),
    })
}

/// The error of a statement that is of no kind in the table.
pub(super) fn unsupported(sql: &Sql) -> Error {
    match sql {
        Sql::Update { .. } | Sql::Delete(_) | Sql::Merge { .. } | Sql::Truncate(_) => Error::Invalid(
            "tables are not changed row by row; write CREATE OR REPLACE TABLE t AS SELECT … FROM t"
                .to_owned(),
        ),
        Sql::StartTransaction { .. }
        | Sql::Commit { .. }
        | Sql::Rollback { .. }
        | Sql::Savepoint { .. } => Error::Invalid(
            "transactions are not supported: each statement is one".to_owned(),
        ),
        other => {
            let text = other.to_string();
            let words: Vec<&str> = text.split_whitespace().take(2).collect();
            Error::Invalid(format!("{} is not supported", words.join(" ")))
        }
    }
}

/// Refuses statements that change something within a query: `WITH x AS (DELETE …)`.
fn check_inner(parsed: &Parsed) -> Result<()> {
    struct Changes;
    impl Visitor for Changes {
        type Break = ();
        fn pre_visit_query(
            &mut self,
            query: &datafusion::sql::sqlparser::ast::Query,
        ) -> ControlFlow<()> {
            match changes(&query.body) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
    }
    fn changes(body: &SetExpr) -> bool {
        match body {
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                true
            }
            SetExpr::SetOperation { left, right, .. } => changes(left) || changes(right),
            _ => false,
        }
    }
    match walk(parsed, &mut Changes) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Invalid(
            "a query within a statement cannot change anything".to_owned(),
        )),
    }
}

impl Kind {
    /// Refuses a login that lacks an action of this kind.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(crate) fn check(&self, grants: &Grants) -> Result<()> {
        for action in self.needs {
            grants.check(*action)?;
        }
        if !self.one_of.is_empty() && !self.one_of.iter().any(|action| grants.may(*action)) {
            let names: Vec<&str> = self.one_of.iter().map(|action| action.name()).collect();
            return Err(Error::Forbidden(format!(
                "this login lacks the action {}",
                names.join(" or ")
            )));
        }
        if self.datasets == Datasets::Tenant && grants.is_limited() {
            return Err(Error::Forbidden(
                "this login is limited to some datasets, and the statement is about the whole tenant"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// Refuses a statement that the session's login may not run.
///
/// # Errors
/// [`Error::Forbidden`], or [`Error::Invalid`] for a statement of no kind in the table.
pub(super) fn check(session: &Session, command: &Command) -> Result<&'static Kind> {
    let kind = kind_of(command)?;
    let Some(served) = session.served() else {
        return Ok(kind);
    };
    kind.check(&served.grants)?;
    if kind.datasets == Datasets::Target && served.grants.is_limited() {
        for dataset in targets(session, command)? {
            check_target(&served.grants, &dataset)?;
        }
    }
    Ok(kind)
}

/// Refuses to change a table, view or spec that the login does not see. Whether it is there cannot be
/// told from the answer.
pub(super) fn check_target(grants: &Grants, dataset: &str) -> Result<()> {
    if grants.may_touch(dataset) {
        return Ok(());
    }
    Err(Error::Forbidden(format!(
        "this login may not touch the dataset {dataset}"
    )))
}

/// The datasets that a statement changes.
fn targets(session: &Session, command: &Command) -> Result<Vec<String>> {
    let table = |name: &ObjectName| -> Result<String> {
        let (schema, table) = session.own_table(name)?;
        Ok(dataset_of(&schema, &table))
    };
    let parsed = match command {
        Command::CreateSpec { name, .. } | Command::DropSpec { name, .. } => {
            return Ok(vec![name.clone()]);
        }
        Command::ShowSpecs => return Ok(Vec::new()),
        Command::Sql(parsed) => parsed,
    };
    let sql = match parsed.as_ref() {
        Parsed::Statement(sql) => sql,
        _ => return Err(Error::Bug("a statement that changes nothing has no target")),
    };
    match sql.as_ref() {
        Sql::CreateTable(order) => Ok(vec![table(&order.name)?]),
        Sql::CreateView(order) => Ok(vec![table(&order.name)?]),
        Sql::Drop { names, .. } => names.iter().map(table).collect(),
        Sql::Insert(order) => match &order.table {
            TableObject::TableName(name) => Ok(vec![table(name)?]),
            _ => Err(Error::Invalid("INSERT INTO table is expected".to_owned())),
        },
        _ => Err(Error::Bug("a statement that changes nothing has no target")),
    }
}

/// Describes a statement for the audit log.
pub(super) fn describe(command: &Command, sql: &str) -> Described {
    let kind = kind_of(command).map_or("unsupported", |kind| kind.name);
    let tables = match command {
        Command::CreateSpec { name, .. } | Command::DropSpec { name, .. } => vec![name.clone()],
        Command::ShowSpecs => Vec::new(),
        Command::Sql(parsed) => relations(parsed),
    };
    Described {
        kind,
        tables: record::names(tables),
        shape: record::shape(sql),
    }
}

/// The names of tables, views and files of a statement, as it writes them.
fn relations(parsed: &Parsed) -> Vec<String> {
    struct Names(Vec<String>);
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
            self.0.push(name.to_string());
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(Vec::new());
    let _ = walk(parsed, &mut names);
    match parsed {
        Parsed::CreateExternalTable(order) => {
            names.0.push(order.name.to_string());
            names
                .0
                .extend(order.locations.iter().map(|location| place(location)));
        }
        Parsed::CopyTo(order) => names.0.push(place(&order.target)),
        Parsed::Statement(sql) => match sql.as_ref() {
            Sql::Drop { names: dropped, .. } => {
                names.0.extend(dropped.iter().map(ToString::to_string));
            }
            Sql::CreateSchema { schema_name, .. } => names.0.push(schema_name.to_string()),
            _ => {}
        },
        Parsed::Explain(_) | Parsed::Reset(_) => {}
    }
    names.0
}

/// A location without what may be secret in a URL: a login, a query.
fn place(location: &str) -> String {
    match url::Url::parse(location) {
        Ok(url) if url.has_host() => {
            format!(
                "{}://{}{}",
                url.scheme(),
                url.host_str().unwrap_or_default(),
                url.path()
            )
        }
        _ => location.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::front::parse::parse_all;

    fn kind_name(sql: &str) -> Result<&'static str> {
        let (_, command) = parse_all(sql)?.pop().unwrap();
        kind_of(&command).map(|kind| kind.name)
    }

    /// Every kind but ingest, which is no statement, is that of some statement; names occur once.
    #[test]
    fn every_kind_has_a_statement() {
        let cases = [
            ("query", "SELECT 1 UNION ALL SELECT 2"),
            ("explain", "EXPLAIN ANALYZE SELECT 1"),
            ("describe", "DESCRIBE t"),
            ("show_names", "SHOW TABLES"),
            ("show_create", "SHOW CREATE TABLE t"),
            ("show_functions", "SHOW FUNCTIONS"),
            ("show_setting", "SHOW ALL"),
            ("show_specs", "SHOW SPECS"),
            ("set", "SET datafusion.execution.batch_size = 5"),
            ("set", "RESET datafusion.execution.batch_size"),
            ("prepare", "PREPARE a AS SELECT $1"),
            ("execute", "EXECUTE a(1)"),
            ("deallocate", "DEALLOCATE a"),
            ("copy", "COPY t TO 'x.csv'"),
            (
                "create_external_table",
                "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'x.csv'",
            ),
            ("create_table", "CREATE TABLE t (a INT)"),
            ("create_table_as", "CREATE TABLE t AS SELECT 1 AS a"),
            ("create_view", "CREATE VIEW t AS SELECT 1 AS a"),
            ("insert", "INSERT INTO t VALUES (1)"),
            ("drop_table", "DROP VIEW t"),
            ("create_schema", "CREATE SCHEMA s"),
            ("drop_schema", "DROP SCHEMA s CASCADE"),
            ("create_spec", "CREATE SPEC s AS '{}'"),
            ("drop_spec", "DROP SPEC s"),
        ];
        for (name, sql) in cases {
            assert_eq!(kind_name(sql).unwrap(), name, "{sql}");
        }
        for kind in KINDS {
            let has = cases.iter().any(|(name, _)| *name == kind.name);
            assert_eq!(has, kind.name != INGESTED.name, "{}", kind.name);
            let same = KINDS.iter().filter(|other| other.name == kind.name);
            assert_eq!(same.count(), 1, "{}", kind.name);
        }
    }

    /// c5: what is of no kind is refused, also within PREPARE, EXPLAIN and queries.
    #[test]
    fn c5_other_statements_are_refused() {
        for sql in [
            "UPDATE t SET a = 1",
            "DELETE FROM t",
            "TRUNCATE TABLE t",
            "BEGIN",
            "COMMIT",
            "ALTER TABLE t ADD COLUMN a INT",
            "CREATE FUNCTION f(INT) RETURNS INT RETURN 1",
            "CREATE DATABASE d",
            "CREATE INDEX i ON t (a)",
            "GRANT SELECT ON t TO ada",
            "USE other",
            "LOAD 'x'",
            "PRAGMA x",
            "CALL f()",
            "DROP INDEX i",
            "DROP FUNCTION f",
            "PREPARE a AS DELETE FROM t",
            "PREPARE a AS CREATE INDEX i ON t (a)",
            "SHOW PROCESSLIST",
            "ANALYZE TABLE t",
            "KILL 5",
            "WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x",
            "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
        ] {
            assert!(kind_name(sql).is_err(), "{sql}: {:?}", kind_name(sql));
        }
    }
}
