//! `--limits`: what a worker says of the limits that its Podman enforces, and what it does where it cannot.
//!
//! Which of the two a machine is, Podman says; what is claimed here holds on either.

use std::time::Duration;

use serde_json::{Value, json};
use tstr_tests::process::{command, run};
use tstr_tests::runner::Site;
use tstr_tests::{Ctl, Stack, binary};

/// The limits that can be enforced here, in the order in which a runner names them, by what Podman says of its host.
fn enforceable(site: &Site) -> Vec<&'static str> {
    let mut info = command(binary());
    info.args(["podman", "--data-dir"]).arg(site.dir()).args(["--", "info", "--format", "json"]);
    let info: Value = serde_json::from_str(&run(&mut info)).expect("podman writes JSON");
    let host = &info["host"];
    assert_eq!(host["security"]["rootless"], true, "{host}");
    let controllers: Vec<&str> =
        host["cgroupControllers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let limits = [("memory", "memory"), ("cpus", "cpu"), ("pids", "pids")];
    // With the older layout of cgroups an ordinary user can limit nothing, whatever is there.
    let there = limits.iter().filter(|(_, name)| host["cgroupVersion"] == "v2" && controllers.contains(name));
    there.map(|(limit, _)| *limit).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_says_which_limits_it_enforces_and_refuses_where_all_are_required() {
    let stack = Stack::start().await;
    let (admin, ctl) = (stack.admin(), Ctl::of(&stack));
    let [lenient, strict] = [Site::prepare(&stack, "lenient").await, Site::prepare(&stack, "strict").await];
    let enforceable = enforceable(&lenient);
    let all = enforceable.len() == 3;

    let worker = lenient.start(&stack.grpc_url(0), &["--slots", "1", "--limits", "warn"]).await;
    worker.registered(&stack).await;
    let runners = ctl.answers_as_the_api("runner list", &admin, "/api/v1/namespaces/default/runners").await;
    let about = &runners[0]["about"];
    assert_eq!(about["limits_enforced"], json!(enforceable), "{about}");
    let warned = worker.process.log_text().contains("limits of containers are not enforced: ");
    if all {
        assert_eq!((&about["limits_note"], warned), (&Value::Null, false));
    } else {
        let note = about["limits_note"].as_str().unwrap();
        for limit in ["memory", "cpus", "pids"] {
            let is_named = note.split(';').next().unwrap().contains(limit);
            assert_eq!(is_named, !enforceable.contains(&limit), "{limit} in {note}");
        }
        assert!(warned, "{}", worker.process.log_text());
    }

    let mut worker = strict.start(&stack.grpc_url(0), &["--slots", "1", "--limits", "require"]).await;
    if all {
        worker.registered(&stack).await;
        return;
    }
    let status = worker.process.wait(Duration::from_secs(60));
    let said = worker.process.log_text();
    assert_eq!(status.code(), Some(1), "{said}");
    let told = said.lines().last().unwrap_or_default();
    assert!(told.starts_with("error: --limits require: ") && told.contains("not enforced: "), "{said}");
    let known = ctl.run("runner list -o name");
    assert_eq!(known.done().lines().count(), 1, "the one that refuses has not registered: {known:?}");
}
