//! Who is calling.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use tstr_shared::permission::IdentityRead;
use tstr_shared::token::Identity;

use super::App;
use super::body::Json;
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let get = op::<IdentityRead>("get_identity", "Returns the token that is calling and the namespaces it sees.");
    ApiRouter::new().api_route("/identity", get_with(get_identity, get)).with_path_items(|item| item.tag("identity"))
}

async fn get_identity(State(app): State<App>, caller: Caller) -> Result<Json<Identity>> {
    Ok(Json(app.ops.identity(&caller).await?))
}
