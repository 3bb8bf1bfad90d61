//! Test reports: found among the artifacts of an attempt, read into cases, and what they make of its outcome.
//!
//! A report is read as it comes out of the store of artifacts, and its cases go into the database in batches, so that the
//! memory that this takes does not depend on its size. All reports of an attempt are one transaction; a worker that is not
//! answered asks again, and finds what was read before replaced.

mod stream;

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tstr_shared::analysis::quarantine::{Entry, Mode};
use tstr_shared::artifacts::{ArtifactPath, Artifacts};
use tstr_shared::ids::RunnerId;
use tstr_shared::lease::Fence;
use tstr_shared::permission::RunsExecute;
use tstr_shared::report::{
    CaseId, DETECT_BYTES, Format, Limits, Note, ReadOptions, Repeat, Report, ReportKind, Volatile, detect, sniff,
};
use tstr_shared::results::{FAILED_CASES, MAX_REPORTS, ReadReport, Results, Told, UnreadReport, rule};
use tstr_shared::run::Outcome;

use tokio::task::spawn_blocking;

use self::stream::{Parse, Parsed};
use super::{Ops, own_lease};
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store::artifacts::Of;
use crate::store::blobs::BlobKey;
use crate::store::packing::Packer;
use crate::store::reports::{At, CaseRow, Reading, WritesReports};
use crate::store::{self, Conn};

/// How many attempts a replica reads the reports of at the same time: each takes a processor.
pub(super) const READINGS_AT_ONCE: usize = 2;
/// What is said of a file whose content is not in the store any more.
const LOST: &str = "its content is lost";

impl Ops {
    /// Reads the reports among the artifacts of an attempt, and rules on its outcome by them.
    pub async fn read_reports(
        &self,
        caller: &Caller,
        runner: RunnerId,
        fence: Fence,
        outcome: Outcome,
    ) -> Result<Outcome> {
        let access = self.reach::<RunsExecute>(caller).await?;
        let lease = own_lease(caller, &access, runner, fence);
        let _turn = self.0.readings.acquire().await.map_err(Error::internal)?;
        // For what must not wait for the transaction's end. Taken before it, so that nobody who holds one waits for another.
        let apart = self.db().acquire().await?;
        let mut tx = self.db().begin().await?;
        let of = Of { run: fence.run_id, attempt: fence.attempt };
        let reading = store::reports::of_lease(&mut tx, &access, &lease).await?.ok_or_else(Error::lease_lost)?;
        store::reports::begin(&mut tx, &access, of).await?;
        let files = store::reports::files(&mut tx, &access, of).await?;
        let mut intake = Intake::begin(self, &mut tx, apart, &access, of, reading).await?;
        let wanted = &intake.reading.config.artifacts.clone();
        for (path, bytes, key) in files.into_iter().filter(|(path, ..)| wanted.may_be_report(path)) {
            intake.file(&mut tx, wanted, &path, bytes, &key).await?;
        }
        let ruled = intake.rule(&mut tx, wanted, outcome).await?;
        // A lease that was lost meanwhile has no word any more.
        if !store::reports::hold_lease(&mut tx, &access, &lease).await? {
            return Err(Error::lease_lost());
        }
        tx.commit().await?;
        Ok(ruled)
    }
}

/// The reports of one attempt while they are read.
pub(super) struct Intake<'a, P> {
    ops: &'a Ops,
    /// Where the keys of cases are written, which others may name at the same time.
    apart: Conn,
    access: &'a Access<P>,
    of: Of,
    reading: Reading,
    list: Vec<Entry<CaseId>>,
    muted: BTreeSet<CaseId>,
    volatile: Volatile,
    told: Told,
    /// How many cases may still come.
    room: u64,
}

