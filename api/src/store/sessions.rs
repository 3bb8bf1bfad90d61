//! Codes that sign somebody in once; kept as hashes.

use chrono::{DateTime, Utc};
use tstr_shared::duration::Seconds;
use tstr_shared::ids::TokenId;
use tstr_shared::permission::SessionsOpen;
use tstr_shared::token::Token;

use super::Conn;
use super::tokens::{TokenRow, token_query};
use crate::auth::access::Access;
use crate::error::Result;

/// Keeps a code of a token, and forgets those that are over; returns until when it can be used, `None` where `most` wait to
/// be used already.
pub async fn insert_code(
    conn: &mut Conn,
    _: &Access<SessionsOpen>,
    hash: &[u8; 32],
    token: TokenId,
    lasts: Seconds,
    most: i64,
) -> Result<Option<DateTime<Utc>>> {
    let kept = sqlx::query_scalar!(
        r#"WITH over AS (
               DELETE FROM session_code WHERE expires_at <= clock_timestamp()
           )
           INSERT INTO session_code (hash, token_id, expires_at)
           SELECT $1, $2, clock_timestamp() + make_interval(secs => $3)
           WHERE (SELECT count(*) FROM session_code WHERE token_id = $2 AND expires_at > clock_timestamp()) < $4
           RETURNING expires_at"#,
        &hash[..],
        token.0,
        f64::from(lasts.0),
        most
    );
    Ok(kept.fetch_optional(conn).await?)
}

/// Finds the token of a code while both hold, and leaves the code as it is. There is no proof of a permission: the code is the proof.
pub async fn look_at_code(conn: &mut Conn, hash: &[u8; 32]) -> Result<Option<Token>> {
    let row = token_query!(
        "SELECT",
        r#"FROM (SELECT token_id, expires_at AS usable_until FROM session_code WHERE hash = $1) code
           JOIN token ON token.id = code.token_id
           WHERE usable_until > clock_timestamp() AND revoked_at IS NULL AND expires_at > clock_timestamp()"#,
        &hash[..]
    );
    row.fetch_optional(conn).await?.map(TokenRow::into_token).transpose()
}

/// Uses a code up; returns its token while both hold. There is no proof of a permission: the code is the proof.
pub async fn use_code(conn: &mut Conn, hash: &[u8; 32]) -> Result<Option<Token>> {
    let row = token_query!(
        r#"WITH used AS (
               DELETE FROM session_code WHERE hash = $1 RETURNING token_id, expires_at AS usable_until
           )
           SELECT"#,
        r#"FROM used JOIN token ON token.id = used.token_id
           WHERE usable_until > clock_timestamp() AND revoked_at IS NULL AND expires_at > clock_timestamp()"#,
        &hash[..]
    );
    row.fetch_optional(conn).await?.map(TokenRow::into_token).transpose()
}
