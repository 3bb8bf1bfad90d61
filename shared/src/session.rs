//! Sessions of people in a browser: signing in with a token or with a code that works once.
//!
//! A session is the right of a token for at most [`SESSION`], kept by the browser where no script reads it. A code stands
//! in a link so that the token itself need not be copied; it is good for one sign-in.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::duration::Seconds;
use crate::error::Invalid;

/// How long a session lasts at most; it ends with its token.
pub const SESSION: Seconds = Seconds::hours(12);
/// How long a code can be used.
pub const CODE: Seconds = Seconds(600);
/// How many codes of one token can wait to be used.
pub const MOST_CODES: u32 = 20;

/// With what somebody signs in: one of the two.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// A token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A code from a sign-in link, which works once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What somebody signs in with, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof<'a> {
    /// A token.
    Token(&'a str),
    /// A code.
    Code(&'a str),
}

impl SignIn {
    /// Returns the one that is given.
    ///
    /// # Errors
    /// Neither is given, or both are.
    pub fn proof(&self) -> Result<Proof<'_>, Invalid> {
        match (&self.token, &self.code) {
            (Some(token), None) => Ok(Proof::Token(token.trim())),
            (None, Some(code)) => Ok(Proof::Code(code.trim())),
            (None, None) => Err(Invalid::one("", "either a token or a code is needed")),
            (Some(_), Some(_)) => Err(Invalid::one("/code", "there is a token already; one of the two is enough")),
        }
    }
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |given: &Option<String>| given.as_ref().map(|_| "…");
        f.debug_struct("SignIn").field("token", &word(&self.token)).field("code", &word(&self.code)).finish()
    }
}

/// A code that signs somebody in once, as the token that asked for it. It is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionCode {
    /// The code.
    pub code: String,
    /// Until when it can be used.
    pub expires_at: DateTime<Utc>,
    /// The link that signs in with it; absent where the server does not know where its web UI is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

impl SessionCode {
    /// Returns the link of a code for the web UI at an address. The code stands behind `#`, which browsers send to nobody,
    /// so that it gets into no log.
    pub fn link_of(ui: &str, code: &str) -> String {
        format!("{}/signin#code={code}", ui.trim_end_matches('/'))
    }
}

impl fmt::Debug for SessionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCode").field("code", &"…").field("expires_at", &self.expires_at).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign_in(token: Option<&str>, code: Option<&str>) -> SignIn {
        SignIn { token: token.map(str::to_owned), code: code.map(str::to_owned) }
    }

    #[test]
    fn one_proof_is_enough_and_two_are_too_many() {
        assert_eq!(sign_in(Some(" t "), None).proof(), Ok(Proof::Token("t")));
        assert_eq!(sign_in(None, Some("c")).proof(), Ok(Proof::Code("c")));
        assert!(sign_in(None, None).proof().is_err() && sign_in(Some("t"), Some("c")).proof().is_err());
    }

    #[test]
    fn secrets_are_not_shown_by_debug() {
        let text = format!("{:?}", sign_in(Some("secret"), Some("secret")));
        let code = SessionCode { code: "secret".into(), expires_at: DateTime::UNIX_EPOCH, link: Some("secret".into()) };
        assert!(!text.contains("secret") && !format!("{code:?}").contains("secret"));
    }

    #[test]
    fn the_code_of_a_link_stands_behind_the_hash() {
        assert_eq!(SessionCode::link_of("http://h/tools/", "c"), "http://h/tools/signin#code=c");
    }
}
