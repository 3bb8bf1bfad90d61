//! Input that is not allowed: refused with the place of each fault, nothing stored, and the server lives on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tstr_tests::{Person, Stack, factory};

const TESTS: &str = "/api/v1/namespaces/default/tests";

/// Counts the rows of all tables, but for those in which the loops of a replica note their own turns.
async fn rows(stack: &Stack) -> BTreeMap<String, i64> {
    let mut conn = stack.db.connect().await;
    let tables = "SELECT relname::text FROM pg_class
                  WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
                    AND relname NOT IN ('sweep', '_sqlx_migrations')";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut conn).await.unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    let mut counts = BTreeMap::new();
    for table in tables {
        let count = format!("SELECT count(*) FROM {table}");
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mut conn).await.unwrap();
        counts.insert(table, count);
    }
    counts
}

/// Sends bodies that are not allowed; each must be refused at its place, and all of them leave nothing.
async fn refused(stack: &Stack, cases: Vec<(Value, &str)>) {
    let (admin, before) = (stack.admin(), rows(stack).await);
    for (body, pointer) in cases {
        for answer in [admin.post(TESTS, &body).await, admin.put(&format!("{TESTS}/a?dry_run"), &body).await] {
            let faults = answer.faults();
            assert_eq!(faults, [pointer], "{}: {}", short(&body), answer.text());
        }
    }
    assert_eq!(rows(stack).await, before, "nothing is stored");
    alive(&admin).await;
}

fn short(body: &Value) -> String {
    body.to_string().chars().take(300).collect()
}

/// The server answers, and registers what is allowed.
async fn alive(admin: &Person) {
    assert_eq!(admin.get("/livez").await.status, 200);
    admin.register(&factory::test("still-here")).await;
}

/// A test with one field changed.
fn with(pointer: &str, value: Value) -> Value {
    factory::with(factory::test("a"), pointer, value)
}

#[tokio::test]
async fn an_unknown_field_is_refused_wherever_it_stands() {
    let stack = Stack::start().await;
    let cases = [
        "/nmae",
        "/id",
        "/namespace",
        "/version",
        "/result",
        "/started_at",
        "/owner",
        "/next_run_at",
        "/created_at",
        "/warnings",
        "/run_config/tiemout",
        "/run_config/privileged",
        "/run_config/mounts",
        "/run_config/resources/gpus",
        "/matrix/axes",
        "/retry/on_error",
        "/limits/memory",
        "/artifacts/path",
    ];
    refused(&stack, cases.into_iter().map(|place| (with(place, json!("x")), place)).collect()).await;
}

#[tokio::test]
async fn a_field_of_another_type_is_refused_and_null_is_no_value() {
    let stack = Stack::start().await;
    let cases = vec![
        (with("/name", json!(7)), "/name"),
        (with("/name", json!(null)), "/name"),
        (with("/labels", json!([])), "/labels"),
        (with("/labels/a", json!(1)), "/labels/a"),
        (with("/labels/a", json!(null)), "/labels/a"),
        (with("/run_config", json!("x")), "/run_config"),
        (with("/run_config/container_image", json!(null)), "/run_config/container_image"),
        (with("/run_config/command", json!({"a": 1})), "/run_config/command"),
        (with("/run_config/args", json!("--suite")), "/run_config/args"),
        (with("/run_config/args", json!(["a", 7])), "/run_config/args/1"),
        (with("/run_config/env/A", json!(true)), "/run_config/env/A"),
        (with("/run_config/timeout", json!(15)), "/run_config/timeout"),
        (with("/run_config/timeout", json!("15")), "/run_config/timeout"),
        (with("/run_config/timeout", json!("-1s")), "/run_config/timeout"),
        (with("/run_config/timeout", json!("99999999999999999999s")), "/run_config/timeout"),
        (with("/run_config/resources/memory", json!("1GB")), "/run_config/resources/memory"),
        (with("/run_config/resources/memory", json!("99999999999Gi")), "/run_config/resources/memory"),
        (with("/run_config/resources/cpus", json!("two")), "/run_config/resources/cpus"),
        (with("/run_config/resources/pids", json!(-1)), "/run_config/resources/pids"),
        (with("/run_config/network", json!("host")), "/run_config/network"),
        (with("/run_config/pull", json!("sometimes")), "/run_config/pull"),
        (with("/catch_up", json!("some")), "/catch_up"),
        (with("/priority", json!(1)), "/priority"),
        (with("/artifacts", json!("/tstr/out")), "/artifacts"),
        (with("/artifacts/paths", json!("/tstr/out")), "/artifacts/paths"),
        (with("/artifacts/report", json!("maybe")), "/artifacts/report"),
        (with("/paused", json!("yes")), "/paused"),
        (with("/retry/on_fail", json!(256)), "/retry/on_fail"),
        (with("/retry/on_fail", json!(0.5)), "/retry/on_fail"),
        (with("/matrix/labels", json!(["a"])), "/matrix/labels"),
        (with("/matrix/labels/a", json!("x")), "/matrix/labels/a"),
        (with("/matrix/labels/a", json!({"values": ["x"], "more": 1})), "/matrix/labels/a"),
        (json!({"name": "a"}), "/run_config"),
        (json!({"run_config": {"container_image": "x"}}), "/name"),
        (json!({"name": "a", "run_config": {}}), "/run_config/container_image"),
        (json!({}), "/name"),
        (json!([]), ""),
        (json!("a"), ""),
        (json!(null), ""),
        (json!(["a", {}, {}, {"container_image": "x"}]), ""),
    ];
    refused(&stack, cases).await;
}

