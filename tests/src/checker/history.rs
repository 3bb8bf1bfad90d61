//! What clients asked for and what they were told, and I9: nothing acknowledged is missing, nothing exists unasked.
//!
//! A request carries a mark: the idempotency key of its tries, and the variable `MARK` of the runs that it makes. What
//! was not answered, or answered with 5xx, may have been done or not: its outcome is unknown until a repeat tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Violation, rows_of};

/// What a request asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// A test of this name, which is the mark.
    Test,
    /// Runs of a test.
    Runs,
    /// A run like a finished one.
    Retry,
}

/// What a client knows of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It was done, and made these runs.
    Done(Vec<Uuid>),
    /// It was refused for good.
    Refused(u16),
    /// It may have been done or not.
    Unknown,
}

/// One try of a request.
#[derive(Debug, Clone)]
pub struct Request {
    /// What was asked for.
    pub asked: Asked,
    /// What it is known by.
    pub mark: String,
    /// What came of it.
    pub known: Known,
}

/// Every request that made anything; can be shared by all who ask.
#[derive(Debug, Clone, Default)]
pub struct History(Arc<Mutex<Vec<Request>>>);

impl History {
    /// Notes a request.
    pub fn note(&self, asked: Asked, mark: impl Into<String>, known: Known) {
        self.0.lock().expect("not poisoned").push(Request { asked, mark: mark.into(), known });
    }

    /// Forgets a request: what it made was lost as it may be.
    pub fn forget(&self, mark: &str) {
        self.0.lock().expect("not poisoned").retain(|request| request.mark != mark);
    }

    /// Returns all requests.
    pub fn requests(&self) -> Vec<Request> {
        self.0.lock().expect("not poisoned").clone()
    }

    /// Counts what was answered, what was refused, and what is unknown.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |of: fn(&Known) -> bool| self.requests().iter().filter(|request| of(&request.known)).count();
        (
            count(|known| matches!(known, Known::Done(_))),
            count(|known| matches!(known, Known::Refused(_))),
            count(|known| matches!(known, Known::Unknown)),
        )
    }
}

/// What all tries of one request say together.
#[derive(Debug, Default)]
struct Tries {
    done: Vec<Vec<Uuid>>,
    unknown: usize,
}

/// What is stored for a mark: the runs of one creation have one matrix id.
#[derive(Debug, Default)]
struct Stored {
    runs: BTreeSet<Uuid>,
    creations: BTreeSet<Uuid>,
}

pub(super) async fn violations(conn: &mut PgConnection, history: &History) -> Vec<Violation> {
    let mut tries: BTreeMap<(Asked, String), Tries> = BTreeMap::new();
    for request in history.requests() {
        let of_mark = tries.entry((request.asked, request.mark)).or_default();
        match request.known {
            Known::Done(runs) => of_mark.done.push(runs),
            Known::Unknown => of_mark.unknown += 1,
            Known::Refused(_) => {}
        }
    }
    let mut found = Vec::new();
    let mut broken = |claim: &str, rows: Vec<String>| found.push(Violation::new("I9", claim, rows));

    let mut stored: BTreeMap<String, Stored> = BTreeMap::new();
    let rows: Vec<(Uuid, Uuid, Option<String>)> = sqlx::query_as(
        "SELECT r.id, r.matrix_id, c.body->'run_config'->'env'->>'MARK'
         FROM run r JOIN config c ON c.id = r.config_id WHERE r.trigger = 'manual'",
    )
    .fetch_all(&mut *conn)
    .await
    .expect("read the marks");
    for (run, creation, mark) in rows {
        let of_mark = stored.entry(mark.unwrap_or_default()).or_default();
        of_mark.runs.insert(run);
        of_mark.creations.insert(creation);
    }
    for ((asked, mark), tries) in tries.iter().filter(|((asked, _), _)| *asked == Asked::Runs) {
        let empty = Stored::default();
        let there = stored.get(mark).unwrap_or(&empty);
        for told in &tries.done {
            let told: BTreeSet<Uuid> = told.iter().copied().collect();
            if told != there.runs {
                let row = format!("{asked:?} {mark}: answered with {told:?}, stored are {:?}", there.runs);
                broken("what was acknowledged exists, and is what was said", vec![row]);
            }
        }
        if there.creations.len() > 1 {
            let row = format!("{asked:?} {mark}: made {} times: {:?}", there.creations.len(), there.runs);
            broken("one key has one effect", vec![row]);
        }
    }
    let unasked: Vec<Uuid> = stored
        .iter()
        .filter(|(mark, _)| {
            let tries = tries.get(&(Asked::Runs, (*mark).clone()));
            tries.is_none_or(|tries| tries.done.is_empty() && tries.unknown == 0)
        })
        .flat_map(|(_, there)| there.runs.iter().copied())
        .collect();
    if !unasked.is_empty() {
        broken("no run exists that nobody asked for", rows_of(conn, &unasked).await);
    }

    let retried: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM run WHERE trigger = 'retry'")
        .fetch_all(&mut *conn)
        .await
        .expect("read the retries");
    let retries = || tries.iter().filter(|((asked, _), _)| *asked == Asked::Retry).map(|(_, tries)| tries);
    let told: BTreeSet<Uuid> = retries().flat_map(|tries| tries.done.iter().flatten().copied()).collect();
    let open = retries().filter(|tries| tries.done.is_empty() && tries.unknown > 0).count();
    let missing: Vec<String> = told.iter().filter(|run| !retried.contains(run)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        broken("what was acknowledged exists, and is what was said", missing);
    }
    let untold: Vec<Uuid> = retried.into_iter().filter(|run| !told.contains(run)).collect();
    if untold.len() > open {
        broken("no run exists that nobody asked for", rows_of(conn, &untold).await);
    }

    let tests: Vec<String> =
        sqlx::query_scalar("SELECT name FROM test").fetch_all(&mut *conn).await.expect("read the tests");
    for ((_, name), tries) in tries.iter().filter(|((asked, _), _)| *asked == Asked::Test) {
        if !tries.done.is_empty() && !tests.contains(name) {
            broken("what was acknowledged exists, and is what was said", vec![format!("the test {name} is not there")]);
        }
    }
    let wished = |name: &String| {
        let tries = tries.get(&(Asked::Test, name.clone()));
        tries.is_some_and(|tries| !tries.done.is_empty() || tries.unknown > 0)
    };
    let unasked: Vec<String> =
        tests.iter().filter(|name| !wished(name)).map(|name| format!("the test {name}")).collect();
    if !unasked.is_empty() {
        broken("no test exists that nobody asked for", unasked);
    }
    found
}
