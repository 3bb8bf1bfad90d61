//! `tstr ctl dashboard`: how a namespace is, at one look.

use tstr_shared::dashboard::Dashboard;

use super::Ctl;
use crate::client::Call;
use crate::exit::{Exit, Outcome};
use crate::output::typed;

/// Runs the command.
pub async fn run(ctl: &Ctl) -> Outcome<Exit> {
    let answer = ctl.client.send(&Call::get(&ctl.in_ns(&["dashboard"]))).await?;
    if ctl.out.documents(std::slice::from_ref(&answer), true)? {
        return Ok(Exit::Done);
    }
    let board: Dashboard = typed(&answer)?;
    ctl.out.line(&board.sentence())?;
    for test in &board.newly_failing {
        ctl.out.line(&format!("new      {}  {} since {}", test.name, test.result, test.since.format("%F %TZ")))?;
    }
    for test in &board.flaky {
        ctl.out.line(&format!("flaky    {}", test.name))?;
    }
    for test in &board.slower {
        let (now, before) = (test.mean_ms as f64 / 1000.0, test.before_ms as f64 / 1000.0);
        ctl.out.line(&format!("slower   {}  {now:.1} s, was {before:.1} s", test.name))?;
    }
    Ok(Exit::Done)
}
