//! The reader of reports on a thread of its own: bytes go in, rows come out, and neither waits in great numbers.

use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;

use bytes::{Buf, Bytes};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::{JoinHandle, spawn_blocking};
use tstr_shared::report::{self, Event, Format, Note, ReadOptions, Report};
use tstr_shared::results::MAX_NOTES_KEPT;

use crate::error::{Error, Result};
use crate::store::packing::Packer;
use crate::store::reports::CaseRow;

/// How many pieces of a file wait to be read.
const PIECES: usize = 4;
/// How many batches wait to be stored, and of how many rows, and of about how many bytes, each is at most.
const BATCHES: usize = 2;
const ROWS: usize = 2000;
const BYTES: usize = 1 << 20;

/// A report that is being read.
pub(super) struct Parse {
    /// Takes its bytes; dropped at their end.
    pub(super) bytes: Sender<Bytes>,
    /// Gives its cases.
    pub(super) rows: Receiver<Result<Vec<CaseRow>>>,
    /// Ends with what else there is to know.
    pub(super) parsed: JoinHandle<Result<Parsed>>,
}

/// What is known of a report beside its cases.
pub(super) struct Parsed {
    pub(super) report: Report,
    /// The first notes.
    pub(super) notes: Vec<Note>,
}

/// Begins to read a report.
pub(super) fn parse(format: Format, options: ReadOptions) -> Parse {
    let (bytes, pieces) = mpsc::channel(PIECES);
    let (sender, rows) = mpsc::channel(BATCHES);
    let parsed = spawn_blocking(move || {
        let input = BufReader::new(Pieces { pieces, piece: Bytes::new() });
        let mut batches = Batches { sender, rows: Vec::new(), bytes: 0, packer: Packer::default() };
        let mut notes = Vec::new();
        let read = report::read(format, input, &options, &mut |event| match event {
            Event::Case(case) => batches.add(*case),
            // Its cases and what is wrong with it are told otherwise.
            Event::Suite(_) => ControlFlow::Continue(()),
            Event::Note(note) => {
                if notes.len() < MAX_NOTES_KEPT {
                    notes.push(note);
                }
                ControlFlow::Continue(())
            }
        });
        let _ = batches.send();
        Ok(Parsed { report: read.map_err(Error::internal)?, notes })
    });
    Parse { bytes, rows, parsed }
}

/// Rows that are not sent yet.
struct Batches {
    sender: Sender<Result<Vec<CaseRow>>>,
    rows: Vec<CaseRow>,
    bytes: usize,
    packer: Packer,
}

impl Batches {
    fn add(&mut self, case: report::Case) -> ControlFlow<()> {
        match CaseRow::new(case, &mut self.packer) {
            Ok(row) => {
                self.bytes += row.size();
                self.rows.push(row);
            }
            Err(error) => {
                let _ = self.sender.blocking_send(Err(error));
                return ControlFlow::Break(());
            }
        }
        match self.rows.len() >= ROWS || self.bytes >= BYTES {
            true => self.send(),
            false => ControlFlow::Continue(()),
        }
    }

    /// Breaks when nobody wants rows any more.
    fn send(&mut self) -> ControlFlow<()> {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return ControlFlow::Continue(());
        }
        match self.sender.blocking_send(Ok(rows)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// The bytes of a file, as they come.
struct Pieces {
    pieces: Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece[..count]);
        self.piece.advance(count);
        Ok(count)
    }
}
