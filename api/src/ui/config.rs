//! What `tstr ui` is told by flags, environment or file.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// The settings of the UI. Every flag can also be given in the environment.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where the UI listens; port 0 takes a free one
    #[arg(long, env = "TSTR_UI_ADDR", default_value_t = Config::ADDR)]
    pub addr: SocketAddr,

    /// The JSON API that `/api` is passed on to
    #[arg(long, env = "TSTR_API_BASE_URL", value_name = "URL", default_value = Config::API_BASE_URL)]
    pub api_base_url: String,

    /// The path below which people find the UI, for instance /tools/tstr, where a proxy serves other things as well
    #[arg(long, env = "TSTR_UI_BASE_PATH", value_name = "PATH", default_value = "/")]
    pub base_path: BasePath,

    /// Serve the files of this folder, as `npm run build` leaves them in ui/dist, instead of those that are built in
    #[arg(long, env = "TSTR_UI_FILES", value_name = "DIR")]
    pub files: Option<PathBuf>,

    /// Speak unencrypted HTTP on an address other than loopback
    #[arg(long, env = "TSTR_INSECURE_PLAINTEXT")]
    pub insecure_plaintext: bool,
}

impl Config {
    /// Where the UI listens unless it is told.
    pub const ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
    const API_BASE_URL: &str = "http://127.0.0.1:9090";

    /// Makes the settings for an API, all else as by default.
    pub fn new(api_base_url: impl Into<String>) -> Self {
        Self {
            addr: Self::ADDR,
            api_base_url: api_base_url.into(),
            base_path: BasePath::default(),
            files: None,
            insecure_plaintext: false,
        }
    }

    /// Checks the settings; reports all faults at once.
    pub fn check(&self) -> anyhow::Result<()> {
        let mut faults = Vec::new();
        if let Err(fault) = super::base_url(&self.api_base_url) {
            faults.push(format!("{fault:#}"));
        }
        if !self.addr.ip().is_loopback() && !self.insecure_plaintext {
            faults.push(format!(
                "--addr {} is not loopback and would be unencrypted; put a TLS proxy in front of a loopback address, or \
                 say --insecure-plaintext",
                self.addr
            ));
        }
        anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(())
    }
}

/// The path below which the UI is found: empty at the root, else `/like/this`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    /// Returns the path without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes the base off a path. A proxy in front may have done so already, then the path is as it should be.
    pub(super) fn strip<'a>(&self, path: &'a str) -> &'a str {
        match path.strip_prefix(&self.0) {
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        }
    }

    /// Tells whether a path is the base itself, and lacks the slash that pages need.
    pub(super) fn is_without_slash(&self, path: &str) -> bool {
        !self.0.is_empty() && path == self.0
    }
}

impl FromStr for BasePath {
    type Err = String;

    /// Reads `/like/this`, with or without a slash at its end.
    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.is_empty() {
            return Ok(Self::default());
        }
        let is_plain = |part: &str| {
            !["", ".", ".."].contains(&part) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b))
        };
        match path.strip_prefix('/') {
            Some(rest) if path.len() <= 256 && rest.split('/').all(is_plain) => Ok(Self(path.to_owned())),
            _ => Err("a base path is like /tools/tstr: letters, digits and ._~- between slashes".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> BasePath {
        text.parse().unwrap()
    }

    #[test]
    fn a_base_path_is_a_plain_path() {
        for (given, kept) in
            [("/", ""), ("", ""), ("/a", "/a"), ("/tools/tstr/", "/tools/tstr"), ("/a.b/~c", "/a.b/~c")]
        {
            assert_eq!(base(given).as_str(), kept, "{given}");
        }
        for bad in ["a", "//", "//evil.example", "/a//b", "/a/../b", "/a\"><x", "/a b", "/%2e", "http://h/a"] {
            assert!(bad.parse::<BasePath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_base_is_taken_off_unless_a_proxy_has_done_so() {
        let tools = base("/tools/tstr");
        for (asked, left) in [
            ("/tools/tstr/", "/"),
            ("/tools/tstr/ns/a", "/ns/a"),
            ("/ns/a", "/ns/a"),
            ("/tools/tstrx/a", "/tools/tstrx/a"),
        ] {
            assert_eq!(tools.strip(asked), left);
        }
        assert!(tools.is_without_slash("/tools/tstr") && !tools.is_without_slash("/tools/tstr/"));
        assert!(!base("/").is_without_slash("") && base("/").strip("/x") == "/x");
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let config = Config { addr: "0.0.0.0:1".parse().unwrap(), ..Config::new("nowhere") };
        let text = config.check().unwrap_err().to_string();
        assert!(text.contains("--api-base-url") && text.contains("--insecure-plaintext"), "{text}");
        assert!(Config::new(Config::API_BASE_URL).check().is_ok());
    }
}
