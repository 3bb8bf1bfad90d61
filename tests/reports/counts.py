"""Counts from what a framework printed for people: `counts.py TOOL FOLDER`, without a look at its reports.

Writes JSON: for each report the counts in the words of tstr, and where the framework lists its tests, their names and
statuses. `failed` are failures and errors together, `skipped` those that did not run or do not count, `flaky` those
that passed in a later try; a test that was tried several times is one. What is not printed is not there.
"""

import collections
import json
import pathlib
import re
import sys

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
RANK = ["pass", "skip", "fail", "error"]


def numbers(text, *words):
    """The numbers that stand before (or behind, with a colon) these words; 0 where a word is not there."""
    found = []
    for word in words:
        match = re.search(rf"(\d+) {word}\b", text) or re.search(rf"\b{word}:? (\d+)", text)
        found.append(int(match.group(1)) if match else 0)
    return found


def last(text, pattern):
    return re.findall(pattern, text, re.M)[-1]


def report(files, form, cases=None, **counts):
    entry = {"files": files.split(), "format": form, "counts": counts}
    if cases is not None:
        tally = collections.Counter(status for _, status in cases)
        entry["counts"] = {
            "cases": len(cases), "passed": tally["pass"], "failed": tally["fail"] + tally["error"], "skipped": tally["skip"],
        } | counts
        # Names that are not known come last: they take what is left.
        entry["cases"] = sorted(cases, key=lambda case: (case[0] == "*", case))
    return entry


def pytest(printed, name):
    words = {"PASSED": "pass", "XPASS": "pass", "FAILED": "fail", "ERROR": "error", "SKIPPED": "skip", "XFAIL": "skip"}
    cases, open_passes, doubled = [], {}, 0
    for line in printed.splitlines():
        match = re.match(r"(\S+?\.py)::(.*) (PASSED|XPASS|FAILED|ERROR|SKIPPED|XFAIL|RERUN)(?: \(.*| \.\.\.)?\s*\[ *\d+%\]$", line)
        if not match:
            continue
        key, word = match.group(1, 2), match.group(3)
        if word == "RERUN":
            open_passes.pop(key, None)
        elif word == "ERROR" and key in open_passes:
            # An error in the teardown of one that had passed belongs to it; behind a failure it is told by itself.
            open_passes.pop(key)[1] = "error"
            doubled += 1
        else:
            cases.append([re.sub(r"^([^\[]*)::", "", key[1]), words[word]])
            if word == "PASSED":
                open_passes[key] = cases[-1]
    # A file that cannot be loaded is a test that has an error, and one that skips itself is a test that is skipped.
    cases += [[file[:-3].replace("/", "."), "error"] for file in sorted(set(re.findall(r"^ERROR (\S+?\.py)(?: - |$)", printed, re.M)))]
    cases += [["*", "skip"]] * numbers(re.search(r"^collect.*", printed, re.M).group(0), "skipped")[0]
    total = sum(numbers(last(printed, r"^=.*\bin [\d.]+s.*=$"), "failed", "passed", "skipped", "xfailed", "xpassed", "errors?"))
    assert total - doubled == len(cases), (total, doubled, len(cases))
    return [report(name, "junit", cases)]


def tool_pytest(read):
    return pytest(read("console"), "report.xml") + pytest(read("reruns.console"), "reruns.xml") + pytest(read("first.console"), "first.xml")


def tool_pytest_networkx(read):
    return pytest(read("console"), "report.xml")


