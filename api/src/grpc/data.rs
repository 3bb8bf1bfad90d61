//! `DataService`: reads of tests, runs, logs, artifacts and runners.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use tonic::{Request, Status, async_trait};
use tstr_proto::convert::{
    document, labels, narrow, number, optional_instant, page, required, text, time, topics, word,
};
use tstr_proto::v1 as pb;
use tstr_proto::v1::data_service_server::DataService;
use tstr_shared::artifacts::ArtifactPath;
use tstr_shared::error::Invalid;
use tstr_shared::health::StateFilter;
use tstr_shared::labels::Labels;
use tstr_shared::logs::TailLines;
use tstr_shared::page::MAX_PAGE_SIZE;
use tstr_shared::report::Format;
use tstr_shared::results::CaseFilter;
use tstr_shared::run::RunFilter;
use tstr_shared::summary::SummaryFilter;
use tstr_shared::testdef::check_name;

use super::{Answer, Service, address, answer, case, namespace, run, runner, status, test, trace_id, wait};
use crate::ops::events::Subscription;
use crate::ops::logs::{LogPiece, LogQuery};
use crate::ops::testdefs::TestFilter;

/// The most cases of a page: names may be long, and clients take answers of four MiB at most unless they are told otherwise.
const MOST_CASES: i32 = 200;
/// How many instants of a schedule are told when the request does not say it.
const UPCOMING: u32 = 10;
/// The most instants of a schedule that are told; a larger wish is lowered to it.
const MAX_UPCOMING: u32 = 100;

#[async_trait]
impl DataService for Service {
    async fn list_namespaces(&self, request: Request<pb::ListNamespacesRequest>) -> Answer<pb::ListNamespacesResponse> {
        answer(request, async |caller, req| {
            Ok(self.ops.list_namespaces(&caller, page(req.page_size, req.page_token)?).await?.into())
        })
        .await
    }

    async fn get_namespace(&self, request: Request<pb::GetNamespaceRequest>) -> Answer<pb::GetNamespaceResponse> {
        answer(request, async |caller, req| {
            let info = self.ops.get_namespace(&caller, &namespace(&req.namespace)?).await?;
            Ok(pb::GetNamespaceResponse { namespace: Some(info.into()) })
        })
        .await
    }

    async fn list_tests(&self, request: Request<pb::ListTestsRequest>) -> Answer<pb::ListTestsResponse> {
        answer(request, async |caller, mut req| {
            let (ns, page) = (namespace(&req.namespace)?, page(req.page_size, std::mem::take(&mut req.page_token))?);
            Ok(self.ops.list_tests(&caller, &ns, req.try_into()?, page).await?.into())
        })
        .await
    }

    async fn get_test(&self, request: Request<pb::GetTestRequest>) -> Answer<pb::GetTestResponse> {
        answer(request, async |caller, req| {
            let test = self.ops.get_test(&caller, &namespace(&req.namespace)?, test(&req.test)?).await?;
            Ok(pb::GetTestResponse { test: Some(test.into()) })
        })
        .await
    }

    async fn get_test_schedule(
        &self,
        request: Request<pb::GetTestScheduleRequest>,
    ) -> Answer<pb::GetTestScheduleResponse> {
        answer(request, async |caller, req| {
            let count = if req.count == 0 { UPCOMING } else { req.count.min(MAX_UPCOMING) };
            Ok(self.ops.test_schedule(&caller, &namespace(&req.namespace)?, test(&req.test)?, count).await?.into())
        })
        .await
    }

    async fn list_test_versions(
        &self,
        request: Request<pb::ListTestVersionsRequest>,
    ) -> Answer<pb::ListTestVersionsResponse> {
        answer(request, async |caller, req| {
            let (ns, page) = (namespace(&req.namespace)?, page(req.page_size, req.page_token)?);
            Ok(self.ops.list_test_versions(&caller, &ns, test(&req.test)?, page).await?.into())
        })
        .await
    }

    async fn get_test_version(
        &self,
        request: Request<pb::GetTestVersionRequest>,
    ) -> Answer<pb::GetTestVersionResponse> {
        answer(request, async |caller, req| {
            let (ns, test) = (namespace(&req.namespace)?, test(&req.test)?);
            let version = self.ops.get_test_version(&caller, &ns, test, req.version).await?;
            Ok(pb::GetTestVersionResponse { version: Some(version.into()) })
        })
        .await
    }

