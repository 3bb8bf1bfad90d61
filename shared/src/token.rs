//! Tokens: who may call. The secret itself never appears in these types but in [`IssuedToken`], once.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::duration::Seconds;
use crate::ids::TokenId;
use crate::permission::Scope;

/// A request for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for, for people; 1 to 128 characters.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 128)))]
    pub name: String,
    /// What it may do.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 4)))]
    pub scopes: Vec<Scope>,
    /// The namespaces it sees: anchored regular expressions, at most 16.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 16)))]
    pub namespaces: Vec<String>,
    /// How long it is valid, at most 365d.
    #[serde(default = "default_expiry")]
    pub expires_in: Seconds,
}

/// The longest life of a token.
pub const MAX_EXPIRY: Seconds = Seconds::hours(365 * 24);

fn default_expiry() -> Seconds {
    Seconds::hours(90 * 24)
}

/// What is known of a token; never the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Token {
    /// Names the token.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The namespaces it sees.
    pub namespaces: Vec<String>,
    /// The token that issued it; absent for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_by: Option<TokenId>,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A new token with its secret, which is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IssuedToken {
    /// The secret, to be sent as `Authorization: Bearer …`.
    pub token: String,
    /// The record.
    pub record: Token,
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken").field("token", &"…").field("record", &self.record).finish()
    }
}

/// Who a caller is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Identity {
    /// The token that was used.
    pub token: Token,
    /// The namespaces it sees now.
    pub namespaces: Vec<String>,
}
