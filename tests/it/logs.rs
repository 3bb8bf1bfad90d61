//! Logs as they are stored: packed, sealed, cut in the middle, and read in part. What is read is held against all that
//! was written.

use std::ops::Range;

use chrono::Utc;
use futures_util::TryStreamExt;
use serde_json::json;
use sha2::{Digest, Sha256};
use tstr_api::ops::logs::{LogPiece, LogQuery};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::lease::Fence;
use tstr_shared::logs::Stream::{Stderr, Stdout};
use tstr_shared::logs::{LogChunk, LogCut, LogOffsets, LogSeal, LogStatus, LogSummary, Stream, StreamSeal, TailLines};
use tstr_shared::run::RunResult;
use tstr_tests::Lab;
use tstr_tests::contract::{Worker, outcome};

/// Numbers that are the same in every run of the tests.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// Bytes with lines that can be packed, or that cannot, or a few.
    fn bytes(&mut self) -> Vec<u8> {
        let length = self.below(9000) as usize + 1;
        match self.below(3) {
            0 => (0..length).map(|_| self.below(256) as u8).collect(),
            1 => b"a line of a log, as a test writes it\n".iter().copied().cycle().take(length).collect(),
            _ => (0..length % 40 + 1).map(|_| b"ab\n"[self.below(3) as usize]).collect(),
        }
    }
}

/// A log as a worker has it.
#[derive(Default)]
struct Written {
    chunks: Vec<LogChunk>,
    next: LogOffsets,
}

impl Written {
    fn add(&mut self, stream: Stream, cut: u64, data: &[u8]) {
        let offset = self.next.of(stream) + cut;
        let (seq, reported_at, data) = (self.next.next_seq, Utc::now(), data.to_vec());
        self.next.next_seq += 1;
        *self.next.of_mut(stream) = offset + data.len() as u64;
        self.chunks.push(LogChunk { seq, stream, offset, cut, reported_at, data });
    }

    fn bytes(&self, stream: Option<Stream>) -> Vec<u8> {
        let of = self.chunks.iter().filter(|chunk| stream.is_none_or(|stream| stream == chunk.stream));
        of.flat_map(|chunk| chunk.data.clone()).collect()
    }

    fn seal(&self) -> LogSeal {
        let seal = |stream| {
            let bytes = self.bytes(Some(stream));
            let dropped_bytes = self.chunks.iter().filter(|chunk| chunk.stream == stream).map(|chunk| chunk.cut).sum();
            StreamSeal { bytes: bytes.len() as u64, dropped_bytes, sha256: Sha256::digest(&bytes).into() }
        };
        LogSeal { stdout: seal(Stdout), stderr: seal(Stderr), incomplete: false }
    }
}

async fn send(worker: &Worker, fence: Fence, chunks: &[LogChunk]) -> Result<LogOffsets, ErrorCode> {
    let sent = worker.ops.append_logs(&worker.caller, worker.id, fence, chunks.to_vec()).await;
    sent.map_err(|error| error.code())
}

async fn end(worker: &Worker, fence: Fence, seal: LogSeal) {
    assert_eq!(worker.finish_with(fence, outcome(RunResult::Pass), seal).await, Ok(None));
}

async fn pieces(lab: &Lab, run: RunId, query: LogQuery) -> Vec<LogPiece> {
    lab.ops().read_logs(&lab.admin, run, query).await.unwrap().try_collect().await.unwrap()
}

async fn part(lab: &Lab, run: RunId, stream: Option<Stream>, range: Range<u64>) -> Vec<u8> {
    let parts = lab.ops().read_log_bytes(&lab.admin, run, 1, stream, range).await.unwrap();
    parts.try_collect::<Vec<_>>().await.unwrap().concat()
}

const STREAMS: [Option<Stream>; 3] = [None, Some(Stdout), Some(Stderr)];

