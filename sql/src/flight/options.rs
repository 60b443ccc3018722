//! Options of a session, as the protocol carries them, and as `SET` sets them.

use std::collections::HashMap;

use tonic::{Code, Status};

use super::status::status;
use crate::error::Error;
use crate::session::Session;
use crate::settings::client_setting;

/// What clients call the catalog and the schema that names start from, and what the engine does.
const SHORT_NAMES: [(&str, &str); 2] = [
    ("catalog", "datafusion.catalog.default_catalog"),
    ("schema", "datafusion.catalog.default_schema"),
];

/// A request to set options; one without a value goes back to its default.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub(super) session_options: HashMap<String, OptionValue>,
}

/// What became of them: the errors only.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) errors: HashMap<String, OptionError>,
}

/// All options of a session.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) session_options: HashMap<String, OptionValue>,
}

/// What became of a session that was to be closed.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct CloseSessionResult {
    #[prost(enumeration = "CloseSessionStatus", tag = "1")]
    pub(super) status: i32,
}

/// Whether a session is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum CloseSessionStatus {
    Unspecified = 0,
    Closed = 1,
}

/// The value of an option.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OptionValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    pub(super) value: Option<Value>,
}

/// A value, by type.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(sfixed64, tag = "3")]
    Whole(i64),
    #[prost(double, tag = "4")]
    Number(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

/// A list of texts.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
}

/// Why an option was not set.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct OptionError {
    #[prost(enumeration = "OptionErrorKind", tag = "1")]
    pub(super) value: i32,
}

/// What is wrong with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum OptionErrorKind {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

/// Sets options one by one; tells of those that cannot be set.
pub(super) async fn set(
    session: &Session,
    request: SetSessionOptionsRequest,
) -> SetSessionOptionsResult {
    // What is there now may be newer than the session's last statement. Where it cannot be told, what
    // was there then is what counts.
    if let Err(error) = session.refresh().await {
        tracing::warn!(%error, "the catalog cannot be read");
    }
    let mut errors = HashMap::new();
    // In the order of their names: the catalog is there before the schema that lies in it.
    let mut options: Vec<_> = request.session_options.into_iter().collect();
    options.sort_by(|(left, _), (right, _)| left.cmp(right));
    for (name, value) in options {
        if let Err(kind) = set_one(session, &name, value.value).await {
            errors.insert(name, OptionError { value: kind as i32 });
        }
    }
    SetSessionOptionsResult { errors }
}

/// All options of a client's that have a value.
pub(super) fn get(session: &Session) -> GetSessionOptionsResult {
    let state = session.context().state();
    let text = |text: String| OptionValue {
        value: Some(Value::Text(text)),
    };
    let mut options: HashMap<_, _> = state
        .config_options()
        .entries()
        .into_iter()
        .filter(|entry| client_setting(&entry.key).is_some())
        .filter_map(|entry| Some((entry.key, text(entry.value?))))
        .collect();
    for (short, long) in SHORT_NAMES {
        if let Some(value) = options.get(long).cloned() {
            options.insert(short.to_owned(), value);
        }
    }
    GetSessionOptionsResult {
        session_options: options,
    }
}

async fn set_one(
    session: &Session,
    name: &str,
    value: Option<Value>,
) -> Result<(), OptionErrorKind> {
    let name = SHORT_NAMES
        .iter()
        .find(|(short, _)| *short == name)
        .map_or(name, |(_, long)| *long);
    if !is_name(name) {
        return Err(OptionErrorKind::InvalidName);
    }
    let value = value.map(text_of).transpose()?;
    if !is_there(session, name, value.as_deref()) {
        return Err(OptionErrorKind::InvalidValue);
    }
    let sql = match &value {
        Some(value) => format!("SET {name} = '{}'", value.replace('\'', "''")),
        None => format!("RESET {name}"),
    };
    match session.execute(&sql).await {
        Ok(_) => Ok(()),
        Err(error) => Err(kind(session, name, error)),
    }
}

/// A catalog or schema to start from must be there.
fn is_there(session: &Session, name: &str, value: Option<&str>) -> bool {
    let context = session.context();
    let Some(value) = value else { return true };
    if name == SHORT_NAMES[0].1 {
        return context.catalog(value).is_some();
    }
    if name == SHORT_NAMES[1].1 {
        let catalog = context
            .state()
            .config_options()
            .catalog
            .default_catalog
            .clone();
        return context
            .catalog(&catalog)
            .is_some_and(|catalog| catalog.schema(value).is_some());
    }
    true
}

/// What is wrong with an option that `SET` refuses: its value where there is such an option.
fn kind(session: &Session, name: &str, error: Error) -> OptionErrorKind {
    match status(error).code() {
        Code::Unavailable | Code::ResourceExhausted => return OptionErrorKind::Error,
        // A setting of the operator's is none for a client.
        Code::PermissionDenied => return OptionErrorKind::InvalidName,
        _ => {}
    }
    let state = session.context().state();
    let options = state.config_options().entries();
    match options.iter().any(|entry| entry.key == name) {
        true => OptionErrorKind::InvalidValue,
        false => OptionErrorKind::InvalidName,
    }
}

fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    name.len() <= 128 && name.split('.').all(part)
}

fn text_of(value: Value) -> Result<String, OptionErrorKind> {
    Ok(match value {
        Value::Text(text) => text,
        Value::Flag(flag) => flag.to_string(),
        Value::Whole(number) => number.to_string(),
        Value::Number(number) => number.to_string(),
        // No option is a list.
        Value::Texts(_) => return Err(OptionErrorKind::InvalidValue),
    })
}

/// A message of the protocol, from the body of an action.
pub(super) fn read<T: prost::Message + Default>(body: &[u8]) -> Result<T, Status> {
    T::decode(body).map_err(|error| Status::invalid_argument(format!("the action's body: {error}")))
}
