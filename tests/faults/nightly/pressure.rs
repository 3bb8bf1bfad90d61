//! A database that is slow, that has no connections left, or that gives transactions up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::Value;
use sqlx::Connection;
use tstr_proto::v1 as pb;
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::Scope;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::checker::{Asked, History, Known};
use tstr_tests::driver::{marked, runs_of};
use tstr_tests::postgres::Stop;
use tstr_tests::process::Seen;
use tstr_tests::{Person, eventually, factory};
use uuid::Uuid;

use crate::load;
use crate::wire::Wire;

/// How long a request may take until it is answered, whatever the database does.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// How long a heartbeat may take: workers with short lease times send one each second.
const BEAT: Duration = Duration::from_secs(1);
/// How many clients come at once to a server that takes so many connections.
const CLIENTS: usize = 2000;
const CONNECTIONS: u32 = 50;

async fn execute(arena: &Arena, statement: &str) {
    let query = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()));
    query.execute(&mut arena.connect().await).await.unwrap();
}

/// Asks for a run once, as a client who tells what became of it; `None` when there was no answer.
async fn ask(admin: &Person, history: &History, test: &str, mark: &str) -> Option<(StatusCode, HeaderMap, Value)> {
    let request = admin.request(Method::POST, &runs_of(test)).json(&marked(mark));
    let answer = request.header("Idempotency-Key", format!("\"{mark}\"")).send().await;
    let told = match answer {
        Ok(answer) => {
            let (status, headers) = (answer.status(), answer.headers().clone());
            answer.json::<Value>().await.ok().map(|body| (status, headers, body))
        }
        Err(_) => None,
    };
    let known = match &told {
        Some((StatusCode::CREATED, _, body)) => {
            Known::Done(vec![body["runs"][0]["id"].as_str().unwrap().parse().unwrap()])
        }
        _ => Known::Unknown,
    };
    history.note(Asked::Runs, mark, known);
    told
}

/// A runner that speaks to the first replica, and takes everything.
async fn wire(arena: &Arena, name: &str, slots: u32) -> Wire {
    let issued = arena.admin().post("/api/v1/tokens", &factory::token(&[Scope::Runner], &[".*"])).await.expect(201);
    let grpc = format!("http://{}", arena.replicas[0].as_ref().unwrap().grpc);
    let wire = Wire::new(&grpc, issued["token"].as_str().unwrap(), Uuid::new_v4());
    wire.register(name, slots).await.unwrap();
    wire
}

/// Sends heartbeats to all replicas in turn, and measures them.
struct Pulse {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Vec<Duration>>,
}

