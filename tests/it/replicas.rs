//! Replicas as processes: they start together on an empty database, and the crash of one costs its clients a retry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tstr_api::{Config, server};
use tstr_shared::ids::RunId;
use tstr_tests::process::make_dir;
use tstr_tests::replica::{Replica, token_file};
use tstr_tests::{Person, TestDb, eventually, factory, invariants};

/// How many triggers are sent, and after how many answers a replica is killed.
const TRIGGERS: usize = 300;
const KILL_AFTER: usize = 100;

/// What a client knows of its trigger.
#[derive(Debug, PartialEq)]
enum Known {
    /// It was answered with a run.
    Made(RunId),
    /// The connection broke, or the server could not answer: it may have been done or not.
    Unknown,
}

/// A client that knows all replicas.
struct Client {
    http: reqwest::Client,
    urls: Vec<String>,
    token: String,
}

impl Client {
    /// Asks one replica to run the test once.
    async fn trigger(&self, replica: usize, number: usize) -> Known {
        let url = format!("{}/api/v1/namespaces/default/tests/a/runs", self.urls[replica]);
        let request =
            self.http.post(url).bearer_auth(&self.token).header("Idempotency-Key", format!("\"key-{number}\""));
        let request = request.json(&json!({"env": {"NUMBER": number.to_string()}}));
        let Ok(answer) = request.send().await else { return Known::Unknown };
        let status = answer.status().as_u16();
        match (status, answer.json::<Value>().await) {
            (201, Ok(made)) => Known::Made(made["runs"][0]["id"].as_str().unwrap().parse().unwrap()),
            // An answer that broke off; a server that is stopping; the first try that is still running.
            (201 | 409 | 503, _) => Known::Unknown,
            (status, body) => panic!("trigger {number}: {status} {body:?}"),
        }
    }

