//! Artifacts of real containers, from the file that a test writes to the file that a person downloads.

use tstr_tests::Ctl;
use tstr_tests::up::Instance;

use super::*;
use crate::artifacts::objects;

/// What a run left: the paths with their contents, and the causes of what was not kept with how many.
async fn left(admin: &Person, id: &str) -> (Vec<(String, String)>, Vec<(String, u64)>) {
    let path = format!("/api/v1/runs/{id}/artifacts");
    let listed = admin.get(&path).await.expect(200);
    let mut files = Vec::new();
    for item in listed["items"].as_array().unwrap() {
        let name = item["path"].as_str().unwrap();
        let read = admin.get(&format!("{path}/{}", name.replace(' ', "%20"))).await;
        assert_eq!((read.status.as_u16(), read.body.len() as u64), (200, item["bytes"].as_u64().unwrap()), "{name}");
        files.push((name.to_owned(), read.text()));
    }
    let note = |note: &Value| (note["why"].as_str().unwrap().to_owned(), note["files"].as_u64().unwrap());
    (files, listed["notes"].as_array().unwrap().iter().map(note).collect())
}

fn pairs(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_kept_however_a_run_ends() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Runner::start(&stack, "w1", &["--slots", "4"]).await;
    let script = |name: &str, end: &str| {
        factory::script(
            name,
            &format!("cd $TSTR_ARTIFACTS; mkdir -p sub; printf {name} >'a b.txt'; printf x >sub/c; {end}"),
        )
    };
    let late = |name: &str, end: &str| factory::with(script(name, end), "/run_config/timeout", json!("3s"));
    let mut runs = Vec::new();
    for (test, result) in [
        (script("passes", "exit 0"), "pass"),
        (script("fails", "exit 3"), "fail"),
        (script("asleep", "echo begun; exec sleep 600"), "cancelled"),
        (script("killed", "kill -9 $$"), "fail"),
        (late("late", "echo begun; exec sleep 600"), "timed_out"),
        (late("deaf", "trap '' TERM; while :; do sleep 1; done"), "timed_out"),
    ] {
        let name = test["name"].as_str().unwrap().to_owned();
        runs.push((trigger(&admin, test).await, name, result));
    }
    let asleep = &runs[2].0;
    eventually("it sleeps", Duration::from_secs(30), async || {
        until_state(&admin, asleep, "running").await;
        (!log(&admin, asleep, "").await.is_empty()).then_some(())
    })
    .await;
    admin.post(&format!("/api/v1/runs/{asleep}/cancel"), &json!({})).await.expect(202);
    for (id, name, result) in &runs {
        let seen = finished(&admin, id).await;
        assert_eq!(seen["result"].as_str(), Some(*result), "{seen}");
        assert_eq!(left(&admin, id).await, (pairs(&[("a b.txt", name), ("sub/c", "x")]), vec![]), "{name}");
        assert_eq!(seen["artifacts"], json!({"files": 2, "bytes": name.len() + 1}), "{seen}");
    }
    // A container that leaves nothing has nothing said about it, and one that is started anew begins with nothing.
    let nothing = trigger(&admin, factory::script("nothing", "ls -A $TSTR_ARTIFACTS")).await;
    let seen = finished(&admin, &nothing).await;
    assert_eq!(
        (left(&admin, &nothing).await, &seen["artifacts"]),
        ((vec![], vec![]), &json!({"files": 0, "bytes": 0}))
    );
    assert_eq!(log(&admin, &nothing, "").await, b"");
    worker.cleaned_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_host_comes_with_them() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let _worker = Runner::start(&stack, "w1", &["--slots", "2"]).await;
    // A file of the host that the worker's user can read.
    let canary = make_dir("h").join("canary");
    std::fs::write(&canary, "canary of the host").unwrap();
    let canary = canary.display();
    let script = format!(
        "cd $TSTR_ARTIFACTS; ln -s /etc/passwd passwd; ln -s {canary} canary; ln -s ../../../../../../../../..{canary} up;
         ln -s / root; ln -s .. parent; mkfifo pipe; printf mine >mine; ln mine twin; printf secret >../outside"
    );
    let id = trigger(&admin, factory::script("links", &script)).await;
    let seen = finished(&admin, &id).await;
    assert_eq!(seen["result"], "pass", "{seen}");
    let (files, notes) = left(&admin, &id).await;
    assert!(files == pairs(&[("mine", "mine")]) || files == pairs(&[("twin", "mine")]), "{files:?}");
    assert_eq!(notes, [("not_a_file".to_owned(), 7)], "five links, a pipe, and a second name of one file");

    // The folder itself is replaced by a link: what it leads to is the container's own, or nothing.
    let script = format!("cd /tstr; rmdir artifacts; ln -s $(dirname {canary}) artifacts", canary = canary);
    let id = trigger(&admin, factory::script("elsewhere", &script)).await;
    let seen = finished(&admin, &id).await;
    assert_eq!(seen["result"], "pass", "{seen}");
    assert!(left(&admin, &id).await.0.is_empty(), "that folder is not in the container");
    let id = trigger(&admin, factory::script("etc", "cd /tstr; rmdir artifacts; ln -s /etc artifacts")).await;
    let seen = finished(&admin, &id).await;
    assert_eq!(seen["result"], "pass", "{seen}");
    let (files, _) = left(&admin, &id).await;
    let host = std::fs::read_to_string("/etc/passwd").unwrap();
    assert!(files.iter().all(|(_, content)| *content != host && !content.contains("canary")), "{files:?}");
    // A link on the way to a pattern's folder leads nowhere else either.
    let test = factory::script("pattern", "ln -s / /tstr/out; printf x >$TSTR_ARTIFACTS/x");
    let test = factory::with(test, "/artifacts/paths", json!(["/tstr/out/etc/passwd", "/tstr/out/tmp/*"]));
    let id = trigger(&admin, test).await;
    assert_eq!(finished(&admin, &id).await["result"], "pass");
    let (files, _) = left(&admin, &id).await;
    assert!(files.iter().all(|(_, content)| *content != host && !content.contains("canary")), "{files:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_and_limits_say_what_is_kept() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let _worker = Runner::start(&stack, "w1", &["--slots", "2"]).await;
    let script =
        "mkdir -p /tstr/out/deep/er; cd /tstr/out; printf 1 >junit.xml; printf 2 >deep/er/b.xml; printf 3 >c.bin;
                  printf 4 >/tstr/one.json; printf 5 >$TSTR_ARTIFACTS/five";
    let test = factory::with(
        factory::script("patterns", script),
        "/artifacts/paths",
        json!(["/tstr/out/**/*.xml", "/tstr/one.json", "/tstr/none/*.txt", "/etc/group"]),
    );
    let id = trigger(&admin, test).await;
    let seen = finished(&admin, &id).await;
    assert_eq!(seen["result"], "pass", "{seen}");
    let (files, notes) = left(&admin, &id).await;
    let expected = [
        ("etc/group", "root:x:0:\n"),
        ("five", "5"),
        ("tstr/one.json", "4"),
        ("tstr/out/deep/er/b.xml", "2"),
        ("tstr/out/junit.xml", "1"),
    ];
    assert_eq!((files, notes), (pairs(&expected), vec![("no_match".to_owned(), 1)]));

    let script = "cd $TSTR_ARTIFACTS; head -c 67108865 /dev/zero >huge; i=0; while [ $i -lt 1100 ]; do printf $i >$i; i=$((i+1)); done";
    let id = trigger(&admin, factory::script("many", script)).await;
    let seen = finished(&admin, &id).await;
    assert_eq!((&seen["result"], &seen["artifacts"]["files"]), (&json!("pass"), &json!(1000)), "{seen}");
    let notes = admin.get(&format!("/api/v1/runs/{id}/artifacts")).await.expect(200)["notes"].clone();
    let told: Vec<_> = notes.as_array().unwrap().iter().map(|note| (&note["why"], &note["files"])).collect();
    assert_eq!(told, [(&json!("too_large"), &json!(1)), (&json!("too_many"), &json!(100))], "{notes}");
    assert_eq!(notes[0]["bytes"], json!((64 << 20) + 1));

    let test = factory::script("limited", "cd $TSTR_ARTIFACTS; printf 123456 >a; printf 789 >b");
    let id = trigger(&admin, factory::with(test.clone(), "/limits/artifacts", json!("5B"))).await;
    finished(&admin, &id).await;
    assert_eq!(left(&admin, &id).await, (pairs(&[("b", "789")]), vec![("over_limit".to_owned(), 1)]));
    let none = factory::with(factory::with(test, "/limits/artifacts", json!("0B")), "/name", json!("unwanted"));
    let id = trigger(&admin, none).await;
    finished(&admin, &id).await;
    assert_eq!(left(&admin, &id).await, (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_none_gets_the_result_and_a_note() {
    let stack = Stack::start_with(1, |config| config.artifacts_url = None).await;
    let admin = stack.admin();
    let _worker = Runner::start(&stack, "w1", &["--slots", "1"]).await;
    let id = trigger(&admin, factory::script("leaves", "printf x >$TSTR_ARTIFACTS/x; exit 3")).await;
    let seen = finished(&admin, &id).await;
    assert_eq!((&seen["result"], &seen["artifacts"]["files"]), (&json!("fail"), &json!(0)), "{seen}");
    let listed = admin.get(&format!("/api/v1/runs/{id}/artifacts")).await.expect(200);
    assert_eq!((&listed["notes"][0]["why"], &listed["notes"][0]["paths"]), (&json!("not_stored"), &json!(["x"])));
    assert!(listed["notes"][0]["detail"].as_str().unwrap().contains("--artifacts-url"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_one_machine_keeps_them_in_its_data_dir() {
    let (dir, ready_file) = (make_dir("u"), make_dir("r").join("ready.json"));
    let up = Instance::start(&dir, &ready_file, &[]).await;
    tstr_tests::images::import(&dir);
    let admin = up.admin();
    let id = trigger(&admin, factory::script("leaves", "printf kept >$TSTR_ARTIFACTS/x")).await;
    assert_eq!(finished(&admin, &id).await["artifacts"]["files"], 1);
    let mode = std::os::unix::fs::PermissionsExt::mode(&dir.join("artifacts").metadata().unwrap().permissions());
    assert_eq!((objects(&dir.join("artifacts")).len(), mode & 0o777), (1, 0o700));
    up.interrupt();
    let up = Instance::start(&dir, &ready_file, &[]).await;
    assert_eq!(left(&up.admin(), &id).await.0, pairs(&[("x", "kept")]));
    let ctl = Ctl::new(up.text("api"), up.admin().token().unwrap());
    ctl.run(&format!("artifact download {id} --dir out")).done();
    assert_eq!(std::fs::read_to_string(ctl.home().join("out/x")).unwrap(), "kept");
    up.interrupt();
}
