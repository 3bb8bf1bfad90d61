//! `tstr ctl artifact`: what is listed, and that nothing is written but what was asked for, where it was asked for.

use std::path::Path;

use serde_json::json;
use tstr_shared::artifacts::{ArtifactNote, NoteWhy};
use tstr_shared::run::RunResult;
use tstr_tests::process::{command, run};
use tstr_tests::worker::Worker;
use tstr_tests::{Ctl, Stack, factory};

use super::NOBODY;

const FILES: [(&str, &str); 4] =
    [("a.txt", "text"), ("shots/1.png", "one"), ("shots/deep/ü 2.png", "two"), ("shots2/3.png", "one")];

async fn left(stack: &Stack, notes: Vec<ArtifactNote>) -> String {
    let admin = stack.admin();
    admin.put("/api/v1/namespaces/default/tests/a", &factory::test("a")).await;
    let worker = Worker::register(stack, 0, &uuid::Uuid::new_v4().to_string()).await;
    let id = admin.trigger("a").await.remove(0);
    let fence = worker.running().await;
    worker.leave(fence, &FILES).await;
    worker.record_with(fence, &FILES, notes).await.unwrap();
    worker.finish(fence, RunResult::Pass).await.unwrap();
    id
}

/// The files below a folder, with what they hold.
fn found(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().display().to_string();
                files.push((name, std::fs::read_to_string(entry.path()).unwrap_or_default()));
            }
        }
    }
    files.sort();
    files
}

fn expected(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_listed_with_what_was_not_kept() {
    let stack = Stack::start().await;
    let (admin, ctl) = (stack.admin(), Ctl::of(&stack));
    let mut note = ArtifactNote::new(NoteWhy::TooLarge);
    note.add("core", 1 << 30);
    let id = left(&stack, vec![note]).await;
    let listed = ctl.run(&format!("artifact list {id}"));
    assert!(listed.done().starts_with("a.txt\t4\ttext/plain\nshots/1.png\t3\timage/png\n"), "{listed:?}");
    assert!(listed.err.contains("1 file (1073741824 bytes) not kept: larger than 64MiB: core"), "{listed:?}");
    assert_eq!(ctl.run(&format!("artifact list {id} -o name")).done().lines().count(), 4);
    let answer = admin.get(&format!("/api/v1/runs/{id}/artifacts")).await.expect(200);
    let whole = ctl.run(&format!("artifact list {id} -o json"));
    assert_eq!((whole.json(), whole.err.as_str()), (answer.clone(), ""));
    let lines = ctl.run(&format!("artifact list {id} --attempt 1 -o jsonl"));
    let lines: Vec<serde_json::Value> = lines.done().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(lines), answer["items"]);
    ctl.run(&format!("artifact list {id} --attempt 2")).refused(3);
    ctl.run(&format!("artifact list {NOBODY}")).refused(3);
    assert!(ctl.run(&format!("run get {id}")).done().contains("ARTIFACTS\t4 files, 13 bytes"));
    assert!(ctl.run("namespace list").done().contains("\t13B\t"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_saved_where_they_are_asked_for_and_nowhere_else() {
    let stack = Stack::start().await;
    let ctl = Ctl::of(&stack);
    let id = left(&stack, vec![]).await;
    let home = ctl.home().clone();
    let saved = ctl.run(&format!("artifact download {id} --dir out/all"));
    assert!(saved.done().is_empty() && saved.err.contains("saved 4 files with 13 bytes in out/all"), "{saved:?}");
    assert_eq!(found(&home.join("out/all")), expected(&FILES));
    let some = ctl.run(&format!("artifact download {id} shots/ a.txt --dir some -o name"));
    assert_eq!(some.done(), "a.txt\nshots/1.png\nshots/deep/ü 2.png\n");
    assert_eq!(found(&home.join("some")), expected(&FILES[..3]));
    let missing = ctl.run(&format!("artifact download {id} a.txt shot --dir none"));
    assert!(missing.refused(3).contains("shot"), "{missing:?}");
    assert!(!home.join("none").exists());

    // A download that was cut short goes on: what is there is not read again.
    std::fs::remove_file(home.join("out/all/shots/1.png")).unwrap();
    let again = ctl.run(&format!("artifact download {id} --dir out/all"));
    let said = "saved 1 file with 3 bytes in out/all; 3 were there";
    assert!(again.done().is_empty() && again.err.contains(said), "{again:?}");
    assert_eq!(found(&home.join("out/all")), expected(&FILES));
    // Unless a folder is named they lie in one of their own.
    ctl.run(&format!("artifact download {id}")).done();
    assert_eq!(found(&home.join(&id)), expected(&FILES));

    // What is there is not replaced unasked, and then nothing is saved.
    std::fs::write(home.join("some/a.txt"), "mine").unwrap();
    std::fs::remove_dir_all(home.join("some/shots")).unwrap();
    let refused = ctl.run(&format!("artifact download {id} --dir some"));
    assert!(refused.refused(5).contains("a.txt") && refused.err.contains("--force"), "{refused:?}");
    assert_eq!(found(&home.join("some")), expected(&[("a.txt", "mine")]));
    ctl.run(&format!("artifact download {id} --dir some --force")).done();
    assert_eq!(found(&home.join("some")), expected(&FILES));

    // No link leads out of the folder, not even by force.
    run(command("/bin/mkdir").arg(home.join("linked")).arg(home.join("elsewhere")));
    std::os::unix::fs::symlink(home.join("elsewhere"), home.join("linked/shots")).unwrap();
    std::fs::write(home.join("elsewhere/victim"), "safe").unwrap();
    std::os::unix::fs::symlink(home.join("elsewhere/victim"), home.join("linked/a.txt")).unwrap();
    let refused = ctl.run(&format!("artifact download {id} a.txt --dir linked"));
    assert!(refused.refused(5).contains("a.txt"), "{refused:?}");
    let refused = ctl.run(&format!("artifact download {id} shots --dir linked --force"));
    assert!(refused.refused(5).contains("a link is not followed"), "{refused:?}");
    ctl.run(&format!("artifact download {id} a.txt --dir linked --force")).done();
    assert_eq!(found(&home.join("elsewhere")), expected(&[("victim", "safe")]));
    assert_eq!(std::fs::read_to_string(home.join("linked/a.txt")).unwrap(), "text", "the link was replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_what_the_run_left_is_not_saved() {
    let stack = Stack::start().await;
    let ctl = Ctl::of(&stack);
    let id = left(&stack, vec![]).await;
    // Somebody has changed the store behind the server's back.
    let folder = stack.artifacts();
    for name in crate::artifacts::objects(&folder) {
        std::fs::write(folder.join(name), "xxxx").unwrap();
    }
    let refused = ctl.run(&format!("artifact download {id} a.txt --dir out"));
    assert!(refused.refused(1).contains("a.txt") && refused.err.contains("nothing was saved"), "{refused:?}");
    assert!(found(&ctl.home().join("out")).is_empty());
}
