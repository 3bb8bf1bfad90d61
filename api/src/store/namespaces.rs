//! Namespaces and their quotas.

use sqlx::types::chrono::{DateTime, Utc};
use tstr_shared::namespace::{Namespace, NamespaceInfo, NewNamespace, Quotas};
use tstr_shared::permission::{NamespacesRead, NamespacesWrite};

use super::Conn;
use crate::auth::access::{Access, NamespaceRef};
use crate::error::{Error, Result};

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
    let rows =
        sqlx::query!("SELECT id, name, max_queued, max_running FROM namespace ORDER BY id").fetch_all(conn).await?;
    Ok(rows
        .into_iter()
        .map(|row| NamespaceRow {
            reference: NamespaceRef { id: row.id, name: row.name },
            quotas: Quotas { max_queued: row.max_queued, max_running: row.max_running },
        })
        .collect())
}

struct InfoRow {
    name: String,
    created_at: DateTime<Utc>,
    max_queued: Option<i32>,
    max_running: Option<i32>,
    tests: i64,
}

impl InfoRow {
    fn into_info(self) -> Result<NamespaceInfo> {
        Ok(NamespaceInfo {
            name: Namespace::parse(&self.name).map_err(|fault| Error::internal(anyhow::anyhow!(fault)))?,
            created_at: self.created_at,
            quotas: Quotas { max_queued: self.max_queued, max_running: self.max_running },
            tests: self.tests,
        })
    }
}

/// Lists namespaces by name, behind `after`.
pub async fn list(
    conn: &mut Conn,
    access: &Access<NamespacesRead>,
    after: &str,
    limit: i64,
) -> Result<Vec<NamespaceInfo>> {
    let rows = sqlx::query_as!(
        InfoRow,
        r#"SELECT n.name, n.created_at, n.max_queued, n.max_running,
                  (SELECT count(*) FROM test t WHERE t.ns_id = n.id AND t.deleted_at IS NULL) AS "tests!"
           FROM namespace n
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
        r#"INSERT INTO namespace (name, max_queued, max_running)
           VALUES ($1, $2, $3)
           RETURNING name, created_at, max_queued, max_running, 0::bigint AS "tests!""#,
        new.name.as_str(),
        new.quotas.max_queued,
        new.quotas.max_running
    );
    row.fetch_one(conn).await?.into_info()
}

/// Reads the quotas of the namespace of the access, and holds them until the transaction ends.
pub async fn lock_quotas(conn: &mut Conn, access: &Access<NamespacesWrite>) -> Result<Quotas> {
    let row = sqlx::query_as!(
        Quotas,
        "SELECT max_queued, max_running FROM namespace WHERE id = ANY($1) FOR UPDATE",
        access.namespaces()
    );
    Ok(row.fetch_one(conn).await?)
}

/// Sets the quotas of the namespace of the access.
pub async fn set_quotas(conn: &mut Conn, access: &Access<NamespacesWrite>, quotas: Quotas) -> Result<NamespaceInfo> {
    let row = sqlx::query_as!(
        InfoRow,
        r#"UPDATE namespace n
           SET max_queued = $2, max_running = $3
           WHERE n.id = ANY($1)
           RETURNING n.name, n.created_at, n.max_queued, n.max_running,
                     (SELECT count(*) FROM test t WHERE t.ns_id = n.id AND t.deleted_at IS NULL) AS "tests!""#,
        access.namespaces(),
        quotas.max_queued,
        quotas.max_running
    );
    row.fetch_one(conn).await?.into_info()
}
