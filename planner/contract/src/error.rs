//! Errors of contracts.

/// A contract that contradicts itself or does not fit the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ContractError {
    /// Path of the field, such as `dataset.columns[2].name`.
    pub field: String,
    /// What is wrong and what was expected.
    pub message: String,
}

impl ContractError {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}
