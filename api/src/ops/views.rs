//! Saved views: of a token, and shared in a namespace.

use tstr_shared::error::{ErrorCode, Invalid};
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::{TestsRead, TestsWrite, ViewsWrite};
use tstr_shared::view::{MOST_VIEWS, PutView, SavedView, SavedViews, check_view_name};

use super::Ops;
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;
use crate::store::views::Owner;

impl Ops {
    /// Lists the views that the caller has in a namespace.
    pub async fn list_views(&self, caller: &Caller, ns: &Namespace) -> Result<SavedViews> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let mut conn = self.db().acquire().await?;
        Ok(SavedViews { items: store::views::list(&mut conn, &access, caller.token_id()).await? })
    }

    /// Saves a view under a name; one of that name is replaced.
    pub async fn put_view(&self, caller: &Caller, ns: &Namespace, name: &str, view: PutView) -> Result<SavedView> {
        let (access, owner) = self.may_save(caller, ns, view.shared).await?;
        view.validate(name)?;
        let mut tx = self.db().begin().await?;
        if store::views::count_others(&mut tx, &access, owner, name).await? >= i64::from(MOST_VIEWS) {
            let sentence = format!("there are {MOST_VIEWS} views already, which is the most; remove some");
            return Err(Error::new(ErrorCode::QuotaExceeded, sentence));
        }
        let saved = store::views::put(&mut tx, &access, owner, name, &view).await?;
        tx.commit().await?;
        Ok(saved)
    }

    /// Removes a view, if there is one of that name.
    pub async fn delete_view(&self, caller: &Caller, ns: &Namespace, name: &str, shared: bool) -> Result<()> {
        let (access, owner) = self.may_save(caller, ns, shared).await?;
        check_view_name(name).map_err(|fault| Invalid::one("/name", fault))?;
        let mut conn = self.db().acquire().await?;
        store::views::remove(&mut conn, &access, owner, name).await
    }

    /// Everybody keeps views of their own; those that all have are for those who write tests.
    async fn may_save(&self, caller: &Caller, ns: &Namespace, shared: bool) -> Result<(Access<ViewsWrite>, Owner)> {
        let access = self.enter::<ViewsWrite>(caller, ns).await?;
        if shared {
            self.enter::<TestsWrite>(caller, ns).await?;
        }
        Ok((access, (!shared).then(|| caller.token_id())))
    }
}
