//! From tags to cases: what is open, and what each end of it completes.

use std::collections::BTreeSet;

use quick_xml::events::BytesStart;

use super::builders::{Common, OpenCase, OpenSuite, Says, TODO, join};
use super::elements::{Element, character, expand};
use crate::report::Report;
use crate::report::case::{CaseAttempt, CaseKey, CaseStatus, Excerpt, Finding, Suite};
use crate::report::intake::{Intake, Place};
use crate::report::limits::{MAX_ATTRIBUTES, MAX_MESSAGE, MAX_PROPERTY};
use crate::report::note::{NoteCode, Position};
use crate::report::number;
use crate::report::reconcile::{Counts, Declared, reconcile};
use crate::report::text::{self, Gather};
use crate::report::write::FLAKY_PROPERTY;

/// A property of a suite that gotestsum writes, which makes each attempt a case of its own.
const WRITTEN_BY_GOTESTSUM: &str = "go.version";
/// What the names of suites end with that bats writes, which makes each attempt a case of its own, and allows no two
/// tests of one name in a file.
const WRITTEN_BY_BATS: &str = ".bats";
/// How many names of unknown elements are remembered, so that each is noted once.
const MAX_UNKNOWN: usize = 64;

pub(super) struct Reader<'a, 'b> {
    pub(super) intake: Intake<'a, 'b>,
    stack: Vec<Frame>,
    suites: Vec<OpenSuite>,
    begun_suites: u64,
    cases: Vec<OpenCase>,
    /// The finding or attempt that is open.
    finding: Option<OpenFinding>,
    property: Option<(String, Option<String>)>,
    unknown: BTreeSet<String>,
    has_root: bool,
    gave_up: bool,
    stray_text: bool,
}

struct Frame {
    element: Element,
    role: Role,
    text: Option<Gather>,
}

/// What an element does where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Root,
    Suite,
    Case,
    Finding,
    Output,
    Properties,
    Property,
    /// It means nothing here; what stands inside of it belongs to what stands around it.
    Through,
}

struct OpenFinding {
    status: CaseStatus,
    message: Option<String>,
    kind: Option<String>,
    duration_ms: Option<u64>,
    stdout: Option<Excerpt>,
    stderr: Option<Excerpt>,
}

type Attributes = Vec<(String, String)>;

impl<'a, 'b> Reader<'a, 'b> {
    pub(super) fn new(intake: Intake<'a, 'b>) -> Self {
        Self {
            intake,
            stack: Vec::new(),
            suites: Vec::new(),
            begun_suites: 0,
            cases: Vec::new(),
            finding: None,
            property: None,
            unknown: BTreeSet::new(),
            has_root: false,
            gave_up: false,
            stray_text: false,
        }
    }

    pub(super) fn wants_more(&self) -> bool {
        !self.gave_up && !self.intake.is_stopped()
    }

    /// Begins an element; tells whether it is open now.
    pub(super) fn open(&mut self, tag: &BytesStart<'_>, cut: u64, at: Position) -> bool {
        if self.stack.len() >= self.intake.limits().depth {
            let message = format!("elements are nested deeper than {}", self.intake.limits().depth);
            self.intake.note(NoteCode::TooDeep, message, Some(at));
            self.gave_up = true;
            return false;
        }
        let element = Element::of(tag.local_name().as_ref());
        if cut > 0 {
            self.intake.note(NoteCode::Cut, format!("a tag is too long: {cut} bytes of it are not read"), Some(at));
        }
        let is_root = self.stack.is_empty();
        if is_root && !matches!(element, Element::Suites | Element::Suite) {
            let name = text::cut(tag.local_name().as_ref(), 100).0.to_owned();
            let message = format!("<{name}> is the root, and not <testsuites> or <testsuite>");
            self.intake.note(NoteCode::NotAReport, message, Some(at));
            self.gave_up = true;
            return false;
        }
        self.has_root = true;
        let attributes = self.attributes(tag, at);
        let (role, text) = self.begin(&element, attributes, is_root, at);
        self.stack.push(Frame { element, role, text });
        true
    }

    /// Returns the attributes, and notes those that are broken.
    fn attributes(&mut self, tag: &BytesStart<'_>, at: Position) -> Attributes {
        let mut found = Attributes::new();
        let mut broken = false;
        for attribute in tag.attributes().with_checks(false) {
            let Ok(attribute) = attribute else {
                broken = true;
                continue;
            };
            if found.len() >= MAX_ATTRIBUTES {
                let message = format!("an element has more than {MAX_ATTRIBUTES} attributes");
                self.intake.note(NoteCode::TooMany, message, Some(at));
                break;
            }
            let (value, unknown) = expand(&attribute.value);
            if let Some(name) = unknown {
                self.unknown_entity(name, at);
            }
            found.push((attribute.key.as_ref().to_owned(), value.into_owned()));
        }
        if broken {
            let name = text::cut(tag.local_name().as_ref(), 100).0.to_owned();
            self.intake.note(NoteCode::BadMarkup, format!("attributes of <{name}> are broken"), Some(at));
        }
        found
    }

