//! What steps are compiled with.

use std::sync::Arc;

use udfs::kernels::pii::hash::Secret as SecretBytes;
use udfs::kernels::pii::token::TokenVault;

use planner_base::Secret;

use crate::contract::{Contract, PiiStrategy};
use crate::error::{Error, Result};
use crate::secret;

/// What a step may ask for while it is compiled.
#[derive(Debug)]
pub struct StepContext<'a> {
    /// Number of the transformation: `t-1` is 0.
    pub transformation: u16,
    /// Path of the step in the spec.
    pub field: String,
    /// The contract.
    pub contract: &'a Contract,
    /// What becomes of personal data without a strategy of its own.
    pub pii_strategy: Option<PiiStrategy>,
}

impl StepContext<'_> {
    /// The salt of hashed columns.
    pub fn salt(&self) -> Result<SecretBytes> {
        secret::resolve(&self.contract.pii_salt)
    }

    /// What makes tokens.
    pub fn token_vault(&self) -> Result<Arc<TokenVault>> {
        let name = self.contract.pii_token_key.clone();
        let name = name.unwrap_or_else(Secret::token_key);
        let vault = TokenVault::new(&secret::resolve(&name)?);
        vault
            .map(Arc::new)
            .map_err(|_| Error::Bug("a key of the right length was refused"))
    }
}
