//! What goes into statements, and the rows that come back.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::error::{MetadataError, Result};

/// A value for a statement. What is none keeps its type, which Postgres asks for.
#[derive(Debug, Clone)]
pub enum Param {
    /// A UUID.
    Uuid(Option<Uuid>),
    /// A text.
    Text(Option<String>),
    /// An integer.
    Int(Option<i64>),
    /// A number.
    Float(Option<f64>),
    /// True or false.
    Bool(bool),
    /// A moment.
    Time(Option<DateTime<Utc>>),
    /// A document.
    Json(Option<Value>),
}

macro_rules! param {
    ($($kind:ident: $type:ty),+ $(,)?) => {
        $(impl From<$type> for Param {
            fn from(value: $type) -> Self {
                Self::$kind(Some(value))
            }
        }
        impl From<Option<$type>> for Param {
            fn from(value: Option<$type>) -> Self {
                Self::$kind(value)
            }
        })+
    };
}

param!(Uuid: Uuid, Text: String, Int: i64, Float: f64, Time: DateTime<Utc>, Json: Value);

impl From<bool> for Param {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Param {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<Option<&str>> for Param {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(str::to_owned))
    }
}

impl From<&String> for Param {
    fn from(value: &String) -> Self {
        Self::Text(Some(value.clone()))
    }
}

/// The values of a statement, in the order of their numbers.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::metadata::Param::from($value)),*]
    };
}
pub(super) use params;

/// A row that came back.
pub enum Record {
    /// From Postgres.
    Postgres(PgRow),
    /// From SQLite.
    Sqlite(SqliteRow),
}

/// Reads a column of either row.
macro_rules! read {
    ($record:expr, $name:expr) => {
        match $record {
            Record::Postgres(row) => row.try_get($name),
            Record::Sqlite(row) => row.try_get($name),
        }
    };
}

impl Record {
    /// A UUID.
    pub fn uuid(&self, name: &str) -> Result<Uuid> {
        self.opt_uuid(name)?.ok_or_else(|| missing(name))
    }

    /// A UUID, or none.
    pub fn opt_uuid(&self, name: &str) -> Result<Option<Uuid>> {
        match self {
            Self::Postgres(row) => Ok(row.try_get(name)?),
            Self::Sqlite(row) => {
                let text: Option<String> = row.try_get(name)?;
                text.map(|text| text.parse())
                    .transpose()
                    .map_err(|error| MetadataError::corrupt(name, error))
            }
        }
    }

    /// A text.
    pub fn text(&self, name: &str) -> Result<String> {
        Ok(read!(self, name)?)
    }

    /// A text, or none.
    pub fn opt_text(&self, name: &str) -> Result<Option<String>> {
        Ok(read!(self, name)?)
    }

    /// An integer.
    pub fn int(&self, name: &str) -> Result<i64> {
        Ok(read!(self, name)?)
    }

    /// An integer, or none.
    pub fn opt_int(&self, name: &str) -> Result<Option<i64>> {
        Ok(read!(self, name)?)
    }

    /// A number.
    pub fn float(&self, name: &str) -> Result<f64> {
        Ok(read!(self, name)?)
    }

    /// A number, or none.
    pub fn opt_float(&self, name: &str) -> Result<Option<f64>> {
        Ok(read!(self, name)?)
    }

    /// True or false.
    pub fn bool(&self, name: &str) -> Result<bool> {
        Ok(read!(self, name)?)
    }

    /// A moment.
    pub fn time(&self, name: &str) -> Result<DateTime<Utc>> {
        self.opt_time(name)?.ok_or_else(|| missing(name))
    }

    /// A moment, or none.
    pub fn opt_time(&self, name: &str) -> Result<Option<DateTime<Utc>>> {
        match self {
            Self::Postgres(row) => Ok(row.try_get(name)?),
            Self::Sqlite(row) => {
                let micros: Option<i64> = row.try_get(name)?;
                Ok(micros.and_then(DateTime::from_timestamp_micros))
            }
        }
    }

    /// A document.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        self.opt_json(name)?.ok_or_else(|| missing(name))
    }

    /// A document, or none.
    pub fn opt_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let document: Option<Value> = match self {
            Self::Postgres(row) => row.try_get(name)?,
            Self::Sqlite(row) => {
                let text: Option<String> = row.try_get(name)?;
                text.map(|text| serde_json::from_str(&text)).transpose()?
            }
        };
        Ok(document.map(serde_json::from_value).transpose()?)
    }
}

fn missing(name: &str) -> MetadataError {
    MetadataError::Failed(format!("{name} is missing"))
}
