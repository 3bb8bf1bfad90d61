//! Streams of events: what a namespace's people are told of changes as they happen.
//!
//! One task of a replica looks for what is new while somebody listens here ([`hub`]), whatever the number of those who do, and
//! tells all of them over one bounded channel. Every event of a run has a place in an order that is the same on all replicas
//! and final, so a stream goes on at any of them from the place it has come to, and nothing is lost or told twice. Who does not
//! keep up is told so and cut off; who does not read at all is dropped.

pub mod hub;
mod reader;
mod seats;

use futures_util::stream::{self, Stream, StreamExt};
use tstr_shared::event::{Event, Topic};
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::{RunnersRead, RunsRead, TestsRead};

use self::reader::Reader;
use super::Ops;
use crate::auth::Caller;
use crate::error::Result;

/// What somebody wants to be told.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Of which namespace.
    pub namespace: Namespace,
    /// About what; everything when it is empty.
    pub topics: Vec<Topic>,
    /// The id of the last event that was heard.
    pub last: Option<String>,
}

impl Ops {
    /// Opens a stream of events, which ends with the token, with the server, or when its reader is too slow.
    pub async fn subscribe(
        &self,
        caller: &Caller,
        wanted: Subscription,
    ) -> Result<impl Stream<Item = Event> + Send + use<>> {
        let access = self.enter::<RunsRead>(caller, &wanted.namespace).await?;
        let about = |topic| wanted.topics.is_empty() || wanted.topics.contains(&topic);
        if about(Topic::Tests) {
            self.enter::<TestsRead>(caller, &wanted.namespace).await?;
        }
        if about(Topic::Runners) {
            self.enter::<RunnersRead>(caller, &wanted.namespace).await?;
        }
        let topics: Vec<Topic> = Topic::ALL.iter().copied().filter(|topic| about(*topic)).collect();
        let seat = self.0.events.seats().take(caller.token_id())?;
        let reader = Reader::begin(self, caller, access, Subscription { topics, ..wanted }, seat).await?;
        let told = stream::unfold(reader, |mut reader| async move { reader.next().await.map(|event| (event, reader)) });
        Ok(self.0.events.seats().watch(told.boxed()))
    }
}

/// Says what the metrics of streams mean.
pub fn describe() {
    seats::describe();
    hub::describe();
}
