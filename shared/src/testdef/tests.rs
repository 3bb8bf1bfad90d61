//! Tests of test definitions: what is accepted, what is refused and where, and that JSON comes back as it was.

use proptest::prelude::*;

use super::*;
use crate::arb;

const MINIMAL: &str = r#"{"name": "a", "run_config": {"container_image": "alpine"}}"#;
const ORIGINAL: &str = r#"{"name": "sample", "cron_schedule": "* * * * *", "labels": {"env": "prod"},
    "matrix": {"labels": {"region": {"values": ["nyc", "sfo"]}}},
    "run_config": {"container_image": "alpine:3", "command": "/bin/sh", "args": ["-c", "true"],
                   "env": {"A": "b"}, "timeout": "15s"}}"#;

fn read(json: &str) -> NewTestDef {
    serde_json::from_str(json).unwrap()
}
fn with(change: impl FnOnce(&mut NewTestDef)) -> Vec<String> {
    let mut test = read(MINIMAL);
    change(&mut test);
    match test.validate() {
        Ok(()) => Vec::new(),
        Err(invalid) => invalid.errors.into_iter().map(|e| e.pointer).collect(),
    }
}

#[test]
fn a_test_needs_only_a_name_and_an_image() {
    let test = read(MINIMAL);
    test.validate().unwrap();
    assert_eq!(test.run_config.timeout, Seconds(600));
    assert_eq!(test.retry, Retry { on_fail: 0, on_infrastructure: 1 });
    assert_eq!(test.cells().unwrap(), [Labels::default()]);
}

#[test]
fn a_file_of_the_original_tstr_is_read_unchanged() {
    let test = read(ORIGINAL);
    test.validate().unwrap();
    assert_eq!(test.run_config.command.0, ["/bin/sh"]);
    assert_eq!(test.cells().unwrap().len(), 2);
}

#[test]
fn durations_are_answered_in_seconds_and_a_command_as_a_list() {
    let json = serde_json::to_value(read(ORIGINAL)).unwrap();
    assert_eq!(json["run_config"]["timeout"], "15s");
    assert_eq!(json["run_config"]["command"], serde_json::json!(["/bin/sh"]));
}

#[test]
fn unknown_fields_are_refused_by_name() {
    let fault = serde_json::from_str::<NewTestDef>(r#"{"name": "a", "nmae": 1}"#).unwrap_err().to_string();
    assert!(fault.contains("nmae"), "{fault}");
}

#[test]
fn every_fault_is_reported_with_its_place() {
    assert_eq!(
        with(|t| {
            t.name = "a b".into();
            t.run_config.timeout = Seconds(0);
            t.run_config.container_image = "-x".into();
            t.cron_schedule = Some("nonsense".into());
            t.retry.on_fail = 11;
        }),
        ["/name", "/run_config/container_image", "/run_config/timeout", "/cron_schedule", "/retry/on_fail"]
    );
}

#[test]
fn the_limits_are_exact() {
    let ok: Vec<String> = Vec::new();
    let timeout = |s| with(|t| t.run_config.timeout = Seconds(s));
    assert_eq!((timeout(1), timeout(86_400)), (ok.clone(), ok.clone()));
    assert_eq!((timeout(0), timeout(86_401)), (vec!["/run_config/timeout".into()], vec!["/run_config/timeout".into()]));
    let grace = |s| with(|t| t.run_config.grace = Seconds(s));
    assert_eq!((grace(300), grace(301)), (ok.clone(), vec!["/run_config/grace".into()]));
    let args = |n| with(|t| t.run_config.args = vec!["x".into(); n]);
    assert_eq!((args(256), args(257)), (ok.clone(), vec!["/run_config/args".into()]));
    let arg = |n| with(|t| t.run_config.args = vec!["x".repeat(n)]);
    assert_eq!((arg(MAX_TEXT), arg(MAX_TEXT + 1)), (ok.clone(), vec!["/run_config/args/0".into()]));
    let name = |n| with(|t| t.name = "x".repeat(n));
    assert_eq!((name(128), name(129), name(0)), (ok.clone(), vec!["/name".into()], vec!["/name".into()]));
    let artifacts = |b| with(|t| t.limits.artifacts = Bytes(b));
    assert_eq!((artifacts(256 << 20), artifacts((256 << 20) + 1)), (ok.clone(), vec!["/limits/artifacts".into()]));
    assert_eq!(with(|t| t.artifacts.paths = vec!["x".into()]), vec!["/artifacts/paths/0".to_owned()]);
    let log = |b| with(|t| t.limits.log = Bytes(b));
    assert_eq!((log(1 << 30), log((1 << 30) + 1)), (ok.clone(), vec!["/limits/log".into()]));
    let env = |n: usize| with(|t| t.run_config.env = (0..n).map(|i| (format!("V{i}"), "x")).collect());
    assert_eq!((env(128), env(129)), (ok, vec!["/run_config/env".into()]));
}

#[test]
fn reserved_and_broken_variables_are_refused() {
    let env = |name: &str, value: &str| with(|t| t.run_config.env = [(name, value)].into_iter().collect());
    assert_eq!(env("TSTR_RUN_ID", "x"), ["/run_config/env/TSTR_RUN_ID"]);
    assert_eq!(env("1A", "x"), ["/run_config/env/1A"]);
    assert_eq!(env("A", "x\ny"), ["/run_config/env/A"]);
    assert_eq!(env("A", "x\0y"), ["/run_config/env/A"]);
    assert!(env("_a1", "ok").is_empty());
}

#[test]
fn a_time_zone_needs_a_schedule_and_must_exist() {
    assert_eq!(with(|t| t.time_zone = Some("America/Toronto".into())), ["/time_zone"]);
    assert_eq!(
        with(|t| {
            t.cron_schedule = Some("@daily".into());
            t.time_zone = Some("Mars/Olympus".into());
        }),
        ["/time_zone"]
    );
}

#[test]
fn labels_of_test_and_cell_together_obey_the_limit() {
    let faults = with(|t| {
        t.labels = (0..64).map(|i| (format!("k{i}"), "v")).collect();
        t.matrix = serde_json::from_str(r#"{"labels": {"extra": ["1"]}}"#).unwrap();
    });
    assert_eq!(faults, ["/matrix"]);
}

#[test]
fn a_test_with_its_record_is_one_flat_object() {
    let def = TestDef {
        id: "01890000-0000-7000-8000-000000000000".parse().unwrap(),
        namespace: Namespace::parse("default").unwrap(),
        version: 1,
        created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        updated_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        next_run_at: None,
        spec: read(ORIGINAL),
    };
    let json =
        serde_json::to_string(&RegisteredTest { test: def.clone(), warnings: vec!["w".into()], upcoming: Vec::new() })
            .unwrap();
    let flat: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((flat["name"].as_str(), flat["version"].as_i64()), (Some("sample"), Some(1)));
    assert_eq!(serde_json::from_str::<RegisteredTest>(&json).unwrap().test, def);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_and_judged_the_same(test in arb::test()) {
        let again: NewTestDef = serde_json::from_str(&serde_json::to_string(&test).unwrap()).unwrap();
        prop_assert_eq!(again.validate(), test.validate());
        prop_assert_eq!(again, test);
    }
}
