//! SQL functions of many rows, for `GROUP BY`.

pub mod mode;

#[cfg(test)]
mod tests;