    fn unknown_entity(&mut self, name: &str, at: Position) {
        let message = format!("the entity '&{};' is not known", number::shorten(name));
        self.intake.note(NoteCode::Entity, message, Some(at));
    }

    /// Returns the role of what stands around, past what means nothing.
    fn around(&self) -> Option<Role> {
        self.stack.iter().rev().map(|frame| frame.role).find(|role| *role != Role::Through)
    }

    fn begin(
        &mut self,
        element: &Element,
        attributes: Attributes,
        is_root: bool,
        at: Position,
    ) -> (Role, Option<Gather>) {
        let around = self.around();
        let holds = matches!(around, None | Some(Role::Root | Role::Suite | Role::Case));
        match element {
            Element::Suites if is_root => {
                self.begin_root(attributes, at);
                (Role::Root, None)
            }
            Element::Suite if self.cases.is_empty() => {
                self.begin_suite(attributes, at);
                (Role::Suite, None)
            }
            Element::Case => {
                self.begin_case(attributes, at);
                (Role::Case, None)
            }
            Element::Finding(status) | Element::Flaky(status) | Element::Rerun(status) if holds => {
                self.begin_finding(*status, attributes, at);
                (Role::Finding, Some(Gather::new(self.room())))
            }
            Element::Stdout | Element::Stderr if holds || around == Some(Role::Finding) => {
                (Role::Output, Some(Gather::new(self.room())))
            }
            Element::Properties if holds => (Role::Properties, None),
            Element::Property if holds || around == Some(Role::Properties) => {
                let (mut name, mut value) = (String::new(), None);
                for (key, text) in attributes {
                    match key.as_str() {
                        "name" => name = text::name(&text).0,
                        "value" => value = Some(text),
                        _ => {}
                    }
                }
                self.property = Some((name, value));
                (Role::Property, Some(Gather::new(MAX_PROPERTY)))
            }
            Element::StackTrace => (Role::Through, None),
            Element::Other(name) => {
                if self.unknown.len() < MAX_UNKNOWN && self.unknown.insert(name.clone()) {
                    self.intake.note(NoteCode::Ignored, format!("<{name}> is not known"), Some(at));
                }
                (Role::Through, None)
            }
            _ => (Role::Through, None),
        }
    }

    /// Returns how many bytes the next text may have.
    fn room(&self) -> usize {
        let room = self.cases.last().map(|case| case.common.room).or(self.suites.last().map(|suite| suite.common.room));
        room.unwrap_or(self.intake.limits().case_text).min(self.intake.limits().text)
    }

    fn common(&self) -> Common {
        Common { room: self.intake.limits().case_text, ..Common::default() }
    }

    fn begin_root(&mut self, attributes: Attributes, at: Position) {
        let (mut common, mut declared) = (self.common(), Declared::default());
        for (key, value) in attributes {
            match key.as_str() {
                "name" => self.intake.report.name = Some(text::name(&value).0).filter(|name| !name.is_empty()),
                "time" => self.intake.report.duration_ms = self.seconds(&value, at),
                _ if self.declares(&mut declared, &key, &value, at) => {}
                _ => leftover(&mut common, &key, &value),
            }
        }
        self.intake.report.declared = declared;
        self.intake.report.properties = common.properties;
    }

    fn begin_suite(&mut self, attributes: Attributes, at: Position) {
        let (mut common, mut suite) = (self.common(), Suite::default());
        if let Some(around) = self.suites.last() {
            suite.path.clone_from(&around.suite.path);
        }
        for (key, value) in attributes {
            match key.as_str() {
                "name" => suite.path.extend(Some(self.name(&value, at)).filter(|name| !name.is_empty())),
                "file" => suite.file = Some(self.name(&value, at)).filter(|file| !file.is_empty()),
                "time" => suite.duration_ms = self.seconds(&value, at),
                "timestamp" => suite.timestamp = Some(text::name(&value).0).filter(|text| !text.is_empty()),
                "hostname" => suite.hostname = Some(text::name(&value).0).filter(|text| !text.is_empty()),
                _ if self.declares(&mut suite.declared, &key, &value, at) => {}
                _ => leftover(&mut common, &key, &value),
            }
        }
        if suite.path.last().is_some_and(|name| name.ends_with(WRITTEN_BY_BATS)) {
            self.intake.repeats_are_retries = true;
        }
        self.begun_suites += 1;
        let number = self.begun_suites;
        self.suites.push(OpenSuite { suite, common, all: Counts::default(), number, at });
    }

