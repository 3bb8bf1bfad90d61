//! Parts of bytes: what the header `Range` asks for (RFC 9110).

use std::ops::Range;

use axum::http::StatusCode;
use axum::http::header::CONTENT_RANGE;
use axum::response::{IntoResponse, Response};
use tstr_shared::error::Invalid;

use super::error::Failure;
use crate::error::Error;

/// A wish for a part of bytes whose number is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// From this byte on.
    From(u64),
    /// From this byte to that one, both included.
    Between(u64, u64),
    /// The last so many bytes.
    Last(u64),
}

impl Wish {
    /// Reads a single range. Others, and what is none, are ignored: the whole is then the right answer.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (unit, range) = header.split_once('=')?;
        let (first, last) = range.trim().split_once('-').filter(|_| unit.trim().eq_ignore_ascii_case("bytes"))?;
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        match (first.trim(), last.trim()) {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From(number(first)?)),
            (first, last) => Some(Self::Between(number(first)?, number(last)?)).filter(|wish| !wish.is_backwards()),
        }
    }

    fn is_backwards(&self) -> bool {
        matches!(self, Self::Between(first, last) if last < first)
    }

    /// Returns the part within `size` bytes, if any of it is there.
    pub(super) fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first) => first..size,
            Self::Between(first, last) => first..size.min(last.saturating_add(1)),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// Answers that a thing has no bytes where they are asked for.
pub(super) fn beyond(thing: &str, size: u64) -> Response {
    let error = Error::invalid(Invalid::one("Range", format!("{thing} has {size} bytes")));
    let failure = Failure::with_status(error, StatusCode::RANGE_NOT_SATISFIABLE);
    ([(CONTENT_RANGE, format!("bytes */{size}"))], failure).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_and_everything_else_means_the_whole() {
        for (text, wish) in [
            ("bytes=0-0", Wish::Between(0, 0)),
            ("bytes=5-", Wish::From(5)),
            ("Bytes = 5-9", Wish::Between(5, 9)),
            ("bytes=-3", Wish::Last(3)),
        ] {
            assert_eq!(Wish::parse(text), Some(wish), "{text}");
        }
        for text in ["bytes=1-2,4-5", "bytes=9-5", "bytes=-", "bytes=a-b", "items=0-1", "bytes", "bytes=+1-2", ""] {
            assert_eq!(Wish::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_range_is_cut_at_the_end_and_refused_behind_it() {
        assert_eq!(Wish::From(5).within(10), Some(5..10));
        assert_eq!(Wish::Between(5, 99).within(10), Some(5..10));
        assert_eq!(Wish::Between(5, u64::MAX).within(10), Some(5..10));
        assert_eq!(Wish::Last(3).within(10), Some(7..10));
        assert_eq!(Wish::Last(30).within(10), Some(0..10));
        for wish in [Wish::From(10), Wish::Between(10, 12), Wish::Last(0)] {
            assert_eq!(wish.within(10), None, "{wish:?}");
        }
        assert_eq!(Wish::From(0).within(0), None);
    }
}
