//! One stream of rows that several readers divide among themselves.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tonic::Status;

use super::wire::Rows;

/// Rows of which each batch goes to the reader that asks first. A reader who has stopped reading
/// holds nobody up.
pub(super) struct SharedRows {
    schema: SchemaRef,
    state: Mutex<State>,
    readers: Arc<Readers>,
}

enum State {
    Streaming(BoxStream<'static, Result<RecordBatch, Status>>),
    Ended,
    /// Every reader hears of it: a part that just ended would look like a whole.
    Failed(Status),
}

/// Those who wait for the next batch. All are woken, since some may read no more.
#[derive(Default)]
struct Readers(Mutex<Vec<Waker>>);

/// What one reader gets.
struct Part(Arc<SharedRows>);

impl SharedRows {
    pub(super) fn new(rows: Rows) -> Self {
        Self {
            schema: rows.schema,
            state: Mutex::new(State::Streaming(rows.batches)),
            readers: Arc::default(),
        }
    }

    /// The rows of one more reader.
    pub(super) fn part(self: &Arc<Self>) -> Rows {
        Rows {
            schema: Arc::clone(&self.schema),
            batches: Part(Arc::clone(self)).boxed(),
        }
    }

    fn poll(&self, reader: &Waker) -> Poll<Option<Result<RecordBatch, Status>>> {
        // A reader's panic leaves a stream that is read no more; it may not break the others' locks.
        let mut state = locked(&self.state);
        let batches = match &mut *state {
            State::Streaming(batches) => batches,
            State::Ended => return Poll::Ready(None),
            State::Failed(status) => return Poll::Ready(Some(Err(status.clone()))),
        };
        self.readers.add(reader);
        let all = Waker::from(Arc::clone(&self.readers));
        let next = batches.poll_next_unpin(&mut Context::from_waker(&all));
        match &next {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(status))) => *state = State::Failed(status.clone()),
            Poll::Ready(None) => *state = State::Ended,
        }
        drop(state);
        all.wake();
        next
    }
}

impl Stream for Part {
    type Item = Result<RecordBatch, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(context.waker())
    }
}

impl Readers {
    fn add(&self, reader: &Waker) {
        let mut readers = locked(&self.0);
        if !readers.iter().any(|known| known.will_wake(reader)) {
            readers.push(reader.clone());
        }
    }
}

impl Wake for Readers {
    fn wake(self: Arc<Self>) {
        let readers = std::mem::take(&mut *locked(&self.0));
        readers.into_iter().for_each(Waker::wake);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::{AsArray, Int32Array};
    use arrow::datatypes::Int32Type;
    use futures::TryStreamExt;

    use super::*;

    fn rows(fails: bool) -> Arc<SharedRows> {
        let batch = |value| {
            RecordBatch::try_from_iter([("x", Arc::new(Int32Array::from(vec![value])) as _)])
                .unwrap()
        };
        let schema = batch(0).schema();
        let last = fails.then(|| Err(Status::invalid_argument("bad value")));
        let batches =
            futures::stream::iter((0..100).map(move |value| Ok(batch(value))).chain(last))
                .then(|batch| async {
                    tokio::task::yield_now().await;
                    batch
                })
                .boxed();
        Arc::new(SharedRows::new(Rows { schema, batches }))
    }

    /// Readers divide the rows among themselves, each row once, and one who stops holds nobody up.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rows_are_divided() {
        let shared = rows(false);
        let mut idle = shared.part().batches;
        let _ = futures::poll!(idle.next());
        let readers: Vec<_> = (0..3)
            .map(|_| tokio::spawn(shared.part().batches.try_collect::<Vec<_>>()))
            .collect();
        let mut values: Vec<i32> = Vec::new();
        for reader in readers {
            for batch in reader.await.unwrap().unwrap() {
                values.extend(batch.column(0).as_primitive::<Int32Type>().values());
            }
        }
        values.sort_unstable();
        assert_eq!(values, (0..100).collect::<Vec<_>>());
        assert!(idle.next().await.is_none());
    }

    /// A failure reaches every reader, late ones too.
    #[tokio::test]
    async fn failures_reach_all() {
        let shared = rows(true);
        for _ in 0..3 {
            let read = shared.part().batches.try_collect::<Vec<_>>().await;
            assert_eq!(read.unwrap_err().message(), "bad value");
        }
    }
}
