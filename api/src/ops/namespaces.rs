//! Namespaces: list, read, create, set quotas and how long things are kept.

use tstr_shared::namespace::{Namespace, NamespaceInfo, NamespaceSettings, NewNamespace};
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::{NamespacesRead, NamespacesWrite};

use super::{IdempotencyKey, Ops};
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::store;

impl Ops {
    /// Lists the namespaces that the caller sees.
    pub async fn list_namespaces(&self, caller: &Caller, page: PageRequest) -> Result<Page<NamespaceInfo>> {
        let access = self.reach::<NamespacesRead>(caller).await?;
        let after = self.0.cursor_key.read::<String>(&page, &"namespaces")?.unwrap_or_default();
        let mut conn = self.db().acquire().await?;
        let rows = store::namespaces::list(&mut conn, &access, &after, i64::from(page.limit()) + 1).await?;
        self.0.cursor_key.page(rows, page.limit(), &"namespaces", |row| row.name.to_string())
    }

    /// Reads a namespace.
    pub async fn get_namespace(&self, caller: &Caller, ns: &Namespace) -> Result<NamespaceInfo> {
        let access = self.enter::<NamespacesRead>(caller, ns).await?;
        let mut conn = self.db().acquire().await?;
        let rows = store::namespaces::list(&mut conn, &access, "", 1).await?;
        rows.into_iter().next().ok_or_else(|| Error::not_found("namespace"))
    }

    /// Creates a namespace, of a name that the caller's token covers.
    pub async fn create_namespace(
        &self,
        caller: &Caller,
        new: NewNamespace,
        key: Option<IdempotencyKey>,
    ) -> Result<NamespaceInfo> {
        let access = caller.may_globally::<NamespacesWrite>()?;
        NamespaceSettings { quotas: new.quotas, retention: new.retention }.validate()?;
        if !caller.namespaces().matches(new.name.as_str()) {
            let code = tstr_shared::error::ErrorCode::Forbidden;
            return Err(Error::new(code, format!("the token does not cover a namespace of the name {}", new.name)));
        }
        let once = self.once(caller, key, &("create_namespace", &new))?;
        let mut tx = self.db().begin().await?;
        if let Some(made) = once.replay(&mut tx, &access).await? {
            return Ok(made);
        }
        let made = store::namespaces::insert(&mut tx, &access, &new).await?;
        once.remember(&mut tx, &access, &made).await?;
        tx.commit().await?;
        self.forget_namespaces();
        Ok(made)
    }

    /// Changes a namespace; `change` is given what it has.
    pub async fn update_namespace(
        &self,
        caller: &Caller,
        ns: &Namespace,
        change: impl FnOnce(NamespaceSettings) -> NamespaceSettings + Send,
    ) -> Result<NamespaceInfo> {
        let access = self.enter::<NamespacesWrite>(caller, ns).await?;
        let mut tx = self.db().begin().await?;
        let settings = change(store::namespaces::hold(&mut tx, &access).await?);
        settings.validate()?;
        store::namespaces::set(&mut tx, &access, settings).await?;
        let info = store::namespaces::list(&mut tx, &access, "", 1).await?.into_iter().next();
        let info = info.ok_or_else(|| Error::not_found("namespace"))?;
        tx.commit().await?;
        self.forget_namespaces();
        self.look_everywhere();
        Ok(info)
    }
}
