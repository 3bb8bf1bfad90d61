//! Tokens: issue, list, revoke. The secret is answered once, when it is issued.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use tstr_shared::page::Page;
use tstr_shared::permission::{TokensRead, TokensWrite};
use tstr_shared::token::{IssuedToken, NewToken, Token};

use super::App;
use super::answer::Created;
use super::body::Json;
use super::extract::{Idempotency, Path, Query, TokenPath, flag, page};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;
use crate::ops::tokens::TokenFilter;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let list = op::<TokensRead>("list_tokens", "Lists the tokens that are valid, and others where asked for.");
    let issue = op::<TokensWrite>(
        "issue_token",
        "Issues a token, which is shown this once.\nIt cannot see or do more than the token that issues it.",
    );
    let get = op::<TokensRead>("get_token", "Returns what is known of a token.");
    let revoke = op::<TokensWrite>("revoke_token", "Revokes a token.\nIt is refused everywhere within 5 seconds.");
    ApiRouter::new()
        .api_route("/tokens", get_with(list_tokens, list).post_with(issue_token, issue))
        .api_route("/tokens/{token}", get_with(get_token, get).delete_with(revoke_token, revoke))
        .with_path_items(|item| item.tag("tokens"))
}

/// Which tokens are listed.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct TokensQuery {
    /// Also those that have expired.
    #[serde(default, deserialize_with = "flag")]
    include_expired: bool,
    /// Also those that were revoked.
    #[serde(default, deserialize_with = "flag")]
    include_revoked: bool,
    /// How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered.
    page_size: Option<u32>,
    /// The `next_page_token` of the page before.
    page_token: Option<String>,
}

async fn list_tokens(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<TokensQuery>,
) -> Result<Json<Page<Token>>> {
    let filter = TokenFilter { include_expired: query.include_expired, include_revoked: query.include_revoked };
    Ok(Json(app.ops.list_tokens(&caller, filter, page(query.page_size, query.page_token)).await?))
}

async fn issue_token(
    State(app): State<App>,
    caller: Caller,
    Idempotency(key): Idempotency,
    Json(new): Json<NewToken>,
) -> Result<Created<IssuedToken>> {
    Ok(Created(app.ops.issue_token(&caller, new, key).await?))
}

async fn get_token(State(app): State<App>, caller: Caller, Path(at): Path<TokenPath>) -> Result<Json<Token>> {
    Ok(Json(app.ops.get_token(&caller, at.token).await?))
}

async fn revoke_token(State(app): State<App>, caller: Caller, Path(at): Path<TokenPath>) -> Result<Json<Token>> {
    Ok(Json(app.ops.revoke_token(&caller, at.token).await?))
}
