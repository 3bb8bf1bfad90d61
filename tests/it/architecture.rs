//! The plan of the house: which crate and which module may see which, and what stands in one place only.
//!
//! Every exception is a line here with its reason; a list of exceptions is to shrink.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use self::source::{Source, repository, sources};

/// A crate: what of ours it may depend on, and what it must never see.
struct Crate {
    name: &'static str,
    ours: &'static [&'static str],
    optional: &'static [&'static str],
    never: &'static [&'static str],
}

const CRATES: &[Crate] = &[
    Crate {
        name: "tstr-shared",
        ours: &[],
        optional: &[],
        never: &["tokio", "axum", "tonic", "prost", "reqwest", "sqlx", "schemars", "podman-api"],
    },
    Crate {
        name: "tstr-proto",
        ours: &["tstr-shared"],
        optional: &[],
        never: &["sqlx", "axum", "tokio", "podman-api"],
    },
    Crate {
        name: "tstr-api",
        ours: &["tstr-proto", "tstr-shared"],
        optional: &[],
        never: &["tstr-worker", "tstr", "podman-api"],
    },
    Crate {
        name: "tstr-worker",
        ours: &["tstr-proto", "tstr-shared"],
        optional: &[],
        never: &["sqlx", "axum", "tstr-api", "tstr"],
    },
    Crate {
        name: "tstr",
        ours: &["tstr-shared"],
        optional: &["tstr-api", "tstr-worker"],
        never: &["sqlx", "axum", "tonic", "podman-api"],
    },
];

fn cargo(arguments: &[&str]) -> std::process::Output {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg("--offline").args(arguments).current_dir(repository());
    cargo.output().expect("start cargo")
}

#[test]
fn crates_depend_on_what_they_may_and_on_nothing_else_of_ours() {
    let output = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let known: BTreeSet<&str> = CRATES.iter().map(|one| one.name).chain(["tstr-tests"]).collect();
    assert_eq!(names, known, "a new crate needs a row here and in ARCHITECTURE.md 1");
    for rule in CRATES {
        let package = packages.iter().find(|package| package["name"] == rule.name).unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let (name, is_optional) = (dependency["name"].as_str().unwrap(), dependency["optional"] == true);
            if !dependency["kind"].is_null() {
                continue;
            }
            let may =
                !names.contains(name) || rule.ours.contains(&name) || (is_optional && rule.optional.contains(&name));
            assert!(may, "{} may not depend on {name}", rule.name);
            assert!(is_optional || !rule.never.contains(&name), "{} must never see {name}", rule.name);
        }
    }
}

#[test]
fn a_worker_and_a_client_build_link_no_database_driver() {
    for (package, features) in [("tstr-worker", None), ("tstr", Some("--no-default-features")), ("tstr-shared", None)] {
        let tree = ["tree", "-p", package, "-e", "normal", "--prefix", "none", "--format", "{p}"];
        let tree: Vec<&str> = tree.into_iter().chain(features).collect();
        let output = cargo(&tree);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let seen: Vec<&str> = text.lines().filter(|line| line.starts_with("sqlx")).collect();
        assert!(text.lines().count() > 10 && seen.is_empty(), "{package} links {seen:?}");
    }
}

/// Which floors of the api a floor may use. `server` puts everything together and may use all.
const FLOORS: &[(&str, &[&str])] = &[
    ("http", &["ops", "auth", "error"]),
    ("grpc", &["ops", "auth", "error"]),
    ("background", &["ops", "auth", "error"]),
    ("ops", &["store", "objects", "auth", "error"]),
    ("store", &["auth", "error"]),
    ("auth", &["error"]),
    ("objects", &["error"]),
    ("error", &[]),
    ("config", &[]),
    ("telemetry", &[]),
    ("pools", &["ops", "store", "config"]),
    // How to listen is the same for both.
    ("ui", &["http"]),
    (
        "server",
        &["http", "grpc", "background", "ops", "store", "objects", "auth", "error", "config", "telemetry", "pools"],
    ),
];

