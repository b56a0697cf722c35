"""What the tests of real clients and servers are made of: pairs of them, started once for each class."""

import json
import threading

from clients import CLIENTS, Ask, http_client
from harness import SystemTest
from peers import sha
from servers import SERVERS, Files, tool


def pairs(clients=tuple(CLIENTS), servers=tuple(SERVERS)):
    """The method becomes one test for each client with each server, called with their names."""
    def mark(method):
        method.pairs = [(client, server) for client in clients for server in servers]
        return method

    return mark


class GoodTraffic:
    """Asks for files, again and again, in a thread."""

    ASKS = [Ask("/small"), Ask("/medium")] * 5

    def __init__(self, baton, files):
        self._baton = baton
        self._files = files
        self._over = threading.Event()
        self._served = 0
        self._faults = []
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self):
        try:
            while not self._over.is_set():
                for ask, answer in zip(self.ASKS, http_client(self._baton.port, self._files, self.ASKS)):
                    if (answer.status, sha([answer.body])) != (200, self._files.sha[ask.path[1:]]):
                        self._faults.append(f"{answer.status} {answer.body[:100]}")
                    self._served += 1
        except Exception as fault:  # whatever it is, it must not have happened
            self._faults.append(repr(fault))

    def end(self):
        """How many answers there were. Each must have been good."""
        self._over.set()
        self._thread.join()
        if self._faults:
            raise AssertionError(f"{self._served} good answers, then {self._faults}")
        return self._served


class RealTest(SystemTest):
    """A case whose servers live as long as the class."""

    def __init_subclass__(cls):
        for name, method in list(vars(cls).items()):
            for client, server in getattr(method, "pairs", ()):
                setattr(cls, f"{name}_{client}_{server}", bound(method, client, server))
            if hasattr(method, "pairs"):
                delattr(cls, name)

    @classmethod
    def setUpClass(cls):
        cls.files = Files()
        cls.addClassCleanup(cls.files.remove)
        cls._servers = {}

    def need(self, program):
        if tool(program) is None:
            self.skipTest(f"there is no {program}")

    def server(self, name):
        """The server of this name, which earlier tests of the class may have used."""
        start, program = SERVERS[name]
        self.need(program)
        if name not in self._servers:
            self._servers[name] = self.own(start(self.files), self.addClassCleanup)
        return self._servers[name]

    def own(self, server, cleanup=None):
        (cleanup or self.addCleanup)(server.stop)
        return server

    def asking(self, name):
        """The client of this name: a function of baton and a list of asks."""
        ask, program = CLIENTS[name]
        self.need(program)
        return lambda baton, asks, **keys: ask(baton.port, self.files, asks, **keys)

    def good_traffic(self, baton):
        traffic = GoodTraffic(baton, self.files)
        self.addCleanup(traffic.end)
        return traffic

    def assert_whole(self, answer, name):
        """The answer is that file, unchanged."""
        self.assertEqual((answer.status, sha([answer.body])), (200, self.files.sha[name]))

    def log(self, baton, count=None):
        """All lines of the access log, so many if that is known. Ends baton: then they need not be waited for."""
        baton.stop()
        lines = [json.loads(line) for line in baton.access_lines()]
        if count is not None:
            self.assertEqual(len(lines), count, lines)
        return lines

    def assert_clean(self, lines):
        """No fault in these lines of the access log."""
        self.assertEqual([line for line in lines if "fault" in line], [])


def bound(method, client, server):
    def test(self):
        method(self, client, server)

    return test
