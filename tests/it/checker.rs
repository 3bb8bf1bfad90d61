//! The checker rejects, for each invariant, a state or a story in which it does not hold, and accepts one in which all do.
//!
//! A small world is made by the product itself. Each case breaks it inside a transaction, with triggers off as no user
//! of the product could, looks at it from inside, and rolls back.

use std::collections::BTreeSet;

use chrono::{DateTime, DurationRound, Timelike, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};
use tstr_api::turns;
use tstr_shared::ids::RunId;
use tstr_shared::lease::Fence;
use tstr_shared::logs::{LogSeal, Stream, StreamSeal};
use tstr_shared::output::Output;
use tstr_shared::run::{Reason, RunResult, TriggerRun};
use tstr_tests::checker::{
    self, Asked, Cancel, Evidence, Expected, History, Known, Seen, Snapshot, Span, Summary, Violation, boot_nanos,
    product,
};
use tstr_tests::contract::{Worker, default, outcome};
use tstr_tests::images::SHELL;
use tstr_tests::leftovers::{end_processes_of, left_mounted, mounted};
use tstr_tests::process::{command, run};
use tstr_tests::runner::Site;
use tstr_tests::{Lab, binary, factory};
use uuid::Uuid;

const SECOND: i64 = 1_000_000_000;

/// A world in which every invariant holds, and what was seen of it.
struct World {
    lab: Lab,
    evidence: Evidence,
    /// Passed in its first attempt.
    passed: Uuid,
    /// Its first attempt was lost, its second passed.
    taken_over: Uuid,
    /// Cancelled while it waited.
    cancelled: Uuid,
    instant: DateTime<Utc>,
}

/// What the container of an attempt printed.
fn testimony(fence: Fence, exit_code: i32, wrote: usize) -> String {
    let (run, attempt, now) = (fence.run_id, fence.attempt, boot_nanos());
    format!("S {run} {attempt} {now} 2\nE {run} {attempt} {now} 2 {exit_code} {wrote}\n")
}

fn seal_of(bytes: &[u8]) -> StreamSeal {
    StreamSeal { bytes: bytes.len() as u64, dropped_bytes: 0, sha256: Sha256::digest(bytes).into() }
}

/// Starts, logs and ends an attempt as a worker would; it leaves a file behind.
async fn work(worker: &Worker, fence: Fence, result: RunResult) {
    worker.start(fence).await.unwrap();
    let code = outcome(result).exit_code.unwrap_or(0);
    let told = testimony(fence, code, 5);
    worker.append(fence, 0, Stream::Stdout, 0, "hello").await.unwrap();
    worker.append(fence, 1, Stream::Stderr, 0, &told).await.unwrap();
    worker.leave(fence, &[("a.txt", "a file")]).await;
    let said = Output { data: [("k".to_owned(), 1.into())].into(), ..Output::default() };
    worker.say(fence, &said).await.unwrap();
    let seal = LogSeal { stdout: seal_of(b"hello"), stderr: seal_of(told.as_bytes()), incomplete: false };
    assert_eq!(worker.finish_with(fence, outcome(result), seal).await.unwrap(), None);
}