    fn begin_case(&mut self, attributes: Attributes, at: Position) {
        let suite = self.suites.last().map(|open| &open.suite);
        let mut key =
            CaseKey { suite: suite.map(|suite| suite.path.clone()).unwrap_or_default(), ..CaseKey::default() };
        let (mut common, mut says) = (self.common(), Says::NOTHING);
        let (mut duration_ms, mut line, mut assertions) = (None, None, None);
        for (name, value) in attributes {
            match name.as_str() {
                "name" => key.name = self.name(&value, at),
                "classname" | "class" if key.classname.is_none() => {
                    key.classname = Some(self.name(&value, at)).filter(|text| !text.is_empty());
                }
                "file" => key.file = Some(self.name(&value, at)).filter(|text| !text.is_empty()),
                "time" => duration_ms = self.seconds(&value, at),
                "line" | "lineno" => line = self.count("line", &value, at).and_then(|line| u32::try_from(line).ok()),
                "assertions" => assertions = self.count("assertions", &value, at),
                "status" | "result" => {
                    let word = Says::of(&value);
                    if !word.is_known {
                        leftover(&mut common, &name, &value);
                    } else if says == Says::NOTHING {
                        says = word;
                    } else {
                        says.is_disabled |= word.is_disabled;
                    }
                }
                _ => leftover(&mut common, &name, &value),
            }
        }
        if key.file.is_none() {
            key.file = self.suites.iter().rev().find_map(|open| open.suite.file.clone());
        }
        let (before, after) = (Vec::new(), Vec::new());
        self.cases.push(OpenCase {
            key,
            common,
            before,
            after,
            duration_ms,
            line,
            assertions,
            is_flaky: false,
            says,
            at,
        });
    }

    fn begin_finding(&mut self, status: CaseStatus, attributes: Attributes, at: Position) {
        let mut open = OpenFinding { status, message: None, kind: None, duration_ms: None, stdout: None, stderr: None };
        for (key, value) in attributes {
            match key.as_str() {
                "message" => open.message = self.message(&value, at),
                "type" => open.kind = self.message(&value, at),
                "time" => open.duration_ms = self.seconds(&value, at),
                _ => {}
            }
        }
        self.finding = Some(open);
    }

    fn declares(&mut self, declared: &mut Declared, key: &str, value: &str, at: Position) -> bool {
        let slot = match key {
            "tests" => &mut declared.tests,
            "failures" => &mut declared.failures,
            "errors" => &mut declared.errors,
            "skipped" | "skips" => &mut declared.skipped,
            "disabled" => &mut declared.disabled,
            _ => return false,
        };
        *slot = self.count(key, value, at);
        true
    }

    fn seconds(&mut self, value: &str, at: Position) -> Option<u64> {
        number::seconds(value).unwrap_or_else(|message| {
            self.intake.note(NoteCode::BadNumber, message, Some(at));
            None
        })
    }

    fn count(&mut self, what: &str, value: &str, at: Position) -> Option<u64> {
        number::count(value).unwrap_or_else(|message| {
            self.intake.note(NoteCode::BadNumber, format!("{what}: {message}"), Some(at));
            None
        })
    }

    fn name(&mut self, value: &str, at: Position) -> String {
        let (name, is_cut) = text::name(value);
        if is_cut {
            let message = format!("a name of {} bytes is too long, and is cut", value.len());
            self.intake.note(NoteCode::Cut, message, Some(at));
        }
        name
    }

    fn message(&mut self, value: &str, at: Position) -> Option<String> {
        let tidy = text::tidy(value)?;
        let (kept, cut) = text::cut(&tidy, MAX_MESSAGE);
        if cut > 0 {
            self.intake.note(NoteCode::Cut, format!("{cut} bytes of a message are cut"), Some(at));
        }
        Some(kept.to_owned())
    }

    pub(super) fn text(&mut self, piece: &str, cut: u64, at: Position) {
        for frame in self.stack.iter_mut().rev() {
            if let Some(text) = &mut frame.text {
                text.push(piece);
                text.skipped(cut);
                return;
            }
            if frame.role != Role::Through {
                break;
            }
        }
        if !self.stray_text && !self.stack.is_empty() && (cut > 0 || !piece.trim().is_empty()) {
            self.stray_text = true;
            self.intake.note(NoteCode::Ignored, "text stands where none belongs, and is not kept", Some(at));
        }
    }

