"""A baton takes over from one that drains: who is refused, who waits, and what becomes of the sessions."""

import itertools
import os
import signal
import threading
import time
import unittest

from api import TOKEN, Api
from cluster import Node, need_redis
from harness import Baton, config, eventually, toml_table
from peers import PATIENCE, Client, Incomplete, reply
from stop_test import is_refused
from store import StoreTest, attributes_of, page, shown

RESTARTS = 20 if os.environ.get("BATON_LONG") else 5


def setUpModule():
    need_redis()


class Visitor:
    """Asks all the time, as a browser does: keeps its connection as long as the answers let it, and asks again on a new
    one where a kept one has ended without a byte. Writes a number into its session, each time a larger one."""

    def __init__(self, port, session):
        self.port = port
        self.session = session
        self.served = 0
        self.refused = []  # when
        self.faults = []
        self._acknowledged = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._visit, daemon=True)
        self._thread.start()

    def _visit(self):
        client, fresh = None, True
        for number in itertools.count(1):
            if self._over.is_set():
                break
            try:
                if client is None:
                    client, fresh = Client(self.port), True
                client.request(fields=shown(self.session) + [("X-Reply", f"Baton-Session-Set: n={number}")])
                answer = client.answer()
            except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError, EOFError) as end:
                # A new connection may have come between the last look into the queue and its end.
                if fresh:
                    self.refused.append((time.monotonic(), repr(end)))
                client = client and client.close()
                time.sleep(0.002)
                continue
            except (Incomplete, OSError) as fault:
                self.faults.append(f"cut: {fault!r}")
                return
            fresh = False
            self.judge(answer, number)
            if answer.closes():
                client = client.close()
        if client is not None:
            client.close()

    def judge(self, answer, number):
        told = attributes_of(answer).get("n") if answer.status == 200 else None
        if answer.status != 200 or answer.get("X-State") != "live" or answer.all("Set-Cookie"):
            self.faults.append(answer.head)
        # A connection that ended without an answer may have carried a change all the same.
        elif self._acknowledged is not None and int(told or 0) < self._acknowledged:
            self.faults.append(f"{told} is less than {self._acknowledged}")
        else:
            self._acknowledged = number
            self.served += 1

    def end(self):
        self._over.set()
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            raise AssertionError("a visitor hangs")


class RestartTest(StoreTest):
    def setUp(self):
        self.go = threading.Event()
        self.hanging = threading.Event()
        self.addCleanup(self.go.set)

    def app_page(self, request):
        if request.target != "/slow":
            return page(request)
        self.hanging.set()
        self.go.wait(PATIENCE)
        # On a connection that the server has had all the time, and more than once.
        calls = [self.calls.read(self.slow_session).status for _ in range(3)]
        return reply(f"{calls}".encode())

    def text(self, app, redis):
        """A configuration whose addresses stay the same."""
        keys = {"top": {"workers": 2, "grace": "20s"}, "listener": {"address": self.addresses[0]},
                "admin": {"address": self.addresses[1]},
                "session": {"store": "redis"}, "redis": self.redis_of(redis)}
        api = {"address": self.addresses[2], "token_file": str(self.token_file(f"app {TOKEN}\n"))}
        return config([app], log={"access": "off"}, **keys) + toml_table("[session.api]", api)

    def test_F_restart_beside_a_predecessor_that_drains_a_hung_request(self):
        redis = Node()
        self.addCleanup(redis.close)
        self.addresses = [self.refused() for _ in range(3)]
        ports = [int(address.rpartition(":")[2]) for address in self.addresses]
        app = self.app(self.app_page)
        text = self.text(app, redis)
        baton = self.started(Baton(text))
        self.wait_store(baton, lambda store: store["state"] == "ready")
        visitors = [Visitor(ports[0], self.start(baton)) for _ in range(6)]
        for visitor in visitors:
            self.addCleanup(visitor.end)
        windows, took = [], []
        for _ in range(RESTARTS):
            served = sum(visitor.served for visitor in visitors)
            eventually(lambda: sum(v.served for v in visitors) > served + 50, "traffic")
            self.go.clear()
            self.hanging.clear()
            self.slow_session = self.start(baton)
            self.calls = Api(ports[2])
            self.addCleanup(self.calls.close)
            self.assertEqual(self.calls.read(self.slow_session).status, 200)
            watcher = Client(ports[1])
            self.addCleanup(watcher.close)
            self.assertEqual(watcher.ask(target="/readyz", host="localhost").status, 200)
            hung = self.client(ports[0])
            hung.request(target="/slow", fields=shown(self.slow_session))
            self.assertTrue(self.hanging.wait(PATIENCE))
            began = time.monotonic()
            baton.signal(signal.SIGTERM)
            eventually(lambda: all(map(is_refused, ports)), "the end of all listeners")
            successor = self.started(Baton(text))
            took.append(time.monotonic() - began)
            self.assertIsNone(baton.process.poll())
            # The old one still tells who is connected to it how far it is.
            for _ in range(2):
                answer = watcher.ask(target="/readyz", host="localhost")
                self.assertEqual((answer.status, answer.closes()), (503, False))
            windows.append((began, time.monotonic()))
            self.go.set()
            answer = hung.answer()
            self.assertEqual((answer.status, answer.body, answer.closes()), (200, b"[200, 200, 200]", True))
            self.assertEqual(baton.wait_exit(), 0)
            baton = successor
        for visitor in visitors:
            visitor.end()
        self.assertEqual([fault for visitor in visitors for fault in visitor.faults], [])
        late = [refusal for visitor in visitors for refusal in visitor.refused
                if not any(begin <= refusal[0] <= end for begin, end in windows)]
        self.assertEqual(late, [])
        print(f"{RESTARTS} restarts, {sum(v.served for v in visitors)} requests, "
              f"{sum(len(v.refused) for v in visitors)} refused; until the successor listens "
              f"{min(took):.3f} to {max(took):.3f} s")
        self.assertLess(min(took), 1)


if __name__ == "__main__":
    unittest.main()
