//! Short reports in the manner of each framework. Reports that the frameworks really wrote are checked elsewhere.

use super::*;

#[test]
fn pytest() {
    let got = junit(
        r#"<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1" skipped="2" tests="6" time="0.123" timestamp="2024-05-01T10:00:00.000000+00:00" hostname="h">
<testcase classname="tests.test_a.TestX" name="test_ok[1-a]" time="0.001" />
<testcase classname="tests.test_a" name="test_fail" time="0.002"><failure message="AssertionError: assert 1 == 2">def test_fail():
&gt;       assert 1 == 2
#x1B[1m#x1B[31mE       assert 1 == 2#x1B[0m

tests/test_a.py:4: AssertionError</failure></testcase>
<testcase classname="tests.test_a" name="test_skip" time="0.000"><skipped type="pytest.skip" message="why">tests/test_a.py:7: why</skipped></testcase>
<testcase classname="tests.test_a" name="test_xfail" time="0.000"><skipped type="pytest.xfail" message="" /></testcase>
<testcase classname="tests.test_a" name="test_teardown" time="0.000" />
<testcase classname="tests.test_a" name="test_teardown" time="0.000"><error message="failed on teardown with &quot;x&quot;">trace</error></testcase>
</testsuite></testsuites>"#,
    );
    assert_eq!(got.codes(), [NoteCode::Ambiguous]);
    assert_eq!((got.report.counted.failed, got.report.counted.errors, got.report.counted.skipped), (1, 1, 2));
    let text = got.case("test_fail").findings()[0].text.clone().unwrap().text;
    assert!(text.contains("\nE       assert 1 == 2\n\ntests"), "{text}");
}

#[test]
fn surefire_with_reruns() {
    let got = junit(
        r#"<?xml version="1.0" encoding="UTF-8"?><testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="https://maven.apache.org/surefire/x.xsd" version="3.0" name="com.x.ATest" time="1,234.5" tests="3" errors="0" skipped="0" failures="1" flakes="1">
  <properties><property name="java.version" value="17"/></properties>
  <testcase name="flaky" classname="com.x.ATest" time="0.01"><flakyFailure message="no" type="java.lang.AssertionError"><stackTrace><![CDATA[java.lang.AssertionError: no
	at com.x.ATest.flaky(ATest.java:5)]]></stackTrace><system-out><![CDATA[out]]></system-out></flakyFailure></testcase>
  <testcase name="broken" classname="com.x.ATest" time="0.02"><failure message="no" type="java.lang.AssertionError"><![CDATA[trace]]></failure><rerunFailure message="no" type="java.lang.AssertionError"><stackTrace><![CDATA[trace]]></stackTrace></rerunFailure></testcase>
  <testcase name="ok" classname="com.x.ATest" time="0"/>
</testsuite>"#,
    )
    .clean();
    let flaky = got.case("flaky");
    assert_eq!((flaky.status, flaky.flaky, flaky.attempts.len()), (CaseStatus::Pass, true, 2));
    assert!(flaky.attempts[0].findings[0].text.clone().unwrap().text.ends_with("ATest.java:5)"));
    assert_eq!((got.case("broken").status, got.case("broken").attempts.len()), (CaseStatus::Fail, 2));
    assert_eq!(got.suites[0].duration_ms, Some(1_234_500));
}

#[test]
fn nextest() {
    let got = junit(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="3" failures="1" errors="0" uuid="45c50042-482e-477e-88d2-60cfcc3eaf95" timestamp="2024-01-09T07:50:12.664+00:00" time="0.023">
    <testsuite name="nextest-tests::basic" tests="3" disabled="0" errors="0" failures="1">
        <testcase name="test_success" classname="nextest-tests::basic" timestamp="2024-01-09T07:50:12.665+00:00" time="0.004"></testcase>
        <testcase name="test_flaky" classname="nextest-tests::basic" timestamp="2024-01-09T07:50:12.665+00:00" time="0.008"><flakyFailure timestamp="2024-01-09T07:50:12.666+00:00" time="0.003" message="thread panicked" type="test failure with exit code 101">thread 'x' panicked<system-out>running 1 test</system-out><system-err>err</system-err></flakyFailure></testcase>
        <testcase name="test_failure" classname="nextest-tests::basic" time="0.005"><failure type="test failure with exit code 101">panicked</failure><rerunFailure time="0.004" type="test failure with exit code 101">panicked again</rerunFailure><system-out>out</system-out></testcase>
    </testsuite>
</testsuites>"#,
    )
    .clean();
    assert_eq!(
        got.outcomes().iter().map(|(_, status)| *status).collect::<Vec<_>>(),
        [CaseStatus::Pass, CaseStatus::Pass, CaseStatus::Fail]
    );
    let flaky = got.case("test_flaky");
    assert_eq!((flaky.flaky, flaky.attempts[0].duration_ms, flaky.attempts[1].duration_ms), (true, Some(3), Some(8)));
    assert_eq!(flaky.attempts[0].stdout, Some("running 1 test".into()));
}

