//! Tests: register, apply, change, delete, pause, list, and when they run next.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tstr_shared::error::{ErrorCode, Invalid, field_of_fault, pointer_step};
use tstr_shared::ids::TestId;
use tstr_shared::ledger::{LedgerOutcome, LedgerReason};
use tstr_shared::namespace::Namespace;
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::{TestsRead, TestsWrite};
use tstr_shared::schedule::Upcoming;
use tstr_shared::testdef::{Applied, Change, FieldChange, NewTestDef, RegisteredTest, TestDef, TestSchedule};
use uuid::Uuid;

pub use crate::store::testdefs::TestFilter;

use super::explain::warnings_of;
use super::scheduling::passed;
use super::{IdempotencyKey, Ops};
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store::{self, Conn};

/// How many of the next instants the answer to a registration shows.
const SHOWN: usize = 5;

impl Ops {
    /// Registers a test.
    pub async fn create_test(
        &self,
        caller: &Caller,
        ns: &Namespace,
        new: NewTestDef,
        key: Option<IdempotencyKey>,
    ) -> Result<RegisteredTest> {
        let access = self.enter::<TestsWrite>(caller, ns).await?;
        new.validate()?;
        let once = self.once(caller, key, &("create_test", ns, &new))?;
        let mut tx = self.db().begin().await?;
        if let Some(answer) = once.replay(&mut tx, &access).await? {
            return Ok(answer);
        }
        let test = insert(&mut tx, &access, &new).await?;
        let answer = registered(&mut tx, &access, test).await?;
        once.remember(&mut tx, &access, &answer).await?;
        tx.commit().await?;
        Ok(answer)
    }

