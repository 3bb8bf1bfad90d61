//! Where the last lines of a log begin. Pure: pieces from the last one back, and a place for each stream.
//!
//! Lines are counted by where they end, over both streams in the order of arrival; what a stream has behind its last
//! line end is a line as well, and a cut ends a line. Each line that is counted is told from its beginning, also where
//! pieces of the other stream lie between its own.

use crate::store::log_reads::StoredChunk;

/// Looks for the beginning of the last lines.
#[derive(Debug)]
pub(super) struct Search {
    /// How many lines are still to be found.
    left: u32,
    streams: [Lines; 2],
    /// The last piece that was there when the search began.
    last: Option<i32>,
    /// The piece that was looked at last, the earliest of all.
    earliest: Spot,
    looked: u64,
}

#[derive(Debug, Default)]
struct Lines {
    /// A piece of the stream was looked at, and no cut was met since.
    is_inside: bool,
    /// A line that counts was found by its end and not yet by its beginning.
    is_open: bool,
    start: Option<Spot>,
}

/// A byte of a piece.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) seq: i32,
    /// Where the piece begins in its stream.
    pub(super) start: i64,
    pub(super) skip: usize,
}

/// What of a log is left out in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    /// The last piece that was there; those behind it are told whole.
    last: i32,
    starts: [Option<Spot>; 2],
}

impl Search {
    /// Looks for so many lines.
    pub(super) fn of(lines: u32) -> Self {
        let (streams, earliest) = Default::default();
        Self { left: lines, streams, last: None, earliest, looked: 0 }
    }

    /// Looks at the piece before those that were looked at; tells whether an earlier one is needed.
    pub(super) fn look(&mut self, chunk: &StoredChunk) -> bool {
        self.last.get_or_insert(chunk.seq);
        if self.is_done() {
            return false;
        }
        let spot = |skip| Spot { seq: chunk.seq, start: chunk.start, skip };
        self.earliest = spot(0);
        self.looked += chunk.body.len() as u64;
        let lines = &mut self.streams[chunk.stream.index()];
        if !lines.is_inside {
            lines.is_inside = true;
            if self.left > 0 && chunk.body.last() != Some(&b'\n') {
                self.left -= 1;
                lines.is_open = true;
            }
        }
        for at in (0..chunk.body.len()).rev().filter(|at| chunk.body[*at] == b'\n') {
            if lines.is_open {
                lines.start = Some(spot(at + 1));
                lines.is_open = false;
            }
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            lines.is_open = true;
        }
        if chunk.cut.is_some() {
            if lines.is_open {
                lines.start = Some(spot(0));
            }
            (lines.is_open, lines.is_inside) = (false, false);
        }
        !self.is_done()
    }

    fn is_done(&self) -> bool {
        self.left == 0 && self.streams.iter().all(|lines| !lines.is_open)
    }

    /// Returns how many bytes were looked at.
    pub(super) fn looked(&self) -> u64 {
        self.looked
    }

    /// Returns the piece that was looked at last.
    pub(super) fn earliest(&self) -> Spot {
        self.earliest
    }

    /// Ends the search; lines whose beginnings were not found are told from the earliest piece on.
    pub(super) fn end(self) -> Option<Tail> {
        let earliest = self.earliest;
        let starts = self.streams.map(|lines| if lines.is_open { Some(earliest) } else { lines.start });
        Some(Tail { last: self.last?, starts })
    }
}

impl Tail {
    /// Returns where reading begins.
    pub(super) fn first(&self) -> Option<Spot> {
        self.starts.iter().flatten().min_by_key(|spot| spot.seq).copied()
    }

    /// Returns the number of the last piece of which anything may be left out.
    pub(super) fn last(&self) -> i32 {
        self.last
    }