def go(printed, name):
    words = {"PASS": "pass", "FAIL": "fail", "SKIP": "skip"}
    tries = collections.defaultdict(list)
    for word, case in re.findall(r"^(PASS|FAIL|SKIP) (\S+?)(?: \(re-run \d+\))? \([\d.]+s\)$", printed, re.M):
        # The package stands before the name, except for the first one.
        match = re.match(r"(?:([\w/.]*?)\.)?((?:Test|Example|Fuzz)\S*)$", case)
        tries[match.group(1) or "", match.group(2)].append(words[word])
    # Those that are skipped are listed at the end only.
    for package, test in re.findall(r"^=== SKIP: (\S+) (\S+?)(?: \(re-run \d+\))? \(", printed, re.M):
        tries["" if package == "." else package, test] = ["skip"]
    runs, failures = numbers(last(printed, r"^DONE .*"), "tests?", "failures?")
    cases = [[test, found[-1]] for (_, test), found in tries.items()]
    flaky = sum(found[-1] == "pass" and "fail" in found for found in tries.values())
    # A package that cannot be built is a failure, and no test: in the report it has one of the name TestMain.
    broken = failures - sum(found.count("fail") for found in tries.values())
    cases += [["TestMain", "fail"]] * broken
    return report(name, "junit", cases, flaky=flaky, attempts=runs + broken, failed_attempts=failures)


def tool_gotestsum(read):
    return [go(read("console"), "report.xml"), go(read("reruns.console"), "reruns.xml")]


def tool_go_std(read):
    return [go(read("console"), "report.xml")]


def tool_nextest(read):
    printed = read("console")
    final = printed[printed.rindex("Summary ["):]
    cases = []
    # Those that are ignored are no part of the report.
    for word, case in re.findall(r"^ +(PASS|FLAKY|TRY \d+ \w+|FAIL) [^\[]*\[[^\]]*\] \([^)]*\) \S+ (\S+)$", final, re.M):
        cases.append([case, "pass" if word in ("PASS", "FLAKY") else "fail"])
    ran, passed, flaky = numbers(final.splitlines()[0], "tests? run", "passed", "flaky")
    assert (ran, passed) == (len(cases), sum(status == "pass" for _, status in cases)), (final, cases)
    return [report("report.xml", "junit", cases, flaky=flaky)]


def tool_node_test(read):
    printed = read("console")
    words = {"✔": "pass", "✖": "fail", "﹣": "skip", "⚠": "fail"}
    body = printed.split("\n✖ failing tests:")[0]
    cases, parents = [], []
    for indent, sign, case, behind, alone in re.findall(r"^((?:  )*)([✔✖﹣⚠▶]) (.*?)(?: \([\d.]+ms\)( # .*)?|( # (?:SKIP|TODO))?)$", body, re.M):
        if sign == "▶":
            parents.append((indent, case))
        elif (indent, case) in parents:
            # The end of what has tests inside of it.
            parents.remove((indent, case))
        else:
            # The reporter for JUnit escapes quotes twice and leaves out ends of lines, so such names are not compared.
            name = "*" if '"' in case or case == "a name" else case
            cases.append([name, "todo" if behind + alone in (" # TODO", " # soon") else words[sign], sign])
    # Suites are no tests, and tests with tests inside of them are.
    _, _, todo = numbers("\n".join(re.findall(r"^ℹ (\w+ \d+)$", printed, re.M)), "tests", "suites", "todo")
    assert todo == sum(status == "todo" for _, status, _ in cases), cases
    # In TAP, what is to be done and does not fail cannot be told from what passes.
    junit = [[name, "skip" if status == "todo" else status] for name, status, _ in cases]
    tap = [[name, words[sign] if status == "todo" and sign == "✔" else "skip" if status == "todo" else status] for name, status, sign in cases]
    return [report("report.xml", "junit", junit), report("report.tap", "tap", tap)]


def tool_surefire(read):
    line = last(read("console"), r"^\[\w+\] (Tests run: .*Flakes: \d+)$")
    tests, failures, errors, skipped, flaky = numbers(line, "Tests run", "Failures", "Errors", "Skipped", "Flakes")
    return [report("BrokenSetupTest.xml ParametersTest.xml SkippedTest.xml StatusesTest.xml", "junit", cases_=tests,
                   passed=tests - failures - errors - skipped, failed=failures + errors, skipped=skipped, flaky=flaky)]


