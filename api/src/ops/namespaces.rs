//! Namespaces: list, read, create, set quotas.

use tstr_shared::error::Invalid;
use tstr_shared::namespace::{Namespace, NamespaceInfo, NewNamespace, Quotas};
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::{NamespacesRead, NamespacesWrite};

use super::Ops;
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
    pub async fn create_namespace(&self, caller: &Caller, new: NewNamespace) -> Result<NamespaceInfo> {
        let access = caller.may_globally::<NamespacesWrite>()?;
        check(new.quotas)?;
        if !caller.namespaces().matches(new.name.as_str()) {
            let code = tstr_shared::error::ErrorCode::Forbidden;
            return Err(Error::new(code, format!("the token does not cover a namespace of the name {}", new.name)));
        }
        let mut conn = self.db().acquire().await?;
        let made = store::namespaces::insert(&mut conn, &access, &new).await?;
        self.forget_namespaces();
        Ok(made)
    }

    /// Sets the quotas of a namespace.
    pub async fn update_namespace(&self, caller: &Caller, ns: &Namespace, quotas: Quotas) -> Result<NamespaceInfo> {
        let access = self.enter::<NamespacesWrite>(caller, ns).await?;
        check(quotas)?;
        let mut conn = self.db().acquire().await?;
        let info = store::namespaces::set_quotas(&mut conn, &access, quotas).await?;
        self.forget_namespaces();
        self.0.wake.claimers();
        Ok(info)
    }
}

fn check(quotas: Quotas) -> Result<()> {
    let mut invalid = Invalid::default();
    if let Err(part) = quotas.validate() {
        invalid.add_all("/quotas", part);
    }
    Ok(invalid.into_result()?)
}
