//! Tokens: issue, list, read, revoke; and who the caller is.

use tstr_shared::error::{ErrorCode, Invalid};
use tstr_shared::ids::TokenId;
use tstr_shared::namespace::NamespacePatterns;
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::{IdentityRead, Scope, TokensRead, TokensWrite};
use tstr_shared::token::{Identity, IssuedToken, MAX_EXPIRY, NewToken, Token};
use uuid::Uuid;

use super::{IdempotencyKey, Ops};
use crate::auth::Caller;
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};
use crate::store;

/// The most bytes in the namespace selectors of a token; it carries them, and must fit a header.
const MAX_SELECTORS: usize = 1024;

/// Which tokens a list holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenFilter {
    /// Also those that have expired.
    pub include_expired: bool,
    /// Also those that were revoked.
    pub include_revoked: bool,
}

impl Ops {
    /// Says who the caller is and which namespaces it sees.
    pub async fn identity(&self, caller: &Caller) -> Result<Identity> {
        let access = self.reach::<IdentityRead>(caller).await?;
        let mut conn = self.db().acquire().await?;
        let token = store::tokens::own(&mut conn, caller).await?.ok_or_else(|| Error::not_found("token"))?;
        let rows = self.namespace_rows(false).await?;
        let seen = rows.iter().filter(|row| access.namespaces().contains(&row.reference.id));
        let mut namespaces: Vec<String> = seen.map(|row| row.reference.name.clone()).collect();
        namespaces.sort();
        Ok(Identity { token, namespaces })
    }

    /// Issues a token, not wider than the caller's own. The secret is in the answer and nowhere else.
    pub async fn issue_token(
        &self,
        caller: &Caller,
        new: NewToken,
        key: Option<IdempotencyKey>,
    ) -> Result<IssuedToken> {
        let access = caller.may_globally::<TokensWrite>()?;
        let asked = check(&new)?;
        if !asked.is_within(caller.namespaces()) {
            let sentence = "a token cannot issue one that sees more namespaces than itself";
            return Err(Error::new(ErrorCode::Forbidden, sentence));
        }
        let once = self.once(caller, key, &("issue_token", &new))?;
        let mut tx = self.db().begin().await?;
        // The record is what is remembered, never the secret: signing the record again gives the same token.
        if let Some(record) = once.replay::<Token, _>(&mut tx, &access).await? {
            return Ok(IssuedToken { token: self.0.tokens.sign(&record)?, record });
        }
        let now = store::housekeeping::now(&mut tx).await?;
        if now + new.expires_in.duration() > caller.expires_at() + chrono::Duration::seconds(1) {
            let sentence = format!("a token cannot issue one that outlives itself; it ends at {}", caller.expires_at());
            return Err(Error::new(ErrorCode::Forbidden, sentence));
        }
        let record = store::tokens::insert(&mut tx, &access, TokenId(Uuid::now_v7()), &new).await?;
        once.remember(&mut tx, &access, &record).await?;
        tx.commit().await?;
        Ok(IssuedToken { token: self.0.tokens.sign(&record)?, record })
    }

    /// Issues the first token of a server, for its owner, in the turn that was taken for it: without the turn's commit
    /// there is no such token.
    pub async fn issue_first_token(
        &self,
        turn: &mut store::Conn,
        access: &Access<System>,
        new: NewToken,
    ) -> Result<IssuedToken> {
        check(&new)?;
        let record = store::tokens::insert_first(turn, access, TokenId(Uuid::now_v7()), &new).await?;
        Ok(IssuedToken { token: self.0.tokens.sign(&record)?, record })
    }

    /// Lists tokens, the newest first.
    pub async fn list_tokens(&self, caller: &Caller, filter: TokenFilter, page: PageRequest) -> Result<Page<Token>> {
        let access = caller.may_globally::<TokensRead>()?;
        let asked = ("tokens", filter.include_expired, filter.include_revoked);
        let before = self.0.cursor_key.read::<TokenId>(&page, &asked)?;
        let limit = i64::from(page.limit()) + 1;
        let mut conn = self.db().acquire().await?;
        let (expired, revoked) = (filter.include_expired, filter.include_revoked);
        let rows = store::tokens::list(&mut conn, &access, expired, revoked, before, limit).await?;
        let mut listed = self.0.cursor_key.page(rows, page.limit(), &asked, |token| token.id)?;
        listed.items.retain(|token| visible(caller, token));
        Ok(listed)
    }

