//! What attempts say about themselves: recorded by workers, read by people.

use tstr_shared::ids::{RunId, RunnerId};
use tstr_shared::lease::Fence;
use tstr_shared::output::{AttemptOutput, Output};
use tstr_shared::permission::{RunsExecute, RunsRead};

use super::logs::attempt_of;
use super::{Ops, own_lease};
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::store;

impl Ops {
    /// Records what an attempt said about itself, in place of what was recorded before.
    pub async fn record_output(&self, caller: &Caller, runner: RunnerId, fence: Fence, output: Output) -> Result<()> {
        let access = self.reach::<RunsExecute>(caller).await?;
        output.validate()?;
        let lease = own_lease(caller, &access, runner, fence);
        let mut tx = self.db().begin().await?;
        if !store::outputs::hold_lease(&mut tx, &access, &lease).await? {
            return Err(Error::lease_lost());
        }
        store::outputs::replace(&mut tx, &access, fence, &output).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Reads what an attempt said about itself, the latest without one.
    pub async fn run_output(&self, caller: &Caller, run: RunId, attempt: Option<u16>) -> Result<AttemptOutput> {
        let access = self.reach::<RunsRead>(caller).await?;
        let attempt = attempt_of(&self.head(&access, run).await?, attempt)?;
        let mut conn = self.db().acquire().await?;
        let output = store::outputs::get(&mut conn, &access, run, attempt).await?.unwrap_or_default();
        Ok(AttemptOutput { attempt, output })
    }
}
