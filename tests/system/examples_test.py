"""The applications in docs/sessions.md, as they are there: two servers of each language behind baton."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from urllib.parse import urlencode

from api import TOKEN, ApiTest
from harness import ROOT, eventually, run_baton

FORM = ("Content-Type", "application/x-www-form-urlencoded")


def code(language):
    """The one block of that language."""
    page = (ROOT / "docs/sessions.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", page, re.M | re.S)
    if len(blocks) != 1:
        raise AssertionError(f"docs/sessions.md has {len(blocks)} blocks of {language}")
    return blocks[0]


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


LANGUAGES = {
    "python": ("app.py", [sys.executable, "app.py", "{port}"]),
    "js": ("app.js", ["node", "app.js", "{port}"]),
    "php": ("app.php", ["php", "-S", "127.0.0.1:{port}", "app.php"]),
}
# 20 KB in all.
ARTICLES = [f"article-{n:03}-" + "x" * 988 for n in range(20)]


class Program:
    """A server that listens on the port it is given. Ended by its process id."""

    def __init__(self, command, folder, environment):
        for _ in range(10):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            self.log = Path(folder, f"{self.port}.log")
            with self.log.open("wb") as output:
                self.process = subprocess.Popen(command(self.port), cwd=folder, stdin=subprocess.DEVNULL,
                                                stdout=output, stderr=output, env={**os.environ, **environment})
            eventually(lambda: self.process.poll() is not None or is_open(self.port), "a server of docs/sessions.md")
            if self.process.poll() is None:
                break  # else somebody else was given the port meanwhile
        self.address = f"127.0.0.1:{self.port}"

    def stop(self):
        self.process.kill()
        self.process.wait()


class ExamplesTest(ApiTest):
    def servers(self, language, environment):
        name, command = LANGUAGES[language]
        program = shutil.which(command[0])
        self.assertIsNotNone(program, f"{command[0]} is not installed")
        folder = tempfile.TemporaryDirectory(prefix="baton-test-")
        self.addCleanup(folder.cleanup)
        Path(folder.name, name).write_text(code(language), encoding="utf-8")
        servers = []
        for _ in range(2):
            servers.append(Program(lambda port: [program] + [word.format(port=port) for word in command[1:]],
                                   folder.name, environment))
            self.addCleanup(servers[-1].stop)
        return servers

    def post(self, proxy, path, session=None, **form):
        fields = [FORM] + [("Cookie", f"JSESSIONID={session}")] * (session is not None)
        return self.ask(proxy, "POST", path, fields=fields, body=urlencode(form).encode())

    def page(self, proxy, session):
        """The same at both servers."""
        pages = {self.ask(proxy, fields=[("Cookie", f"JSESSIONID={session}")]).body.decode() for _ in range(2)}
        self.assertEqual(len(pages), 1, pages)
        return pages.pop().strip()

    def prove(self, language):
        # A server learns of a request before its body is whole.
        proxy = self.api_baton(self.servers(language, {}), top={"workers": 2}, upstream={"request_buffer": "0B"})

        # Counted, whoever counts.
        first = self.post(proxy, "/click")
        session = first.cookie()
        self.assertEqual((first.status, self.page(proxy, session)), (200, "nobody: , 1 clicks"))

        def clicks():
            for _ in range(25):
                statuses.append(self.post(proxy, "/click", session).status)

        statuses = []
        threads = [threading.Thread(target=clicks) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, [200] * 100)
        self.assertEqual(self.page(proxy, session), "nobody: , 101 clicks")

        # A server was told of the session for the first request before the second one changes it.
        slow = self.client(proxy)
        slow.send(f"POST /cart HTTP/1.1\r\nHost: a\r\nCookie: JSESSIONID={session}\r\n{': '.join(FORM)}\r\n"
                  f"Content-Length: 7\r\n\r\n")
        eventually(lambda: self.metric(proxy, "baton_server_requests_in_flight") == 1, "the request at a server")
        self.assertEqual(self.post(proxy, "/cart", session, add="h\u00e9 & co=+%").status, 200)
        slow.send("add=tea")
        refused = slow.answer()
        self.assertEqual((refused.status, refused.body), (409, b"409 Conflict\n"))
        self.assertEqual(self.post(proxy, "/cart", session, add="tea").status, 200)
        self.assertEqual(self.page(proxy, session), "nobody: h\u00e9 & co=+% tea, 101 clicks")

        # A new id at the login, and the old one is dead.
        login = self.post(proxy, "/login", session, user="b\u00f6b ")
        fresh = login.cookie()
        self.assertNotIn(fresh, (None, session))
        self.assertEqual(self.page(proxy, fresh), "b\u00f6b : h\u00e9 & co=+% tea, 101 clicks")
        self.assertEqual(self.page(proxy, session), "nobody: , 0 clicks")
        self.assertEqual(self.metric(proxy, "baton_session_overwrites_total"), 0)

        logout = self.post(proxy, "/logout", fresh)
        self.assertIn("Max-Age=0", logout.get("Set-Cookie"))
        self.assertEqual(self.page(proxy, fresh), "nobody: , 0 clicks")

    def test_python(self):
        self.prove("python")

    def test_node(self):
        self.prove("js")

    def test_php(self):
        self.prove("php")

    def fill(self, proxy, count):
        """A cart with as many articles of some 1000 bytes as are taken: the answers' statuses, and the session."""
        session = self.post(proxy, "/cart", add=ARTICLES[0]).cookie()
        statuses = [200] + [self.post(proxy, "/cart", session, add=one).status for one in ARTICLES[1:count]]
        return statuses, session

    def test_F_large_session_with_the_api_every_article_is_there(self):
        for language in LANGUAGES:
            with self.subTest(language=language), socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
                probe.close()
                servers = self.servers(language, {"BATON_API": f"http://127.0.0.1:{port}", "BATON_TOKEN": TOKEN})
                proxy = self.api_baton(servers, session={"attribute_max": "24KiB"}, api_port=port)
                statuses, session = self.fill(proxy, len(ARTICLES))
                self.assertEqual(statuses, [200] * len(ARTICLES))
                self.assertEqual(self.page(proxy, session), f"nobody: {' '.join(ARTICLES)}, 0 clicks")
                self.assertGreater(self.metric(proxy, "baton_session_omitted_total"), 10)
                self.assertIn("route=test.example/", proxy.wait_event("session longer than headers.limit"))
                proxy.stop()

    def test_F_large_session_without_the_api_a_change_is_refused_loudly(self):
        for language in LANGUAGES:
            with self.subTest(language=language):
                proxy = self.baton(self.servers(language, {}), session={"attribute_max": "24KiB"})
                statuses, session = self.fill(proxy, 8)
                taken = statuses.count(200)
                self.assertEqual(statuses, [200] * taken + [502] * (8 - taken))
                self.assertEqual(taken, 4)
                self.assertEqual(self.page(proxy, session), f"nobody: {' '.join(ARTICLES[:taken])}, 0 clicks")
                self.assertIn("session longer than headers.limit (4096): raise it, or add [session.api]",
                              proxy.wait_event("session fields of a server refused"))
                # What fits is taken as ever.
                self.assertEqual(self.post(proxy, "/click", session).status, 200)
                self.assertEqual(self.page(proxy, session), f"nobody: {' '.join(ARTICLES[:taken])}, 1 clicks")

    def test_F_large_session_that_cannot_be_read_is_an_error_never_an_empty_cart(self):
        for language in LANGUAGES:
            with self.subTest(language=language):
                proxy = self.api_baton(self.servers(language, {}), session={"attribute_max": "24KiB"})
                statuses, session = self.fill(proxy, 6)
                self.assertEqual(statuses, [200] * 5 + [500])
                for path in ("/", "/cart"):
                    self.assertEqual(self.post(proxy, path, session, add="one").status, 500)
                self.assertEqual(self.api(proxy).read(session).json["attrs"]["cart"], " ".join(ARTICLES[:5]))

    def test_configurations_are_good(self):
        pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
        text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
        blocks = [b for b in re.findall(r"^```toml\n(.*?)^```$", text, re.M | re.S) if "[[route]]" in b]
        self.assertGreater(len(blocks), 2)
        for block in blocks:
            status, _, err = run_baton("-t", "-c", self.file("baton.toml", block))
            self.assertEqual((status, err), (0, ""), block)


if __name__ == "__main__":
    unittest.main()
