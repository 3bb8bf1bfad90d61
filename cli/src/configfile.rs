//! `--config FILE`: a TOML file with the flags of the servers, for `tstr api`, `tstr ui`, `tstr run` and `tstr up`.
//!
//! A flag outranks the environment, which outranks the file, which outranks the default. The file's values become the
//! defaults of the flags before the command line is read, so that every flag is checked and shown in one way only, and
//! a new flag needs nothing here. A key is the name of a flag, with `-` or `_`; flags stand at the top level, or in a
//! table named after the command (`[api]`, `[ui]`, `[run]`, `[up]`), which outranks the top level.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{ArgAction, Command};
use toml::{Table, Value};

/// The commands that take a file.
const COMMANDS: [&str; 4] = ["api", "ui", "run", "up"];
/// The name of the flag, and of its variable.
const FLAG: &str = "--config";
const VARIABLE: &str = "TSTR_CONFIG";

/// Makes the values of the file that is named the defaults of the flags; without a file, changes nothing.
pub fn apply(command: Command, args: &[OsString], env: &dyn Fn(&str) -> Option<String>) -> Result<Command, Error> {
    let Some(name) = args.iter().skip(1).find_map(|arg| COMMANDS.into_iter().find(|name| arg == OsStr::new(name)))
    else {
        return Ok(command);
    };
    // Only a server's command at the top level; `tstr ctl run` is another.
    if args.get(1).is_none_or(|first| first != OsStr::new(name)) || command.find_subcommand(name).is_none() {
        return Ok(command);
    }
    let Some(path) = named(&args[2..]).or_else(|| env(VARIABLE).map(PathBuf::from)) else { return Ok(command) };
    let settings = read(&path).and_then(|table| settings(&command, name, table));
    let settings = settings.map_err(|fault| usage(&command, format!("{}: {fault}", path.display())))?;
    Ok(command.mut_subcommand(name, |sub| settings.into_iter().fold(sub, set_default)))
}

fn usage(command: &Command, message: String) -> Error {
    let mut error = Error::new(ErrorKind::ValueValidation).with_cmd(command);
    error.insert(ContextKind::InvalidArg, ContextValue::String(FLAG.to_owned()));
    error.insert(ContextKind::InvalidValue, ContextValue::String(message));
    error
}

/// Finds `--config FILE` or `--config=FILE` before anything is parsed.
fn named(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter();
    let mut found = None;
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        if text == "--" {
            break;
        } else if text == FLAG {
            found = args.next().map(PathBuf::from);
        } else if let Some(path) = text.strip_prefix(FLAG).and_then(|rest| rest.strip_prefix('=')) {
            found = Some(PathBuf::from(path));
        }
    }
    found
}

fn read(path: &Path) -> Result<Table, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    toml::from_str(&text).map_err(|error| error.to_string().trim_end().to_owned())
}

/// A flag and what the file says of it.
type Setting = (String, Vec<String>);

/// Returns the flags of a command with their values; every key of the file has to be known.
fn settings(command: &Command, name: &str, table: Table) -> Result<Vec<Setting>, String> {
    let mut settings: Vec<Setting> = Vec::new();
    let mut own = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if COMMANDS.contains(&key.as_str()) => {
                for (inner_key, value) in inner {
                    let place = format!("{key}.{inner_key}");
                    let Some(sub) = command.find_subcommand(&key) else { continue };
                    let (id, values) = setting(&[sub], &inner_key, &value, &place)?;
                    if key == name {
                        own.push((id, values));
                    }
                }
            }
            value => {
                // At the top level a flag of any of the commands may stand, so that one file serves them all.
                let subs: Vec<_> = COMMANDS.iter().filter_map(|known| command.find_subcommand(known)).collect();
                let (id, values) = setting(&subs, &key, &value, &key)?;
                let mine = command.find_subcommand(name);
                if mine.is_some_and(|sub| sub.get_arguments().any(|arg| arg.get_id().as_str() == id)) {
                    settings.push((id, values));
                }
            }
        }
    }
    settings.extend(own);
    Ok(settings)
}

/// Finds the flag of a key in one of some commands and reads its value.
fn setting(commands: &[&Command], key: &str, value: &Value, place: &str) -> Result<Setting, String> {
    let long = key.replace('_', "-");
    let takes = |arg: &&clap::Arg| arg.get_long() == Some(long.as_str()) && long != "config" && long != "help";
    let Some(arg) = commands.iter().find_map(|command| command.get_arguments().find(takes)) else {
        return Err(format!("unknown key `{place}`{}", nearest(commands, &long)));
    };
    let values = match value {
        Value::Array(items) => items.iter().map(|item| scalar(item, place)).collect::<Result<_, _>>()?,
        one => vec![scalar(one, place)?],
    };
    if values.len() != 1 && !matches!(arg.get_action(), ArgAction::Append) {
        return Err(format!("`{place}` takes one value"));
    }
    Ok((arg.get_id().to_string(), values))
}

fn scalar(value: &Value, place: &str) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            Err(format!("`{place}` takes a text, a number, true or false, or a list of them"))
        }
    }
}

/// Names a known key that has the same beginning or end, for those who have mistyped.
fn nearest(commands: &[&Command], key: &str) -> String {
    let known = commands.iter().flat_map(|command| command.get_arguments()).filter_map(|arg| arg.get_long());
    let shared = |a: &str, b: &str| {
        let front = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
        let back = a.bytes().rev().zip(b.bytes().rev()).take_while(|(x, y)| x == y).count();
        (front + back).min(a.len().min(b.len()))
    };
    let best = known.filter(|long| *long != "help" && *long != "config").max_by_key(|long| shared(long, key));
    match best {
        Some(long) if shared(long, key) * 2 > key.len() => format!("; is `{long}` meant?"),
        _ => String::new(),
    }
}

