//! Which server, which namespace, which token: from flags, the environment, the project's `.tstr.toml`, the user's and
//! the system's configuration, in this order.
//!
//! A token goes only to a server that its holder named. A stored token belongs to the server of its context, and a
//! project's file, which may come from anybody's repository, cannot send any other token to a server of its choice.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure, Outcome};
use crate::output::Format;

/// The server when none is named.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:9090";
/// The namespace when none is named.
pub const DEFAULT_NAMESPACE: &str = "default";
/// The name of a project's file.
const PROJECT_FILE: &str = ".tstr.toml";

/// Flags that every client command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct Flags {
    /// The API server [env: TSTR_SERVER] [default: http://127.0.0.1:9090]
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// The namespace [env: TSTR_NAMESPACE] [default: default]
    #[arg(long, short, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
    /// The file that holds the token [env: TSTR_TOKEN_FILE; or the token itself in TSTR_TOKEN]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The context of the configuration to use [env: TSTR_CONTEXT]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
}

/// A token; it is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Reads a token as it stands in a file, a variable or on the standard input.
    pub fn parse(text: &str, from: &str) -> Outcome<Self> {
        let token = text.trim();
        if token.is_empty() {
            return Err(Failure::new(Exit::Denied, format!("{from} holds no token")));
        }
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Failure::new(Exit::Denied, format!("what {from} holds is not one token")));
        }
        Ok(Self(token.to_owned()))
    }

    /// Reads a token from a file.
    pub fn from_file(path: &Path) -> Outcome<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(Exit::Denied, format!("cannot read the token in {}: {error}", path.display()))
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Returns the token, to be sent.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A named server with what belongs to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The token, as `login` keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The file that holds the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

/// The user's or the system's configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// The context that is used when none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// How answers are written when `-o` does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Format>,
    /// The contexts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, Context>,
}

/// A project's file: it names, it never holds a secret.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectFile {
    /// The server.
    pub server: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// The user's context to use.
    pub context: Option<String>,
}

/// The files, read.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The project's file and where it stands.
    pub project: Option<(PathBuf, ProjectFile)>,
    /// The user's configuration.
    pub user: ConfigFile,
    /// The system's configuration.
    pub system: ConfigFile,
}

/// What was decided.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The server.
    pub server: Url,
    /// The namespace.
    pub namespace: String,
    /// The token; without one only public addresses answer.
    pub token: Option<Secret>,
    /// Why no token is sent although there is one.
    pub withheld: Option<String>,
}

/// How the environment is asked; a variable that is empty counts as not set.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Asks the environment of the process.
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns where the user's configuration stands.
pub fn user_file(env: Env) -> Option<PathBuf> {
    let base = env("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| env("HOME").map(|home| PathBuf::from(home).join(".config")))?;
    Some(base.join("tstr/config.toml"))
}

impl Files {
    /// Reads the files as far as they are there.
    pub fn read(env: Env) -> Outcome<Self> {
        let project = std::env::current_dir().ok().and_then(|dir| find_project(&dir));
        let project = project.map(|path| read_project(&path).map(|file| (path, file))).transpose()?;
        let user = user_file(env).map(|path| read_config(&path)).transpose()?.unwrap_or_default();
        let system = read_config(Path::new("/etc/tstr/config.toml"))?;
        Ok(Self { project, user, system })
    }

    fn find(&self, name: &str) -> Option<&Context> {
        self.user.contexts.get(name).or_else(|| self.system.contexts.get(name))
    }
}

/// Reads a configuration; one that is not there is empty.
pub fn read_config(path: &Path) -> Outcome<ConfigFile> {
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| bad_file(path, &error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ConfigFile::default()),
        Err(error) => Err(Failure::usage(format!("cannot read {}: {error}", path.display()))),
    }
}

/// Writes the user's configuration, readable by nobody else, whole or not at all.
pub fn write_config(path: &Path, config: &ConfigFile) -> Outcome {
    let fault =
        |error: &dyn fmt::Display| Failure::new(Exit::Error, format!("cannot write {}: {error}", path.display()));
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| fault(&error))?;
    let text = toml::to_string(config).map_err(|error| fault(&error))?;
    write_private(path, text.as_bytes()).map_err(|error| fault(&error))
}

/// Writes a file of mode 0600, whole or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A temporary file is made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn find_project(from: &Path) -> Option<PathBuf> {
    from.ancestors().map(|folder| folder.join(PROJECT_FILE)).find(|path| path.is_file())
}

