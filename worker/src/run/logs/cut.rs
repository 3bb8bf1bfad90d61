//! Cuts the output of a container into chunks. Pure: bytes and instants in, chunks out.
//!
//! Nothing is added, lost or changed: per stream the chunks in their order are the bytes that came in. A chunk ends
//! at a line's end where one is near, else at the end of a UTF-8 character, else anywhere. A change of stream starts
//! a new chunk, so that the order of arrival is kept across the two.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tstr_shared::logs::{MAX_CHUNK, Stream};

/// A chunk of this size is cut at its last line end.
const WANTED: usize = 64 * 1024;
/// Output waits this long for more of it.
const PATIENCE: Duration = Duration::from_millis(250);
/// A container that changes streams more often than this within `PATIENCE` gets them parted: one chunk a line would
/// cost more than the order is worth.
const MAX_SWITCHES: u32 = 200;

/// A chunk that has been cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) stream: Stream,
    /// When its first byte was read.
    pub(crate) at: DateTime<Utc>,
    pub(crate) data: Vec<u8>,
}

/// Output that has not been cut yet.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    buffers: [Buffer; 2],
    /// When the pending output is cut whatever it is.
    due: Option<Instant>,
    /// The end of the current window and the changes of stream within it.
    window: Option<(Instant, u32)>,
}

#[derive(Debug, Default)]
struct Buffer {
    data: Vec<u8>,
    at: DateTime<Utc>,
    /// Where the last whole line ends; kept, for to look for it again with every frame would take longer the longer
    /// a line is.
    line_end: usize,
    /// The head of the buffer has waited once already for the rest of its line.
    waited: bool,
}

impl Cutter {
    /// Takes output; appends the chunks that are ready to `cuts`.
    pub(crate) fn push(
        &mut self,
        stream: Stream,
        mut data: &[u8],
        at: DateTime<Utc>,
        now: Instant,
        cuts: &mut Vec<Cut>,
    ) {
        if data.is_empty() {
            return;
        }
        let (own, other) = (stream.index(), 1 - stream.index());
        if !self.buffers[other].data.is_empty() && self.may_switch(now) {
            self.flush(other, cuts);
        }
        while !data.is_empty() {
            let buffer = &mut self.buffers[own];
            if buffer.data.is_empty() {
                buffer.at = at;
            }
            let (head, rest) = data.split_at(data.len().min(MAX_CHUNK - buffer.data.len()));
            if let Some(end) = head.iter().rposition(|b| *b == b'\n') {
                buffer.line_end = buffer.data.len() + end + 1;
            }
            buffer.data.extend_from_slice(head);
            data = rest;
            if buffer.data.len() >= WANTED && buffer.line_end > 0 {
                let end = buffer.line_end;
                self.take(own, end, at, cuts);
            } else if buffer.data.len() == MAX_CHUNK {
                let end = character_end(&buffer.data);
                self.take(own, end, at, cuts);
            }
        }
        if self.due.is_none() && self.is_pending() {
            self.due = Some(now + PATIENCE);
        }
    }

    /// Returns when [`Cutter::tick`] is to be called, if anything waits.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Cuts what has waited long enough: whole lines, and the rest of a line that has waited twice as long.
    pub(crate) fn tick(&mut self, now: Instant, cuts: &mut Vec<Cut>) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        let older = usize::from(self.buffers[1].at < self.buffers[0].at);
        for i in [older, 1 - older] {
            let buffer = &mut self.buffers[i];
            if buffer.data.is_empty() {
                continue;
            }
            let end = match buffer.line_end {
                1.. => buffer.line_end,
                0 if buffer.waited => character_end(&buffer.data),
                0 => {
                    buffer.waited = true;
                    continue;
                }
            };
            let at = buffer.at;
            self.take(i, end, at, cuts);
            self.buffers[i].waited = !self.buffers[i].data.is_empty();
        }
        self.due = self.is_pending().then_some(now + PATIENCE);
    }

    /// Cuts all that is left.
    pub(crate) fn finish(&mut self, cuts: &mut Vec<Cut>) {
        let older = usize::from(self.buffers[1].at < self.buffers[0].at);
        self.flush(older, cuts);
        self.flush(1 - older, cuts);
        self.due = None;
    }

    fn is_pending(&self) -> bool {
        self.buffers.iter().any(|buffer| !buffer.data.is_empty())
    }

    /// Counts a change of stream; tells whether it is to start a new chunk.
    fn may_switch(&mut self, now: Instant) -> bool {
        match &mut self.window {
            Some((end, count)) if now < *end => {
                *count += 1;
                *count <= MAX_SWITCHES
            }
            _ => {
                self.window = Some((now + PATIENCE, 1));
                true
            }
        }
    }

    fn flush(&mut self, i: usize, cuts: &mut Vec<Cut>) {
        let (end, at) = (self.buffers[i].data.len(), self.buffers[i].at);
        if end > 0 {
            self.take(i, end, at, cuts);
        }
    }

    /// Cuts the first `end` bytes of a buffer; what is left was read at `at`.
    fn take(&mut self, i: usize, end: usize, at: DateTime<Utc>, cuts: &mut Vec<Cut>) {
        let buffer = &mut self.buffers[i];
        let rest = buffer.data.split_off(end);
        let data = std::mem::replace(&mut buffer.data, rest);
        cuts.push(Cut { stream: Stream::ALL[i], at: buffer.at, data });
        buffer.at = at;
        // A cut behind the last whole line leaves none; any other cut is made where there is none.
        buffer.line_end = 0;
        buffer.waited = false;
    }
}

