#!/usr/bin/env python3
"""Measures baton beside nginx, HAProxy and a relay of bytes: ./dev bench [WORKLOAD...] [--peers NAME,...] [--rounds N]
[--seconds S] [--gates] [--against PROGRAM].

The figure is requests per CPU second of the proxy, as a ratio of two peers in one round: it survives a noisy machine.
The proxy runs on CPU 0, clients and servers on CPU 1; each round asks every peer, in another order each time. baton
runs twice, so that the noise shows. A wrong answer fails the run.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gates
from proxies import BATON, BUILD, LOAD_CPU, Peer, haproxy_program, nginx_program, traffic

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


# ---------------------------------------------------------------- measuring


def peers_of(workload, against=False):
    if against and workload in gates.INSTRUCTIONS:
        return [*peers_of(workload), "baton-session-before" if workload == "session" else "baton-before"]
    if workload == "log":
        return ["baton-nolog", "baton-log", "baton-log2"]
    if workload in ("session", "session-write"):
        return ["baton-session", "baton-session2", "nginx", "haproxy", "baton-off"]
    if workload.startswith("session-redis"):
        return ["baton-redis", "nginx", "haproxy", "baton-off"]
    if workload == "idle":
        return ["baton", "nginx", "haproxy"]
    return ["baton", "baton-again", "relay", "nginx", "haproxy"]


def plan(workloads, wanted, against=False):
    """The peers of each workload; of them only those that are wanted, if any are named. ValueError: there are none."""
    known = {name for workload in WORKLOADS for name in peers_of(workload, against)}
    for name in workloads:
        if name not in WORKLOADS:
            raise ValueError(f'no workload "{name}", there are: {", ".join(WORKLOADS)}')
    for name in wanted:
        if name not in known:
            raise ValueError(f'no peer "{name}", there are: {", ".join(sorted(known))}')
    planned = {}
    for workload in workloads or WORKLOADS:
        planned[workload] = [name for name in peers_of(workload, against) if name in wanted or not wanted]
        if not planned[workload]:
            if workload in workloads:
                raise ValueError(f"{workload} has none of these peers, but: {', '.join(peers_of(workload, against))}")
            del planned[workload]
    return planned


def ask(peer, work, connections, seconds, congestion, options):
    """One measurement of a peer."""
    clients = traffic("ask", LOAD_CPU, port=peer.port, work=work, connections=connections,
                      milliseconds=round(seconds * 1000), congestion=congestion, **options)
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


def measure(workload, peers, rounds, seconds, congestion_default, against):
    work, connections, options, congestion = WORKLOADS[workload]
    folder = tempfile.mkdtemp(prefix="baton-bench-")
    server = traffic("serve", LOAD_CPU, congestion=congestion)
    running = []
    try:
        port = int(server.stdout.readline())
        for name in peers:
            running.append(Peer(name, port, congestion, folder, against))
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


def first_of(result):
    """The one that all others are compared with: baton, if it is there."""
    peers = list(result["rounds"])
    return "baton-log" if "baton-log" in peers else peers[0]


def ratio(result, other):
    values = ratios(result, first_of(result), other)
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def summary(results):
    """One line of Markdown for each workload: what baton is, measured by the others."""
    columns = {"nginx": ["nginx"], "HAProxy": ["haproxy"], "bare relay": ["relay"],
               "baton without it": ["baton-off", "baton-nolog"],
               "itself": ["baton-again", "baton-session2", "baton-log2"],
               "before": ["baton-before", "baton-session-before"]}
    lines = [f"| workload | requests per CPU second | / {' | / '.join(columns)} | p99 µs, nginx's | CPU use |",
             "|---" * (len(columns) + 4) + "|"]
    for result in results:
        if "rounds" not in result:
            continue
        first = first_of(result)
        cells = [result["workload"], f"{median(result, first, 'efficiency'):,.0f}"]
        for names in columns.values():
            found = [name for name in names if name in result["rounds"]]
            cells.append(ratio(result, found[0]) if found else "")
        waits = [f"{median(result, name, 'p99'):,.0f}" for name in (first, "nginx") if name in result["rounds"]]
        cells += [", ".join(waits), f"{median(result, first, 'use'):.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def table(result):
    """Lines of Markdown, and what is below its target."""
    if "bytes_each" in result:
        lines = ["| peer | resident bytes per idle connection |", "|---|---|"]
        lines += [f"| {peer} | {size:,.0f} |" for peer, size in result["bytes_each"].items()]
        return lines, [f"idle: {size:.0f} bytes each" for peer, size in result["bytes_each"].items()
                       if peer == "baton" and size > 1024]
    peers = list(result["rounds"])
    first, below = first_of(result), []
    lines = [f"| peer | requests/s | per CPU second | {first} / it: median (min–max) | target | p50 µs | p99 µs "
             "| p99.9 µs | CPU use | resident MiB |", "|---|---|---|---|---|---|---|---|---|---|"]
    for peer in peers:
        compared = "" if peer == first else ratio(result, peer)
        wanted = target(result, peer) if first.startswith("baton") else None
        if wanted is not None and (middle := statistics.median(ratios(result, first, peer))) < wanted:
            below.append(f"{result['workload']}: {middle:.2f} of {peer}, wanted {wanted:.2f}")
        rate, efficiency, use = (median(result, peer, key) for key in ("per_second", "efficiency", "use"))
        waits = [f"{median(result, peer, key):.0f}" for key in ("p50", "p99", "p999")]
        cells = [peer, f"{rate:,.0f}", f"{efficiency:,.0f}", compared, f"≥ {wanted:.2f}" if wanted else "", *waits,
                 f"{use:.2f}", f"{median(result, peer, 'memory') / 2**20:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    if result["workload"].startswith("rate") and "nginx" in peers:
        own, theirs = median(result, first, "p99"), median(result, "nginx", "p99")
        if own > 3 * theirs:
            below.append(f"{result['workload']}: p99 {own:.0f} µs, more than 3 times nginx's {theirs:.0f} µs")
    return lines, below


def first_line(*words, **keys):
    try:
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **keys)
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
        "nginx": first_line(nginx_program(), "-v"),
        "haproxy": first_line(haproxy_program()[0], "-v", env=haproxy_program()[1]),
        "redis": first_line("redis-cli", "--version"),
    }


# ---------------------------------------------------------------- the command


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--peers", help="of them only these, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one peer's turn; many short ones, --rounds 24 "
                        "--seconds 0.4, tell smaller differences apart where others use the machine too")
    parser.add_argument("--gates", action="store_true", help="count what no noise touches, and nothing else")
    parser.add_argument("--against", metavar="PROGRAM", type=Path, help="an earlier baton, measured as well")
    arguments = parser.parse_args()
    if arguments.gates:
        return 1 if gates.count(arguments.against) else 0
    if arguments.rounds < 1 or arguments.seconds < 0.1:
        parser.error("at least one round, of 0.1 seconds for each peer")
    try:
        planned = plan(arguments.workloads, arguments.peers.split(",") if arguments.peers else [],
                       arguments.against is not None)
    except ValueError as problem:
        parser.error(str(problem))
    info = machine()
    print(", ".join(f"{key} {value}" for key, value in info.items()), flush=True)
    results, below, document = [], [], []
    for name, peers in planned.items():
        result = measure_idle(peers) if name == "idle" else measure(name, peers, arguments.rounds, arguments.seconds,
                                                                      info["congestion"], arguments.against)
        lines, missed = table(result)
        title = f"{name}, {result['connections']} connections"
        title += f", {result['congestion']}" if "congestion" in result else ""
        document += ["", f"**{title}**", "", *lines]
        print("\n" + title, *lines, *(f"BELOW {line}" for line in missed), sep="\n", flush=True)
        results.append(result)
        below += missed
    (BUILD / "bench.json").write_text(json.dumps({"machine": info, "rounds": arguments.rounds,
                                                  "seconds": arguments.seconds, "results": results}, indent=1))
    (BUILD / "bench.md").write_text("\n".join([*summary(results), *document]) + "\n")
    print(f"\n{len(below)} below their target" if below else "\nall at their targets")
    return 0


if __name__ == "__main__":
    sys.exit(main())
