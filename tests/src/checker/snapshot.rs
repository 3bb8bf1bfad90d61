//! I2 and I5: what has ended does not change any more, and neither does when a run was created or an attempt started.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::Violation;

/// What a table holds, by the invariant that forbids its change: a name of each row, and a hash of it.
const FIXED: &[(&str, &str)] = &[
    ("I2", "SELECT 'the end of ' || run_id, md5(t::text) FROM run_end t"),
    ("I2", "SELECT 'attempt ' || attempt || ' of ' || run_id, md5(t::text) FROM attempt t"),
    ("I2", "SELECT 'event ' || id || ' of ' || run_id, md5(t::text) FROM run_event t"),
    (
        "I2",
        "SELECT 'the log of attempt ' || a.attempt || ' of ' || a.run_id,
                md5(coalesce((SELECT string_agg(k.seq || ' ' || k.stream || ' ' || k.start || ' ' || md5(k.body), ',' ORDER BY k.seq)
                              FROM log_chunk k WHERE k.run_id = a.run_id AND k.attempt = a.attempt), ''))
         FROM attempt a",
    ),
    (
        "I2",
        "SELECT 'the artifacts of attempt ' || a.attempt || ' of ' || a.run_id,
                md5(coalesce((SELECT string_agg(f.path || ' ' || encode(f.sha256, 'hex') || ' ' || f.bytes, ',' ORDER BY f.path)
                              FROM artifact f WHERE f.run_id = a.run_id AND f.attempt = a.attempt), '')
                    || coalesce((SELECT c.notes::text
                                 FROM collected c WHERE c.run_id = a.run_id AND c.attempt = a.attempt), ''))
         FROM attempt a",
    ),
    ("I2", "SELECT 'the output of attempt ' || attempt || ' of ' || run_id, md5(t::text) FROM output t"),
    ("I5", "SELECT 'the creation of ' || id, md5(t::text) FROM run t"),
    (
        "I5",
        "SELECT 'the start of attempt ' || attempt || ' of ' || run_id, started_at::text
         FROM (SELECT run_id, attempt, started_at FROM attempt UNION ALL SELECT run_id, attempt, started_at FROM lease) a
         WHERE started_at IS NOT NULL",
    ),
];

/// Everything that may not change any more, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot(BTreeMap<String, (&'static str, String)>);

impl Snapshot {
    /// Takes a snapshot.
    pub async fn take(conn: &mut PgConnection) -> Self {
        let mut rows = BTreeMap::new();
        for (invariant, query) in FIXED {
            let found: Vec<(String, String)> =
                sqlx::query_as(*query).fetch_all(&mut *conn).await.expect("take a snapshot");
            rows.extend(found.into_iter().map(|(name, hash)| (name, (*invariant, hash))));
        }
        Self(rows)
    }
}

pub(super) async fn violations(conn: &mut PgConnection, earlier: &[Snapshot]) -> Vec<Violation> {
    if earlier.is_empty() {
        return Vec::new();
    }
    let now = Snapshot::take(conn).await;
    let mut changed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for snapshot in earlier {
        for (name, (invariant, hash)) in &snapshot.0 {
            let is_same = now.0.get(name).is_some_and(|(_, other)| other == hash);
            if !is_same {
                let what = if now.0.contains_key(name) { "changed" } else { "is gone" };
                changed.entry(invariant).or_default().push(format!("{name} {what}"));
            }
        }
    }
    let claim = "what has ended, and when it was created and started, does not change";
    changed
        .into_iter()
        .map(|(invariant, mut rows)| {
            rows.sort();
            rows.dedup();
            Violation::new(invariant, claim, rows)
        })
        .collect()
}
