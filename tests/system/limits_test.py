"""The limits, each exactly at it and one beyond."""

import resource
import threading
import unittest

from harness import Baton, SystemTest, config, eventually, upstream_of
from peers import PATIENCE, Incomplete, chunk, reply


class LimitTest(SystemTest):
    def refusal(self, baton, data):
        client = self.client(baton)
        client.send(data)
        answer = client.answer()
        if answer.status >= 400:
            self.assertTrue(answer.closes())
            self.assertEqual(client.wait_end(), b"")
        client.close()
        return answer.status

    def test_request_line(self):
        baton = self.baton([self.app()])
        for size, status in ((8192, 200), (8193, 414), (100_000, 414)):
            line = b"GET /" + b"x" * (size - len("GET / HTTP/1.1")) + b" HTTP/1.1\r\n"
            found = self.refusal(baton, line + b"Host: a\r\n\r\n")
            self.assertEqual(found, status, size)

    def test_head(self):
        baton = self.baton([self.app()])
        begin, end = b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"\r\n\r\n"
        for size, status in ((32768, 200), (32769, 431), (200_000, 431)):
            self.assertEqual(self.refusal(baton, begin + b"x" * (size - len(begin) - len(end)) + end), status, size)

    def test_fields(self):
        baton = self.baton([self.app()])
        for fields, status in ((100, 200), (101, 431)):
            data = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * (fields - 1) + b"\r\n"
            self.assertEqual(self.refusal(baton, data), status)

    def test_body(self):
        app = self.app(lambda request: reply(b"%d" % len(request.body)))
        baton = self.baton([app], limits={"body": "1000B"})
        head = b"POST / HTTP/1.1\r\nHost: a\r\n"
        for size, status in ((1000, 200), (1001, 413)):
            self.assertEqual(self.refusal(baton, head + b"Content-Length: %d\r\n\r\n" % size + b"x" * size), status)
        for sizes, status in (((400, 600), 200), ((400, 601), 413), ((1001,), 413)):
            body = b"".join(chunk(b"x" * size) for size in sizes) + b"0\r\n\r\n"
            self.assertEqual(self.refusal(baton, head + b"Transfer-Encoding: chunked\r\n\r\n" + body), status)
        self.assertEqual([line.get("fault") for line in baton.wait_access(5)],
                         [None, "body_too_large", None, "body_too_large", "body_too_large"])

    def test_refused_upload_may_go_on_for_a_while(self):
        # The client is in the middle of sending: a reset would take the 413 from it.
        baton = self.baton([self.app()], limits={"body": "1KiB"})
        client = self.client(baton)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n")
        self.assertTrue(client.readable(10))
        for _ in range(4):
            client.send(b"x" * 10_000)  # fails if the connection has been reset
            self.assertTrue(client.readable(0.01))
        self.assertEqual(client.answer().status, 413)
        self.assertEqual(list(client.to_the_end()), [])

    def test_connections(self):
        baton = self.baton([self.app()], limits={"connections": 3})
        clients = [self.client(baton) for _ in range(3)]
        for client in clients:  # so that none is idle
            client.send(b"GET / HTTP/1.1\r\nHost: ")
        late = self.client(baton)
        late.request()
        self.assertIn("level=warn", baton.wait_event("accepting paused"))
        self.assertFalse(late.readable(0.3))  # it waits, and is not refused
        clients[1].close()
        self.assertEqual(late.answer().status, 200)
        for client in (clients[0], clients[2]):  # the others go on
            client.send(b"a\r\n\r\n")
            self.assertEqual(client.answer().status, 200)
        self.assertEqual(baton.event_text().count("accepting paused"), 1)

    def test_F_idle_crowd_the_next_client_is_served_at_once(self):
        baton = self.baton([self.app()], top={"workers": 4}, limits={"connections": 50})
        silent = [self.client(baton) for _ in range(50)]
        idle = []
        for _ in range(200):  # by all workers, also those that have no idle connection
            client = self.client(baton)
            self.assertEqual(client.ask().status, 200)
            idle.append(client)
        for client in silent + idle[:100]:
            self.assertEqual(client.wait_end(), b"")
        self.assertEqual(baton.event_text().count("accepting paused"), 0)
        self.assertIn("connections_max=50", baton.wait_event("idle connections closed to make room"))

    def test_F_idle_crowd_a_worker_without_idle_ones_asks_the_others(self):
        # Which worker a connection comes to is chance: 30 times out of two it is the other one's often enough.
        for workers in (2, 5):
            baton = self.baton([self.app()], top={"workers": workers}, limits={"connections": 1})
            for _ in range(30):
                self.assertEqual(self.client(baton).ask().status, 200)
            baton.stop()

    def test_F_idle_crowd_idle_servers_keep_nobody_out(self):
        """Idle connections to servers hold nearly all descriptors: clients and operators come in all the same."""
        together = threading.Barrier(50)

        def answer(_request):
            together.wait(PATIENCE)  # so that each request has a connection of its own
            return reply(b"ok")

        apps = [self.app(answer) for _ in range(4)]
        upstreams = [upstream_of([app], name=f"u{i}") for i, app in enumerate(apps)]
        routes = [{"upstream": f"u{i}", "path": f"/{i}", "session": "off"} for i in range(4)]
        baton = self.started(Baton(config(upstreams=upstreams, routes=routes, admin={"address": "127.0.0.1:0"}),
                                   descriptors=200))
        operators = []
        for i in range(4):
            for _ in range(8):
                operators.append(self.client(baton.admin_port))
                self.assertEqual(operators[-1].ask(target="/healthz", host="localhost").status, 200)
            clients = [self.client(baton) for _ in range(50)]
            for client in clients:
                client.request(target=f"/{i}")
            for client in clients:
                self.assertEqual(client.answer().status, 200)
                client.close()
        self.assertNotIn("accepting paused", baton.event_text())

    def test_F_idle_crowd_one_client_of_all_workers(self):
        self.held = []
        baton = self.baton([self.app()], top={"workers": 4}, listener={"connections_per_client_max": 20},
                           admin={"address": "127.0.0.1:0"})
        answers = [self.answer_or_none(baton) for _ in range(60)]
        self.assertEqual([status for status in answers if status is not None], [200] * 20)
        line = baton.wait_event("connection refused, its client has too many")
        self.assertIn("client=127.0.0.1", line)
        self.assertIn("connections_per_client_max=20", line)
        text = self.client(baton.admin_port).ask(target="/metrics", host="localhost").body.decode()
        self.assertIn("baton_connections_refused_total 40\n", text)
        for client in self.held:
            client.close()
        eventually(lambda: self.answer_or_none(baton) == 200, "a place")

    def answer_or_none(self, baton):
        """The status of an answer on a new connection, which stays; None if it was reset."""
        try:
            client = self.client(baton)
            self.held.append(client)
            return client.ask().status
        except (OSError, EOFError, Incomplete):
            return None

    def test_connections_over_all_workers(self):
        baton = self.baton([self.app()], top={"workers": 2}, limits={"connections": 4})
        clients = []
        for _ in range(20):
            clients.append(self.client(baton))
            clients[-1].request()  # at once: a silent one would give its place to the next
        for _ in range(20):  # each in its turn: when one is served another comes in
            eventually(lambda: any(c.sock.fileno() >= 0 and c.readable(0) for c in clients), "an answer")
            ready = next(c for c in clients if c.sock.fileno() >= 0 and c.readable(0))
            self.assertEqual(ready.answer().status, 200)
            ready.close()

    def assert_calm(self, baton):
        """Little is computed in a second in which nothing can be done."""
        before = baton.cpu_seconds()
        self.assertFalse(threading.Event().wait(1))  # the time to be measured
        self.assertLess(baton.cpu_seconds() - before, 0.5)

    def test_few_descriptors_derived(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def slow(_request):
            go.wait(10)
            return reply(b"done")

        app = self.app(slow)
        baton = self.started(Baton(config([app]), descriptors=100))
        # (100 - 64 - 2) / 2
        self.assertIn("connections_max=17", baton.wait_event("event=ready"))
        clients = [self.client(baton) for _ in range(17)]
        for client in clients:
            client.request()
        app.wait_requests(17)  # each has its server connection
        waiting = [self.client(baton) for _ in range(13)]
        for client in waiting:
            client.request()
        baton.wait_event("accepting paused")
        self.assertFalse(waiting[3].readable(0))
        self.assert_calm(baton)
        go.set()
        for client in clients + waiting:
            self.assertEqual(client.answer().status, 200)

    def test_connections_are_cut_to_what_the_descriptors_allow(self):
        app = self.app()
        baton = self.started(Baton(config([app], limits={"connections": 1000}), descriptors=100))
        self.assertIn("asked=1000 connections_max=17", baton.wait_event("more than the descriptors allow"))
        self.assertIn("connections_max=17", baton.wait_event("event=ready"))
        clients = [self.client(baton) for _ in range(30)]
        for client in clients[13:]:  # the others gave their places to these
            self.assertEqual(client.ask().status, 200)

    def test_descriptors_run_out(self):
        app = self.app()
        baton = self.started(Baton(config([app])))
        # Taken away behind its back: what was derived at the start is more than there is now.
        resource.prlimit(baton.process.pid, resource.RLIMIT_NOFILE, (40, 40))
        clients = [self.client(baton) for _ in range(60)]
        self.assertIn("Too many open files", baton.wait_event("accepting paused"))
        self.assert_calm(baton)
        self.assertIn(clients[0].ask().status, (200, 503))
        for client in clients[:40]:
            client.close()
        self.assertEqual(clients[55].ask().status, 200)


if __name__ == "__main__":
    unittest.main()
