//! Saved views: a name for what a page of the web UI shows, which is all in its address.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::Invalid;

/// How many views a namespace shares at most, and how many of its own a token has there.
pub const MOST_VIEWS: u32 = 100;
const MAX_NAME: usize = 64;
const MAX_PAGE: usize = 64;
const MAX_QUERY: usize = 2048;

/// What a view shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PutView {
    /// The page below the namespace, for instance `tests`; at most 64 letters, digits, `-` and `/`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64)))]
    pub page: String,
    /// The query of its address, without the question mark; at most 2048 bytes.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = 2048)))]
    pub query: String,
    /// Everybody who sees the namespace has it; else only the token that saves it.
    #[serde(default)]
    pub shared: bool,
}

/// A saved view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SavedView {
    /// Its name: one among those that are shared, and one among those of the token.
    pub name: String,
    /// The page below the namespace.
    pub page: String,
    /// The query of its address.
    pub query: String,
    /// Everybody who sees the namespace has it.
    pub shared: bool,
    /// Who saved it last.
    pub saved_by: String,
    /// When.
    pub saved_at: DateTime<Utc>,
}

/// The views that somebody has in a namespace: the shared ones and their own, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SavedViews {
    /// The views.
    pub items: Vec<SavedView>,
}

/// Checks the name of a view: 1 to 64 characters, no slash and no control characters.
///
/// # Errors
/// Says what a name is like.
pub fn check_view_name(name: &str) -> Result<(), String> {
    let is_good = (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(|c| c == '/' || c.is_control());
    if is_good { Ok(()) } else { Err("a view has a name of 1 to 64 characters without slashes".to_owned()) }
}

impl PutView {
    /// Checks it, with the name that it is saved under.
    ///
    /// # Errors
    /// Names every fault.
    pub fn validate(&self, name: &str) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        if let Err(fault) = check_view_name(name) {
            invalid.add("/name", fault);
        }
        let is_page = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '/';
        if !(1..=MAX_PAGE).contains(&self.page.len()) || !self.page.chars().all(is_page) || self.page.starts_with('/') {
            invalid.add("/page", "a page is 1 to 64 letters, digits, hyphens and slashes, and begins with no slash");
        }
        if self.query.len() > MAX_QUERY || self.query.chars().any(|c| c.is_control() || c == '#') {
            invalid.add("/query", format!("a query has at most {MAX_QUERY} bytes, no control characters and no '#'"));
        }
        invalid.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(page: &str, query: &str) -> PutView {
        PutView { page: page.into(), query: query.into(), shared: false }
    }

    #[test]
    fn every_fault_of_a_view_is_named() {
        assert!(view("tests", "state=fail&q=ä%20b").validate("my view").is_ok());
        let places = |view: PutView, name: &str| -> Vec<String> {
            view.validate(name).unwrap_err().errors.into_iter().map(|fault| fault.pointer).collect()
        };
        assert_eq!(places(view("", "a#b"), "a/b"), ["/name", "/page", "/query"]);
        assert_eq!(places(view("//evil.example", ""), "x"), ["/page"]);
        assert_eq!(places(view(&"x".repeat(65), &"y".repeat(2049)), &"z".repeat(65)), ["/name", "/page", "/query"]);
    }
}
