//! Records of tokens, and the keys that sign them. The token itself is never here.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use tstr_shared::ids::TokenId;
use tstr_shared::permission::{Scope, TokensRead, TokensWrite};
use tstr_shared::token::{NewToken, Token};

use super::Conn;
use crate::auth::Caller;
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};

pub(super) struct TokenRow {
    pub(super) id: TokenId,
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
    pub(super) namespaces: Vec<String>,
    pub(super) issued_by: Option<TokenId>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) revoked_at: Option<DateTime<Utc>>,
    pub(super) last_used_at: Option<DateTime<Utc>>,
}

impl TokenRow {
    pub(super) fn into_token(self) -> Result<Token> {
        let scopes = self.scopes.iter().map(|word| word.parse::<Scope>()).collect::<Result<_, _>>();
        Ok(Token {
            id: self.id,
            name: self.name,
            scopes: scopes.map_err(|fault| Error::internal(anyhow::anyhow!(fault)))?,
            namespaces: self.namespaces,
            issued_by: self.issued_by,
            created_at: self.created_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
            last_used_at: self.last_used_at,
        })
    }
}

macro_rules! token_query {
    ($head:literal, $tail:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            TokenRow,
            $head
                + r#" id AS "id: TokenId", name, scopes, namespaces, issued_by AS "issued_by: TokenId", created_at,
                      expires_at, revoked_at, last_used_at "#
                + $tail
            $(, $arg)*
        )
    };
}
pub(super) use token_query;

/// Inserts the record of a token; its times are whole seconds, as in the token.
pub async fn insert(conn: &mut Conn, access: &Access<TokensWrite>, id: TokenId, new: &NewToken) -> Result<Token> {
    insert_record(conn, access.token_id(), id, new).await
}

/// Inserts the record of the first token, which nobody issued.
pub async fn insert_first(conn: &mut Conn, _: &Access<System>, id: TokenId, new: &NewToken) -> Result<Token> {
    insert_record(conn, None, id, new).await
}

async fn insert_record(conn: &mut Conn, issued_by: Option<TokenId>, id: TokenId, new: &NewToken) -> Result<Token> {
    let scopes: Vec<String> = new.scopes.iter().map(|scope| scope.word().to_owned()).collect();
    let row = token_query!(
        r#"INSERT INTO token (id, name, scopes, namespaces, issued_by, created_at, expires_at)
           SELECT $1, $2, $3, $4, $5, t.now, t.now + make_interval(secs => $6)
           FROM date_trunc('second', clock_timestamp()) AS t(now)
           RETURNING"#,
        "",
        id.0,
        new.name,
        &scopes,
        &new.namespaces,
        issued_by.map(|id| id.0),
        f64::from(new.expires_in.0)
    );
    row.fetch_one(conn).await?.into_token()
}

/// Lists tokens, the newest first, behind `before`.
pub async fn list(
    conn: &mut Conn,
    _: &Access<TokensRead>,
    include_expired: bool,
    include_revoked: bool,
    before: Option<TokenId>,
    limit: i64,
) -> Result<Vec<Token>> {
    let rows = token_query!(
        "SELECT",
        r#"FROM token
           WHERE ($1 OR expires_at > clock_timestamp())
             AND ($2 OR revoked_at IS NULL)
             AND ($3::uuid IS NULL OR id < $3)
           ORDER BY id DESC
           LIMIT $4"#,
        include_expired,
        include_revoked,
        before.map(|id| id.0),
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(TokenRow::into_token).collect()
}

/// Reads the record of a token.
pub async fn get(conn: &mut Conn, _: &Access<TokensRead>, id: TokenId) -> Result<Option<Token>> {
    fetch(conn, id).await
}

/// Reads the record of the caller's own token.
pub async fn own(conn: &mut Conn, caller: &Caller) -> Result<Option<Token>> {
    fetch(conn, caller.token_id()).await
}

async fn fetch(conn: &mut Conn, id: TokenId) -> Result<Option<Token>> {
    let row = token_query!("SELECT", "FROM token WHERE id = $1", id.0).fetch_optional(conn).await?;
    row.map(TokenRow::into_token).transpose()
}

/// Revokes a token; once revoked, the time stays.
pub async fn revoke(conn: &mut Conn, _: &Access<TokensWrite>, id: TokenId) -> Result<Option<Token>> {
    let row = token_query!(
        "UPDATE token SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE id = $1 RETURNING",
        "",
        id.0
    );
    row.fetch_optional(conn).await?.map(TokenRow::into_token).transpose()
}

/// Reads the ids of the tokens that are revoked and would still be valid.
pub async fn revoked(conn: &mut Conn, _: &Access<System>) -> Result<HashSet<TokenId>> {
    let rows = sqlx::query_scalar!(
        r#"SELECT id AS "id: TokenId" FROM token
           WHERE revoked_at IS NOT NULL AND expires_at > clock_timestamp() - interval '1 minute'"#
    );
    Ok(rows.fetch_all(conn).await?.into_iter().collect())
}

/// Notes that tokens were used, to the minute.
pub async fn touch(conn: &mut Conn, _: &Access<System>, used: &[TokenId]) -> Result<()> {
    let ids: Vec<uuid::Uuid> = used.iter().map(|id| id.0).collect();
    sqlx::query!(
        r#"UPDATE token SET last_used_at = clock_timestamp()
           WHERE id = ANY($1) AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')"#,
        &ids
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Tells whether there is a token that may issue others.
pub async fn has_admin(conn: &mut Conn, _: &Access<System>) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT 1 FROM token
               WHERE 'admin' = ANY(scopes) AND revoked_at IS NULL AND expires_at > clock_timestamp()) AS "found!""#
    );
    Ok(found.fetch_one(conn).await?)
}

/// Takes the lock under which the first keys and the first token are made, until the transaction ends.
pub async fn lock_bootstrap(conn: &mut Conn, _: &Access<System>) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(7478111, 4)").execute(conn).await?;
    Ok(())
}

/// A signing key as it is stored.
#[derive(Debug)]
pub struct SealedPair {
    /// Its name.
    pub kid: String,
    /// The public half.
    pub public_key: Vec<u8>,
    /// The sealed private half.
    pub sealed_key: Vec<u8>,
}

/// Reads the signing keys that are in use, the newest last.
pub async fn signing_keys(conn: &mut Conn, _: &Access<System>) -> Result<Vec<SealedPair>> {
    let rows = sqlx::query_as!(
        SealedPair,
        "SELECT kid, public_key, sealed_key FROM signing_key WHERE retired_at IS NULL ORDER BY created_at, kid"
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Stores a signing key.
pub async fn insert_signing_key(conn: &mut Conn, _: &Access<System>, pair: &SealedPair) -> Result<()> {
    sqlx::query!(
        "INSERT INTO signing_key (kid, public_key, sealed_key) VALUES ($1, $2, $3)",
        pair.kid,
        pair.public_key,
        pair.sealed_key
    )
    .execute(conn)
    .await?;
    Ok(())
}
