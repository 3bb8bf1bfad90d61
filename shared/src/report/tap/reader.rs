//! From lines to cases: the subtests that are open, and the test point that may still be said more about.

use super::line::{Directive, Line, Point};
use super::yaml;
use crate::report::Report;
use crate::report::case::{Case, CaseAttempt, CaseKey, CaseStatus, Finding, Property, Suite};
use crate::report::intake::{Intake, Place};
use crate::report::limits::{MAX_MESSAGE, MAX_PROPERTY};
use crate::report::note::{NoteCode, Position};
use crate::report::number::{self, milliseconds};
use crate::report::reconcile::{Counts, Declared};
use crate::report::text::{self, Gather};
use crate::report::write::Own;

/// How much deeper a subtest stands.
const INDENT: usize = 4;
/// How much deeper a YAML block stands at least.
const YAML_INDENT: usize = 1;

pub(super) struct Reader<'a, 'b> {
    pub(super) intake: Intake<'a, 'b>,
    levels: Vec<Level>,
    yaml: Option<Yaml>,
    /// Version 14 or later, or none said.
    escapes: bool,
    is_tap: bool,
    bailed_out: bool,
    gave_up: bool,
    other_lines: u64,
    first_other: Position,
}

/// The report as a whole, or a subtest.
#[derive(Default)]
struct Level {
    indent: usize,
    name: String,
    plan: Option<u64>,
    seen: u64,
    counted: Counts,
    /// What the subtests in it counted that were summed up already.
    below: Counts,
    /// The name that the next subtest will have.
    subtest: Option<String>,
    /// The subtest that ended last, which the next test point sums up.
    ended: Option<Counts>,
    /// The test point in whose braces a subtest stands.
    brace: Option<(Point, Position)>,
    open: Option<OpenPoint>,
    at: Position,
}

/// The last test point, about which comments and a YAML block may follow.
struct OpenPoint {
    point: Point,
    /// It sums a subtest up, and is no case.
    is_summary: bool,
    yaml: Option<String>,
    comments: Gather,
    at: Position,
}

struct Yaml {
    indent: usize,
    text: Gather,
}

impl<'a, 'b> Reader<'a, 'b> {
    pub(super) fn new(intake: Intake<'a, 'b>) -> Self {
        Self {
            intake,
            levels: vec![Level { at: Position { line: 1, byte: 0 }, ..Level::default() }],
            yaml: None,
            escapes: true,
            is_tap: false,
            bailed_out: false,
            gave_up: false,
            other_lines: 0,
            first_other: Position::default(),
        }
    }

    pub(super) fn wants_more(&self) -> bool {
        !self.bailed_out && !self.gave_up && !self.intake.is_stopped()
    }

    fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    pub(super) fn line(&mut self, line: &str, at: Position) {
        let line = line.trim_end();
        let indent = line.len() - line.trim_start_matches(' ').len();
        if self.yaml.is_some() && self.in_yaml(line, indent, at) {
            return;
        }
        if line.is_empty() {
            return;
        }
        let content = &line[indent..];
        let can_have_yaml = self.levels.iter().rev().find(|level| level.indent + YAML_INDENT <= indent);
        if content == "---" && can_have_yaml.is_some_and(|level| level.open.is_some()) {
            let depth = self.levels.iter().rposition(|level| level.indent + YAML_INDENT <= indent).unwrap_or(0);
            self.close_to(depth + 1);
            self.yaml = Some(Yaml { indent, text: Gather::new(self.intake.limits().text) });
            return;
        }
        let parsed = Line::parse(content, self.escapes);
        match &parsed {
            Line::Other => return self.other(at),
            Line::BraceEnd if !self.levels.iter().any(|level| level.indent == indent && level.brace.is_some()) => {
                return self.other(at);
            }
            Line::Comment(comment) if indent != self.level().indent => return self.comment(comment, indent),
            _ => {}
        }
        if !self.find_level(&parsed, indent, at) {
            return;
        }
        self.take(parsed, at);
    }

    /// Takes a line of a YAML block; tells whether it was one.
    fn in_yaml(&mut self, line: &str, indent: usize, at: Position) -> bool {
        let Some(yaml) = &mut self.yaml else { return false };
        let is_end = indent <= yaml.indent && &line[indent..] == "...";
        if !is_end && (indent >= yaml.indent || line.is_empty()) {
            yaml.text.push_line(line.get(yaml.indent..).unwrap_or(""));
            return true;
        }
        if !is_end {
            self.intake.note(NoteCode::BadMarkup, "a YAML block does not end", Some(at));
        }
        self.end_yaml(at);
        is_end
    }