#[test]
fn every_floor_of_the_api_uses_only_floors_below_it() {
    let mut seen = BTreeSet::new();
    for source in sources("api/src") {
        let floor = source.module();
        if floor == "lib" {
            continue;
        }
        let rule = FLOORS.iter().find(|(name, _)| *name == floor);
        let (_, may) = rule.unwrap_or_else(|| panic!("{}: a new floor needs a row here", source.path));
        seen.insert(floor.clone());
        for used in source.uses() {
            assert!(used == floor || may.contains(&used.as_str()), "{} may not use crate::{used}", source.path);
        }
    }
    assert_eq!(seen.len(), FLOORS.len(), "a floor is gone: {seen:?}");
}

#[test]
fn the_modules_of_the_worker_use_each_other_in_no_circle() {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources("worker/src") {
        let module = source.module();
        // Tests of a module may look up.
        if module != "lib" && !source.path.ends_with("tests.rs") {
            edges.entry(module).or_default().extend(source.uses());
        }
    }
    // Whoever uses nothing that is left can be taken away; a circle is what stays.
    while let Some(free) = edges.iter().find(|(name, used)| used.iter().all(|u| u == *name || !edges.contains_key(u))) {
        let free = free.0.clone();
        edges.remove(&free);
    }
    assert!(edges.is_empty(), "a circle among {:?}", edges.keys());
}

/// A word of the code that stands in certain places only.
struct Only {
    what: &'static str,
    below: &'static str,
    /// Where it may stand: files, or folders with a slash at the end.
    places: &'static [(&'static str, &'static str)],
}

const ONLY: &[Only] = &[
    Only {
        what: "sqlx::",
        below: "api/src",
        places: &[
            ("api/src/store/", "the only SQL"),
            ("api/src/pools.rs", "opens the pools and looks at them"),
            ("api/src/server.rs", "runs the migrations"),
            ("api/src/config.rs", "checks that the address is one"),
        ],
    },
    Only { what: "sqlx::query", below: "api/src", places: &[("api/src/store/", "the only SQL")] },
    Only {
        what: "housekeeping::notify(",
        below: "api/src",
        places: &[("api/src/ops/recovery.rs", "outside of every transaction")],
    },
    Only { what: "sqlx::", below: "cli", places: &[] },
    Only {
        what: "Access::system(",
        below: "api/src",
        places: &[("api/src/background/", "our own loops"), ("api/src/server.rs", "the first start")],
    },
    Only {
        what: "tstr_worker::",
        below: "cli",
        places: &[
            ("cli/src/cmd/run.rs", "starts it"),
            ("cli/src/cmd/guard.rs", "is what it starts beside itself"),
            ("cli/src/cmd/up/", "starts it beside the api"),
            ("cli/src/cmd/podman.rs", "shows its Podman"),
        ],
    },
    Only {
        what: "tstr_api::",
        below: "cli",
        places: &[
            ("cli/src/cmd/api.rs", "starts it"),
            ("cli/src/cmd/ui.rs", "starts the UI"),
            ("cli/src/cmd/up/", "starts it beside a worker"),
            ("cli/src/cmd/migrate.rs", "migrates"),
            ("cli/src/cmd/openapi.rs", "prints its document"),
        ],
    },
    Only { what: "podman_api", below: "worker", places: &[("worker/src/engine/podman.rs", "behind the trait Engine")] },
    Only { what: "podman_api", below: "cli", places: &[] },
    Only { what: "tonic::", below: "worker", places: &[("worker/src/control/", "behind the trait ControlPlane")] },
    Only { what: "tstr_proto", below: "worker", places: &[("worker/src/control/", "behind the trait ControlPlane")] },
    Only {
        what: "tonic::",
        below: "api/src",
        places: &[
            ("api/src/grpc/", "the transport"),
            ("api/src/error.rs", "the table of what a code means on each transport"),
            ("api/src/server.rs", "binds the listener"),
        ],
    },
    Only {
        what: "axum::",
        below: "api/src",
        places: &[
            ("api/src/http/", "the transport"),
            ("api/src/ui/", "a server of pages"),
            ("api/src/grpc/mod.rs", "tonic's routes are axum's: the door in front of them is a layer"),
        ],
    },
    Only {
        what: "env::var",
        below: "",
        places: &[
            ("worker/src/config.rs", "settings of the worker"),
            ("cli/src/profile.rs", "settings of the client"),
            ("cli/src/configfile.rs", "a test of settings by file"),
            ("cli/src/cmd/podman.rs", "where folders of a user are"),
            ("cli/src/cmd/up/data_dir.rs", "where folders of a user are"),
            ("cli/src/cmd/up/postgres.rs", "where programs are"),
            ("proto/build.rs", "where the build writes"),
            ("api/build.rs", "whether the UI is part of the build"),
            ("shared/src/schedule/tests/oracle/specs.rs", "the seed of an oracle's lines"),
            ("shared/tests/fuzz.rs", "how long it goes on, and its seed"),
            ("tests/", "what ./scripts/test says"),
        ],
    },
];

