"""conf/seed, as it stands there but for addresses, ports, folders and the password: real processes, and a session."""

import re
import secrets
import unittest

from cluster import Process, need_redis, until
from harness import ROOT, Baton, run_baton
from store import StoreTest, attributes_of, page

SEED = ROOT / "conf/seed"
SERVERS = (6379, 6380, 6381)
SENTINELS = (26379, 26380, 26381)


def setUpModule():
    need_redis()


class SeedProcess(Process):
    """One of the files, run. `translate` makes of its text what runs here."""

    def __init__(self, name, password):
        self.kind = "redis-sentinel" if name.startswith("sentinel") else "redis-server"
        super().__init__({}, password=password)
        self._text = (SEED / name).read_text(encoding="utf-8")
        self.translate = None

    def text(self):
        return self.translate(self._text)


class SeedTest(StoreTest):
    def setUp(self):
        self.password = secrets.token_hex(16)
        self.by_port = {}
        for port in SERVERS + SENTINELS:
            name = f"redis-{port}.conf" if port in SERVERS else f"sentinel-{port}.conf"
            process = SeedProcess(name, self.password if port in SERVERS else None)
            self.addCleanup(process.close)
            process.translate = lambda text, folder=process.folder: self.translated(text, folder)
            self.by_port[port] = process
        self.servers = [self.by_port[port] for port in SERVERS]
        self.sentinels = [self.by_port[port] for port in SENTINELS]

    def translated(self, text, folder):
        text = re.sub(r"bind 192\.0\.2\.\d 127\.0\.0\.1", "bind 127.0.0.1", text)
        text = re.sub(r"192\.0\.2\.\d", "127.0.0.1", text)
        text = re.sub(r"(dir|logfile|pidfile) /\S*/(\S+)",
                      lambda found: f"{found[1]} {folder}" + (f"/{found[2]}" if found[1] != "dir" else ""), text)
        text = text.replace("CHANGE-ME", self.password)
        for port, process in self.by_port.items():
            text = re.sub(rf"(?<=[ :]){port}\b", str(process.port), text)
        return text

    def start_all(self):
        master = self.servers[0].start()
        master.ask("CONFIG", "SET", "repl-diskless-sync-delay", 0)  # what else takes 5 s
        for server in self.servers[1:]:
            server.start()
        for server in self.servers[1:]:
            until(lambda: server.info("replication")["master_link_status"] == "up", "a replica in sync", self.servers)
        for sentinel in self.sentinels:
            sentinel.start()

    def configuration(self, apps):
        text = self.translated((SEED / "baton.toml").read_text(encoding="utf-8"), "")
        self.assertEqual(text.count("127.0.0.1:8080"), 2)
        for app in apps:
            text = text.replace("127.0.0.1:8080", app.address, 1)
        return (text.replace("0.0.0.0:80", "127.0.0.1:0").replace("127.0.0.1:9090", "127.0.0.1:0")
                .replace("/etc/baton/redis.password", self.password_file(self.password)))

    def test_seed_runs(self):
        self.start_all()
        text = self.configuration(self.pages(2))
        path = self.file("baton.toml", text)
        self.assertEqual(run_baton("-t", "-c", path), (0, f"{path}: ok\n", ""))

        def checked():
            # The Sentinels find each other by what they publish, within seconds.
            status, out, _ = run_baton("redis-check", "-c", path)
            self.last_check = out
            return status == 0

        until(checked, "a check that finds nothing", self.sentinels)
        self.assertEqual([line for line in self.last_check.splitlines() if line.startswith("WARNING")], [])
        self.assertIn("failover: the Sentinels wait 3s (down-after-milliseconds), requests wait 6s", self.last_check)

        baton = self.started(Baton(text))
        self.wait_store(baton, lambda store: store["state"] == "ready")
        session = self.start(baton, "Baton-Session-Set: magedu.com=magedu.com")
        for _ in range(4):
            answer = self.get(baton, session)
            self.assertEqual((answer.get("X-State"), attributes_of(answer)), ("live", {"magedu.com": "magedu.com"}))
        key = run_baton("session", "key", session, "-c", path)[1].strip()
        self.assertEqual(self.servers[0].ask("EXISTS", key), 1)
        self.assertEqual([one["answers"] for one in self.store(baton)["sentinels"]], [True] * 3)

    def test_old_mistakes_are_found(self):
        """The same with what stood in the old files."""
        self.by_port[6380].translate = lambda text, old=self.by_port[6380].translate: re.sub(
            r"(replicaof 127\.0\.0\.1) \d+", rf"\1 {self.by_port[6380].port}", old(text))
        self.by_port[6381].translate = lambda text, old=self.by_port[6381].translate: re.sub(
            r"(replicaof 127\.0\.0\.1) \d+", rf"\1 {self.by_port[6381].port}", old(text))
        for process in self.servers + self.sentinels:
            process.start()
        text = self.configuration(self.pages(2))
        for server, sentinel in zip(self.servers, self.sentinels):
            text = text.replace(sentinel.address, server.address)
        path = self.file("baton.toml", text)
        status, out, _ = run_baton("redis-check", "-c", path)
        lines = out.splitlines()
        for server in self.servers:
            self.assertIn(f"PROBLEM sentinel {server.address}: a Redis data node and no Sentinel; Sentinels usually "
                          "listen on 26379", lines)
        for server in self.servers[1:]:
            self.assertIn(f"PROBLEM replica {server.address}: `replicaof 127.0.0.1 {server.port}` makes it a replica "
                          "of itself; it has no data", lines)
        self.assertEqual(status, 1)


if __name__ == "__main__":
    unittest.main()
