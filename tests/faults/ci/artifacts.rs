//! Artifacts that mean harm: archives as nobody should write them, files as a container can make them, records as a worker
//! should not send them. And artifacts that are merely large.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tstr_shared::error::ErrorCode;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::factory::witness;
use tstr_tests::forge::{Forger, Tar};
use tstr_tests::leftovers::end_processes_of;
use tstr_tests::process::make_dir;
use tstr_tests::{Ctl, eventually};
use uuid::Uuid;

use super::flood::{MOST_KIB, peaks};
use crate::wire::{Wire, content_of};

/// The most time of a processor that one archive may cost a worker.
const MOST_CPU: Duration = Duration::from_secs(2);

/// A place where nothing may appear, and a file there that may not change.
struct Aim(PathBuf);

impl Aim {
    fn take() -> Self {
        let aim = make_dir("aim");
        std::fs::write(aim.join("victim"), "safe").unwrap();
        Self(aim)
    }

    /// The way to a name there: absolute, and from below.
    fn ways(&self, name: &str) -> [String; 2] {
        let absolute = self.0.join(name).display().to_string();
        [absolute.clone(), format!("{}{absolute}", "../".repeat(15).trim_end_matches('/'))]
    }

    fn is_missed(&self) {
        let there: Vec<_> = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(there, ["victim"], "nothing was planted");
        assert_eq!(std::fs::read_to_string(self.0.join("victim")).unwrap(), "safe");
    }
}

/// An archive, and what is to become of it: the files that are kept, and how many are noted for which cause.
struct Case {
    what: &'static str,
    archive: Vec<u8>,
    kept: Vec<String>,
    noted: Vec<(&'static str, u64)>,
}

fn case(what: &'static str, archive: Vec<u8>, kept: &[&str], noted: &[(&'static str, u64)]) -> Case {
    let kept = kept.iter().map(|path| (*path).to_owned()).collect();
    Case { what, archive, kept, noted: noted.to_vec() }
}

