//! A database that gives transactions up.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tstr_proto::v1 as pb;
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::Scope;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::checker::{Asked, History, Known};
use tstr_tests::driver::{marked, runs_of};
use tstr_tests::{Person, factory};
use uuid::Uuid;

use crate::wire::Wire;

async fn execute(arena: &Arena, statement: &str) {
    let query = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()));
    query.execute(&mut arena.connect().await).await.unwrap();
}

/// Asks for a run once, as a client who tells what became of it; `None` when there was no answer.
async fn ask(admin: &Person, history: &History, mark: &str) -> Option<(StatusCode, HeaderMap, Value)> {
    let request = admin.request(Method::POST, &runs_of("t")).json(&marked(mark));
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
            let (status, headers, body) = ask(&admin, &arena.driver.history, &format!("again-{number}")).await.unwrap();
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
