"""A stock Apache httpd with mod_cache in front of baton: what it keeps for everybody holds nobody's session cookie."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from harness import SystemTest, eventually
from peers import reply
from servers import TOOLS, tool

PACKAGES = ("apache2-bin", "libapr1", "libaprutil1")  # where they are unpacked, not installed
MODULES = ("mpm_event", "authz_core", "proxy", "proxy_http", "cache", "cache_disk")
SET = b"Set-Cookie: JSESSIONID="  # the request that it keeps beside has a Cookie field, which no answer repeats

CONFIGURATION = """
ServerRoot "{folder}"
ServerName localhost
Listen 127.0.0.1:{port}
PidFile apache.pid
ErrorLog error.log
Mutex sem
{user}
{modules}
CacheRoot "{folder}/cache"
CacheEnable disk /
CacheHeader on
ProxyPass / http://127.0.0.1:{to}/
"""


def modules_folder():
    for folder in (TOOLS / "apache2-bin/usr/lib/apache2/modules", Path("/usr/lib/apache2/modules")):
        if (folder / "mod_cache_disk.so").exists():
            return folder
    return None


class Apache:
    """httpd in a folder of its own. Another port is tried where somebody else was given the one meanwhile."""

    def __init__(self, to):
        self.folder = Path(tempfile.mkdtemp(prefix="baton-apache-"))
        self.folder.chmod(0o755)
        self.cache = self.folder / "cache"
        self.cache.mkdir()
        self.cache.chmod(0o777)
        libraries = ":".join(str(TOOLS / name / "usr/lib" / f"{os.uname().machine}-linux-gnu") for name in PACKAGES)
        modules = "\n".join(f"LoadModule {name}_module {modules_folder()}/mod_{name}.so" for name in MODULES)
        user = "User nobody\nGroup nogroup" if os.geteuid() == 0 else ""
        for _ in range(10):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            path = self.folder / "apache.conf"
            path.write_text(CONFIGURATION.format(folder=self.folder, port=self.port, to=to, modules=modules, user=user))
            self.process = subprocess.Popen([tool("apache2", "apache2-bin"), "-f", path, "-D", "FOREGROUND"],
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL, env={**os.environ, "LD_LIBRARY_PATH": libraries})
            eventually(lambda: self.process.poll() is not None or self.is_open(), "httpd")
            if self.process.poll() is None:
                return
        text = (self.folder / "error.log").read_text() if (self.folder / "error.log").exists() else ""
        self.stop()
        raise AssertionError(f"httpd does not start\n{text}")

    def is_open(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kept(self):
        """All that it has stored, heads and bodies."""
        return b"".join(path.read_bytes() for path in sorted(self.cache.rglob("*")) if path.is_file())

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


# Paths and what the application says to them; with a "+" at the end it changes the session, with two it is a login.
PAGES = {
    "/asset": [("Cache-Control", "public, max-age=3600")],
    "/short": [("Cache-Control", "max-age=600")],
    "/proxies": [("Cache-Control", "s-maxage=600"), ("Cache-Control", "no-transform")],
    "/expires": [("Expires", "Fri, 31 Dec 2066 23:59:59 GMT")],
    "/quoted": [("Cache-Control", 'max-age=600, no-cache="Set-Cookie"')],
    "/half": [("Cache-Control", 'public, private="X-Other"')],
    "/stale": [("Cache-Control", "max-age=0, public"), ("ETag", '"1"')],
    "/again": [("Cache-Control", "no-cache"), ("ETag", '"1"')],
    "/guess": [("Last-Modified", "Sat, 01 Jan 2000 00:00:00 GMT")],
    "/page": [],
}


def application(request):
    path = request.target.rstrip("+")
    fields = list(PAGES[path])
    if request.target.endswith("+"):
        fields.append(("Baton-Session-Incr", "clicks=1"))
    if request.target.endswith("++"):
        fields.append(("Baton-Session-Rotate", "login"))
    if request.get("If-None-Match"):
        return reply(b"", fields, status="304 Not Modified")
    return reply(b"page", fields)


@unittest.skipIf(tool("apache2", "apache2-bin") is None or modules_folder() is None,
                 f"there is no httpd with mod_cache: ./dev unpacks {', '.join(PACKAGES)}")
class SharedCacheTest(SystemTest):
    def visit(self, apache, target, cookie=None):
        answer = self.ask(apache, target=target, fields=[("Cookie", f"JSESSIONID={cookie}")] if cookie else [])
        self.assertEqual(answer.status, 200)
        return answer

    def test_F_cookie_cache_behind_a_stock_cache_no_cookie_is_ever_stored(self):
        for session in ({"create": "always"}, {"create": "on-demand", "renew_after": "1s"}):
            with self.subTest(**session):
                baton = self.baton([self.app(application)], session=session)
                apache = Apache(baton.port)
                try:
                    self.visits(apache)
                    # What it may keep it keeps: else nothing would have been shown.
                    self.assertTrue(self.visit(apache, "/asset").get("X-Cache").startswith("HIT"))
                finally:
                    apache.stop()

    def visits(self, apache):
        anna = self.visit(apache, "/page+").cookie()
        begun = time.monotonic()
        self.assertIsNotNone(anna)
        eventually(lambda: time.monotonic() > begun + 1.1, "an id that is old enough to be renewed")
        targets = [path + asked for asked in ("", "+", "++") for path in PAGES]
        for target in targets:
            for cookie in (anna, None):
                answer = self.visit(apache, target, cookie)
                anna = cookie and answer.cookie() or anna
        self.assertNotIn(SET, apache.kept())
        for target in targets:
            answer = self.visit(apache, target)
            if not answer.get("X-Cache", "").startswith("MISS"):
                self.assertIsNone(answer.cookie(), target)


if __name__ == "__main__":
    unittest.main()
