//! `tstr ctl login`, `logout` and `context`: the user's configuration.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;
use tstr_shared::token::Identity;

use super::interrupt::Interrupt;
use crate::client::{Call, Client};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Cell, Column, Door, Format, Tint};
use crate::profile::{
    self, ConfigFile, Context, Files, Flags, Profile, Secret, env, is_local, parse_server, read_config, user_file,
    write_config,
};

/// The context that `login` makes when none is named.
const FIRST: &str = "default";

/// Commands about contexts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the contexts
    #[command(before_help = "Examples:\n  tstr ctl context list")]
    List,
    /// Use a context from now on
    #[command(before_help = "Examples:\n  tstr ctl context use work")]
    Use {
        /// The context
        name: String,
    },
    /// Make a context or change it: --server, --namespace, --token-file
    #[command(before_help = "Examples:
  tstr ctl context set work --server https://tstr.example.com --namespace shop
  tstr ctl context set work --token-file ~/.tstr-token")]
    Set {
        /// The context
        name: String,
    },
    /// Delete a context with the token that it keeps
    #[command(before_help = "Examples:\n  tstr ctl context delete work")]
    Delete {
        /// The context
        name: String,
    },
}

/// Flags of `login`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl login --token-stdin < token
  tstr ctl login --server https://tstr.example.com --context work --token-stdin < token
  tstr ctl login                          asks for the token, without showing it")]
pub struct LoginArgs {
    /// Read the token from the standard input
    #[arg(long)]
    token_stdin: bool,
}

fn config_path() -> Outcome<PathBuf> {
    user_file(&env).ok_or_else(|| Failure::usage("neither XDG_CONFIG_HOME nor HOME says where the configuration is"))
}

fn change(change: impl FnOnce(&mut ConfigFile) -> Outcome) -> Outcome {
    let path = config_path()?;
    let mut config = read_config(&path)?;
    change(&mut config)?;
    write_config(&path, &config)
}

/// Runs a command about contexts.
pub fn run(out: Door, flags: &Flags, files: &Files, command: Command) -> Outcome<Exit> {
    match command {
        Command::List => list(out, files)?,
        Command::Use { name } => {
            change(|config| {
                if !config.contexts.contains_key(&name) && !files.system.contexts.contains_key(&name) {
                    return Err(unknown(&name));
                }
                config.current = Some(name.clone());
                Ok(())
            })?;
            out.say(&format!("using the context {name}"));
        }
        Command::Set { name } => {
            if flags.server.is_none() && flags.namespace.is_none() && flags.token_file.is_none() {
                return Err(Failure::usage("nothing is to be set: --server, --namespace, --token-file"));
            }
            change(|config| set(config, &name, flags))?;
            out.say(&format!("set the context {name}"));
        }
        Command::Delete { name } => {
            change(|config| {
                config.contexts.remove(&name).ok_or_else(|| unknown(&name))?;
                config.current = config.current.take().filter(|current| *current != name);
                Ok(())
            })?;
            out.say(&format!("deleted the context {name}"));
        }
    }
    Ok(Exit::Done)
}

fn unknown(name: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no context '{name}'"))
}

fn set(config: &mut ConfigFile, name: &str, flags: &Flags) -> Outcome {
    if let Some(server) = &flags.server {
        parse_server(server)?;
    }
    let is_first = config.contexts.is_empty();
    let context = config.contexts.entry(name.to_owned()).or_default();
    if let Some(server) = &flags.server {
        // A token belongs to the server that it was kept for.
        if context.server.as_ref() != Some(server) {
            context.token = None;
        }
        context.server = Some(server.clone());
    }
    if let Some(namespace) = &flags.namespace {
        context.namespace = Some(namespace.clone());
    }
    if let Some(path) = &flags.token_file {
        let path = std::path::absolute(path);
        context.token_file = Some(path.map_err(|error| Failure::usage(format!("--token-file: {error}")))?);
        context.token = None;
    }
    if is_first {
        config.current = Some(name.to_owned());
    }
    Ok(())
}

fn list(out: Door, files: &Files) -> Outcome {
    const COLUMNS: &[Column] = &[
        Column::new("CURRENT"),
        Column::new("NAME"),
        Column::new("SERVER"),
        Column::new("NAMESPACE"),
        Column::new("TOKEN"),
    ];
    let current = files.user.current.as_ref().or(files.system.current.as_ref());
    let mut all = files.system.contexts.clone();
    all.extend(files.user.contexts.clone());
    let token = |context: &Context| match (&context.token, &context.token_file) {
        (Some(_), _) => "kept".to_owned(),
        (None, Some(path)) => path.display().to_string(),
        (None, None) => String::new(),
    };
    let documents: Vec<_> = all
        .iter()
        .map(|(name, context)| {
            json!({
                "name": name, "current": Some(name) == current, "server": context.server,
                "namespace": context.namespace, "has_token": context.token.is_some() || context.token_file.is_some(),
            })
        })
        .collect();
    if out.documents(&documents, false)? {
        return Ok(());
    }
    if out.format() == Format::Name {
        return out.text(&all.keys().map(|name| format!("{name}\n")).collect::<String>());
    }
    let rows = all.iter().map(|(name, context)| {
        vec![
            Cell::new(if Some(name) == current { "*" } else { "" }, Tint::Good),
            Cell::plain(name),
            Cell::plain(context.server.as_deref().unwrap_or(profile::DEFAULT_SERVER)),
            Cell::plain(context.namespace.as_deref().unwrap_or(profile::DEFAULT_NAMESPACE)),
            Cell::plain(token(context)),
        ]
    });
    out.rows(COLUMNS, rows.collect())
}