    pub(super) fn reference(&mut self, name: &str, cut: u64, at: Position) {
        match character(name) {
            Some(character) => self.text(character.encode_utf8(&mut [0; 4]), cut, at),
            None => {
                self.unknown_entity(name, at);
                self.text(&format!("&{name};"), cut, at);
            }
        }
    }

    pub(super) fn close(&mut self, name: &str, at: Position) {
        let element = Element::of(name);
        let Some(depth) = self.stack.iter().rposition(|frame| frame.element == element) else {
            let message = format!("</{}> closes nothing", text::cut(name, 100).0);
            return self.intake.note(NoteCode::BadMarkup, message, Some(at));
        };
        if depth + 1 < self.stack.len() {
            let message = format!("</{}> closes more than it opened", text::cut(name, 100).0);
            self.intake.note(NoteCode::BadMarkup, message, Some(at));
        }
        while self.stack.len() > depth {
            self.close_last(at);
        }
    }

    pub(super) fn close_last(&mut self, at: Position) {
        let Some(frame) = self.stack.pop() else { return };
        let text = frame.text.and_then(|text| {
            if text.is_cut() {
                self.intake.note(NoteCode::Cut, "a text is too long, and its end is not kept", Some(at));
            }
            text.finish()
        });
        match frame.role {
            Role::Root => {}
            Role::Suite => self.end_suite(true),
            Role::Case => self.end_case(),
            Role::Finding => self.end_finding(&frame.element, text, at),
            Role::Output => self.end_output(frame.element == Element::Stderr, text),
            Role::Property => self.end_property(text),
            Role::Properties | Role::Through => {}
        }
    }

    fn end_finding(&mut self, element: &Element, text: Option<Excerpt>, at: Position) {
        let Some(open) = self.finding.take() else { return };
        let OpenFinding { status, message, kind, duration_ms, stdout, stderr } = open;
        let finding = Finding { status, message, kind, text };
        match (self.cases.last_mut(), element) {
            (Some(case), Element::Flaky(_) | Element::Rerun(_)) => {
                let attempt = CaseAttempt { status, duration_ms, findings: vec![finding], stdout, stderr };
                case.attempt(matches!(element, Element::Rerun(_)), attempt);
            }
            (Some(case), _) => {
                stdout.into_iter().for_each(|text| case.common.output(false, text));
                stderr.into_iter().for_each(|text| case.common.output(true, text));
                case.common.finding(finding);
            }
            (None, _) => {
                if status.is_failure() {
                    let name = self.suites.last().map_or("", |open| open.suite.path.last().map_or("", String::as_str));
                    let said = finding.message.as_deref().or(finding.text.as_ref().map(|text| text.text.as_str()));
                    let message = format!("suite '{name}' failed outside of its cases: {}", said.unwrap_or(""));
                    self.intake.note(NoteCode::SuiteFailed, message, Some(at));
                }
                if let Some(suite) = self.suites.last_mut() {
                    suite.common.finding(finding);
                }
            }
        }
    }

    fn end_output(&mut self, is_stderr: bool, text: Option<Excerpt>) {
        let Some(text) = text else { return };
        let case = self.cases.last_mut().map(|case| &mut case.common);
        let Some(common) = case.or(self.suites.last_mut().map(|suite| &mut suite.common)) else { return };
        common.used(Some(&text));
        common.link(&text);
        match &mut self.finding {
            Some(open) => join(if is_stderr { &mut open.stderr } else { &mut open.stdout }, text),
            None => common.output(is_stderr, text),
        }
    }

    fn end_property(&mut self, text: Option<Excerpt>) {
        let Some((name, value)) = self.property.take() else { return };
        let value = value.filter(|value| !value.is_empty()).or(text.map(|text| text.text)).unwrap_or_default();
        if let Some(case) = self.cases.last_mut()
            && name == "testId"
        {
            case.key.test_id = Some(text::name(&value).0).filter(|id| !id.is_empty());
            return;
        }
        if let Some(case) = self.cases.last_mut()
            && name == FLAKY_PROPERTY
        {
            case.is_flaky = value == "true";
            return;
        }
        if name == WRITTEN_BY_GOTESTSUM {
            self.intake.repeats_are_retries = true;
        }
        let case = self.cases.last_mut().map(|case| &mut case.common);
        match case.or(self.suites.last_mut().map(|suite| &mut suite.common)) {
            Some(common) => common.property(name, &value),
            None => {
                let mut common =
                    Common { properties: std::mem::take(&mut self.intake.report.properties), ..self.common() };
                common.property(name, &value);
                self.intake.report.properties = common.properties;
            }
        }
    }

