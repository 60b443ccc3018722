//! Bodies that are received within limits: of size, of rate, and of silence.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tower_http::timeout::TimeoutError;

use super::Problem;
use crate::limits::{FORM_OVERHEAD, RATE_WINDOW};
use crate::storage::WriteError;

/// Why a body was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    #[error("it comes too slowly")]
    TooSlow,
    /// The sender went, or sent what cannot be read.
    #[error("it ends too early")]
    Broken,
}

impl BodyError {
    /// Finds out why a body could not be read, from the error and its causes.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<TimeoutError>() {
                return Self::TooSlow;
            }
            if let Some(own) = error.downcast_ref::<Self>() {
                return *own;
            }
            cause = error.source();
        }
        Self::Broken
    }
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
            Some(Err(error)) => Err(BodyError::of(&error)),
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

/// A body whose sender keeps up a least rate. Only the time counts for which the sender is waited for: a reader that is
/// slow itself blames nobody.
pub(super) struct Paced<S> {
    body: S,
    /// Bytes that must come in a window; 0 for any rate.
    least: u64,
    /// Time waited in this window, in all, and bytes that came in it.
    waited: std::time::Duration,
    came: u64,
    waiting: Option<Instant>,
}

impl<S> Paced<S> {
    /// Returns the body, of so many bytes a second at least.
    pub(super) fn new(body: S, least_rate: u64) -> Self {
        Self {
            body,
            least: least_rate.saturating_mul(RATE_WINDOW.as_secs()),
            waited: std::time::Duration::ZERO,
            came: 0,
            waiting: None,
        }
    }

    /// Takes a chunk into account; false when the window is over and too little came in it.
    fn keeps_up(&mut self, bytes: usize) -> bool {
        self.came += bytes as u64;
        if let Some(since) = self.waiting.take() {
            self.waited += since.elapsed();
        }
        if self.waited < RATE_WINDOW {
            return true;
        }
        let enough = self.came >= self.least;
        (self.waited, self.came) = (std::time::Duration::ZERO, 0);
        enough
    }
}

impl<S, E> Stream for Paced<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Error + 'static,
{
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.body).poll_next(context) {
            Poll::Pending => {
                self.waiting.get_or_insert_with(Instant::now);
                Poll::Pending
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::of(&error)))),
            Poll::Ready(Some(Ok(chunk))) => Poll::Ready(Some(match self.keeps_up(chunk.len()) {
                true => Ok(chunk),
                false => Err(BodyError::TooSlow),
            })),
        }
    }
}

/// Bytes of a form that its reader has taken out of fields.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken(Arc<AtomicU64>);

impl Taken {
    /// Counts bytes of a field.
    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// The body of a form, for a parser that takes whatever it gets: it gets one chunk at a time, and no more than what its
/// reader has taken out of fields and [`FORM_OVERHEAD`]. A header without an end would fill the memory otherwise.
pub(super) struct FormBody<S> {
    body: S,
    given: u64,
    taken: Taken,
    /// Whether the last poll gave a chunk.
    gave: bool,
}

impl<S> FormBody<S> {
    /// Returns the body; `taken` is where the reader counts what it takes.
    pub(super) fn new(body: S, taken: Taken) -> Self {
        Self {
            body,
            given: 0,
            taken,
            gave: false,
        }
    }
}

impl<S: Stream<Item = Result<Bytes, BodyError>> + Unpin> Stream for FormBody<S> {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.gave) {
            // The parser would ask until nothing is there; now it looks at what it has.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.body).poll_next(context);
        if let Poll::Ready(Some(Ok(chunk))) = &polled {
            let held = self
                .given
                .saturating_sub(self.taken.0.load(Ordering::Relaxed));
            if held > FORM_OVERHEAD {
                return Poll::Ready(Some(Err(BodyError::TooLarge(FORM_OVERHEAD))));
            }
            self.given += chunk.len() as u64;
            self.gave = true;
        }
        polled
    }
}

/// A whole body of so many bytes at most.
pub(super) async fn collected(
    body: impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
    most: usize,
) -> Result<Vec<u8>, BodyError> {
    let body = limited(body, most as u64);
    futures::pin_mut!(body);
    let mut content = Vec::new();
    while let Some(chunk) = body.next().await {
        content.extend_from_slice(&chunk?);
    }
    Ok(content)
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

    /// A sender that sends a byte now and then is too slow; a reader that takes its time is not.
    #[tokio::test]
    async fn h3_least_rate() {
        let chunk = || Ok::<_, std::io::Error>(Bytes::from_static(&[0; 100]));
        let mut paced = Paced::new(futures::stream::repeat_with(chunk), 1000);
        // As if the sender had been waited for.
        let mut after = |waited: u64, chunks: u64| {
            let ago = |seconds| Instant::now().checked_sub(std::time::Duration::from_secs(seconds));
            (0..chunks).all(|number| {
                paced.waiting = if number == 0 { ago(waited) } else { None };
                paced.keeps_up(100)
            })
        };
        assert!(
            after(9, 100) && after(2, 1),
            "10,000 bytes in 11 seconds are enough"
        );
        assert!(
            after(6, 10) && !after(6, 10),
            "2,000 bytes in 12 seconds are not"
        );
        assert!(after(0, 3));
    }

    /// A form without an end of its headers is broken off before it fills the memory.
    #[tokio::test]
    async fn h3_form_overhead_is_bounded() {
        let header = [
            Ok(Bytes::from_static(
                b"--x\r\nContent-Disposition: form-data; name=\"",
            )),
            Ok(Bytes::from(vec![b'a'; 64 << 10])),
        ];
        let endless = futures::stream::iter(header.into_iter().cycle());
        let form = FormBody::new(endless, Taken::default());
        let mut form = std::pin::pin!(form.enumerate());
        let mut given = 0;
        let error = loop {
            match form.next().await {
                Some((_, Ok(chunk))) => given += chunk.len() as u64,
                Some((_, Err(error))) => break error,
                None => unreachable!("it has no end"),
            }
        };
        assert_eq!(error, BodyError::TooLarge(FORM_OVERHEAD));
        assert!(given <= FORM_OVERHEAD + (64 << 10), "{given}");
    }
}
