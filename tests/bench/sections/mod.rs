//! The sections: each makes its own databases and can be run by itself.

pub mod cases;
pub mod claims;
pub mod classes;
pub mod cron;
pub mod depth;
pub mod enqueue;
mod graphile;
pub mod lives;
pub mod logs;
pub mod notify;
pub mod pinned;
pub mod start;
pub mod summary;
pub mod volume;
pub mod waiting;
pub mod wake;

use crate::goals::Goal;

/// What a section found out.
pub struct Found {
    /// Its tables as Markdown.
    pub text: String,
    /// The goals that it measured.
    pub goals: Vec<Goal>,
}