#[test]
fn gotestsum() {
    let got = junit(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4" failures="2" errors="0" time="0.010000"><testsuite tests="4" failures="2" time="0.006000" name="example.com/p" timestamp="2024-01-01T00:00:00Z"><properties><property name="go.version" value="go1.22.1 linux/amd64"></property></properties>
<testcase classname="example.com/p" name="TestA/sub#01" time="0.000000"></testcase>
<testcase classname="example.com/p" name="TestB" time="0.000000"><failure message="Failed" type="">=== RUN   TestB&#xA;    b_test.go:5: no&#xA;</failure></testcase>
<testcase classname="example.com/p" name="TestB" time="0.000000"><failure message="Failed" type="">again</failure></testcase>
<testcase classname="example.com/p" name="TestB" time="0.000000"></testcase></testsuite></testsuites>"#,
    )
    .clean();
    assert_eq!(got.cases[3].repeat, Repeat::Retry);
    assert_eq!((got.cases[3].flaky, got.report.counted.retries), (true, 2));
}

#[test]
fn node_test() {
    let got = junit(
        r#"<?xml version="1.0" encoding="utf-8"?>
<testsuites>
	<testsuite name="suite" time="0.003" disabled="0" errors="0" tests="3" failures="1" skipped="1" hostname="h">
		<testcase name="ok" time="0.0005" classname="test" file="/app/a.test.js"/>
		<testcase name="todo" time="0.0001" classname="test"><skipped type="todo" message="true"/></testcase>
		<testsuite name="inner" time="0.001" disabled="0" errors="0" tests="1" failures="1" skipped="0" hostname="h">
			<testcase name="bad" time="0.0009" classname="test"><failure type="testCodeFailure" message="no">
[Error: no] { code: 'ERR_TEST_FAILURE' }
			</failure></testcase>
		</testsuite>
	</testsuite>
	<testcase name="top" time="0.0002" classname="test"/>
	<!-- tests 4 -->
</testsuites>"#,
    )
    .clean();
    assert_eq!(got.cases.iter().map(suite_of).collect::<Vec<_>>(), ["suite", "suite", "suite/inner", ""]);
    assert_eq!(got.case("ok").duration_ms, Some(1));
    assert_eq!(got.case("bad").findings()[0].text, Some("[Error: no] { code: 'ERR_TEST_FAILURE' }".into()));
}

#[test]
fn googletest() {
    let got = junit(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4" failures="1" disabled="1" errors="0" time="0.001" timestamp="2024-01-01T00:00:00.000" name="AllTests">
  <testsuite name="Math" tests="4" failures="1" disabled="1" skipped="1" errors="0" time="0." timestamp="2024-01-01T00:00:00.000">
    <testcase name="Adds" file="m.cc" line="5" status="run" result="completed" time="0." timestamp="2024-01-01T00:00:00.000" classname="Math" />
    <testcase name="Fails/0" value_param="7" file="m.cc" line="9" status="run" result="completed" time="0." classname="Math">
      <failure message="m.cc:10&#x0A;Expected equality&#x0A;  1&#x0A;  2" type=""><![CDATA[m.cc:10
Expected equality]]></failure>
      <failure message="second" type=""><![CDATA[second]]></failure>
      <properties><property name="k" value="v"/></properties>
    </testcase>
    <testcase name="DISABLED_Off" file="m.cc" line="20" status="notrun" result="suppressed" time="0." classname="Math" />
    <testcase name="Skips" file="m.cc" line="25" status="run" result="skipped" time="0." classname="Math"><skipped message="m.cc:26&#x0A;why"><![CDATA[why]]></skipped></testcase>
  </testsuite>
</testsuites>"#,
    )
    .clean();
    assert_eq!(got.case("Fails/0").findings().len(), 2);
    assert!(got.case("DISABLED_Off").disabled && !got.case("Skips").disabled);
    assert_eq!((got.case("Adds").line, got.case("Adds").duration_ms), (Some(5), Some(0)));
}