    async fn list_ledger(&self, request: Request<pb::ListLedgerRequest>) -> Answer<pb::ListLedgerResponse> {
        answer(request, async |caller, req| {
            let (ns, page) = (namespace(&req.namespace)?, page(req.page_size, req.page_token)?);
            Ok(self.ops.list_ledger(&caller, &ns, test(&req.test)?, page).await?.into())
        })
        .await
    }

    async fn list_runs(&self, request: Request<pb::ListRunsRequest>) -> Answer<pb::ListRunsResponse> {
        answer(request, async |caller, mut req| {
            let (ns, page) = (namespace(&req.namespace)?, page(req.page_size, std::mem::take(&mut req.page_token))?);
            Ok(self.ops.list_runs(&caller, &ns, run_filter(req)?, page).await?.into())
        })
        .await
    }

    async fn get_run(&self, request: Request<pb::GetRunRequest>) -> Answer<pb::GetRunResponse> {
        answer(request, async |caller, req| {
            let run = match (run(&req.run_id)?, req.wait_ms) {
                (id, 0) => self.ops.get_run(&caller, id).await?,
                (id, ms) => self.ops.wait_run(&caller, id, wait(ms)).await?,
            };
            Ok(pb::GetRunResponse { run: Some(run.into()) })
        })
        .await
    }

    async fn explain_run(&self, request: Request<pb::ExplainRunRequest>) -> Answer<pb::ExplainRunResponse> {
        answer(request, async |caller, req| Ok(self.ops.explain_run(&caller, run(&req.run_id)?).await?.into())).await
    }

    async fn list_run_events(&self, request: Request<pb::ListRunEventsRequest>) -> Answer<pb::ListRunEventsResponse> {
        answer(request, async |caller, req| {
            let events = self.ops.run_events(&caller, run(&req.run_id)?).await?;
            Ok(pb::ListRunEventsResponse { events: events.into_iter().map(Into::into).collect() })
        })
        .await
    }

    async fn get_dashboard(&self, request: Request<pb::GetDashboardRequest>) -> Answer<pb::GetDashboardResponse> {
        answer(request, async |caller, req| {
            let dashboard = self.ops.dashboard(&caller, &namespace(&req.namespace)?).await?;
            Ok(pb::GetDashboardResponse { dashboard: Some(document(&dashboard)) })
        })
        .await
    }

    async fn get_timetable(&self, request: Request<pb::GetTimetableRequest>) -> Answer<pb::GetTimetableResponse> {
        answer(request, async |caller, req| {
            let (from, to) = (optional_instant("/from", req.from)?, optional_instant("/to", req.to)?);
            let (ns, page) = (namespace(&req.namespace)?, page(req.page_size, req.page_token)?);
            let timetable = self.ops.timetable(&caller, &ns, from, to, page).await?;
            Ok(pb::GetTimetableResponse { timetable: Some(document(&timetable)) })
        })
        .await
    }

    async fn get_test_series(&self, request: Request<pb::GetTestSeriesRequest>) -> Answer<pb::GetTestSeriesResponse> {
        answer(request, async |caller, req| {
            let (ns, cell) = (namespace(&req.namespace)?, cell(req.cell)?);
            let series = self.ops.test_series(&caller, &ns, test(&req.test)?, cell, req.runs).await?;
            Ok(pb::GetTestSeriesResponse { series: Some(document(&series)) })
        })
        .await
    }

    async fn get_test_grid(&self, request: Request<pb::GetTestGridRequest>) -> Answer<pb::GetTestGridResponse> {
        answer(request, async |caller, req| {
            let (ns, cell, much) = (namespace(&req.namespace)?, cell(req.cell)?, (req.cases, req.runs));
            let grid = self.ops.test_grid(&caller, &ns, test(&req.test)?, cell, much).await?;
            Ok(pb::GetTestGridResponse { grid: Some(document(&grid)) })
        })
        .await
    }

    async fn list_views(&self, request: Request<pb::ListViewsRequest>) -> Answer<pb::ListViewsResponse> {
        answer(request, async |caller, req| {
            let views = self.ops.list_views(&caller, &namespace(&req.namespace)?).await?;
            Ok(pb::ListViewsResponse { views: views.items.iter().map(document).collect() })
        })
        .await
    }

    type WatchEventsStream = Pin<Box<dyn Stream<Item = Result<pb::Event, Status>> + Send>>;

