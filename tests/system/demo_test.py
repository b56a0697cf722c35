"""The demonstration, as a user runs it."""

import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BATON_BUILD", ROOT / "build"))
CLAIMS = ["page", "rotation", "same id", "same creation time", "counter", "HEAD direct", "HEAD through baton",
          "a server killed", "conflict", "parallel clicks", "login", "more than a field holds", "logout", "old id dead"]


class DemoTest(unittest.TestCase):
    def test_demo_shows_its_claims(self):
        demo = subprocess.run([sys.executable, ROOT / "tests/apps/demo.py", "--exit", "--baton", BUILD / "baton"],
                              capture_output=True, text=True, timeout=60, check=False)
        verdicts = [line for line in demo.stdout.splitlines() if line.startswith(("ok ", "FAILED "))]
        self.assertEqual(verdicts, [f"ok {claim}" for claim in CLAIMS], demo.stdout + demo.stderr)
        self.assertEqual(demo.returncode, 0, demo.stderr)

    def test_demo_app_is_short_enough_to_copy(self):
        app = (ROOT / "tests/apps/demo_app.py").read_text()
        self.assertLessEqual(len(app.splitlines()), 125)


if __name__ == "__main__":
    unittest.main()
