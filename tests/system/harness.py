"""What the system tests are made of: a running baton, and a test case that ends whatever a test starts.

Every wait is for a condition, and every wait has an end: `PATIENCE` seconds, after which the test fails.
"""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from peers import PATIENCE, App, Client

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BATON_BUILD", ROOT / "build"))
BATON = Path(os.environ.get("BATON") or BUILD / "baton")
LOAD = BUILD / "tests/apps/load"
LOAD_PATIENCE = 120  # seconds for one run of it


# ---------------------------------------------------------------- configuration


def toml_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml_value(v)}" for key, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    return json.dumps(value)  # numbers and strings are written as in JSON


def toml_table(header, keys):
    return "".join([f"{header}\n"] + [f"{key} = {toml_value(value)}\n" for key, value in keys.items()])


def upstream_of(servers, **keys):
    """An [[upstream]] table. Servers: apps, addresses, or tables."""

    def server(one):
        return one if isinstance(one, dict) else {"address": getattr(one, "address", one)}

    return {"name": "app", "servers": [server(one) for one in servers], **keys}


def config(servers=(), *, upstream=None, upstreams=None, routes=None, route=None, listener=None, top=None, **tables):
    """A configuration file: one listener on a free port, one upstream, one route, unless told otherwise."""
    top = {"workers": 1, "grace": "2s", **(top or {})}
    text = toml_table("", top)
    text += toml_table("[[listener]]", {"address": "127.0.0.1:0", **(listener or {})})
    for keys in upstreams or [upstream_of(servers, **(upstream or {}))]:
        text += toml_table("[[upstream]]", keys)
    for keys in routes or [{"upstream": "app", **(route or {})}]:
        text += toml_table("[[route]]", keys)
    for name, keys in tables.items():
        text += toml_table(f"[{name}]", keys)
    return text


# ---------------------------------------------------------------- baton


class Lines:
    """The lines of a pipe as they come, read by a thread of its own."""

    def __init__(self, pipe):
        self._pipe = pipe
        self._lines = []
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._pipe:
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
        self._pipe.close()

    def all(self):
        with self._news:
            return list(self._lines)

    def wait(self, wanted, what, patience=PATIENCE):
        """The lines, once `wanted(lines)` is true."""
        with self._news:
            if not self._news.wait_for(lambda: wanted(self._lines), patience):
                text = b"".join(self._lines).decode(errors="replace")
                raise AssertionError(f"{what} did not come; there is\n{text}")
            return list(self._lines)

    def end(self):
        self._thread.join(PATIENCE)
        return self.all()


class Baton:
    """A baton of its own, in a folder of its own. `stop` ends it and insists on a clean end."""

    def __init__(self, text=None, *, arguments=None, descriptors=None, before=()):
        """`before`: the words of a command that becomes baton in the end."""
        self.folder = Path(tempfile.mkdtemp(prefix="baton-test-"))
        if text is not None:
            (self.folder / "baton.toml").write_text(text, encoding="utf-8")
            arguments = ["-c", "baton.toml"]

        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.process = subprocess.Popen([*before, BATON, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        preexec_fn=limit if descriptors else None)
        self._out = Lines(self.process.stdout)
        self._err = Lines(self.process.stderr)
        self.pid = self.process.pid
        try:
            self._err.wait(lambda lines: any(b" event=ready" in line for line in lines), "event=ready")
        except AssertionError:
            self.kill()
            raise
        listening = [event for event in self.events() if event["event"] == "listening"]
        ports = [(int(event["address"].rpartition(":")[2]), event.get("serves")) for event in listening]
        self.ports = [port for port, serves in ports if serves is None]
        self.port = self.ports[0]
        self.admin_port = next((port for port, serves in ports if serves == "admin"), None)

    # -- its logs

    def event_text(self):
        return b"".join(self._err.all()).decode(errors="replace")

    def events(self):
        return [parse_event(line) for line in self._err.all()]

    def wait_event(self, text):
        """The first line of the event log with this text in it."""
        raw = text.encode()
        lines = self._err.wait(lambda ls: any(raw in line for line in ls), f"an event with {text!r}")
        return next(line for line in lines if raw in line).decode()

    def access_lines(self):
        return self._out.all()

    def wait_access(self, count=1, wanted=lambda line: True):
        """At least `count` lines of the access log on stdout, parsed, of those that are wanted."""
        def found(lines):
            return [line for line in map(json.loads, lines) if wanted(line)]

        return found(self._out.wait(lambda lines: len(found(lines)) >= count, f"{count} access lines"))

    # -- its process

    def memory(self):
        """Resident bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("baton is gone")

    def own_memory(self):
        """Resident bytes without what is read from files, which are programs and libraries; exact, and slower."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("baton is gone")

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self):
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired as hang:
            text = self.event_text()
            self.kill()
            raise AssertionError(f"baton does not end\n{text}") from hang
        self._out.end()
        self._err.end()
        return status

    def stop(self):
        """The clean-up of each test: a baton that crashed, or that cannot end, fails it."""
        try:
            if self.process.returncode is None:
                if self.process.poll() is None:
                    self.signal(signal.SIGTERM)
                status = self.wait_exit()
                if status != 0:
                    raise AssertionError(f"baton ended with {status}\n{self.event_text()}")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._out.end()
        self._err.end()
        shutil.rmtree(self.folder, ignore_errors=True)


