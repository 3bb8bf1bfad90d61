//! Namespaces: their quotas, how long they keep things, and what they have stored.

use sqlx::types::chrono::{DateTime, Utc};
use tstr_shared::namespace::{Namespace, NamespaceInfo, NamespaceSettings, NewNamespace, Quotas, Retention, Usage};
use tstr_shared::permission::{NamespacesRead, NamespacesWrite};

use super::Conn;
use super::queue::Enqueues;
use crate::auth::access::{Access, NamespaceRef};
use crate::error::{Error, Result};

/// Permissions under which namespaces may be read: for themselves, or to answer a write.
pub trait ReadsNamespaces {}
impl ReadsNamespaces for NamespacesRead {}
impl ReadsNamespaces for NamespacesWrite {}

/// A namespace with what the queue must know of it.
#[derive(Debug, Clone)]
pub struct NamespaceRow {
    /// Key and name.
    pub reference: NamespaceRef,
    /// Its quotas.
    pub quotas: Quotas,
}

/// Reads all namespaces, for the directory that every replica keeps.
pub async fn all(conn: &mut Conn) -> Result<Vec<NamespaceRow>> {
    let rows = sqlx::query!("SELECT id, name, max_queued, max_running, max_bytes FROM namespace ORDER BY id")
        .fetch_all(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| NamespaceRow {
            reference: NamespaceRef { id: row.id, name: row.name },
            quotas: Quotas { max_queued: row.max_queued, max_running: row.max_running, max_bytes: row.max_bytes },
        })
        .collect())
}

struct InfoRow {
    name: String,
    created_at: DateTime<Utc>,
    max_queued: Option<i32>,
    max_running: Option<i32>,
    max_bytes: Option<i64>,
    runs_days: i32,
    logs_days: i32,
    tests: i64,
    runs: i64,
    log_bytes: i64,
    artifact_bytes: i64,
}

impl InfoRow {
    fn into_info(self) -> Result<NamespaceInfo> {
        Ok(NamespaceInfo {
            name: Namespace::parse(&self.name).map_err(|fault| Error::internal(anyhow::anyhow!(fault)))?,
            created_at: self.created_at,
            quotas: Quotas { max_queued: self.max_queued, max_running: self.max_running, max_bytes: self.max_bytes },
            retention: Retention { runs_days: self.runs_days, logs_days: self.logs_days },
            tests: self.tests,
            // Below nothing only where the release before stored what it did not count.
            usage: Usage {
                runs: self.runs.max(0).unsigned_abs(),
                log_bytes: self.log_bytes.max(0).unsigned_abs(),
                artifact_bytes: self.artifact_bytes.max(0).unsigned_abs(),
            },
        })
    }
}

/// Lists namespaces by name, behind `after`.
pub async fn list<P: ReadsNamespaces>(
    conn: &mut Conn,
    access: &Access<P>,
    after: &str,
    limit: i64,
) -> Result<Vec<NamespaceInfo>> {
    let rows = sqlx::query_as!(
        InfoRow,
        r#"SELECT n.name, n.created_at, n.max_queued, n.max_running, n.max_bytes, n.runs_days, n.logs_days,
                  (SELECT count(*) FROM test t WHERE t.ns_id = n.id AND t.deleted_at IS NULL) AS "tests!",
                  coalesce(u.runs, 0)::bigint AS "runs!", coalesce(u.log_bytes, 0)::bigint AS "log_bytes!",
                  coalesce(u.artifact_bytes, 0)::bigint AS "artifact_bytes!"
           FROM namespace n
           LEFT JOIN (
               SELECT ns_id, sum(runs) AS runs, sum(log_bytes) AS log_bytes, sum(artifact_bytes) AS artifact_bytes
               FROM (SELECT ns_id, runs, log_bytes, artifact_bytes FROM usage WHERE ns_id = ANY($1)
                     UNION ALL
                     SELECT ns_id, runs, log_bytes, artifact_bytes FROM unfolded_storage($1)) stored
               GROUP BY ns_id
           ) u ON u.ns_id = n.id
           WHERE n.id = ANY($1) AND n.name > $2
           ORDER BY n.name
           LIMIT $3"#,
        access.namespaces(),
        after,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(InfoRow::into_info).collect()
}

/// Inserts a namespace.
pub async fn insert(conn: &mut Conn, _: &Access<NamespacesWrite>, new: &NewNamespace) -> Result<NamespaceInfo> {
    let row = sqlx::query_as!(
        InfoRow,
        r#"INSERT INTO namespace (name, max_queued, max_running, max_bytes, runs_days, logs_days)
           VALUES ($1, $2, $3, $4, $5, $6)
           RETURNING name, created_at, max_queued, max_running, max_bytes, runs_days, logs_days,
                     0::bigint AS "tests!", 0::bigint AS "runs!", 0::bigint AS "log_bytes!",
                     0::bigint AS "artifact_bytes!""#,
        new.name.as_str(),
        new.quotas.max_queued,
        new.quotas.max_running,
        new.quotas.max_bytes,
        new.retention.runs_days,
        new.retention.logs_days
    );
    row.fetch_one(conn).await?.into_info()
}

/// Reads what may be changed of the namespace of the access, and holds it until the transaction ends.
pub async fn hold(conn: &mut Conn, access: &Access<NamespacesWrite>) -> Result<NamespaceSettings> {
    let row = sqlx::query!(
        r#"SELECT max_queued, max_running, max_bytes, runs_days, logs_days
           FROM namespace WHERE id = ANY($1) FOR UPDATE"#,
        access.namespaces()
    );
    let row = row.fetch_one(conn).await?;
    Ok(NamespaceSettings {
        quotas: Quotas { max_queued: row.max_queued, max_running: row.max_running, max_bytes: row.max_bytes },
        retention: Retention { runs_days: row.runs_days, logs_days: row.logs_days },
    })
}

/// Changes the namespace of the access.
pub async fn set(conn: &mut Conn, access: &Access<NamespacesWrite>, to: NamespaceSettings) -> Result<()> {
    sqlx::query!(
        r#"UPDATE namespace
           SET max_queued = $2, max_running = $3, max_bytes = $4, runs_days = $5, logs_days = $6
           WHERE id = ANY($1)"#,
        access.namespaces(),
        to.quotas.max_queued,
        to.quotas.max_running,
        to.quotas.max_bytes,
        to.retention.runs_days,
        to.retention.logs_days
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns how many bytes of logs and artifacts a namespace has stored.
pub async fn stored_bytes<P: Enqueues>(conn: &mut Conn, _: &Access<P>, ns_id: i32) -> Result<i64> {
    let bytes = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(bytes), 0)::bigint AS "bytes!"
           FROM (SELECT log_bytes + artifact_bytes AS bytes FROM usage WHERE ns_id = $1
                 UNION ALL
                 SELECT log_bytes + artifact_bytes FROM unfolded_storage(ARRAY[$1::int])) stored"#,
        ns_id
    );
    Ok(bytes.fetch_one(conn).await?)
}
