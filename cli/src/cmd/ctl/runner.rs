//! `tstr ctl runner`.

use clap::Subcommand;
use serde_json::Value;
use tstr_shared::ids::RunnerId;
use tstr_shared::outage::Outage;
use tstr_shared::runner::{Runner, RunnerState};

use super::{Ctl, Much, text_at};
use crate::client::Call;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Cell, Column, Look, Show, Tint, typed};

/// Commands about runners.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the runners that take runs of the namespace
    #[command(before_help = "Examples:\n  tstr ctl runner list\n  tstr ctl runner list -o wide")]
    List(Much),
    /// Show one runner
    #[command(visible_alias = "view", before_help = "Examples:\n  tstr ctl runner get build-1")]
    Get {
        /// The runner: its id or its name
        runner: String,
    },
    /// List when the control test of the namespace failed on a runner, the newest first
    #[command(before_help = "Examples:\n  tstr ctl runner outages\n  tstr ctl runner outages build-1")]
    Outages {
        /// Only of this runner: its id or its name
        runner: Option<String>,
        #[command(flatten)]
        much: Much,
    },
    /// Let a runner finish what it has and give it nothing new
    #[command(before_help = "Examples:\n  tstr ctl runner drain build-1")]
    Drain {
        /// The runner: its id or its name
        runner: String,
    },
    /// Give a drained runner runs again
    #[command(before_help = "Examples:\n  tstr ctl runner resume build-1")]
    Resume {
        /// The runner: its id or its name
        runner: String,
    },
}

/// Runs a command.
pub async fn run(ctl: &Ctl, command: Command) -> Outcome<Exit> {
    match command {
        Command::List(much) => ctl.list::<Runner>(&Call::get(&ctl.in_ns(&["runners"])), &much).await,
        Command::Get { runner } => ctl.item::<Runner>(&Call::get(&["runners", &find(ctl, &runner).await?])).await,
        Command::Outages { runner, much } => {
            let of = match runner {
                Some(runner) => Some(find(ctl, &runner).await?),
                None => None,
            };
            ctl.list::<Outage>(&Call::get(&ctl.in_ns(&["outages"])).with_some("runner", of), &much).await
        }
        Command::Drain { runner } => act(ctl, &runner, "drain", "is drained").await,
        Command::Resume { runner } => act(ctl, &runner, "resume", "takes runs again").await,
    }
}

async fn act(ctl: &Ctl, runner: &str, verb: &str, words: &str) -> Outcome<Exit> {
    let id = find(ctl, runner).await?;
    let answer = ctl.client.send(&Call::post(&["runners", &id, verb])).await?;
    let name = text_at(&answer, "/name").to_owned();
    ctl.out.done::<Runner>(&answer, &format!("runner {name} {words}")).map(|()| Exit::Done)
}

/// Returns the id of a runner by its id or name. Of several with one name it is the one that was heard of last.
pub async fn find(ctl: &Ctl, runner: &str) -> Outcome<String> {
    if runner.parse::<RunnerId>().is_ok() {
        return Ok(runner.to_owned());
    }
    let (items, _) = ctl.client.list(&Call::get(&ctl.in_ns(&["runners"])), None).await?;
    pick(&items, runner)?.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("no runner of the namespace {} is called '{runner}'", ctl.ns()))
    })
}

fn pick(items: &[Value], name: &str) -> Outcome<Option<String>> {
    let runners = items.iter().map(typed::<Runner>).collect::<Outcome<Vec<_>>>()?;
    let named = runners.into_iter().filter(|runner| runner.name == name);
    let best = named.max_by_key(|runner| (runner.state != RunnerState::Offline, runner.last_seen_at));
    Ok(best.map(|runner| runner.id.to_string()))
}

impl Show for Outage {
    const COLUMNS: &'static [Column] = &[
        Column::new("RUNNER"),
        Column::new("SINCE"),
        Column::new("UNTIL"),
        Column::new("FAILED"),
        Column::wide("RUNNER ID"),
    ];

    fn name(&self) -> String {
        self.runner_id.to_string()
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        let until = match self.until {
            Some(until) => Cell::plain(look.age(until)),
            None => Cell::new("still", Tint::Bad),
        };
        vec![
            Cell::plain(&self.runner_name),
            Cell::plain(look.age(self.since)),
            until,
            Cell::plain(self.failed_at.map(|at| look.age(at)).unwrap_or_default()),
            Cell::plain(self.runner_id.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_runners_with_one_name_the_live_one_is_meant() {
        let runner = |id: u8, state: &str, seen: &str| {
            json!({
                "id": format!("0197c1a0-0000-7000-8000-00000000000{id}"), "name": "w", "state": state,
                "draining": false, "namespaces": [], "accept": {}, "reject": {}, "slots": 1, "slots_used": 0,
                "about": {}, "registered_at": seen, "last_seen_at": seen,
            })
        };
        let items = [
            runner(1, "offline", "2026-03-01T12:00:00Z"),
            runner(2, "live", "2026-03-01T11:00:00Z"),
            runner(3, "offline", "2026-03-01T10:00:00Z"),
        ];
        assert!(pick(&items, "w").unwrap().unwrap().ends_with('2'));
        assert!(pick(&items[..1], "w").unwrap().unwrap().ends_with('1'));
        assert_eq!(pick(&items, "v").unwrap(), None);
    }
}
