//! `run explain`, `queue` and `schedule next`: what is asked, and where the answer goes.

use serde_json::{Value, json};

use super::server::{Fake, Reply};
use super::{RUN, run};

fn explanation() -> Value {
    json!({
        "run_id": RUN, "namespace": "default", "test_name": "t", "labels": {"region": "fra"}, "state": "queued",
        "as_of": "2026-03-01T12:00:00Z", "summary": "it waits: nobody takes it",
        "reasons": [{"why": "no_runner_could", "sentence": "nobody takes it", "a_field_of_tomorrow": 1}],
        "waiting": {
            "since": "2026-03-01T11:00:00Z", "deadline": "2026-03-01T13:00:00Z", "ahead": {"count": 0, "more": false},
            "counts": [{"verdict": "not_accepted", "key": "region", "runners": 1}],
            "runners": [{
                "runner_id": RUN, "runner_name": "w", "state": "live", "verdict": "not_accepted",
                "sentence": "it does not accept region=fra (accept region=nyc)", "key": "region", "value": "fra",
                "pattern": "nyc", "slots_used": 0, "slots": 1, "last_seen_at": "2026-03-01T12:00:00Z",
            }],
        },
        "attempts": [],
    })
}

#[test]
fn a_run_is_explained_by_either_name_of_the_command() {
    let fake = Fake::start(|_, _| Reply::Json(200, explanation()));
    for line in ["run explain", "queue --why"] {
        let told = run(&fake.url, &format!("{line} {RUN}"));
        let expected = [
            format!("RUN\t{RUN}"),
            "TEST\tt".into(),
            "LABELS\tregion=fra".into(),
            "STATE\tqueued".into(),
            "WHY\tit waits: nobody takes it".into(),
            "SINCE\t2026-03-01T11:00:00.000Z".into(),
            "ENDS\t2026-03-01T13:00:00.000Z".into(),
            "AHEAD\t0".into(),
            "RUNNERS\t1 not_accepted (region)".into(),
            "RUNNER\tw: it does not accept region=fra (accept region=nyc)".into(),
        ];
        assert_eq!(
            (told.code, told.out.lines().collect::<Vec<_>>()),
            (0, expected.iter().map(|l| l.as_str()).collect())
        );
        assert_eq!(told.err, "");
    }
    let asked: Vec<String> = fake.requests().iter().map(super::server::Request::line).collect();
    assert_eq!(asked, vec![format!("GET /api/v1/runs/{RUN}/explain"); 2]);
    let told = run(&fake.url, &format!("run explain {RUN} -o json"));
    assert_eq!(serde_json::from_str::<Value>(&told.out).unwrap(), explanation(), "programs get what the API answered");
    assert_eq!(run(&fake.url, "run explain not-a-uuid").code, 2);
    assert_eq!(run(&fake.url, "queue --why not-a-uuid").code, 2);
}

#[test]
fn an_empty_queue_is_said_on_the_standard_error() {
    let fake = Fake::start(|_, _| Reply::Json(200, json!({"items": []})));
    let told = run(&fake.url, "queue");
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (0, "", "nothing waits in the namespace default\n"));
    let told = run(&fake.url, "queue -n shop -o json");
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (0, "[]\n", ""));
    assert!(fake.requests()[1].line().starts_with("GET /api/v1/namespaces/shop/queue?"));
}

#[test]
fn a_queue_says_who_could_serve_it() {
    let class = json!({
        "labels": {"region": "fra"}, "depth": {"count": 1000, "more": true},
        "priorities": [{"priority": "normal", "depth": {"count": 1000, "more": true}, "oldest": "2026-03-01T11:00:00Z"}],
        "oldest": "2026-03-01T11:00:00Z", "delayed": {"count": 0, "more": false}, "gated": {"count": 3, "more": false},
        "live_runners": 0, "known_runners": 2,
        "stranded": {"why": "no_live_runner", "sentence": "2 are not live"},
    });
    let fake = Fake::start(move |_, _| Reply::Json(200, json!({"items": [class]})));
    let told = run(&fake.url, "queue");
    assert_eq!(told.out, "region=fra\t1000+\t3\t0\t2026-03-01T11:00:00.000Z\t0/2\t2 are not live\n");
    let told = run(&fake.url, "queue -o wide");
    assert_eq!(told.out, "region=fra\t1000+\t0\t0\t1000+\t0\t3\t0\t2026-03-01T11:00:00.000Z\t0/2\t2 are not live\n");
}

#[test]
fn the_next_instants_are_shown_below_schedule_too() {
    let fake = Fake::start(|_, _| {
        let at = "2026-03-01T12:52:00Z";
        let upcoming = json!([{"at": at, "local": "2026-03-01T12:52:00+00:00"}]);
        let description = "at minute 52 of every hour";
        Reply::Json(200, json!({"description": description, "time_zone": "UTC", "paused": false, "upcoming": upcoming}))
    });
    let told = run(&fake.url, "schedule next checkout --count 1");
    assert!(told.out.starts_with("2026-03-01T12:52:00.000Z\t"), "{}", told.out);
    assert_eq!(told.err, "at minute 52 of every hour (UTC)\n");
    let asked = fake.requests()[0].line();
    assert_eq!(asked, "GET /api/v1/namespaces/default/tests/checkout/schedule?count=1");
}