#[tokio::test]
async fn a_matrix_that_is_empty_doubled_or_too_large_is_refused() {
    let stack = Stack::start().await;
    let values = |n: usize| (0..n).map(|i| format!("v{i}")).collect::<Vec<_>>();
    let axes = |n: usize, of: usize| json!((0..n).map(|i| (format!("a{i}"), values(of))).collect::<BTreeMap<_, _>>());
    let entries = |n: usize| json!((0..n).map(|i| json!({"x": i.to_string()})).collect::<Vec<_>>());
    let cases = vec![
        (with("/matrix", json!({})), "/matrix/labels"),
        (with("/matrix/labels", json!({})), "/matrix/labels"),
        (with("/matrix/labels/a", json!([])), "/matrix/labels/a"),
        (with("/matrix/labels/a", json!({"values": []})), "/matrix/labels/a"),
        (with("/matrix/labels", json!({"a": ["1"], "b": []})), "/matrix/labels/b"),
        (with("/matrix/labels/a", json!(["1", "2", "1"])), "/matrix/labels/a/2"),
        (with("/matrix/labels", json!({"a b": ["1"]})), "/matrix/labels/a b"),
        (with("/matrix/labels/a", json!(["x\u{0}"])), "/matrix/labels/a/0"),
        (with("/matrix/labels", axes(9, 1)), "/matrix/labels"),
        (with("/matrix/labels", axes(1, 65)), "/matrix/labels/a0"),
        (with("/matrix/labels", axes(2, 17)), "/matrix/labels"),
        (with("/matrix/labels", axes(8, 64)), "/matrix/labels"),
        (with("/matrix", json!({"labels": {"a": ["1"]}, "exclude": [{"a": "1"}]})), "/matrix/exclude"),
        (with("/matrix", json!({"labels": {"a": ["1"]}, "include": [{}]})), "/matrix/include/0"),
        (with("/matrix", json!({"include": [{"a": "1"}, {"a": "1"}]})), "/matrix/include"),
        (with("/matrix", json!({"include": entries(257)})), "/matrix/include"),
        (
            with(
                "/matrix",
                json!({"labels": {"a": values(16), "b": values(16)}, "include": [{"c": "1", "a": "none"}]}),
            ),
            "/matrix",
        ),
        (with("/matrix", json!({"labels": {"a": ["1"]}, "exclude": entries(257)})), "/matrix/exclude"),
    ];
    let started = Instant::now();
    refused(&stack, cases).await;
    assert!(started.elapsed() < Duration::from_secs(5), "64^8 cells are counted, not built: {:?}", started.elapsed());
    // An axis that stands twice cannot be written by a map.
    let admin = stack.admin();
    let doubled =
        r#"{"name": "a", "run_config": {"container_image": "x"}, "matrix": {"labels": {"r": ["1"], "r": ["2"]}}}"#;
    let request = admin.request(Method::POST, TESTS).header("Content-Type", "application/json").body(doubled);
    assert_eq!(admin.send(request).await.faults(), ["/matrix/labels/r"]);
    let doubled = r#"{"name": "a", "name": "b", "run_config": {"container_image": "x"}}"#;
    let request = admin.request(Method::POST, TESTS).header("Content-Type", "application/json").body(doubled);
    assert_eq!(admin.send(request).await.faults(), ["/name"]);
    // At the limit it is taken.
    for (name, matrix) in [
        ("axes", json!({"labels": axes(8, 2)})),
        ("values", json!({"labels": axes(1, 64)})),
        ("cells", json!({"labels": axes(2, 16)})),
        ("entries", json!({"include": entries(256)})),
    ] {
        admin.register(&factory::with(factory::test(name), "/matrix", matrix)).await;
    }
}

