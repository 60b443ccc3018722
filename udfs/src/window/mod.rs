//! SQL functions of a row among others, for `OVER (PARTITION BY …)`.

pub mod impute;

#[cfg(test)]
mod tests;