fn set_default(command: Command, (id, values): Setting) -> Command {
    command.mut_arg(id, |arg| {
        // The value may be a secret, and is in the file for those who may know it.
        let hidden = arg.get_action().takes_values();
        arg.required(false).default_values(values).hide_default_value(hidden)
    })
}

#[cfg(test)]
mod tests {
    use clap::{Arg, value_parser};

    use super::*;

    fn command() -> Command {
        let config = || Arg::new("config").long("config");
        let api = Command::new("api").args([
            config(),
            Arg::new("dsn").long("pg-dsn").env("CONFIGFILE_TEST_DSN").required(true),
            Arg::new("addr").long("json-addr").default_value("d"),
            Arg::new("off").long("no-scheduler").action(ArgAction::SetTrue),
            Arg::new("size").long("pg-connections").value_parser(value_parser!(u16)).default_value("20"),
        ]);
        let run = Command::new("run").args([
            config(),
            Arg::new("accept").long("accept").action(ArgAction::Append),
            Arg::new("addr").long("grpc-addr"),
        ]);
        Command::new("tstr").subcommands([api, run, Command::new("ctl").subcommand(Command::new("run"))])
    }

    fn matches(file: &str, line: &str, env: Option<&str>) -> Result<clap::ArgMatches, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tstr.toml");
        std::fs::write(&path, file).unwrap();
        let line = line.replace("FILE", path.to_str().unwrap());
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let env = |_: &str| env.map(|_| path.to_str().unwrap().to_owned());
        let command = apply(command(), &args, &env).map_err(|error| error.to_string())?;
        let matches = command.try_get_matches_from(args).map_err(|error| error.to_string())?;
        Ok(matches.subcommand().unwrap().1.clone())
    }

    fn text<'a>(matches: &'a clap::ArgMatches, id: &str) -> &'a str {
        matches.get_one::<String>(id).unwrap()
    }

    #[test]
    fn the_file_stands_between_environment_and_default() {
        let file = "pg-dsn = 'file'\njson_addr = 'file'\npg_connections = 7\nno_scheduler = true\n";
        let api = matches(file, "tstr api --config FILE", None).unwrap();
        assert_eq!((text(&api, "dsn"), text(&api, "addr")), ("file", "file"));
        assert_eq!((*api.get_one::<u16>("size").unwrap(), api.get_flag("off")), (7, true));
        let api = matches(file, "tstr api --config=FILE --json-addr flag", None).unwrap();
        assert_eq!(text(&api, "addr"), "flag");
        let api = matches("pg-dsn = 'file'", "tstr api --config FILE", None).unwrap();
        assert_eq!((text(&api, "addr"), api.get_flag("off")), ("d", false));
    }

    #[test]
    fn the_environment_outranks_the_file() {
        // Nothing is set in the environment of the tests, so the variable that is always there has to do.
        let command = command().mut_subcommand("api", |api| api.mut_arg("dsn", |arg| arg.env("PATH")));
        let settings = vec![("dsn".to_owned(), vec!["file".to_owned()])];
        let command = command.mut_subcommand("api", |sub| settings.into_iter().fold(sub, set_default));
        let matches = command.try_get_matches_from(["tstr", "api"]).unwrap();
        assert_eq!(text(matches.subcommand().unwrap().1, "dsn"), std::env::var("PATH").unwrap());
    }

    #[test]
    fn the_variable_names_the_file_and_ctl_reads_none() {
        let api = matches("pg-dsn = 'file'", "tstr api", Some("set")).unwrap();
        assert_eq!(text(&api, "dsn"), "file");
        assert!(matches("nonsense = 1", "tstr ctl run", Some("set")).is_ok());
    }

    #[test]
    fn one_file_serves_several_commands() {
        let file = "json-addr = 'top'\ngrpc-addr = 'top'\n[api]\npg-dsn = 'x'\njson-addr = 'own'\n[run]\naccept = ['a=1', 'b=2']\n";
        let api = matches(file, "tstr api --config FILE", None).unwrap();
        assert_eq!(text(&api, "addr"), "own");
        let run = matches(file, "tstr run --config FILE", None).unwrap();
        assert_eq!(run.get_many::<String>("accept").unwrap().collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert_eq!(text(&run, "addr"), "top");
        let run = matches(file, "tstr run --config FILE --accept c=3", None).unwrap();
        assert_eq!(run.get_many::<String>("accept").unwrap().collect::<Vec<_>>(), ["c=3"]);
    }

    #[test]
    fn faults_are_named() {
        let fault = |file: &str| matches(file, "tstr api --pg-dsn x --config FILE", None).unwrap_err();
        assert!(
            fault("json-adr = 'x'").contains("unknown key `json-adr`; is `json-addr` meant?"),
            "{}",
            fault("json-adr = 'x'")
        );
        assert!(fault("[run]\nacept = 'x'").contains("unknown key `run.acept`"));
        assert!(fault("json-addr = ['a', 'b']").contains("`json-addr` takes one value"));
        assert!(fault("json-addr = {a = 1}").contains("takes a text"));
        assert!(fault("config = 'x'").contains("unknown key `config`"));
        assert!(fault("broken").contains("tstr.toml"));
        assert!(fault("pg-connections = 'many'").contains("many"));
        assert!(fault("pg-connections = 70000").contains("invalid value '70000' for '--pg-connections"));
        let missing = matches("", "tstr api --pg-dsn x --config /nowhere/x.toml", None).unwrap_err();
        assert!(missing.contains("/nowhere/x.toml"), "{missing}");
    }
}