#[tokio::test]
async fn a_schedule_that_is_none_is_refused() {
    let stack = Stack::start().await;
    let mut cases = Vec::new();
    let long = format!("{} * * * *", ["0"; 64].join(","));
    for bad in [
        "",
        "nonsense",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "*/0 * * * *",
        "@hourly-ish",
        "0 0 30 2 *",
        "a b c d e",
        "* * * * *\u{0}",
        &long,
    ] {
        cases.push((with("/cron_schedule", json!(bad)), "/cron_schedule"));
    }
    for bad in ["", "Mars/Olympus", "utc+1", "../etc/passwd", "America/toronto "] {
        cases.push((factory::with(with("/cron_schedule", json!("@daily")), "/time_zone", json!(bad)), "/time_zone"));
    }
    cases.push((with("/time_zone", json!("UTC")), "/time_zone"));
    cases.push((with("/queue_deadline", json!("0s")), "/queue_deadline"));
    cases.push((with("/queue_deadline", json!("31d")), "/queue_deadline"));
    cases.push((with("/start_deadline", json!("0s")), "/start_deadline"));
    cases.push((with("/start_deadline", json!("8d")), "/start_deadline"));
    refused(&stack, cases).await;
    let longest = format!("{} * * * *", ["0"; 60].join(","));
    assert_eq!(longest.len(), 127);
    for (name, line) in [("long", format!("{longest} ")), ("yearly", "0 0 29 2 *".into())] {
        stack.admin().register(&factory::with(factory::test(name), "/cron_schedule", json!(line))).await;
    }
}

#[tokio::test]
async fn what_is_no_image_is_refused() {
    let stack = Stack::start().await;
    let (long, digest) = ("a".repeat(513), format!("a@sha256:{}", "g".repeat(64)));
    let bad = [
        "",
        "-alpine",
        "--privileged",
        "Alpine",
        "a b",
        "a:",
        "a@",
        "a@sha256:12",
        &digest,
        "/a",
        "a/",
        "a//b",
        "http://a/b",
        "a\nb",
        "a\u{0}",
        "a;rm -rf",
        "$(id)",
        "host.x:99999/a",
        "../../etc/passwd",
        &long,
    ];
    let cases =
        bad.into_iter().map(|image| (with("/run_config/container_image", json!(image)), "/run_config/container_image"));
    refused(&stack, cases.collect()).await;
}

