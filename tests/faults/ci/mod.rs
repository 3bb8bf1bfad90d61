//! The rows that every change must pass: fixed seeds, ten minutes together on two cores.

mod api;
mod artifacts;
mod containers;
mod database;
mod disk;
pub mod flood;
mod schedule;
pub mod workers;
