"""What a request costs, and what a connection for it, counted: system calls by strace, instructions by callgrind. No
noise touches it."""

import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from proxies import BATON, LOAD_CPU, PROXY_CPU, answers, children, fill, free_port, start, traffic

# What a request of each work may cost in instructions of baton and its libraries.
INSTRUCTIONS = {"small": (1000, 11090), "heads": (1000, 20670), "session": (1000, 19060)}
# Of a small request, accept4 of a connection: at least (else nothing was counted) and at most.
GATES = {"reads": (1.9, 2.05), "writes": (1.9, 2.05), "epoll_ctl": (0, 0.05), "setsockopt": (0, 0.05),
         "accept4": (0.9, 1.05), **{f"instructions of {work}": bounds for work, bounds in INSTRUCTIONS.items()}}
# How much more than an earlier program a request may cost.
GROWTH_MAX = 1.03


class Gate:
    """baton and a server, for counting what one request costs."""

    def __init__(self, before=(), program=BATON, session=False):
        self.folder = tempfile.mkdtemp(prefix="baton-gates-")
        self.server = traffic("serve", LOAD_CPU)
        self.port = free_port()
        port = int(self.server.stdout.readline())
        path = fill("baton.toml", Path(self.folder) / "baton.toml", PORT=self.port, SERVER=port, LOG="off",
                    SESSION="managed" if session else "off", CREATE="always" if session else "on-demand")
        self.process = start([*before, program, "-c", path], PROXY_CPU, stderr=subprocess.PIPE, text=True)

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


def count_instructions(work, program=BATON):
    """Instructions of a request: the difference of two runs."""

    def run(requests):
        with tempfile.NamedTemporaryFile(prefix="baton-callgrind-") as out, \
                Gate(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}"], program,
                     work == "session") as gate:
            asked = gate.ask(work, requests)
            text = gate.stop()
        found = re.search(r"Collected : (\d+)", text)
        if not found:
            raise SystemExit(f"bench: callgrind has counted nothing\n{text}")
        return asked, int(found.group(1))

    (few, begun), (many, ended) = run(1000), run(5000)
    return (ended - begun) / (many - few)


def compare(measured, program):
    """Prints what a request costs beside what it cost with an earlier program; returns how often it is too much."""
    failed = 0
    for work in INSTRUCTIONS:
        now, then = measured[f"instructions of {work}"], count_instructions(work, program)
        good = now <= then * GROWTH_MAX
        failed += not good
        print(f"{'ok  ' if good else 'FAIL'} instructions of {work}: {now:,.0f}, {now / then:.3f} of the {then:,.0f} "
              f"of {program}, at most {GROWTH_MAX}")
    return failed


def count(against=None):
    """Prints what was counted, beside the earlier program `against` if there is one; returns what is too much."""
    measured = {}
    if shutil.which("strace"):
        measured.update(count_calls())
    if shutil.which("valgrind"):
        measured.update({f"instructions of {work}": count_instructions(work) for work in INSTRUCTIONS})
    passed = failed = skipped = 0
    for name, (least, most) in GATES.items():
        if name not in measured:
            print(f"skip {name}: cannot be counted here")
            skipped += 1
            continue
        good = least <= measured[name] <= most
        passed, failed = passed + good, failed + (not good)
        print(f"{'ok  ' if good else 'FAIL'} {name}: {measured[name]:,.2f}, at most {most:,}")
    if against and shutil.which("valgrind"):
        failed += (beyond := compare(measured, against))
        passed += len(INSTRUCTIONS) - beyond
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return failed
