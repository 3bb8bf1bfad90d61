//! `tstr ctl token`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use tstr_shared::duration::Seconds;
use tstr_shared::ids::TokenId;
use tstr_shared::token::{IssuedToken, Token};

use super::{Ctl, Much};
use crate::client::Call;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Format, typed};
use crate::profile::write_private;

/// Commands about tokens.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Issue a token; it is shown this once
    Issue(IssueArgs),
    /// List tokens, never the secrets
    #[command(
        before_help = "Examples:\n  tstr ctl token list\n  tstr ctl token list --include-revoked --include-expired"
    )]
    List {
        /// Those that have expired as well
        #[arg(long)]
        include_expired: bool,
        /// Those that were revoked as well
        #[arg(long)]
        include_revoked: bool,
        #[command(flatten)]
        much: Much,
    },
    /// Show what is known of a token
    #[command(visible_alias = "view", before_help = "Examples:\n  tstr ctl token get ID")]
    Get {
        /// The id of the token
        id: TokenId,
    },
    /// Revoke tokens; this cannot be undone
    #[command(before_help = "Examples:\n  tstr ctl token revoke ID\n  tstr ctl token revoke ID --yes")]
    Revoke {
        /// The ids of the tokens
        #[arg(required = true, value_name = "ID")]
        ids: Vec<TokenId>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Flags of `token issue`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl token issue ci --scope control
  tstr ctl token issue build-1 --scope runner --namespaces '.*' --out /etc/tstr/token
  tstr ctl token issue board --scope data --namespaces shop --namespaces 'team-.*' --expires-in 30d

The token alone is written to the standard output, so TOKEN=$(tstr ctl token issue …) holds it.")]
pub struct IssueArgs {
    /// What the token is for
    name: String,
    /// What the token may do; repeatable
    #[arg(long = "scope", required = true, value_delimiter = ',', value_parser = ["admin", "control", "data", "runner"])]
    scopes: Vec<String>,
    /// The namespaces that it sees: regular expressions that match the whole name; repeatable [default: the namespace]
    #[arg(long, value_name = "REGEX")]
    namespaces: Vec<String>,
    /// How long it is valid, at most 365d [default: 90d]
    #[arg(long, value_name = "DURATION")]
    expires_in: Option<Seconds>,
    /// Write the token to this file, for its owner alone, instead of showing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs a command.
pub async fn run(ctl: &Ctl, command: Command) -> Outcome<Exit> {
    match command {
        Command::Issue(args) => issue(ctl, args).await,
        Command::List { include_expired, include_revoked, much } => {
            let mut call = Call::get(&["tokens"]);
            if include_expired {
                call = call.with("include_expired", true);
            }
            if include_revoked {
                call = call.with("include_revoked", true);
            }
            ctl.list::<Token>(&call, &much).await
        }
        Command::Get { id } => ctl.item::<Token>(&Call::get(&["tokens", &id.to_string()])).await,
        Command::Revoke { ids, yes } => {
            let count = ids.len();
            let question = match ids.as_slice() {
                [one] => format!("Revoke the token {one}? This cannot be undone."),
                _ => format!("Revoke {count} tokens? This cannot be undone."),
            };
            ctl.confirm(yes, &question)?;
            for id in ids {
                let answer = ctl.client.send(&Call::delete(&["tokens", &id.to_string()])).await?;
                let words = format!("revoked the token {id}");
                if answer.is_null() { ctl.out.say(&words) } else { ctl.out.done::<Token>(&answer, &words)? }
            }
            Ok(Exit::Done)
        }
    }
}

async fn issue(ctl: &Ctl, args: IssueArgs) -> Outcome<Exit> {
    if ctl.out.format() == Format::Name {
        return Err(Failure::usage("with -o name the token itself would be lost: -o table writes the token alone"));
    }
    let namespaces = if args.namespaces.is_empty() { vec![ctl.ns().to_owned()] } else { args.namespaces };
    let mut body = json!({"name": args.name, "scopes": args.scopes, "namespaces": namespaces});
    if let Some(expires_in) = args.expires_in {
        body["expires_in"] = json!(expires_in.to_string());
    }
    let mut answer = ctl.client.send(&Call::post(&["tokens"]).json(body)).await?;
    let issued: IssuedToken = typed(&answer)?;
    if let Some(path) = &args.out {
        write_private(path, format!("{}\n", issued.token).as_bytes()).map_err(|error| {
            // The secret is in no other place, so it is told rather than lost.
            let _ = ctl.out.line(&issued.token);
            Failure::new(
                Exit::Error,
                format!("cannot write {}: {error}; the token is on the standard output", path.display()),
            )
        })?;
        answer = answer["record"].take();
        let words = format!("issued the token {} into {}", issued.record.id, path.display());
        return ctl.out.done::<Token>(&answer, &words).map(|()| Exit::Done);
    }
    if !ctl.out.documents(std::slice::from_ref(&answer), true)? {
        ctl.out.say(&format!("issued the token {}, valid until {}", issued.record.id, issued.record.expires_at));
        ctl.out.hint("this is the only time that it is shown");
        ctl.out.line(&issued.token)?;
    }
    Ok(Exit::Done)
}
