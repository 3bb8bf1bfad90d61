//! Who calls, and what they may do.
//!
//! A [`Caller`] is made only by [`verify`]; an [`access::Access`] only from a caller (or for our own loops). Together
//! they make it impossible to reach a query of a namespace without the permission for it.

pub mod access;
pub mod keys;
pub mod verify;

use std::sync::Arc;

use tstr_shared::ids::TokenId;
use tstr_shared::namespace::NamespacePatterns;
use tstr_shared::permission::Scope;

/// Somebody whose token was verified.
#[derive(Debug, Clone)]
pub struct Caller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    token_id: TokenId,
    scopes: Vec<Scope>,
    namespaces: NamespacePatterns,
    expires_at: chrono::DateTime<chrono::Utc>,
    /// The end of the session that the caller signed in for, where it is one.
    session_ends_at: Option<chrono::DateTime<chrono::Utc>>,
}

impl Caller {
    /// Returns the token that the caller showed.
    pub fn token_id(&self) -> TokenId {
        self.0.token_id
    }

    /// Returns the scopes of the token.
    pub fn scopes(&self) -> &[Scope] {
        &self.0.scopes
    }

    /// Returns the namespaces that the token sees.
    pub fn namespaces(&self) -> &NamespacePatterns {
        &self.0.namespaces
    }

    /// Returns when the token ends.
    pub fn expires_at(&self) -> chrono::DateTime<chrono::Utc> {
        self.0.expires_at
    }

    /// Tells whether the caller is a browser that signed in, and not the holder of the token itself.
    pub fn is_session(&self) -> bool {
        self.0.session_ends_at.is_some()
    }

    /// Returns when the caller has to come again: the end of the session, or of the token.
    fn ends_at(&self) -> chrono::DateTime<chrono::Utc> {
        self.0.session_ends_at.unwrap_or(self.0.expires_at).min(self.0.expires_at)
    }

    /// Returns the word for the caller in events.
    pub fn actor(&self) -> String {
        format!("token:{}", self.token_id())
    }

    fn has_any(&self, scopes: &[Scope]) -> bool {
        scopes.iter().any(|scope| self.0.scopes.contains(scope))
    }
}