impl World {
    async fn make() -> Self {
        let lab = Lab::start().await;
        let history = History::default();
        lab.quotas(Some(100), Some(10)).await;
        lab.test(factory::with(factory::witness("t", "true"), "/retry", json!({"on_fail": 1, "on_infrastructure": 1})))
            .await;
        history.note(Asked::Test, "t", Known::Done(Vec::new()));
        let trigger = async |mark: &str| {
            let request: TriggerRun = serde_json::from_value(json!({"env": {"MARK": mark}})).unwrap();
            let made = lab.ops().trigger(&lab.admin, &default(), "t", request, None).await.unwrap();
            let runs: Vec<Uuid> = made.runs.iter().map(|run| run.id.0).collect();
            history.note(Asked::Runs, mark, Known::Unknown);
            history.note(Asked::Runs, mark, Known::Done(runs.clone()));
            runs[0]
        };
        let worker = lab.worker("w").await;

        let passed = trigger("passed").await;
        work(&worker, worker.one().await, RunResult::Pass).await;
        let flaky = trigger("flaky").await;
        work(&worker, worker.one().await, RunResult::Fail).await;
        work(&worker, worker.one().await, RunResult::Pass).await;
        let taken_over = trigger("taken over").await;
        let lost = worker.started().await;
        lab.lapse(RunId(taken_over)).await;
        assert_eq!(lab.reap().await, 1);
        lab.sql("UPDATE delayed SET due = clock_timestamp() WHERE run_id = $1", RunId(taken_over)).await;
        assert_eq!(lab.move_due().await, 1);
        work(&worker, worker.one().await, RunResult::Pass).await;
        assert_eq!(lost.run_id.0, taken_over);
        let given_back = trigger("given back").await;
        worker.release(worker.one().await, None).await.unwrap();
        work(&worker, worker.one().await, RunResult::Fail).await;
        worker.release(worker.started().await, Some(Reason::RuntimeLost)).await.unwrap();
        lab.sql("UPDATE delayed SET due = clock_timestamp() WHERE run_id = $1", RunId(given_back)).await;
        lab.move_due().await;
        work(&worker, worker.one().await, RunResult::Fail).await;
        let cancelled = trigger("cancelled").await;
        lab.cancel(RunId(cancelled)).await.unwrap();
        let called_off = trigger("called off").await;
        worker.one().await;
        lab.cancel(RunId(called_off)).await.unwrap();
        history.note(Asked::Runs, "never done", Known::Unknown);
        history.note(Asked::Runs, "refused", Known::Refused(422));
        assert_eq!(lab.get(RunId(flaky)).await.attempts.len(), 2);

        // Half an hour ago, and not again for as long: no instant of its own comes into the way.
        let instant = Utc::now().duration_trunc(chrono::Duration::minutes(1)).unwrap() - chrono::Duration::minutes(30);
        let axes = json!({"os": ["linux", "bsd"], "arch": ["a", "b"]});
        let fields = [
            ("/cron_schedule", json!(format!("{} * * * *", instant.minute()))),
            ("/start_deadline", json!("2h")),
            ("/matrix/labels", axes),
        ];
        let scheduled = factory::witness("s", "true");
        let scheduled =
            fields.into_iter().fold(scheduled, |body, (pointer, value)| factory::with(body, pointer, value));
        lab.test(scheduled).await;
        history.note(Asked::Test, "s", Known::Done(Vec::new()));
        lab.execute(&format!("UPDATE schedule SET next_at = '{}'", instant.to_rfc3339())).await.unwrap();
        assert_eq!(turns::enqueue_due(lab.ops()).await.unwrap(), 1);
        loop {
            let leased = worker.claim(10).await;
            if leased.is_empty() {
                break;
            }
            for run in leased {
                work(&worker, run.fence, RunResult::Pass).await;
            }
        }
        let cells = product(&[("os", &["linux", "bsd"]), ("arch", &["a", "b"])]);
        let told = lab.ops().get_namespace(&lab.admin, &default()).await.unwrap();
        let snapshot = Snapshot::take(&mut lab.db.connect().await).await;
        let evidence = Evidence {
            history: Some(history),
            schedules: Some(vec![Expected { test: "s".into(), cells, instants: BTreeSet::from([instant]) }]),
            snapshots: vec![snapshot],
            cancels: vec![Cancel { run: called_off, answered: boot_nanos(), bound: 3 * SECOND }],
            seen: vec![Seen { who: "a reader".into(), may_see: vec!["default".into()], runs: vec![passed] }],
            summaries: vec![Summary {
                namespace: "default".into(),
                runs: told.usage.runs as i64,
                log_bytes: told.usage.log_bytes as i64,
                artifact_bytes: told.usage.artifact_bytes as i64,
            }],
            secrets: vec!["correct-horse-battery".into()],
            texts: vec![("a log".into(), "a horse".into())],
            leftovers: Some(Vec::new()),
            ..Evidence::default()
        };
        Self { lab, evidence, passed, taken_over, cancelled, instant }
    }
}

