//! From database errors to ours: the one map of constraint names, and which failures are worth a repeat.

use tstr_shared::error::ErrorCode;

use crate::error::Error;

/// The sentence for each constraint that a client can run into.
fn conflict_of(constraint: &str) -> Option<&'static str> {
    match constraint {
        "test_ns_name_key" => Some("a test with this name exists in the namespace"),
        "namespace_name_key" => Some("a namespace with this name exists"),
        "saved_view_own_key" | "saved_view_shared_key" => Some("a view with this name was saved at the same time"),
        _ => None,
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                if let Some(sentence) = database.constraint().and_then(conflict_of) {
                    return Error::conflict(sentence);
                }
                // Class 08 connection, 53 resources, 57 operator intervention (shutdown, statement timeout);
                // 40001, 40P01 serialization and deadlock; 55P03 lock timeout; 25006 a read-only standby.
                let code = database.code().unwrap_or_default();
                if matches!(code.as_ref(), "22021" | "22P05") {
                    return Error::malformed("a text holds a NUL character");
                }
                let transient = ["08", "53", "57", "40"].iter().any(|class| code.starts_with(class))
                    || code == "55P03"
                    || code == "25006";
                if transient { Error::unavailable(error) } else { Error::internal(error) }
            }
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Error::unavailable(error)
            }
            sqlx::Error::RowNotFound => Error::not_found("row"),
            _ => Error::internal(error),
        }
    }
}

/// Tells whether a statement gave up waiting for a lock.
pub fn is_lock_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database) if database.code().as_deref() == Some("55P03"))
}

/// Tells whether a statement was given up because it and others waited for each other.
pub fn is_deadlock(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database) if database.code().as_deref() == Some("40P01"))
}

/// Tells whether a row with this key was there already.
pub fn is_taken(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database) if database.is_unique_violation())
}

/// Tells whether a failure of the connection left it open whether the last statement took effect.
pub fn is_unavailable(error: &Error) -> bool {
    error.code() == ErrorCode::Unavailable
}

/// Tells whether a failure comes from what some row holds, so that the same statement may go well for others: SQLSTATE class 22
/// (data), 23 (constraints), XX001 and XX002 (damage), and what could not be decoded here.
pub fn is_of_data(error: &Error) -> bool {
    match error.source().and_then(|source| source.downcast_ref::<sqlx::Error>()) {
        Some(sqlx::Error::Database(database)) => {
            let code = database.code().unwrap_or_default();
            ["22", "23"].iter().any(|class| code.starts_with(class)) || matches!(code.as_ref(), "XX001" | "XX002")
        }
        Some(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => true,
        _ => false,
    }
}