/// Fails unless every way to read the log tells what was written.
async fn is_read_as(lab: &Lab, run: RunId, written: &Written, dice: &mut Dice) {
    for stream in STREAMS {
        let all = written.bytes(stream);
        let query = LogQuery { attempt: Some(1), stream, ..LogQuery::default() };
        let read = pieces(lab, run, query).await;
        let expected: Vec<_> =
            written.chunks.iter().filter(|chunk| stream.is_none_or(|stream| stream == chunk.stream)).collect();
        assert_eq!(read.len(), expected.len());
        for (piece, chunk) in read.iter().zip(expected) {
            let cut = Some(chunk.cut).filter(|cut| *cut > 0);
            assert_eq!((piece.seq, piece.stream, piece.cut), (chunk.seq, chunk.stream, cut));
            assert!(piece.data == chunk.data, "piece {}", chunk.seq);
        }
        let size = lab.ops().log_size(&lab.admin, run, Some(1), stream).await.unwrap();
        assert_eq!(size.bytes, all.len() as u64);
        for i in 0..12 {
            let (a, b) = (dice.below(size.bytes + 1), dice.below(size.bytes + 1));
            let range = match i {
                0 => 0..size.bytes,
                1 => size.bytes.saturating_sub(7)..size.bytes,
                _ => a.min(b)..a.max(b),
            };
            let told = part(lab, run, stream, range.clone()).await;
            assert!(told == all[range.start as usize..range.end as usize], "{stream:?} {range:?}");
        }
        for lines in [0, 1, 2, 17, 10_000] {
            let query = LogQuery { tail: Some(TailLines::try_from(lines).unwrap()), ..query };
            let told = pieces(lab, run, query).await;
            let of =
                |wanted| told.iter().filter(|p| p.stream == wanted).flat_map(|p| p.data.to_vec()).collect::<Vec<_>>();
            // Which lines these are is told by the tests of the search; here, that they are the end of what was written.
            for own in Stream::ALL.into_iter().filter(|own| stream.is_none_or(|stream| stream == *own)) {
                assert!(written.bytes(Some(own)).ends_with(&of(own)), "{lines} lines of {own:?}");
            }
            if let Some(own) = stream {
                let ended = all.iter().filter(|byte| **byte == b'\n').count()
                    + usize::from(all.last().is_some_and(|byte| *byte != b'\n'));
                let cuts = written.chunks.iter().filter(|chunk| Some(chunk.stream) == stream && chunk.cut > 0).count();
                let told = of(own);
                let count = told.iter().filter(|byte| **byte == b'\n').count()
                    + usize::from(told.last().is_some_and(|b| *b != b'\n'));
                assert!(count + cuts >= ended.min(lines as usize) && count <= lines as usize, "{count} of {lines}");
            }
        }
    }
}

#[tokio::test]
async fn whatever_is_sent_and_repeated_the_log_is_what_was_written_and_its_seal_fits() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    for seed in 1..=12 {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let run = lab.run_of(&[("/limits/log", json!("1MiB"))]).await;
        let (fence, mut written) = (worker.started().await, Written::default());
        let cuts = [dice.below(12), dice.below(40)];
        let mut seen = [0, 0];
        for _ in 0..dice.below(40) + 1 {
            let own = usize::from(dice.below(4) == 0);
            // A log that is cut is cut once in each stream, somewhere; many are not.
            let cut = if seed % 2 == 0 && seen[own] == cuts[own] { dice.below(5000) + 1 } else { 0 };
            seen[own] += 1;
            written.add(Stream::ALL[own], cut, &dice.bytes());
        }
        let mut stored = 0;
        while stored < written.chunks.len() {
            // From somewhere before the end of what is stored, to somewhere behind it.
            let from = stored - dice.below(stored as u64 + 1).min(3) as usize;
            let to = (stored + 1 + dice.below(5) as usize).min(written.chunks.len());
            let told = send(&worker, fence, &written.chunks[from..to]).await.unwrap();
            assert_eq!(told.next_seq as usize, to);
            // Behind the end nothing is stored.
            if to + 1 < written.chunks.len() {
                assert_eq!(send(&worker, fence, &written.chunks[to + 1..]).await, Ok(told));
            }
            stored = to;
        }
        is_read_as(&lab, run, &written, &mut dice).await;
        end(&worker, fence, written.seal()).await;
        is_read_as(&lab, run, &written, &mut dice).await;
        let log = lab.get(run).await.log;
        let cut: u64 = written.chunks.iter().map(|chunk| chunk.cut).sum();
        let status = if cut > 0 { LogStatus::Truncated } else { LogStatus::Complete };
        assert_eq!((log.status, log.bytes, log.dropped_bytes), (status, written.bytes(None).len() as u64, cut));
        let mut told: Vec<_> = log.cuts.iter().map(|cut| (cut.stream, cut.offset + cut.bytes, cut.bytes)).collect();
        let mut made: Vec<_> =
            written.chunks.iter().filter(|c| c.cut > 0).map(|c| (c.stream, c.offset, c.cut)).collect();
        told.sort();
        made.sort();
        assert_eq!(told, made);
    }
    lab.check().await;
}