    /// Reads the record of a token.
    pub async fn get_token(&self, caller: &Caller, id: TokenId) -> Result<Token> {
        let access = caller.may_globally::<TokensRead>()?;
        let mut conn = self.db().acquire().await?;
        let token = store::tokens::get(&mut conn, &access, id).await?;
        token.filter(|token| visible(caller, token)).ok_or_else(|| Error::not_found("token"))
    }

    /// Revokes a token; every replica refuses it within five seconds.
    pub async fn revoke_token(&self, caller: &Caller, id: TokenId) -> Result<Token> {
        let access = caller.may_globally::<TokensWrite>()?;
        self.get_token(caller, id).await?;
        let mut conn = self.db().acquire().await?;
        let token = store::tokens::revoke(&mut conn, &access, id).await?.ok_or_else(|| Error::not_found("token"))?;
        self.0.tokens.revoke(id);
        self.0.wake.revoked();
        Ok(token)
    }

    /// Reads which tokens are revoked, and the clock by which the others are judged.
    pub async fn refresh_revoked(&self, access: &Access<System>) -> Result<()> {
        // Not one of those that requests use: whoever is being locked out may be the one who keeps them busy.
        let mut conn = self.0.pools.beat.acquire().await?;
        self.0.clock.set(store::housekeeping::now(&mut conn).await?);
        self.0.tokens.add_revoked(store::tokens::revoked(&mut conn, access).await?);
        Ok(())
    }

    /// Notes which tokens and runners were heard of since the last time.
    pub async fn flush_seen(&self, access: &Access<System>) -> Result<()> {
        let seen = match self.0.seen.lock() {
            Ok(mut seen) => std::mem::take(&mut *seen),
            Err(_) => return Ok(()),
        };
        let mut conn = self.0.pools.beat.acquire().await?;
        if !seen.tokens.is_empty() {
            store::tokens::touch(&mut conn, access, &seen.tokens.into_iter().collect::<Vec<_>>()).await?;
        }
        if !seen.runners.is_empty() {
            // A quarter of the time for which it counts as live.
            let after = self.0.times.ttl / 4;
            store::runners::touch(&mut conn, access, &seen.runners.into_iter().collect::<Vec<_>>(), after).await?;
        }
        Ok(())
    }

    /// Tells whether a bearer is one of this server's, valid now, and on record.
    pub async fn accepts(&self, bearer: &str) -> Result<bool> {
        let Ok(caller) = self.0.tokens.verify(bearer, self.0.clock.now()) else { return Ok(false) };
        let mut conn = self.db().acquire().await?;
        Ok(store::tokens::own(&mut conn, &caller).await?.is_some_and(|token| token.revoked_at.is_none()))
    }
}

/// A caller sees the tokens that see no more than it does.
fn visible(caller: &Caller, token: &Token) -> bool {
    token.id == caller.token_id()
        || NamespacePatterns::parse(&token.namespaces).is_ok_and(|patterns| patterns.is_within(caller.namespaces()))
}

fn check(new: &NewToken) -> Result<NamespacePatterns> {
    let mut invalid = Invalid::default();
    if new.name.is_empty() || new.name.chars().count() > 128 || new.name.chars().any(char::is_control) {
        invalid.add("/name", "a name has 1 to 128 characters and no control characters");
    }
    if new.scopes.is_empty() {
        invalid.add("/scopes", "a token needs at least one scope");
    }
    for (i, scope) in new.scopes.iter().enumerate() {
        if new.scopes[..i].contains(scope) {
            invalid.add(format!("/scopes/{i}"), format!("the scope {} stands twice", scope.word()));
        }
    }
    if new.scopes.contains(&Scope::Runner) && new.scopes.len() > 1 {
        invalid.add("/scopes", "a runner's token has the scope runner and no other");
    }
    if new.namespaces.is_empty() {
        invalid.add("/namespaces", "a token needs at least one namespace selector");
    }
    if new.namespaces.iter().map(String::len).sum::<usize>() > MAX_SELECTORS {
        invalid.add("/namespaces", format!("the selectors have at most {MAX_SELECTORS} bytes together"));
    }
    if new.expires_in.0 == 0 || new.expires_in > MAX_EXPIRY {
        invalid.add("/expires_in", format!("{} is not from 1s to 365d", new.expires_in));
    }
    let patterns = NamespacePatterns::parse(&new.namespaces);
    if let Err((i, fault)) = &patterns {
        invalid.add(format!("/namespaces/{i}"), fault.clone());
    }
    invalid.into_result()?;
    patterns.map_err(|(_, fault)| Error::invalid(Invalid::one("/namespaces", fault)))
}