    fn end_yaml(&mut self, at: Position) {
        let Some(yaml) = self.yaml.take() else { return };
        if yaml.text.is_cut() {
            self.intake.note(NoteCode::Cut, "a YAML block is too long, and its end is not kept", Some(at));
        }
        let text = yaml.text.finish().map(|text| text.text);
        if let Some(open) = &mut self.level().open {
            open.yaml = text;
        }
    }

    fn other(&mut self, at: Position) {
        self.other_lines += 1;
        if self.other_lines == 1 {
            self.first_other = at;
        }
    }

    /// Adds a comment to the test point that it stands behind, when that failed.
    fn comment(&mut self, comment: &str, indent: usize) {
        let level = self.levels.iter_mut().rev().find(|level| level.indent <= indent);
        if let Some(open) = level.and_then(|level| level.open.as_mut())
            && !open.point.is_ok
        {
            open.comments.push_line(comment);
        }
    }

    /// Opens and closes subtests until the line's own is the innermost; tells whether the line belongs to one.
    fn find_level(&mut self, line: &Line<'_>, indent: usize, at: Position) -> bool {
        let depth = self.levels.iter().rposition(|level| level.indent <= indent).unwrap_or(0);
        if matches!(line, Line::BailOut(_)) {
            return true;
        }
        let base = self.levels.get(depth).map_or(0, |level| level.indent);
        if indent > base && indent < base + INDENT {
            self.other(at);
            return false;
        }
        self.close_to(depth + 1);
        if indent == base {
            return true;
        }
        if self.levels.len() >= self.intake.limits().depth {
            let message = format!("subtests are nested deeper than {}", self.intake.limits().depth);
            self.intake.note(NoteCode::TooDeep, message, Some(at));
            self.gave_up = true;
            return false;
        }
        self.reopen_skipped();
        let parent = self.level();
        let in_brace = parent.brace.as_ref().map(|(point, _)| point.description.clone());
        let named = in_brace.or(parent.subtest.take());
        let is_name = named.is_none() && matches!(line, Line::Subtest(_));
        let name = match (named, line) {
            (Some(name), _) => text::name(&name).0,
            (None, Line::Subtest(name)) => text::name(name).0,
            (None, _) => format!("#{}", parent.seen + 1),
        };
        self.flush();
        self.levels.push(Level { indent, name, at, ..Level::default() });
        !is_name
    }

    /// Takes the test point before a subtest for one with a brace, where it was read as skipped for the reason `{`:
    /// Vitest writes suites like that.
    fn reopen_skipped(&mut self) {
        let level = self.level();
        let is_brace = |open: &OpenPoint| matches!(&open.point.directive, Some((Directive::Skip, why)) if why == "{");
        if let Some(mut open) = level.open.take_if(|open| is_brace(open) && open.yaml.is_none()) {
            open.point.directive = Some((Directive::Skip, String::new()));
            (level.ended, level.brace) = (None, Some((open.point, open.at)));
        }
    }

    fn take(&mut self, line: Line<'_>, at: Position) {
        match line {
            Line::Version(version) => self.version(version, at),
            Line::Plan { first, last, skip } => self.plan(first, last, skip, at),
            Line::Point(point) => self.point(point, at),
            Line::Subtest(name) => {
                self.flush();
                self.level().subtest = Some(name.to_owned());
            }
            Line::Comment(comment) => {
                let indent = self.level().indent;
                self.comment(comment, indent);
            }
            Line::BailOut(reason) => {
                self.is_tap = true;
                self.bailed_out = true;
                self.flush();
                self.intake.note(NoteCode::BailOut, format!("the run was given up: {reason}"), Some(at));
            }
            Line::BraceEnd => match self.level().brace.take() {
                Some((point, point_at)) => self.finish_point(point, point_at),
                None => self.other(at),
            },
            Line::Pragma => {}
            Line::Other => self.other(at),
        }
    }

    fn version(&mut self, version: &str, at: Position) {
        self.is_tap = true;
        self.escapes = version.parse::<u32>() != Ok(13);
        if !matches!(version, "12" | "13" | "14") {
            let message = format!("version '{}' is not known; read as 14", number::shorten(version));
            self.intake.note(NoteCode::Ignored, message, Some(at));
        }
        if self.levels.len() == 1 && self.level().seen > 0 {
            // Another report begins in the same file.
            self.end_level();
            self.levels.push(Level { at, ..Level::default() });
        }
    }

