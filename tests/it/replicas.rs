//! Replicas as processes: they start together on an empty database, and the crash of one costs its clients a retry.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tstr_api::{Config, server};
use tstr_tests::checker::{self, Asked, Evidence, Known};
use tstr_tests::driver::Driver;
use tstr_tests::process::make_dir;
use tstr_tests::replica::{Replica, token_file};
use tstr_tests::{Person, TestDb, eventually, factory};

/// How many triggers are sent, and after how many answers a replica is killed.
const TRIGGERS: usize = 300;
const KILL_AFTER: usize = 100;

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
    let driver = Arc::new(Driver::new(urls, token));
    driver.register(&factory::test("a")).await;

    let (next, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let senders: Vec<_> = (0..12)
        .map(|sender| {
            let (driver, next, answered) = (driver.clone(), next.clone(), answered.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= TRIGGERS {
                        return;
                    }
                    let mark = format!("key-{number}");
                    // Every fourth sender does not ask again.
                    match sender % 4 {
                        0 => drop(driver.trigger_once("a", &mark).await),
                        _ => drop(driver.trigger("a", &mark).await),
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    eventually("a good part is answered", Duration::from_secs(60), async || {
        (answered.load(Ordering::Relaxed) >= KILL_AFTER).then_some(())
    })
    .await;
    replicas[1].process.signal(Signal::KILL);
    for sender in senders {
        sender.await.unwrap();
    }
    let (done, refused, unknown) = driver.history.counts();
    assert!(
        done >= TRIGGERS / 2 && refused == 0 && unknown > 0,
        "the kill was noticed: {:?}",
        (done, refused, unknown)
    );

    let mut conn = db.connect().await;
    let evidence = Evidence { history: Some(driver.history.clone()), ..Evidence::default() };
    checker::check(&mut conn, &evidence).await;
    // Asked again now, every one is answered, with the run that there was if there was one.
    for number in 0..TRIGGERS {
        driver.trigger("a", &format!("key-{number}")).await;
    }
    checker::check(&mut conn, &evidence).await;
    // A replica that is started in its place knows all of it, and orderly ones stop in order.
    replicas[1] = Replica::start(&db, &dir).await;
    let there = admin.at(format!("http://{}", replicas[1].json));
    let runs = driver.history.requests().into_iter().find_map(|request| match (request.asked, request.known) {
        (Asked::Runs, Known::Done(runs)) => Some(runs),
        _ => None,
    });
    let run = runs.unwrap()[0];
    assert_eq!(there.get(&format!("/api/v1/runs/{run}")).await.expect(200)["state"], "queued");
    for replica in &mut replicas {
        assert!(replica.process.terminate(Duration::from_secs(20)).success(), "{}", replica.process.log_text());
    }
    checker::check(&mut conn, &evidence).await;
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