/// Each of these stands for itself; none keeps the worker from reading what comes behind it.
fn decent_framing(aim: &Aim) -> Vec<Case> {
    let [absolute, upward] = aim.ways("planted");
    let below = absolute.rsplit_once('/').unwrap().0.trim_start_matches('/').split_once('/').unwrap().1;
    let (long, longest, deep) = ("l".repeat(513), ["l"; 3].map(|step| step.repeat(170)).join("/"), "d/".repeat(16));
    let tar = Tar::default;
    let path = |path: &str| tar().pax(b'x', &[("path", path.as_bytes())]).file("artifacts/short", "x").end();
    let gnu = |name: &[u8]| tar().entry(b"././@LongLink", b'L', name).file("artifacts/short", "x").end();
    let one = |name: &[u8]| tar().entry(name, b'0', b"x").end();
    let special = |kind| tar().entry(b"artifacts/special", kind, b"").end();
    let bad: &[(&str, u64)] = &[("bad_name", 1)];
    let no_file: &[(&str, u64)] = &[("not_a_file", 1)];
    let through = tar().link("artifacts/link", b'2', &aim.0.display().to_string());
    let setuid = tar().with(b"artifacts/setuid", b'0', b"00000000001", b"x", |header| {
        header[100..107].copy_from_slice(b"0006777");
    });
    let many = (0..10_000).fold(tar(), |tar, i| tar.file(&format!("artifacts/{i:05}"), "x"));
    let thousand: Vec<String> = (0..1000).map(|i| format!("{i:05}")).collect();
    let thousand: Vec<&str> = thousand.iter().map(String::as_str).collect();
    let folders = (0..20_000).fold(tar(), |tar, i| tar.entry(format!("artifacts/{i}/").as_bytes(), b'5', b""));
    vec![
        case("steps upward", path(&format!("artifacts/{upward}")), &[], bad),
        case("steps upward in the middle", one(b"artifacts/a/../../../planted"), &[], bad),
        case("steps upward before the folder", one(b"../../artifacts/x"), &[], bad),
        case("an absolute path", path(&absolute), &[&format!("{below}/planted")], &[]),
        case("an absolute path within", path(&format!("artifacts/{absolute}")), &[], bad),
        case("a step that stays", one(b"artifacts/./x"), &[], bad),
        case("an empty step", one(b"artifacts//x"), &[], bad),
        case("steps of another system", one(b"artifacts/..\\..\\C:\\x"), &["..\\..\\C:\\x"], &[]),
        case("a line break", one(b"artifacts/a\nb"), &[], bad),
        case("an escape sequence", one(b"artifacts/\x1b]52;c;eA==\x07"), &[], bad),
        case("no UTF-8", one(b"artifacts/\xff\xfe"), &[], bad),
        case("an overlong slash", one(b"artifacts/..\xc0\xafx"), &[], bad),
        case("a NUL", path("artifacts/a\0b"), &[], bad),
        case("a name that is too long", path(&format!("artifacts/{long}")), &[], bad),
        case("the longest name", path(&format!("artifacts/{longest}")), &[&longest], &[]),
        case("a name of a megabyte", gnu(&[b'n'; 1 << 20]), &[], bad),
        case("steps upward in a long name", gnu(format!("artifacts/{upward}").as_bytes()), &[], bad),
        case("too many steps", one(format!("artifacts/{deep}x").as_bytes()), &[], bad),
        case("a link outward", tar().link("artifacts/passwd", b'2', "/etc/passwd").end(), &[], no_file),
        case("a link upward", tar().link("artifacts/up", b'2', &upward).end(), &[], no_file),
        case("a file behind a link", through.file("artifacts/link/planted", "x").end(), &["link/planted"], no_file),
        case("a file in a link's place", through_then(aim), &["link"], no_file),
        case("a second name of a file outside", tar().link("artifacts/hard", b'1', &absolute).end(), &[], no_file),
        case("a device of bytes", special(b'3'), &[], no_file),
        case("a device of blocks", special(b'4'), &[], no_file),
        case("a pipe", special(b'6'), &[], no_file),
        case("a kind that nobody knows", special(b'Z'), &[], no_file),
        case("the set-uid bit", setuid.end(), &["setuid"], &[]),
        case(
            "a path twice",
            tar().file("artifacts/a", "x").file("artifacts/a", "y").end(),
            &["a"],
            &[("duplicate", 1)],
        ),
        case(
            "paths that differ in case",
            tar().file("artifacts/A", "x").file("artifacts/a", "y").end(),
            &["A", "a"],
            &[],
        ),
        case(
            "a file that is a folder",
            tar().file("artifacts/a", "x").file("artifacts/a/b", "y").end(),
            &["a", "a/b"],
            &[],
        ),
        case("ten thousand files", many.end(), &thousand, &[("too_many", 9000)]),
        case("twenty thousand folders", folders.end(), &[], &[]),
        case("a record for all that follow", global(&absolute), &["x"], &[]),
        case("a file of zeros that says how large it would be", sparse(), &[], no_file),
    ]
}

/// A link, and then a file of the same name.
fn through_then(aim: &Aim) -> Vec<u8> {
    let link = Tar::default().link("artifacts/link", b'2', &aim.0.join("victim").display().to_string());
    link.file("artifacts/link", "changed").end()
}

fn global(absolute: &str) -> Vec<u8> {
    Tar::default().pax(b'g', &[("path", absolute.as_bytes())]).file("artifacts/x", "x").end()
}

/// 512 bytes that stand for 4 GiB, in the old format of GNU.
fn sparse() -> Vec<u8> {
    let all = format!("{:011o}", 4u64 << 30);
    let sparse = Tar::default().with(b"artifacts/sparse", b'S', b"00000001000", &[b'x'; 512], |header| {
        header[257..265].copy_from_slice(b"ustar  \0");
        header[386..397].copy_from_slice(b"00000000000");
        header[398..409].copy_from_slice(b"00000001000");
        header[410..421].copy_from_slice(all.as_bytes());
        header[422..433].copy_from_slice(b"00000000000");
        header[483..494].copy_from_slice(all.as_bytes());
    });
    sparse.end()
}

