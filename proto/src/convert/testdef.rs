//! Tests: what users register, and what the server says of it.

use tstr_shared::artifacts::Artifacts;
use tstr_shared::concurrency::Concurrency;
use tstr_shared::duration::Seconds;
use tstr_shared::error::Invalid;
use tstr_shared::matrix::{Axes, Matrix};
use tstr_shared::page::Page;
use tstr_shared::schedule::Upcoming;
use tstr_shared::size::Bytes;
use tstr_shared::testdef::{
    Applied, Command, FieldChange, Limits, NewTestDef, RegisteredTest, Resources, Retry, RunConfig, TestDef,
    TestSchedule, TestVersion,
};

use super::words::Text;
use super::{
    id, instant, json, labels, map, namespace, narrow, number, optional_instant, part, parts, required, required_part,
    text, time, word, words,
};
use crate::v1 as pb;

impl From<Resources> for pb::Resources {
    fn from(resources: Resources) -> Self {
        Self { memory_bytes: resources.memory.0, cpus: resources.cpus, pids: resources.pids }
    }
}

impl From<pb::Resources> for Resources {
    /// Reads limits; one that is 0, which no limit can be, is the default, as one that JSON leaves out.
    fn from(message: pb::Resources) -> Self {
        let mut resources = Self::default();
        if message.memory_bytes != 0 {
            resources.memory = Bytes(message.memory_bytes);
        }
        if message.cpus != 0.0 {
            resources.cpus = message.cpus;
        }
        if message.pids != 0 {
            resources.pids = message.pids;
        }
        resources
    }
}

impl From<RunConfig> for pb::RunConfig {
    fn from(config: RunConfig) -> Self {
        Self {
            container_image: config.container_image,
            command: config.command.0,
            args: config.args,
            env: map(config.env),
            timeout_secs: config.timeout.0,
            grace_secs: Some(config.grace.0),
            resources: Some(config.resources.into()),
            network: number(config.network),
            pull: number(config.pull),
        }
    }
}

impl TryFrom<pb::RunConfig> for RunConfig {
    type Error = Invalid;
    fn try_from(message: pb::RunConfig) -> Result<Self, Invalid> {
        let default = Self::of_image(message.container_image);
        Ok(Self {
            command: Command(message.command),
            args: message.args,
            env: labels(message.env),
            timeout: match message.timeout_secs {
                0 => default.timeout,
                secs => Seconds(secs),
            },
            grace: message.grace_secs.map_or(default.grace, Seconds),
            resources: message.resources.map_or(default.resources, Into::into),
            network: word("/network", message.network)?.unwrap_or_default(),
            pull: word("/pull", message.pull)?.unwrap_or_default(),
            container_image: default.container_image,
        })
    }
}

impl From<Matrix> for pb::Matrix {
    fn from(matrix: Matrix) -> Self {
        let sets = |sets: Vec<_>| sets.into_iter().map(|set| pb::LabelSet { labels: map(set) }).collect();
        Self {
            axes: matrix.labels.0.into_iter().map(|(key, values)| pb::Axis { key, values }).collect(),
            include: sets(matrix.include),
            exclude: sets(matrix.exclude),
            max_parallel: matrix.max_parallel,
            fail_fast: matrix.fail_fast,
            soft_fail: sets(matrix.soft_fail),
        }
    }
}

impl From<pb::Matrix> for Matrix {
    fn from(message: pb::Matrix) -> Self {
        let sets = |sets: Vec<pb::LabelSet>| sets.into_iter().map(|set| labels(set.labels)).collect();
        Self {
            labels: Axes(message.axes.into_iter().map(|axis| (axis.key, axis.values)).collect()),
            include: sets(message.include),
            exclude: sets(message.exclude),
            max_parallel: message.max_parallel,
            fail_fast: message.fail_fast,
            soft_fail: sets(message.soft_fail),
        }
    }
}

impl From<Concurrency> for pb::Concurrency {
    fn from(concurrency: Concurrency) -> Self {
        Self {
            policy: number(concurrency.policy),
            group: concurrency.group,
            limit: concurrency.limit,
            depth: concurrency.depth,
            overflow: concurrency.overflow.map_or(0, number),
        }
    }
}