    /// Lists tests by name.
    pub async fn list_tests(
        &self,
        caller: &Caller,
        ns: &Namespace,
        filter: TestFilter,
        page: PageRequest,
    ) -> Result<Page<TestDef>> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let asked = ("tests", ns, &filter.q, &filter.labels, &filter.annotations, filter.paused);
        let after = self.0.cursor_key.read::<String>(&page, &asked)?.unwrap_or_default();
        let (access, filter, after, limit) = (&access, &filter, &after, i64::from(page.limit()) + 1);
        let rows =
            self.read(|mut tx| async move { store::testdefs::list(&mut tx, access, filter, after, limit).await });
        let rows = rows.await?;
        self.0.cursor_key.page(rows, page.limit(), &asked, |test| test.spec.name.clone())
    }

    /// Reads a test by its id or name.
    pub async fn get_test(&self, caller: &Caller, ns: &Namespace, test: &str) -> Result<TestDef> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let mut conn = self.db().acquire().await?;
        store::testdefs::find(&mut conn, &access, test, false).await?.ok_or_else(|| Error::not_found("test"))
    }

    /// Makes the test of this name be as given; as a dry run it only says what would change.
    pub async fn apply_test(
        &self,
        caller: &Caller,
        ns: &Namespace,
        new: NewTestDef,
        dry_run: bool,
        if_version: Option<i32>,
    ) -> Result<Applied> {
        let access = self.enter::<TestsWrite>(caller, ns).await?;
        new.validate()?;
        let mut tx = self.db().begin().await?;
        let before = store::testdefs::find(&mut tx, &access, &new.name, !dry_run).await?;
        // A test whose id happens to be the name is not the test of that name.
        let before = before.filter(|test| test.spec.name == new.name);
        check_version(before.as_ref(), if_version)?;
        let (change, diff) = match &before {
            None => (Change::Created, Vec::new()),
            Some(test) if test.spec == new => (Change::Unchanged, Vec::new()),
            Some(test) => (Change::Updated, diff(&test.spec, &new)?),
        };
        let after = match (&before, change) {
            (Some(test), Change::Unchanged) => Some(test.clone()),
            (before, _) if dry_run => before.clone(),
            (None, _) => Some(insert(&mut tx, &access, &new).await?),
            (Some(test), _) => Some(update(&mut tx, &access, test, new.clone()).await?),
        };
        let mut warnings = warnings_of(&mut tx, &access, ns, &new).await?;
        if after.is_none() && matches!(new.check_schedule(), Ok(Some(schedule)) if !schedule.is_decided) {
            warnings.push("the place of H in cron_schedule is decided when the test is registered".to_owned());
        }
        // As a dry run: of the schedule that is asked for, not of the one that is stored.
        let stored = after.as_ref().filter(|test| test.spec == new);
        let next_at = stored.and_then(|test| test.next_run_at);
        let upcoming = upcoming(&mut tx, after.as_ref().map(|test| test.id), &new, next_at).await?;
        tx.commit().await?;
        Ok(Applied { change, dry_run, diff, warnings, upcoming, test: after })
    }

    /// Changes single fields of a test by a JSON merge patch (RFC 7396).
    pub async fn patch_test(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        patch: Value,
        if_version: Option<i32>,
    ) -> Result<RegisteredTest> {
        let access = self.enter::<TestsWrite>(caller, ns).await?;
        if !patch.is_object() {
            return Err(Invalid::one("", "a merge patch is an object").into());
        }
        let mut tx = self.db().begin().await?;
        let before = self.locked(&mut tx, &access, test).await?;
        check_version(Some(&before), if_version)?;
        let mut document = serde_json::to_value(&before.spec).map_err(Error::internal)?;
        merge(&mut document, patch);
        let new = read_document(document)?;
        new.validate()?;
        let after = if new == before.spec { before } else { update(&mut tx, &access, &before, new).await? };
        let answer = registered(&mut tx, &access, after).await?;
        tx.commit().await?;
        Ok(answer)
    }

    /// Deletes a test; its runs stay.
    pub async fn delete_test(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        if_version: Option<i32>,
    ) -> Result<()> {
        let access = self.enter::<TestsWrite>(caller, ns).await?;
        let mut tx = self.db().begin().await?;
        let before = self.locked(&mut tx, &access, test).await?;
        check_version(Some(&before), if_version)?;
        store::schedules::set_next(&mut tx, &access, before.id, None).await?;
        store::schedules::unpause(&mut tx, &access, before.id).await?;
        if !store::testdefs::delete(&mut tx, &access, before.id, before.version).await? {
            return Err(Error::not_found("test"));
        }
        tx.commit().await?;
        Ok(())
    }

    /// Stops a test's schedule, or starts it again.
    pub async fn set_test_paused(&self, caller: &Caller, ns: &Namespace, test: &str, paused: bool) -> Result<TestDef> {
        let access = self.enter::<TestsWrite>(caller, ns).await?;
        let mut tx = self.db().begin().await?;
        let before = self.locked(&mut tx, &access, test).await?;
        if before.spec.paused == paused {
            return Ok(before);
        }
        let new = NewTestDef { paused, ..before.spec.clone() };
        let after = update(&mut tx, &access, &before, new).await?;
        tx.commit().await?;
        Ok(after)
    }

    /// Says when a test runs next.
    pub async fn test_schedule(&self, caller: &Caller, ns: &Namespace, test: &str, count: u32) -> Result<TestSchedule> {
        let test = self.get_test(caller, ns, test).await?;
        if count > 100 {
            return Err(Invalid::one("count", format!("{count} is over 100")).into());
        }
        let count = if count == 0 { 10 } else { count as usize };
        let schedule = test.spec.schedule(test.id).map_err(Error::internal)?;
        let Some(schedule) = schedule else {
            return Err(Error::conflict("the test has no cron_schedule"));
        };
        let mut conn = self.db().acquire().await?;
        let now = store::housekeeping::now(&mut conn).await?;
        // What is stored is what will happen: an instant that is due and not yet enqueued comes first.
        let deadline = test.spec.start_deadline_at(&schedule, test.next_run_at.unwrap_or(now));
        Ok(TestSchedule {
            description: schedule.describe(),
            time_zone: schedule.time_zone().to_string(),
            paused: test.spec.paused,
            upcoming: schedule.preview(test.next_run_at, now, test.spec.catch_up, deadline, count),
        })
    }

    async fn locked(&self, conn: &mut Conn, access: &Access<TestsWrite>, test: &str) -> Result<TestDef> {
        store::testdefs::find(conn, access, test, true).await?.ok_or_else(|| Error::not_found("test"))
    }
}

async fn insert(conn: &mut Conn, access: &Access<TestsWrite>, new: &NewTestDef) -> Result<TestDef> {
    let id = TestId(Uuid::now_v7());
    store::testdefs::insert(conn, access, id, new).await?;
    store::versions::keep(conn, access, id).await?;
    reschedule(conn, access, id, None, new).await?;
    set_slots(conn, access, id, new).await?;
    stored(conn, access, id).await
}