/// In these it is disputed where an entry ends, or there is no end.
fn broken_framing() -> Vec<Case> {
    let tar = Tar::default;
    let inner = tar().file("artifacts/smuggled", "x").cut();
    let size = |bytes: usize| format!("{bytes:011o}");
    let unreadable: &[(&str, u64)] = &[("unreadable", 0)];
    let torn: &[(&str, u64)] = &[("unreadable", 1)];
    let pax = |bytes: &str| tar().pax(b'x', &[("size", bytes.as_bytes())]);
    let whole = tar().file("artifacts/a", "x").file("artifacts/b", "y");
    let (short, noise) = (whole.clone().cut(), (0..1u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8));
    let sparse = tar().pax(b'x', &[("GNU.sparse.realsize", b"8589934592"), ("GNU.sparse.name", b"../x")]);
    let packed = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3].into_iter().chain([0; 4096]).collect();
    vec![
        case(
            "a size of pax before one of the header",
            {
                let inner = &inner;
                pax(&inner.len().to_string()).says(b"artifacts/outer", b'0', size(0).as_bytes(), inner).end()
            },
            &["outer"],
            &[],
        ),
        case(
            "a size of the header behind one of pax",
            {
                pax("1")
                    .says(b"artifacts/outer", b'0', size(1 << 20).as_bytes(), b"x")
                    .file("artifacts/next", "y")
                    .end()
            },
            &["next", "outer"],
            &[],
        ),
        case(
            "a size of pax for the wrong entry",
            {
                let first = pax("512").entry(b"././@LongLink", b'L', b"artifacts/named");
                first.says(b"artifacts/x", b'0', size(0).as_bytes(), &[b'x'; 512]).file("artifacts/next", "y").end()
            },
            &["named", "next"],
            &[],
        ),
        case(
            "a size beyond the end",
            whole.clone().says(b"artifacts/c", b'0', size(1 << 20).as_bytes(), b"z").end(),
            &["a", "b"],
            torn,
        ),
        case(
            "a size of many gigabytes",
            whole.clone().says(b"artifacts/c", b'0', b"77777777777", b"z").end(),
            &["a", "b"],
            &[("too_large", 1), ("unreadable", 0)],
        ),
        case(
            "a size of more than there are numbers",
            pax("18446744073709551615").file("artifacts/c", "z").end(),
            &[],
            unreadable,
        ),
        case(
            "a size below nothing",
            whole.clone().says(b"artifacts/c", b'0', b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"z").end(),
            &["a", "b"],
            unreadable,
        ),
        case(
            "a size that is no number",
            whole.clone().says(b"artifacts/c", b'0', b"cafe", b"z").end(),
            &["a", "b"],
            unreadable,
        ),
        case(
            "a link with bytes behind it",
            {
                tar()
                    .says(b"artifacts/hard", b'1', size(inner.len()).as_bytes(), &inner)
                    .file("artifacts/next", "y")
                    .end()
            },
            &["next"],
            &[("not_a_file", 1)],
        ),
        case("a wrong sum", whole.clone().raw(&[b'?'; 512]).end(), &["a", "b"], unreadable),
        case("no end", short.clone(), &["a", "b"], unreadable),
        case("half a header", [&short[..], &[b'h'; 100]].concat(), &["a", "b"], unreadable),
        case("half a file", short[..512 + 512 + 512].to_vec(), &["a"], torn),
        case("nothing", Vec::new(), &[], unreadable),
        case("noise", noise.collect(), &[], unreadable),
        case("a packed archive", packed, &[], unreadable),
        case("a map of a file of zeros that is none", sparse.file("artifacts/c", "z").end(), &[], unreadable),
        case(
            "a record without a length",
            tar().entry(b"pax", b'x', b"path=../x\n").file("artifacts/c", "z").end(),
            &[],
            unreadable,
        ),
        case("a record for nobody", tar().pax(b'x', &[("path", b"artifacts/x")]).end(), &[], unreadable),
    ]
}

