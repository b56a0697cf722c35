"""What one small request costs, counted: system calls by strace, instructions by callgrind. No noise touches it."""

import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from proxies import BATON, LOAD_CPU, PROXY_CPU, answers, children, fill, free_port, start, traffic

# Of a small request; callgrind counts instructions of baton and its libraries: 5 % over the 10,680 of 2026-11-23.
GATES = {"reads": 2.05, "writes": 2.05, "epoll_ctl": 0.05, "setsockopt": 0.05, "instructions": 11200}


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
        answers(self.port, 60)

    def ask(self, requests):
        clients = traffic("ask", LOAD_CPU, port=self.port, work="small", connections=8, requests=requests, seconds=120)
        report = json.loads(clients.stdout.readline())
        clients.stdin.close()
        if clients.wait() != 0:
            raise SystemExit("bench: wrong answers")
        return report["requests"]

    def stop(self):
        """What it wrote to stderr."""
        subprocess.run(["kill", "-TERM", str(children(self.process.pid)[-1])], check=False)
        text = self.process.communicate(timeout=60)[1]
        self.server.stdin.close()
        self.server.wait()
        shutil.rmtree(self.folder)
        return text


def count_calls():
    """System calls of a small request, by name."""
    gate = Gate()
    try:
        gate.ask(500)  # connections are there
        with tempfile.NamedTemporaryFile("r", prefix="baton-strace-") as out:
            tracer = subprocess.Popen(["strace", "-f", "-c", "-q", "-o", out.name, "-p", str(gate.process.pid)],
                                      stderr=subprocess.DEVNULL)
            status = Path(f"/proc/{gate.process.pid}/status")
            while f"TracerPid:\t{tracer.pid}" not in status.read_text():
                if tracer.poll() is not None:
                    return None  # not allowed here
                time.sleep(0.02)
            requests = gate.ask(20000)
            tracer.send_signal(2)
            tracer.wait()
            counts = {}
            for line in out.read().splitlines():
                words = line.split()
                if len(words) >= 5 and words[0][0].isdigit() and words[-1] != "total":
                    counts[words[-1]] = int(words[3])
        per = {name: count / requests for name, count in counts.items()}
        return {"reads": sum(per.get(name, 0) for name in ("read", "readv", "recvfrom", "recvmsg")),
                "writes": sum(per.get(name, 0) for name in ("write", "writev", "sendto", "sendmsg")),
                "epoll_ctl": per.get("epoll_ctl", 0), "setsockopt": per.get("setsockopt", 0)}
    finally:
        gate.stop()


def count_instructions():
    """Instructions of a small request: the difference of two runs."""

    def run(requests):
        with tempfile.NamedTemporaryFile(prefix="baton-callgrind-") as out:
            gate = Gate(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}"])
            asked = gate.ask(requests)
            text = gate.stop()
        found = re.search(r"Collected : (\d+)", text)
        return asked, int(found.group(1)) if found else 0

    (few, begun), (many, ended) = run(1000), run(5000)
    return (ended - begun) / (many - few)


def count():
    """Prints what was counted; gives how much of it is too much."""
    measured = {}
    if shutil.which("strace"):
        measured.update(count_calls() or {})
    if shutil.which("valgrind"):
        measured["instructions"] = count_instructions()
    passed = failed = skipped = 0
    for name, most in GATES.items():
        if name not in measured:
            print(f"skip {name}: cannot be counted here")
            skipped += 1
            continue
        good = measured[name] <= most
        passed, failed = passed + good, failed + (not good)
        print(f"{'ok  ' if good else 'FAIL'} {name} per small request: {measured[name]:,.2f}, at most {most:,}")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return failed