async fn update(conn: &mut Conn, access: &Access<TestsWrite>, before: &TestDef, new: NewTestDef) -> Result<TestDef> {
    let timing = |spec: &NewTestDef| (spec.cron_schedule.clone(), spec.time_zone.clone(), spec.paused);
    if !store::testdefs::update(conn, access, before.id, before.version, &new).await? {
        return Err(Error::conflict("the test was changed at the same moment; repeat the request"));
    }
    store::versions::keep(conn, access, before.id).await?;
    // An instant that is due already must not be skipped because something else was changed. A test that could not be read
    // when it was due has left the schedule, and comes back when it is changed.
    let has_left = before.next_run_at.is_none() && !new.paused && new.cron_schedule.is_some();
    if timing(&before.spec) != timing(&new) || has_left {
        reschedule(conn, access, before.id, Some(&before.spec), &new).await?;
    }
    if before.spec.concurrency != new.concurrency {
        set_slots(conn, access, before.id, &new).await?;
    }
    stored(conn, access, before.id).await
}

async fn stored(conn: &mut Conn, access: &Access<TestsWrite>, id: TestId) -> Result<TestDef> {
    let found = store::testdefs::find(conn, access, &id.to_string(), false).await?;
    found.ok_or_else(|| Error::internal(anyhow::anyhow!("a stored test is not there")))
}

/// Puts a test on the schedule, takes it off, or pauses it. What passed while it was paused `before` goes into the ledger, and
/// so does what is due by a line that it does not have any more.
async fn reschedule(
    conn: &mut Conn,
    access: &Access<TestsWrite>,
    id: TestId,
    before: Option<&NewTestDef>,
    new: &NewTestDef,
) -> Result<()> {
    // Almost all was checked before the id was drawn; where H falls may still make a line that hardly ever happens.
    let schedule = new.schedule(id).map_err(|fault| Invalid::one(format!("/{}", fault.field()), fault.to_string()))?;
    let was = store::schedules::hold(conn, access, id).await?;
    // Not before the row is held: until then a scheduler may have moved it on.
    let now = store::housekeeping::now(conn).await?;
    let old = before.and_then(|before| before.decided_schedule(Some(id)));
    let line = |spec: &NewTestDef| (spec.cron_schedule.clone(), spec.time_zone.clone());
    let is_other = before.is_none_or(|before| line(before) != line(new));
    let skipped = (LedgerOutcome::Skipped, Some(LedgerReason::Paused));
    let missed = (LedgerOutcome::Missed, Some(LedgerReason::CatchUp));
    let unpaused = store::schedules::unpause(conn, access, id).await?.filter(|_| before.is_some_and(|old| old.paused));
    let due = was.filter(|due| is_other && *due <= now);
    let passed_by = unpaused.map(|since| (since, skipped)).or(due.map(|due| (due, missed)));
    if let Some(((since, outcome), old)) = passed_by.zip(old) {
        let entries = passed((id, access.namespace()), &old, since, now, outcome);
        store::ledger::write(conn, access, &entries).await?;
    }
    match schedule {
        Some(_) if new.paused => {
            let since = was.filter(|_| !is_other).unwrap_or(now);
            store::schedules::pause(conn, access, id, since).await
        }
        schedule => {
            let next = schedule.and_then(|schedule| schedule.next_after(now));
            store::schedules::set_next(conn, access, id, next).await
        }
    }
}

/// Returns when a test runs next: a test that is stored with the instant `next_at`, or that would be. Nothing while it is
/// paused, and where nobody knows yet where an `H` will fall.
async fn upcoming(
    conn: &mut Conn,
    id: Option<TestId>,
    spec: &NewTestDef,
    next_at: Option<DateTime<Utc>>,
) -> Result<Vec<Upcoming>> {
    let Some(schedule) = spec.decided_schedule(id).filter(|_| !spec.paused) else { return Ok(Vec::new()) };
    let now = store::housekeeping::now(conn).await?;
    let deadline = spec.start_deadline_at(&schedule, next_at.unwrap_or(now));
    Ok(schedule.preview(next_at, now, spec.catch_up, deadline, SHOWN))
}