fn read_project(path: &Path) -> Outcome<ProjectFile> {
    let fault = |error: &dyn fmt::Display| Failure::usage(format!("cannot read {}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| fault(&error))?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| bad_file(path, &error))?;
    if let Some(secret) = ["token", "token_file"].iter().find(|key| table.contains_key(**key)) {
        return Err(Failure::usage(format!("{}: `{secret}` does not belong in a project's file", path.display()))
            .hint("keep it by `tstr ctl login --token-stdin`, or pass TSTR_TOKEN_FILE"));
    }
    toml::from_str(&text).map_err(|error| bad_file(path, &error))
}

fn bad_file(path: &Path, error: &toml::de::Error) -> Failure {
    Failure::usage(format!("{}: {}", path.display(), error.to_string().trim_end()))
}

/// Who named a server.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NamedBy {
    /// The person: a flag, the environment, the user's or the system's configuration, or nobody.
    Holder,
    /// A file of the folder that the person stands in.
    Project(PathBuf),
}

/// Decides server, namespace and token.
pub fn resolve(flags: &Flags, env: Env, files: &Files) -> Outcome<Profile> {
    let known = |name: Option<&str>| match name {
        None => Ok(None),
        Some(name) => match files.find(name) {
            Some(context) => Ok(Some((name.to_owned(), context))),
            None => Err(Failure::usage(format!("there is no context '{name}'")).hint("tstr ctl context list")),
        },
    };
    let project = files.project.as_ref().map(|(_, file)| file);
    let named_context = env("TSTR_CONTEXT");
    let by_flag = known(flags.context.as_deref())?;
    let by_env = known(named_context.as_deref())?;
    let by_project = known(project.and_then(|file| file.context.as_deref()))?;
    let by_config = known(files.user.current.as_deref().or(files.system.current.as_deref()))?;

    let of = |context: &Option<(String, &Context)>| context.as_ref().and_then(|(_, context)| context.server.clone());
    let project_path = files.project.as_ref().map(|(path, _)| path.clone()).unwrap_or_default();
    let candidates = [
        (flags.server.clone(), NamedBy::Holder),
        (of(&by_flag), NamedBy::Holder),
        (env("TSTR_SERVER"), NamedBy::Holder),
        (of(&by_env), NamedBy::Holder),
        (project.and_then(|file| file.server.clone()), NamedBy::Project(project_path)),
        (of(&by_project), NamedBy::Holder),
        (of(&by_config), NamedBy::Holder),
    ];
    let named = candidates.into_iter().find_map(|(server, by)| server.map(|server| (server, by)));
    let (server, named_by) = named.unwrap_or((DEFAULT_SERVER.to_owned(), NamedBy::Holder));
    let server = parse_server(&server)?;

    let space =
        |context: &Option<(String, &Context)>| context.as_ref().and_then(|(_, context)| context.namespace.clone());
    let namespace = (flags.namespace.clone())
        .or_else(|| space(&by_flag))
        .or_else(|| env("TSTR_NAMESPACE"))
        .or_else(|| space(&by_env))
        .or_else(|| project.and_then(|file| file.namespace.clone()))
        .or_else(|| space(&by_project))
        .or_else(|| space(&by_config))
        .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    tstr_shared::namespace::Namespace::parse(&namespace)
        .map_err(|fault| Failure::usage(format!("'{namespace}' is not a namespace: {fault}")))?;

    let selected = [&by_flag, &by_env, &by_project, &by_config].into_iter().flatten();
    let explicit = || -> Outcome<Option<Secret>> {
        if let Some(path) = &flags.token_file {
            return Secret::from_file(path).map(Some);
        }
        if let Some((name, context)) = &by_flag
            && let Some(token) = token_for(&server, [(name.as_str(), *context)])?
        {
            return Ok(Some(token));
        }
        if let Some(token) = env("TSTR_TOKEN") {
            return Secret::parse(&token, "TSTR_TOKEN").map(Some);
        }
        env("TSTR_TOKEN_FILE").map(|path| Secret::from_file(Path::new(&path))).transpose()
    };
    let stored = || {
        let all = files.user.contexts.iter().chain(&files.system.contexts);
        token_for(&server, selected.map(|(name, c)| (name.as_str(), *c)).chain(all.map(|(name, c)| (name.as_str(), c))))
    };
    let (token, withheld) = match &named_by {
        NamedBy::Holder => (explicit()?.map_or_else(stored, |token| Ok(Some(token)))?, None),
        NamedBy::Project(path) => {
            let token = stored()?;
            let has_other = flags.token_file.is_some() || env("TSTR_TOKEN").or(env("TSTR_TOKEN_FILE")).is_some();
            let withheld = (token.is_none() && has_other).then(|| {
                format!(
                    "{server} is named by {}, so no token is sent to it; name it yourself: TSTR_SERVER or --server",
                    path.display()
                )
            });
            (token, withheld)
        }
    };
    Ok(Profile { server, namespace, token, withheld })
}

/// Finds the token of the first context that is of this server and has one.
fn token_for<'a>(server: &Url, contexts: impl IntoIterator<Item = (&'a str, &'a Context)>) -> Outcome<Option<Secret>> {
    for (_, context) in contexts {
        let own = context.server.as_deref().unwrap_or(DEFAULT_SERVER);
        if parse_server(own).ok().as_ref() != Some(server) {
            continue;
        }
        if let Some(token) = &context.token {
            return Ok(Some(token.clone()));
        }
        if let Some(path) = &context.token_file {
            return Secret::from_file(path).map(Some);
        }
    }
    Ok(None)
}

/// Reads the address of a server.
pub fn parse_server(text: &str) -> Outcome<Url> {
    let fault = |why: &str| Failure::usage(format!("'{text}' is not the address of a server: {why}"));
    let mut url = Url::parse(text).map_err(|error| fault(&format!("{error}; write for instance {DEFAULT_SERVER}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(fault("it begins with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(fault("it holds nothing but scheme, host, port and path"));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// Tells whether a server is on this machine.
pub fn is_local(server: &Url) -> bool {
    let host = server.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