#[test]
fn what_belongs_in_one_place_stands_in_that_place_only() {
    for rule in ONLY {
        let mut found = BTreeSet::new();
        for source in sources(rule.below) {
            if source.path == "tests/it/architecture.rs" || !source.code().contains(rule.what) {
                continue;
            }
            let place = rule.places.iter().find(|(place, _)| source.is_in(place));
            let (place, _) =
                place.unwrap_or_else(|| panic!("{} has {}, which belongs elsewhere", source.path, rule.what));
            found.insert(*place);
        }
        for (place, why) in rule.places {
            assert!(
                found.contains(place),
                "{place} may have {} («{why}») but has none: take the exception away",
                rule.what
            );
        }
    }
}

#[test]
fn queries_are_checked_when_they_are_compiled() {
    for source in sources("api/src") {
        for call in ["sqlx::query(", "sqlx::query_as(", "sqlx::query_as::<", "sqlx::query_scalar(", "sqlx::raw_sql("] {
            assert!(!source.code().contains(call), "{} has {call}…), which nobody checks", source.path);
        }
    }
}

/// One inside of a transaction that writes runs takes the lock that all commits then wait for, so the only one is a
/// statement of its own, which is sent outside of every transaction.
#[test]
fn notifications_are_sent_by_one_statement_only() {
    let is_sent = |text: &str| text.contains("pg_notify(");
    let found: Vec<String> =
        sources("api/src").into_iter().filter(|one| is_sent(&one.text)).map(|one| one.path).collect();
    assert_eq!(found, ["api/src/store/housekeeping.rs"]);
    for folder in ["api/src/store/sql", "migrations"] {
        for file in std::fs::read_dir(repository().join(folder)).unwrap() {
            let path = file.unwrap().path();
            assert!(!is_sent(&std::fs::read_to_string(&path).unwrap()), "{} sends one", path.display());
        }
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    for source in sources("") {
        let lines = source.text.lines().count();
        assert!(lines <= 600, "{} has {lines} lines", source.path);
    }
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    for source in sources("") {
        assert!(source.text.starts_with("//!"), "{} does not begin with //!", source.path);
    }
    for query in std::fs::read_dir(repository().join("api/src/store/sql")).unwrap() {
        let path = query.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("-- "), "{} does not begin with what it is for", path.display());
    }
}

#[test]
fn one_thing_has_one_word_and_nothing_is_left_to_do() {
    for source in sources("") {
        if source.is_in("tests/it/architecture") {
            continue;
        }
        for word in source.words() {
            let is_synonym = ["job", "jobs", "execution", "executions"].contains(&word.as_str());
            assert!(!is_synonym, "{}: '{word}' is called a run, or an attempt", source.path);
        }
        for call in ["todo!", "unimplemented!", "dbg!"] {
            assert!(!source.code().contains(call), "{} has {call}", source.path);
        }
    }
    for folder in ["utils", "common", "helpers", "types", "misc"] {
        let named = |source: &Source| source.path.split(['/', '.']).any(|part| part == folder);
        assert!(!sources("").iter().any(named), "a module is named {folder}, which says nothing");
    }
}

#[test]
fn the_scanner_sees_code_and_not_what_is_said_of_it() {
    let text = "//! A job.\nuse crate::{auth::Caller, error};\nfn run_job() { crate::store::x(\"an execution\"); /* todo! */ }\n";
    let source = Source { path: "api/src/ops/x.rs".into(), text: text.into() };
    assert_eq!(source.module(), "ops");
    assert_eq!(source.uses(), ["auth", "error", "store"].map(String::from).into());
    assert!(source.words().contains("job") && !source.words().contains("execution"));
    assert!(!source.code().contains("todo!"));
    assert!(source.is_in("api/src/ops/") && !source.is_in("api/src/op") && source.is_in("api/src/ops/x.rs"));
}
