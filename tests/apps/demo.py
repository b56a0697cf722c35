#!/usr/bin/env python3
"""The proof that baton does what it is for: three application servers, one session.

    demo.py [--redis] [--exit] [--baton FILE]

Starts three servers and baton, shows the page, and judges fourteen claims by what a client is answered, one line each:
"ok CLAIM" or "FAILED CLAIM expected ... found ...". Then it keeps running for a browser until Ctrl-C; with --exit it
ends, with status 0 only if all of them are ok. With --redis it is another story, that of demo_redis.py.
"""

import argparse
import http.client
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[2]
APPS = ("App01", "App02", "App03")
CLAIMS = ("page", "rotation", "same id", "same creation time", "counter", "HEAD direct", "HEAD through baton",
          "a server killed", "conflict", "parallel clicks", "login", "more than a field holds", "logout",
          "old id dead")
CONFIG = """\
[[listener]]
address = "127.0.0.1:{port}"

[[upstream]]
name = "apps"
servers = [{servers}]
# A server gets a request before its body: so two can meet, for the claim "conflict".
request_buffer = "0B"

[[route]]
hosts = ["*"]
upstream = "apps"

[session]
create = "always"

[session.api]
address = "127.0.0.1:0"
token_file = "{token_file}"

[log]
access = "off"
"""