    fn plan(&mut self, first: u64, last: u64, skip: Option<&str>, at: Position) {
        self.is_tap = true;
        self.flush();
        let planned = if last < first { 0 } else { (last - first).saturating_add(1) };
        if let Some(before) = self.level().plan {
            let message = format!("{planned} are planned, and {before} were before");
            self.intake.note(NoteCode::PlanMismatch, message, Some(at));
        }
        self.level().plan = Some(planned);
        if let Some(reason) = skip
            && self.levels.len() == 1
        {
            self.intake.note(NoteCode::Ignored, format!("nothing was to be run: {reason}"), Some(at));
        }
    }

    fn point(&mut self, point: Point, at: Position) {
        self.is_tap = true;
        self.flush();
        let level = self.level();
        level.seen += 1;
        level.subtest = None;
        let expected = level.seen;
        if let Some(number) = point.number
            && number != expected
        {
            let message = format!("test point {number} stands where {expected} should");
            self.intake.note(NoteCode::BadNumber, message, Some(at));
        }
        if point.opens_brace {
            let level = self.level();
            level.ended = None;
            level.brace = Some((point, at));
        } else {
            self.finish_point(point, at);
        }
    }

    /// Says whether a test point is a case, and leaves it open for what is said behind it.
    fn finish_point(&mut self, point: Point, at: Position) {
        let limit = self.intake.limits().text;
        let level = self.level();
        let is_summary = level.ended.take().is_some_and(|counts| {
            level.below.merge(&counts);
            let has_failed = counts.failed + counts.errors > 0;
            counts.cases > 0 && (point.is_ok || has_failed || point.directive.is_some())
        });
        level.open = Some(OpenPoint { point, is_summary, yaml: None, comments: Gather::new(limit), at });
    }

    /// Hands over the test point that nothing more can be said about.
    fn flush(&mut self) {
        let Some(open) = self.level().open.take() else { return };
        if open.is_summary {
            return;
        }
        let suite: Vec<_> = self.levels.iter().skip(1).map(|level| level.name.clone()).collect();
        let number = self.level().seen;
        let at = open.at;
        let case = self.case(open, suite, number);
        let depth = self.levels.len() - 1;
        self.intake.case(case, &mut self.levels[depth].counted, Place::Elsewhere, Some(at));
    }

    fn case(&mut self, open: OpenPoint, suite: Vec<String>, number: u64) -> Case {
        let OpenPoint { point, yaml, comments, at, .. } = open;
        let (mut name, is_cut) = text::name(&point.description);
        if is_cut {
            self.intake.note(NoteCode::Cut, "a description is too long, and is cut", Some(at));
        }
        if name.is_empty() {
            name = format!("#{number}");
        }
        let value = |key: &str| yaml.as_deref().and_then(|block| yaml::scalar(block, key));
        let (status, reason) = match (point.is_ok, point.directive) {
            (true, Some((Directive::Todo, _))) => {
                self.intake.note(NoteCode::Todo, format!("'{}' is to be done, and passed", shown(&name)), Some(at));
                (CaseStatus::Pass, None)
            }
            (false, Some((Directive::Todo, reason))) => {
                let message = format!("'{}' is to be done, and its failure does not count", shown(&name));
                self.intake.note(NoteCode::Todo, message, Some(at));
                (CaseStatus::Skip, Some(format!("TODO {reason}").trim_end().to_owned()))
            }
            (_, Some((Directive::Skip, reason))) => {
                (CaseStatus::Skip, Some(reason).filter(|reason| !reason.is_empty()))
            }
            (true, None) => (CaseStatus::Pass, None),
            (false, None) => (CaseStatus::Fail, None),
        };
        let stated = value("duration_ms").and_then(|text| text.parse().ok()).or(point.duration_ms);
        let duration_ms = stated.and_then(milliseconds);
        if duration_ms.is_none() && stated.is_some() {
            self.intake.note(NoteCode::BadNumber, format!("'{}' has no possible duration", shown(&name)), Some(at));
        }
        if comments.is_cut() {
            self.intake.note(NoteCode::Cut, "comments are too long, and their end is not kept", Some(at));
        }
        let mut attempt = CaseAttempt { duration_ms, ..CaseAttempt::new(status) };
        let message = reason.or_else(|| value("message")).or_else(|| value("error"));
        let message = message.and_then(|text| text::tidy(&text).map(|text| text::cut(&text, MAX_MESSAGE).0.to_owned()));
        if status != CaseStatus::Pass {
            let kind = value("failureType").or_else(|| value("severity"));
            let mut text = Gather::new(self.intake.limits().case_text);
            let said = if value("tstr").is_some() { value("text") } else { yaml.clone() };
            for piece in [said, comments.finish().map(|text| text.text)].into_iter().flatten() {
                text.push_line(&piece);
            }
            let text = if status == CaseStatus::Fail { text.finish() } else { None };
            if message.is_some() || kind.is_some() || text.is_some() {
                attempt.findings.push(Finding { status, message, kind, text });
            }
        }
        let mut case = Case {
            duration_ms,
            attempts: vec![attempt],
            line: value("line").and_then(|line| line.parse().ok()),
            ..Case::new(CaseKey { suite, name, ..CaseKey::default() }, status)
        };
        for key in ["location", "at"] {
            if let Some(value) = value(key) {
                let value = text::cut(&text::clean(&value), MAX_PROPERTY).0.to_owned();
                case.properties.push(Property { name: key.into(), value });
            }
        }
        if let Some(own) = value("tstr") {
            match Own::parse(&own) {
                Some(own) => own.apply(&mut case),
                None => self.intake.note(NoteCode::Ignored, "'tstr' is not what tstr writes", Some(at)),
            }
        }
        case
    }

