//! `tstr ctl sign-in`: a link that opens the web UI, once.

use clap::Args;
use serde_json::json;
use tstr_shared::session::SessionCode;

use super::Ctl;
use crate::client::Call;
use crate::exit::{Exit, Outcome};
use crate::output::typed;

/// Flags of `sign-in`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl sign-in
  tstr ctl sign-in --ui https://tstr.example/tools
  xdg-open \"$(tstr ctl sign-in)\"

The link alone is written to the standard output. It signs in once, within 10 minutes, as the token that asks.")]
pub struct SignInArgs {
    /// Where the web UI is [default: what the server says, else the server itself]
    #[arg(long, env = "TSTR_UI_URL", value_name = "URL")]
    ui: Option<String>,
}

/// Runs the command.
pub async fn run(ctl: &Ctl, args: SignInArgs) -> Outcome<Exit> {
    let mut answer = ctl.client.send(&Call::post(&["session", "codes"])).await?;
    let made: SessionCode = typed(&answer)?;
    let link = match (args.ui, made.link) {
        (Some(ui), _) => SessionCode::link_of(&ui, &made.code),
        (None, Some(link)) => link,
        (None, None) => SessionCode::link_of(ctl.profile.server.as_str(), &made.code),
    };
    answer["link"] = json!(link);
    if !ctl.out.documents(std::slice::from_ref(&answer), true)? {
        ctl.out.hint(&format!("it signs in once, until {}", made.expires_at));
        ctl.out.line(&link)?;
    }
    Ok(Exit::Done)
}