impl TryFrom<pb::Concurrency> for Concurrency {
    type Error = Invalid;
    fn try_from(message: pb::Concurrency) -> Result<Self, Invalid> {
        Ok(Self {
            policy: required("/policy", word("/policy", message.policy)?)?,
            group: message.group,
            limit: message.limit,
            depth: message.depth,
            overflow: word("/overflow", message.overflow)?,
        })
    }
}

impl From<Retry> for pb::Retry {
    fn from(retry: Retry) -> Self {
        Self { on_fail: retry.on_fail.into(), on_infrastructure: retry.on_infrastructure.into() }
    }
}

impl TryFrom<pb::Retry> for Retry {
    type Error = Invalid;
    fn try_from(message: pb::Retry) -> Result<Self, Invalid> {
        Ok(Self {
            on_fail: narrow("/on_fail", message.on_fail)?,
            on_infrastructure: narrow("/on_infrastructure", message.on_infrastructure)?,
        })
    }
}

impl From<NewTestDef> for pb::TestSpec {
    fn from(test: NewTestDef) -> Self {
        Self {
            name: test.name,
            labels: map(test.labels),
            annotations: map(test.annotations),
            run_config: Some(test.run_config.into()),
            matrix: test.matrix.map(Into::into),
            cron_schedule: test.cron_schedule,
            time_zone: test.time_zone,
            catch_up: number(test.catch_up),
            start_deadline_secs: test.start_deadline.map(|deadline| deadline.0),
            queue_deadline_secs: test.queue_deadline.map(|deadline| deadline.0),
            concurrency: test.concurrency.map(Into::into),
            retry: Some(test.retry.into()),
            log_limit_bytes: test.limits.log.0,
            artifacts: Some(test.artifacts.into()),
            artifact_limit_bytes: Some(test.limits.artifacts.0),
            at_most_once: test.at_most_once,
            priority: number(test.priority),
            paused: test.paused,
        }
    }
}

impl TryFrom<pb::TestSpec> for NewTestDef {
    type Error = Invalid;
    fn try_from(message: pb::TestSpec) -> Result<Self, Invalid> {
        Ok(Self {
            name: message.name,
            labels: labels(message.labels),
            annotations: labels(message.annotations),
            run_config: required_part("/run_config", message.run_config)?,
            matrix: message.matrix.map(Into::into),
            cron_schedule: message.cron_schedule,
            time_zone: message.time_zone,
            catch_up: word("/catch_up", message.catch_up)?.unwrap_or_default(),
            start_deadline: message.start_deadline_secs.map(Seconds),
            queue_deadline: message.queue_deadline_secs.map(Seconds),
            concurrency: message.concurrency.map(|concurrency| part("/concurrency", concurrency)).transpose()?,
            retry: message.retry.map_or(Ok(Retry::default()), |retry| part("/retry", retry))?,
            limits: Limits {
                log: match message.log_limit_bytes {
                    0 => Limits::default().log,
                    bytes => Bytes(bytes),
                },
                artifacts: message.artifact_limit_bytes.map_or(Limits::default().artifacts, Bytes),
            },
            artifacts: message.artifacts.map_or(Ok(Artifacts::default()), |artifacts| part("/artifacts", artifacts))?,
            at_most_once: message.at_most_once,
            priority: word("/priority", message.priority)?.unwrap_or_default(),
            paused: message.paused,
        })
    }
}

impl From<TestDef> for pb::Test {
    fn from(test: TestDef) -> Self {
        Self {
            id: test.id.to_string(),
            namespace: test.namespace.to_string(),
            version: test.version,
            created_at: Some(time(test.created_at)),
            updated_at: Some(time(test.updated_at)),
            next_run_at: test.next_run_at.map(time),
            spec: Some(test.spec.into()),
        }
    }
}

impl TryFrom<pb::Test> for TestDef {
    type Error = Invalid;
    fn try_from(message: pb::Test) -> Result<Self, Invalid> {
        Ok(Self {
            id: id("/id", &message.id)?,
            namespace: namespace("/namespace", &message.namespace)?,
            version: message.version,
            created_at: instant("/created_at", message.created_at)?,
            updated_at: instant("/updated_at", message.updated_at)?,
            next_run_at: optional_instant("/next_run_at", message.next_run_at)?,
            spec: required_part("/spec", message.spec)?,
        })
    }
}

