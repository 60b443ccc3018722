//! Parallel work on a few threads.

/// A worker thread panicked before its work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a worker thread panicked")]
pub struct ThreadDied;

/// Runs `work` over the items on this number of threads and returns the results in the order of the items.
///
/// # Errors
/// The first error of `work`, or [`ThreadDied`] when a thread panics.
pub fn in_threads<T: Send, A: Send, E: Send + From<ThreadDied>>(
    threads: usize,
    items: Vec<T>,
    work: impl Fn(T) -> Result<A, E> + Sync,
) -> Result<Vec<A>, E> {
    let queue = std::sync::Mutex::new(items.into_iter().enumerate());
    let run = || -> Result<Vec<(usize, A)>, E> {
        let mut answers = Vec::new();
        loop {
            let next = queue.lock().map_err(|_| ThreadDied)?.next();
            let Some((place, item)) = next else {
                return Ok(answers);
            };
            answers.push((place, work(item)?));
        }
    };
    let mut answers = std::thread::scope(|scope| -> Result<Vec<(usize, A)>, E> {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(run)).collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| ThreadDied)??);
        }
        Ok(all)
    })?;
    answers.sort_by_key(|(place, _)| *place);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}