def parse_event(line):
    """The fields of a line of the event log: key=value, values with blanks in quotes."""
    event, text = {}, line.decode(errors="replace").strip()
    while "=" in text:
        key, _, text = text.partition("=")
        if text.startswith('"'):
            end = 1
            while end < len(text) and text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            value, text = text[1:end], text[end + 1:]
        else:
            value, _, text = text.partition(" ")
        event[key.strip()] = value
    return event


class Load:
    """The load program, which is a server or many clients: tests/apps/load.cc says what the verbs do."""

    def __init__(self, verb, **options):
        words = [f"{key}={value}" for key, value in options.items()]
        self.process = subprocess.Popen([LOAD, verb, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._out = Lines(self.process.stdout)
        self.pid = self.process.pid

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def wait_lines(self, count):
        lines = self._out.wait(lambda ls: len(ls) >= count, f"{count} lines of the load program", LOAD_PATIENCE)
        return [line.decode().strip() for line in lines]

    def addresses(self, count=1):
        """Where `load serve` listens."""
        return [f"127.0.0.1:{port}" for port in self.wait_lines(count)]

    def wait(self):
        """All that it has printed, once it has done what it was asked for."""
        if self.process.wait(LOAD_PATIENCE) != 0:
            raise AssertionError(f"load ended with {self.process.returncode}")
        return [line.decode().strip() for line in self._out.end()]

    def finish(self):
        """Tells it to come to its end."""
        self.process.stdin.close()
        return self.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._out.end()
        self.process.stdin.close()


def run_baton(*arguments, cwd=None):
    """A baton that is expected to end by itself: (status, stdout, stderr)."""
    done = subprocess.run([BATON, *arguments], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr


def refused_address():
    """An address at which nothing listens, until a server of ours does. The port is nobody else's as long as the socket
    that is returned lives."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    return f"127.0.0.1:{sock.getsockname()[1]}", sock


def eventually(condition, what):
    """For what nothing tells of: looks again and again."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come")
        time.sleep(0.005)


class SystemTest(unittest.TestCase):
    """Ends whatever a test starts, the last first."""

    def file(self, name, text):
        """The path of a new file, in a folder of its own."""
        folder = tempfile.TemporaryDirectory(prefix="baton-test-")
        self.addCleanup(folder.cleanup)
        path = Path(folder.name, name)
        path.write_text(text, encoding="utf-8")
        return path

    def app(self, handler=None, **keys):
        app = App(handler, **keys)
        self.addCleanup(app.stop)
        return app

    def apps(self, *names, handler=None):
        return [self.app(handler, name=name) for name in names]

    def baton(self, servers=(), **keys):
        return self.started(Baton(config(servers, **keys)))

    def started(self, baton):
        self.addCleanup(baton.stop)
        return baton

    def load(self, verb, **options):
        load = Load(verb, **options)
        self.addCleanup(load.kill)
        return load

    def client(self, baton, **keys):
        client = Client(baton if isinstance(baton, int) else baton.port, **keys)
        self.addCleanup(client.close)
        return client

    def ask(self, baton, method="GET", target="/", **keys):
        """One request on a connection of its own."""
        client = self.client(baton)
        try:
            return client.ask(method, target, **keys)
        finally:
            client.close()

    def refused(self):
        address, held = refused_address()
        self.addCleanup(held.close)
        return address

    def full(self):
        """An address where connecting takes for ever: the queue of connections that nobody accepts is full."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        self.addCleanup(listener.close)
        while True:
            filler = socket.socket()
            self.addCleanup(filler.close)
            filler.settimeout(0.2)
            try:
                filler.connect(listener.getsockname())
            except socket.timeout:
                return f"127.0.0.1:{listener.getsockname()[1]}"

    def fault(self, baton, count=1):
        """What stands in the access log's last line of so many."""
        return baton.wait_access(count)[count - 1].get("fault")

    def until_stuck(self, client, data):
        """Sends until nothing is taken any more; 100 MB are never taken."""
        client.sock.settimeout(0.3)
        with self.assertRaises(socket.timeout):
            for _ in range((100 << 20) // len(data)):
                client.send(data)
        client.sock.settimeout(10)