class Answer:
    """One answer, as a client without any help from baton sees it."""

    def __init__(self, port, method="GET", path="/", cookie=None, form=None, host=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        fields = {"Cookie": f"JSESSIONID={cookie}"} if cookie else {}
        if host is not None:
            fields["Host"] = host
        try:
            connection.request(method, path, urlencode(form) if form is not None else None, headers=fields)
            response = connection.getresponse()
            self.status = response.status
            self.fields = response.getheaders()
            self.head = f"HTTP/1.1 {response.status} {response.reason}\n" + "".join(
                f"{name}: {value}\n" for name, value in self.fields)
            self.page = response.read().decode()
        finally:
            connection.close()

    def field(self, name):
        return next((v for k, v in self.fields if k.lower() == name.lower()), None)

    def cookies(self):
        return [v for k, v in self.fields if k.lower() == "set-cookie"]

    def new_id(self):
        """The session id that this answer's cookie sets."""
        ids = [re.fullmatch(r"JSESSIONID=([0-9A-F]{32})(;.*)?", c) for c in self.cookies()]
        return ids[0][1] if len(ids) == 1 and ids[0] else None

    def title(self):
        found = re.search(r"<title>(.*?)</title>", self.page)
        return found and found[1]

    def heading(self):
        found = re.search(r'<h1><font color="red">(.*?)</font></h1>', self.page)
        return found and found[1]

    def row(self, name):
        found = re.search(rf"<td>{re.escape(name)}</td><td>(.*?)</td>", self.page)
        return found and found[1]


class Demo:
    """The processes of the demonstration. All of them are ended by `stop`, by their process ids."""

    def __init__(self, baton):
        self.baton_file = baton
        self.folder = tempfile.TemporaryDirectory(prefix="baton-demo-")
        self.token = secrets.token_hex(16)
        self.api_file = Path(self.folder.name, "api")  # what the servers read when they need it
        self.apps = {}
        self.app_ports = {}
        self.baton = None
        self.batons = []
        self.port = 0

    def start(self):
        self.start_apps()
        self.start_baton()

    def start_apps(self):
        for name in APPS:
            app = subprocess.Popen([sys.executable, ROOT / "tests/apps/demo_app.py", name, "0"],
                                   stdout=subprocess.PIPE, text=True, start_new_session=True,
                                   env={**os.environ, "BATON_API": str(self.api_file)})
            self.apps[name] = app
            ready, _, _ = select.select([app.stdout], [], [], 10)
            line = app.stdout.readline() if ready else ""
            port = re.search(r":(\d+)/$", line.strip())
            if not port:
                raise RuntimeError(f"{name} did not start")
            self.app_ports[name] = int(port[1])

    def start_baton(self):
        token_file = self.secret("tokens", f"apps {self.token}\n")
        config = CONFIG.format(port=8080 if is_free(8080) else 0, servers=self.servers(), token_file=token_file)
        self.baton, text = self.run_baton("baton", config)
        self.port = int(re.search(r"event=listening address=\S+:(\d+)\n", text)[1])
        api = re.search(r"event=listening address=(\S+) serves=session-api", text)[1]
        self.secret("api", f"{api} {self.token}\n")

    def servers(self):
        """The items of `servers` in an [[upstream]]."""
        return ", ".join(f'{{ address = "127.0.0.1:{port}" }}' for port in self.app_ports.values())

    def run_baton(self, name, config):
        """A baton that is ready, and what it has logged by then. Its files have that name."""
        file, log = Path(self.folder.name, f"{name}.toml"), Path(self.folder.name, f"{name}.log")
        file.write_text(config)
        with log.open("wb") as stderr:
            baton = subprocess.Popen([self.baton_file, "-c", file], stderr=stderr)
        self.batons.append(baton)
        end = time.monotonic() + 10
        while time.monotonic() < end and baton.poll() is None:
            text = log.read_text()
            if " event=ready " in text:
                return baton, text
            time.sleep(0.02)
        raise RuntimeError(f"baton did not start:\n{log.read_text()}")

    def secret(self, name, text):
        """A file that nobody else may read, in a folder where nobody else may look."""
        path = Path(self.folder.name, name)
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def kill(self, name):
        self.apps[name].kill()
        self.apps[name].wait()

    def stop(self):
        processes = [*self.batons, *self.apps.values()]
        for process in processes:
            if process.poll() is None:
                process.terminate()
        for process in processes:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        self.folder.cleanup()


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Proof:
    """The claims. Each compares what is expected with what a client found."""

    def __init__(self, demo):
        self.demo = demo
        self.failed = 0
        self.pages = []
        self.id = None

    def ask(self, method="GET", path="/", cookie=None, form=None):
        return Answer(self.demo.port, method, path, cookie or self.id, form)

    def run(self):
        checks = (self.page, self.rotation, self.same_id, self.same_creation_time, self.counter, self.head_direct,
                  self.head_through_baton, self.a_server_killed, self.conflict, self.parallel_clicks, self.login,
                  self.more_than_a_field_holds, self.logout, self.old_id_dead)
        for claim, check in zip(CLAIMS, checks):
            try:
                expected, found = check()
            except Exception as fault:  # an answer that is missing or unreadable is a finding as well
                expected, found = "an answer", f"{type(fault).__name__}: {fault}"
            if expected == found:
                print(f"ok {claim}", flush=True)
            else:
                self.failed += 1
                print(f"FAILED {claim} expected {expected} found {found}", flush=True)

    def page(self):
        for _ in range(6):
            answer = self.ask()
            self.pages.append(answer)
            self.id = self.id or answer.new_id()
        first, second = self.pages[:2]
        created = first.row("Created on") or ""
        print(f"http://127.0.0.1:{self.demo.port}/\n{first.page}")
        return ((200, f"{first.title()}.magedu.com", True, True, True, "magedu.com"),
                (first.status, first.heading(), first.title() in APPS, first.new_id() is not None,
                 re.fullmatch(r"\d{13}", created) is not None, second.row("magedu.com")))

    def rotation(self):
        titles = [p.title() for p in self.pages]
        start = APPS.index(titles[0]) if titles[0] in APPS else 0
        return [APPS[(start + i) % 3] for i in range(6)], titles

    def same_id(self):
        # One cookie for all, given with the first answer.
        cookies = sum(len(p.cookies()) for p in self.pages)
        return ([self.id] * 6, 1), ([p.row("Session ID") for p in self.pages], cookies)

    def same_creation_time(self):
        times = [p.row("Created on") for p in self.pages]
        age = time.time() * 1000 - int(times[0])
        return ([times[0]] * 6, "now"), (times, "now" if -1000 < age < 60_000 else f"{age:.0f} ms ago")

    def counter(self):
        return [str(i) for i in range(1, 7)], [p.row("visits") for p in self.pages]

    def head_direct(self):
        heads = [Answer(port, "HEAD") for port in self.demo.app_ports.values()]
        pages = [Answer(port) for port in self.demo.app_ports.values()]
        for port, head in zip(self.demo.app_ports.values(), heads):
            print(f"HEAD http://127.0.0.1:{port}/ (direct)\n{head.head}")
        return ([(200, name, [], "none: no baton in front") for name in APPS],
                [(h.status, h.field("Server"), h.cookies(), p.row("Session ID")) for h, p in zip(heads, pages)])

    def head_through_baton(self):
        # A client without a cookie gets a session of its own; it is the same at the other servers.
        first = Answer(self.demo.port, "HEAD")
        session = first.new_id()
        heads = [first] + [self.ask("HEAD", cookie=session) for _ in range(2)]
        for head in heads:
            print(f"HEAD http://127.0.0.1:{self.demo.port}/ (through baton)\n{head.head}")
        page = self.ask(cookie=session)
        return ([200] * 3, set(APPS), True, 1, session, "4", ""), (
            [h.status for h in heads], {h.field("Server") for h in heads}, session not in (None, self.id),
            sum(len(h.cookies()) for h in heads), page.row("Session ID"), page.row("visits"),
            "".join(h.page for h in heads))

    def a_server_killed(self):
        last = int(self.ask().row("visits"))
        self.demo.kill("App02")
        answers = [self.ask() for _ in range(6)]
        return ([(200, self.id, str(last + i)) for i in range(1, 7)], ["App01", "App03"]), (
            [(a.status, a.row("Session ID"), a.row("visits")) for a in answers], sorted({a.title() for a in answers}))

    def conflict(self):
        # A server has read the session for the first request when the second one changes it.
        with socket.create_connection(("127.0.0.1", self.demo.port), timeout=10) as slow:
            slow.sendall(f"POST /cart HTTP/1.1\r\nHost: demo\r\nCookie: JSESSIONID={self.id}\r\nConnection: close\r\n"
                         "Content-Length: 7\r\nExpect: 100-continue\r\n\r\n".encode())
            stream = slow.makefile("rb")
            begun = [stream.readline().decode().strip(), stream.readline().decode().strip()]
            fast = self.ask("POST", "/cart", form={"add": "milk"})
            slow.sendall(b"add=tea")
            refused = stream.read().decode().splitlines()[0]
        again = self.ask("POST", "/cart", form={"add": "tea"})
        return (["HTTP/1.1 100 Continue", ""], (200, "milk"), "HTTP/1.1 409 Conflict", (200, "milk,tea")), (
            begun, (fast.status, fast.row("cart")), refused, (again.status, again.row("cart")))

    def parallel_clicks(self):
        statuses = []

        def click():
            for _ in range(25):
                statuses.append(self.ask("POST", "/click", form={}).status)

        threads = [threading.Thread(target=click) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return ([200] * 100, "100"), (statuses, self.ask().row("clicks"))

    def login(self):
        old = self.id
        answer = self.ask("POST", "/login", form={"user": "bob"})
        fresh = answer.new_id()
        page = self.ask(cookie=fresh)
        # Who has the old id has nothing.
        left = self.ask(cookie=old)
        self.id = fresh
        return ((200, "another id"), (fresh, "bob", "milk,tea", "100"), ("another id", "nothing", "nothing", "1")), (
            (answer.status, "another id" if fresh not in (None, old) else f"cookies {answer.cookies()}"),
            (page.row("Session ID"), page.row("user"), page.row("cart"), page.row("clicks")),
            ("another id" if left.row("Session ID") not in (old, fresh) else "the session's",
             left.row("user"), left.row("cart"), left.row("visits")))

    def more_than_a_field_holds(self):
        # Beyond headers.limit, 4 KiB, a server fetches the session from baton's session API.
        kept = self.ask("POST", "/notes", form={"text": "x" * 5000})
        pages = [self.ask() for _ in range(2)]
        return ((200, "5000 characters"), [(200, "5000 characters", "bob", "milk,tea")] * 2, ["App01", "App03"]), (
            (kept.status, kept.row("notes")),
            [(p.status, p.row("notes"), p.row("user"), p.row("cart")) for p in pages], sorted(p.title() for p in pages))

    def logout(self):
        answer = self.ask(path="/logout")
        cookies = answer.cookies()
        cleared = len(cookies) == 1 and cookies[0].startswith("JSESSIONID=;") and "; Max-Age=0" in cookies[0]
        return (200, "logged out", "cookie cleared"), (
            answer.status, answer.row("State"), "cookie cleared" if cleared else f"cookies {cookies}")

    def old_id_dead(self):
        # The old id is no session any more: the page begins anew with another one.
        answer = self.ask()
        return (200, "another id", "1"), (
            answer.status, "the old id" if answer.row("Session ID") in (None, self.id) else "another id",
            answer.row("visits"))


def wait_for(process):
    try:
        process.wait()
    except KeyboardInterrupt:
        print()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--redis", action="store_true", help="sessions in Redis, and the death of its master")
    options.add_argument("--exit", action="store_true", help="end after the proof")
    options.add_argument("--baton", default=ROOT / "build/baton", help="the program to show")
    arguments = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the processes are ended then as well

    if arguments.redis:
        import demo_redis  # it needs what stands in this file
        return demo_redis.run(arguments.baton, arguments.exit)
    demo = Demo(arguments.baton)
    try:
        demo.start()
        proof = Proof(demo)
        proof.run()
        if not arguments.exit:
            print(f"\nbaton listens on http://127.0.0.1:{demo.port}/ until Ctrl-C", flush=True)
            wait_for(demo.baton)
        return 1 if proof.failed else 0
    except (OSError, RuntimeError) as fault:
        print(f"FAILED {fault}")
        return 1
    finally:
        demo.stop()


if __name__ == "__main__":
    sys.exit(main())
