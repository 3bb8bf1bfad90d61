//! `tstr ctl namespace`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use tstr_shared::namespace::NamespaceInfo;
use tstr_shared::size::Bytes;

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
  tstr ctl namespace create shop --max-running 10 --max-queued none
  tstr ctl namespace create shop --runs-days 30 --logs-days 7 --max-bytes 50GiB")]
    Create {
        /// The name: lowercase letters, digits and inner hyphens
        name: String,
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Change the quotas of a namespace and how long it keeps things; what is left out stays
    #[command(before_help = "Examples:\n  tstr ctl namespace update shop --max-running 20")]
    Update {
        /// The namespace
        name: String,
        #[command(flatten)]
        settings: SettingFlags,
    },
}

/// What a namespace may use, and how long it keeps things, as flags.
#[derive(Debug, Args)]
pub struct SettingFlags {
    /// The most runs that wait at once, or `none`
    #[arg(long, value_name = "N", value_parser = quota)]
    max_queued: Option<Quota>,
    /// The most runs that runners hold at once, or `none`
    #[arg(long, value_name = "N", value_parser = quota)]
    max_running: Option<Quota>,
    /// The most bytes of stored logs with which new runs are made, for instance 50GiB, or `none`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_bytes: Option<Quota>,
    /// Days after which a finished run is removed
    #[arg(long, value_name = "DAYS")]
    runs_days: Option<u32>,
    /// Days after which the log of a finished run is removed
    #[arg(long, value_name = "DAYS")]
    logs_days: Option<u32>,
}

/// A number, or no limit.
#[derive(Debug, Clone, Copy)]
struct Quota(Option<u64>);

fn quota(text: &str) -> Result<Quota, String> {
    match text {
        "none" => Ok(Quota(None)),
        number => {
            number.parse::<u32>().map(|n| Quota(Some(n.into()))).map_err(|_| "write a number, or none".to_owned())
        }
    }
}

fn size(text: &str) -> Result<Quota, String> {
    match text {
        "none" => Ok(Quota(None)),
        size => size.parse::<Bytes>().map(|bytes| Quota(Some(bytes.0))).map_err(|fault| format!("{fault}, or none")),
    }
}

impl SettingFlags {
    /// The fields that were given, as they stand in a request.
    fn json(&self) -> Map<String, Value> {
        let quotas =
            [("max_queued", self.max_queued), ("max_running", self.max_running), ("max_bytes", self.max_bytes)];
        let quotas = quotas.into_iter().filter_map(|(key, quota)| Some((key.to_owned(), json!(quota?.0))));
        let retention = [("runs_days", self.runs_days), ("logs_days", self.logs_days)];
        let retention = retention.into_iter().filter_map(|(key, days)| Some((key.to_owned(), json!(days?))));
        let parts: [(&str, Map<_, _>); 2] = [("quotas", quotas.collect()), ("retention", retention.collect())];
        let given = parts.into_iter().filter(|(_, part)| !part.is_empty());
        given.map(|(key, part)| (key.to_owned(), Value::Object(part))).collect()
    }
}

/// Runs a command.
pub async fn run(ctl: &Ctl, command: Command) -> Outcome<Exit> {
    match command {
        Command::List(much) => ctl.list::<NamespaceInfo>(&Call::get(&["namespaces"]), &much).await,
        Command::Get { name } => ctl.item::<NamespaceInfo>(&Call::get(&["namespaces", &name])).await,
        Command::Create { name, settings } => {
            let mut body = settings.json();
            body.insert("name".to_owned(), json!(name));
            let call = Call::post(&["namespaces"]).json(Value::Object(body));
            let answer = ctl.client.send(&call).await?;
            let words = format!("created the namespace {}", text_at(&answer, "/name"));
            ctl.out.done::<NamespaceInfo>(&answer, &words).map(|()| Exit::Done)
        }
        Command::Update { name, settings } => {
            let body = settings.json();
            if body.is_empty() {
                let flags = "--max-queued, --max-running, --max-bytes, --runs-days, --logs-days";
                return Err(Failure::usage(format!("nothing is to be changed: {flags}")));
            }
            let call = Call::patch(&["namespaces", &name]).json(Value::Object(body));
            let answer = ctl.client.send(&call).await?;
            ctl.out.done::<NamespaceInfo>(&answer, &format!("changed the namespace {name}")).map(|()| Exit::Done)
        }
    }
}
