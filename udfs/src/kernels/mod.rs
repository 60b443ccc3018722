//! What cleans a value. One file a concept; no kernel knows of jobs, plans or files.

pub mod boolean;
mod calendar;
pub mod canonical;
pub mod cell;
pub mod country;
pub mod currency;
pub mod date;
mod date_cursor;
mod date_pattern;
mod date_usual;
pub mod email;
mod fold;
pub mod iban;
pub mod median;
pub mod minhash;
pub mod mode;
pub mod mojibake;
pub mod number;
mod number_notation;
mod number_words;
pub mod phone;
pub mod pii;
pub mod row_hash;
pub mod shingle;
pub mod similarity;
pub mod text;
pub mod url;