    async fn watch_events(&self, request: Request<pb::WatchEventsRequest>) -> Answer<Self::WatchEventsStream> {
        answer(request, async |caller, req| {
            let (topics, last) = (topics(&req.topics)?, text(req.last_event_id));
            let wanted = Subscription { namespace: namespace(&req.namespace)?, topics, last };
            let events = self.ops.subscribe(&caller, wanted).await?;
            Ok(Box::pin(events.map(|event| Ok(event.into()))) as Self::WatchEventsStream)
        })
        .await
    }

    type ReadLogsStream = Pin<Box<dyn Stream<Item = Result<pb::ReadLogsResponse, Status>> + Send>>;

    async fn read_logs(&self, request: Request<pb::ReadLogsRequest>) -> Answer<Self::ReadLogsStream> {
        let trace_id = trace_id(request.extensions());
        answer(request, async |caller, req| {
            let pieces = self.ops.read_logs(&caller, run(&req.run_id)?, req.try_into()?).await?;
            let pieces = pieces.map(move |piece| piece.map(Into::into).map_err(|error| status(&error, &trace_id)));
            Ok(Box::pin(pieces) as Self::ReadLogsStream)
        })
        .await
    }

    async fn list_artifacts(&self, request: Request<pb::ListArtifactsRequest>) -> Answer<pb::ListArtifactsResponse> {
        answer(request, async |caller, req| {
            Ok(self.ops.list_artifacts(&caller, run(&req.run_id)?, attempt(req.attempt)?).await?.into())
        })
        .await
    }

    type GetArtifactStream = Pin<Box<dyn Stream<Item = Result<pb::GetArtifactResponse, Status>> + Send>>;

    async fn get_artifact(&self, request: Request<pb::GetArtifactRequest>) -> Answer<Self::GetArtifactStream> {
        let trace_id = trace_id(request.extensions());
        answer(request, async |caller, req| {
            let path = address("artifact", "/path", &req.path, |path| ArtifactPath::parse(path).ok())?;
            let opened = self.ops.open_artifact(&caller, run(&req.run_id)?, attempt(req.attempt)?, &path).await?;
            let size = opened.artifact.bytes;
            let from = req.offset.min(size);
            let to = req.length.map_or(size, |length| from.saturating_add(length).min(size));
            let pieces = self.ops.read_artifact(&caller, &opened, from..to).await?;
            let first = pb::GetArtifactResponse { artifact: Some(opened.artifact.into()), data: Vec::new() };
            let pieces = pieces.map(move |piece| match piece {
                Ok(data) => Ok(pb::GetArtifactResponse { artifact: None, data: data.into() }),
                Err(error) => Err(status(&error, &trace_id)),
            });
            Ok(Box::pin(stream::iter(Some(Ok(first))).chain(pieces)) as Self::GetArtifactStream)
        })
        .await
    }

    async fn get_results(&self, request: Request<pb::GetResultsRequest>) -> Answer<pb::GetResultsResponse> {
        answer(request, async |caller, req| {
            let results = self.ops.results(&caller, run(&req.run_id)?, attempt(req.attempt)?).await?;
            Ok(pb::GetResultsResponse { results: Some(document(&results)) })
        })
        .await
    }

    async fn list_run_cases(&self, request: Request<pb::ListRunCasesRequest>) -> Answer<pb::ListRunCasesResponse> {
        answer(request, async |caller, mut req| {
            let page = page(req.page_size.min(MOST_CASES), std::mem::take(&mut req.page_token))?;
            let run = run(&req.run_id)?;
            let cases = self.ops.list_run_cases(&caller, run, case_filter(req)?, page).await?;
            Ok(pb::ListRunCasesResponse {
                next_page_token: cases.next_page_token.unwrap_or_default(),
                cases: cases.items.into_iter().map(Into::into).collect(),
            })
        })
        .await
    }

    async fn get_run_case(&self, request: Request<pb::GetRunCaseRequest>) -> Answer<pb::GetRunCaseResponse> {
        answer(request, async |caller, req| {
            let case = case(&req.case_id)?;
            let details = self.ops.get_run_case(&caller, run(&req.run_id)?, attempt(req.attempt)?, case).await?;
            Ok(pb::GetRunCaseResponse { cases: details.iter().map(document).collect() })
        })
        .await
    }

    type ExportReportStream = Pin<Box<dyn Stream<Item = Result<pb::ExportReportResponse, Status>> + Send>>;