    /// Asks until a replica answers, another one each time.
    async fn insist(&self, first: usize, number: usize) -> (RunId, usize) {
        for retries in 0..200 {
            if let Known::Made(run) = self.trigger((first + retries) % self.urls.len(), number).await {
                return (run, retries);
            }
            tokio::task::yield_now().await;
        }
        panic!("trigger {number} was never answered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_replica_loses_no_run_that_it_acknowledged_and_doubles_none_that_is_asked_for_again() {
    let (db, dir) = (TestDb::empty().await, make_dir("r"));
    // Together, on nothing: one of them migrates, makes the key and writes the token.
    let (one, two, three) =
        tokio::join!(Replica::start(&db, &dir), Replica::start(&db, &dir), Replica::start(&db, &dir));
    let mut replicas = [one, two, three];
    let token = std::fs::read_to_string(token_file(&dir)).unwrap().trim().to_owned();
    let urls: Vec<String> = replicas.iter().map(|replica| format!("http://{}", replica.json)).collect();
    let admin = Person::new(&urls[0], Some(token.clone()));
    admin.post("/api/v1/namespaces/default/tests", &factory::test("a")).await.expect(201);

    let client = Arc::new(Client { http: reqwest::Client::new(), urls: urls.clone(), token });
    let (next, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let senders: Vec<_> = (0..12)
        .map(|sender| {
            let (client, next, answered) = (client.clone(), next.clone(), answered.clone());
            tokio::spawn(async move {
                let (mut made, mut given_up, mut retried) = (BTreeMap::new(), Vec::new(), 0);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= TRIGGERS {
                        return (made, given_up, retried);
                    }
                    // Every fourth sender does not ask again.
                    let known = match sender % 4 {
                        0 => client.trigger(number % 3, number).await,
                        _ => {
                            let (run, retries) = client.insist(number % 3, number).await;
                            retried += usize::from(retries > 0);
                            Known::Made(run)
                        }
                    };
                    answered.fetch_add(1, Ordering::Relaxed);
                    match known {
                        Known::Made(run) => drop(made.insert(number, run)),
                        Known::Unknown => given_up.push(number),
                    }
                }
            })
        })
        .collect();
    eventually("a good part is answered", Duration::from_secs(60), async || {
        (answered.load(Ordering::Relaxed) >= KILL_AFTER).then_some(())
    })
    .await;
    replicas[1].process.signal(Signal::KILL);

    let (mut made, mut given_up, mut retried) = (BTreeMap::new(), BTreeSet::new(), 0);
    for sender in senders {
        let (theirs, unknown, retries) = sender.await.unwrap();
        made.extend(theirs);
        given_up.extend(unknown);
        retried += retries;
    }
    assert!(retried > 0 && !given_up.is_empty(), "the kill was noticed: {retried} retried, {given_up:?} given up");
    assert_eq!(made.len() + given_up.len(), TRIGGERS);

    let mut conn = db.connect().await;
    let stored: Vec<(RunId, String)> = sqlx::query_as(
        "SELECT r.id, c.body->'run_config'->'env'->>'NUMBER' FROM run r JOIN config c ON c.id = r.config_id ORDER BY 2",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    let mut of_number: BTreeMap<usize, Vec<RunId>> = BTreeMap::new();
    for (run, number) in stored {
        of_number.entry(number.parse().unwrap()).or_default().push(run);
    }
    for (number, run) in &made {
        assert_eq!(of_number.get(number), Some(&vec![*run]), "trigger {number} was acknowledged");
    }
    for number in &given_up {
        assert!(of_number.get(number).is_none_or(|runs| runs.len() == 1), "trigger {number} is unknown");
    }
    assert!(
        of_number.keys().all(|number| made.contains_key(number) || given_up.contains(number)),
        "nothing else exists"
    );
    // Asked again now, every one is answered with the run that there is.
    for number in given_up.iter().chain(made.keys().take(20)) {
        let (run, _) = client.insist(0, *number).await;
        assert!(of_number.get(number).is_none_or(|runs| runs[0] == run));
    }
    // A replica that is started in its place knows all of it, and orderly ones stop in order.
    replicas[1] = Replica::start(&db, &dir).await;
    let there = admin.at(format!("http://{}", replicas[1].json));
    let run = made.values().next().unwrap();
    assert_eq!(there.get(&format!("/api/v1/runs/{run}")).await.expect(200)["state"], "queued");
    for replica in &mut replicas {
        assert!(replica.process.terminate(Duration::from_secs(20)).success(), "{}", replica.process.log_text());
    }
    invariants::check(&mut conn).await;
}

#[tokio::test]
async fn a_first_token_that_cannot_be_written_locks_nobody_out() {
    let db = TestDb::new().await;
    let dir = make_dir("b");
    let mut config = Config::new(db.dsn(), dir.join("key"));
    config.json_addr = "127.0.0.1:0".parse().unwrap();
    config.grpc_addr = config.json_addr;
    config.no_migrate = true;
    let file = dir.join("missing/admin.token");
    config.bootstrap_token_file = Some(file.clone());
    let refused = server::start(config.clone()).await.err().expect("the folder is missing").to_string();
    assert!(refused.contains("missing/admin.token"), "{refused}");
    std::fs::create_dir(dir.join("missing")).unwrap();
    std::fs::write(&file, "no token").unwrap();
    let replica = server::start(config.clone()).await.unwrap();
    let identity = async |text: String| {
        let person = Person::new(format!("http://{}", replica.json_addr()), Some(text.trim().to_owned()));
        person.get("/api/v1/identity").await.status.as_u16()
    };
    assert_eq!(identity(std::fs::read_to_string(&file).unwrap()).await, 200);
    // A file whose token was never recorded, as a crash between the two leaves it, is written anew.
    let mut conn = db.connect().await;
    sqlx::query("DELETE FROM token").execute(&mut conn).await.unwrap();
    let unrecorded = std::fs::read_to_string(&file).unwrap();
    let again = server::start(config).await.unwrap();
    let written = std::fs::read_to_string(&file).unwrap();
    assert_ne!(written, unrecorded);
    assert_eq!(identity(written).await, 200);
    again.stop().await.unwrap();
    replica.stop().await.unwrap();
}
