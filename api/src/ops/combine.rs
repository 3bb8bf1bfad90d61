//! Calls that come together are executed together: many of them then share a round trip and a commit.
//!
//! Nothing waits for company, unless it is told to gather. A call that comes alone is executed alone, at once; those that
//! come while others are being executed make up the next batch.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tstr_shared::error::ErrorCode;

use crate::error::{Error, Result};

/// Gathers calls that take a `T` and answer an `R`.
pub(super) struct Combiner<T, R> {
    queue: Mutex<Queue<T, R>>,
    /// How many calls one batch has at most.
    most: usize,
    /// How many batches are executed at the same time.
    parallel: usize,
    /// How long a batch that is not full waits for more.
    gather: Duration,
}

struct Queue<T, R> {
    calls: VecDeque<Call<T, R>>,
    running: usize,
}

type Call<T, R> = (T, oneshot::Sender<Result<R>>);

impl<T: Send + 'static, R: Send + 'static> Combiner<T, R> {
    /// Makes one that executes up to `parallel` batches of up to `most` calls. A batch that is not full waits for more calls
    /// for as long as `gather` says.
    pub(super) fn new(most: usize, parallel: usize, gather: Duration) -> Arc<Self> {
        let queue = Mutex::new(Queue { calls: VecDeque::new(), running: 0 });
        Arc::new(Self { queue, most, parallel, gather })
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T, R>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call. `execute` answers each item of a batch at its place; it runs to its end even when its callers go.
    ///
    /// # Errors
    ///
    /// Those of `execute`, and `unavailable` when it failed to answer.
    pub(super) async fn call<F, Fut>(self: &Arc<Self>, item: T, execute: F) -> Result<R>
    where
        F: Fn(Vec<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<Result<R>>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let starts = {
            let mut queue = self.queue();
            queue.calls.push_back((item, reply));
            let starts = queue.running < self.parallel;
            queue.running += usize::from(starts);
            starts
        };
        if starts {
            let turn = Turn(self.clone());
            tokio::spawn(turn.run(execute));
        }
        answer.await.map_err(|_| Error::unavailable(anyhow::anyhow!("a batch failed to answer")))?
    }
}

/// Executes a batch; where one of its items cannot be taken, each by itself, so that it fails alone.
pub(super) async fn together_or_alone<'b, T, R>(
    batch: &'b [T],
    execute: impl Fn(&'b [T]) -> BoxFuture<'b, Result<Vec<Result<R>>>>,
) -> Vec<Result<R>> {
    match execute(batch).await {
        Ok(answers) => answers,
        Err(error) if batch.len() == 1 || error.code() == ErrorCode::Unavailable => error.to_each(batch.len()),
        Err(_) => {
            let mut answers = Vec::with_capacity(batch.len());
            for one in batch.chunks(1) {
                answers.append(&mut execute(one).await.unwrap_or_else(|error| error.to_each(1)));
            }
            answers
        }
    }
}

/// Sets of namespaces.
type ByNamespaces<V> = Mutex<HashMap<Vec<i32>, V>>;

/// A combiner for each set of namespaces: what is executed together is executed under one proof.
pub(super) struct Combiners<T, R> {
    of: ByNamespaces<Arc<Combiner<T, R>>>,
    most: usize,
    parallel: usize,
    gather: Duration,
}

impl<T: Send + 'static, R: Send + 'static> Combiners<T, R> {
    /// Makes them; for the numbers see [`Combiner::new`].
    pub(super) fn new(most: usize, parallel: usize) -> Self {
        Self { of: Mutex::default(), most, parallel, gather: Duration::ZERO }
    }

    /// Lets batches that are not full wait for more calls.
    pub(super) fn gathering(self, gather: Duration) -> Self {
        Self { gather, ..self }
    }

    /// Returns the one for these namespaces.
    pub(super) fn of(&self, namespaces: &[i32]) -> Arc<Combiner<T, R>> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = of.get(namespaces) {
            return known.clone();
        }
        // Namespaces come and go; those that nobody uses any more are forgotten.
        of.retain(|_, combiner| Arc::strong_count(combiner) > 1);
        let new = Combiner::new(self.most, self.parallel, self.gather);
        of.insert(namespaces.to_vec(), new.clone());
        new
    }
}

/// The right to execute batches.
struct Turn<T: Send + 'static, R: Send + 'static>(Arc<Combiner<T, R>>);

