//! Retention: what is over goes, days as a whole where that is possible; what is pinned stays; and what is stored is counted.

mod days;
mod keeps;
mod late;
mod room;

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};
use tstr_api::ops::retention::Retained;
use tstr_api::turns;
use tstr_shared::ids::RunId;
use tstr_shared::logs::Stream;
use tstr_shared::namespace::{Namespace, NamespaceInfo, NamespaceSettings, Retention};
use tstr_shared::page::PageRequest;
use tstr_shared::run::{RunFilter, RunResult, TriggerRun};
use tstr_tests::contract::{Worker, default};
use tstr_tests::{Lab, factory};

/// The day so many days after that of a run.
fn after(run: RunId, days: u64) -> NaiveDate {
    run.time().date_naive() + Days::new(days)
}

/// Takes a turn as if it were this day.
async fn retain(lab: &Lab, today: NaiveDate) -> Retained {
    let done = turns::retain(lab.ops(), today).await.expect("retain");
    lab.check().await;
    usage_is_exact(lab).await;
    done
}

/// Makes the partitions of the real days again, which a turn on a later day has dropped.
async fn back_to_today(lab: &Lab) {
    turns::keep_house(lab.ops()).await.expect("keep house");
}

/// Makes a run of a namespace that has passed with this log.
async fn passed(lab: &Lab, worker: &Worker, ns: &Namespace, log: &str) -> RunId {
    let run = waiting(lab, ns).await;
    let fence = worker.started().await;
    assert_eq!(fence.run_id, run);
    if !log.is_empty() {
        worker.append(fence, 0, Stream::Stdout, 0, log).await.expect("append");
    }
    worker.finish(fence, RunResult::Pass).await.expect("finish");
    run
}

/// Makes a run of a namespace.
async fn waiting(lab: &Lab, ns: &Namespace) -> RunId {
    let new = serde_json::from_value(factory::test("t")).expect("a test");
    lab.ops().apply_test(&lab.admin, ns, new, false, None).await.expect("register the test");
    let made = lab.ops().trigger(&lab.admin, ns, "t", TriggerRun::default(), None).await.expect("trigger");
    made.runs[0].id
}

/// Makes a namespace that keeps things for so many days.
async fn namespace(lab: &Lab, name: &str, runs_days: i32, logs_days: i32) -> Namespace {
    lab.namespace(name).await;
    let ns = Namespace::parse(name).expect("a name");
    let retention = Retention { runs_days, logs_days };
    let change = |old| NamespaceSettings { retention, ..old };
    lab.ops().update_namespace(&lab.admin, &ns, change).await.expect("set the days");
    ns
}

async fn info(lab: &Lab, ns: &Namespace) -> NamespaceInfo {
    lab.ops().get_namespace(&lab.admin, ns).await.expect("read the namespace")
}

/// What a namespace says it has stored: runs, and bytes of logs.
async fn usage(lab: &Lab, ns: &Namespace) -> (u64, u64) {
    let usage = info(lab, ns).await.usage;
    (usage.runs, usage.log_bytes)
}

async fn listed(lab: &Lab, ns: &Namespace, filter: RunFilter) -> Vec<RunId> {
    let page = lab.ops().list_runs(&lab.admin, ns, filter, PageRequest::default()).await.expect("list");
    page.items.into_iter().map(|run| run.id).collect()
}

/// Reads a run by each of its tables, the run itself with it.
async fn whole(lab: &Lab, run: RunId) -> Value {
    let itself = lab.value("SELECT coalesce((SELECT to_jsonb(r) FROM run r WHERE id = $1), 'null')", run).await;
    json!([itself, lab.rows(run).await])
}

async fn has_partition(lab: &Lab, table: &str, day: NaiveDate) -> bool {
    let name = format!("{table}_{}", day.format("%Y%m%d"));
    let query = "SELECT to_regclass($1) IS NOT NULL";
    sqlx::query_scalar(query).bind(name).fetch_one(&mut lab.db.connect().await).await.expect("look for a table")
}

/// Compares what the namespaces say they have stored with what the tables hold.
async fn usage_is_exact(lab: &Lab) {
    let query = "SELECT n.name, (SELECT count(*) FROM run r WHERE r.ns_id = n.id),
                        (SELECT coalesce(sum(coalesce(c.raw_bytes, octet_length(c.body))), 0)::bigint
                         FROM log_chunk c JOIN run r ON r.id = c.run_id
                         WHERE r.ns_id = n.id AND EXISTS (SELECT FROM attempt a WHERE a.run_id = c.run_id AND a.attempt = c.attempt)),
                        (SELECT coalesce(sum(f.bytes), 0)::bigint FROM artifact f JOIN run r ON r.id = f.run_id
                         WHERE r.ns_id = n.id AND EXISTS (SELECT FROM attempt a WHERE a.run_id = f.run_id AND a.attempt = f.attempt))
                 FROM namespace n";
    let rows: Vec<(String, i64, i64, i64)> =
        sqlx::query_as(query).fetch_all(&mut lab.db.connect().await).await.expect("count");
    for (name, runs, bytes, files) in rows {
        let ns = Namespace::parse(&name).expect("a name");
        let stored = (runs.unsigned_abs(), bytes.unsigned_abs());
        assert_eq!(usage(lab, &ns).await, stored, "what {name} has stored");
        assert_eq!(info(lab, &ns).await.usage.artifact_bytes, files.unsigned_abs(), "the artifacts of {name}");
    }
}