#[tokio::test]
async fn a_log_that_is_not_what_was_sealed_is_incomplete_and_says_so_and_the_result_stands() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let mut written = Written::default();
    written.add(Stdout, 0, b"one\n");
    written.add(Stderr, 0, b"two\n");
    written.add(Stdout, 0, &b"three\n".repeat(100));
    let true_seal = written.seal();
    let mut other_bytes = true_seal.clone();
    other_bytes.stderr.sha256 = Sha256::digest("twO\n").into();
    let mut other_count = true_seal.clone();
    (other_count.stdout.bytes, other_count.stdout.sha256) = (4, Sha256::digest("one\n").into());
    let mut nothing = true_seal.clone();
    nothing.stderr = StreamSeal { bytes: 0, dropped_bytes: 0, sha256: Sha256::digest("").into() };
    let message = |streams: &str| Some(format!("what is stored of {streams} is not what the runner sent"));
    for (seal, told) in [
        (true_seal.clone(), None),
        (LogSeal::default(), None),
        (other_bytes.clone(), message("stderr")),
        (other_count.clone(), message("stdout")),
        (nothing, message("stderr")),
        (LogSeal { stdout: other_count.stdout.clone(), ..other_bytes.clone() }, message("stdout and stderr")),
    ] {
        let run = lab.run_of(&[]).await;
        let fence = worker.started().await;
        send(&worker, fence, &written.chunks).await.unwrap();
        end(&worker, fence, seal).await;
        let seen = lab.get(run).await;
        let status = if told.is_some() { LogStatus::Incomplete } else { LogStatus::Complete };
        let log = LogSummary { status, bytes: 608, message: told, ..LogSummary::default() };
        assert_eq!((seen.result, &seen.log, &seen.attempts[0].log), (Some(RunResult::Pass), &log, &log));
    }
    lab.check().await;
}

#[tokio::test]
async fn a_stream_is_cut_once_and_what_follows_stands_at_its_true_place() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[("/limits/log", json!("1KiB"))]).await;
    let fence = worker.started().await;
    let mut written = Written::default();
    written.add(Stdout, 0, &[b'a'; 600]);
    written.add(Stderr, 5000, b"err\n");
    written.add(Stdout, 1 << 40, &[b'z'; 400]);
    let chunks = &written.chunks;
    assert_eq!(send(&worker, fence, chunks).await, Ok(written.next));
    assert_eq!(written.next, LogOffsets { next_seq: 3, stdout: 1000 + (1 << 40), stderr: 5004 });
    // Repeats are taken when they are the same in everything.
    assert_eq!(send(&worker, fence, &chunks[1..]).await, Ok(written.next));
    let changed = |seq: usize, change: &dyn Fn(&mut LogChunk)| {
        let mut chunk = chunks[seq].clone();
        change(&mut chunk);
        vec![chunk]
    };
    for other in [
        changed(2, &|chunk| chunk.cut -= 1),
        changed(2, &|chunk| chunk.cut = 0),
        changed(2, &|chunk| chunk.data[399] = b'y'),
        changed(0, &|chunk| chunk.stream = Stderr),
    ] {
        assert_eq!(send(&worker, fence, &other).await, Err(ErrorCode::Conflict));
    }
    let next = LogChunk { seq: 3, offset: written.next.stdout, cut: 0, ..chunks[0].clone() };
    let short = LogChunk { data: b"x".to_vec(), ..next.clone() };
    // A gap behind the cut is told as any other; a second cut is refused, and so is what the limit has no room for.
    let gap = LogChunk { offset: short.offset + 1, ..short.clone() };
    assert_eq!(send(&worker, fence, &[gap]).await, Ok(written.next));
    let again = LogChunk { offset: short.offset + 9, cut: 9, ..short.clone() };
    assert_eq!(send(&worker, fence, &[again]).await, Err(ErrorCode::Invalid));
    // Nothing may be so far away that sums of it do not fit: nobody could end the lease any more.
    for far in [1 << 60, u64::try_from(i64::MAX).unwrap(), u64::MAX] {
        let far = LogChunk { offset: far, cut: far, ..short.clone() };
        assert_eq!(send(&worker, fence, &[far]).await, Err(ErrorCode::Invalid));
    }
    let from_nowhere = LogChunk { offset: 5, cut: 6, ..short.clone() };
    assert_eq!(send(&worker, fence, &[from_nowhere]).await, Err(ErrorCode::Invalid));
    assert_eq!(send(&worker, fence, &[next]).await, Err(ErrorCode::TooLarge));
    assert_eq!(lab.get(run).await.log, LogSummary { bytes: 1004, ..LogSummary::default() }, "what is live is counted");
    end(&worker, fence, written.seal()).await;
    let cut = |stream, offset, bytes| LogCut { stream, offset, bytes };
    let log = LogSummary {
        removed_at: None,
        status: LogStatus::Truncated,
        bytes: 1004,
        dropped_bytes: 5000 + (1 << 40),
        cuts: vec![cut(Stdout, 600, 1 << 40), cut(Stderr, 0, 5000)],
        message: None,
    };
    assert_eq!(lab.get(run).await.log, log);

    // A worker that keeps no end has its cut there.
    let run = lab.run_of(&[]).await;
    let fence = worker.started().await;
    let mut written = Written::default();
    written.add(Stdout, 0, b"abc");
    send(&worker, fence, &written.chunks).await.unwrap();
    let mut seal = written.seal();
    seal.stdout.dropped_bytes = 7;
    end(&worker, fence, seal).await;
    assert_eq!(lab.get(run).await.log.cuts, [cut(Stdout, 3, 7)]);

    // A worker that is lost says nothing: what is stored says it.
    let run = lab.run_of(&[("/retry/on_infrastructure", json!(0))]).await;
    let fence = worker.started().await;
    let mut written = Written::default();
    written.add(Stdout, 0, b"abc");
    written.add(Stdout, 9, b"def");
    send(&worker, fence, &written.chunks).await.unwrap();
    lab.lapse(run).await;
    assert_eq!(lab.reap().await, 1);
    let log = lab.get(run).await.log;
    assert_eq!((log.status, log.bytes, log.dropped_bytes), (LogStatus::Incomplete, 6, 9));
    assert_eq!(log.cuts, [cut(Stdout, 3, 9)]);
    lab.check().await;
}

