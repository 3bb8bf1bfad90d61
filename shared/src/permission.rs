//! The whole policy in one table: which scope grants which permission.

use serde::{Deserialize, Serialize};

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Tokens and namespaces, and all that `control` and `data` may do.
    Admin,
    /// Writes tests and runs.
    Control,
    /// Reads.
    Data,
    /// Executes runs.
    Runner,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Control, Self::Data, Self::Runner];

    /// Returns the word that stands in JSON and in tokens.
    pub fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Control => "control",
            Self::Data => "data",
            Self::Runner => "runner",
        }
    }
}

impl std::str::FromStr for Scope {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scope| scope.word() == word);
        found.ok_or_else(|| format!("'{word}' is no scope; scopes are admin, control, data, runner"))
    }
}

/// Something that a token may or may not do. Implemented only by the types of this module.
pub trait Permission: Send + Sync + 'static {
    /// The name, as it stands in the OpenAPI document's `x-permission`.
    const NAME: &'static str;
    /// The scopes that grant it; any one is enough.
    const SCOPES: &'static [Scope];
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $word:literal: $($scope:ident)|+;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;
            impl Permission for $name {
                const NAME: &'static str = $word;
                const SCOPES: &'static [Scope] = &[$(Scope::$scope),+];
            }
        )+

        /// The table: each permission's name and the scopes that grant it.
        pub const TABLE: &[(&str, &[Scope])] = &[$(($word, <$name as Permission>::SCOPES)),+];
    };
}

permissions! {
    /// Ask who one is.
    IdentityRead = "identity:read": Admin | Control | Data | Runner;
    /// Sign a browser in as oneself.
    SessionsOpen = "sessions:open": Admin | Control | Data;
    /// Read namespaces.
    NamespacesRead = "namespaces:read": Admin | Control | Data;
    /// Create and change namespaces.
    NamespacesWrite = "namespaces:write": Admin;
    /// Read tests.
    TestsRead = "tests:read": Admin | Control | Data;
    /// Register, change and delete tests.
    TestsWrite = "tests:write": Admin | Control;
    /// Save views of one's own; shared ones need `tests:write` as well.
    ViewsWrite = "views:write": Admin | Control | Data;
    /// Read runs and their logs.
    RunsRead = "runs:read": Admin | Control | Data;
    /// Trigger, cancel and retry runs.
    RunsWrite = "runs:write": Admin | Control;
    /// Read runners.
    RunnersRead = "runners:read": Admin | Control | Data;
    /// Drain and resume runners.
    RunnersWrite = "runners:write": Admin | Control;
    /// Execute runs.
    RunsExecute = "runs:execute": Runner;
    /// Read tokens.
    TokensRead = "tokens:read": Admin;
    /// Issue and revoke tokens.
    TokensWrite = "tokens:write": Admin;
    /// Read the server's metrics from elsewhere than its own host.
    MetricsRead = "metrics:read": Admin;
}

/// Finds the scopes of a permission by its name.
pub fn scopes_of(name: &str) -> Option<&'static [Scope]> {
    TABLE.iter().find(|(known, _)| *known == name).map(|(_, scopes)| *scopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_may_only_execute_and_ask_who_it_is() {
        let granted: Vec<_> = TABLE.iter().filter(|(_, s)| s.contains(&Scope::Runner)).map(|(n, _)| *n).collect();
        assert_eq!(granted, ["identity:read", "runs:execute"]);
    }

    #[test]
    fn data_only_reads() {
        let granted = TABLE.iter().filter(|(_, s)| s.contains(&Scope::Data)).map(|(n, _)| *n);
        // Whoever signs in does so to read, and views are how one reads.
        let own = ["sessions:open", "views:write"];
        assert!(granted.filter(|n| !own.contains(n)).all(|n| n.ends_with(":read")));
    }
}
