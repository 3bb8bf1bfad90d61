//! `tstr up` end to end: the demo on real Podman, a clean stop, a second start, a second instance, refused data dirs.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rustix::process::Signal;
use serde_json::{Value, json};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tstr_tests::process::{command, make_dir, naming, run, try_run};
use tstr_tests::runner::containers;
use tstr_tests::up::Instance;
use tstr_tests::{Person, binary, eventually, factory, images};

use crate::podman::{again, finished, log, trigger, until_state};

const TESTS: &str = "/api/v1/namespaces/default/tests";

/// Waits until this many runs of a test have finished, and returns them.
async fn finished_runs(admin: &Person, test: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} runs of {test} finish"), Duration::from_secs(60), async || {
        let listed =
            admin.get(&format!("/api/v1/namespaces/default/runs?test={test}&state=finished")).await.expect(200);
        let items = listed["items"].as_array().unwrap();
        (items.len() >= count).then(|| items.clone())
    })
    .await
}

/// Fails unless the messages stand in this order in what was logged.
fn in_order(log: &str, messages: &[&str]) {
    let mut rest = log;
    for message in messages {
        let (_, after) = rest.split_once(message).unwrap_or_else(|| panic!("'{message}' in its place in\n{log}"));
        rest = after;
    }
}

/// What the private PostgreSQL has logged.
fn postgres_log(data_dir: &Path) -> String {
    let logs = std::fs::read_dir(data_dir.join("logs")).unwrap();
    logs.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

fn nothing_is_left(data_dir: &Path) {
    assert_eq!(naming(data_dir), [] as [String; 0], "no process has to do with the data dir any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_runs_and_all_is_found_again_after_a_clean_stop() {
    let (dir, ready_file) = (make_dir("u"), make_dir("r").join("ready.json"));
    let up = Instance::start(&dir, &ready_file, &["--demo"]).await;

    let fields: BTreeSet<&str> = up.ready.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["api", "data_dir", "grpc", "namespace", "pg_dsn", "pid", "token_file", "ui"];
    assert_eq!(fields, BTreeSet::from(expected), "{}", up.ready);
    assert_eq!((up.text("namespace"), Path::new(up.text("data_dir"))), ("default", &*dir.canonicalize().unwrap()));
    let token = std::fs::metadata(up.text("token_file")).unwrap();
    assert_eq!((token.mode() & 0o7777, token.uid()), (0o600, std::fs::metadata(&dir).unwrap().uid()));
    let channel = Endpoint::from_shared(up.text("grpc").to_owned()).unwrap().connect().await.unwrap();
    let healthy = HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(healthy.status, 1, "SERVING");
    let connected = run(command("psql").args(["-XAtq", "-c", "SELECT 1"]).arg(up.text("pg_dsn")));
    assert_eq!(connected, "1\n");

    let admin = up.admin();
    let identity = admin.get("/api/v1/identity").await.expect(200);
    assert_eq!(identity["token"]["namespaces"], json!([".*"]), "{identity}");
    assert!(identity["token"]["scopes"].as_array().unwrap().contains(&json!("admin")), "{identity}");
    admin.with_token(None).get(TESTS).await.refused(401, "unauthenticated");

    the_demo_runs(&admin).await;

    // Stopped while a run is under way: the second signal does not wait for it.
    let attempts = "echo attempt $TSTR_ATTEMPT; [ $TSTR_ATTEMPT = 2 ] || exec /bin/busybox sleep 600";
    let long =
        factory::with(factory::script("long", attempts), "/run_config/command", json!(["/bin/busybox", "sh", "-c"]));
    let long = factory::with(long, "/run_config/container_image", json!("localhost/tstr-demo-heartbeat:1"));
    let long = trigger(&admin, long).await;
    until_state(&admin, &long, "running").await;
    up.process.signal(Signal::INT);
    eventually("it stops", Duration::from_secs(10), async || {
        up.process.log_text().contains("stopping the workers").then_some(())
    })
    .await;
    let said = up.interrupt();
    nothing_is_left(&dir);
    in_order(
        &said,
        &[
            "SIGINT: stopping",
            "the worker stops",
            "SIGINT came a second time",
            "the worker has stopped",
            "all is stopped",
        ],
    );
    // The API had let go of its connections before PostgreSQL was stopped, and that was no crash.
    let said = postgres_log(&dir);
    assert!(said.contains("database system is shut down"), "{said}");
    // A server process that had not yet read that its client is gone finds nobody to tell.
    let (ended, unheard) = (said.matches("terminating connection").count(), said.matches("Broken pipe").count());
    assert_eq!(ended, unheard, "a connection was in use: {said}");
    assert_eq!(containers(&dir), [] as [String; 0]);

    let up = Instance::start(&dir, &ready_file, &[]).await;
    assert!(!postgres_log(&dir).contains("automatic recovery in progress"), "{}", postgres_log(&dir));
    let (before, admin) = (admin, up.admin());
    assert_eq!(before.token(), admin.token(), "the token still holds");
    let seen = finished(&admin, &long).await;
    assert_eq!((seen["result"].as_str(), seen["attempt"].as_i64()), (Some("pass"), Some(2)), "{seen}");
    assert_eq!(log(&admin, &long, "").await, b"attempt 2\n");
    assert_eq!(names(&admin).await, BTreeSet::from(["broken", "heartbeat", "long", "regions"].map(str::to_owned)));
    let found = finished_runs(&admin, "regions", 4).await;
    assert_eq!(found.len(), 4, "those of the first life, and no others: {found:?}");
    // The images are there as well.
    let broken = again(&admin, "broken").await;
    assert_eq!(finished(&admin, &broken).await["exit_code"], 3);
    in_order(&up.interrupt(), &["SIGINT: stopping", "the worker stops", "the worker has stopped", "all is stopped"]);
    nothing_is_left(&dir);
}

async fn names(admin: &Person) -> BTreeSet<String> {
    let listed = admin.get(TESTS).await.expect(200);
    listed["items"].as_array().unwrap().iter().map(|test| test["name"].as_str().unwrap().to_owned()).collect()
}

/// What `examples/` says comes true.
async fn the_demo_runs(admin: &Person) {
    assert_eq!(names(admin).await, BTreeSet::from(["broken", "heartbeat", "regions"].map(str::to_owned)));

    // Its schedule comes within a minute; here it is not waited for.
    let heartbeat = admin.get(&format!("{TESTS}/heartbeat")).await.expect(200);
    let next: DateTime<Utc> = heartbeat["next_run_at"].as_str().unwrap().parse().unwrap();
    assert!((next - Utc::now()).abs() <= TimeDelta::seconds(61), "{heartbeat}");
    let id = again(admin, "heartbeat").await;
    let seen = finished(admin, &id).await;
    assert_eq!((seen["result"].as_str(), seen["exit_code"].as_i64()), (Some("pass"), Some(0)), "{seen}");
    assert!(String::from_utf8(log(admin, &id, "?stream=stdout").await).unwrap().ends_with("alive\n"));

    let runs = finished_runs(admin, "regions", 4).await;
    let mut cells = BTreeSet::new();
    for seen in &runs {
        assert_eq!((seen["result"].as_str(), seen["exit_code"].as_i64()), (Some("pass"), Some(0)), "{seen}");
        let cell = ["region", "network"].map(|axis| seen["cell"][axis].as_str().unwrap());
        let text = String::from_utf8(log(admin, seen["id"].as_str().unwrap(), "").await).unwrap();
        assert!(text.contains(&format!("hello from {} over the {} network\n", cell[0], cell[1])), "{text}");
        cells.insert(cell);
    }
    assert_eq!((runs.len(), cells.len()), (4, 4), "{cells:?}");

    let broken = finished_runs(admin, "broken", 1).await.remove(0);
    assert_eq!((broken["result"].as_str(), broken["exit_code"].as_i64()), (Some("fail"), Some(3)), "{broken}");
    let id = broken["id"].as_str().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let out = text(log(admin, id, "?stream=stdout").await);
    let lines = ["1..3", "ok 1 - the front door opens", "ok 2 - the lights go on", "not ok 3 - the shower is warm"];
    assert_eq!(out.lines().collect::<Vec<_>>(), lines);
    let err = text(log(admin, id, "?stream=stderr").await);
    let lines = ["warning: the hinges squeak", "error: expected hot water, got: none"];
    assert_eq!(err.lines().collect::<Vec<_>>(), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_do_not_touch_each_other() {
    let (dirs, ready) = ([make_dir("u"), make_dir("u")], make_dir("r"));
    let ready = [ready.join("one.json"), ready.join("two.json")];
    // Without a name for the ready file it would lie in the data dir; here both lie in one folder.
    let (one, two) = tokio::join!(Instance::start(&dirs[0], &ready[0], &[]), Instance::start(&dirs[1], &ready[1], &[]));
    for field in ["api", "grpc", "token_file", "data_dir", "pg_dsn"] {
        assert_ne!(one.text(field), two.text(field), "{field}");
    }
    let (first, second) = (one.admin(), two.admin());
    second.with_token(first.token().map(str::to_owned)).get("/api/v1/identity").await.refused(401, "unauthenticated");
    first.register(&factory::test("only-here")).await;
    assert_eq!((names(&first).await.len(), names(&second).await.len()), (1, 0));

    let intruder = refused(&dirs[0]);
    assert!(intruder.contains(&format!("process {}", one.process.pid())), "{intruder}");

    images::import(&dirs[1]);
    let id = trigger(&second, factory::script("asleep", "echo begun; exec sleep 600")).await;
    until_state(&second, &id, "running").await;
    one.interrupt();
    nothing_is_left(&dirs[0]);
    assert_eq!(until_state(&second, &id, "running").await["attempt"], 1);
    assert_eq!(containers(&dirs[1]).len(), 1);
    second.post(&format!("/api/v1/runs/{id}/cancel"), &json!({})).await.expect(202);
    assert_eq!(finished(&second, &id).await["result"], "cancelled");
    assert_eq!(log(&second, &id, "").await, b"begun\n");
    two.interrupt();
    nothing_is_left(&dirs[1]);
}

/// Starts on a data dir that will not do; returns what is said of it.
fn refused(data_dir: &Path) -> String {
    let mut start = command(binary());
    start.args(["up", "--json-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
    let Output { status, stdout, stderr } = try_run(&mut start);
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), stdout.as_slice()), (Some(1), &b""[..]), "{said}");
    let told = said.lines().last().unwrap_or_default();
    assert!(told.starts_with("error: ") && told.contains(data_dir.to_str().unwrap()), "{said}");
    told.to_owned()
}

#[test]
fn a_data_dir_that_cannot_be_used_is_refused_by_name() {
    let [locked, fixed, file] = ["x", "x", "x"].map(make_dir);
    run(command("/bin/chmod").arg("000").arg(&locked));
    let said = refused(&locked.join("data"));
    assert!(said.contains("Permission denied"), "{said}");
    run(command("/bin/chmod").arg("555").arg(&fixed));
    let said = refused(&fixed);
    assert!(said.contains("is not writable for this user"), "{said}");
    let said = refused(&fixed.join("data"));
    assert!(said.contains("Permission denied"), "{said}");
    run(command("/bin/touch").arg(file.join("data")));
    refused(&file.join("data"));
}
