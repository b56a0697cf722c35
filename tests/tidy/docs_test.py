"""README.md and the pages of docs/: each link leads somewhere, the tables say what the program does."""

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


def read(*patterns):
    """All files of the project that match, as one text."""
    return "\n".join(file.read_text(encoding="utf-8") for pattern in patterns for file in sorted(ROOT.glob(pattern)))


def tables(page):
    """{heading: its rows, each a list of cells without the blanks around them}"""
    found, heading = {}, ""
    for line in prose(ROOT / page):
        title = re.match(r"#{1,6} (.*)", line)
        if title:
            heading = title[1].replace("`", "")
        elif line.startswith("| "):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            found.setdefault(heading, []).append(cells)
    return found


def words(rows):
    """What stands in backticks in the first cells of the rows."""
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row[0])]


class TablesTest(unittest.TestCase):
    def test_operating_has_every_fault_with_its_status(self):
        code = read("net/*.h")
        names = dict(re.findall(r'case Fault::(\w+): return "(\w+)"', code))
        status = dict(re.findall(r"case Fault::(\w+): return (\d+);", code))
        self.assertGreater(len(names), 20)
        rows = {row[0].strip("`"): row[1][:3] for row in tables("docs/operating.md")["Faults"] if row[0][0] == "`"}
        self.assertEqual(rows, {word: status[name] for name, word in names.items()})

    def test_F_reason_operating_has_every_reason(self):
        told = re.findall(r'case Reason::\w+: return "(\w+)"', read("net/reason.h"))
        self.assertGreater(len(told), 50)
        self.assertEqual(sorted(words(tables("docs/operating.md")["Reasons"])), sorted(told))

    def test_operating_has_every_metric(self):
        told = set(re.findall(r'"(baton_\w+)"', read("proxy/service/metrics.cc")))
        rows = {re.match(r"\w+", word)[0] for word in words(tables("docs/operating.md")["Metrics"])}
        self.assertGreater(len(told), 30)
        self.assertEqual(sorted(rows), sorted(told))

    def test_operating_has_every_field_of_the_access_log(self):
        told = set(re.findall(r'\\"(\w+)\\":', read("proxy/context/access_log.cc")))
        rows = set(words(tables("docs/operating.md")["Access log"]))
        self.assertGreater(len(told), 15)
        self.assertEqual(sorted(rows), sorted(told))

    def test_operating_has_every_call_of_the_admin_listener(self):
        calls = set(re.findall(r'\{"(/[\w/]+)", \w+\}', read("proxy/service/admin.cc")))
        rows = {word.removeprefix("GET ") for word in words(tables("docs/operating.md")["The admin listener"])}
        self.assertGreater(len(calls), 4)
        self.assertEqual(sorted(rows), sorted(calls))

    def test_every_event_has_a_row(self):
        code = read(*(f"{folder}/**/*.cc" for folder in ("net", "proxy", "session", "upstream")))
        calls = re.findall(r'log::(?:info|warn|error)\(\s*(?:\w+ \? "([^"]+)" : )?"([^"]+)"', code)
        events = {event for call in calls for event in call if event}
        rows = words(tables("docs/operating.md")["Event log"]) + words(tables("docs/redis.md")["Events"])
        self.assertGreater(len(events), 30)
        self.assertEqual(sorted(rows), sorted(events))

    def test_operating_has_every_command(self):
        usage = re.search(r"const char usage\[\] =(.*?);\n\n", read("proxy/main.cc"), re.S)[1]
        commands = re.findall(r'"(?:usage:|      ) (baton \S.*?)(?:   |\\n)', usage)
        self.assertGreater(len(commands), 6)
        manual = read("docs/operating.md")
        self.assertEqual([command for command in commands if f"    {command}" not in manual], [])

    def test_sessions_has_every_field_of_the_contract(self):
        code = read("session/contract.cc")
        asked = set(re.findall(r'same_folded\(suffix, "([\w-]+)"\)', code))
        manual = tables("docs/sessions.md")
        rows = {re.match(r"Baton-Session-([\w-]+)", word)[1] for word in words(manual["From the server"])}
        self.assertGreater(len(asked), 6)
        self.assertEqual(sorted(rows), sorted(asked))
        for word in words(manual["To the server"]):
            if word.startswith("Baton-"):
                self.assertIn(f'"{word.removeprefix("Baton-Session-")}"', code)


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
