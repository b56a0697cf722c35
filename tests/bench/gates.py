"""What one small request costs, and what a connection for it, counted: system calls by strace, instructions by
callgrind. No noise touches it."""

import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from proxies import BATON, LOAD_CPU, PROXY_CPU, answers, children, fill, free_port, start, traffic

# Of a small request, accept4 of a connection: at least (else nothing was counted) and at most. callgrind counts
# instructions of baton and its libraries: 5 % over the 10,680 of 2026-11-23.
GATES = {"reads": (1.9, 2.05), "writes": (1.9, 2.05), "epoll_ctl": (0, 0.05), "setsockopt": (0, 0.05),
         "instructions": (1000, 11200), "accept4": (0.9, 1.05)}


class Gate:
    """baton and a server, for counting what one request costs."""

    def __init__(self, before=()):
        self.folder = tempfile.mkdtemp(prefix="baton-gates-")
        self.server = traffic("serve", LOAD_CPU)
        self.port = free_port()
        port = int(self.server.stdout.readline())
        path = fill("baton.toml", Path(self.folder) / "baton.toml", PORT=self.port, SERVER=port, SESSION="off",
                    CREATE="on-demand", LOG="off")
        self.process = start([*before, BATON, "-c", path], PROXY_CPU, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        try:
            answers(self.port, 60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()
        self.server.stdin.close()
        self.server.wait()
        shutil.rmtree(self.folder)

    def ask(self, work, requests):
        clients = traffic("ask", LOAD_CPU, port=self.port, work=work, connections=1 if work == "close" else 8,
                          requests=requests, milliseconds=120_000)
        report = json.loads(clients.stdout.readline())
        clients.stdin.close()
        if clients.wait() != 0:
            raise SystemExit("bench: wrong answers")
        return report["requests"]

    def stop(self):
        """What it wrote to stderr."""
        subprocess.run(["kill", "-TERM", str(children(self.process.pid)[-1])], check=False)
        try:
            text = self.process.communicate(timeout=60)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        if self.process.returncode != 0:
            raise SystemExit(f"bench: baton ended with {self.process.returncode}\n{text}")
        return text


def trace(work, requests):
    """System calls of a request, by name; nothing if they cannot be traced here."""
    with Gate() as gate, tempfile.NamedTemporaryFile("r", prefix="baton-strace-") as out:
        gate.ask(work, 500)  # what is made once is there
        tracer = subprocess.Popen(["strace", "-f", "-c", "-q", "-o", out.name, "-p", str(gate.process.pid)],
                                  stderr=subprocess.DEVNULL)
        status = Path(f"/proc/{gate.process.pid}/status")
        while f"TracerPid:\t{tracer.pid}" not in status.read_text():
            if tracer.poll() is not None:
                return None  # not allowed here
            time.sleep(0.02)
        try:
            requests = gate.ask(work, requests)
        finally:
            tracer.send_signal(2)
            tracer.wait()
        counts = {}
        for line in out.read().splitlines():
            words = line.split()
            if len(words) >= 5 and words[0][0].isdigit() and words[-1] != "total":
                counts[words[-1]] = int(words[3])
    return {name: count / requests for name, count in counts.items()}


def count_calls():
    """By the names of GATES; nothing if they cannot be traced here."""
    per, connection = trace("small", 20000), trace("close", 5000)
    if per is None or connection is None:
        return {}
    return {"reads": sum(per.get(name, 0) for name in ("read", "readv", "recvfrom", "recvmsg")),
            "writes": sum(per.get(name, 0) for name in ("write", "writev", "sendto", "sendmsg")),
            "epoll_ctl": per.get("epoll_ctl", 0), "setsockopt": per.get("setsockopt", 0),
            "accept4": connection.get("accept4", 0)}


def count_instructions():
    """Instructions of a small request: the difference of two runs."""

    def run(requests):
        with tempfile.NamedTemporaryFile(prefix="baton-callgrind-") as out, \
                Gate(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}"]) as gate:
            asked = gate.ask("small", requests)
            text = gate.stop()
        found = re.search(r"Collected : (\d+)", text)
        if not found:
            raise SystemExit(f"bench: callgrind has counted nothing\n{text}")
        return asked, int(found.group(1))

    (few, begun), (many, ended) = run(1000), run(5000)
    return (ended - begun) / (many - few)


def count():
    """Prints what was counted; gives how much of it is too much."""
    measured = {}
    if shutil.which("strace"):
        measured.update(count_calls())
    if shutil.which("valgrind"):
        measured["instructions"] = count_instructions()
    passed = failed = skipped = 0
    for name, (least, most) in GATES.items():
        if name not in measured:
            print(f"skip {name}: cannot be counted here")
            skipped += 1
            continue
        good = least <= measured[name] <= most
        passed, failed = passed + good, failed + (not good)
        unit = "connection" if name == "accept4" else "small request"
        print(f"{'ok  ' if good else 'FAIL'} {name} per {unit}: {measured[name]:,.2f}, at most {most:,}")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return failed
