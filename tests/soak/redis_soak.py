#!/usr/bin/env python3
"""Sessions in Redis while its servers die: ./dev soak --redis [SECONDS] [SEED].

Two batons, three app servers, one master, two replicas and three Sentinels, all real. Clients ask all the time; every
few seconds something is killed, stopped, cut off or flushed, and comes back. Never may a client see another one's
session, a cookie that it did not ask for, a status other than 200 and 503, or miss what it was told was done a second
before a master was lost. Neither baton may grow.
"""

import argparse
import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from urllib.parse import parse_qsl

SYSTEM = Path(__file__).resolve().parents[1] / "system"
sys.path[:0] = [str(SYSTEM), str(SYSTEM / "redis")]

from cluster import MASTER, Cluster, need_redis  # noqa: E402
from harness import Baton, config  # noqa: E402
from peers import App, Broken, Client, reply  # noqa: E402

CLIENTS = 8
PAUSE = 0.015  # seconds between two requests of a client
MAY_BE_LOST = (1.0, 10.0)  # seconds before and after the loss of a master
REVIVED_MAX = 3.0  # seconds that another baton may take a session for live whose logout a master never heard of
GROWTH_MAX = 4 << 20  # bytes, after the first third
EXPECTED = (200, 503)


def app():
    """Answers with what it was told, and asks of the session what the client wants."""

    def answer(request):
        del server.requests[:]
        told = {"state": request.get("Baton-Session-State"), "data": request.get("Baton-Session-Data", "")}
        return reply(json.dumps(told).encode(), [tuple(line.split(": ", 1)) for line in request.all("X-Reply")])

    server = App(answer)
    return server


class Findings:
    def __init__(self):
        self.lock = threading.Lock()
        self.violations = []
        self.counts = {}

    def add(self, what, count=1):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + count

    def violation(self, text):
        with self.lock:
            if len(self.violations) < 20:
                self.violations.append(text)
                print("VIOLATED", text, flush=True)


class Visitor:
    """One client with one session at a time, over whichever baton."""

    def __init__(self, number, ports, losses, findings, seed):
        self.number, self.ports, self.losses, self.findings = number, ports, losses, findings
        self.random = random.Random(seed)
        self.connections = {}
        self.sessions = 0
        self.forget()

    def forget(self):
        self.cookie = None
        self.me = ""
        self.done = []  # when each change was told to be done
        self.tried = 0

    def ask(self, *replies):
        """The answer and what the server was told, or None if the connection broke."""
        port = self.random.choice(self.ports)
        fields = [("X-Reply", line) for line in replies]
        if self.cookie:
            fields.append(("Cookie", f"JSESSIONID={self.cookie}"))
        try:
            client = self.connections.get(port) or self.connections.setdefault(port, Client(port))
            client.sock.settimeout(30)
            answer = client.ask(fields=fields)
        except (OSError, EOFError, Broken) as fault:
            self.findings.violation(f"client {self.number}: {fault!r}")
            if client := self.connections.pop(port, None):
                client.close()
            return None
        self.findings.add(f"status {answer.status}")
        if answer.status not in EXPECTED:
            self.findings.violation(f"client {self.number}: status {answer.status}")
        if answer.closes():
            self.connections.pop(port).close()
        return answer

    def may_be_lost(self, at):
        before, after = MAY_BE_LOST
        return any(loss - before <= at <= loss + after for loss in self.losses)

    def step(self):
        if self.cookie is None:
            return self.begin()
        choice = self.random.random()
        if choice < 0.03:
            return self.end()
        if choice < 0.35:
            return self.change()
        return self.look(self.ask())

    def begin(self):
        self.sessions += 1
        me = f"{self.number}.{self.sessions}"
        answer = self.ask(f"Baton-Session-Set: me={me}")
        if answer is None or answer.status != 200:
            return
        if not answer.cookie():
            # The server was told that the store is away, so nothing was made.
            if json.loads(answer.body)["state"] != "unavailable":
                self.findings.violation(f"client {self.number}: no cookie for a new session")
            return
        self.cookie, self.me = answer.cookie(), me
        self.done, self.tried, self.begun = [], 0, time.monotonic()

    def change(self):
        self.tried += 1
        answer = self.ask("Baton-Session-Incr: n=1")
        before = None if answer is None or answer.status != 200 else json.loads(answer.body)["state"]
        if before == "live":
            self.done.append(time.monotonic())
        self.look(answer)

    def end(self):
        answer = self.ask("Baton-Session-Destroy: 1")
        if answer is not None and answer.status == 200 and json.loads(answer.body)["state"] == "live":
            at, until = time.monotonic(), time.monotonic() + REVIVED_MAX
            self.findings.add("logouts")
            # Dead from the very next request on, over either baton. A master that is promoted may not have heard of a
            # logout just before; it is told again by the baton that carried it out.
            while self.lives():
                if not self.may_be_lost(at) or time.monotonic() > until:
                    self.findings.violation(f"client {self.number}: session {self.me} lives after its logout")
                    break
                self.findings.add("answers after a logout and a failover")
                time.sleep(PAUSE)
            self.forget()

    def lives(self):
        answer = self.ask()
        return answer is not None and answer.status == 200 and json.loads(answer.body)["state"] == "live"

    def look(self, answer):
        if answer is None:
            return
        told = json.loads(answer.body) if answer.status == 200 else {"state": "refused"}
        # Where there is no session any more a change makes a new one.
        if answer.get("Set-Cookie") and told["state"] != "none":
            self.findings.violation(f"client {self.number}: a cookie in state {told['state']}")
        if answer.status != 200:
            return
        self.findings.add("state " + told["state"])
        if told["state"] == "none":
            if not self.may_be_lost(self.begun):
                self.findings.violation(f"client {self.number}: session {self.me} is gone")
            self.findings.add("sessions lost with a master")
            return self.forget()
        if told["state"] != "live":
            return
        data = dict(parse_qsl(told["data"]))
        if data.get("me") != self.me:
            self.findings.violation(f"client {self.number}: is told of {data.get('me')!r}, is {self.me!r}")
        # What this very answer asks for is not in it yet.
        sure = sum(1 for at in self.done[:-1] if not self.may_be_lost(at))
        if not sure <= int(data.get("n", 0)) <= self.tried:
            self.findings.violation(f"client {self.number}: n={data.get('n')}, {sure} were done, {self.tried} tried")

    def run(self, until):
        while time.monotonic() < until:
            self.step()
            time.sleep(PAUSE)
        for client in self.connections.values():
            client.close()