def gtest(printed, name):
    words = {"OK": "pass", "FAILED": "fail", "SKIPPED": "skip"}
    body = printed[:printed.index("Global test environment tear-down")]
    cases = [[case.rsplit(".", 1)[1], words[word]] for word, case in re.findall(r"^\[ +(OK|FAILED|SKIPPED) +\] ([^\s,]+).*ms\)$", body, re.M)]
    ran, = numbers(last(printed, r"^\[=+\] (.* ran\.)"), "tests?")
    disabled, suites = numbers(printed, "DISABLED TESTS?", "FAILED TEST SUITES?")
    # The setup of a suite that fails is a test without a name in the report.
    cases += [["", "fail"]] * suites
    assert ran + suites == len(cases), (ran, cases)
    entry = report(name, "junit", cases)
    # Disabled tests are counted, and not listed.
    entry["counts"]["cases"] += disabled
    entry["counts"]["skipped"] += disabled
    entry["counts"]["disabled"] = disabled
    return entry


def tool_googletest(read):
    # What is filtered out is in no count but that of the disabled ones.
    return [gtest(read("console"), "report.xml"), gtest(read("samples.console"), "samples.xml"), gtest(read("filtered.console"), "filtered.xml")]


def tool_bats(read):
    printed = "\n".join(line.rpartition("\x1b[1G")[2] for line in read("console").splitlines())
    printed = ANSI.sub("", printed)
    words = {"✓": "pass", "✗": "fail", "-": "skip"}
    cases = [[re.sub(r" (\(skipped.*\)|\[timeout: .*\])$", "", case), words[word]] for word, case in re.findall(r"^ ([✓✗-]) (.*)$", printed, re.M)]
    tests, failed, skipped, timed_out = numbers(last(printed, r"^\d+ tests, .*"), "tests", "failures?", "skipped", "timed out")
    assert (tests, failed + timed_out, skipped) == (len(cases), sum(status == "fail" for _, status in cases), sum(status == "skip" for _, status in cases))
    # The formatter for JUnit leaves out that a file's setup has a name.
    unnamed = [["" if case == "setup_file failed" else case, status] for case, status in cases]
    return [report("report.xml", "junit", unnamed, flaky=1 if "is flaky" in printed else 0), report("report.tap", "tap", cases), report("report13.tap", "tap", cases)]


def tool_playwright(read):
    entries = []
    for console, names in [("console", [("report.xml", "junit", False), ("report.json", "ctrf", True)]), ("retries.console", [("retries.xml", "junit", True)])]:
        printed = ANSI.sub("", read(console))
        end = printed[printed.rindex("\n  7 failed") if "\n  7 failed" in printed else 0:]
        count = lambda word: int((re.findall(rf"^  (\d+) {word}", end, re.M) or ["0"])[-1])
        failed, flaky, skipped, missed, passed = map(count, ["failed", "flaky", "skipped", "did not run", "passed"])
        for name, form, tells_retries in names:
            if form == "ctrf":
                # This reporter takes what should have failed and passed for passed in its last try.
                wrong = len(set(re.findall(r"^    (\[\w+\] .* › is expected to fail and passes) ", end, re.M)))
                failed, flaky = failed - wrong, flaky + wrong
            counts = {"cases_": failed + flaky + skipped + missed + passed, "passed": passed + flaky, "failed": failed, "skipped": skipped + missed}
            entries.append(report(name, form, **counts, **({"flaky": flaky} if tells_retries else {})))
    return entries


def prove(printed, name):
    """One file: `ok`, `Failed 4/14 subtests (less 3 skipped subtests: 7 okay)`, `skipped: why`."""
    ran, failed = map(int, re.search(r"Tests: (\d+) Failed: (\d+)", printed).groups()) if "Wstat" in printed else (numbers(printed, "Tests=")[0] or int(re.search(r"Tests=(\d+)", printed).group(1)), 0)
    skipped, = numbers(printed, "skipped subtests?")
    return ran, failed, skipped