    async fn export_report(&self, request: Request<pb::ExportReportRequest>) -> Answer<Self::ExportReportStream> {
        let trace_id = trace_id(request.extensions());
        answer(request, async |caller, req| {
            let format = match text(req.format) {
                Some(word) => word.parse().map_err(|fault: String| Invalid::one("/format", fault))?,
                None => Format::Junit,
            };
            let run = run(&req.run_id)?;
            let pieces = self.ops.export_report(&caller, run, attempt(req.attempt)?, format).await?;
            let pieces = pieces.map(move |piece| match piece {
                Ok(data) => Ok(pb::ExportReportResponse { data: data.into() }),
                Err(error) => Err(status(&error, &trace_id)),
            });
            Ok(Box::pin(pieces) as Self::ExportReportStream)
        })
        .await
    }

    async fn list_quarantine(&self, request: Request<pb::ListQuarantineRequest>) -> Answer<pb::ListQuarantineResponse> {
        answer(request, async |caller, req| {
            let (ns, page) = (namespace(&req.namespace)?, page(req.page_size, req.page_token)?);
            let listed = self.ops.list_quarantine(&caller, &ns, test(&req.test)?, req.in_force, page).await?;
            Ok(pb::ListQuarantineResponse {
                entries: listed.items.iter().map(document).collect(),
                next_page_token: listed.next_page_token.unwrap_or_default(),
            })
        })
        .await
    }

    async fn get_run_output(&self, request: Request<pb::GetRunOutputRequest>) -> Answer<pb::GetRunOutputResponse> {
        answer(request, async |caller, req| {
            Ok(self.ops.run_output(&caller, run(&req.run_id)?, attempt(req.attempt)?).await?.into())
        })
        .await
    }

    async fn list_states(&self, request: Request<pb::ListStatesRequest>) -> Answer<pb::ListStatesResponse> {
        answer(request, async |caller, req| {
            let (ns, mut page) = (namespace(&req.namespace)?, page(req.page_size, req.page_token)?);
            // Clients take answers of four MiB at most unless they are told otherwise.
            page.size = if page.size == 0 { MAX_PAGE_SIZE } else { page.size.min(MAX_PAGE_SIZE) };
            let tests = self.ops.list_states(&caller, &ns, page).await?;
            let next_page_token = tests.next_page_token.unwrap_or_default();
            Ok(pb::ListStatesResponse { tests: tests.items.iter().map(document).collect(), next_page_token })
        })
        .await
    }

    async fn list_test_cells(&self, request: Request<pb::ListTestCellsRequest>) -> Answer<pb::ListTestCellsResponse> {
        answer(request, async |caller, req| {
            let cells = self.ops.test_cells(&caller, &namespace(&req.namespace)?, test(&req.test)?).await?;
            Ok(pb::ListTestCellsResponse { cells: cells.iter().map(document).collect() })
        })
        .await
    }

    async fn list_cases(&self, request: Request<pb::ListCasesRequest>) -> Answer<pb::ListCasesResponse> {
        answer(request, async |caller, mut req| {
            let page = page(req.page_size.min(MOST_CASES), std::mem::take(&mut req.page_token))?;
            let (ns, name) = (namespace(&req.namespace)?, test(&req.test)?.to_owned());
            let cases = self.ops.list_cases(&caller, &ns, &name, state_filter(req)?, page).await?;
            let next_page_token = cases.next_page_token.unwrap_or_default();
            Ok(pb::ListCasesResponse { cases: cases.items.iter().map(document).collect(), next_page_token })
        })
        .await
    }

    async fn get_case(&self, request: Request<pb::GetCaseRequest>) -> Answer<pb::GetCaseResponse> {
        answer(request, async |caller, req| {
            let case = address("case", "/case_id", &req.case_id, |id| id.parse().ok())?;
            let cases = self.ops.get_case(&caller, &namespace(&req.namespace)?, test(&req.test)?, case).await?;
            Ok(pb::GetCaseResponse { cases: cases.iter().map(document).collect() })
        })
        .await
    }

