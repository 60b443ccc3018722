//! Bodies that are streamed to the store, with limits.

use std::error::Error;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tower_http::timeout::TimeoutError;

use super::Problem;
use crate::storage::WriteError;

/// Why a body was not taken.
#[derive(Debug)]
pub(super) enum BodyError {
    TooLarge(u64),
    TooSlow,
    /// The sender went, or sent what cannot be read.
    Broken,
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(limit) => {
                Problem::too_large(format!("a file may have {limit} bytes here"))
            }
            BodyError::TooSlow => Problem::too_slow(),
            BodyError::Broken => Problem::bad_request("the body ends too early"),
        }
    }
}

/// Whether a body could not be read because its sender fell asleep.
pub(super) fn is_asleep(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<TimeoutError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

impl From<WriteError<BodyError>> for Problem {
    fn from(error: WriteError<BodyError>) -> Self {
        match error {
            WriteError::Content(error) => error.into(),
            WriteError::Damaged => {
                let problem = "what arrived has another SHA-256; send the part again";
                Problem::field("X-Content-SHA256", problem)
            }
            WriteError::Store(error) => Problem::of_store(&error),
        }
    }
}

/// A body of so many bytes at most.
pub(super) fn limited<E: Error + 'static>(
    body: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    most: u64,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    futures::stream::try_unfold((body, 0_u64), move |(mut body, sent)| async move {
        match body.next().await {
            None => Ok(None),
            Some(Err(error)) if is_asleep(&error) => Err(BodyError::TooSlow),
            Some(Err(_)) => Err(BodyError::Broken),
            Some(Ok(chunk)) => {
                let sent = sent + chunk.len() as u64;
                if sent > most {
                    return Err(BodyError::TooLarge(most));
                }
                Ok(Some((chunk, (body, sent))))
            }
        }
    })
}

/// A name that a file may have in the store: the last part of the sender's, as far as it is harmless. Its
/// endings stay, for they tell the format.
pub(super) fn file_name(sent: Option<&str>) -> String {
    let last = sent.unwrap_or_default().rsplit(['/', '\\']).next();
    let kept = last.unwrap_or_default().chars().map(|character| {
        let harmless = character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
        if harmless { character } else { '_' }
    });
    let kept: String = kept.collect();
    let kept = kept.trim_start_matches(['.', '_', '-']);
    // The end of a long name tells more than its beginning.
    let from = kept.len().saturating_sub(100);
    let kept = kept[from..].trim_start_matches(['.', '_', '-']);
    match kept {
        "" => "upload".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No name leads out of the folder that it is put into.
    #[test]
    fn names() {
        for (sent, kept) in [
            (Some("customers.csv"), "customers.csv"),
            (Some("../../etc/passwd"), "passwd"),
            (Some("..\\..\\boot.ini"), "boot.ini"),
            (Some("a b\n.csv.gz"), "a_b_.csv.gz"),
            (Some(".hidden"), "hidden"),
            (Some(".."), "upload"),
            (Some("données.csv"), "donn_es.csv"),
            (Some(""), "upload"),
            (None, "upload"),
        ] {
            assert_eq!(file_name(sent), kept, "{sent:?}");
        }
        let long = format!("{}.csv", "x".repeat(500));
        assert!(file_name(Some(&long)).ends_with("x.csv"));
        assert!(file_name(Some(&long)).len() <= 100);
    }

    /// What is too long is broken off.
    #[tokio::test]
    async fn limits() {
        let chunks = || {
            futures::stream::iter(
                [(); 3].map(|()| Ok::<_, std::io::Error>(Bytes::from_static(b"12345"))),
            )
        };
        let taken: Vec<_> = limited(chunks(), 15).collect().await;
        assert!(taken.iter().all(Result::is_ok));
        let taken: Vec<_> = limited(chunks(), 14).collect().await;
        assert!(matches!(taken.last(), Some(Err(BodyError::TooLarge(14)))));
    }
}
