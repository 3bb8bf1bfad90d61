//! `tstr ctl identity`: who the token is.

use tstr_shared::token::Identity;

use super::Ctl;
use crate::client::Call;
use crate::exit::{Exit, Outcome};

/// Runs the command.
pub async fn run(ctl: &Ctl) -> Outcome<Exit> {
    ctl.item::<Identity>(&Call::get(&["identity"])).await
}