impl From<TestVersion> for pb::TestVersion {
    fn from(version: TestVersion) -> Self {
        Self {
            version: version.version,
            changed_at: Some(time(version.changed_at)),
            changed_by: version.changed_by.unwrap_or_default(),
            spec: version.spec.map(Into::into),
        }
    }
}

impl TryFrom<pb::TestVersion> for TestVersion {
    type Error = Invalid;
    fn try_from(message: pb::TestVersion) -> Result<Self, Invalid> {
        Ok(Self {
            version: message.version,
            changed_at: instant("/changed_at", message.changed_at)?,
            changed_by: text(message.changed_by),
            spec: message.spec.map(|spec| part("/spec", spec)).transpose()?,
        })
    }
}

impl From<Page<TestVersion>> for pb::ListTestVersionsResponse {
    fn from(page: Page<TestVersion>) -> Self {
        Self {
            versions: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<RegisteredTest> for pb::CreateTestResponse {
    fn from(registered: RegisteredTest) -> Self {
        let RegisteredTest { test, warnings, upcoming } = registered;
        Self { test: Some(test.into()), warnings, upcoming: upcoming.into_iter().map(Into::into).collect() }
    }
}

impl From<RegisteredTest> for pb::PatchTestResponse {
    fn from(registered: RegisteredTest) -> Self {
        let RegisteredTest { test, warnings, upcoming } = registered;
        Self { test: Some(test.into()), warnings, upcoming: upcoming.into_iter().map(Into::into).collect() }
    }
}

impl From<FieldChange> for pb::FieldChange {
    fn from(change: FieldChange) -> Self {
        Self { pointer: change.pointer, before: change.before.map(json::value), after: change.after.map(json::value) }
    }
}

impl TryFrom<pb::FieldChange> for FieldChange {
    type Error = Invalid;
    fn try_from(message: pb::FieldChange) -> Result<Self, Invalid> {
        Ok(Self {
            pointer: message.pointer,
            before: message.before.map(|before| json::read("/before", before)).transpose()?,
            after: message.after.map(|after| json::read("/after", after)).transpose()?,
        })
    }
}

impl From<Applied> for pb::ApplyTestResponse {
    fn from(applied: Applied) -> Self {
        Self {
            change: applied.change.text().to_owned(),
            dry_run: applied.dry_run,
            diff: applied.diff.into_iter().map(Into::into).collect(),
            warnings: applied.warnings,
            test: applied.test.map(Into::into),
            upcoming: applied.upcoming.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::ApplyTestResponse> for Applied {
    type Error = Invalid;
    fn try_from(message: pb::ApplyTestResponse) -> Result<Self, Invalid> {
        Ok(Self {
            change: words::read("/change", &message.change)?,
            dry_run: message.dry_run,
            diff: parts("/diff", message.diff)?,
            warnings: message.warnings,
            test: message.test.map(|test| part("/test", test)).transpose()?,
            upcoming: parts("/upcoming", message.upcoming)?,
        })
    }
}

impl From<Upcoming> for pb::UpcomingInstant {
    fn from(upcoming: Upcoming) -> Self {
        Self { at: Some(time(upcoming.at)), local: upcoming.local, note: upcoming.note.unwrap_or_default() }
    }
}

impl TryFrom<pb::UpcomingInstant> for Upcoming {
    type Error = Invalid;
    fn try_from(message: pb::UpcomingInstant) -> Result<Self, Invalid> {
        Ok(Self { at: instant("/at", message.at)?, local: message.local, note: text(message.note) })
    }
}

impl From<TestSchedule> for pb::GetTestScheduleResponse {
    fn from(schedule: TestSchedule) -> Self {
        Self {
            description: schedule.description,
            time_zone: schedule.time_zone,
            paused: schedule.paused,
            upcoming: schedule.upcoming.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::GetTestScheduleResponse> for TestSchedule {
    type Error = Invalid;
    fn try_from(message: pb::GetTestScheduleResponse) -> Result<Self, Invalid> {
        Ok(Self {
            description: message.description,
            time_zone: message.time_zone,
            paused: message.paused,
            upcoming: parts("/upcoming", message.upcoming)?,
        })
    }
}

impl From<Page<TestDef>> for pb::ListTestsResponse {
    fn from(page: Page<TestDef>) -> Self {
        Self {
            tests: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}
