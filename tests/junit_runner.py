#!/usr/bin/env python3
"""Runs the unittest methods of Python files and writes what came of them as JUnit.

    junit_runner.py --junit FILE TEST_FILE...
"""

import argparse
import importlib.util
import sys
import time
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path


class JunitResult(unittest.TextTestResult):
    """A result that keeps one testcase element for each test method (and for a fixture or an import that broke)."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.cases = []
        self.started = time.monotonic()

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()
        self._case(test)

    def stopTest(self, test):
        self.cases[-1].set("time", f"{time.monotonic() - self.started:.3f}")
        super().stopTest(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._note(test, "failure", self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._note(test, "error", self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            text = (self.failures if issubclass(err[0], test.failureException) else self.errors)[-1][1]
            self._note(test, "failure", f"{subtest}\n{text}")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._note(test, "skipped", reason)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._note(test, "failure", "unexpected success")

    def _case(self, test):
        class_name, _, name = test.id().rpartition(".")
        self.cases.append(xml.Element("testcase", name=name, classname=class_name, time="0"))

    def _note(self, test, kind, text):
        """A test that fails in several places (sub-tests, tearDown) is one failed test."""
        name = test.id().rpartition(".")[2]
        if not self.cases or self.cases[-1].get("name") != name:
            self._case(test)  # setUpClass, tearDownModule: no test was started
        case = self.cases[-1]
        known = case.find(kind)
        if known is None:
            known = xml.SubElement(case, kind, message=text.strip().splitlines()[-1] if text.strip() else "")
            known.text = ""
        known.text += text


def load(path):
    """The tests of one file; a file that cannot be imported is one failing test."""
    for folder in (path.parent.parent, path.parent):  # what it shares with the tests of the folder above, and its own
        sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception:  # whatever stops the import must show as a failure
        return unittest.TestSuite([broken_file(path.stem, sys.exc_info())])
    return unittest.defaultTestLoader.loadTestsFromModule(module)


def broken_file(name, fault):
    def fail(self):
        raise fault[1].with_traceback(fault[2])

    return type(name, (unittest.TestCase,), {"test_import": fail})("test_import")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--junit", required=True)
    options.add_argument("files", nargs="+", type=Path)
    arguments = options.parse_args()

    tests = unittest.TestSuite(load(path.resolve()) for path in arguments.files)
    result = unittest.TextTestRunner(resultclass=JunitResult, verbosity=2).run(tests)
    suite = xml.Element("testsuite", name=arguments.files[0].stem, tests=str(len(result.cases)))
    suite.extend(result.cases)
    document = xml.Element("testsuites")
    document.append(suite)
    Path(arguments.junit).write_bytes(xml_bytes(document))
    return 0 if result.wasSuccessful() else 1


def xml_bytes(document):
    """XML 1.0 has no control characters; a message that quotes some must not make the file unreadable."""
    for element in document.iter():
        element.text = element.text and clean(element.text)
        for name, value in element.attrib.items():
            element.set(name, clean(value))
    return xml.tostring(document, encoding="utf-8", xml_declaration=True)


def clean(text):
    return "".join(c if c in "\t\n" or 0x20 <= ord(c) < 0xD800 else f"\\x{ord(c):02x}" for c in text)


if __name__ == "__main__":
    sys.exit(main())
