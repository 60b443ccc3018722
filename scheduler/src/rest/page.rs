//! Pages of long lists.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::Problem;

/// Rows of a page that asks for no number.
const USUAL: u32 = 100;

/// Most rows of a page.
const MOST: u32 = 1000;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// How many at most, 1 to 1000; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
}

/// How many rows a page may have.
pub(crate) fn limit(asked: Option<u32>) -> Result<i64, Problem> {
    match asked.unwrap_or(USUAL) {
        limit @ 1..=MOST => Ok(i64::from(limit)),
        _ => Err(Problem::field("limit", "a page has 1 to 1000 rows")),
    }
}

/// Where the next page begins, as clients carry it.
pub(crate) fn cursor(at: &impl Serialize) -> Option<String> {
    let text = serde_json::to_vec(at).ok()?;
    Some(URL_SAFE_NO_PAD.encode(text))
}

/// Where a page begins.
pub(crate) fn place<T: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<T>, Problem> {
    let wrong = || Problem::field("cursor", "the cursor is not one of this list");
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    let text = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
    serde_json::from_slice(&text).map(Some).map_err(|_| wrong())
}

/// The first `limit` of a list that has one more where there is another page, and the cursor of that.
pub(crate) fn cut<T, A: Serialize>(
    mut rows: Vec<T>,
    limit: i64,
    at: impl Fn(&T) -> A,
) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows
        .last()
        .filter(|_| more)
        .and_then(|last| cursor(&at(last)));
    (rows, next)
}
