"""What `dev` compiles: no more than what its verbs need. The programs that it calls only take notes here."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STUB = """#!/bin/bash
echo "$(basename "$0") $*" >>"$NOTES"
[[ "$(basename "$0")" == dpkg-query ]] && printf installed
[[ "$(basename "$0") $1" == "meson setup" ]] && mkdir -p build && touch build/build.ninja
[[ "$(basename "$0")" == dpkg-deb ]] && mkdir -p "$3"
exit 0
"""


class DevTest(unittest.TestCase):
    def called(self, *words):
        """What `./dev WORDS` calls in a tree with nothing in it."""
        with tempfile.TemporaryDirectory(prefix="baton-test-") as folder:
            top, stubs, notes = Path(folder, "top"), Path(folder, "stubs"), Path(folder, "notes")
            for path in (top, stubs):
                path.mkdir()
            (top / "dev").write_bytes((ROOT / "dev").read_bytes())
            (top / "build/tests/bench").mkdir(parents=True)
            for path in [*(stubs / name for name in ("ninja", "meson", "dpkg-query", "python3", "apt-get", "dpkg-deb")),
                         top / "build/tests/bench/session-bench"]:
                path.write_text(STUB)
                path.chmod(0o755)
            subprocess.run(["bash", top / "dev", *words], stdin=subprocess.DEVNULL, capture_output=True, check=True,
                           env={**os.environ, "PATH": f"{stubs}:{os.environ['PATH']}", "NOTES": str(notes)})
            return [line for line in notes.read_text().splitlines() if not line.startswith("dpkg-query")]

    def test_each_verb_compiles_what_it_needs(self):
        for words, targets, then in ((["build"], " proxy/baton", None),
                                     (["demo", "--exit"], " proxy/baton", "python3 tests/apps/demo.py --exit"),
                                     (["demo", "--redis"], " proxy/baton", "python3 tests/apps/demo.py --redis"),
                                     (["soak", "--redis"], " proxy/baton", "python3 tests/soak/redis_soak.py"),
                                     (["bench", "table"], " tests/bench/session-bench", "session-bench "),
                                     (["bench", "small"], " proxy/baton tests/bench/traffic",
                                      "python3 tests/bench/bench.py small"),
                                     (["test", "--suite", "unit"], "", "python3 tests/run --suite unit")):
            with self.subTest(words=words):
                called = self.called(*words)
                self.assertEqual([line for line in called if line.startswith("ninja")], [f"ninja -C build{targets}"])
                self.assertEqual(called[0], "meson setup build --buildtype=release -Dwerror=false")
                if then is not None:
                    self.assertEqual(called[-1].strip(), then.strip())

    def test_help_names_each_verb(self):
        text = (ROOT / "dev").read_text(encoding="utf-8")
        shown = subprocess.run(["bash", ROOT / "dev", "help"], capture_output=True, text=True, check=True).stdout
        self.assertIn("./dev test --long ", shown)
        for verb in ("build", "test", "demo", "bench", "soak", "lint", "format", "fuzz", "bare", "clean"):
            self.assertIn(f"    {verb})", text)
            self.assertIn(f"./dev {verb}", shown)


if __name__ == "__main__":
    unittest.main()
