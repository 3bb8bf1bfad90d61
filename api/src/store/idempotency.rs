//! The first answers to requests that carry an idempotency key.

use tstr_shared::ids::TokenId;

use super::Conn;
use super::error::is_lock_timeout;
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};
use tstr_shared::error::ErrorCode;

/// What is known of a key.
#[derive(Debug)]
pub enum Seen {
    /// It is new; the transaction now holds it.
    New,
    /// It was used before: the hash of that request, and its answer.
    Before {
        /// The hash of the first request.
        request_hash: Vec<u8>,
        /// The answer to it.
        response: Option<serde_json::Value>,
    },
}

/// Takes a key, or finds what it was used for. Waits shortly for a request with the same key that is still running.
pub async fn take<P>(conn: &mut Conn, access: &Access<P>, principal: TokenId, key: &str, hash: &[u8]) -> Result<Seen> {
    sqlx::query!("SELECT set_config('lock_timeout', '2s', true)").fetch_one(&mut *conn).await?;
    let taken = sqlx::query!(
        r#"INSERT INTO idempotency (ns_id, principal, key, request_hash) VALUES ($1, $2, $3, $4)
           ON CONFLICT (ns_id, principal, key) DO NOTHING"#,
        access.namespace(),
        principal.0,
        key,
        hash
    );
    match taken.execute(&mut *conn).await {
        Ok(done) if done.rows_affected() == 1 => return Ok(Seen::New),
        Ok(_) => {}
        Err(error) if is_lock_timeout(&error) => {
            let sentence = "a request with this idempotency key is still running; repeat it later";
            return Err(Error::new(ErrorCode::IdempotencyInProgress, sentence));
        }
        Err(error) => return Err(error.into()),
    }
    let row = sqlx::query!(
        "SELECT request_hash, response FROM idempotency WHERE ns_id = $1 AND principal = $2 AND key = $3",
        access.namespace(),
        principal.0,
        key
    );
    let row = row.fetch_one(conn).await?;
    Ok(Seen::Before { request_hash: row.request_hash, response: row.response })
}

/// Stores the answer, in the transaction that took the key.
pub async fn answer<P>(
    conn: &mut Conn,
    access: &Access<P>,
    principal: TokenId,
    key: &str,
    response: &serde_json::Value,
) -> Result<()> {
    sqlx::query!(
        "UPDATE idempotency SET response = $4::text::json WHERE ns_id = $1 AND principal = $2 AND key = $3",
        access.namespace(),
        principal.0,
        key,
        // As text: a JSON parameter would travel as jsonb, which sorts the axes of a matrix.
        response.to_string()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets keys after a day.
pub async fn forget_old(conn: &mut Conn, _: &Access<System>) -> Result<u64> {
    let done =
        sqlx::query!("DELETE FROM idempotency WHERE created_at < (SELECT clock_timestamp()) - interval '24 hours'");
    Ok(done.execute(conn).await?.rows_affected())
}