    async fn list_case_history(
        &self,
        request: Request<pb::ListCaseHistoryRequest>,
    ) -> Answer<pb::ListCaseHistoryResponse> {
        answer(request, async |caller, req| {
            let case = address("case", "/case_id", &req.case_id, |id| id.parse().ok())?;
            let (ns, page) = (namespace(&req.namespace)?, page(req.page_size, req.page_token)?);
            let cell = cell(req.cell)?;
            let runs = self.ops.case_history(&caller, &ns, test(&req.test)?, case, cell, page).await?;
            let next_page_token = runs.next_page_token.unwrap_or_default();
            Ok(pb::ListCaseHistoryResponse { runs: runs.items.iter().map(document).collect(), next_page_token })
        })
        .await
    }

    async fn get_run_changes(&self, request: Request<pb::GetRunChangesRequest>) -> Answer<pb::GetRunChangesResponse> {
        answer(request, async |caller, req| {
            let changes = self.ops.run_changes(&caller, run(&req.run_id)?).await?;
            Ok(pb::GetRunChangesResponse { changes: Some(document(&changes)) })
        })
        .await
    }

    async fn get_what_changed(
        &self,
        request: Request<pb::GetWhatChangedRequest>,
    ) -> Answer<pb::GetWhatChangedResponse> {
        answer(request, async |caller, req| {
            let case =
                text(req.case_id).map(|id| address("case", "/case_id", &id, |id| id.parse().ok())).transpose()?;
            let (ns, cell) = (namespace(&req.namespace)?, cell(req.cell)?);
            let changed = self.ops.what_changed(&caller, &ns, test(&req.test)?, cell, case).await?;
            Ok(pb::GetWhatChangedResponse { changed: Some(document(&changed)) })
        })
        .await
    }

    async fn list_failure_groups(
        &self,
        request: Request<pb::ListFailureGroupsRequest>,
    ) -> Answer<pb::ListFailureGroupsResponse> {
        answer(request, async |caller, req| {
            let days = Some(req.days).filter(|days| *days != 0);
            let found = self.ops.failure_groups(&caller, &namespace(&req.namespace)?, test(&req.test)?, days).await?;
            Ok(pb::ListFailureGroupsResponse { failures: Some(document(&found)) })
        })
        .await
    }

    async fn analyse_test(&self, request: Request<pb::AnalyseTestRequest>) -> Answer<pb::AnalyseTestResponse> {
        answer(request, async |caller, req| {
            let days = Some(req.days).filter(|days| *days != 0);
            let found = self.ops.analyse_test(&caller, &namespace(&req.namespace)?, test(&req.test)?, days).await?;
            Ok(pb::AnalyseTestResponse { analysis: Some(document(&found)) })
        })
        .await
    }

    async fn compare_runs(&self, request: Request<pb::CompareRunsRequest>) -> Answer<pb::CompareRunsResponse> {
        answer(request, async |caller, req| {
            Ok(self.ops.compare_runs(&caller, run(&req.run_id)?, run(&req.other_run_id)?).await?.into())
        })
        .await
    }

    async fn list_queue(&self, request: Request<pb::ListQueueRequest>) -> Answer<pb::ListQueueResponse> {
        answer(request, async |caller, req| {
            let (ns, page) = (namespace(&req.namespace)?, page(req.page_size, req.page_token)?);
            Ok(self.ops.list_queue(&caller, &ns, page).await?.into())
        })
        .await
    }

    async fn get_summary(&self, request: Request<pb::GetSummaryRequest>) -> Answer<pb::GetSummaryResponse> {
        answer(request, async |caller, req| {
            let ns = namespace(&req.namespace)?;
            let filter = SummaryFilter::try_from(req)?;
            if let Some(name) = &filter.test {
                check_name(name).map_err(|fault| Invalid::one("/test", fault))?;
            }
            Ok(self.ops.get_summary(&caller, &ns, filter).await?.into())
        })
        .await
    }

    async fn list_runners(&self, request: Request<pb::ListRunnersRequest>) -> Answer<pb::ListRunnersResponse> {
        answer(request, async |caller, req| {
            let ns = text(req.namespace).map(|name| namespace(&name)).transpose()?;
            Ok(self.ops.list_runners(&caller, ns.as_ref(), page(req.page_size, req.page_token)?).await?.into())
        })
        .await
    }

    async fn list_outages(&self, request: Request<pb::ListOutagesRequest>) -> Answer<pb::ListOutagesResponse> {
        answer(request, async |caller, req| {
            let of = text(req.runner_id).map(|id| runner(&id)).transpose()?;
            let (ns, page) = (namespace(&req.namespace)?, page(req.page_size, req.page_token)?);
            let page = self.ops.list_outages(&caller, &ns, of, page).await?;
            Ok(pb::ListOutagesResponse {
                outages: page.items.iter().map(document).collect(),
                next_page_token: page.next_page_token.unwrap_or_default(),
            })
        })
        .await
    }