impl<'a, P: WritesReports> Intake<'a, P> {
    /// Begins with none. What was read of the attempt before must be gone.
    pub(super) async fn begin(
        ops: &'a Ops,
        conn: &mut Conn,
        mut apart: Conn,
        access: &'a Access<P>,
        of: Of,
        mut reading: Reading,
    ) -> Result<Self> {
        let cell = (reading.ns_id, reading.test_id, &reading.config.cell);
        reading.cell_id = store::cells::intern(&mut apart, &[cell]).await?.into_iter().next().unwrap_or_default();
        let list = store::reports::quarantine(conn, access, reading.test_id).await?;
        let muted = list.iter().filter(|entry| entry.mode == Mode::Mute && entry.is_in_force(reading.now));
        let muted = muted.map(|entry| entry.case).collect();
        // They were checked when the test was registered.
        let volatile = Volatile::parse(&reading.config.artifacts.volatile).unwrap_or_default();
        let room = Limits::default().cases;
        Ok(Self { ops, apart, access, of, reading, list, muted, volatile, told: Told::default(), room })
    }

    /// Reads a file if it is a report.
    async fn file(
        &mut self,
        conn: &mut Conn,
        wanted: &Artifacts,
        path: &ArtifactPath,
        bytes: u64,
        key: &BlobKey,
    ) -> Result<()> {
        let objects = self.ops.objects()?;
        let first = (DETECT_BYTES as u64).min(bytes);
        let mut head = Vec::with_capacity(DETECT_BYTES);
        let Some(mut pieces) = objects.read(&key.object(), 0..first).await? else {
            self.unread(path.as_str(), LOST);
            return Ok(());
        };
        while let Some(piece) = pieces.next().await {
            head.extend_from_slice(&piece?);
        }
        let format = match wanted.reports.is_empty() {
            true => match detect(path.as_str(), &head) {
                Some(ReportKind::Cases(format)) => format,
                Some(ReportKind::Metrics) | None => return Ok(()),
            },
            false => match sniff(&head) {
                Some(format) => format,
                None => {
                    self.unread(path.as_str(), "it is neither JUnit XML nor CTRF nor TAP");
                    return Ok(());
                }
            },
        };
        match objects.read(&key.object(), 0..bytes).await? {
            Some(pieces) => self.report(conn, path.as_str(), format, pieces).await,
            None => {
                self.unread(path.as_str(), LOST);
                Ok(())
            }
        }
    }

    fn unread(&mut self, path: &str, why: &str) {
        self.told.unread.push(UnreadReport { path: path.to_owned(), why: why.to_owned() });
    }

