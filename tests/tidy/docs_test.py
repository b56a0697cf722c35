"""README.md and the pages of docs/: each link leads somewhere, and the first page stays short."""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def prose(path):
    """The lines of a page, those of its code blocks empty."""
    fenced = False
    for line in path.read_text(encoding="utf-8").splitlines():
        fence = line.startswith("```")
        fenced ^= fence
        yield "" if fenced or fence or line.startswith("    ") else line


def anchors(path):
    """What GitHub makes of the headings: lower case, no punctuation, `-` for a blank, a number from the second on."""
    seen = {}
    for line in prose(path):
        heading = re.match(r"#{1,6} (.*)", line)
        if heading:
            name = re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-")
            yield name if name not in seen else f"{name}-{seen[name]}"
            seen[name] = seen.get(name, 0) + 1


def links(path):
    """(line number, target) of each link within the project."""
    for number, line in enumerate(prose(path), 1):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if not re.match(r"https?:", target):
                yield number, target


class DocsTest(unittest.TestCase):
    def test_links_lead_somewhere(self):
        faults = []
        for page in PAGES:
            for number, target in links(page):
                file, _, anchor = target.partition("#")
                there = (page.parent / file).resolve() if file else page
                if not there.exists():
                    faults.append(f"{page.name}:{number}: {target}: no such file")
                elif anchor and anchor not in anchors(there):
                    faults.append(f"{page.name}:{number}: {target}: no such heading")
        self.assertEqual(faults, [])

    def test_there_are_links(self):
        self.assertGreater(sum(len(list(links(page))) for page in PAGES), 40)

    def test_every_page_is_linked_from_the_first(self):
        linked = {target.partition("#")[0] for _, target in links(ROOT / "README.md")}
        self.assertEqual([page.name for page in PAGES[1:] if f"docs/{page.name}" not in linked], [])

    def test_first_page_is_short(self):
        self.assertLessEqual(len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()), 250)


if __name__ == "__main__":
    unittest.main()
