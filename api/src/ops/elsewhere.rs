//! Results that were made elsewhere: one report becomes a run that has ended.
//!
//! The report is taken in as a whole before anything is stored, into a file that has no name any more: a connection that
//! breaks leaves nothing, and no transaction waits for somebody's network. From there it is read like that of a worker.

use std::fs;
use std::io::{self, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{Stream, StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::task::spawn_blocking;
use tstr_shared::artifacts::{Artifacts, ReportMode};
use tstr_shared::error::{ErrorCode, Invalid};
use tstr_shared::ids::{MatrixId, RunId};
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::RunsWrite;
use tstr_shared::report::{DETECT_BYTES, Format, ReportKind, detect, sniff};
use tstr_shared::results::{EXITED_WELL, MAX_UPLOAD, Upload};
use tstr_shared::run::{Outcome, Run, RunResult};
use tstr_shared::testdef::{DEFAULT_QUEUE_DEADLINE, TestDef};
use uuid::Uuid;

use super::admission::Gates;
use super::enqueue::Cell;
use super::reports::Intake;
use super::runs::read;
use super::{IdempotencyKey, Ops};
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store::artifacts::Of;
use crate::store::elsewhere::EndedElsewhere;
use crate::store::reports::Reading;
use crate::store::{self, Conn};

/// How many reports a replica takes in at the same time.
pub(super) const INTAKES_AT_ONCE: usize = 4;
/// How long an upload waits for its turn, and for each of its pieces.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many bytes of the file are read at once.
const PIECE: usize = 64 << 10;
/// The longest time that a report may say that it took; what is longer is not believed.
const LONGEST: TimeDelta = TimeDelta::days(1);
/// How many cells are named where there is none as it was said.
const NAMED_CELLS: usize = 5;

impl Ops {
    /// Stores a report as the results of a run that has ended.
    pub async fn upload_results(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        upload: Upload,
        key: Option<IdempotencyKey>,
        pieces: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<Run> {
        let access = self.enter::<RunsWrite>(caller, ns).await?;
        self.check_storage()?;
        {
            // What can be refused is refused before the report is taken in.
            let mut conn = self.db().acquire().await?;
            Plan::make(&mut conn, &access, test, &upload).await?;
        }
        let intake = tokio::time::timeout(PATIENCE, self.0.intakes.acquire()).await;
        let intake = intake.map_err(|_| Error::unavailable(anyhow::anyhow!("too many uploads at once")))?;
        let mut report = Taken::of(pieces).await?;
        let format = report.format(upload.name.as_deref()).await?;
        // Files wait for the readers too: there must not be more of them than there are intakes.
        let _turn = self.0.readings.acquire().await.map_err(Error::internal)?;
        drop(intake);
        let once = self.once(caller, key, &("upload_results", ns, test, &upload, report.sha256))?;
        // Taken before the transaction, so that nobody who holds one waits for another.
        let apart = self.db().acquire().await?;
        let mut tx = self.db().begin().await?;
        if let Some(answer) = once.replay(&mut tx, &access).await? {
            return Ok(answer);
        }
        let plan = Plan::make(&mut tx, &access, test, &upload).await?;
        let began = upload.began(plan.now);
        // Runs of a day that is over are made as a schedule does that catches up.
        if !store::schedules::hold_day(&mut tx, &access, began.date_naive()).await? {
            return Err(Error::unavailable(anyhow::anyhow!("the day of the run is being dropped")));
        }
        self.ensure_days(&[began]).await?;
        let id = RunId::at(began, Uuid::new_v4().as_u128());
        let (outcome, took) = self.take_in(&mut tx, &access, id, &plan, &upload, (report, format, apart)).await?;
        let (class_id, config_id) = plan.cell.intern(&mut tx, &access, access.namespace()).await?;
        // Later than all that was told while the report was read, unless it is said otherwise.
        let finished_at = upload.ended(store::housekeeping::now(&mut tx).await?);
        let spec = &plan.test.spec;
        let run = EndedElsewhere {
            id,
            ns_id: access.namespace(),
            test_id: plan.test.id,
            matrix_id: MatrixId::at(began, Uuid::new_v4().as_u128()),
            class_id,
            config_id,
            priority: spec.priority,
            queue_secs: spec.queue_deadline.unwrap_or(DEFAULT_QUEUE_DEADLINE).0 as i32,
            scheduled_at: began,
            started_at: if upload.started_at.is_some() { began } else { finished_at - took },
            finished_at,
            outcome,
        };
        store::elsewhere::insert(&mut tx, &access, &run).await?;
        let answer = read(&mut tx, &access, id).await?;
        once.remember(&mut tx, &access, &answer).await?;
        tx.commit().await?;
        self.0.wake.runs([id]);
        Ok(answer)
    }

    /// Reads the report of a run that has ended; returns how it ended, and how long it took as the report says.
    async fn take_in(
        &self,
        conn: &mut Conn,
        access: &Access<RunsWrite>,
        run: RunId,
        plan: &Plan,
        upload: &Upload,
        (report, format, apart): (Taken, Format, Conn),
    ) -> Result<(Outcome, TimeDelta)> {
        let config = plan.cell.body()?;
        // Without a report that can be read as a whole nobody knows what was tested.
        let wanted = Artifacts { report: ReportMode::Required, ..config.artifacts.clone() };
        let (ns_id, test_id) = (access.namespace(), plan.test.id);
        let reading = Reading { ns_id, test_id, cell_id: 0, config, now: plan.now };
        let of = Of { run, attempt: 1 };
        let mut intake = Intake::begin(self, conn, apart, access, of, reading).await?;
        let name = upload.name.clone().unwrap_or_else(|| nameless(format).to_owned());
        intake.report(conn, &name, format, report.pieces().await?).await?;
        let took = match intake.took() {
            Some(ms) => i64::try_from(ms).unwrap_or(i64::MAX),
            // Most reports say it of their cases only.
            None => store::elsewhere::took(conn, access, of).await?,
        };
        let took = TimeDelta::try_milliseconds(took).filter(|took| *took <= LONGEST).unwrap_or_default();
        let result = upload.result.unwrap_or(RunResult::Pass);
        // As if a container had exited so: the rules are the same.
        let exit_code = Some(i32::from(result != RunResult::Pass));
        let said = Outcome { result, reason: None, message: None, exit_code, image_digest: None };
        let ruled = intake.rule(conn, &wanted, said).await?;
        let message = ruled.message.map(|message| match message.strip_prefix(EXITED_WELL) {
            Some(rest) => rest.to_owned(),
            None => message,
        });
        let image_digest = upload.revision.as_ref().map(|revision| format!("revision:{revision}"));
        Ok((Outcome { message, exit_code: None, image_digest, ..ruled }, took))
    }
}

/// What an upload is about.
struct Plan {
    test: TestDef,
    cell: Arc<Cell>,
    now: DateTime<Utc>,
}

impl Plan {
    /// Finds the test and its cell, and checks what is said.
    async fn make(conn: &mut Conn, access: &Access<RunsWrite>, test: &str, upload: &Upload) -> Result<Self> {
        let test = store::testdefs::find(conn, access, test, false).await?;
        let test = test.ok_or_else(|| Error::not_found("test"))?;
        let now = store::housekeeping::now(conn).await?;
        upload.validate(now, store::elsewhere::runs_days(conn, access).await?)?;
        let cells = test.spec.cells()?;
        if test.spec.matrix.is_some() && !cells.contains(&upload.cell) {
            let named: Vec<String> = cells.iter().take(NAMED_CELLS).map(|cell| cell.text()).collect();
            let more = if cells.len() > NAMED_CELLS { ", …" } else { "" };
            let sentence = format!("must be one of the {} cells of the test: {}{more}", cells.len(), named.join("; "));
            return Err(Invalid::one("/cell", sentence).into());
        }
        let spec = Arc::new(test.spec.clone());
        let cell = Cell::new(&spec, upload.cell.clone(), &upload.labels, Gates::default())?;
        cell.labels().validate().map_err(|part| {
            let mut invalid = Invalid::default();
            invalid.add_all("/labels", part);
            invalid
        })?;
        Ok(Self { test, cell, now })
    }
}

/// What a report is called that has no name.
fn nameless(format: Format) -> &'static str {
    match format {
        Format::Junit => "report.xml",
        Format::Ctrf => "report.ctrf.json",
        Format::Tap => "report.tap",
        Format::JsonLines => "report.jsonl",
    }
}

/// A report that was taken in: a file that nothing but this process can find.
struct Taken {
    file: File,
    sha256: [u8; 32],
}

impl Taken {
    /// Takes a report in.
    async fn of(pieces: impl Stream<Item = Result<Bytes>> + Send) -> Result<Self> {
        let mut pieces = pin!(pieces);
        let file = spawn_blocking(unnamed).await.map_err(Error::internal)?.map_err(away)?;
        let (mut file, mut hash, mut count) = (File::from_std(file), Sha256::new(), 0);
        loop {
            let piece = tokio::time::timeout(PATIENCE, pieces.next()).await;
            let piece = piece.map_err(|_| Error::malformed(format!("the body stood still for {PATIENCE:?}")))?;
            let Some(piece) = piece.transpose()? else { break };
            count += piece.len() as u64;
            if count > MAX_UPLOAD.0 {
                return Err(Error::new(ErrorCode::TooLarge, format!("a report has at most {MAX_UPLOAD}")));
            }
            hash.update(&piece);
            file.write_all(&piece).await.map_err(away)?;
        }
        file.flush().await.map_err(away)?;
        Ok(Self { file, sha256: hash.finalize().into() })
    }

    /// Finds the format, by the name and the first bytes, or by these alone.
    async fn format(&mut self, name: Option<&str>) -> Result<Format> {
        let mut head = Vec::with_capacity(DETECT_BYTES);
        self.file.seek(SeekFrom::Start(0)).await.map_err(away)?;
        (&mut self.file).take(DETECT_BYTES as u64).read_to_end(&mut head).await.map_err(away)?;
        let by_name = name.and_then(|name| detect(name, &head)).and_then(|kind| match kind {
            ReportKind::Cases(format) => Some(format),
            ReportKind::Metrics => None,
        });
        by_name.or_else(|| sniff(&head)).ok_or_else(|| {
            let what = name.map_or_else(|| "the report".to_owned(), |name| format!("'{name}'"));
            Invalid::one("", format!("{what} is neither JUnit XML nor CTRF nor TAP")).into()
        })
    }

    /// Gives the report out again.
    async fn pieces(mut self) -> Result<impl Stream<Item = Result<Bytes>> + Send> {
        self.file.seek(SeekFrom::Start(0)).await.map_err(away)?;
        Ok(stream::try_unfold(self.file, |mut file| async {
            let mut piece = BytesMut::with_capacity(PIECE);
            let count = file.read_buf(&mut piece).await.map_err(away)?;
            Ok((count > 0).then(|| (piece.freeze(), file)))
        }))
    }
}

/// Opens a file that has no name, so that it is gone with whoever holds it.
fn unnamed() -> io::Result<fs::File> {
    let path = std::env::temp_dir().join(format!("tstr-upload-{}", Uuid::new_v4()));
    let file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn away(error: io::Error) -> Error {
    Error::unavailable(anyhow::Error::new(error).context("keep a report that is uploaded"))
}
