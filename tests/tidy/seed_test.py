"""conf/seed as somebody copies it: what must be there before is said, and what becomes of unchanged pages."""

import re
import unittest
from pathlib import Path

SEED = Path(__file__).resolve().parents[2] / "conf/seed"


def settings(text):
    """The folders that a file of Redis needs."""
    for name, path in re.findall(r"^(dir|logfile|pidfile) (/\S+)$", text, re.M):
        yield path if name == "dir" else str(Path(path).parent)


class SeedTest(unittest.TestCase):
    def test_folders_that_must_exist_are_made_in_a_comment(self):
        for kind in ("redis", "sentinel"):
            first, *others = sorted(SEED.glob(f"{kind}-*.conf"))
            text = first.read_text(encoding="utf-8")
            for command in ("mkdir -p", "chown redis:"):
                made = set(re.search(rf"^#     {command} (.+)$", text, re.M)[1].split())
                self.assertEqual(made, set(settings(text)), first)
            for other in others:
                said = other.read_text(encoding="utf-8")
                self.assertIn(f"{first.name} explains each line and says which folders must", re.sub(r"\n#", "", said))
                # The same but for the port.
                port, own = (re.search(r"\d+", path.name)[0] for path in (other, first))
                self.assertEqual({folder.replace(port, own) for folder in settings(said)}, made)

    def test_what_becomes_of_pages_that_do_not_speak_the_contract(self):
        text = (SEED / "baton.toml").read_text(encoding="utf-8")
        before, _, after = text.partition("[[listener]]")
        self.assertIn("must speak baton's contract", before)
        self.assertIn('session = "off"', before)
        self.assertIn('#session = "off"', after)
        self.assertIn("chmod 600", after)


if __name__ == "__main__":
    unittest.main()