#[tokio::test]
async fn every_limit_of_a_test_is_exact() {
    let stack = Stack::start().await;
    let labels = |n: usize| json!((0..n).map(|i| (format!("k{i}"), "v".to_owned())).collect::<BTreeMap<_, _>>());
    let env =
        |n: usize, size: usize| json!((0..n).map(|i| (format!("V{i}"), "x".repeat(size))).collect::<BTreeMap<_, _>>());
    let args = |n: usize, size: usize| json!(vec!["x".repeat(size); n]);
    let one = |key: String, value: String| json!({key: value});
    // 4 variables: each counts its name, its value, and two bytes more.
    let sum = |total: usize| env(4, total / 4 - 4);
    let limits: Vec<(&str, Value, Value, &str)> = vec![
        ("/name", json!("x".repeat(128)), json!("x".repeat(129)), "/name"),
        ("/name", json!("A-z_0.9"), json!("a/b"), "/name"),
        ("/labels", labels(64), labels(65), "/labels"),
        ("/annotations", labels(64), labels(65), "/annotations"),
        (
            "/labels",
            one("k".repeat(63), String::new()),
            one("k".repeat(64), String::new()),
            &*format!("/labels/{}", "k".repeat(64)).leak(),
        ),
        ("/labels/a", json!("v".repeat(256)), json!("v".repeat(257)), "/labels/a"),
        ("/annotations/a", json!("v".repeat(256)), json!("v".repeat(257)), "/annotations/a"),
        (
            "/run_config/container_image",
            json!(format!("{}/{}", "a".repeat(255), "b".repeat(256))),
            json!(format!("{}/{}", "a".repeat(256), "b".repeat(256))),
            "/run_config/container_image",
        ),
        ("/run_config/command", args(256, 1), args(257, 1), "/run_config/command"),
        ("/run_config/command", args(1, 32 << 10), args(1, (32 << 10) + 1), "/run_config/command/0"),
        ("/run_config/args", args(256, 1), args(257, 1), "/run_config/args"),
        ("/run_config/args", args(1, 32 << 10), args(1, (32 << 10) + 1), "/run_config/args/0"),
        (
            "/run_config/args",
            args(4, 32 << 10),
            json!([args(4, 32 << 10).as_array().unwrap().clone(), vec![json!("x")]].concat()),
            "/run_config/args",
        ),
        ("/run_config/args", json!(["x"]), json!(["x\u{0}"]), "/run_config/args/0"),
        ("/run_config/env", env(128, 1), env(129, 1), "/run_config/env"),
        (
            "/run_config/env",
            one("N".repeat(128), "x".into()),
            one("N".repeat(129), "x".into()),
            &*format!("/run_config/env/{}", "N".repeat(129)).leak(),
        ),
        ("/run_config/env/A", json!("x".repeat(32 << 10)), json!("x".repeat((32 << 10) + 1)), "/run_config/env/A"),
        (
            "/run_config/env",
            sum(128 << 10),
            factory::with(sum(128 << 10), "/V0", json!("x".repeat((32 << 10) - 3))),
            "/run_config/env",
        ),
        ("/run_config/env/A", json!("a\tb"), json!("a\nb"), "/run_config/env/A"),
        ("/run_config/env", one("_a1".into(), "x".into()), one("1a".into(), "x".into()), "/run_config/env/1a"),
        ("/run_config/env", one("TSTR".into(), "x".into()), one("TSTR_X".into(), "x".into()), "/run_config/env/TSTR_X"),
        ("/run_config/timeout", json!("1s"), json!("0s"), "/run_config/timeout"),
        ("/run_config/timeout", json!("24h"), json!("24h1s"), "/run_config/timeout"),
        ("/run_config/grace", json!("300s"), json!("301s"), "/run_config/grace"),
        ("/run_config/resources/memory", json!("4MiB"), json!("4095KiB"), "/run_config/resources/memory"),
        ("/run_config/resources/cpus", json!(0.01), json!(0.0099), "/run_config/resources/cpus"),
        ("/run_config/resources/cpus", json!(1024), json!(1024.5), "/run_config/resources/cpus"),
        ("/run_config/resources/pids", json!(1), json!(0), "/run_config/resources/pids"),
        ("/run_config/resources/pids", json!(65536), json!(65537), "/run_config/resources/pids"),
        ("/limits/log", json!("1GiB"), json!("1048577KiB"), "/limits/log"),
        ("/limits/artifacts", json!("256MiB"), json!("262145KiB"), "/limits/artifacts"),
        ("/artifacts/paths", json!(vec!["/a/*"; 32]), json!(vec!["/a/*"; 33]), "/artifacts/paths"),
        (
            "/artifacts/paths",
            json!([format!("/a/{}", "x".repeat(509))]),
            json!([format!("/a/{}", "x".repeat(510))]),
            "/artifacts/paths/0",
        ),
        ("/artifacts/paths", json!(["/tstr/**/[a-c]{d,e}?.xml"]), json!(["tstr/a"]), "/artifacts/paths/0"),
        ("/artifacts/paths", json!(["/tstr"]), json!(["/"]), "/artifacts/paths/0"),
        ("/artifacts/paths", json!(["/tstr/.x"]), json!(["/tstr/../etc"]), "/artifacts/paths/0"),
        ("/artifacts/paths", json!(["/tstr/[ab]"]), json!(["/tstr/[ab"]), "/artifacts/paths/0"),
        ("/artifacts/paths", json!(["/tstr/{a,b}"]), json!(["/tstr/{a,b"]), "/artifacts/paths/0"),
        ("/artifacts/paths", json!(["/tstr/*"]), json!(["/*/tstr"]), "/artifacts/paths/0"),
        ("/retry/on_fail", json!(10), json!(11), "/retry/on_fail"),
        ("/retry/on_infrastructure", json!(4), json!(5), "/retry/on_infrastructure"),
        ("/queue_deadline", json!("30d"), json!("30d1s"), "/queue_deadline"),
        ("/start_deadline", json!("7d"), json!("7d1s"), "/start_deadline"),
    ];
    let admin = stack.admin();
    for (i, (place, allowed, _, _)) in limits.iter().enumerate() {
        let name = if *place == "/name" { factory::test("x") } else { factory::test(&format!("t{i}")) };
        admin.register(&factory::with(name, place, allowed.clone())).await;
    }
    refused(&stack, limits.into_iter().map(|(place, _, over, fault)| (with(place, over), fault)).collect()).await;
}

