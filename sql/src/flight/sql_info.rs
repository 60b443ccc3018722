//! What the server can do and which types it has, as drivers ask for it.

use std::sync::OnceLock;

use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    Nullable, Searchable, SqlInfo, SqlNullOrdering, SqlSupportedCaseSensitivity,
    SqlSupportedTransaction, SupportedSqlGrammar, XdbcDataType, XdbcDatetimeSubcode,
};

/// What the server is and can do.
pub(super) fn sql_info() -> Result<&'static SqlInfoData, FlightError> {
    static INFO: OnceLock<Result<SqlInfoData, String>> = OnceLock::new();
    made(INFO.get_or_init(|| make_sql_info().map_err(|error| error.to_string())))
}

/// The types of SQL.
pub(super) fn type_info() -> Result<&'static XdbcTypeInfoData, FlightError> {
    static INFO: OnceLock<Result<XdbcTypeInfoData, String>> = OnceLock::new();
    made(INFO.get_or_init(|| make_type_info().map_err(|error| error.to_string())))
}

fn made<T>(info: &'static Result<T, String>) -> Result<&'static T, FlightError> {
    info.as_ref()
        .map_err(|error| FlightError::ProtocolError(error.clone()))
}

fn make_sql_info() -> Result<SqlInfoData, FlightError> {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Data Sanitizer");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION);
    info.append(SqlInfo::FlightSqlServerReadOnly, false);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    let none = SqlSupportedTransaction::None as i32;
    info.append(SqlInfo::FlightSqlServerTransaction, none);
    info.append(SqlInfo::FlightSqlServerCancel, true);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    info.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    info.append(SqlInfo::FlightSqlServerStatementTimeout, 0_i32);
    info.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, true);
    info.append(SqlInfo::SqlDdlTable, true);
    let lower = SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i64;
    info.append(SqlInfo::SqlIdentifierCase, lower);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    let sensitive = SqlSupportedCaseSensitivity::SqlCaseSensitivityCaseInsensitive as i64;
    info.append(SqlInfo::SqlQuotedIdentifierCase, sensitive);
    info.append(SqlInfo::SqlAllTablesAreSelectable, true);
    let nulls = SqlNullOrdering::SqlNullsSortedHigh as i64;
    info.append(SqlInfo::SqlNullOrdering, nulls);
    info.append(SqlInfo::SqlSupportsColumnAliasing, true);
    info.append(SqlInfo::SqlNullPlusNullIsNull, true);
    info.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    info.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    info.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    info.append(SqlInfo::SqlSupportsLikeEscapeClause, false);
    info.append(SqlInfo::SqlSupportsNonNullableColumns, true);
    let core = 1_i32 << SupportedSqlGrammar::SqlCoreGrammar as i32;
    info.append(SqlInfo::SqlSupportedGrammar, core);
    info.append(SqlInfo::SqlSchemaTerm, "schema");
    info.append(SqlInfo::SqlCatalogTerm, "catalog");
    info.append(SqlInfo::SqlCatalogAtStart, true);
    info.append(SqlInfo::SqlSelectForUpdateSupported, false);
    info.append(SqlInfo::SqlStoredProceduresSupported, false);
    info.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    info.append(SqlInfo::SqlTransactionsSupported, false);
    info.append(SqlInfo::SqlSavepointsSupported, false);
    info.append(SqlInfo::SqlBatchUpdatesSupported, true);
    info.append(SqlInfo::SqlNamedParametersSupported, true);
    info.build()
}

/// How literals of a type are written.
#[derive(Clone, Copy)]
enum Literal {
    Plain,
    Quoted(&'static str),
}

fn make_type_info() -> Result<XdbcTypeInfoData, FlightError> {
    use Literal::{Plain, Quoted};
    use XdbcDataType::{
        XdbcBigint, XdbcBit, XdbcDate, XdbcDecimal, XdbcDouble, XdbcInteger, XdbcReal,
        XdbcSmallint, XdbcTime, XdbcTimestamp, XdbcTinyint, XdbcVarbinary, XdbcVarchar,
    };
    let types = [
        ("BOOLEAN", XdbcBit, 1, Plain),
        ("TINYINT", XdbcTinyint, 3, Plain),
        ("SMALLINT", XdbcSmallint, 5, Plain),
        ("INTEGER", XdbcInteger, 10, Plain),
        ("BIGINT", XdbcBigint, 19, Plain),
        ("REAL", XdbcReal, 7, Plain),
        ("DOUBLE", XdbcDouble, 15, Plain),
        ("DECIMAL", XdbcDecimal, 38, Plain),
        ("VARCHAR", XdbcVarchar, i32::MAX, Quoted("'")),
        ("BYTEA", XdbcVarbinary, i32::MAX, Quoted("X'")),
        ("DATE", XdbcDate, 10, Quoted("DATE '")),
        ("TIME", XdbcTime, 18, Quoted("TIME '")),
        ("TIMESTAMP", XdbcTimestamp, 29, Quoted("TIMESTAMP '")),
    ];
    let mut info = XdbcTypeInfoDataBuilder::new();
    for (name, data_type, size, literal) in types {
        info.append(one_type(name, data_type, size, literal));
    }
    info.build()
}

fn one_type(name: &str, data_type: XdbcDataType, size: i32, literal: Literal) -> XdbcTypeInfo {
    use XdbcDataType::{XdbcBit, XdbcDate, XdbcDatetime, XdbcDecimal, XdbcTime, XdbcTimestamp};
    let moment = match data_type {
        // One number is both the year of an interval and the date, which has no name of its own.
        XdbcDate => Some(XdbcDatetimeSubcode::XdbcSubcodeYear),
        XdbcTime => Some(XdbcDatetimeSubcode::XdbcSubcodeTime),
        XdbcTimestamp => Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
        _ => None,
    };
    let number = matches!(literal, Literal::Plain) && data_type != XdbcBit;
    let (prefix, suffix) = match literal {
        Literal::Plain => (None, None),
        Literal::Quoted(prefix) => (Some(prefix.to_owned()), Some("'".to_owned())),
    };
    let decimal = data_type == XdbcDecimal;
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        column_size: Some(size),
        literal_prefix: prefix,
        literal_suffix: suffix,
        create_params: decimal.then(|| vec!["precision".to_owned(), "scale".to_owned()]),
        nullable: Nullable::NullabilityNullable,
        case_sensitive: data_type == XdbcDataType::XdbcVarchar,
        searchable: Searchable::Full,
        unsigned_attribute: number.then_some(false),
        fixed_prec_scale: false,
        auto_increment: number.then_some(false),
        local_type_name: Some(name.to_owned()),
        minimum_scale: decimal.then_some(0),
        maximum_scale: decimal.then_some(38),
        sql_data_type: if moment.is_some() {
            XdbcDatetime
        } else {
            data_type
        },
        datetime_subcode: moment,
        num_prec_radix: number.then_some(10),
        interval_precision: None,
    }
}