/// Looks at the world after these statements, and undoes them.
async fn after(conn: &mut PgConnection, statements: &[String], evidence: &Evidence) -> Vec<Violation> {
    let mut tx = conn.begin().await.unwrap();
    sqlx::query("SET LOCAL session_replication_role = replica").execute(&mut *tx).await.unwrap();
    for statement in statements {
        let done = sqlx::query(sqlx::AssertSqlSafe(statement.clone())).execute(&mut *tx).await;
        let changed = done.unwrap_or_else(|error| panic!("{statement}: {error}")).rows_affected();
        assert!(changed > 0, "nothing was broken by: {statement}");
    }
    let found = checker::violations(&mut tx, evidence).await;
    tx.rollback().await.unwrap();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_rejects_what_breaks_an_invariant_and_nothing_else() {
    let mut world = World::make().await;
    let mut conn = world.lab.db.connect().await;
    let clean = after(&mut conn, &[], &world.evidence).await;
    assert!(clean.is_empty(), "{}", clean.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));

    let (passed, taken_over, cancelled) = (world.passed, world.taken_over, world.cancelled);
    let of =
        |statement: &str| statement.replace("$passed", &passed.to_string()).replace("$lost", &taken_over.to_string());
    // What of the database is broken, and the words by which the checker says so.
    let broken = [
        (
            "I1: a run finishes once",
            "INSERT INTO run_event (run_id, state_from, state_to, attempt, lease_id, result, actor)
             SELECT run_id, state_from, state_to, attempt, lease_id, result, actor FROM run_event
             WHERE run_id = '$passed' AND state_to = 'finished'",
        ),
        ("I1: the result is that of the event", "UPDATE run_end SET result = 'fail' WHERE run_id = '$passed'"),
        ("I1: the result is that of the event", "DELETE FROM run_end WHERE run_id = '$passed'"),
        ("I2: what has ended", "UPDATE attempt SET exit_code = 7 WHERE run_id = '$passed'"),
        ("I2: what has ended", "UPDATE run_end SET finished_at = finished_at + interval '1 ms' WHERE run_id = '$passed'"),
        ("I2: what has ended", "DELETE FROM log_chunk WHERE run_id = '$passed' AND stream = 1"),
        ("I2: what has ended", "UPDATE output SET summary = 'x' WHERE run_id = '$passed'"),
        ("I2: what has ended", "UPDATE artifact SET path = 'b.txt' WHERE run_id = '$passed'"),
        ("I2: what has ended", "DELETE FROM run_event WHERE run_id = '$passed' AND state_to = 'leased'"),
        ("I3: attempts are 1 to n", "DELETE FROM attempt WHERE run_id = '$lost' AND attempt = 1"),
        (
            "I3: no more attempts than the test and its releases allow",
            "UPDATE config SET on_infrastructure = 0, on_fail = 0 WHERE id = (SELECT config_id FROM run WHERE id = '$lost')",
        ),
        (
            "I3: every attempt has a lease id of its own",
            "UPDATE attempt SET lease_id = (SELECT lease_id FROM attempt WHERE run_id = '$lost' AND attempt = 2)
             WHERE run_id = '$passed'",
        ),
        (
            "I3: no two attempts of a run hold a lease at once",
            "UPDATE attempt SET ended_at = ended_at + interval '1 hour' WHERE run_id = '$lost' AND attempt = 1",
        ),
        ("I3: what was uploaded has one attempt and no runner", "UPDATE run SET trigger = 'upload' WHERE id = '$passed'"),
        (
            "I4: the states follow each other",
            "DELETE FROM run_event WHERE run_id = '$lost' AND attempt = 1 AND state_to = 'leased'",
        ),
        ("I4: every event begins", "UPDATE run_event SET state_from = 'leased' WHERE run_id = '$passed' AND result = 'pass'"),
        (
            "I4: a running run waits again only",
            "UPDATE attempt SET reason = 'start_failed' WHERE run_id = '$lost' AND attempt = 1",
        ),
        (
            "I4: every run is in the one place",
            "INSERT INTO ready (lane, seq, run_id, expires_at) SELECT 0, 0, '$passed', clock_timestamp()",
        ),
        ("I4: every run has an event", "DELETE FROM run WHERE id = '$passed'"),
        ("I5: times are in order", "UPDATE attempt SET started_at = ended_at + interval '1 s' WHERE run_id = '$passed'"),
        ("I5: what has ended", "UPDATE run SET created_at = created_at - interval '1 ms' WHERE id = '$passed'"),
        ("I5: a run was created when", "UPDATE run SET created_at = created_at - interval '5 s' WHERE id = '$passed'"),
        (
            "I5: an attempt started when its event says so",
            "UPDATE run_event SET at = at + interval '5 s' WHERE run_id = '$passed' AND state_to = 'running'",
        ),
        ("I5: the end repeats the times", "UPDATE run_end SET started_at = leased_at WHERE run_id = '$passed'"),
        ("I5: a start is the event", "UPDATE attempt SET started_at = NULL WHERE run_id = '$lost' AND attempt = 1"),
        ("I6: nothing is started before", "DELETE FROM run_event WHERE run_id = '$passed' AND state_to = 'running'"),
        (
            "I6: nothing is started before",
            "UPDATE run_event SET at = at + interval '1 hour' WHERE run_id = '$passed' AND state_to = 'running'",
        ),
        ("I6: a container that passed or failed said so itself", "UPDATE attempt SET exit_code = 1 WHERE run_id = '$passed'"),
        (
            "I6: a container that passed or failed said so itself",
            "DELETE FROM log_chunk WHERE run_id = '$passed' AND stream = 2",
        ),
        (
            "I6: a log holds the lines of its own",
            "UPDATE log_chunk SET body = (SELECT body FROM log_chunk WHERE run_id = '$lost' AND stream = 2)
             WHERE run_id = '$passed' AND stream = 2",
        ),
        ("I7: the pieces of a stream", "UPDATE log_chunk SET start = start + 1 WHERE run_id = '$passed' AND stream = 1"),
        (
            "I7: a stream is cut once",
            "INSERT INTO log_chunk (run_id, attempt, seq, stream, start, reported_at, body, cut_at, cut_bytes)
             VALUES ('$passed', 1, 2, 1, 10, clock_timestamp(), 'x', 5, 5), ('$passed', 1, 3, 1, 11, clock_timestamp(), 'y', NULL, NULL)",
        ),
        ("I7: the place of a piece", "UPDATE log_chunk SET place = place + 1 WHERE run_id = '$passed' AND seq = 1"),
        ("I7: a log that is complete", "UPDATE attempt SET stdout_bytes = 6 WHERE run_id = '$passed'"),
        ("I7: a complete log has all bytes", "DELETE FROM log_chunk WHERE run_id = '$passed' AND stream = 1"),
        ("I7: a complete log has the hash", "UPDATE log_chunk SET body = 'hullo' WHERE run_id = '$passed' AND stream = 1"),
        (
            "I7: what is stored and dropped is what the container wrote",
            "UPDATE attempt SET stdout_dropped = 1 WHERE run_id = '$passed'",
        ),
        ("I9: what was acknowledged exists", "DELETE FROM run WHERE id = '$passed'"),
        ("I9: what was acknowledged exists", "DELETE FROM test WHERE name = 't'"),
        (
            "I9: one key has one effect",
            "INSERT INTO run SELECT (left(id::text, 35) || CASE right(id::text, 1) WHEN '0' THEN '1' ELSE '0' END)::uuid, ns_id, test_id, gen_random_uuid(), class_id,
                 config_id, priority, seq, queue_secs, trigger, scheduled_at, created_at, created_by
             FROM run WHERE id = '$passed'",
        ),
        (
            "I9: no run exists that nobody asked for",
            "UPDATE config SET body = jsonb_set(body::jsonb, '{run_config,env,MARK}', '\"other\"')::json
             WHERE id = (SELECT config_id FROM run WHERE id = '$passed')",
        ),
        ("I9: no run exists that nobody asked for", "UPDATE run SET trigger = 'retry' WHERE id = '$passed'"),
        ("I9: no test exists", "UPDATE test SET name = 'other' WHERE name = 't'"),
        (
            "I10: an instant makes its cells once",
            "DELETE FROM run WHERE id = (SELECT id FROM run WHERE trigger = 'schedule' LIMIT 1)",
        ),
        (
            "I10: an instant makes its cells once",
            "INSERT INTO run SELECT (left(id::text, 35) || CASE right(id::text, 1) WHEN '0' THEN '1' ELSE '0' END)::uuid, ns_id, test_id, matrix_id, class_id, config_id,
                 priority, seq, queue_secs, trigger, scheduled_at, created_at, created_by
             FROM run WHERE trigger = 'schedule' LIMIT 1",
        ),
        (
            "I10: nothing is made at an instant that is none",
            "UPDATE run SET scheduled_at = scheduled_at + interval '30 s' WHERE trigger = 'schedule'",
        ),
        (
            "I11: nothing waits or runs",
            "INSERT INTO delayed (due, run_id, lane, seq, queue_secs) SELECT clock_timestamp(), '$passed', 0, 0, 1",
        ),
        ("I12: a runner holds only runs of namespaces", "UPDATE runner SET namespaces = '{defaul}'"),
        ("I12: a runner holds only runs that its selectors", "UPDATE runner SET accept = '{\"os\": \"linux\"}'"),
        ("I12: a runner holds only runs that its selectors", "UPDATE runner SET reject = '{\"arch\": \"a\"}'"),
        (
            "I12: nothing is handed to a runner whose token was revoked",
            "INSERT INTO token (id, name, scopes, namespaces, created_at, expires_at, revoked_at)
             SELECT token_id, 'w', '{runner}', '{.*}', clock_timestamp() - interval '1 day',
                    clock_timestamp() + interval '1 day', clock_timestamp() - interval '1 minute' FROM runner",
        ),
        ("I13: no secret", "UPDATE attempt SET message = 'with correct-horse-battery' WHERE run_id = '$passed'"),
        ("I13: no secret", "UPDATE log_chunk SET body = 'correct-horse-battery' WHERE run_id = '$passed' AND stream = 1"),
        ("I13: no secret", "UPDATE attempt SET stdout_sha256 = 'correct-horse-battery' WHERE run_id = '$passed'"),
        ("I15: no namespace has more running", "UPDATE namespace SET max_running = 0"),
        ("I15: no namespace is given more waiting", "UPDATE namespace SET max_queued = 3"),
        ("I16: the sums of a namespace", "UPDATE usage_delta SET runs = runs + 1 WHERE runs > 0"),
        ("I16: the sums of a namespace", "UPDATE usage_delta SET log_bytes = log_bytes - 1 WHERE log_bytes > 0"),
        (
            "I16: the sums of a namespace",
            "UPDATE usage_delta SET artifact_bytes = artifact_bytes + 1 WHERE artifact_bytes > 0",
        ),
        ("I16: the sums of a namespace", "DELETE FROM run WHERE id = '$passed'"),
        ("I16: the sums of a summary", "DELETE FROM undigested WHERE run_id = '$passed'"),
        (
            "I16: the sums of a summary",
            "INSERT INTO rollup SELECT 1, 0, 1, date_trunc('day', now(), 'UTC') - interval '9 days', '', 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, '', ''",
        ),
        ("artifacts: the files of an attempt", "DELETE FROM artifact WHERE run_id = '$passed'"),
        ("artifacts: the files of an attempt", "UPDATE attempt SET artifact_files = 2 WHERE run_id = '$passed'"),
        ("artifacts: what a file has for a content", "UPDATE blob SET stored_at = NULL"),
        ("artifacts: what a file has for a content", "UPDATE blob SET bytes = 5"),
        (
            "gates: no more runs hold a slot",
            "WITH filled AS (INSERT INTO gate (key, kind, ns_id, name, slots) VALUES ('$passed', 'cell', 1, NULL, 1))
             INSERT INTO gated (run_id, ns_id, matrix_id, group_key, group_slot, policy, depth, overflow, lane, seq, expires_at)
             SELECT id, ns_id, matrix_id, '$passed', row_number() OVER (), 'queue', 1, 'oldest', 0, seq, clock_timestamp()
             FROM run WHERE id IN ('$passed', '$lost')",
        ),
        (
            "gates: no more runs hold a slot",
            "WITH filled AS (INSERT INTO gate (key, kind, ns_id, name, slots) VALUES ('$passed', 'matrix', 1, NULL, 1))
             INSERT INTO gated (run_id, ns_id, matrix_id, max_parallel, matrix_slot, lane, seq, expires_at)
             SELECT id, ns_id, '$passed', 1, row_number() OVER (), 0, seq, clock_timestamp() FROM run WHERE id IN ('$passed', '$lost')",
        ),
        (
            "gates: nobody waits beside a free slot",
            "WITH opened AS (INSERT INTO gate (key, kind, ns_id, name, slots) VALUES ('$passed', 'cell', 1, NULL, 1))
             INSERT INTO gated (run_id, ns_id, matrix_id, group_key, policy, depth, overflow, lane, seq, expires_at)
             SELECT id, ns_id, matrix_id, '$passed', 'queue', 1, 'oldest', 0, seq, clock_timestamp() FROM run WHERE id = '$passed'",
        ),
        (
            "gates: nobody waits beside a free slot",
            "WITH opened AS (INSERT INTO gate (key, kind, ns_id, name, slots) VALUES ('$passed', 'matrix', 1, NULL, 2))
             INSERT INTO gated (run_id, ns_id, matrix_id, max_parallel, matrix_slot, lane, seq, expires_at)
             SELECT id, ns_id, '$passed', 2, CASE WHEN id = '$lost' THEN 1 END, 0, seq, clock_timestamp()
             FROM run WHERE id IN ('$passed', '$lost')",
        ),
        (
            "gates: who has ended holds no slot",
            "INSERT INTO gated (run_id, ns_id, matrix_id, max_parallel, matrix_slot, lane, seq, expires_at)
             SELECT id, ns_id, matrix_id, 1, 1, 0, seq, clock_timestamp() FROM run WHERE id = '$passed'",
        ),
        ("a run is flaky when", "UPDATE run_end SET flaky = true WHERE run_id = '$passed'"),
    ];
    for (words, statement) in broken {
        let statements = [of(statement)];
        expect(&after(&mut conn, &statements, &world.evidence).await, words, statement);
    }

    // What was seen from outside is changed instead; each change is undone by the next.
    let evidence = &mut world.evidence;
    let now = boot_nanos();
    let span = |from: i64, to: i64| Span { from: now + from * SECOND, to: now + to * SECOND };
    evidence.witness.seen.insert((taken_over, 1), span(-3600, 60));
    expect(&after(&mut conn, &[], evidence).await, "I8: two attempts of a run", "attempt 1 lived on");
    expect(&after(&mut conn, &[], evidence).await, "I6: nothing is started before", "and began too early");
    evidence.witness.seen.clear();
    evidence.witness.seen.insert((taken_over, 7), span(0, 0));
    expect(&after(&mut conn, &[], evidence).await, "I6: nothing is started before", "an attempt that never was");
    evidence.witness.seen.clear();
    evidence.witness.seen.insert((cancelled, 1), span(0, 0));
    expect(&after(&mut conn, &[], evidence).await, "I14: a run that was cancelled", "it ran after all");
    evidence.witness.seen.clear();
    let called_off = evidence.cancels[0].run;
    evidence.witness.seen.insert((called_off, 1), span(0, 1));
    expect(&after(&mut conn, &[], evidence).await, "I14: a run that was cancelled", "from its lease");
    evidence.witness.seen.clear();
    evidence.witness.seen.insert((passed, 1), span(0, 9));
    evidence.cancels.push(Cancel { run: passed, answered: now, bound: 8 * SECOND });
    expect(&after(&mut conn, &[], evidence).await, "I14: a cancelled container is dead", "9 s is more than 8 s");
    evidence.witness.seen.clear();

    let history = evidence.history.clone().unwrap();
    history.note(Asked::Runs, "lost", Known::Done(vec![Uuid::now_v7()]));
    expect(&after(&mut conn, &[], evidence).await, "I9: what was acknowledged exists", "an acknowledged run is gone");
    history.forget("lost");
    history.note(Asked::Retry, "again", Known::Done(vec![Uuid::now_v7()]));
    expect(&after(&mut conn, &[], evidence).await, "I9: what was acknowledged exists", "an acknowledged retry is gone");
    evidence.history = Some(History::default());
    expect(&after(&mut conn, &[], evidence).await, "I9: no run exists", "nobody asked for anything");
    evidence.history = None;
    evidence.leftovers = Some(vec!["a container".into()]);
    expect(&after(&mut conn, &[], evidence).await, "I11: nothing is left over", "a container is left");
    evidence.leftovers = None;
    evidence.seen[0].may_see = vec!["other".into()];
    expect(&after(&mut conn, &[], evidence).await, "I12: a reader is shown only", "a run of another namespace");
    evidence.seen.clear();
    evidence.summaries[0].runs += 1;
    expect(&after(&mut conn, &[], evidence).await, "I16: what is told of a namespace", "a run too many is told of");
    evidence.summaries[0].runs -= 1;
    evidence.summaries[0].log_bytes -= 1;
    expect(&after(&mut conn, &[], evidence).await, "I16: what is told of a namespace", "a byte too few is told of");
    evidence.summaries[0].log_bytes += 1;
    evidence.summaries[0].artifact_bytes += 1;
    expect(&after(&mut conn, &[], evidence).await, "I16: what is told of a namespace", "a byte of a file too many");
    evidence.summaries.clear();
    evidence.texts.push(("an error".into(), "no correct-horse-battery here".into()));
    expect(&after(&mut conn, &[], evidence).await, "I13: no secret", "a secret in an error");
    evidence.texts.clear();
    evidence.schedules =
        Some(vec![Expected { test: "s".into(), cells: product(&[]), instants: BTreeSet::from([world.instant]) }]);
    expect(&after(&mut conn, &[], evidence).await, "I10: an instant makes its cells", "it has no matrix");
    evidence.schedules = None;
    let clean = after(&mut conn, &[], evidence).await;
    assert!(
        clean.is_empty(),
        "everything was undone: {}",
        clean.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    );
}

