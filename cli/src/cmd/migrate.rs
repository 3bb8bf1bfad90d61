//! `tstr migrate`: brings the schema of a database up to date, and nothing else.

use tracing::info;

use super::serve::Served;

/// Flags of `tstr migrate`.
#[derive(Debug, Clone, clap::Args)]
#[command(before_help = "Examples:\n  tstr migrate --pg-dsn postgres://tstr@localhost/tstr")]
pub struct Flags {
    /// The PostgreSQL database
    #[arg(long, env = "TSTR_PG_DSN", value_name = "URL")]
    pg_dsn: String,
}

/// The flags, with those that all servers have.
pub type MigrateArgs = Served<Flags>;

/// Runs the command.
///
/// # Errors
/// The database cannot be reached, or a migration fails.
pub async fn run(flags: Flags) -> anyhow::Result<()> {
    tstr_api::migrate(&flags.pg_dsn).await?;
    info!("the schema is up to date");
    Ok(())
}
