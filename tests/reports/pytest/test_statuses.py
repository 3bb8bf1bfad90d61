"""One test of every status that pytest knows."""

import sys
import time
import unittest
import warnings

import pytest

tries = {}


def test_passes():
    print("a line on the standard output")
    print("a line on the standard error", file=sys.stderr)


def test_fails():
    assert {"a": 1, "b": [1, 2]} == {"a": 1, "b": [1, 3]}, "<not> & 'equal' \"äöü\" \u2603 \x1b[31mred\x1b[0m"


def test_raises():
    raise RuntimeError("no assertion")


@pytest.fixture
def broken():
    raise OSError("the fixture is broken")


def test_has_a_broken_fixture(broken):
    pass


@pytest.fixture
def breaks_later():
    yield
    raise OSError("the teardown is broken")


def test_passes_and_breaks_in_teardown(breaks_later):
    pass


def test_fails_and_breaks_in_teardown(breaks_later):
    assert False


@pytest.mark.skip(reason="not now")
def test_is_skipped():
    pass


def test_skips_itself():
    pytest.skip("no such device")


@pytest.mark.skipif(sys.version_info > (3, 0), reason="not for version 3")
class TestSkippedClass:
    def test_one(self):
        pass

    def test_two(self):
        pass


@pytest.mark.xfail(reason="known")
def test_is_expected_to_fail():
    assert False


@pytest.mark.xfail(reason="known")
def test_is_expected_to_fail_and_passes():
    pass


@pytest.mark.xfail(strict=True)
def test_is_expected_to_fail_strictly_and_passes():
    pass


@pytest.mark.parametrize("value", [1, 2.5, "a b", "a/b::c[d]", "<&>\"'", "ä\u2603", "", None, b"\x00\xff", "\x1b[1m", 7])
def test_parametrised(value):
    assert value != 7


@pytest.mark.parametrize("x", [0, 1])
@pytest.mark.parametrize("y", ["p", "q"])
def test_twice_parametrised(x, y):
    pass


def test_is_flaky():
    tries["flaky"] = tries.get("flaky", 0) + 1
    assert tries["flaky"] == 3, f"try {tries['flaky']}"


def test_records_properties(record_property):
    record_property("testrail", "C17")
    record_property("ratio", 0.5)


class TestClass:
    def test_method(self):
        pass

    class TestInner:
        def test_method(self):
            time.sleep(0.01)


class Old(unittest.TestCase):
    def test_subtests(self):
        for i in range(2):
            with self.subTest(i=i):
                self.assertLess(i, 2)

    def test_warns(self):
        warnings.warn("a warning")

    @unittest.expectedFailure
    def test_expected(self):
        self.fail()