    /// Reads a report.
    pub(super) async fn report(
        &mut self,
        conn: &mut Conn,
        path: &str,
        format: Format,
        pieces: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<()> {
        if self.told.reports.len() >= MAX_REPORTS {
            self.unread(path, &format!("at most {MAX_REPORTS} reports of an attempt are read"));
            return Ok(());
        }
        let limits = Limits { cases: self.room, ..Limits::default() };
        let options = ReadOptions { test: self.reading.test_id, volatile: self.volatile.clone(), limits };
        let report = u16::try_from(self.told.reports.len()).unwrap_or(u16::MAX);
        let at = At { of: self.of, cell_id: self.reading.cell_id, report };
        let mut cases = Cases { intake: self, at, place: 0, packer: Packer::default() };
        let Parse { bytes, mut rows, parsed } = stream::parse(format, options);
        let feed = async {
            let mut pieces = std::pin::pin!(pieces);
            while let Some(piece) = pieces.next().await {
                // It may have heard enough.
                if bytes.send(piece?).await.is_err() {
                    break;
                }
            }
            drop(bytes);
            Ok(())
        };
        let store = async {
            while let Some(batch) = rows.recv().await {
                cases.add(conn, batch?).await?;
            }
            Ok::<_, Error>(())
        };
        tokio::try_join!(feed, store)?;
        let Parsed { report: read, notes } = parsed.await.map_err(Error::internal)??;
        self.add(conn, at, path, read, notes).await
    }

    async fn add(&mut self, conn: &mut Conn, at: At, path: &str, read: Report, notes: Vec<Note>) -> Result<()> {
        self.room = self.room.saturating_sub(read.counted.cases);
        let read = ReadReport::new(path.to_owned(), read, notes);
        store::reports::add_report(conn, self.access, at, &read).await?;
        self.told.reports.push(read);
        Ok(())
    }

    /// Returns how long the latest report says that it took, in milliseconds.
    pub(super) fn took(&self) -> Option<u64> {
        self.told.reports.last().and_then(|report| report.duration_ms)
    }

    /// Rules on an outcome by what was read, and records that.
    pub(super) async fn rule(self, conn: &mut Conn, wanted: &Artifacts, outcome: Outcome) -> Result<Outcome> {
        let Self { access, of, reading, list, mut told, .. } = self;
        (told.failed, told.counts) = store::reports::tally(conn, access, of).await?;
        let ruled = rule(outcome, wanted.report, &told, &list, reading.now);
        let cases = (!told.reports.is_empty()).then_some(told.counts);
        let partial = reading.config.run_config.env.0.contains_key(FAILED_CASES);
        let Told { reports, unread, .. } = told;
        let results = Results { attempt: of.attempt, reports, cases, ruling: ruled.ruling, unread, partial };
        store::reports::judge(conn, access, of.run, ruled.outcome.result, &results).await?;
        Ok(ruled.outcome)
    }
}

/// The cases of one report on their way into the database.
struct Cases<'a, 'b, P> {
    intake: &'a mut Intake<'b, P>,
    at: At,
    /// Where the next case stands.
    place: u32,
    packer: Packer,
}

impl<P: WritesReports> Cases<'_, '_, P> {
    /// Adds cases; those that are retries of one before go into its row.
    async fn add(&mut self, conn: &mut Conn, batch: Vec<CaseRow>) -> Result<()> {
        let Intake { ref mut apart, access, ref reading, ref muted, .. } = *self.intake;
        let packer = std::mem::take(&mut self.packer);
        let folded = spawn_blocking(move || fold(batch, packer)).await.map_err(Error::internal)??;
        let Folded { new, earlier, mut packer } = folded;
        if !new.is_empty() {
            store::reports::add_keys(apart, access, reading, &new).await?;
            let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
            store::reports::add_cases(conn, access, self.at, self.place, new, |id| muted.contains(&id)).await?;
            self.place += count;
        }
        for retry in earlier {
            let Some((place, mut row)) = store::reports::added(conn, access, self.at, &retry).await? else { continue };
            (row, packer) = spawn_blocking(move || row.absorb(retry, &mut packer).map(|()| (row, packer)))
                .await
                .map_err(Error::internal)??;
            let muted = muted.contains(&row.id);
            store::reports::put_case(conn, access, self.at, place, row, muted).await?;
        }
        self.packer = packer;
        Ok(())
    }
}

/// A batch of cases without the retries that belong to one of them.
struct Folded {
    new: Vec<CaseRow>,
    /// Retries of cases that came before the batch.
    earlier: Vec<CaseRow>,
    packer: Packer,
}

/// Puts retries into the cases of the same batch that they belong to. A case with its retries may be a megabyte of text, which
/// is unpacked and packed for each.
fn fold(batch: Vec<CaseRow>, mut packer: Packer) -> Result<Folded> {
    let mut new: Vec<CaseRow> = Vec::with_capacity(batch.len());
    let mut here: HashMap<(CaseId, u32), usize> = HashMap::new();
    let mut earlier: Vec<CaseRow> = Vec::new();
    for row in batch {
        let name = (row.id, row.ordinal);
        match (row.repeat, here.get(&name)) {
            (Repeat::Retry, Some(index)) => new[*index].absorb(row, &mut packer)?,
            (Repeat::Retry, None) => earlier.push(row),
            (Repeat::First | Repeat::Ambiguous, _) => {
                here.insert(name, new.len());
                new.push(row);
            }
        }
    }
    Ok(Folded { new, earlier, packer })
}
