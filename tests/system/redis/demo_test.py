"""The story of a session in Redis whose master dies, as a user runs it."""

import os
import subprocess
import sys
import unittest
from pathlib import Path

from cluster import need_redis
from harness import BATON

ROOT = Path(__file__).resolve().parents[3]
CLAIMS = ["one session over three servers and two batons", "the session's key in Redis holds no id",
          "Sentinel and baton tell the same", "INFO replication", "the old master's place is taken",
          "nobody is logged out", "who waits is answered", "who does not wait is told so",
          "the session has all that it had", "the old master is a replica", "SET on it is refused",
          "Sentinel and baton tell the same again", "redis-check", "logout holds at both batons"]


def setUpModule():
    need_redis()


def run_demo(**keys):
    return subprocess.run([sys.executable, ROOT / "tests/apps/demo.py", "--redis", "--exit", "--baton", BATON],
                          capture_output=True, text=True, timeout=150, check=False, **keys)


class DemoTest(unittest.TestCase):
    def test_demo_shows_its_claims(self):
        demo = run_demo()
        verdicts = [line for line in demo.stdout.splitlines() if line.startswith(("ok ", "FAIL "))]
        self.assertEqual(verdicts, [f"ok   {claim}" for claim in CLAIMS], demo.stdout + demo.stderr)
        self.assertEqual((demo.returncode, demo.stderr), (0, ""))

    def test_without_redis(self):
        # Python finds itself by its path; no server is in the one that it is told.
        demo = run_demo(env={**os.environ, "PATH": "/nonexistent"})
        self.assertEqual((demo.stdout, demo.returncode),
                         ("FAIL there is no redis-server: ./dev demo --redis installs redis-tools\n", 1))


if __name__ == "__main__":
    unittest.main()
