//! What the tokens of an output stand for.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use udfs::kernels::pii::token::TokenVault;

use crate::error::{Error, Result};
use crate::secret;
use crate::sink::Manifest;
use crate::spec::{JobSpec, Secret};
use crate::storage::{ByteFile, CachedFile, Place};

/// The values of those tokens that the output knows, opened with the key that its spec names.
///
/// # Errors
/// When the output has no tokens, the key cannot be resolved, or another key has sealed them.
pub fn reveal(output: &Place, tokens: &[String]) -> Result<BTreeMap<String, String>> {
    let manifest = Manifest::read(output)?;
    let spec: JobSpec = serde_json::from_value(manifest.spec)?;
    let key = spec.dataset.pii_token_key.unwrap_or_else(Secret::token_key);
    let vault = TokenVault::new(&secret::resolve(&key)?);
    let vault = vault.map_err(|_| Error::Bug("a key of the right length was refused"))?;
    let mut parts = manifest
        .files
        .iter()
        .filter(|entry| entry.path.starts_with("tokens/"))
        .peekable();
    if parts.peek().is_none() {
        return Err(Error::field(
            "output",
            "it has no sealed values; those of a service are in its token vault",
        ));
    }
    let mut values = BTreeMap::new();
    for part in parts {
        let place = output.join(&part.path);
        let file = ByteFile::find(&place).map_err(|error| Error::io(&place, error))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(CachedFile::from(&file))?.build()?;
        for batch in reader {
            let batch = batch?;
            let missing = || Error::Bug("a column of the tokens is missing");
            let known = batch.column_by_name("token");
            let known = known.and_then(|column| column.as_string_opt::<i32>());
            let sealed = batch.column_by_name("sealed");
            let sealed = sealed.and_then(|column| column.as_binary_opt::<i32>());
            let (known, sealed) = (known.ok_or_else(missing)?, sealed.ok_or_else(missing)?);
            for row in 0..batch.num_rows() {
                let token = known.value(row);
                if !tokens.iter().any(|wanted| wanted == token) {
                    continue;
                }
                values.insert(
                    token.to_owned(),
                    open(&vault, &key, token, sealed.value(row))?,
                );
            }
        }
    }
    Ok(values)
}

/// Opens what an output has sealed beside a token.
fn open(vault: &TokenVault, key: &Secret, token: &str, sealed: &[u8]) -> Result<String> {
    let wrong = |problem: String| Error::Secret {
        name: key.to_string(),
        problem,
    };
    let opened = match TokenVault::key_id_of(token) {
        Some(id) if id != vault.key_id() => {
            return Err(wrong(format!(
                "does not fit: the token was made with another key, {id}, and this one is {}",
                vault.key_id()
            )));
        }
        Some(_) => vault.open(token, sealed),
        None => vault.open_earlier(token, sealed),
    };
    opened.map_err(|error| wrong(format!("does not fit: {error}")))
}