/// Checks a token with the server and keeps it.
pub async fn login(
    out: Door,
    flags: &Flags,
    files: &Files,
    interrupt: &Arc<Interrupt>,
    args: &LoginArgs,
) -> Outcome<Exit> {
    let name = chosen(flags, files);
    let known = files.user.contexts.get(&name).or_else(|| files.system.contexts.get(&name));
    let server = flags.server.clone().or_else(|| env("TSTR_SERVER")).or_else(|| known.and_then(|c| c.server.clone()));
    let server = server.unwrap_or_else(|| profile::DEFAULT_SERVER.to_owned());
    let token = match &flags.token_file {
        _ if args.token_stdin => from_stdin(interrupt)?,
        Some(path) => Secret::from_file(path)?,
        None => from_stdin(interrupt)?,
    };
    let profile = Profile {
        server: parse_server(&server)?,
        namespace: profile::DEFAULT_NAMESPACE.to_owned(),
        token: Some(token.clone()),
        withheld: None,
    };
    if profile.server.scheme() == "http" && !is_local(&profile.server) {
        out.say(&format!("{} is not encrypted: whoever is on the way can read the token", profile.server));
    }
    let identity: Identity = Client::new(&profile)?.fetch(&Call::get(&["identity"])).await?;
    change(|config| {
        let context = config.contexts.entry(name.clone()).or_default();
        context.server = Some(server.clone());
        context.namespace = flags.namespace.clone().or(context.namespace.take());
        (context.token, context.token_file) = (Some(token), None);
        config.current = Some(name.clone());
        Ok(())
    })?;
    out.say(&format!("logged in to {server} as '{}', in the context {name}", identity.token.name));
    Ok(Exit::Done)
}

/// Forgets the token of the current context, or of the one that is named.
pub fn logout(out: Door, flags: &Flags, files: &Files) -> Outcome<Exit> {
    let name = chosen(flags, files);
    let mut had_one = false;
    change(|config| {
        let context = config.contexts.get_mut(&name).ok_or_else(|| unknown(&name))?;
        had_one = context.token.take().is_some() | context.token_file.take().is_some();
        Ok(())
    })?;
    let words = if had_one { "forgot the token of" } else { "there was no token in" };
    out.say(&format!("{words} the context {name}"));
    if had_one {
        out.hint("it is still valid; tstr ctl token revoke ends it");
    }
    Ok(Exit::Done)
}

fn chosen(flags: &Flags, files: &Files) -> String {
    let named = flags.context.clone().or_else(|| env("TSTR_CONTEXT"));
    named.or_else(|| files.user.current.clone()).unwrap_or_else(|| FIRST.to_owned())
}

/// Reads the token from the standard input; where a person types it, it is not shown.
fn from_stdin(interrupt: &Interrupt) -> Outcome<Secret> {
    let fault = |error: std::io::Error| Failure::usage(format!("cannot read the token: {error}"));
    let mut text = String::new();
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        stdin.lock().take(64 << 10).read_to_string(&mut text).map_err(fault)?;
        return Secret::parse(&text, "the standard input");
    }
    let _ = write!(std::io::stderr().lock(), "Token: ");
    let before = tcgetattr(&stdin).map_err(|error| fault(error.into()))?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    interrupt.restore(Some(before.clone()));
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(|error| fault(error.into()))?;
    let read = stdin.lock().read_line(&mut text);
    let restored = tcsetattr(&stdin, OptionalActions::Now, &before);
    interrupt.restore(None);
    let _ = writeln!(std::io::stderr().lock());
    restored.map_err(|error| fault(error.into()))?;
    read.map_err(fault)?;
    Secret::parse(&text, "what was typed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_context_is_used_and_a_new_server_drops_the_old_token() {
        let mut config = ConfigFile::default();
        let flags = |server: &str| Flags { server: Some(server.into()), ..Flags::default() };
        set(&mut config, "a", &flags("http://a")).unwrap();
        set(&mut config, "b", &flags("http://b")).unwrap();
        assert_eq!(config.current.as_deref(), Some("a"));
        config.contexts.get_mut("b").unwrap().token = Some(Secret::parse("t", "x").unwrap());
        set(&mut config, "b", &Flags { namespace: Some("n".into()), ..Flags::default() }).unwrap();
        assert!(config.contexts["b"].token.is_some());
        set(&mut config, "b", &flags("http://c")).unwrap();
        assert_eq!((config.contexts["b"].token.clone(), config.contexts["b"].namespace.as_deref()), (None, Some("n")));
        assert!(set(&mut config, "b", &flags("nonsense")).is_err());
    }
}