/// Returns where the last whole UTF-8 character ends; the end of the bytes where they are no UTF-8 at all.
fn character_end(data: &[u8]) -> usize {
    let len = data.len();
    // The first byte of a character that is cut short is one of the last three.
    for back in 1..=len.min(3) {
        let byte = data[len - back];
        if byte & 0b1100_0000 == 0b1000_0000 {
            continue;
        }
        let wants = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 1,
        };
        let end = if wants > back { len - back } else { len };
        return if end == 0 { len } else { end };
    }
    len
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis.cast_signed()).unwrap()
    }

    fn stream() -> impl Strategy<Value = Stream> {
        prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)]
    }

    fn bytes_of(cuts: &[Cut], stream: Stream) -> Vec<u8> {
        cuts.iter().filter(|cut| cut.stream == stream).flat_map(|cut| cut.data.clone()).collect()
    }

    proptest! {
        #[test]
        fn per_stream_the_chunks_are_what_came_in(
            frames in prop::collection::vec((stream(), prop::collection::vec(any::<u8>(), 0..9000), 0u64..400), 0..60),
            repeat in 1usize..12,
        ) {
            let origin = Instant::now();
            let (mut cutter, mut cuts, mut millis) = (Cutter::default(), Vec::new(), 0);
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            for (stream, data, pause) in frames {
                let data = data.repeat(repeat);
                millis += pause;
                let now = origin + Duration::from_millis(millis);
                cutter.tick(now, &mut cuts);
                cutter.push(stream, &data, at(millis), now, &mut cuts);
                if stream == Stream::Stdout { stdout.extend(data) } else { stderr.extend(data) }
            }
            cutter.finish(&mut cuts);
            prop_assert!(cuts.iter().all(|cut| !cut.data.is_empty() && cut.data.len() <= MAX_CHUNK));
            prop_assert_eq!(bytes_of(&cuts, Stream::Stdout), stdout);
            prop_assert_eq!(bytes_of(&cuts, Stream::Stderr), stderr);
            prop_assert!(!cutter.is_pending() && cutter.due().is_none());
        }

        #[test]
        fn text_is_never_cut_inside_a_character(text in "[a-zäöü€𝄞]{1,2000}", size in 1usize..50) {
            let origin = Instant::now();
            let (mut cutter, mut cuts) = (Cutter::default(), Vec::new());
            for (i, frame) in text.repeat(60).as_bytes().chunks(size * 97).enumerate() {
                let millis = i as u64 * 120;
                cutter.tick(origin + Duration::from_millis(millis), &mut cuts);
                cutter.push(Stream::Stdout, frame, at(millis), origin + Duration::from_millis(millis), &mut cuts);
            }
            cutter.finish(&mut cuts);
            prop_assert!(cuts.iter().all(|cut| std::str::from_utf8(&cut.data).is_ok()));
        }
    }

    #[test]
    fn a_change_of_stream_starts_a_new_chunk() {
        let (mut cutter, mut cuts, now) = (Cutter::default(), Vec::new(), Instant::now());
        for (stream, text) in
            [(Stream::Stdout, "a"), (Stream::Stdout, "b\n"), (Stream::Stderr, "c"), (Stream::Stdout, "d")]
        {
            cutter.push(stream, text.as_bytes(), at(0), now, &mut cuts);
        }
        cutter.finish(&mut cuts);
        let seen: Vec<_> = cuts.iter().map(|cut| (cut.stream, cut.data.as_slice())).collect();
        assert_eq!(seen, [(Stream::Stdout, &b"ab\n"[..]), (Stream::Stderr, b"c"), (Stream::Stdout, b"d")]);
    }

    #[test]
    fn a_container_that_changes_streams_all_the_time_does_not_get_a_chunk_a_byte() {
        let (mut cutter, mut cuts, now) = (Cutter::default(), Vec::new(), Instant::now());
        for _ in 0..10_000 {
            cutter.push(Stream::Stdout, b"o", at(0), now, &mut cuts);
            cutter.push(Stream::Stderr, b"e", at(0), now, &mut cuts);
        }
        cutter.finish(&mut cuts);
        assert!(cuts.len() < 300, "{}", cuts.len());
        assert_eq!(bytes_of(&cuts, Stream::Stderr), b"e".repeat(10_000));
    }

    #[test]
    fn lines_go_first_and_the_rest_of_a_line_a_little_later() {
        let (mut cutter, mut cuts, start) = (Cutter::default(), Vec::new(), Instant::now());
        cutter.push(Stream::Stdout, b"one\ntwo\nthr", at(0), start, &mut cuts);
        cutter.tick(start + PATIENCE / 2, &mut cuts);
        assert!(cuts.is_empty());
        cutter.tick(start + PATIENCE, &mut cuts);
        assert_eq!(cuts.pop().unwrap().data, b"one\ntwo\n");
        cutter.tick(start + PATIENCE * 2, &mut cuts);
        assert_eq!(cuts.pop().unwrap().data, b"thr");
        assert_eq!(cutter.due(), None);
    }

    #[test]
    fn a_long_line_is_cut_at_the_most_that_a_chunk_may_have() {
        let (mut cutter, mut cuts) = (Cutter::default(), Vec::new());
        cutter.push(Stream::Stdout, &vec![b'x'; 3 * MAX_CHUNK + 5], at(0), Instant::now(), &mut cuts);
        cutter.finish(&mut cuts);
        assert_eq!(cuts.iter().map(|cut| cut.data.len()).collect::<Vec<_>>(), [MAX_CHUNK, MAX_CHUNK, MAX_CHUNK, 5]);
    }
}
