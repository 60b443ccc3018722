//! Identifiers of SQL: the catalogs and schemas that are always there, and names as statements write them.

use datafusion::sql::sqlparser::ast::{Ident, ObjectName};

use crate::error::{Error, Result};

/// The catalog of a tenant's tables.
pub(crate) const CATALOG: &str = "sanitizer";

/// The schema that is always there.
pub(crate) const PUBLIC: &str = "public";

/// The catalog of the jobs that have finished.
pub(crate) const JOBS: &str = "jobs";

/// Returns the parts of a name: as written where they stand in quotation marks, else in small letters.
///
/// # Errors
/// [`Error::Invalid`] where a part is empty, or is not an identifier.
pub(crate) fn parts(name: &ObjectName) -> Result<Vec<String>> {
    let parts = name.0.iter().map(|part| match part.as_ident() {
        Some(Ident {
            value,
            quote_style: Some(_),
            ..
        }) => Ok(value.clone()),
        Some(ident) => Ok(ident.value.to_lowercase()),
        None => Err(Error::Invalid(format!("{name} is no name of a table"))),
    });
    let parts = parts.collect::<Result<Vec<_>>>()?;
    if parts.iter().any(String::is_empty) {
        return Err(Error::Invalid("an empty name".to_owned()));
    }
    Ok(parts)
}

/// Returns the last part of a name.
///
/// # Errors
/// [`Error::Invalid`] where the name has no parts, or one that [`parts`] refuses.
pub(crate) fn last_part(name: &ObjectName) -> Result<String> {
    parts(name)?
        .pop()
        .ok_or_else(|| Error::Invalid("a name is expected".to_owned()))
}
