//! Saved views.

use tstr_shared::ids::TokenId;
use tstr_shared::permission::{TestsRead, ViewsWrite};
use tstr_shared::view::{PutView, SavedView};

use super::Conn;
use crate::auth::access::Access;
use crate::error::Result;

/// Whose views: those that are shared, or those of a token.
pub type Owner = Option<TokenId>;

/// Lists the shared views of the namespace and those of a token, by name.
pub async fn list(conn: &mut Conn, access: &Access<TestsRead>, own: TokenId) -> Result<Vec<SavedView>> {
    let rows = sqlx::query_as!(
        SavedView,
        r#"SELECT name, page, query, owner IS NULL AS "shared!", saved_by, saved_at
           FROM saved_view
           WHERE ns_id = $1 AND (owner IS NULL OR owner = $2)
           ORDER BY name COLLATE "C", owner NULLS FIRST"#,
        access.namespace(),
        own.0
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Counts views under other names.
pub async fn count_others(conn: &mut Conn, access: &Access<ViewsWrite>, owner: Owner, name: &str) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM saved_view
           WHERE ns_id = $1 AND owner IS NOT DISTINCT FROM $2 AND name <> $3"#,
        access.namespace(),
        owner.map(|id| id.0),
        name
    );
    Ok(count.fetch_one(conn).await?)
}

/// Saves a view; one of that name is replaced.
pub async fn put(
    conn: &mut Conn,
    access: &Access<ViewsWrite>,
    owner: Owner,
    name: &str,
    view: &PutView,
) -> Result<SavedView> {
    remove(conn, access, owner, name).await?;
    let row = sqlx::query_as!(
        SavedView,
        r#"INSERT INTO saved_view (ns_id, owner, name, page, query, saved_by)
           VALUES ($1, $2, $3, $4, $5, $6)
           RETURNING name, page, query, owner IS NULL AS "shared!", saved_by, saved_at"#,
        access.namespace(),
        owner.map(|id| id.0),
        name,
        view.page,
        view.query,
        access.actor()
    );
    Ok(row.fetch_one(conn).await?)
}

/// Removes a view, if there is one of that name.
pub async fn remove(conn: &mut Conn, access: &Access<ViewsWrite>, owner: Owner, name: &str) -> Result<()> {
    sqlx::query!(
        "DELETE FROM saved_view WHERE ns_id = $1 AND owner IS NOT DISTINCT FROM $2 AND name = $3",
        access.namespace(),
        owner.map(|id| id.0),
        name
    )
    .execute(conn)
    .await?;
    Ok(())
}