/// What a worker's process has had of the processors.
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// What is told of the artifacts of a run: the paths, and how many are noted for which cause.
async fn told(arena: &Arena, run: Uuid) -> (Vec<String>, Vec<(String, u64)>) {
    let listed = arena.admin().get(&format!("/api/v1/runs/{run}/artifacts")).await.expect(200);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let paths = listed["items"].as_array().unwrap().iter().map(|item| text(&item["path"])).collect();
    let notes = listed["notes"].as_array().unwrap().iter();
    (paths, notes.map(|note| (text(&note["why"]), note["files"].as_u64().unwrap())).collect())
}

/// Executes a test that passes, whatever it left.
async fn pass(arena: &Arena, test: &str, mark: &str) -> Uuid {
    let run = arena.driver.trigger(test, mark).await;
    arena.settle(Duration::from_secs(30)).await;
    let story = arena.story(run).await;
    assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(1)), "{mark}: {story}");
    run
}

/// Downloads everything that a run left; what is saved is ordinary and where it was asked for.
fn download(arena: &Arena, run: Uuid) {
    let ctl = Ctl::new(arena.json.url(), arena.token());
    let ran = ctl.run(&format!("artifact download {run} --dir out"));
    // A folder cannot be made where a file is.
    assert!([0, 5].contains(&ran.code), "{ran:?}");
    let there: Vec<_> = std::fs::read_dir(ctl.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(there, ["out"], "{ran:?}");
    all_ordinary(&ctl.home().join("out"));
}

/// Fails unless everything below a folder is a folder or an ordinary file that nobody can execute; returns the files.
fn all_ordinary(folder: &Path) -> Vec<String> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type().unwrap())).unwrap();
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let mode = path.symlink_metadata().unwrap().permissions().mode();
            assert!(kind.is_file() && mode & 0o7111 == 0, "{}: {mode:o}", path.display());
            files.push(path.strip_prefix(folder).unwrap().display().to_string());
        }
    }
    files
}

/// Records as a worker should not send them, of a run that it holds.
async fn forged_records(arena: &Arena, aim: &Aim) {
    let wire = Wire::new(&arena.posts[0].link.url(), &arena.posts[0].token, Uuid::now_v7());
    wire.register("forger", 1).await.unwrap();
    let run = arena.driver.trigger("t", "by a forger").await;
    let fence = wire.claim(1, 5000).await.unwrap().remove(0);
    wire.put(&fence, b"x").await.unwrap();
    let [absolute, upward] = aim.ways("planted");
    let (x, long) = (content_of(b"x"), "l".repeat(513));
    let one = |path: &str| vec![("fine".to_owned(), x.clone()), (path.to_owned(), x.clone())];
    let lying = |bytes| vec![("a".to_owned(), tstr_proto::v1::Blob { bytes, ..x.clone() })];
    let mut tries: Vec<(String, Vec<_>)> = [
        "",
        "/",
        ".",
        "..",
        "../x",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        "a\0b",
        "a\nb",
        "\u{1b}[2J",
        &long,
        &"d/".repeat(17),
    ]
    .into_iter()
    .chain([absolute.as_str(), upward.as_str()])
    .map(|path| (format!("the path {path:?}"), one(path)))
    .collect();
    tries.push(("a path twice".into(), one("fine")));
    tries.push(("another length".into(), lying(2)));
    tries.push(("more than a file may have".into(), lying((64 << 20) + 1)));
    tries.push(("more files than may be".into(), (0..1001).map(|i| (i.to_string(), x.clone())).collect()));
    for (what, files) in tries {
        assert_eq!(wire.record(&fence, files).await, Err(Some(ErrorCode::Invalid)), "{what}");
    }
    let unknown = vec![("a".to_owned(), content_of(b"unknown"))];
    assert_eq!(wire.record(&fence, unknown).await, Err(Some(ErrorCode::Conflict)));
    let differing = vec![("A".to_owned(), x.clone()), ("a".to_owned(), x)];
    wire.record(&fence, differing).await.unwrap();
    assert_eq!(told(arena, run).await, (vec!["A".to_owned(), "a".to_owned()], vec![]));
    wire.release(&fence).await.unwrap();
}

