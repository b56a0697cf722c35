"""The benchmark's own parts: that they do the work they are said to measure, and that a wrong answer is no result."""

import contextlib
import io
import json
import subprocess
import sys
import unittest
from unittest import mock

from harness import BUILD, ROOT, LOAD_PATIENCE, SystemTest
from peers import reply

sys.path.insert(0, str(ROOT / "tests/bench"))
import bench  # noqa: E402
import gates  # noqa: E402

WORKS = ("small", "heads", "large", "upload", "close", "chunked", "tunnel-128", "tunnel-16k")


class TrafficTest(SystemTest):
    def started_traffic(self, verb, **options):
        words = [BUILD / "tests/bench/traffic", verb] + [f"{key}={value}" for key, value in options.items()]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True)

        def end():
            process.stdin.close()
            process.wait(LOAD_PATIENCE)
            process.stdout.close()

        self.addCleanup(end)
        return process

    def listening(self, verb, **options):
        return int(self.started_traffic(verb, **options).stdout.readline())

    def ask(self, port, work):
        """The clients' report, and whether they are content."""
        clients = self.started_traffic("ask", port=port, work=work, connections=4, requests=100, milliseconds=20_000)
        report = json.loads(clients.stdout.readline())
        clients.stdin.close()
        return report, clients.wait(LOAD_PATIENCE) == 0

    def test_each_work_is_done_by_server_relay_and_baton(self):
        server = self.listening("serve")
        relay = self.listening("relay", to=server)
        baton = self.baton([f"127.0.0.1:{server}"], limits={"body": 0}, route={"session": "off"})
        for name, port in (("server", server), ("relay", relay), ("baton", baton.port)):
            for work in WORKS:
                with self.subTest(name, work=work):
                    report, content = self.ask(port, work)
                    self.assertTrue(content)
                    self.assertEqual(report["errors"], 0)
                    self.assertGreaterEqual(report["requests"], 100)

    def test_sessions_are_kept(self):
        server = self.listening("serve")
        baton = self.baton([f"127.0.0.1:{server}"], route={"create": "always"})
        for work in ("session", "write"):
            report, content = self.ask(baton.port, work)
            self.assertTrue(content, report)

    def test_wrong_answers_are_no_result(self):
        for answer in (reply(b"x" * 1024), reply(b"", status="404 Not Found")):
            app = self.app(lambda request, answer=answer: answer)
            report, content = self.ask(app.port, "small")
            self.assertFalse(content)
            self.assertGreater(report["errors"], 0)


class GateTest(unittest.TestCase):
    def counted(self, calls, instructions, before=None):
        out = io.StringIO()

        def count(work, program=None):
            return before if program else instructions

        with mock.patch.object(gates, "count_calls", lambda: calls), \
                mock.patch.object(gates, "count_instructions", count), \
                mock.patch.object(gates.shutil, "which", lambda name: name), contextlib.redirect_stdout(out):
            failed = gates.count("before" if before else None)
        return failed, out.getvalue().splitlines()[-1]

    def test_what_costs_too_much_fails(self):
        calls = {"reads": 2, "writes": 2, "epoll_ctl": 0, "setsockopt": 0, "accept4": 1}
        self.assertEqual(self.counted(calls, 10_000), (0, "8 passed, 0 failed"))
        self.assertEqual(self.counted(calls, 13_000), (1, "7 passed, 1 failed"))
        self.assertEqual(self.counted(calls, 23_000), (3, "5 passed, 3 failed"))
        for name in calls:
            self.assertEqual(self.counted({**calls, name: 2.1}, 10_000), (1, "7 passed, 1 failed"), name)
        # Nothing was counted.
        self.assertEqual(self.counted(dict.fromkeys(calls, 0), 0), (6, "2 passed, 6 failed"))
        self.assertEqual(self.counted({}, 10_000), (0, "3 passed, 0 failed, 5 skipped"))

    def test_what_costs_more_than_before_fails(self):
        calls = {"reads": 2, "writes": 2, "epoll_ctl": 0, "setsockopt": 0, "accept4": 1}
        self.assertEqual(self.counted(calls, 10_000, 9_800), (0, "11 passed, 0 failed"))
        self.assertEqual(self.counted(calls, 10_000, 9_600), (3, "8 passed, 3 failed"))


class PlanTest(unittest.TestCase):
    def test_what_nobody_has_is_refused(self):
        for workloads, peers, complaint in ((["smal"], [], 'no workload "smal"'), (["small"], ["foo"], 'no peer "foo"'),
                                            (["log"], ["nginx"], "log has none of these peers")):
            with self.assertRaisesRegex(ValueError, complaint):
                bench.plan(workloads, peers)

    def test_the_peers_that_are_wanted(self):
        self.assertEqual(bench.plan(["small"], ["nginx", "baton"]), {"small": ["baton", "nginx"]})
        self.assertEqual(list(bench.plan([], [])), list(bench.WORKLOADS))
        self.assertNotIn("log", bench.plan([], ["nginx"]))
        self.assertEqual(bench.plan(["session"], ["baton-session-before"], True), {"session": ["baton-session-before"]})
        self.assertEqual(bench.plan(["large"], [], True), bench.plan(["large"], []))


class TableTest(unittest.TestCase):
    def test_the_one_that_is_compared(self):
        for workload, peers, first in (("small", ["baton", "nginx"], "baton"), ("small", ["relay", "nginx"], "relay"),
                                       ("log", ["baton-nolog", "baton-log"], "baton-log"),
                                       ("log", ["baton-nolog"], "baton-nolog")):
            self.assertEqual(bench.first_of({"workload": workload, "rounds": dict.fromkeys(peers)}), first)

    def test_ratios_are_of_the_same_round(self):
        def rounds(*numbers):
            return [{"efficiency": number, "per_second": 1, "use": 1, "p50": 1, "p99": 1, "p999": 1, "memory": 1}
                    for number in numbers]

        result = {"workload": "small", "connections": 64, "congestion": "",
                  "rounds": {"baton": rounds(10, 30, 22), "nginx": rounds(10, 20, 20), "relay": rounds(10, 30, 20)}}
        self.assertEqual(bench.ratios(result, "baton", "nginx"), [1.0, 1.5, 1.1])
        lines, below = bench.table(result)
        self.assertIn("1.10 (1.00–1.50)", lines[3])
        self.assertEqual(below, ["small: 1.10 of nginx, wanted 1.25"])
        self.assertIn("1.10 (1.00–1.50)", bench.summary([result])[2])


if __name__ == "__main__":
    unittest.main()
