//! The transitions T1 to T13 of the contract, one by one: who may, when, what follows, and that nobody else can.
//!
//! The loops do not run here: the tests move the clock by SQL and take the turns of the loops themselves.

mod begin;
mod end;
mod guards;
mod recover;
mod retry;

use serde_json::{Value, json};
use tstr_shared::ids::RunId;
use tstr_tests::Lab;

/// The last event of a run, without its time and number.
async fn last_event(lab: &Lab, run: RunId) -> Value {
    lab.value(
        "SELECT to_jsonb(v) - 'id' - 'at' - 'txid' - 'run_id' FROM run_event v WHERE run_id = $1 ORDER BY at DESC, id DESC LIMIT 1",
        run,
    )
    .await
}

/// What the last event says: `[from, to, attempt, result, reason]`.
async fn last_step(lab: &Lab, run: RunId) -> Value {
    let event = last_event(lab, run).await;
    json!([event["state_from"], event["state_to"], event["attempt"], event["result"], event["reason"]])
}