#[tokio::test]
async fn all_faults_are_told_at_once() {
    let stack = Stack::start().await;
    let body = json!({
        "name": "a b", "labels": {"x y": "1", "z": "\u{7}"}, "cron_schedule": "x", "retry": {"on_fail": 11},
        "run_config": {"container_image": "-x", "timeout": "0s", "grace": "301s", "env": {"TSTR_A": "1"}},
        "matrix": {"labels": {"a": []}},
    });
    let faults = stack.admin().post(TESTS, &body).await.faults();
    for place in [
        "/name",
        "/labels/x y",
        "/labels/z",
        "/cron_schedule",
        "/retry/on_fail",
        "/run_config/container_image",
        "/run_config/timeout",
        "/run_config/grace",
        "/run_config/env/TSTR_A",
        "/matrix/labels/a",
    ] {
        assert!(faults.iter().any(|fault| fault == place), "{place} is not among {faults:?}");
    }
}

#[tokio::test]
async fn the_file_of_the_original_tstr_registers_unchanged_and_a_test_without_a_matrix_works() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/original.json");
    let text = std::fs::read_to_string(file).unwrap();
    let request = admin.request(Method::POST, TESTS).header("Content-Type", "application/json").body(text.clone());
    let made = admin.send(request).await.expect(201);
    assert_eq!(
        (&made["matrix"]["labels"]["region"], &made["run_config"]["timeout"]),
        (&json!(["nyc", "sfo"]), &json!("15s"))
    );
    assert_eq!(admin.trigger("original-example").await.len(), 2);
    // The original dies of a nil pointer here.
    let mut without: Value = serde_json::from_str(&text).unwrap();
    without.as_object_mut().unwrap().shift_remove("matrix");
    without["name"] = json!("no-matrix");
    assert!(admin.register(&without).await.get("matrix").is_none());
    without["matrix"] = json!(null);
    without["name"] = json!("null-matrix");
    admin.register(&without).await;
    for name in ["no-matrix", "null-matrix"] {
        let runs = admin.trigger(name).await;
        assert_eq!((runs.len(), &admin.run(&runs[0]).await["cell"]), (1, &json!({})));
    }
}

#[tokio::test]
async fn no_bytes_make_the_server_fail() {
    let stack = Stack::start().await;
    let (admin, before) = (stack.admin(), rows(&stack).await);
    let whole = with("/matrix/labels/a", json!(["1", "2"])).to_string();
    let mut bodies: Vec<Vec<u8>> = (0..whole.len()).step_by(3).map(|end| whole.as_bytes()[..end].to_vec()).collect();
    for (i, byte) in [0u8, b'"', b'{', b']', 0xff, b'\\', b'7', 0x7f].into_iter().cycle().enumerate().take(120) {
        let mut body = whole.clone().into_bytes();
        let place = i * 7919 % body.len();
        body[place] = byte;
        if serde_json::from_slice::<Value>(&body).is_err() {
            bodies.push(body);
        }
    }
    for body in bodies {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let request = admin.request(Method::POST, TESTS).header("Content-Type", "application/json").body(body);
        let status = admin.send(request).await.status;
        assert!(status == 400 || status == 422, "{status}: {shown}");
    }
    assert_eq!(rows(&stack).await, before);
    alive(&admin).await;
}