/// Stores a piece as the release before did.
async fn store_as_before(lab: &Lab, fence: Fence, chunk: &LogChunk) {
    let hex: String = chunk.data.iter().map(|byte| format!("{byte:02x}")).collect();
    let insert = format!(
        "INSERT INTO log_chunk (run_id, attempt, seq, stream, start, reported_at, body)
         VALUES ($1, {}, {}, {}, {}, now(), '\\x{hex}')",
        fence.attempt, chunk.seq, chunk.stream as i16, chunk.offset
    );
    assert_eq!(lab.sql(&insert, fence.run_id).await, 1);
}

#[tokio::test]
async fn pieces_of_an_earlier_release_are_read_as_ever_and_logs_go_on_behind_them() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let mut dice = Dice(77);
    let run = lab.run_of(&[]).await;
    let (fence, mut written) = (worker.started().await, Written::default());
    for i in 0..40 {
        written.add(Stream::ALL[usize::from(i % 3 == 0)], 0, &dice.bytes());
    }
    for chunk in &written.chunks[..30] {
        store_as_before(&lab, fence, chunk).await;
    }
    assert_eq!(send(&worker, fence, &written.chunks[25..35]).await.unwrap().next_seq, 35);
    // The replica of the earlier release that is still there cannot read what was packed, but it can write.
    store_as_before(&lab, fence, &written.chunks[35]).await;
    assert_eq!(send(&worker, fence, &written.chunks[36..]).await, Ok(written.next));
    is_read_as(&lab, run, &written, &mut dice).await;
    // Where the hash was not kept, the seal is taken at its word, as it was before.
    end(&worker, fence, written.seal()).await;
    assert_eq!(lab.get(run).await.log.status, LogStatus::Complete);
    lab.check().await;
}