/// What a container itself can leave: what is kept of it, and what is noted.
const HOSTILE: &str = "cd $TSTR_ARTIFACTS
    ln -s AIM link; ln -s /etc/passwd passwd; mkfifo pipe
    printf x >setuid; chmod 6777 setuid; ln setuid twin
    printf x >unreadable; chmod 000 unreadable
    mkdir shut; printf x >shut/x; chmod 000 shut
    printf A >A; printf a >a
    head -c 62914560 /dev/zero >zeros
    printf x >\"$(printf 'a\\nb')\"; printf x >\"$(printf '\\377')\"
    d=.; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do d=$d/d; done; mkdir -p $d; printf x >$d/x
    true";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_40_malicious_artifacts_are_opaque_or_refused_and_touch_nothing() {
    let (aim, mut arena) = (Aim::take(), Arena::prepare(Plan::short(1, 1)).await);
    arena.driver.register(&witness("t", "printf x >$TSTR_ARTIFACTS/x")).await;
    let hostile = HOSTILE.replace("AIM", &aim.0.display().to_string());
    arena.driver.register(&witness("hostile", &hostile)).await;
    forged_records(&arena, &aim).await;

    let forger = Forger::start(arena.posts[0].dir()).await;
    arena.posts[0].flags.extend(["--podman-socket".to_owned(), forger.socket.display().to_string()]);
    arena.start_workers().await;
    // The run of the forger's is executed now, and what was recorded of it before is not.
    arena.settle(Duration::from_secs(30)).await;
    let pid = arena.posts[0].runner().process.pid();
    let cases: Vec<Case> = decent_framing(&aim).into_iter().chain(broken_framing()).collect();
    assert!(cases.len() >= 30, "{} cases", cases.len());
    let (mut dearest, mut wrong) = ((Duration::ZERO, ""), Vec::new());
    for Case { what, archive, kept, noted } in cases {
        let before = cpu(pid);
        forger.answer(archive);
        let run = pass(&arena, "t", what).await;
        assert!(forger.was_asked(), "{what}: nothing was copied");
        let cost = cpu(pid) - before;
        dearest = dearest.max((cost, what));
        let noted: Vec<_> = noted.into_iter().map(|(why, files)| (why.to_owned(), files)).collect();
        let (found, notes) = told(&arena, run).await;
        let same = found.iter().collect::<BTreeSet<_>>() == kept.iter().collect() && found.len() == kept.len();
        if !same || notes != noted {
            let some = &found[..found.len().min(5)];
            wrong.push(format!("{what}: {} files {some:?}, {notes:?} instead of {noted:?}", found.len()));
        }
        if found.len() < 100 {
            download(&arena, run);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    eprintln!("the dearest archive: {} with {:?} of a processor", dearest.1, dearest.0);
    assert!(dearest.0 < MOST_CPU, "{dearest:?}");

    let before = cpu(pid);
    let run = pass(&arena, "hostile", "by a container").await;
    let (found, notes) = told(&arena, run).await;
    let names: Vec<&str> = found.iter().map(String::as_str).filter(|name| !["setuid", "twin"].contains(name)).collect();
    assert_eq!(
        (names, found.len()),
        (vec!["A", "a", "shut/x", "unreadable", "zeros"], 6),
        "one of two names of a file"
    );
    assert_eq!(notes, [("not_a_file".to_owned(), 4), ("bad_name".to_owned(), 3)]);
    eprintln!("what a container made: {:?} of a processor", cpu(pid) - before);
    download(&arena, run);

    aim.is_missed();
    for object in all_ordinary(&arena.artifacts()) {
        let name = object.strip_prefix("1/").unwrap_or_default();
        let is_ours = name.len() == 64 + 1 + 36 && name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        assert!(is_ours, "{object}");
    }
    // The worker needs its Podman to the last.
    let mut runner = arena.posts[0].runner.take().unwrap();
    tokio::task::spawn_blocking(move || runner.process.terminate(Duration::from_secs(40))).await.unwrap();
    tokio::task::spawn_blocking(move || forger.stop()).await.unwrap();
    // Podman leaves the process behind that holds its namespaces.
    end_processes_of(arena.posts[0].dir());
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_40_a_replica_that_dies_within_an_upload_leaves_nothing_that_a_sweep_does_not_find() {
    let mut arena = Arena::start(Plan::short(1, 1)).await;
    let large = "cd $TSTR_ARTIFACTS; for i in 1 2 3 4; do head -c 62914560 /dev/urandom >$i; done";
    arena.driver.register(&witness("large", large)).await;
    arena.posts[0].link.set(vec![arena.replicas[0].as_ref().unwrap().grpc]);
    let run = arena.driver.trigger("large", "large").await;
    eventually("an upload is under way", Duration::from_secs(60), async || {
        (arena.count("blob WHERE stored_at IS NULL").await > 0).then_some(())
    })
    .await;
    arena.kill_replica(0);
    arena.settle(Duration::from_secs(120)).await;
    let story = arena.story(run).await;
    assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(1)), "{story}");
    assert_eq!(told(&arena, run).await, ((1..=4).map(|i| i.to_string()).collect(), vec![]), "they were sent again");
    assert_eq!(arena.count("blob WHERE stored_at IS NOT NULL").await, 4);
    assert!(arena.count("blob WHERE stored_at IS NULL").await > 0, "the replica died within an upload");
    // Two days later a replica sweeps; each begins with that.
    let mut conn = arena.connect().await;
    sqlx::query("UPDATE blob SET used_on = used_on - 3 WHERE stored_at IS NULL").execute(&mut conn).await.unwrap();
    arena.start_replica(0).await;
    eventually("what it left is swept", Duration::from_secs(30), async || {
        (arena.count("blob").await == 4 && all_ordinary(&arena.artifacts()).len() == 4).then_some(())
    })
    .await;
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_40_large_artifacts_pass_through_in_bounded_memory() {
    let mut arena = Arena::start(Plan::short(1, 2)).await;
    let large = "cd $TSTR_ARTIFACTS; for i in 1 2 3 4; do head -c 62914560 /dev/urandom >$i; done";
    arena.driver.register(&witness("large", large)).await;
    let runs = [arena.driver.trigger("large", "a").await, arena.driver.trigger("large", "b").await];
    arena.settle(Duration::from_secs(120)).await;
    let admin = arena.admin();
    for run in runs {
        let story = arena.story(run).await;
        assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(1)), "{story}");
        let four: Vec<String> = (1..=4).map(|i| i.to_string()).collect();
        assert_eq!(told(&arena, run).await, (four, vec![]));
        let reads = (1..=4).map(|i| {
            let request = admin.request(Method::GET, &format!("/api/v1/runs/{run}/artifacts/{i}"));
            admin.send(request)
        });
        for read in futures_util::future::join_all(reads).await {
            assert_eq!((read.status.as_u16(), read.body.len()), (200, 62_914_560));
        }
    }
    let peaks = peaks(&mut arena);
    eprintln!("at most {peaks:?} KiB of memory");
    for (who, kib) in peaks {
        assert!(kib < MOST_KIB, "{who} had {kib} KiB of memory");
    }
    arena.finish(Duration::from_secs(10)).await;
}