    async fn get_runner(&self, request: Request<pb::GetRunnerRequest>) -> Answer<pb::GetRunnerResponse> {
        answer(request, async |caller, req| {
            let runner = self.ops.get_runner(&caller, runner(&req.runner_id)?).await?;
            Ok(pb::GetRunnerResponse { runner: Some(runner.into()) })
        })
        .await
    }
}

impl TryFrom<pb::ListTestsRequest> for TestFilter {
    type Error = Invalid;
    fn try_from(message: pb::ListTestsRequest) -> Result<Self, Invalid> {
        Ok(Self {
            q: text(message.q),
            labels: valid("/labels", labels(message.labels))?,
            annotations: valid("/annotations", labels(message.annotations))?,
            paused: message.paused,
        })
    }
}

/// Reads which attempt is wanted; the latest when it is 0.
fn attempt(number: u32) -> Result<Option<u16>, Invalid> {
    Some(number).filter(|number| *number != 0).map(|number| narrow("/attempt", number)).transpose()
}

/// Reads which cell is meant, if any.
fn cell(message: std::collections::HashMap<String, String>) -> Result<Option<Labels>, Invalid> {
    match message.is_empty() {
        true => Ok(None),
        false => valid("/cell", labels(message)).map(Some),
    }
}

fn words<T: std::str::FromStr<Err = String>>(place: &str, words: Vec<String>) -> Result<Vec<T>, Invalid> {
    let read = |(i, word): (usize, String)| word.parse().map_err(|fault| Invalid::one(format!("{place}/{i}"), fault));
    words.into_iter().enumerate().map(read).collect()
}

fn state_filter(message: pb::ListCasesRequest) -> Result<StateFilter, Invalid> {
    Ok(StateFilter {
        cell: cell(message.cell)?,
        standings: words("/standings", message.standings)?,
        statuses: words("/statuses", message.statuses)?,
        text: text(message.q),
        slowest: message.slowest,
    })
}

fn case_filter(message: pb::ListRunCasesRequest) -> Result<CaseFilter, Invalid> {
    let status = |(i, number): (usize, i32)| {
        let place = format!("/statuses/{i}");
        required(&place, word(&place, number)?)
    };
    Ok(CaseFilter {
        attempt: attempt(message.attempt)?,
        statuses: message.statuses.into_iter().enumerate().map(status).collect::<Result<_, _>>()?,
        text: text(message.q),
        flaky: message.flaky,
    })
}

fn run_filter(message: pb::ListRunsRequest) -> Result<RunFilter, Invalid> {
    let filter = RunFilter::try_from(message)?;
    if let Some(name) = &filter.test {
        check_name(name).map_err(|fault| Invalid::one("/test", fault))?;
    }
    Ok(RunFilter { labels: valid("/labels", filter.labels)?, ..filter })
}

/// Refuses labels at `place` that nothing can have.
fn valid(place: &str, labels: Labels) -> Result<Labels, Invalid> {
    let mut invalid = Invalid::default();
    if let Err(part) = labels.validate() {
        invalid.add_all(place, part);
    }
    invalid.into_result().map(|()| labels)
}

impl TryFrom<pb::ReadLogsRequest> for LogQuery {
    type Error = Invalid;
    fn try_from(message: pb::ReadLogsRequest) -> Result<Self, Invalid> {
        let given = |number: u32| Some(number).filter(|number| *number != 0);
        let tail = message.tail.map(|lines| TailLines::try_from(lines).map_err(|fault| Invalid::one("/tail", fault)));
        Ok(Self {
            attempt: given(message.attempt).map(|attempt| narrow("/attempt", attempt)).transpose()?,
            stream: word("/stream", message.stream)?,
            after: message.after,
            limit: given(message.limit),
            tail: tail.transpose()?,
            follow: message.follow,
        })
    }
}

impl From<LogPiece> for pb::ReadLogsResponse {
    fn from(piece: LogPiece) -> Self {
        Self {
            seq: piece.seq,
            time: Some(time(piece.at)),
            stream: number(piece.stream),
            data: piece.data.into(),
            cut_bytes: piece.cut.unwrap_or_default(),
        }
    }
}