/// Each replica goes on from where it last wrote itself, which is not where the log ends.
#[tokio::test]
async fn a_log_that_comes_through_two_replicas_by_turns_is_whole() {
    let lab = Lab::start_with(2).await;
    let worker = lab.worker("w").await;
    let other = Worker { ops: lab.replica(1).clone(), ..worker.clone() };
    let mut dice = Dice(31);
    let run = lab.run_of(&[]).await;
    let (fence, mut written) = (worker.started().await, Written::default());
    for i in 0..200 {
        written.add(Stream::ALL[usize::from(dice.below(3) == 0)], if i == 150 { 77 } else { 0 }, &dice.bytes());
    }
    let mut sent = 0;
    while sent < written.chunks.len() {
        let until = (sent + 1 + dice.below(4) as usize).min(written.chunks.len());
        let from = sent - (dice.below(3) as usize).min(sent);
        let by = if dice.below(2) == 0 { &worker } else { &other };
        let next = send(by, fence, &written.chunks[from..until]).await.unwrap();
        assert_eq!(next.next_seq as usize, until);
        sent = until;
    }
    is_read_as(&lab, run, &written, &mut dice).await;
    end(&other, fence, written.seal()).await;
    let seen = lab.get(run).await;
    assert_eq!((seen.log.status, seen.log.dropped_bytes), (LogStatus::Truncated, 77));
    // Neither stores anything behind the end of the lease, whatever it remembers.
    written.add(Stdout, 0, b"late");
    for by in [&worker, &other] {
        assert_eq!(send(by, fence, &written.chunks[200..]).await, Err(ErrorCode::LeaseLost));
    }
    lab.check().await;
}

/// The same bytes at the same time, through both replicas: stored once, and everybody is told so.
#[tokio::test]
async fn appends_of_one_log_at_once_store_each_piece_once() {
    let lab = Lab::start_with(2).await;
    let worker = lab.worker("w").await;
    let other = Worker { ops: lab.replica(1).clone(), ..worker.clone() };
    let run = lab.run_of(&[]).await;
    let (fence, mut written) = (worker.started().await, Written::default());
    for i in 0..60_u32 {
        written.add(Stdout, 0, format!("line {i}\n").repeat(30).as_bytes());
        let chunks = &written.chunks[i as usize..];
        let sends = (0..6).map(|nth| send(if nth % 2 == 0 { &worker } else { &other }, fence, chunks));
        for told in futures_util::future::join_all(sends).await {
            assert_eq!(told, Ok(written.next));
        }
    }
    is_read_as(&lab, run, &written, &mut Dice(5)).await;
    end(&worker, fence, written.seal()).await;
    assert_eq!(lab.get(run).await.log.status, LogStatus::Complete);
    lab.check().await;
}

#[tokio::test]
async fn text_is_stored_packed_and_noise_as_it_is() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[]).await;
    let (fence, mut written, mut dice) = (worker.started().await, Written::default(), Dice(5));
    let text: Vec<u8> =
        (0..1000).flat_map(|i| format!("{i:>8} a line of a log, as a test writes it\n").into_bytes()).collect();
    let noise: Vec<u8> = (0..text.len()).map(|_| dice.below(256) as u8).collect();
    for data in [&text, &noise] {
        written.add(Stdout, 0, data);
    }
    send(&worker, fence, &written.chunks).await.unwrap();
    let rows = "SELECT jsonb_agg(jsonb_build_array(raw_bytes, octet_length(body)) ORDER BY seq) FROM log_chunk WHERE run_id = $1";
    let rows = lab.value(rows, run).await;
    assert_eq!((&rows[0][0], &rows[1]), (&json!(text.len()), &json!([null, noise.len()])), "{rows}");
    assert!(rows[0][1].as_u64().unwrap() < text.len() as u64 / 5, "{rows}");
    is_read_as(&lab, run, &written, &mut dice).await;
}

#[tokio::test]
async fn who_follows_from_the_last_lines_sees_what_comes_behind_them() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[]).await;
    let (fence, mut written) = (worker.started().await, Written::default());
    written.add(Stdout, 0, b"one\ntwo\nthr");
    written.add(Stderr, 0, b"e\n");
    send(&worker, fence, &written.chunks).await.unwrap();
    let query = LogQuery { follow: true, tail: TailLines::try_from(2).ok(), ..LogQuery::default() };
    let mut following = Box::pin(lab.ops().read_logs(&lab.admin, run, query).await.unwrap());
    let mut next =
        async || following.try_next().await.unwrap().map(|piece| String::from_utf8(piece.data.to_vec()).unwrap());
    assert_eq!((next().await.as_deref(), next().await.as_deref()), (Some("thr"), Some("e\n")));
    written.add(Stdout, 0, b"ee\nfour\n");
    send(&worker, fence, &written.chunks[2..]).await.unwrap();
    assert_eq!(next().await.as_deref(), Some("ee\nfour\n"));
    worker.finish(fence, RunResult::Pass).await.unwrap();
    assert_eq!(next().await, None);
}
