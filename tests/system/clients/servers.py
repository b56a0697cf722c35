"""Real servers behind baton, each a process of its own: nginx, Python's http.server, Node, a WebSocket echo."""

import hashlib
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import eventually
from peers import PATIENCE, sha

HERE = Path(__file__).resolve().parent
TOOLS = HERE.parents[2] / "build/tools"

SIZES = {"small": 100, "medium": 1 << 20, "large": 20 << 20}
ENDLESS = 4 << 30


def tool(name, package=None):
    """The path of a program, or None. What is not to be installed lies in the build folder."""
    unpacked = [TOOLS / (package or name) / folder / name for folder in ("usr/sbin", "usr/bin")]
    found = [str(path) for path in unpacked if os.access(path, os.X_OK)]
    return found[0] if found else shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")


class Files:
    """A folder of files of known content, which servers serve and clients upload."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="baton-files-"))
        self.sha = {}
        for name, size in SIZES.items():
            data = random.Random(name).randbytes(size)
            (self.folder / name).write_bytes(data)
            self.sha[name] = hashlib.sha256(data).hexdigest()
        with (self.folder / "endless").open("wb") as sparse:  # takes no room
            sparse.truncate(ENDLESS)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def file_sha(path):
    with open(path, "rb") as file:
        return sha(iter(lambda: file.read(1 << 20), b""))


# ---------------------------------------------------------------- servers


class Server:
    """A process that serves. It knows how many connections it has seen and how many are open."""

    def __init__(self, command, name, **keys):
        self.name = name
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
                                        bufsize=0, **keys)
        os.set_blocking(self.process.stdout.fileno(), False)
        self._said = b""

    def said(self):
        """All that it has printed so far."""
        while data := self.process.stdout.read(1 << 16):
            self._said += data
        return self._said

    def first_line(self):
        """With it the server is ready."""
        try:
            eventually(lambda: b"\n" in self.said(), "a line")
        except AssertionError as fault:
            raise self.failed() from fault
        return self._said.splitlines()[0]

    def failed(self):
        self.log.seek(0)
        text = self.log.read().decode(errors="replace")[-2000:]
        self.stop()
        return AssertionError(f"{self.name} does not start\n{text}")

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()


class Told(Server):
    """One that says so when a connection begins and when it ends."""

    def __init__(self, script, name, *arguments):
        super().__init__([sys.executable, HERE / script, *arguments], name)
        self.port = int(self.first_line())

    def connections(self):
        return self.said().count(b"+")

    def open(self):
        return self.connections() - self.said().count(b"-")


class Control:
    """A connection to a port where a server answers questions."""

    def __init__(self, port):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def ask(self, path):
        self._connection.request("GET", path)
        return self._connection.getresponse().read()

    def close(self):
        self._connection.close()


class Node(Server):
    """app.js."""

    def __init__(self, files, **settings):
        super().__init__([tool("node"), HERE / "app.js", files.folder, json.dumps(settings)], "node")
        self.port, control = json.loads(self.first_line())
        self._control = Control(control)

    def stats(self):
        return json.loads(self._control.ask("/stats"))

    def connections(self):
        return self.stats()["connections"]

    def open(self):
        return self.stats()["open"]

    def release(self):
        """Lets those go that wait for it."""
        self._control.ask("/release")

    def stop(self):
        self._control.close()
        super().stop()


NGINX = """
daemon off;
user root;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    access_log off;
    types {{ }}
    default_type application/octet-stream;
    client_max_body_size 0;
    {settings}
    server {{
        listen 127.0.0.1:{port};
        root {folder};
        location /stored/ {{ root .; dav_methods PUT; }}
        location /limited/ {{ root .; client_max_body_size 1m; dav_methods PUT; }}
        location /slow/ {{ alias {folder}/; limit_rate 4m; }}
        location = /empty {{ return 204; }}
    }}
    server {{
        listen 127.0.0.1:{control};
        keepalive_timeout 1h;
        keepalive_requests 1000000;
        location / {{ stub_status; }}
    }}
}}
"""


class Nginx(Server):
    """nginx in a folder of its own. It is handed its sockets, so that nobody can take its ports before."""

    def __init__(self, files, settings="keepalive_requests 1000000;"):
        self.folder = Path(tempfile.mkdtemp(prefix="baton-nginx-"))
        for name in ("temp", "stored", "limited"):
            (self.folder / name).mkdir()
        listeners = [socket.create_server(("127.0.0.1", 0), backlog=511) for _ in range(2)]
        self.port, control = (listener.getsockname()[1] for listener in listeners)
        (self.folder / "nginx.conf").write_text(NGINX.format(port=self.port, control=control, folder=files.folder,
                                                             settings=settings), encoding="utf-8")
        numbers = [listener.fileno() for listener in listeners]
        for listener in listeners:
            listener.setblocking(False)
        super().__init__([tool("nginx"), "-p", self.folder, "-c", "nginx.conf", "-e", "stderr"], "nginx",
                         pass_fds=numbers, env=dict(os.environ, NGINX=";".join(map(str, numbers)) + ";"))
        for listener in listeners:
            listener.close()
        self._control = Control(control)
        try:
            self._status()
        except OSError as fault:
            raise self.failed() from fault

    def _status(self):
        """(open, seen), without the connection that asks."""
        words = self._control.ask("/").split()
        return int(words[2]) - 1, int(words[7]) - 1

    def connections(self):
        return self._status()[1]

    def open(self):
        return self._status()[0]

    def stop(self):
        self._control.close()
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)


# How each is started, and the program it needs.
SERVERS = {
    "nginx": (Nginx, "nginx"),
    "node": (Node, "node"),
    "python": (lambda files: Told("http_server.py", "http.server", "HTTP/1.1", files.folder), "python3"),
    "python10": (lambda files: Told("http_server.py", "http.server", "HTTP/1.0", files.folder), "python3"),
}
