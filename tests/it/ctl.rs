//! `tstr ctl` against the real API: tests, tokens, and who one is. Data goes to the standard output, talk to the
//! standard error, and the exit code says what came of it.

mod artifacts;
mod outputs;
mod quarantine;
mod runs;
mod uploads;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tstr_tests::process::write_private;
use tstr_tests::{Ctl, Stack, eventually};

const TESTS: &str = "/api/v1/namespaces/default/tests";
const NOBODY: &str = "0197c1a0-0000-7000-8000-000000000001";

/// Writes a file into the client's home.
fn file(ctl: &Ctl, name: &str, text: &str) -> PathBuf {
    let path = ctl.home().join(name);
    write_private(&path, text);
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_original_is_registered_unchanged() {
    let stack = Stack::start().await;
    let (admin, ctl) = (stack.admin(), Ctl::of(&stack));
    let original = include_str!("../../examples/original.json");
    file(&ctl, "original.json", original);

    let registered = ctl.run("test register -f original.json");
    assert!(registered.done().starts_with("original-example\t*/5 * * * *\t"), "{registered:?}");
    assert_eq!(registered.out.lines().count(), 1, "{registered:?}");
    // No runner is there that would take it; that is talk.
    assert!(registered.err.lines().all(|line| line.starts_with("original-example: ")), "{registered:?}");

    let path = format!("{TESTS}/original-example");
    let stored = ctl.answers_as_the_api("test get original-example", &admin, &path).await;
    let (config, written): (_, Value) = (&stored["run_config"], serde_json::from_str(original).unwrap());
    assert_eq!(stored["matrix"]["labels"], json!({"region": ["nyc", "sfo"]}));
    assert_eq!((&config["command"], &config["timeout"]), (&json!(["/bin/busybox"]), &json!("15s")), "{stored}");
    for field in ["/name", "/cron_schedule", "/labels", "/run_config/container_image", "/run_config/args"] {
        assert_eq!(stored.pointer(field), written.pointer(field), "{field}");
    }
    assert_eq!(config["env"], json!({"TZ": "UTC"}));

    let again = ctl.run("test register -f original.json");
    assert!(again.refused(5).starts_with("error: original.json"), "{again:?}");
    let triggered = ctl.run("test run original-example -o json").json();
    let cells: Vec<&Value> = triggered["runs"].as_array().unwrap().iter().map(|run| &run["cell"]).collect();
    assert_eq!(cells, [&json!({"region": "nyc"}), &json!({"region": "sfo"})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_are_applied_listed_shown_and_deleted() {
    let stack = Stack::start().await;
    let (admin, ctl) = (stack.admin(), Ctl::of(&stack));
    assert_eq!(ctl.run("test list").done(), "");
    assert_eq!(ctl.run("test list -o json").json(), json!([]));

    let two = "name: one\nlabels: {team: a}\nrun_config: {container_image: localhost/none:1}\n---\n\
               name: two\nrun_config: {container_image: localhost/none:1}\n";
    file(&ctl, "two.yaml", two);
    let would = ctl.run("test apply -f two.yaml --dry-run");
    assert!(would.done().starts_with("one\tcreated (dry run)\t"), "{would:?}");
    assert_eq!(ctl.run("test list -o name").done(), "", "a dry run stores nothing");
    assert_eq!(ctl.run("test diff -f two.yaml").code, 20);
    let applied = ctl.run("test apply -f two.yaml");
    let changes = |ran: &tstr_tests::ctl::Ran| -> Vec<String> {
        ran.done().lines().map(|line| line.split('\t').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(changes(&applied), ["one created", "two created"]);
    file(&ctl, "two.yaml", &two.replace("team: a", "team: b"));
    assert_eq!(changes(&ctl.run("test apply -f two.yaml")), ["one updated", "two unchanged"]);
    assert_eq!(ctl.run("test diff -f two.yaml").code, 0);
    assert_eq!(admin.get(&format!("{TESTS}/one")).await.expect(200)["labels"], json!({"team": "b"}));
    file(&ctl, "one.json", r#"{"name": "one", "run_config": {"container_image": "localhost/none:2"}}"#);
    let answer = ctl.run("test apply -f one.json -o json").json();
    let pointers: Vec<_> = answer["diff"].as_array().unwrap().iter().map(|change| &change["pointer"]).collect();
    assert!(pointers.contains(&&json!("/run_config/container_image")), "{answer}");
    assert_eq!(answer["test"], admin.get(&format!("{TESTS}/one")).await.expect(200));

    let differ = ctl.run("test diff one 1 2");
    assert_eq!((differ.code, differ.out.as_str()), (20, "/labels/team\t\"a\"\t\"b\"\n"));
    let differ: Value = serde_json::from_str(&ctl.run("test diff one 2 -o json").out).unwrap();
    assert!(differ.as_array().unwrap().iter().any(|one| one["pointer"] == "/run_config/container_image"), "{differ}");
    assert_eq!(ctl.run("test diff one 2 2").code, 0);
    assert_eq!(ctl.run("test diff one 2 9").code, 3);
    assert_eq!(ctl.run("test versions one -o name").done(), "3\n2\n1\n");

    ctl.answers_as_the_api("test list", &admin, TESTS).await;
    ctl.answers_as_the_api("test get two", &admin, &format!("{TESTS}/two")).await;
    assert_eq!(ctl.run("test list -o name").done(), "one\ntwo\n");
    assert_eq!(ctl.run("test list --query tw -o name").done(), "two\n");
    let yaml: Value = serde_saphyr::from_str(ctl.run("test get one -o yaml").done()).unwrap();
    assert_eq!(yaml, admin.get(&format!("{TESTS}/one")).await.expect(200));
    let lines = ctl.run("test list -o jsonl");
    assert_eq!(lines.done().lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), 2);
    assert!(ctl.run("test list").done().starts_with("one\t"));

    // One that is refused names its file and its field, and does not keep the others back.
    file(
        &ctl,
        "bad.yaml",
        "name: bad\nrun_config: {container_image: localhost/none:1, timeuot: 1m}\n---\nname: three\n\
                            run_config: {container_image: localhost/none:1}\n",
    );
    let mixed = ctl.run("test apply -f bad.yaml");
    assert!(mixed.ended(2).starts_with("three\tcreated\t"), "{mixed:?}");
    assert!(mixed.err.contains("bad.yaml") && mixed.err.contains("/run_config/timeuot: "), "{mixed:?}");
    file(&ctl, "bad.json", r#"{"name": "bad", "matrix": {"labels": {}}, "run_config": {"container_image": "UPPER"}}"#);
    let refused = ctl.run("test register -f bad.json -o json");
    let problem: Value = serde_json::from_str(refused.refused(2)).unwrap();
    assert_eq!((problem["code"].as_str(), problem["status"].as_i64()), (Some("invalid"), Some(422)), "{problem}");
    let missing = ctl.run("test get bad");
    assert!(missing.refused(3).starts_with("error: "), "{missing:?}");
    let missing: Value = serde_json::from_str(ctl.run("test get bad -o json").refused(3)).unwrap();
    assert_eq!(missing["code"], "not_found");
    ctl.run("test apply -f no-such-file.yaml").refused(2);

    // Where nobody can be asked, nothing is deleted unasked.
    ctl.run("test delete one").refused(2);
    admin.get(&format!("{TESTS}/one")).await.expect(200);
    let deleted = ctl.run("test delete one two --yes");
    assert_eq!((deleted.done(), deleted.err.lines().count()), ("", 2), "{deleted:?}");
    assert_eq!(ctl.run("test list -o name").done(), "three\n");
    ctl.run("test delete one --yes").refused(3);
    ctl.run("test run one").refused(3);

    // Elsewhere there are other tests, or there is nothing at all.
    stack.namespace("shop").await;
    assert_eq!(ctl.run("test list -n shop -o name").done(), "");
    assert!(changes(&ctl.run("test apply -n shop -f two.yaml")).contains(&"one created".to_owned()));
    assert_eq!(ctl.run("test list -n shop -o name").done(), "one\ntwo\n");
    ctl.run("test list -n nowhere").refused(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_issued_once_listed_and_revoked() {
    let stack = Stack::start().await;
    let (admin, ctl) = (stack.admin(), Ctl::of(&stack));
    ctl.answers_as_the_api("identity", &admin, "/api/v1/identity").await;
    assert_eq!(ctl.run("whoami -o name").done(), ctl.run("identity -o name").done());

    let issued = ctl.run("token issue reader --scope data --namespaces default --expires-in 1h");
    let secret = issued.done().trim_end();
    assert_eq!((issued.out.lines().count(), secret.split('.').count()), (1, 3), "a JWT alone: {issued:?}");
    assert!(!issued.err.contains(secret) && issued.err.contains("issued the token "), "{issued:?}");
    let reader = Ctl::new(stack.url(0), secret);
    let person = admin.with_token(Some(secret.to_owned()));
    let identity = reader.answers_as_the_api("identity", &person, "/api/v1/identity").await;
    assert_eq!((&identity["token"]["name"], &identity["namespaces"]), (&json!("reader"), &json!(["default"])));
    let id = identity["token"]["id"].as_str().unwrap();

    // It may read, and nothing else.
    reader.run("test list").done();
    file(&reader, "one.yaml", "name: one\nrun_config: {container_image: localhost/none:1}\n");
    assert!(reader.run("test apply -f one.yaml").refused(4).starts_with("error: "));
    reader.run("token list").refused(4);
    reader.run("token issue more --scope admin").refused(4);
    let refused: Value = serde_json::from_str(reader.run("token list -o json").refused(4)).unwrap();
    assert_eq!(refused["code"], "forbidden");
    stack.namespace("shop").await;
    reader.run("test list -n shop").refused(3);
    Ctl::new(stack.url(0), "not-a-token").run("identity").refused(4);

    let kept = ctl.run("token issue kept --scope runner --namespaces .* --out kept.token");
    assert_eq!(kept.done().lines().count(), 0, "{kept:?}");
    let path = ctl.home().join("kept.token");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = std::fs::read_to_string(path).unwrap();
    assert!(!kept.err.contains(secret.trim()), "{kept:?}");
    let whole = ctl.run("token issue whole --scope control,data -o json").json();
    assert_eq!(whole["record"]["scopes"], json!(["control", "data"]), "{whole}");
    assert_eq!(whole["record"]["namespaces"], json!(["default"]));
    ctl.run("token issue x --scope everything").refused(2);

    let listed = ctl.answers_as_the_api("token list", &admin, "/api/v1/tokens").await;
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap()).collect();
    assert!(["reader", "kept", "whole"].iter().all(|name| names.contains(name)), "{names:?}");
    assert!(!listed.to_string().contains(whole["token"].as_str().unwrap()), "the secret is shown once");
    ctl.answers_as_the_api(&format!("token get {id}"), &admin, &format!("/api/v1/tokens/{id}")).await;
    ctl.run(&format!("token get {NOBODY}")).refused(3);

    ctl.run(&format!("token revoke {id}")).refused(2);
    reader.run("identity").done();
    let revoked = ctl.run(&format!("token revoke {id} --yes"));
    assert_eq!(revoked.done(), "", "{revoked:?}");
    assert!(revoked.err.contains(id), "{revoked:?}");
    eventually("a revoked token is refused", Duration::from_secs(5), async || {
        (reader.run("identity").code == 4).then_some(())
    })
    .await;
    let listed = |more: &str| ctl.run(&format!("token list -o name{more}")).done().contains(id);
    assert!(!listed("") && listed(" --include-revoked"));
    let gone = ctl.answers_as_the_api(&format!("token get {id}"), &admin, &format!("/api/v1/tokens/{id}")).await;
    assert!(gone["revoked_at"].is_string(), "{gone}");
    ctl.run(&format!("token revoke {NOBODY} --yes")).refused(3);
}
