//! The proof of a permission: without an [`Access`] no query of a namespace can be called.

use std::fmt;
use std::marker::PhantomData;

use tstr_shared::error::ErrorCode;
use tstr_shared::ids::TokenId;
use tstr_shared::permission::Permission;

use super::Caller;
use crate::error::{Error, Result};

/// A namespace as far as access to it is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRef {
    /// The key of its row.
    pub id: i32,
    /// Its name.
    pub name: String,
}

/// Proof that permission `P` was granted in certain namespaces.
pub struct Access<P> {
    namespaces: Vec<i32>,
    actor: String,
    token_id: Option<TokenId>,
    permission: PhantomData<P>,
}

impl<P> Access<P> {
    /// Returns the keys of the namespaces in which the permission holds; every query binds them.
    pub fn namespaces(&self) -> &[i32] {
        &self.namespaces
    }

    /// Returns the key of the namespace of an access to a single one.
    pub fn namespace(&self) -> i32 {
        self.namespaces.first().copied().unwrap_or_default()
    }

    /// Returns who acts, in the words of events.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// Returns the token that the permission came from.
    pub fn token_id(&self) -> Option<TokenId> {
        self.token_id
    }
}

impl<P> fmt::Debug for Access<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("namespaces", &self.namespaces).field("actor", &self.actor).finish()
    }
}

/// The permission of our own loops, which serve all namespaces.
#[derive(Debug)]
pub struct System;

impl Access<System> {
    /// Makes the proof for a loop; `actor` is the loop's word in events. Called under `background/` only.
    pub(crate) fn system(actor: &'static str) -> Self {
        Self { namespaces: Vec::new(), actor: actor.to_owned(), token_id: None, permission: PhantomData }
    }
}

impl Caller {
    /// Proves permission `P` in one namespace.
    ///
    /// A namespace that the caller does not see is not found, whether it exists or not; one that it sees but where
    /// it lacks the scope is forbidden.
    pub fn may<P: Permission>(&self, namespace: Option<&NamespaceRef>) -> Result<Access<P>> {
        let seen = namespace.filter(|namespace| self.namespaces().matches(&namespace.name));
        let Some(namespace) = seen else { return Err(Error::not_found("namespace")) };
        self.require::<P>()?;
        Ok(self.access(vec![namespace.id]))
    }

    /// Proves permission `P` in all namespaces that the caller sees.
    pub fn may_in_any<P: Permission>(&self, all: &[NamespaceRef]) -> Result<Access<P>> {
        self.require::<P>()?;
        let seen = all.iter().filter(|namespace| self.namespaces().matches(&namespace.name));
        Ok(self.access(seen.map(|namespace| namespace.id).collect()))
    }

    /// Proves permission `P` where no namespace is concerned.
    pub fn may_globally<P: Permission>(&self) -> Result<Access<P>> {
        self.require::<P>()?;
        Ok(self.access(Vec::new()))
    }

    fn access<P>(&self, namespaces: Vec<i32>) -> Access<P> {
        Access { namespaces, actor: self.actor(), token_id: Some(self.token_id()), permission: PhantomData }
    }

    fn require<P: Permission>(&self) -> Result<()> {
        if self.has_any(P::SCOPES) {
            return Ok(());
        }
        let needed: Vec<_> = P::SCOPES.iter().map(|scope| scope.word()).collect();
        Err(Error::new(ErrorCode::Forbidden, format!("{} needs a token with scope {}", P::NAME, needed.join(" or "))))
    }
}

#[cfg(test)]
mod tests {
    use tstr_shared::permission::{RunsRead, RunsWrite, Scope};

    use super::*;
    use crate::auth::verify::tests::caller;

    fn named(id: i32, name: &str) -> NamespaceRef {
        NamespaceRef { id, name: name.to_owned() }
    }

    #[test]
    fn a_foreign_namespace_is_not_found_and_a_missing_scope_is_forbidden() {
        let reader = caller(&[Scope::Data], &["prod"]);
        assert!(reader.may::<RunsRead>(Some(&named(1, "prod"))).is_ok());
        assert_eq!(reader.may::<RunsWrite>(Some(&named(1, "prod"))).unwrap_err().code(), ErrorCode::Forbidden);
        assert_eq!(reader.may::<RunsRead>(Some(&named(2, "prod-evil"))).unwrap_err().code(), ErrorCode::NotFound);
        assert_eq!(reader.may::<RunsWrite>(Some(&named(2, "other"))).unwrap_err().code(), ErrorCode::NotFound);
        assert_eq!(reader.may::<RunsRead>(None).unwrap_err().code(), ErrorCode::NotFound);
    }

    #[test]
    fn access_to_any_holds_only_what_the_token_sees() {
        let all = [named(1, "a"), named(2, "b"), named(3, "ab")];
        let access = caller(&[Scope::Control], &["a", "b"]).may_in_any::<RunsWrite>(&all).unwrap();
        assert_eq!(access.namespaces(), [1, 2]);
    }
}
