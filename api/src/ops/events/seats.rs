//! Who listens: how many streams are open and of whom, and the end of those that nobody reads.
//!
//! A stream is asked for its next event at least as often as its own clock ticks, unless what was told before is not taken. So one
//! that was not asked for long has a reader who does not read, whatever lies between; it is dropped with all that it holds. Whoever
//! comes to read again finds the end, and goes on from the last id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use metrics::{counter, gauge};
use tokio::time::Instant;
use tstr_shared::error::ErrorCode;
use tstr_shared::event::Event;
use tstr_shared::ids::TokenId;

use crate::error::{Error, Result};

/// How many streams a replica keeps open, and how many of them those of one token are: a browser needs one.
const MOST_STREAMS: usize = 2000;
const MOST_OF_TOKEN: usize = 200;
/// How long a reader may take nothing of what is told.
const STALLED: Duration = Duration::from_secs(45);
/// When somebody who found no room should come again.
const COME_AGAIN: Duration = Duration::from_secs(10);

/// How many streams are open, and how many were dropped because nobody read them.
const OPEN: &str = "tstr_event_streams";
const CUT: &str = "tstr_event_streams_stalled_total";

/// Says what the metrics of streams mean.
pub(super) fn describe() {
    metrics::describe_gauge!(OPEN, metrics::Unit::Count, "Streams of events that are open.");
    metrics::describe_counter!(
        CUT,
        metrics::Unit::Count,
        "Streams of events that were dropped because nobody read them."
    );
    gauge!(OPEN).set(0);
    counter!(CUT).absolute(0);
}

/// The streams of a replica.
#[derive(Default)]
pub(super) struct Seats {
    taken: Arc<Mutex<HashMap<TokenId, usize>>>,
    watched: Mutex<Vec<Weak<Watched>>>,
}

impl Seats {
    /// Takes a seat, which is free again when it is dropped.
    pub(super) fn take(&self, token: TokenId) -> Result<Seat> {
        let mut taken = lock(&self.taken);
        let all: usize = taken.values().sum();
        let of_token = taken.get(&token).copied().unwrap_or_default();
        let full = match (of_token >= MOST_OF_TOKEN, all >= MOST_STREAMS) {
            (true, _) => Some(format!("this token has {MOST_OF_TOKEN} streams of events open on this server already")),
            (false, true) => Some(format!("{MOST_STREAMS} streams of events are open on this server already")),
            (false, false) => None,
        };
        if let Some(sentence) = full {
            return Err(Error::new(ErrorCode::QuotaExceeded, sentence).with_retry_after(COME_AGAIN));
        }
        *taken.entry(token).or_default() += 1;
        gauge!(OPEN).increment(1);
        Ok(Seat { taken: self.taken.clone(), token })
    }

    /// Returns a stream that ends when it is not asked for its next event for too long.
    pub(super) fn watch(&self, stream: BoxStream<'static, Event>) -> impl Stream<Item = Event> + Send + use<> {
        let watched = Arc::new(Watched(Mutex::new((Instant::now(), Some(stream)))));
        let mut all = lock(&self.watched);
        // It grows to twice what is open at most.
        if all.len() == all.capacity() {
            all.retain(|one| one.strong_count() > 0);
        }
        all.push(Arc::downgrade(&watched));
        drop(all);
        stream::poll_fn(move |context| watched.poll(context))
    }

    /// Drops the streams that nobody reads.
    pub(super) fn cut_stalled(&self) {
        let all: Vec<_> = {
            let mut all = lock(&self.watched);
            all.retain(|one| one.strong_count() > 0);
            all.iter().filter_map(Weak::upgrade).collect()
        };
        let cut = all.iter().filter(|one| one.cut()).count();
        counter!(CUT).increment(cut as u64);
    }
}

/// The right to have a stream open.
pub(super) struct Seat {
    taken: Arc<Mutex<HashMap<TokenId, usize>>>,
    token: TokenId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        gauge!(OPEN).decrement(1);
        let mut taken = lock(&self.taken);
        if let Some(count) = taken.get_mut(&self.token) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.token);
            }
        }
    }
}

/// A stream, with when it was asked last; none once it was cut or has ended.
struct Watched(Mutex<(Instant, Option<BoxStream<'static, Event>>)>);

impl Watched {
    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut inner = lock(&self.0);
        inner.0 = Instant::now();
        match &mut inner.1 {
            Some(stream) => stream.poll_next_unpin(context),
            None => Poll::Ready(None),
        }
    }

    fn cut(&self) -> bool {
        let mut inner = lock(&self.0);
        let is_stalled = inner.0.elapsed() > STALLED;
        is_stalled && inner.1.take().is_some()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use tstr_shared::event::EventKind;
    use tstr_shared::namespace::Namespace;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_token_takes_no_more_than_its_share_and_gives_it_back() {
        let seats = Seats::default();
        let token = |n| TokenId(Uuid::from_u128(n));
        let mut own: Vec<_> = (0..MOST_OF_TOKEN).map(|_| seats.take(token(0)).unwrap()).collect();
        let refused = seats.take(token(0)).err().unwrap();
        assert_eq!(refused.code(), ErrorCode::QuotaExceeded);
        assert!(seats.take(token(1)).is_ok(), "another token is not concerned");
        own.pop();
        own.push(seats.take(token(0)).unwrap());
        let rest: Vec<_> = (MOST_OF_TOKEN..MOST_STREAMS).map(|n| seats.take(token(n as u128)).unwrap()).collect();
        assert!(seats.take(token(1)).is_err(), "the server is full");
        drop((own, rest));
        assert!(lock(&seats.taken).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nobody_reads_is_dropped_and_one_that_is_read_is_not() {
        let seats = Seats::default();
        let event = || Event::new(EventKind::Ready, Namespace::parse("a").unwrap(), DateTime::UNIX_EPOCH);
        let open = |seat: Seat| {
            let events = stream::repeat_with(move || {
                let _held = &seat;
                event()
            });
            Box::pin(seats.watch(events.boxed()))
        };
        let tokens = [TokenId(Uuid::from_u128(1)), TokenId(Uuid::from_u128(2))];
        let (mut left, mut read) = (open(seats.take(tokens[0]).unwrap()), open(seats.take(tokens[1]).unwrap()));
        assert!(left.next().await.is_some());
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(10)).await;
            assert!(read.next().await.is_some());
            seats.cut_stalled();
        }
        assert!(!lock(&seats.taken).contains_key(&tokens[0]), "all that it held is free, though its end was not read");
        assert!(read.next().await.is_some());
        assert!(left.next().await.is_none());
    }
}