/// Gives the gates of the test the slots that it says. Runs that may enter now are found by those who look for lanes.
async fn set_slots(conn: &mut Conn, access: &Access<TestsWrite>, id: TestId, new: &NewTestDef) -> Result<()> {
    let gates = super::gates::registered_gates(new, access.namespace(), id)?;
    store::gates::set_slots(conn, access, &gates).await.map(drop)
}

/// Puts together what is answered to a registration.
async fn registered(conn: &mut Conn, access: &Access<TestsWrite>, test: TestDef) -> Result<RegisteredTest> {
    let warnings = warnings_of(conn, access, &test.namespace, &test.spec).await?;
    let upcoming = upcoming(conn, Some(test.id), &test.spec, test.next_run_at).await?;
    Ok(RegisteredTest { test, warnings, upcoming })
}

fn check_version(test: Option<&TestDef>, wanted: Option<i32>) -> Result<()> {
    match (wanted, test.map(|test| test.version)) {
        (Some(wanted), Some(version)) if wanted != version => Err(Error::new(
            ErrorCode::PreconditionFailed,
            format!("the test is at version {version}, not {wanted}; read it again"),
        )),
        (Some(wanted), None) => {
            Err(Error::new(ErrorCode::PreconditionFailed, format!("there is no test at version {wanted}")))
        }
        _ => Ok(()),
    }
}

/// Applies a JSON merge patch as RFC 7396, section 2 defines it.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, value) in patch {
        match value {
            Value::Null => drop(fields.shift_remove(&key)),
            value => merge(fields.entry(key).or_insert(Value::Null), value),
        }
    }
}

fn read_document(document: Value) -> Result<NewTestDef> {
    serde_path_to_error::deserialize(document).map_err(|error| {
        let detail = error.inner().to_string();
        let steps = error.path().iter().map(ToString::to_string);
        let steps = steps.chain(field_of_fault(&detail).map(str::to_owned)).filter(|step| step != ".");
        Invalid::one(steps.map(|step| format!("/{}", pointer_step(&step))).collect::<String>(), detail).into()
    })
}

/// Lists the fields in which two documents differ.
fn diff(before: &impl Serialize, after: &impl Serialize) -> Result<Vec<FieldChange>> {
    let value = |of: Result<Value, serde_json::Error>| of.map_err(Error::internal);
    let (before, after) = (value(serde_json::to_value(before))?, value(serde_json::to_value(after))?);
    let mut changes = Vec::new();
    collect_changes(String::new(), Some(&before), Some(&after), &mut changes);
    Ok(changes)
}

fn collect_changes(pointer: String, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<FieldChange>) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                collect_changes(format!("{pointer}/{}", pointer_step(key)), old.get(key), new.get(key), changes);
            }
        }
        (old, new) if old == new => {}
        (old, new) => changes.push(FieldChange { pointer, before: old.cloned(), after: new.cloned() }),
    }
}

/// Finds a test by its id or name; an id also names one that was deleted.
pub(super) async fn test_of(conn: &mut Conn, access: &Access<TestsRead>, test: &str) -> Result<TestId> {
    let found = store::testdefs::find_any(conn, access, test).await?;
    found.map(|(id, _)| id).ok_or_else(|| Error::not_found("test"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The examples of RFC 7396, appendix A.
    #[test]
    fn merge_follows_the_examples_of_the_rfc() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, patch.clone());
            assert_eq!(merged, result, "{target} patched with {patch}");
        }
    }

    #[test]
    fn a_diff_names_the_fields() {
        let changes =
            diff(&json!({"a": {"b": 1, "c": 2}, "d": [1]}), &json!({"a": {"b": 3}, "d": [1], "e": 0})).unwrap();
        let seen: Vec<_> = changes.iter().map(|c| (c.pointer.as_str(), c.before.clone(), c.after.clone())).collect();
        assert_eq!(
            seen,
            [("/a/b", Some(json!(1)), Some(json!(3))), ("/a/c", Some(json!(2)), None), ("/e", None, Some(json!(0)))]
        );
    }

    #[test]
    fn a_patch_with_an_unknown_field_names_it() {
        let error =
            read_document(json!({"name": "a", "run_config": {"container_image": "x", "tiemout": "1s"}})).unwrap_err();
        assert!(error.errors()[0].pointer.starts_with("/run_config"), "{:?}", error.errors());
        assert!(error.errors()[0].detail.contains("tiemout"));
    }
}
