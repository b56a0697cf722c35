"""Many things at once: connections that end as they are used, clients that leave, servers that die."""

import collections
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from harness import BATON, SystemTest, config, eventually
from peers import PATIENCE, App, Client, reply


def is_refused(port):
    try:
        Client(port).close()
    except ConnectionRefusedError:
        return True
    return False


class RaceTest(SystemTest):
    def record(self):
        """The path of a file that a server writes down its requests in."""
        folder = tempfile.TemporaryDirectory(prefix="baton-test-")
        self.addCleanup(folder.cleanup)
        return Path(folder.name, "record")

    def outcomes(self, client, ending="finish"):
        """What came of each request: {number: outcome}."""
        return dict(line.split() for line in getattr(client, ending)())

    def deliveries(self, *records):
        """How often each request reached a server, and how many of them were lost there."""
        lines = [line.split() for record in records for line in record.read_text().splitlines()]
        kinds = collections.Counter(kind for _, kind in lines)
        self.assertEqual(kinds["wrong"], 0)  # bodies that came damaged
        return collections.Counter(number for number, _ in lines), kinds["lost"]

    def stale_connections(self, method, requests):
        """A server that ends each connection behind its first answer, unannounced, now or in a moment."""
        record = self.record()
        server = self.load("serve", ports=4, close=300, record=record)
        baton = self.baton(server.addresses(4), top={"workers": 2}, log={"access": "./access.log"})
        client = self.load("ask", port=baton.port, requests=requests, connections=32, method=method,
                           large=90)
        outcomes = self.outcomes(client, "wait")
        self.assertEqual(len(outcomes), requests)
        delivered, lost = self.deliveries(record)
        self.assertGreater(lost, 0)  # else there was no race
        log = baton.folder / "access.log"
        eventually(lambda: log.read_bytes().count(b"\n") == requests, "all lines of the log")
        self.assertEqual(log.read_bytes().count(b'"fault":"server_gone"'), list(outcomes.values()).count("502"))
        return outcomes, delivered, log.read_bytes().count(b'"tries":2,')

    def test_R_stale_connection(self):
        outcomes, delivered, again = self.stale_connections("GET", 100_000)
        print(f"{again} of 100,000 GETs were sent a second time")
        self.assertEqual(collections.Counter(outcomes.values()), {"ok": 100_000})
        self.assertEqual(len(delivered), 100_000)

    def test_R_stale_connection_post(self):
        outcomes, delivered, again = self.stale_connections("POST", 20_000)
        counts = collections.Counter(outcomes.values())
        print(f"{counts['502']} of 20,000 POSTs were lost on a connection that was ending")
        self.assertEqual(again, 0)
        self.assertEqual(set(counts), {"ok", "502"})
        self.assertEqual(max(delivered.values()), 1)
        missing = [number for number, outcome in outcomes.items() if outcome == "ok" and number not in delivered]
        self.assertEqual(missing, [])

    def test_R_client_leaves(self):
        # At random moments of heads, uploads and downloads, by FIN and by reset.
        baton = self.baton(self.load("serve").addresses(), top={"workers": 2}, log={"access": "off"},
                           upstream={"keepalive": {"idle_timeout": "300ms"}})
        begin = baton.descriptors() + 2  # the first stream of a worker makes libuv keep one more
        held = []
        for seed in range(4):  # the first fills the free lists
            self.load("leave", port=baton.port, clients=5000, connections=50, seed=seed).wait()
            eventually(lambda: baton.descriptors() == begin, "the end of all connections")
            held.append(baton.own_memory())
        print(f"{[size >> 10 for size in held]} KiB after each 5,000 clients that left")
        # What is lost is lost each time: 26 bytes a client would show.
        self.assertLess(min(after - before for before, after in zip(held, held[1:])), 5000 * 26)
        self.assertEqual(self.ask(baton).status, 200)

    victims = (0, 2, 1, 0, 2, 1)

    def kill_a_server(self, method):
        """One of three dies under load and comes back, again and again: the outcomes, and what reached the servers."""
        records = [self.record() for _ in range(3)]
        addresses = [self.refused() for _ in range(3)]

        def start(number):
            server = self.load("serve", port=addresses[number].rpartition(":")[2], record=records[number],
                               delay=2000)
            server.addresses()
            return server

        servers = [start(number) for number in range(3)]
        baton = self.baton(addresses, top={"workers": 2}, log={"access": "off"})
        client = self.load("ask", port=baton.port, connections=32, method=method)
        for victim in self.victims:
            self.wait_growth(records)
            servers[victim].kill()
            self.wait_growth(records[:victim] + records[victim + 1:])
            servers[victim] = start(victim)
        self.wait_growth(records)
        outcomes = self.outcomes(client)
        return outcomes, self.deliveries(*records)[0]

    def wait_growth(self, records):
        """Until each of the servers has got some thousand bytes more of numbers."""
        sizes = [record.stat().st_size for record in records]
        eventually(lambda: all(record.stat().st_size > size + 10_000 for record, size in zip(records, sizes)),
                   "requests at each server")

    def test_R_kill_backend(self):
        outcomes, delivered = self.kill_a_server("GET")
        self.assertEqual(set(outcomes.values()), {"ok"})
        self.assertEqual(set(outcomes) - set(delivered), set())

    def test_R_kill_backend_that_still_listens(self):
        # A process that ends loses its connections first: for a moment its port takes new ones.
        def answer(_request):
            if dead.is_set():
                raise App.Close(reset=True)
            return reply(b"x")

        dead = threading.Event()
        dying, other = self.app(answer), self.app()
        baton = self.baton([{"address": dying.address, "weight": 3}, {"address": other.address}])
        client = self.client(baton)
        for _ in range(4):
            self.assertEqual(client.ask().status, 200)
        dead.set()
        for _ in range(8):  # also when it has two turns, one after the other
            self.assertEqual(client.ask().status, 200)

    def test_R_kill_backend_post(self):
        outcomes, delivered = self.kill_a_server("POST")
        failed = [number for number, outcome in outcomes.items() if outcome != "ok"]
        print(f"{len(failed)} of {len(outcomes)} POSTs failed with the servers that died")
        self.assertEqual(set(outcomes.values()) - {"ok"}, {"502"} if failed else set())
        self.assertLessEqual(len(failed), len(self.victims) * 32)  # what may be under way when they die
        self.assertEqual(max(delivered.values()), 1)
        self.assertEqual(set(outcomes) - set(delivered) - set(failed), set())

    def test_R_all_backends_down(self):
        addresses = [self.refused() for _ in range(3)]
        baton = self.baton(addresses, top={"workers": 2}, log={"access": "off"})
        self.assertEqual(self.all_outcomes(baton), {"503"})
        self.load("serve", port=addresses[1].rpartition(":")[2]).addresses()
        eventually(lambda: self.ask(baton).status == 200, "a server that is found again")
        self.assertEqual(self.all_outcomes(baton), {"ok"})

    def all_outcomes(self, baton):
        outcomes = set()
        for method in ("GET", "POST"):
            client = self.load("ask", port=baton.port, requests=2000, connections=16, method=method)
            outcomes.update(self.outcomes(client, "wait").values())
        return outcomes

    def test_two_batons_that_start_at_once(self):
        # One of them has the port, the other says so and ends.
        app = self.app()
        for _ in range(50):
            address = self.refused()
            path = self.file("twin.toml", config([app], listener={"address": address}, top={"workers": 2}))
            twins = [self.twin(path) for _ in range(2)]
            for twin in twins:
                twin.stdin.close()
            eventually(lambda: any(twin.poll() is not None for twin in twins), "the end of one of them")
            twins.sort(key=lambda twin: twin.poll() is None)
            loser, winner = twins
            self.assertEqual(loser.returncode, 1)
            self.assertIn(f"cannot listen on {address}: Address already in use", loser.stderr.read())
            port = int(address.rpartition(":")[2])
            eventually(lambda: not is_refused(port), "one that listens")
            self.assertEqual(self.ask(port).status, 200)
            winner.terminate()
            self.assertEqual(winner.wait(PATIENCE), 0)

    def twin(self, path):
        """A baton that begins when its stdin ends, so that two of them can begin at once."""
        twin = subprocess.Popen(["sh", "-c", 'read go; exec "$0" -c "$1"', BATON, path], stdin=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(twin.stderr.close)
        self.addCleanup(twin.wait)
        self.addCleanup(twin.kill)
        return twin


if __name__ == "__main__":
    unittest.main()
