//! `tstr ctl namespace`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use tstr_shared::namespace::NamespaceInfo;

use super::{Ctl, Much, text_at};
use crate::client::Call;
use crate::exit::{Exit, Failure, Outcome};

/// Commands about namespaces.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the namespaces that the token sees
    #[command(before_help = "Examples:\n  tstr ctl namespace list\n  tstr ctl namespace list -o name")]
    List(Much),
    /// Show one namespace
    #[command(visible_alias = "view", before_help = "Examples:\n  tstr ctl namespace get shop")]
    Get {
        /// The namespace
        name: String,
    },
    /// Create a namespace
    #[command(before_help = "Examples:
  tstr ctl namespace create shop
  tstr ctl namespace create shop --max-running 10 --max-queued none")]
    Create {
        /// The name: lowercase letters, digits and inner hyphens
        name: String,
        #[command(flatten)]
        quotas: QuotaFlags,
    },
    /// Change the quotas of a namespace; those that are left out stay
    #[command(before_help = "Examples:\n  tstr ctl namespace update shop --max-running 20")]
    Update {
        /// The namespace
        name: String,
        #[command(flatten)]
        quotas: QuotaFlags,
    },
}

/// Quotas as flags.
#[derive(Debug, Args)]
pub struct QuotaFlags {
    /// The most runs that wait at once, or `none`
    #[arg(long, value_name = "N", value_parser = quota)]
    max_queued: Option<Quota>,
    /// The most runs that runners hold at once, or `none`
    #[arg(long, value_name = "N", value_parser = quota)]
    max_running: Option<Quota>,
}

/// A number, or no limit.
#[derive(Debug, Clone, Copy)]
struct Quota(Option<u32>);

fn quota(text: &str) -> Result<Quota, String> {
    match text {
        "none" => Ok(Quota(None)),
        number => number.parse().map(|n| Quota(Some(n))).map_err(|_| "write a number, or none".to_owned()),
    }
}

impl QuotaFlags {
    fn json(&self) -> Value {
        let given = [("max_queued", self.max_queued), ("max_running", self.max_running)];
        let given = given.into_iter().filter_map(|(key, quota)| Some((key.to_owned(), json!(quota?.0))));
        Value::Object(given.collect::<Map<_, _>>())
    }
}

/// Runs a command.
pub async fn run(ctl: &Ctl, command: Command) -> Outcome<Exit> {
    match command {
        Command::List(much) => ctl.list::<NamespaceInfo>(&Call::get(&["namespaces"]), &much).await,
        Command::Get { name } => ctl.item::<NamespaceInfo>(&Call::get(&["namespaces", &name])).await,
        Command::Create { name, quotas } => {
            let call = Call::post(&["namespaces"]).json(json!({"name": name, "quotas": quotas.json()}));
            let answer = ctl.client.send(&call).await?;
            let words = format!("created the namespace {}", text_at(&answer, "/name"));
            ctl.out.done::<NamespaceInfo>(&answer, &words).map(|()| Exit::Done)
        }
        Command::Update { name, quotas } => {
            if quotas.max_queued.is_none() && quotas.max_running.is_none() {
                return Err(Failure::usage("nothing is to be changed: --max-queued, --max-running"));
            }
            let call = Call::patch(&["namespaces", &name]).json(json!({"quotas": quotas.json()}));
            let answer = ctl.client.send(&call).await?;
            ctl.out.done::<NamespaceInfo>(&answer, &format!("changed the namespace {name}")).map(|()| Exit::Done)
        }
    }
}