def tool_prove(read):
    entries = []
    for file in ["statuses", "passes", "too-few", "dies"]:
        ran, failed, skipped = prove(read(f"{file}.console"), file)
        # The harness takes what is to be done and fails for good, and does not say how many there are.
        entries.append(report(f"{file}.tap", "tap", cases_=ran, failed=failed))
    ran, failed, skipped = prove(read("subtests.console"), "subtests")
    # A test with tests inside of it is one for the harness.
    entries.append(report("subtests.tap", "tap", failed=failed))
    entries.append(report("skipped.tap", "tap", cases_=0))
    entries.append(report("bails.tap", "tap", cases_=1, passed=1))
    failed = sum(map(int, re.findall(r"Tests: \d+ Failed: (\d+)", read("console"))))
    # What is to be done and passed is an error for this formatter.
    failed += len(re.findall(r"TODO passed: +\d+$", read("console"), re.M))
    entries.append(report("report.xml", "junit", failed=failed))
    return entries


def tool_vitest(read):
    printed = ANSI.sub("", read("console"))
    words = {"✓": "pass", "×": "fail", "↓": "skip", "□": "skip"}
    cases = [[case, words[word]] for word, case in re.findall(r"^ ([✓×↓□]) statuses\.test\.js > (.*?)(?: \d+ms)?(?: \((?:retry|repeat) x\d+.*\))?(?: \[.*\])?$", printed, re.M)]
    failed, passed, expected, skipped, todo = numbers(last(printed, r"^ +Tests  .*"), "failed", "passed", "expected fail", "skipped", "todo")
    assert len(cases) == failed + passed + expected + skipped + todo, cases
    # A file that cannot be loaded, and a suite whose hook fails, are tests that failed.
    suites = printed[printed.index("Failed Suites"):printed.index("Failed Tests")]
    broken = re.findall(r"^ FAIL +(\S+) \[ \S+ \]$", suites, re.M)
    hooks = re.findall(r"^ FAIL +statuses\.test\.js > (.*)$", suites, re.M)
    junit = cases + [[name, "fail"] for name in broken + hooks]
    # TAP has suites inside of suites, so the names are those of the tests alone.
    # In TAP, what is to be done cannot be told from what passes.
    todo = re.findall(r"^ □ statuses\.test\.js > (.*)$", printed, re.M)
    cases = [[case, "pass" if case in todo else status] for case, status in cases]
    ends = [[case if case.startswith("parametrised") else case.split(" > ")[-1], status] for case, status in cases]
    flat = [[f"statuses.test.js > {case}", status] for case, status in cases]
    return [
        report("report.xml", "junit", junit),
        report("report.tap", "tap", ends + [[name, "fail"] for name in broken + hooks]),
        report("flat.tap", "tap", flat + [[name, "fail"] for name in broken]),
    ]


def tool_jest(read):
    printed = ANSI.sub("", read("console"))
    failed, skipped, todo, passed, total = numbers(last(printed, r"^Tests: .*"), "failed", "skipped", "todo", "passed", "total")
    broken = len(re.findall(r"● Test suite failed to run", printed))
    # The reporter for JUnit writes what is to be done as passed, and a file that cannot be loaded twice.
    return [
        report("report.xml", "junit", cases_=total + 2 * broken, failed=failed + 2 * broken, passed=passed + todo, skipped=skipped),
        report("report.json", "ctrf", cases_=total, failed=failed, passed=passed, skipped=skipped + todo, flaky=1),
    ]


def main():
    tool, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    read = lambda name: (folder / name).read_text(encoding="utf-8", errors="replace")
    reports = globals()["tool_" + tool.replace("-", "_")](read)
    for entry in reports:
        entry["counts"] = {key.rstrip("_"): value for key, value in entry["counts"].items()}
    version = re.sub(r"\s+", " ", read("version")).strip() if (folder / "version").exists() else ""
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in reports)
    print('{"tool": %s, "version": %s, "reports": [\n%s\n]}' % (json.dumps(tool), json.dumps(version), lines))


main()