    /// Closes subtests until there are `depth` levels.
    fn close_to(&mut self, depth: usize) {
        while self.levels.len() > depth.max(1) {
            self.end_level();
        }
    }

    /// Ends the innermost subtest, or the report.
    fn end_level(&mut self) {
        self.flush();
        if let Some((point, point_at)) = self.level().brace.take() {
            self.intake.note(NoteCode::BadMarkup, "a brace is not closed", Some(point_at));
            self.finish_point(point, point_at);
            self.flush();
        }
        let path: Vec<_> = self.levels.iter().skip(1).map(|level| level.name.clone()).collect();
        let Some(level) = self.levels.pop() else { return };
        let shown = if path.is_empty() { "the report".to_owned() } else { format!("'{}'", path.join("/")) };
        match level.plan {
            _ if self.bailed_out || self.gave_up || self.intake.is_stopped() => {}
            Some(planned) if planned != level.seen => {
                let message = format!("{planned} are planned in {shown}, and {} ran", level.seen);
                self.intake.note(NoteCode::PlanMismatch, message, Some(level.at));
            }
            None if level.seen > 0 => {
                let message = format!("there is no plan in {shown}, so that nobody knows whether it is whole");
                self.intake.note(NoteCode::PlanMismatch, message, Some(level.at));
            }
            Some(_) | None => {}
        }
        if let Some(parent) = self.levels.last_mut() {
            // Whether something below failed is what the parent's test point says, too.
            let counted = parent.ended.get_or_insert_default();
            counted.merge(&level.counted);
            counted.merge(&level.below);
            if let Some(below) = &level.ended {
                counted.merge(below);
            }
            let declared = Declared { tests: level.plan, ..Declared::default() };
            self.intake.suite(Suite { path, declared, counted: level.counted, ..Suite::default() });
        } else {
            self.intake.report.declared = Declared { tests: level.plan, ..Declared::default() };
        }
    }

    pub(super) fn finish(mut self, at: Position, is_cut: bool) -> Report {
        if self.yaml.is_some() {
            if !is_cut && self.wants_more() {
                self.intake.note(NoteCode::Truncated, "the file ends inside of a YAML block", Some(at));
            }
            self.end_yaml(at);
        }
        let is_sound = self.wants_more() && !is_cut;
        if is_cut {
            self.gave_up = true;
        }
        while !self.levels.is_empty() {
            self.end_level();
        }
        if !self.is_tap && is_sound {
            self.intake.note(NoteCode::NotAReport, "there is no test point, no plan and no version", Some(at));
        }
        if self.other_lines > 0 {
            let message = format!("{} lines are no TAP, and are not kept", self.other_lines);
            self.intake.note(NoteCode::Ignored, message, Some(self.first_other));
        }
        let has_plan = !self.intake.report.notes.contains_key(&NoteCode::PlanMismatch);
        let is_whole =
            is_sound && self.is_tap && has_plan && !self.intake.report.notes.contains_key(&NoteCode::Truncated);
        self.intake.finish(is_whole)
    }
}

fn shown(name: &str) -> &str {
    text::cut(name, 200).0
}
