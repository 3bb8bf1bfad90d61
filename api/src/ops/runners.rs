//! Runners: register, list, read, drain.

use std::time::Duration;

use tstr_shared::error::{ErrorCode, Invalid};
use tstr_shared::ids::RunnerId;
use tstr_shared::lease::LeaseTimes;
use tstr_shared::namespace::{Namespace, NamespacePatterns};
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::{RunnersRead, RunnersWrite, RunsExecute};
use tstr_shared::runner::{NewRunner, Runner};
use tstr_shared::selector::Selectors;
use tstr_shared::testdef::check_name;

use super::Ops;
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;

/// What a runner is told when it registers.
#[derive(Debug, Clone)]
pub struct RegisteredRunner {
    /// Its id.
    pub id: RunnerId,
    /// The namespaces whose runs it takes.
    pub namespaces: Vec<String>,
    /// The durations that its leases go by.
    pub times: LeaseTimes,
}

impl Ops {
    /// Makes a runner known, or brings it up to date. Refused while another live runner holds its name.
    pub async fn register_runner(&self, caller: &Caller, new: NewRunner) -> Result<RegisteredRunner> {
        let access = self.reach::<RunsExecute>(caller).await?;
        check(&new)?;
        let within = self.live_within().as_secs_f64();
        let mut tx = self.db().begin().await?;
        store::runners::lock_name(&mut tx, &access, &new.name).await?;
        if let Some(holder) = store::runners::live_holder_of_name(&mut tx, &access, &new.name, new.id, within).await? {
            let sentence = format!("the name {} is held by the live runner {holder}; choose another", new.name);
            return Err(Error::conflict(sentence));
        }
        let namespaces = caller.namespaces().sources();
        let id = store::runners::register(&mut tx, &access, &new, &namespaces, within).await?;
        let id = id.ok_or_else(|| Error::conflict("this runner belongs to another token and is live"))?;
        tx.commit().await?;
        Ok(RegisteredRunner { id, namespaces, times: self.0.times })
    }

    /// Lists runners, those that serve one namespace or all that the caller sees.
    pub async fn list_runners(
        &self,
        caller: &Caller,
        ns: Option<&Namespace>,
        page: PageRequest,
    ) -> Result<Page<Runner>> {
        let access = match ns {
            Some(ns) => self.enter::<RunnersRead>(caller, ns).await?,
            None => self.reach::<RunnersRead>(caller).await?,
        };
        let asked = ("runners", ns);
        let after = self.0.cursor_key.read::<RunnerId>(&page, &asked)?;
        let mut conn = self.db().acquire().await?;
        let rows = store::runners::list(&mut conn, &access, after, i64::from(page.limit()) + 1).await?;
        let mut listed = self.0.cursor_key.page(rows, page.limit(), &asked, |runner| runner.id)?;
        let names = self.names_of(&access).await?;
        listed.items.retain(|runner| serves_any(runner, &names));
        Ok(listed)
    }

    /// Reads a runner that serves a namespace which the caller sees.
    pub async fn get_runner(&self, caller: &Caller, id: RunnerId) -> Result<Runner> {
        let access = self.reach::<RunnersRead>(caller).await?;
        self.visible_runner(&access, id).await
    }

    /// Lets a runner finish what it has and take nothing new, or take runs again.
    pub async fn set_runner_draining(&self, caller: &Caller, id: RunnerId, draining: bool) -> Result<Runner> {
        let access = self.reach::<RunnersWrite>(caller).await?;
        let runner = self.visible_runner(&access, id).await?;
        if !NamespacePatterns::parse(&runner.namespaces).is_ok_and(|serves| serves.is_within(caller.namespaces())) {
            let sentence =
                "the runner also serves namespaces that this token does not see; draining it would stop them";
            return Err(Error::new(ErrorCode::Forbidden, sentence));
        }
        let mut conn = self.db().acquire().await?;
        store::runners::set_draining(&mut conn, &access, id, draining).await?;
        drop(conn);
        self.look_for_resumed();
        self.0.wake.runners();
        self.visible_runner(&access, id).await
    }

    async fn visible_runner<P: store::runners::ReadsRunners>(
        &self,
        access: &Access<P>,
        id: RunnerId,
    ) -> Result<Runner> {
        let mut conn = self.db().acquire().await?;
        let found = store::runners::get(&mut conn, access, id).await?;
        let names = self.names_of(access).await?;
        found.filter(|runner| serves_any(runner, &names)).ok_or_else(|| Error::not_found("runner"))
    }

    /// Returns the names of the namespaces that an access covers.
    pub(super) async fn names_of<P>(&self, access: &Access<P>) -> Result<Vec<String>> {
        let rows = self.namespace_rows(false).await?;
        let covered = rows.iter().filter(|row| access.namespaces().contains(&row.reference.id));
        Ok(covered.map(|row| row.reference.name.clone()).collect())
    }

    /// Within which time a runner that was heard of counts as live when its name or id is asked for.
    fn live_within(&self) -> Duration {
        self.0.times.ttl
    }
}

fn serves_any(runner: &Runner, namespaces: &[String]) -> bool {
    NamespacePatterns::parse(&runner.namespaces)
        .is_ok_and(|patterns| namespaces.iter().any(|namespace| patterns.matches(namespace)))
}

fn check(new: &NewRunner) -> Result<()> {
    let mut invalid = Invalid::default();
    if let Err(fault) = check_name(&new.name) {
        invalid.add("/name", fault);
    }
    if !(1..=1024).contains(&new.slots) {
        invalid.add("/slots", format!("{} is not from 1 to 1024", new.slots));
    }
    if let Err(part) = Selectors::parse(&new.selectors) {
        invalid.add_all("", part);
    }
    let about = &new.about;
    let texts = [&about.version, &about.engine, &about.platform].into_iter().chain(&about.limits_note);
    if texts.chain(&about.limits_enforced).any(|text| text.len() > 1024) || about.limits_enforced.len() > 16 {
        invalid.add("/about", "a text about a runner has at most 1024 bytes");
    }
    Ok(invalid.into_result()?)
}
