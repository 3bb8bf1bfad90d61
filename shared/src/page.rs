//! Pages of a list.

use serde::{Deserialize, Serialize};

/// The size of a page when none is asked for.
pub const DEFAULT_PAGE_SIZE: u32 = 50;
/// The largest page; a larger wish is lowered to it.
pub const MAX_PAGE_SIZE: u32 = 1000;

/// Which page of a list is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// How many items at most; 0 means the default.
    pub size: u32,
    /// Where the last page ended; empty for the first page.
    pub token: String,
}

impl PageRequest {
    /// Returns the size within its limits.
    pub fn limit(&self) -> u32 {
        match self.size {
            0 => DEFAULT_PAGE_SIZE,
            size => size.min(MAX_PAGE_SIZE),
        }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "{T}Page"))]
pub struct Page<T> {
    /// The items; there may be fewer than were asked for.
    pub items: Vec<T>,
    /// Pass it as `page_token` to get the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

impl<T> Page<T> {
    /// Turns the items into others.
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(each).collect(), next_page_token: self.next_page_token }
    }
}