impl Pulse {
    async fn start(arena: &Arena, name: &str) -> Self {
        let issued = arena.admin().post("/api/v1/tokens", &factory::token(&[Scope::Runner], &[".*"])).await.expect(201);
        let (token, runner) = (issued["token"].as_str().unwrap().to_owned(), Uuid::new_v4());
        let urls = arena.replicas.iter().flatten().map(|one| format!("http://{}", one.grpc));
        let wires: Vec<Wire> = urls.map(|url| Wire::new(&url, &token, runner)).collect();
        wires[0].register(name, 1).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let asked = pb::Fence { run_id: Uuid::now_v7().to_string(), attempt: 1, lease_id: Uuid::new_v4().to_string() };
        let task = tokio::spawn({
            let stop = stop.clone();
            async move {
                let mut took = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    for wire in &wires {
                        let began = Instant::now();
                        // It holds nothing; what is looked up and written for it is what a lease would need.
                        assert_eq!(wire.beat(&asked).await, Ok(pb::LeaseState::Gone));
                        took.push(began.elapsed());
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                took
            }
        });
        Self { stop, task }
    }

    /// Returns how long the slowest of a hundred heartbeats took, and how many there were.
    async fn p99(self) -> (Duration, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let mut took = self.task.await.expect("every heartbeat is answered");
        took.sort();
        (took[took.len() * 99 / 100], took.len())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_15_a_slow_database_costs_requests_a_repeat_and_no_attempt() {
    let mut arena = Arena::start(Plan::short(2, 2)).await;
    arena.driver.register(&factory::witness("t", "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 3; done")).await;
    arena.driver.register(&factory::witness("quick", "echo quick")).await;
    load::trigger(&arena.driver, "t", 4, Duration::ZERO).await.unwrap();
    arena.running(4).await;
    arena.remember().await;
    let pulse = Pulse::start(&arena, "locked").await;

    // A lock that is held longer than a lease lives: users are told to come again, heartbeats pass.
    let mut holder = arena.connect().await;
    let mut lock = holder.begin().await.unwrap();
    sqlx::query("LOCK TABLE run IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let (admin, locked) = (arena.admin(), Instant::now());
    let mut longest = Duration::ZERO;
    while locked.elapsed() < Duration::from_secs(8) {
        let asked = (0..30).map(|_| async {
            let began = Instant::now();
            (admin.post(&runs_of("t"), &marked("never")).await, began.elapsed())
        });
        for (answer, took) in futures_util::future::join_all(asked).await {
            assert_eq!(answer.refused(503, "unavailable")["retryable"], true);
            assert!(!answer.header("retry-after").is_empty(), "it is said when to come again");
            longest = longest.max(took);
        }
    }
    lock.rollback().await.unwrap();
    assert!(longest < ANSWERED_WITHIN, "an answer took {longest:?}");
    let (p99, beats) = pulse.p99().await;
    eprintln!("while the table was locked the slowest answer took {longest:?}; p99 of {beats} heartbeats {p99:?}");
    assert!(p99 < BEAT, "p99 of {beats} heartbeats is {p99:?} while a table is locked");
    assert_eq!(arena.count("lease WHERE started_at IS NOT NULL").await, 4, "everybody goes on");

    // A backend that stands still for 5 s, with a request on it. What ends by COMMIT or ROLLBACK is no heartbeat.
    let name = "SELECT (SELECT to_jsonb(pid) FROM pg_stat_activity WHERE application_name = 'tstr-api'
                        AND state = 'idle' AND query IN ('COMMIT', 'ROLLBACK') LIMIT 1)";
    let rest = eventually("a backend is at rest", Duration::from_secs(10), async || arena.value(name).await.as_u64());
    let frozen = Seen::with_pid(u32::try_from(rest.await).unwrap()).expect("the backend lives");
    let pulse = Pulse::start(&arena, "frozen").await;
    frozen.signal(Signal::STOP);
    let stood = Instant::now();
    let (mut longest, mut made, mut refused, mut met) = (Duration::ZERO, 0, 0, 0);
    while stood.elapsed() < Duration::from_secs(5) {
        // First more at once than all replicas have connections, so that one of them gets that one.
        let asked = (0..if made == 0 { 40 } else { 3 }).map(|_| async {
            let (mark, began) = (format!("quick-{}", Uuid::new_v4()), Instant::now());
            (ask(&admin, &arena.driver.history, "quick", &mark).await.expect("an answer"), began.elapsed())
        });
        for ((status, headers, body), took) in futures_util::future::join_all(asked).await {
            match status {
                StatusCode::CREATED => made += 1,
                StatusCode::SERVICE_UNAVAILABLE => {
                    assert_eq!(body["code"], "unavailable", "{body}");
                    assert!(headers.contains_key("retry-after"), "it is said when to come again");
                    refused += 1;
                }
                other => panic!("{other}: {body}"),
            }
            met += usize::from(took > Duration::from_secs(1));
            longest = longest.max(took);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    frozen.signal(Signal::CONT);
    let (p99, beats) = pulse.p99().await;
    eprintln!(
        "while a backend stood still {made} runs were made and {refused} refused, {met} met it, the slowest after \
         {longest:?}; p99 of {beats} heartbeats {p99:?}"
    );
    assert!(met > 0, "no request ever met the backend that stood still");
    assert!(made > 0, "the other backends serve");
    assert!(longest < ANSWERED_WITHIN, "an answer took {longest:?}");
    assert!(p99 < BEAT, "p99 of {beats} heartbeats is {p99:?} while a backend stands still");

    // Log appends that take half a second each.
    load::trigger(&arena.driver, "t", 4, Duration::from_millis(500)).await.unwrap();
    execute(
        &arena,
        "CREATE SEQUENCE slowed;
         CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_sleep(0.5), nextval(''slowed''); RETURN NULL; END';
         CREATE TRIGGER slow AFTER INSERT ON log_chunk FOR EACH STATEMENT EXECUTE FUNCTION slow()",
    )
    .await;
    arena.settle(Duration::from_secs(120)).await;
    let slowed = arena.value("SELECT to_jsonb(last_value) FROM slowed").await.as_i64().unwrap();
    eprintln!("{slowed} appends took half a second each");
    assert!(slowed >= 8, "only {slowed} appends were slow");
    assert!(arena.count("run_end").await >= 8 + made, "every load was executed");
    assert_eq!(arena.count("run_end WHERE attempt > 1 OR result <> 'pass'").await, 0);
    assert_eq!(arena.count("attempt WHERE log_status <> 'complete'").await, 0, "no log is the worse for it");
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_16_two_thousand_clients_on_fifty_connections_lose_no_run_and_no_lease() {
    let mut arena = Arena::start(Plan::ordinary(1, 4)).await;
    // Fewer than the three replicas would like to have.
    arena.pg.stop(Stop::Fast);
    arena.pg.max_connections = CONNECTIONS;
    arena.pg.start_again();
    // As a role for which none are reserved; those are left for us who look on.
    execute(&arena, "CREATE ROLE tstr LOGIN; GRANT postgres TO tstr").await;
    let dsn = arena.dsn().replace("postgres://postgres@", "postgres://tstr@");
    for index in 0..arena.replicas.len() {
        arena.stop_replica(index, Duration::from_secs(30)).await;
        arena.start_replica_on(index, &dsn).await;
    }
    arena.driver.register(&factory::witness("held", "sleep 45")).await;
    load::trigger(&arena.driver, "held", 4, Duration::ZERO).await.unwrap();
    arena.running(4).await;
    arena.driver.register(&factory::test("t")).await;

    let (admin, began) = (arena.admin(), Instant::now());
    let statuses: Arc<Mutex<BTreeMap<u16, usize>>> = Arc::default();
    let clients = (0..CLIENTS).map(|number| {
        let (admin, statuses) = (admin.clone(), statuses.clone());
        let history = arena.driver.history.clone();
        tokio::spawn(async move {
            for _ in 0..120 {
                // What breaks off is no answer.
                if let Some((status, _, body)) = ask(&admin, &history, "t", &format!("flood-{number}")).await {
                    *statuses.lock().unwrap().entry(status.as_u16()).or_default() += 1;
                    if status == StatusCode::CREATED {
                        return body["runs"][0]["id"].as_str().unwrap().to_owned();
                    }
                }
                tokio::time::sleep(Duration::from_millis(500 + number as u64 % 1000)).await;
            }
            panic!("client {number} was never served");
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut made = std::collections::BTreeSet::new();
    for client in clients {
        made.insert(client.await.unwrap());
    }
    let statuses = statuses.lock().unwrap().clone();
    eprintln!("{CLIENTS} clients were served in {:.1} s: {statuses:?}", began.elapsed().as_secs_f64());
    assert_eq!(made.len(), CLIENTS, "every client has a run of its own");
    assert!(statuses.keys().all(|status| [201, 409, 429, 503].contains(status)), "{statuses:?}");
    assert_eq!(arena.count("run WHERE test_id = (SELECT id FROM test WHERE name = 't')").await, CLIENTS as i64);
    // Nobody's lease was lost, and what was made can be executed.
    let wire = wire(&arena, "heir", 1000).await;
    eventually("all are executed", Duration::from_secs(120), async || {
        for fence in wire.claim(50, 200).await.unwrap_or_default() {
            while wire.start(&fence).await == Err(Some(ErrorCode::Unavailable)) {}
            while wire.finish(&fence, pb::RunResult::Pass, b"").await == Err(Some(ErrorCode::Unavailable)) {}
        }
        (arena.count("run_end").await >= CLIENTS as i64).then_some(())
    })
    .await;
    arena.settle(Duration::from_secs(90)).await;
    assert_eq!(arena.count("run_end WHERE attempt > 1").await, 0);
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_18_transactions_that_the_database_gives_up_are_repeated_and_never_called_a_failure_of_ours() {
    let arena = Arena::start(Plan::short(0, 0)).await;
    arena.driver.register(&factory::test("t")).await;
    let wire = wire(&arena, "w", 10).await;
    // Two of three transactions that write one of these fail, in turn as deadlocks and as conflicts.
    execute(
        &arena,
        "CREATE SEQUENCE given_up;
         CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$
         DECLARE turn bigint := nextval('given_up');
         BEGIN
             IF turn % 3 = 1 THEN RAISE EXCEPTION 'injected' USING ERRCODE = '40001'; END IF;
             IF turn % 3 = 2 THEN RAISE EXCEPTION 'injected' USING ERRCODE = '40P01'; END IF;
             RETURN NULL;
         END $$",
    )
    .await;
    let (admin, breaks) = (arena.admin(), async |table: &str| {
        let create = format!(
            "ALTER SEQUENCE given_up RESTART; DROP TRIGGER IF EXISTS give_up ON run; DROP TRIGGER IF EXISTS give_up ON lease;
             DROP TRIGGER IF EXISTS give_up ON attempt;
             CREATE TRIGGER give_up AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION give_up()"
        );
        execute(&arena, &create).await;
    });
    let mut fences = Vec::new();
    breaks("run").await;
    for number in 0..10 {
        let mut tries = 0;
        loop {
            tries += 1;
            let (status, headers, body) =
                ask(&admin, &arena.driver.history, "t", &format!("again-{number}")).await.unwrap();
            if status == StatusCode::CREATED {
                break;
            }
            assert_eq!((status.as_u16(), body["code"].as_str()), (503, Some("unavailable")), "{body}");
            assert_eq!(headers["retry-after"], "1");
        }
        assert!(tries <= 3, "{tries} tries");
    }
    // A claim that fails is made again with the same id, as a worker does.
    breaks("lease").await;
    while fences.len() < 10 {
        let (id, mut tries) = (Uuid::new_v4(), 0);
        loop {
            tries += 1;
            match wire.claim_as(id, 1, 2000).await {
                Ok(claimed) => {
                    fences.extend(claimed);
                    break;
                }
                Err(code) => assert_eq!(code, Some(ErrorCode::Unavailable)),
            }
        }
        assert!(tries <= 3, "{tries} tries");
    }
    for fence in &fences {
        wire.start(fence).await.unwrap();
    }
    breaks("attempt").await;
    for fence in &fences {
        let mut tries = 0;
        loop {
            tries += 1;
            match wire.finish(fence, pb::RunResult::Pass, b"").await {
                Ok(done) => break assert!(done),
                Err(code) => assert_eq!(code, Some(ErrorCode::Unavailable)),
            }
        }
        assert!(tries <= 3, "{tries} tries");
    }
    assert_eq!(arena.count("run_end WHERE attempt = 1 AND result = 'pass'").await, 10);
    arena.finish(Duration::from_secs(10)).await;
}