#[test]
fn playwright() {
    let got = junit(
        r#"<testsuites id="" name="" tests="2" failures="1" skipped="0" errors="0" time="3.5">
<testsuite name="a.spec.ts" timestamp="2024-01-01T00:00:00.000Z" hostname="chromium" tests="2" failures="1" skipped="0" time="3.1" errors="0">
<testcase name="group › works" classname="a.spec.ts" time="1.2"><properties><property name="issue" value="https://x/1"></property></properties></testcase>
<testcase name="group › fails" classname="a.spec.ts" time="1.9"><failure message="a.spec.ts:3:1 group › fails" type="FAILURE"><![CDATA[  [chromium] › a.spec.ts:3:1 › group › fails

    Error: no
]]></failure><system-out><![CDATA[
[[ATTACHMENT|test-results/a/test-failed-1.png]]
]]></system-out></testcase>
</testsuite></testsuites>"#,
    )
    .clean();
    assert_eq!(got.case("group › fails").attachments[0].path, "test-results/a/test-failed-1.png");
    assert_eq!(got.report.name, None);
}

#[test]
fn playwright_in_two_browsers() {
    let suite = |browser: &str, inside: &str| {
        format!(
            "<testsuite name='a.spec.ts' hostname='{browser}'><testcase classname='a.spec.ts' name='works'>{inside}</testcase></testsuite>"
        )
    };
    let text = format!("<testsuites>{}{}</testsuites>", suite("chromium", "<failure/>"), suite("firefox", ""));
    let got = junit(&text);
    assert_eq!((got.cases[1].repeat, got.cases[1].ordinal, got.cases[1].flaky), (Repeat::Ambiguous, 2, false));
    assert_eq!(got.report.counted.failed, 1, "a browser that passes hides no failure of another");
}

#[test]
fn bats() {
    let xml = junit(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites time="0.1">
<testsuite name="a.bats" tests="3" failures="1" errors="0" skipped="1" time="0.1" timestamp="2024-01-01T00:00:00" hostname="h">
    <testcase classname="a.bats" name="adds" time="0.02" />
    <testcase classname="a.bats" name="fails" time="0.02"><failure type="failure">(in test file a.bats, line 6)
  `false&#39; failed</failure></testcase>
    <testcase classname="a.bats" name="skips" time="0"><skipped>why</skipped></testcase>
</testsuite>
</testsuites>"#,
    )
    .clean();
    assert_eq!(xml.case("fails").findings()[0].text, Some("(in test file a.bats, line 6)\n  `false' failed".into()));
    let lines = tap("1..3\nok 1 adds in 12ms\nnot ok 2 fails in 5ms\n# (in test file a.bats, line 6)\n#   `false' failed\nok 3 skips # skip why\n").clean();
    assert_eq!((lines.case("adds").duration_ms, lines.case("skips").status), (Some(12), CaseStatus::Skip));
    assert_eq!(lines.case("fails").findings()[0].text, Some("(in test file a.bats, line 6)\n  `false' failed".into()));
}

#[test]
fn bats_writes_each_try_as_a_case() {
    let tries = "<testcase classname='./a.bats' name='n'><failure/></testcase>".repeat(2);
    let got = junit(&format!(
        "<testsuites><testsuite name='./a.bats'>{tries}<testcase classname='./a.bats' name='n'/></testsuite></testsuites>"
    ))
    .clean();
    let repeats: Vec<_> = got.cases.iter().map(|case| (case.repeat, case.ordinal, case.flaky)).collect();
    assert_eq!(repeats, [(Repeat::First, 1, false), (Repeat::Retry, 1, false), (Repeat::Retry, 1, true)]);
}

#[test]
fn what_is_to_be_done_in_node_may_fail() {
    let got = junit(
        "<testsuites><testcase name='n' classname='test' failure='no'><skipped type='todo' message='true'/>\
         <failure type='testCodeFailure' message='no'>why</failure></testcase></testsuites>",
    );
    assert_eq!((got.outcomes(), got.codes()), (vec![("n", CaseStatus::Skip)], vec![NoteCode::Todo]));
    assert_eq!(got.case("n").findings()[1].text, Some("why".into()));
}

#[test]
fn what_is_to_be_done_in_jest_is_no_error() {
    let got = ctrf(r#"{"results":{"tests":[{"name":"n","duration":0,"status":"other","rawStatus":"todo"}]}}"#);
    assert_eq!(got.outcomes(), [("n", CaseStatus::Skip)]);
}

#[test]
fn a_skipped_suite_in_braces_is_a_suite() {
    let got =
        tap("TAP version 13\n1..2\nok 1 - a # SKIP {\n    1..1\n    ok 1 - b # SKIP\n}\nok 2 - c # SKIP {\n").clean();
    assert_eq!(got.outcomes(), [("b", CaseStatus::Skip), ("c", CaseStatus::Skip)]);
    assert_eq!(suite_of(&got.cases[0]), "a");
    assert_eq!(got.cases[1].findings()[0].message.as_deref(), Some("{"));
}