impl<T: Send + 'static, R: Send + 'static> Turn<T, R> {
    /// Executes batches until no call waits.
    async fn run<F, Fut>(self, execute: F)
    where
        F: Fn(Vec<T>) -> Fut,
        Fut: Future<Output = Vec<Result<R>>>,
    {
        loop {
            if !self.0.gather.is_zero() && self.0.queue().calls.len() < self.0.most {
                tokio::time::sleep(self.0.gather).await;
            }
            let (items, replies): (Vec<T>, Vec<_>) = {
                let mut queue = self.0.queue();
                while queue.calls.front().is_some_and(|(_, reply)| reply.is_closed()) {
                    queue.calls.pop_front();
                }
                if queue.calls.is_empty() {
                    // Under the same lock under which a call decides whether it must start somebody.
                    return queue.running -= 1;
                }
                // Who has gone asks again, or is dead: what it asked is not done late.
                let waits = std::iter::from_fn(|| queue.calls.pop_front()).filter(|(_, reply)| !reply.is_closed());
                waits.take(self.0.most).unzip()
            };
            for (reply, result) in replies.into_iter().zip(execute(items).await) {
                // A caller that has gone asks again.
                let _ = reply.send(result);
            }
        }
    }
}

impl<T: Send + 'static, R: Send + 'static> Drop for Turn<T, R> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut queue = self.0.queue();
            queue.running -= 1;
            if queue.running == 0 {
                // Nobody else would ever execute what waits: it is told to ask again.
                queue.calls.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_comes_alone_does_not_wait_and_who_comes_meanwhile_shares_the_next_batch() {
        let combiner = Combiner::<u32, u32>::new(10, 1, Duration::ZERO);
        let batches = Arc::new(AtomicUsize::new(0));
        let mut calls = tokio::task::JoinSet::new();
        for i in 0..25 {
            let (combiner, batches) = (combiner.clone(), batches.clone());
            calls.spawn(async move {
                tokio::time::sleep(Duration::from_millis(u64::from(i > 0))).await;
                combiner
                    .call(i, move |items| {
                        batches.fetch_add(1, Ordering::Relaxed);
                        assert!(items.len() <= 10);
                        async move {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                            items.into_iter().map(|i| Ok(i * 2)).collect()
                        }
                    })
                    .await
                    .map(|double| (i, double))
            });
        }
        let answers: Vec<_> = calls.join_all().await.into_iter().map(Result::unwrap).collect();
        assert!(answers.len() == 25 && answers.iter().all(|(i, double)| i * 2 == *double));
        // The first alone, then ten, ten and four.
        assert_eq!(batches.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gathers_waits_a_moment_for_others_but_not_when_there_are_enough() {
        let combiner = Combiner::<u32, u32>::new(10, 2, Duration::from_millis(100));
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let begun = tokio::time::Instant::now();
        let mut calls = tokio::task::JoinSet::new();
        for i in 0..14_u32 {
            let (combiner, sizes) = (combiner.clone(), sizes.clone());
            calls.spawn(async move {
                // Three come one after another within the moment, eleven long after it and at once.
                let after = if i < 3 { 30 * i } else { 1_000 };
                tokio::time::sleep(Duration::from_millis(u64::from(after))).await;
                let execute = move |items: Vec<u32>| {
                    sizes.lock().unwrap().push(items.len());
                    async move { items.into_iter().map(Ok).collect() }
                };
                combiner.call(i, execute).await.unwrap()
            });
        }
        let mut answers = calls.join_all().await;
        answers.sort_unstable();
        assert_eq!(answers, (0..14).collect::<Vec<_>>());
        let sizes = sizes.lock().unwrap().clone();
        assert_eq!(sizes[0], 3, "{sizes:?}");
        assert_eq!(sizes[1..].iter().sum::<usize>(), 11, "{sizes:?}");
        assert!(sizes.len() <= 3 && begun.elapsed() <= Duration::from_millis(1_300), "{sizes:?}");
    }

    #[tokio::test]
    async fn a_batch_that_panics_fails_its_calls_and_no_others() {
        let combiner = Combiner::<bool, ()>::new(1, 1, Duration::ZERO);
        let call = async |fails: bool| {
            let execute = |items: Vec<bool>| async move {
                assert!(!items[0], "as it should");
                vec![Ok(())]
            };
            combiner.call(fails, execute).await.is_ok()
        };
        assert!(call(false).await);
        assert!(!call(true).await);
        assert!(call(false).await);
    }
}