    fn end_case(&mut self) {
        let Some(open) = self.cases.pop() else { return };
        let at = open.at;
        self.note_limits(&open.common, shown(&open.key.name), at);
        let says = open.says;
        let case = open.finish();
        if case.status == CaseStatus::Skip
            && case.findings().len() > 1
            && case.findings().iter().any(|finding| finding.kind.as_deref() == Some(TODO))
        {
            let message = format!("'{}' is to be done, and its failure does not count", shown(&case.key.name));
            self.intake.note(NoteCode::Todo, message, Some(at));
        }
        if says.status.is_failure() && case.findings().is_empty() {
            let message = format!("'{}' is said to have failed, and no failure stands in it", shown(&case.key.name));
            self.intake.note(NoteCode::BadStatus, message, Some(at));
        }
        match self.suites.last_mut() {
            Some(open) => self.intake.case(case, &mut open.suite.counted, Place::Suite(open.number), Some(at)),
            None => self.intake.case(case, &mut Counts::default(), Place::Suite(0), Some(at)),
        }
    }

    fn note_limits(&mut self, common: &Common, name: &str, at: Position) {
        let Common { over, cut, .. } = common;
        if *over > 0 {
            let message = format!("'{name}' has {over} properties, attachments, failures or attempts too many");
            self.intake.note(NoteCode::TooMany, message, Some(at));
        }
        if *cut > 0 {
            self.intake.note(
                NoteCode::Cut,
                format!("'{name}' has {cut} values that are too long, and are cut"),
                Some(at),
            );
        }
    }

    fn end_suite(&mut self, is_whole: bool) {
        let Some(mut open) = self.suites.pop() else { return };
        open.all.merge(&open.suite.counted);
        let at = open.at;
        if let Some(around) = self.suites.last_mut() {
            around.all.merge(&open.all);
        }
        self.note_limits(&open.common, &open.suite.path.join("/"), at);
        if is_whole && self.intake.report.cases_over_limit == 0 {
            for message in reconcile(&open.suite.declared, &open.suite.counted, &open.all) {
                let message = format!("suite '{}': {message}", open.suite.path.join("/"));
                self.intake.note(NoteCode::CountMismatch, message, Some(at));
            }
        }
        self.intake.suite(open.finish());
    }

    /// Completes what is open, which is nothing in a sound file.
    pub(super) fn finish(mut self, at: Position, is_cut: bool) -> Report {
        let is_sound = !is_cut && self.wants_more();
        if !self.has_root && is_sound {
            self.intake.note(NoteCode::NotAReport, "there is neither <testsuites> nor <testsuite>", Some(at));
        }
        let is_whole = self.has_root && self.stack.is_empty() && is_sound;
        if !self.stack.is_empty() && is_sound {
            self.intake.note(NoteCode::Truncated, "the file ends inside of the report", Some(at));
        }
        if let Some(mut open) = self.finding.take()
            && let Some(case) = self.cases.last_mut()
        {
            // What failed is known, if not all about it.
            let text = self.stack.iter_mut().rev().find_map(|frame| frame.text.take()).and_then(Gather::finish);
            let finding = Finding { status: open.status, message: open.message.take(), kind: open.kind.take(), text };
            case.common.finding(finding);
        }
        while let Some(mut open) = self.cases.pop() {
            let message = format!("the report ends inside of '{}'", shown(&open.key.name));
            if !open.common.findings.iter().any(|finding| finding.status.is_failure()) {
                open.common.finding(Finding::new(CaseStatus::Error, "the report ends inside of this case"));
            }
            self.intake.note(NoteCode::Unfinished, message, Some(open.at));
            self.cases.push(open);
            self.end_case();
        }
        while !self.suites.is_empty() {
            self.end_suite(false);
        }
        if is_whole && self.intake.report.cases_over_limit == 0 {
            let (declared, counted) = (self.intake.report.declared, self.intake.report.counted);
            for message in reconcile(&declared, &counted, &counted) {
                self.intake.note(NoteCode::CountMismatch, message, None);
            }
        }
        self.intake.finish(is_whole)
    }
}

/// Keeps an attribute that has no place of its own, but for those of XML itself.
fn leftover(common: &mut Common, key: &str, value: &str) {
    if !key.contains(':') && key != "xmlns" && !value.is_empty() {
        common.property(format!("@{}", text::name(key).0), value);
    }
}

fn shown(name: &str) -> &str {
    text::cut(name, 200).0
}
