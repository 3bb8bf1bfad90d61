//! A worker without containers on a [`Stack`]: it speaks to the use cases of one replica, with a token of its own.

use std::ops::Deref;
use std::time::Duration;

use tstr_api::ops::claims::Claim;
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunnerId;
use tstr_shared::lease::{Fence, LeasedRun};
use tstr_shared::logs::{LogChunk, LogOffsets, LogSeal, Stream};
use tstr_shared::permission::Scope;
use tstr_shared::run::RunResult;
use tstr_shared::selector::SelectorSources;
use uuid::Uuid;

use crate::contract::{self, outcome};
use crate::{Stack, eventually};

/// A registered worker; what it can do beyond waiting and logging is that of [`contract::Worker`].
#[derive(Clone)]
pub struct Worker {
    /// Its token.
    pub token: String,
    inner: contract::Worker,
}

impl Deref for Worker {
    type Target = contract::Worker;
    fn deref(&self) -> &contract::Worker {
        &self.inner
    }
}

impl Worker {
    /// Registers a worker that takes everything of every namespace.
    pub async fn register(stack: &Stack, replica: usize, name: &str) -> Self {
        Self::register_for(stack, replica, name, &[".*"], SelectorSources::default()).await
    }

    /// Registers a worker for these namespaces and labels.
    pub async fn register_for(
        stack: &Stack,
        replica: usize,
        name: &str,
        namespaces: &[&str],
        selectors: SelectorSources,
    ) -> Self {
        let token = stack.token(&[Scope::Runner], namespaces).await;
        let ops = stack.replica(replica).ops();
        let caller = ops.authenticate(&token).await.expect("authenticate the worker");
        Self { token, inner: contract::Worker::register(ops, caller, name, selectors).await }
    }

    /// Claims up to `max` runs; waits for the first.
    pub async fn claim_within(&self, max: u16, wait: Duration) -> Vec<LeasedRun> {
        let claim = Claim { runner_id: self.id, max, wait, claim_id: Uuid::new_v4(), only_repeat: false, first: false };
        self.ops.claim(&self.caller, claim).await.expect("claim")
    }

    /// Claims one run and waits for it; says how many it got, or why it was refused.
    pub async fn claim_code(&self, wait: Duration) -> Result<usize, ErrorCode> {
        let claim =
            Claim { runner_id: self.id, max: 1, wait, claim_id: Uuid::new_v4(), only_repeat: false, first: false };
        self.ops.claim(&self.caller, claim).await.map(|runs| runs.len()).map_err(|error| error.code())
    }

    /// Claims the next run, for which it waits.
    pub async fn next(&self) -> LeasedRun {
        self.claim_within(1, Duration::from_secs(10)).await.pop().expect("a run is there")
    }

    /// Claims the next run, for which it waits, and starts it.
    pub async fn running(&self) -> Fence {
        let fence = self.next().await.fence;
        self.start(fence).await.expect("start");
        fence
    }

    /// Reports a result; the log is what was stored.
    pub async fn finish(&self, fence: Fence, result: RunResult) -> Result<(), ErrorCode> {
        let missing = self.finish_with(fence, outcome(result), LogSeal::default()).await?;
        assert_eq!(missing, None);
        Ok(())
    }

    /// Appends pieces where the log ends.
    pub async fn write(&self, fence: Fence, pieces: &[(Stream, &[u8])]) -> LogOffsets {
        let append =
            async |chunks| self.ops.append_logs(&self.caller, self.id, fence, chunks).await.expect("append to the log");
        let mut end: LogOffsets = append(Vec::new()).await;
        let mut chunks = Vec::with_capacity(pieces.len());
        for (stream, data) in pieces {
            let (seq, offset) = (end.next_seq, end.of(*stream));
            chunks.push(LogChunk {
                seq,
                stream: *stream,
                offset,
                cut: 0,
                reported_at: chrono::Utc::now(),
                data: data.to_vec(),
            });
            end.next_seq += 1;
            *end.of_mut(*stream) += data.len() as u64;
        }
        assert_eq!(append(chunks).await, end, "everything was stored");
        end
    }
}

/// Waits until a runner of this id is listed in a namespace as being in a state.
pub async fn is_listed_as(stack: &Stack, namespace: &str, id: RunnerId, state: &str) {
    let (admin, path) = (stack.admin(), format!("/api/v1/namespaces/{namespace}/runners"));
    eventually(&format!("the runner is {state}"), Duration::from_secs(10), async || {
        let listed = admin.get(&path).await.expect(200);
        let mine = |one: &&serde_json::Value| one["id"] == id.to_string().as_str() && one["state"] == state;
        listed["items"].as_array().expect("a list").iter().find(mine).map(|_| ())
    })
    .await;
}
