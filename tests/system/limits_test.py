"""The limits, each exactly at it and one beyond."""

import resource
import threading
import unittest

from harness import Baton, SystemTest, config, eventually
from peers import chunk, reply


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
        for client in clients:
            self.assertEqual(client.ask().status, 200)
        late = self.client(baton)
        late.request()
        self.assertIn("level=warn", baton.wait_event("accepting paused"))
        self.assertFalse(late.readable(0.3))  # it waits, and is not refused
        self.assertEqual(clients[0].ask().status, 200)  # the others go on
        clients[1].close()
        self.assertEqual(late.answer().status, 200)
        for _ in range(5):  # once a minute
            self.client(baton)
        self.assertEqual(clients[0].ask().status, 200)
        self.assertEqual(baton.event_text().count("accepting paused"), 1)

    def test_connections_over_all_workers(self):
        baton = self.baton([self.app()], top={"workers": 2}, limits={"connections": 4})
        clients = [self.client(baton) for _ in range(20)]
        for client in clients:
            client.request()
        for client in clients:  # each in its turn: when one has gone another comes in
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
        app = self.app()
        baton = self.started(Baton(config([app]), descriptors=100))
        # (100 - 64 - 2) / 2
        self.assertIn("connections_max=17", baton.wait_event("event=ready"))
        clients = [self.client(baton) for _ in range(30)]
        for client in clients[:17]:
            client.request()
        for client in clients[:17]:
            self.assertEqual(client.answer().status, 200)  # each has its server connection
        baton.wait_event("accepting paused")
        self.assertFalse(clients[20].readable(0))
        self.assert_calm(baton)
        for client in clients[:17]:
            client.close()
        self.assertEqual(clients[20].ask().status, 200)

    def test_connections_are_cut_to_what_the_descriptors_allow(self):
        app = self.app()
        baton = self.started(Baton(config([app], limits={"connections": 1000}), descriptors=100))
        self.assertIn("asked=1000 connections_max=17", baton.wait_event("more than the descriptors allow"))
        self.assertIn("connections_max=17", baton.wait_event("event=ready"))
        clients = [self.client(baton) for _ in range(30)]
        for client in clients[:17]:
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
