//! Somebody who listens to a stream of events, as browsers do.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::people::Person;

/// How long an event is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// An event as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// The kind.
    pub kind: String,
    /// The id, if it has one.
    pub id: Option<String>,
    /// The data.
    pub data: Value,
}

/// Somebody who listens.
pub struct Listener {
    bytes: BoxStream<'static, reqwest::Result<Bytes>>,
    text: String,
    /// How often the server said that it is there.
    pub pings: usize,
    /// After how many milliseconds one is to come back.
    pub retry: Option<u64>,
    /// The last id that was heard.
    pub last: Option<String>,
}

impl Listener {
    /// Listens to a namespace, behind an id if one is given.
    pub async fn at(person: &Person, namespace: &str, topics: &str, last: Option<&str>) -> Self {
        let path = format!("/api/v1/events?namespace={namespace}&topics={topics}");
        let mut request = person.request(Method::GET, &path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        Self::open(request).await
    }

    /// Listens to what a request answers.
    pub async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("ask for events");
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!((header("cache-control"), header("x-accel-buffering")), ("no-store", "no"));
        Self { bytes: response.bytes_stream().boxed(), text: String::new(), pings: 0, retry: None, last: None }
    }

    /// Waits for the next event; `None` when the stream has ended. Hints that something waits for a transaction are passed over:
    /// transactions of other tests on the same PostgreSQL bring them.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let heard = self.next_or_hint().await?;
            if heard.kind != "run.many" || heard.id.is_some() {
                return Some(heard);
            }
        }
    }

    /// Waits for the next event or hint.
    pub async fn next_or_hint(&mut self) -> Option<Heard> {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("an event comes")
    }

    /// Waits for the next event of a kind; others are passed over.
    pub async fn until(&mut self, kind: &str) -> Heard {
        loop {
            let heard = self.next().await.unwrap_or_else(|| panic!("the stream ended before {kind}"));
            if heard.kind == kind {
                return heard;
            }
        }
    }

    /// Waits until the stream says how far it has come without telling anything; returns that.
    pub async fn until_placed(&mut self) -> String {
        let placed = async {
            loop {
                let block = self.block().await.expect("the stream goes on");
                let before = self.last.take();
                match (self.take(&block), self.last.take()) {
                    (None, Some(id)) => break id,
                    (_, id) => self.last = id.or(before),
                }
            }
        };
        let id = tokio::time::timeout(PATIENCE, placed).await.expect("an id comes");
        self.last = Some(id.clone());
        id
    }

    /// Waits until the stream ends; returns what was heard.
    pub async fn rest(&mut self) -> Vec<Heard> {
        let mut all = Vec::new();
        while let Some(heard) = self.next().await {
            all.push(heard);
        }
        all
    }

    async fn read(&mut self) -> Option<Heard> {
        loop {
            let block = self.block().await?;
            if let Some(heard) = self.take(&block) {
                return Some(heard);
            }
        }
    }

    /// Reads up to the next empty line.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            match self.bytes.next().await {
                Some(Ok(bytes)) => self.text.push_str(std::str::from_utf8(&bytes).expect("text")),
                Some(Err(_)) | None => return None,
            }
        }
    }

    fn take(&mut self, block: &str) -> Option<Heard> {
        let (mut kind, mut id, mut data) = (None, None, None);
        for line in block.lines() {
            match line.split_once(':').map(|(field, value)| (field, value.trim_start())) {
                Some(("", _)) => self.pings += 1,
                Some(("event", value)) => kind = Some(value.to_owned()),
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("data", value)) => data = Some(serde_json::from_str(value).expect("JSON")),
                Some(("retry", value)) => self.retry = value.parse().ok(),
                other => panic!("what is {other:?} in {block}"),
            }
        }
        if id.is_some() {
            self.last.clone_from(&id);
        }
        Some(Heard { kind: kind?, id, data: data? })
    }
}
