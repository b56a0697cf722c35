"""The processes of the benchmarks: proxies in front of one server, each on its CPU."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
TRAFFIC = BUILD / "tests/bench/traffic"
BATON = BUILD / "proxy/baton"
CONF = Path(__file__).parent / "conf"
TOOLS = BUILD / "tools"
CPUS = sorted(os.sched_getaffinity(0))
PROXY_CPU, LOAD_CPU = CPUS[0], CPUS[-1]  # to count, one is enough


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(port, patience=10):
    until = time.monotonic() + patience
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise SystemExit(f"bench: nothing listens on port {port}")


def start(words, cpu, **keys):
    return subprocess.Popen([str(word) for word in words], preexec_fn=lambda: os.sched_setaffinity(0, {cpu}), **keys)


def traffic(verb, cpu, **options):
    words = [TRAFFIC, verb] + [f"{key}={value}" for key, value in options.items() if value != ""]
    return start(words, cpu, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def children(pid):
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += children(int(child))
    return found


def fill(template, path, **words):
    """Writes one of the configuration files in conf/, its upper-case words filled in."""
    text = (CONF / template).read_text()
    for word, value in words.items():
        text = re.sub(rf"\b{word}\b", str(value), text)
    path.write_text(text)
    return path


def nginx_program():
    return shutil.which("nginx") or TOOLS / "nginx/usr/sbin/nginx"


def haproxy_program():
    """Its path and environment: where it is unpacked it finds its libraries beside it."""
    libraries = ":".join(str(TOOLS / package / "usr/lib/x86_64-linux-gnu")
                         for package in ("liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"))
    program = shutil.which("haproxy") or TOOLS / "haproxy/usr/sbin/haproxy"
    return program, {**os.environ, "LD_LIBRARY_PATH": libraries}


class Peer:
    """A proxy that runs, in front of the server at `server`. `before` is an earlier baton."""

    def __init__(self, name, server, congestion, folder, before=None):
        self.name = name
        self.program = before if name.endswith("-before") else BATON
        self.folder = Path(tempfile.mkdtemp(prefix=name + "-", dir=folder))
        self.extra = []  # processes besides
        kind = name.partition("-")[0]
        if kind == "relay":
            self.process = traffic("relay", PROXY_CPU, to=server, congestion=congestion)
            self.port = int(self.process.stdout.readline())
        else:
            self.port = free_port()
            self.process = getattr(self, kind)(server)
        answers(self.port)

    def filled(self, template, server, **words):
        return fill(template, self.folder / template, PORT=self.port, SERVER=server, FOLDER=self.folder, **words)

    def baton(self, server):
        variant = self.name.partition("-")[2]
        managed = variant in ("session", "session2", "session-before", "redis")
        path = self.filled("baton.toml", server, SESSION="managed" if managed else "off",
                           CREATE="always" if managed else "on-demand",
                           LOG=self.folder / "access.log" if variant.startswith("log") else "off")
        if variant == "redis":
            redis = free_port()
            program = shutil.which("redis-server") or shutil.which("redis-check-rdb")
            self.extra.append(start(["redis-server", "--port", redis, "--save", "", "--dir", self.folder], LOAD_CPU,
                                    executable=program, stdout=subprocess.DEVNULL))
            answers(redis)
            path.write_text(path.read_text() + f'[session]\nstore = "redis"\n[redis]\naddress = "127.0.0.1:{redis}"\n')
        return start([self.program, "-c", path], PROXY_CPU, stdout=subprocess.DEVNULL)

    def nginx(self, server):
        return start([nginx_program(), "-p", self.folder, "-c", self.filled("nginx.conf", server)], PROXY_CPU)

    def haproxy(self, server):
        program, environment = haproxy_program()
        return start([program, "-f", self.filled("haproxy.cfg", server), "-q"], PROXY_CPU, env=environment)

    def cpu(self):
        """Seconds on a CPU so far, of all its threads."""
        total = 0
        for pid in children(self.process.pid):
            for task in Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def memory(self):
        """Resident bytes that are no program's or library's."""
        total = 0
        for pid in children(self.process.pid):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Anonymous:"):
                    total += int(line.split()[1]) * 1024
        return total

    def stop(self):
        for process in [self.process, *self.extra]:
            process.terminate()
        for process in [self.process, *self.extra]:
            process.wait()