class Trouble:
    """What happens to the servers."""

    def __init__(self, cluster, losses, findings, seed):
        self.cluster, self.losses, self.findings = cluster, losses, findings
        self.random = random.Random(seed)

    def kill_master(self):
        old = self.cluster.master()
        self.losses.append(time.monotonic())
        old.kill()
        self.cluster.wait_for_failover(old)
        old.restart(original_config=self.random.random() < 0.5)

    def stop_master(self):
        old = self.cluster.master()
        self.losses.append(time.monotonic())
        old.suspend()
        self.cluster.wait_for_failover(old)
        old.resume()

    def stop_master_shortly(self):
        old = self.cluster.master()
        self.losses.append(time.monotonic())
        old.suspend()
        time.sleep(0.7)
        old.resume()

    def switch(self):
        self.losses.append(time.monotonic())
        self.cluster.failover()

    def kill_replica(self):
        replica = self.random.choice(self.cluster.replicas())
        replica.kill()
        time.sleep(1)
        replica.restart()

    def kill_sentinel(self):
        sentinel = self.random.choice(self.cluster.sentinels)
        sentinel.kill()
        time.sleep(1)
        sentinel.restart()

    def cut_clients(self):
        for _ in range(20):
            self.cluster.master().ask("CLIENT", "KILL", "TYPE", "normal")
            time.sleep(0.1)

    def flush_scripts(self):
        self.cluster.master().ask("SCRIPT", "FLUSH")

    def run(self, until):
        deeds = [self.kill_master, self.stop_master, self.stop_master_shortly, self.switch, self.kill_replica,
                 self.kill_sentinel, self.cut_clients, self.flush_scripts]
        deck = []
        while time.monotonic() < until:
            time.sleep(self.random.uniform(1, 3))
            if not deck:
                deck = self.random.sample(deeds, len(deeds))
            deed = deck.pop()
            print(f"{deed.__name__.replace('_', ' ')}", flush=True)
            deed()
            self.findings.add(deed.__name__.replace("_", " "))
            self.cluster.heal()


def measure(batons):
    return [(baton.own_memory(), baton.descriptors()) for baton in batons]


def main():
    parser = argparse.ArgumentParser(prog="./dev soak --redis", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=int, default=300)
    parser.add_argument("seed", nargs="?", type=int, default=random.randrange(1 << 30))
    arguments = parser.parse_args()
    need_redis()
    print(f"seed {arguments.seed}", flush=True)
    findings, losses, batons = Findings(), [], []
    servers = [app() for _ in range(3)]
    with Cluster() as cluster:
        try:
            text = config(servers, session={"store": "redis", "on_unavailable": "wait-serve", "failover_wait": "6s"},
                          redis={"sentinels": cluster.sentinel_addresses, "master": MASTER,
                                 "password_env": "SOAK_PASSWORD"},
                          log={"access": "off"}, top={"workers": 2})
            os.environ["SOAK_PASSWORD"] = cluster.nodes[0].password
            batons = [Baton(text), Baton(text)]
            for baton in batons:
                baton.wait_event("session store ready")
            until = time.monotonic() + arguments.seconds
            visitors = [Visitor(i, [baton.port for baton in batons], losses, findings, arguments.seed + i)
                        for i in range(CLIENTS)]
            threads = [threading.Thread(target=visitor.run, args=(until,), daemon=True) for visitor in visitors]
            trouble = threading.Thread(target=Trouble(cluster, losses, findings, arguments.seed).run, args=(until,),
                                       daemon=True)
            for thread in [*threads, trouble]:
                thread.start()
            time.sleep(arguments.seconds / 3)
            before = measure(batons)
            for thread in [*threads, trouble]:
                thread.join()
            after = measure(batons)
            for (memory, files), (memory_then, files_then) in zip(after, before):
                print(f"own memory {memory_then >> 10} -> {memory >> 10} KiB, descriptors {files_then} -> {files}")
                if memory > memory_then + GROWTH_MAX or files > files_then + 2 * CLIENTS + 16:
                    findings.violation("a baton has grown")
        finally:
            for baton in batons:
                baton.stop()
            for server in servers:
                server.stop()
    for what, count in sorted(findings.counts.items()):
        print(f"{count:8} {what}")
    print(f"{len(findings.violations)} violations")
    return 1 if findings.violations else 0


if __name__ == "__main__":
    sys.exit(main())
