"""What tests/run and its helper make of the results they are given."""

import contextlib
import importlib.machinery
import importlib.util
import io
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def load_run():
    loader = importlib.machinery.SourceFileLoader("tests_run", str(ROOT / "tests/run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("tests_run", loader))
    loader.exec_module(module)
    return module


run = load_run()


class RunTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.log = self.folder / "log"
        self.log.write_text("last words")
        self.out = io.StringIO()

    def judge(self, junit, status):
        path = self.folder / "out.xml"
        if junit is not None:
            path.write_bytes(junit)
        with contextlib.redirect_stdout(self.out):
            return run.judge("x", run.cases_of(path), status, self.log)

    def test_cases_are_counted(self):
        totals = self.judge(b'<testsuites><testsuite><testcase name="a"/><testcase name="b"><failure message="m">why'
                            b'</failure><failure/></testcase><testcase name="c"><error message="e"/></testcase>'
                            b'<testcase name="d"><skipped/></testcase></testsuite></testsuites>', 1)
        self.assertEqual(totals.line(), "1 passed, 2 failed, 1 skipped")
        self.assertEqual(totals.ran, {"a", "b", "c"})
        self.assertIn("FAILED x: b\n    why", self.out.getvalue())

    def test_a_program_without_a_result_has_failed(self):
        self.assertEqual(self.judge(None, 0).line(), "0 passed, 1 failed")
        self.assertIn("last words", self.out.getvalue())
        self.assertEqual(self.judge(b"<testsuites><testcase", 0).line(), "0 passed, 1 failed")
        self.assertEqual(self.judge(b"<testsuites/>", 0).line(), "0 passed, 1 failed")

    def test_a_program_that_crashes_or_hangs_after_its_result_has_failed(self):
        good = b'<testsuites><testcase name="a"/></testsuites>'
        self.assertEqual(self.judge(good, 0).line(), "1 passed, 0 failed")
        self.assertEqual(self.judge(good, -11).line(), "1 passed, 1 failed")
        self.assertEqual(self.judge(good, None).line(), "1 passed, 1 failed")

    def test_any_bytes_in_a_result_are_read(self):
        totals = self.judge(b'<testsuites><testcase name="\xff\x01"/></testsuites>', 0)
        self.assertEqual(totals.line(), "1 passed, 0 failed")

    def test_a_program_that_hangs_is_ended_with_all_it_started(self):
        patience, run.PATIENCE = run.PATIENCE, 0.3
        try:
            marker = self.folder / "late"
            script = f"(sleep 1; touch {marker}) & sleep 30"
            self.assertIsNone(run.run_program(["sh", "-c", script], self.log, self.folder))
            subprocess.run(["sleep", "1.2"], check=True)
            self.assertFalse(marker.exists())
        finally:
            run.PATIENCE = patience

    def test_a_label_is_covered_by_its_own_name_only(self):
        self.assertTrue(run.covers("S13 two cookies", "S13"))
        self.assertTrue(run.covers("a session: S13", "S13"))
        self.assertTrue(run.covers("test_S13_two_cookies", "S13"))
        self.assertTrue(run.covers("H:TE: ''", "H:TE: ''"))
        self.assertTrue(run.covers("F:tunnel-end both ways", "F:tunnel-end"))
        self.assertTrue(run.covers("test_F_tunnel_end_both_ways", "F:tunnel-end"))
        self.assertFalse(run.covers("F:tunnel-ends", "F:tunnel-end"))
        self.assertFalse(run.covers("S130 two cookies", "S13"))
        self.assertFalse(run.covers("test_S130_two", "S13"))
        self.assertFalse(run.covers("S1 two", "S13"))
        self.assertFalse(run.covers("RS13 two", "S13"))
        self.assertFalse(run.covers("H:TE: '' and more", "H:TE: ''"))

    def test_a_gap_in_the_coverage_is_one_failed_test(self):
        totals = run.Totals()
        with contextlib.redirect_stdout(self.out):
            run.check_coverage(totals)
        self.assertEqual(totals.line(), "0 passed, 1 failed")
        labels = [x for x in (ROOT / "tests/coverage.txt").read_text().splitlines() if x and x[0] != "#"]
        totals = run.Totals()
        totals.ran = set(labels)
        with contextlib.redirect_stdout(self.out):
            run.check_coverage(totals)
        self.assertEqual(totals.line(), "1 passed, 0 failed")
        totals.ran.remove(labels[-1])
        with contextlib.redirect_stdout(self.out):
            run.check_coverage(totals)
        self.assertEqual(totals.line(), "1 passed, 1 failed")

    def test_python_results_are_written_as_junit(self):
        test = self.folder / "some_test.py"
        test.write_text(
            "import unittest\n"
            "class T(unittest.TestCase):\n"
            "    def test_good(self): pass\n"
            "    def test_bad(self): self.fail('\\x01\\u00e9')\n"
            "    def test_error(self): 1 / 0\n"
            "    @unittest.skip('not here')\n"
            "    def test_skipped(self): pass\n"
            "    def test_parts(self):\n"
            "        for i in range(3):\n"
            "            with self.subTest(i=i): self.assertEqual(i, 1)\n"
            "class U(unittest.TestCase):\n"
            "    @classmethod\n"
            "    def setUpClass(cls): raise OSError('no')\n"
            "    def test_never(self): pass\n")
        broken = self.folder / "broken_test.py"
        broken.write_text("import nothing_of_this_name\n")
        self.assertEqual(self.python(test).line(), "1 passed, 4 failed, 1 skipped")
        self.assertEqual(self.python(broken).line(), "0 passed, 1 failed")

    def python(self, test):
        junit = self.folder / "python.xml"
        done = subprocess.run([sys.executable, ROOT / "tests/junit_runner.py", "--junit", junit, test],
                              capture_output=True, check=False)
        return self.judge(junit.read_bytes(), done.returncode)


if __name__ == "__main__":
    unittest.main()