    /// Leaves out what comes before the last lines; nothing may be left of a piece.
    pub(super) fn trim(&self, mut chunk: StoredChunk) -> Option<StoredChunk> {
        if chunk.seq > self.last {
            return Some(chunk);
        }
        let start = self.starts[chunk.stream.index()].filter(|start| start.seq <= chunk.seq)?;
        if start.seq == chunk.seq && start.skip > 0 {
            chunk.body = chunk.body.slice(start.skip..);
            chunk.cut = None;
        }
        Some(chunk).filter(|chunk| !chunk.body.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;
    use proptest::prelude::*;
    use tstr_shared::logs::Stream;

    use super::*;

    fn chunks(list: &[(Stream, &str, bool)]) -> Vec<StoredChunk> {
        let chunk = |(seq, (stream, text, cut)): (usize, &(Stream, &str, bool))| StoredChunk {
            seq: seq as i32,
            stream: *stream,
            start: 0,
            reported_at: DateTime::UNIX_EPOCH,
            cut: cut.then_some(7),
            body: Bytes::copy_from_slice(text.as_bytes()),
        };
        list.iter().enumerate().map(chunk).collect()
    }

    fn tail(lines: u32, list: &[(Stream, &str, bool)]) -> Vec<(Stream, String)> {
        let mut search = Search::of(lines);
        for chunk in chunks(list).iter().rev() {
            if !search.look(chunk) {
                break;
            }
        }
        let Some(tail) = search.end() else { return Vec::new() };
        let kept = chunks(list).into_iter().filter_map(|chunk| tail.trim(chunk));
        let mut told: Vec<(Stream, String)> = Vec::new();
        for chunk in kept {
            assert!(tail.first().is_some_and(|first| first.seq <= chunk.seq));
            let text = String::from_utf8(chunk.body.to_vec()).unwrap();
            told.push((chunk.stream, text));
        }
        told
    }

    /// The last lines, found by reading all of it: each line of each stream, ordered by where it ends.
    fn expected(lines: usize, list: &[(Stream, &str, bool)]) -> [String; 2] {
        let (mut ended, mut open) = (Vec::new(), [(String::new(), 0), (String::new(), 0)]);
        for (seq, (stream, text, cut)) in list.iter().enumerate() {
            let own = stream.index();
            if *cut && !open[own].0.is_empty() {
                ended.push((open[own].1, own, std::mem::take(&mut open[own].0)));
            }
            for (i, c) in text.char_indices() {
                open[own].0.push(c);
                open[own].1 = seq * 1000 + i;
                if c == '\n' {
                    ended.push((open[own].1, own, std::mem::take(&mut open[own].0)));
                }
            }
        }
        for (own, (text, at)) in open.into_iter().enumerate() {
            if !text.is_empty() {
                ended.push((at, own, text));
            }
        }
        ended.sort();
        let mut told = [String::new(), String::new()];
        for (_, own, text) in ended.split_off(ended.len().saturating_sub(lines)) {
            told[own] += &text;
        }
        told
    }

    proptest! {
        #[test]
        fn the_last_lines_are_those_of_the_whole_log(
            list in prop::collection::vec((any::<bool>(), "[ab\n]{1,8}"), 0..14),
            cuts in (0usize..20, 0usize..20),
            lines in 0u32..12,
        ) {
            let mut seen = [0, 0];
            let list: Vec<_> = list.iter().map(|(err, text)| {
                let own = usize::from(*err);
                seen[own] += 1;
                // Each stream is cut once at most.
                let cut = seen[own] == [cuts.0, cuts.1][own];
                (Stream::ALL[own], text.as_str(), cut)
            }).collect();
            let told = tail(lines, &list);
            let of = |stream| told.iter().filter(|(s, _)| *s == stream).map(|(_, text)| text.as_str()).collect::<String>();
            prop_assert_eq!([of(Stream::Stdout), of(Stream::Stderr)], expected(lines as usize, &list));
        }
    }

    #[test]
    fn a_line_that_is_parted_by_the_other_stream_is_told_whole() {
        let (out, err) = (Stream::Stdout, Stream::Stderr);
        let list = [(out, "one\ntw", false), (err, "x\n", false), (out, "o\n", false), (err, "y", false)];
        let of = |lines| tail(lines, &list).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(of(0), [""; 0]);
        assert_eq!(of(1), ["y"]);
        assert_eq!(of(2), ["tw", "o\n", "y"]);
        assert_eq!(of(3), ["tw", "x\n", "o\n", "y"]);
        assert_eq!(of(4), ["one\ntw", "x\n", "o\n", "y"]);
    }
}
