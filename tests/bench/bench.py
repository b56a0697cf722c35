#!/usr/bin/env python3
"""Measures baton beside nginx, HAProxy and a relay of bytes: ./dev bench [WORKLOAD...] [--peers NAME,...] [--rounds N]
[--seconds S] [--gates].

The figure is requests per CPU second of the proxy, as a ratio of two peers in one round: it survives a noisy machine.
The proxy runs on CPU 0, clients and servers on CPU 1; each round asks every peer, in another order each time. baton
runs twice, so that the noise shows. A wrong answer fails the run.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
TRAFFIC = BUILD / "tests/bench/traffic"
BATON = BUILD / "proxy/baton"
CONF = Path(__file__).parent / "conf"
TOOLS = BUILD / "tools"
PROXY_CPU, LOAD_CPU = 0, 1
IDLE = 5000

# name: (work, connections, options of the clients, congestion control)
WORKLOADS = {
    "small": ("small", 64, {}, ""),
    "heads": ("heads", 64, {}, ""),
    "large": ("large", 32, {}, "cubic"),
    "upload": ("upload", 16, {}, "cubic"),
    "close": ("close", 64, {}, ""),
    "chunked": ("chunked", 64, {}, ""),
    "tunnel-128": ("tunnel-128", 64, {}, ""),
    "tunnel-16k": ("tunnel-16k", 64, {}, ""),
    "log": ("small", 64, {}, ""),
    "session": ("session", 64, {}, ""),
    "session-write": ("write", 64, {}, ""),
    "session-redis": ("session", 64, {}, ""),
    "session-redis-4": ("session", 4, {}, ""),
    "rate-10000": ("small", 64, {"rate": 10000}, ""),
    "rate-40000": ("small", 128, {"rate": 40000}, ""),
    "idle": ("idle", IDLE, {}, ""),
}

# What of baton must be at least, of which other peer's requests per CPU second.
TARGETS = {
    "small": {"nginx": 1.25, "haproxy": 1.30, "relay": 0.88},
    "heads": {"nginx": 1.35, "haproxy": 1.35, "relay": 0.85},
    "large": {"nginx": 1.12, "haproxy": 1.30, "relay": 0.95},
    "upload": {"nginx": 1.12, "haproxy": 1.40},
    "close": {"nginx": 1.05, "haproxy": 1.12},
    "chunked": {"nginx": 2.6, "haproxy": 1.05},
    "tunnel-128": {"nginx": 0.97, "haproxy": 1.05},
    "tunnel-16k": {"nginx": 1.15, "haproxy": 1.50},
    "log": {"baton-nolog": 0.96},
    "session": {"nginx": 1.10, "haproxy": 1.15},
    "session-redis": {"nginx": 1.0, "baton-off": 0.80},
}

# Of a small request; callgrind counts instructions of baton and its libraries.
GATES = {"reads": 2.05, "writes": 2.05, "epoll_ctl": 0.05, "setsockopt": 0.05, "instructions": 12000}


# ---------------------------------------------------------------- processes


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


class Peer:
    """A proxy that runs, in front of the server at `server`."""

    def __init__(self, name, server, congestion, folder):
        self.name = name
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
        text = (CONF / template).read_text()
        words = {"PORT": self.port, "SERVER": server, "FOLDER": self.folder, **words}
        for word, value in words.items():
            text = re.sub(rf"\b{word}\b", str(value), text)
        path = self.folder / template
        path.write_text(text)
        return path

    def baton(self, server):
        variant = self.name.partition("-")[2]
        managed = variant in ("session", "session2", "redis")
        path = self.filled("baton.toml", server, SESSION="managed" if managed else "off",
                           CREATE="always" if managed else "on-demand",
                           LOG=self.folder / "access.log" if variant == "log" else "off")
        if variant == "redis":
            redis = free_port()
            program = shutil.which("redis-server") or shutil.which("redis-check-rdb")
            self.extra.append(start(["redis-server", "--port", redis, "--save", "", "--dir", self.folder], LOAD_CPU,
                                    executable=program, stdout=subprocess.DEVNULL))
            answers(redis)
            path.write_text(path.read_text() + f'[session]\nstore = "redis"\n[redis]\naddress = "127.0.0.1:{redis}"\n')
        return start([BATON, "-c", path], PROXY_CPU, stdout=subprocess.DEVNULL)

    def nginx(self, server):
        path = self.filled("nginx.conf", server)
        program = shutil.which("nginx") or TOOLS / "nginx/usr/sbin/nginx"
        return start([program, "-p", self.folder, "-c", path], PROXY_CPU)

    def haproxy(self, server):
        path = self.filled("haproxy.cfg", server)
        program = shutil.which("haproxy") or TOOLS / "haproxy/usr/sbin/haproxy"
        libraries = ":".join(str(TOOLS / package / "usr/lib/x86_64-linux-gnu")
                             for package in ("liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"))
        return start([program, "-f", path, "-q"], PROXY_CPU, env={**os.environ, "LD_LIBRARY_PATH": libraries})

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


# ---------------------------------------------------------------- measuring


def peers_of(workload):
    if workload == "log":
        return ["baton-nolog", "baton-log", "baton-log2"]
    if workload in ("session", "session-write"):
        return ["baton-session", "baton-session2", "nginx", "haproxy", "baton-off"]
    if workload.startswith("session-redis"):
        return ["baton-redis", "nginx", "haproxy", "baton-off"]
    if workload == "idle":
        return ["baton", "nginx", "haproxy"]
    return ["baton", "baton-again", "relay", "nginx", "haproxy"]


def ask(peer, work, connections, seconds, congestion, options):
    """One measurement of a peer."""
    clients = traffic("ask", LOAD_CPU, port=peer.port, work=work, connections=connections, seconds=seconds,
                      congestion=congestion, **options)
    if clients.stdout.readline() != "begin\n":
        raise SystemExit(f"bench: {peer.name} did not answer")
    cpu, began = peer.cpu(), time.monotonic()
    line = clients.stdout.readline()
    cpu, took = peer.cpu() - cpu, time.monotonic() - began
    clients.stdin.close()
    status = clients.wait()
    report = json.loads(line) if line else {}
    if status != 0 or report.get("errors"):
        raise SystemExit(f"bench: {peer.name}: wrong answers: {line.strip()}")
    return {**report, "cpu": cpu, "efficiency": report["requests"] / cpu, "use": cpu / took, "memory": peer.memory()}


def measure(workload, peers, rounds, seconds, congestion_default):
    work, connections, options, congestion = WORKLOADS[workload]
    folder = tempfile.mkdtemp(prefix="baton-bench-")
    server = traffic("serve", LOAD_CPU, congestion=congestion)
    running = []
    try:
        port = int(server.stdout.readline())
        for name in peers:
            running.append(Peer(name, port, congestion, folder))
        results = {name: [] for name in peers}
        for turn in range(rounds):
            order = running[turn % len(running):] + running[:turn % len(running)]
            for peer in order:
                results[peer.name].append(ask(peer, work, connections, seconds, congestion, options))
        return {"workload": workload, "connections": connections, "congestion": congestion or congestion_default,
                "rounds": results}
    finally:
        for peer in running:
            peer.stop()
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder)


def measure_idle(peers):
    folder = tempfile.mkdtemp(prefix="baton-bench-")
    server = traffic("serve", LOAD_CPU)
    port = int(server.stdout.readline())
    each = {}
    try:
        for name in peers:
            peer = Peer(name, port, "", folder)
            try:
                before = peer.memory()
                clients = traffic("ask", LOAD_CPU, port=peer.port, work="idle", connections=IDLE)
                report = json.loads(clients.stdout.readline())
                each[name] = (peer.memory() - before) / report["requests"]
                clients.stdin.close()
                if clients.wait() != 0:
                    raise SystemExit(f"bench: {name}: not all idle connections came about")
            finally:
                peer.stop()
        return {"workload": "idle", "connections": IDLE, "bytes_each": each}
    finally:
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder)


# ---------------------------------------------------------------- telling


def median(result, peer, key):
    return statistics.median(one[key] for one in result["rounds"][peer])


def ratios(result, peer, other):
    """Round by round."""
    pairs = zip(result["rounds"][peer], result["rounds"][other])
    return [one["efficiency"] / two["efficiency"] for one, two in pairs]


def target(result, other):
    return TARGETS.get(result["workload"], {}).get(other)


def table(result):
    """Lines of Markdown, and what is below its target."""
    if "bytes_each" in result:
        lines = ["| peer | resident bytes per idle connection |", "|---|---|"]
        lines += [f"| {peer} | {size:,.0f} |" for peer, size in result["bytes_each"].items()]
        return lines, [f"idle: {size:.0f} bytes each" for peer, size in result["bytes_each"].items()
                       if peer == "baton" and size > 1024]
    peers = list(result["rounds"])
    first, below = peers[1] if result["workload"] == "log" else peers[0], []
    lines = ["| peer | requests/s | per CPU second | " + first + " / it: median (min–max) | target | p50 µs | p99 µs | "
             "p99.9 µs | CPU use | resident MiB |", "|---|---|---|---|---|---|---|---|---|---|"]
    for peer in peers:
        ratio, wanted = "", target(result, peer)
        if peer != first:
            values = ratios(result, first, peer)
            middle = statistics.median(values)
            ratio = f"{middle:.2f} ({min(values):.2f}–{max(values):.2f})"
            if wanted is not None and middle < wanted:
                below.append(f"{result['workload']}: {middle:.2f} of {peer}, wanted {wanted:.2f}")
        rate, efficiency, use = (median(result, peer, key) for key in ("per_second", "efficiency", "use"))
        waits = [f"{median(result, peer, key):.0f}" for key in ("p50", "p99", "p999")]
        cells = [peer, f"{rate:,.0f}", f"{efficiency:,.0f}", ratio, f"≥ {wanted:.2f}" if wanted else "", *waits,
                 f"{use:.2f}", f"{median(result, peer, 'memory') / 2**20:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    if result["workload"].startswith("rate") and "nginx" in peers:
        own, theirs = median(result, first, "p99"), median(result, "nginx", "p99")
        if own > 3 * theirs:
            below.append(f"{result['workload']}: p99 {own:.0f} µs, more than 3 times nginx's {theirs:.0f} µs")
    return lines, below


def first_line(*words):
    try:
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (done.stdout + done.stderr).partition("\n")[0].strip()


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": model.group(1) if model else platform.machine(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "congestion": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "baton": first_line(BATON, "-V"),
        "nginx": first_line(shutil.which("nginx") or TOOLS / "nginx/usr/sbin/nginx", "-v"),
        "haproxy": first_line("dpkg-query", "-W", "-f", "${Version}", "haproxy") if shutil.which("haproxy")
        else next((path.name for path in TOOLS.glob("haproxy/usr/share/doc/haproxy")), "") and haproxy_version(),
        "redis": first_line("redis-cli", "--version"),
    }


def haproxy_version():
    libraries = ":".join(str(TOOLS / package / "usr/lib/x86_64-linux-gnu")
                         for package in ("liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"))
    done = subprocess.run([TOOLS / "haproxy/usr/sbin/haproxy", "-v"], capture_output=True, text=True, check=False,
                          env={**os.environ, "LD_LIBRARY_PATH": libraries})
    return done.stdout.partition("\n")[0]


# ---------------------------------------------------------------- gates


class Gate:
    """baton and a server, for counting what one request costs."""

    def __init__(self, before=()):
        self.folder = tempfile.mkdtemp(prefix="baton-gates-")
        self.server = traffic("serve", LOAD_CPU)
        self.port = free_port()
        port = int(self.server.stdout.readline())
        path = Path(self.folder) / "baton.toml"
        text = (CONF / "baton.toml").read_text()
        words = {"PORT": self.port, "SERVER": port, "SESSION": "off", "CREATE": "on-demand", "LOG": "off"}
        for word, value in words.items():
            text = re.sub(rf"\b{word}\b", str(value), text)
        path.write_text(text)
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


def gates():
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


# ---------------------------------------------------------------- the command


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--peers", help="of them only these, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--gates", action="store_true", help="count what no noise touches, and nothing else")
    arguments = parser.parse_args()
    if arguments.gates:
        return 1 if gates() else 0
    for name in arguments.workloads:
        if name not in WORKLOADS:
            parser.error(f'no workload "{name}", there are: {", ".join(WORKLOADS)}')
    info = machine()
    print(", ".join(f"{key} {value}" for key, value in info.items()), flush=True)
    results, below, document = [], [], []
    for name in arguments.workloads or WORKLOADS:
        peers = peers_of(name)
        if arguments.peers:
            wanted = arguments.peers.split(",")
            peers = [peer for peer in peers if peer in wanted]
        result = measure_idle(peers) if name == "idle" else measure(name, peers, arguments.rounds, arguments.seconds,
                                                                      info["congestion"])
        lines, missed = table(result)
        title = f"{name}, {result['connections']} connections"
        title += f", {result['congestion']}" if "congestion" in result else ""
        document += ["", f"**{title}**", "", *lines]
        print("\n" + title, *lines, *(f"BELOW {line}" for line in missed), sep="\n", flush=True)
        results.append(result)
        below += missed
    (BUILD / "bench.json").write_text(json.dumps({"machine": info, "rounds": arguments.rounds,
                                                  "seconds": arguments.seconds, "results": results}, indent=1))
    (BUILD / "bench.md").write_text("\n".join(document).strip() + "\n")
    print(f"\n{len(below)} below their target" if below else "\nall at their targets")
    return 0


if __name__ == "__main__":
    sys.exit(main())