/// Fails unless the checker found this, and shows it by rows.
#[track_caller]
fn expect(found: &[Violation], words: &str, broken: &str) {
    let told: Vec<String> = found.iter().map(|one| format!("{}: {}", one.invariant, one.claim)).collect();
    let one = found
        .iter()
        .find(|one| format!("{}: {}", one.invariant, one.claim).trim_start_matches(": ").starts_with(words));
    let one = one.unwrap_or_else(|| panic!("'{words}' was not found broken by: {broken}\nfound: {told:#?}"));
    assert!(!one.rows.is_empty() && one.rows.iter().all(|row| !row.is_empty()), "nothing shows it: {one}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_forgotten_container_has_mounted_and_its_network_are_found() {
    let (lab, site) = (Lab::start().await, Site::with_token("forgetful", "none"));
    let podman = |line: &str| {
        let mut podman = command(binary());
        podman.args(["podman", "--data-dir"]).arg(site.dir()).arg("--").args(line.split(' '));
        run(&mut podman)
    };
    assert_eq!(mounted(site.dir()), Vec::<String>::new(), "images alone are no leftovers");
    podman(&format!("run -d --name forgotten --network slirp4netns {SHELL} /bin/sleep 1000"));
    let found = mounted(site.dir());
    podman("rm -f -t 0 forgotten");
    let gone = left_mounted(site.dir());
    end_processes_of(site.dir());
    for what in ["/merged", "/shm", "the mount", "/netns/", "the network"] {
        assert!(found.iter().any(|one| one.contains(what)), "{what} was not found: {found:#?}");
    }
    assert_eq!(gone, Vec::<String>::new(), "it is gone with its container");
    let evidence = Evidence { leftovers: Some(found.clone()), ..Evidence::default() };
    let told = checker::violations(&mut lab.db.connect().await, &evidence).await;
    expect(&told, "I11: nothing is left over", "a container was forgotten");
    assert!(found.iter().all(|one| told.iter().any(|told| told.rows.contains(one))), "{told:?}");
}

/// What the checker can say, as its sources have it: `I3: attempts are 1 to n without a gap`.
fn claims() -> Vec<String> {
    const SOURCES: [&str; 7] = [
        include_str!("../src/invariants.rs"),
        include_str!("../src/checker/history.rs"),
        include_str!("../src/checker/logs.rs"),
        include_str!("../src/checker/schedule.rs"),
        include_str!("../src/checker/snapshot.rs"),
        include_str!("../src/checker/tables.rs"),
        include_str!("../src/checker/witness.rs"),
    ];
    let mut claims = BTreeSet::from(["I2: what has ended".to_owned(), "I5: what has ended".to_owned()]);
    for source in SOURCES {
        let parts: Vec<&str> = source.split('"').collect();
        for (at, part) in parts.iter().enumerate() {
            let is_numbered = number_of(part).is_some();
            let is_whole = is_numbered && part.contains(": ");
            if is_whole || part.starts_with("gates: ") || part.starts_with("a run is flaky") {
                claims.insert((*part).to_owned());
            } else if is_numbered && parts[at + 1].trim() == "," && !parts[at + 2].starts_with("SELECT") {
                claims.insert(format!("{part}: {}", parts[at + 2]));
            } else if part.trim_end().ends_with("broken(") && !part.contains("pub") {
                claims.insert(format!("I9: {}", parts[at + 1]));
            }
        }
    }
    claims.into_iter().collect()
}

/// Returns the number of the invariant with which a text begins.
fn number_of(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('I')?;
    let end = digits.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(digits.len());
    (digits.len() == end || digits[end..].starts_with(": ")).then(|| digits[..end].parse().ok())?
}

#[test]
fn whatever_the_checker_can_say_is_broken_here() {
    let cases: Vec<&str> = include_str!("checker.rs").split('"').filter(|part| part.len() > 8).collect();
    let claims = claims();
    assert!(claims.len() >= 45, "{} claims were found: {claims:#?}", claims.len());
    for number in 1..=16 {
        assert!(claims.iter().any(|claim| number_of(claim) == Some(number)), "nothing is said of I{number}");
    }
    let missing: Vec<&String> =
        claims.iter().filter(|claim| !cases.iter().any(|case| claim.starts_with(case))).collect();
    assert!(missing.is_empty(), "never broken: {missing:#?}");
}
