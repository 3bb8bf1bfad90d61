//! Reading what tests were before.

use tstr_shared::namespace::Namespace;
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::TestsRead;
use tstr_shared::testdef::TestVersion;

use super::Ops;
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::store;

impl Ops {
    /// Lists the versions of a test, the newest first.
    pub async fn list_test_versions(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        page: PageRequest,
    ) -> Result<Page<TestVersion>> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let (access, page, keys) = (&access, &page, &self.0.cursor_key);
        let listed = self.read(|mut tx| async move {
            let test = store::testdefs::find(&mut tx, access, test, false).await?;
            let test = test.ok_or_else(|| Error::not_found("test"))?.id;
            let asked = ("test_versions", ns, test);
            let before = keys.read::<i32>(page, &asked)?;
            let rows = store::versions::list(&mut tx, access, test, before, i64::from(page.limit()) + 1).await?;
            keys.page(rows, page.limit(), &asked, |version| version.version)
        });
        listed.await
    }

    /// Reads a version of a test.
    pub async fn get_test_version(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        version: i32,
    ) -> Result<TestVersion> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let mut conn = self.db().acquire().await?;
        let test = store::testdefs::find(&mut conn, &access, test, false).await?;
        let test = test.ok_or_else(|| Error::not_found("test"))?.id;
        let found = store::versions::get(&mut conn, &access, test, version).await?;
        found.ok_or_else(|| Error::not_found("version"))
    }
}
