//! Work on many things at a time.

use crate::error::{Error, Result};

/// Runs `work` over the items in so many threads; the answers come in the order of the items.
pub fn in_threads<T: Send, A: Send>(
    threads: usize,
    items: Vec<T>,
    work: impl Fn(T) -> Result<A> + Sync,
) -> Result<Vec<A>> {
    let queue = std::sync::Mutex::new(items.into_iter().enumerate());
    let run = || -> Result<Vec<(usize, A)>> {
        let mut answers = Vec::new();
        loop {
            let next = queue
                .lock()
                .map_err(|_| Error::Bug("a queue was poisoned"))?
                .next();
            let Some((place, item)) = next else {
                return Ok(answers);
            };
            answers.push((place, work(item)?));
        }
    };
    let mut answers = std::thread::scope(|scope| -> Result<Vec<(usize, A)>> {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(run)).collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| Error::Bug("a worker died"))??);
        }
        Ok(all)
    })?;
    answers.sort_by_key(|(place, _)| *place);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}
