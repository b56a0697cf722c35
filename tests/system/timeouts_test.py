"""Servers that are slow; clients that are, or that leave."""

import threading
import time
import unittest

from harness import SystemTest, eventually
from peers import App, Incomplete, chunk, reply


class TimeoutTest(SystemTest):
    def silent(self, first=b""):
        """A server that reads, says `first`, and then nothing until the test is over."""
        def answer(request):
            request.wire.send(first)
            request.wire.wait_end()
            raise App.Close()

        return self.app(answer)

    def test_connect_timeout_moves_on(self):
        app = self.app()
        baton = self.baton([self.full(), app], upstream={"timeouts": {"connect": "200ms"}})
        began = time.monotonic()
        self.assertEqual(self.ask(baton, "POST", body=b"hello").status, 200)
        self.assertGreater(time.monotonic() - began, 0.19)
        self.assertEqual(app.last().body, b"hello")
        self.assertIn("ETIMEDOUT", baton.wait_event("cannot connect to a server"))

    def test_connect_timeout_with_no_other_server(self):
        baton = self.baton([self.full()], upstream={"timeouts": {"connect": "200ms"}})
        self.assertEqual(self.ask(baton).status, 503)
        self.assertEqual(self.fault(baton), "no_server")

    def test_response_timeout(self):
        app = self.silent()
        baton = self.baton([app], upstream={"timeouts": {"response": "300ms"}})
        for method, body in (("GET", None), ("POST", b"hello")):
            client = self.client(baton)
            began = time.monotonic()
            answer = client.ask(method, body=body)
            self.assertEqual((answer.status, answer.closes()), (504, True))
            self.assertGreater(time.monotonic() - began, 0.29)
            self.assertEqual(client.wait_end(), b"")
        self.assertEqual([line["fault"] for line in baton.wait_access(2)], ["server_slow"] * 2)
        app.wait(lambda: app.ended == 2, "the end of the server's connections")
        self.assertEqual(len(app.requests), 2)  # a slow one is not asked again

    def test_server_that_does_not_take_the_upload(self):
        go = threading.Event()
        app = self.app(lambda request: go.wait(10) and None, receive_buffer=32 << 10)
        baton = self.baton([app], upstream={"timeouts": {"response": "300ms"}})
        self.addCleanup(go.set)
        client = self.client(baton)

        def upload():
            try:
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000000\r\n\r\n" + b"x" * 60_000_000)
            except OSError:
                pass  # baton does not take it all

        sender = threading.Thread(target=upload)
        sender.start()
        answer = client.answer()
        self.assertEqual((answer.status, answer.closes()), (504, True))
        sender.join()

    def test_interim_answers_do_not_move_the_response_timeout(self):
        def answer(request):
            while True:  # ends when baton closes
                request.wire.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                if request.wire.readable(0.1):
                    raise App.Close()

        baton = self.baton([self.app(answer)], upstream={"timeouts": {"response": "300ms"}})
        self.assertEqual(self.ask(baton).status, 504)

    def test_idle_timeout_cuts_the_answer(self):
        for first in (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
                      b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hello"),
                      b"HTTP/1.1 200 OK\r\n\r\nhello"):
            baton = self.baton([self.silent(first)], upstream={"timeouts": {"idle": "300ms"}})
            client = self.client(baton)
            client.request()
            body = client.body_of(client.head())
            self.assertEqual(next(body), b"hello")
            with self.assertRaises(Incomplete):
                b"".join(body)
            self.assertEqual(self.fault(baton), "server_slow")

    def test_idle_timeout_is_moved_by_each_byte(self):
        def answer(request):
            request.wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            for _ in range(5):
                request.wire.readable(0.15)  # the time must pass
                request.wire.send(b"x")
            return b""

        baton = self.baton([self.app(answer)], upstream={"timeouts": {"idle": "300ms", "response": "300ms"}})
        self.assertEqual(self.ask(baton).body, b"xxxxx")

    def test_total_timeout(self):
        def answer(request):
            request.wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not request.wire.readable(0.05):
                request.wire.send(chunk(b"x"))
            raise App.Close()

        baton = self.baton([self.app(answer)], upstream={"timeouts": {"total": "400ms"}})
        client = self.client(baton)
        began = time.monotonic()
        with self.assertRaises(Incomplete):
            client.ask()
        self.assertLess(abs(time.monotonic() - began - 0.4), 0.3)
        self.assertEqual(self.fault(baton), "server_slow")

    def test_header_timeout(self):
        baton = self.baton([self.app()], timeouts={"header": "400ms"})
        client = self.client(baton)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        began = time.monotonic()
        while not client.readable(0.05):  # a byte now and then does not help
            client.send(b"x")
        self.assertLess(abs(time.monotonic() - began - 0.4), 0.3)
        answer = client.answer()
        self.assertEqual((answer.status, answer.closes()), (408, True))
        self.assertEqual(self.fault(baton), "client_slow")

    def test_F_slow_post_many_drips_occupy_no_server_thread(self):
        slots = threading.BoundedSemaphore(2)  # an application with two threads

        def answer(request):
            if not slots.acquire(blocking=False):
                return reply(b"busy", status="503 Busy")
            try:
                return reply(request.body)
            finally:
                slots.release()

        app = self.app(answer)
        baton = self.baton([app], timeouts={"body_idle": "2s"}, limits={"upload_rate_min": "500B", "rate_grace": "1s"})
        drips = [self.client(baton) for _ in range(200)]
        for number, drip in enumerate(drips):
            framing = b"Content-Length: 1000" if number % 2 else b"Transfer-Encoding: chunked"
            drip.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
        dripping = set(drips)
        while dripping:
            for drip in list(dripping):
                if drip.readable(0):
                    dripping.remove(drip)
                else:
                    drip.send(b"x" if drips.index(drip) % 2 else b"1\r\nx\r\n")
            self.assertEqual(self.ask(baton, "POST", body=b"hello").body, b"hello")  # at any time
            for drip in list(dripping)[:1]:
                drip.readable(0.05)  # the time must pass
        self.assertEqual({drip.answer().status for drip in drips}, {408})
        self.assertEqual({request.body for request in app.requests}, {b"hello"})
        self.assertIsNone(next(iter(baton.wait_access(200, lambda line: line["status"] == 408))).get("server"))

    def test_body_idle(self):
        app = self.silent()
        baton = self.baton([app], timeouts={"body_idle": "300ms"})
        for framing, some in ((b"Content-Length: 10", b"hello"), (b"Content-Length: 10", b""),
                              (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n"),
                              (b"Transfer-Encoding: chunked", b"5\r\nhe")):
            client = self.client(baton)
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n" + some)
            answer = client.answer()
            self.assertEqual((answer.status, answer.closes()), (408, True))
        self.assertEqual([line["fault"] for line in baton.wait_access(4)], ["client_slow"] * 4)

    def test_body_idle_is_moved_by_each_byte(self):
        app = self.app(lambda request: reply(request.body))
        baton = self.baton([app], timeouts={"body_idle": "300ms"}, upstream={"timeouts": {"response": "300ms"}})
        client = self.client(baton)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        for _ in range(5):
            self.assertFalse(client.readable(0.15))  # the time must pass
            client.send(b"x")
        self.assertEqual(client.answer().body, b"xxxxx")

    def test_keepalive_timeout(self):
        baton = self.baton([self.app()], timeouts={"keepalive": "300ms"})
        client = self.client(baton)
        client.ask()
        began = time.monotonic()
        self.assertEqual(client.wait_end(), b"")
        self.assertLess(abs(time.monotonic() - began - 0.3), 0.25)
        fresh = self.client(baton)  # one that never asked
        self.assertEqual(fresh.wait_end(), b"")
        self.assertEqual(len(baton.wait_access(1)), 1)

    def test_send_timeout(self):
        app = self.app(lambda request: reply(b"x" * 30_000_000))
        baton = self.baton([app], timeouts={"send": "300ms"})
        client = self.client(baton, receive_buffer=32 << 10)
        client.request()
        self.assertEqual(self.fault(baton), "client_slow")
        with self.assertRaises(Incomplete):
            client.answer()

    def test_reader_that_is_slow_but_reads_is_left_alone(self):
        app = self.app(lambda request: reply(b"x" * 8_000_000))
        client = self.client(self.baton([app], timeouts={"send": "400ms"}, upstream={"timeouts": {"idle": "200ms"}}),
                             receive_buffer=32 << 10)
        client.request()
        head = client.head()
        size = 0
        for piece in client.body_of(head):
            size += len(piece)
            if size < 600_000:
                threading.Event().wait(0.02)  # slow, and for longer than both limits
        self.assertEqual(size, 8_000_000)


class ClientGoneTest(SystemTest):
    def slow(self):
        go = threading.Event()
        app = self.app(lambda request: go.wait(10) and None or reply(b"late answer"))
        return go, app

    def test_half_close_still_gets_the_answer(self):
        go, app = self.slow()
        baton = self.baton([app])
        self.addCleanup(go.set)
        client = self.client(baton)
        client.request()
        client.half_close()
        app.wait_requests(1)
        go.set()
        self.assertEqual(client.answer().body, b"late answer")
        self.assertEqual(client.wait_end(), b"")
        self.assertNotIn("fault", baton.wait_access()[0])

    def test_half_close_behind_pipelined_requests(self):
        app = self.app(lambda request: reply(request.target.encode()))
        client = self.client(self.baton([app]))
        client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
        client.half_close()
        self.assertEqual(client.answer().body, b"/1")
        self.assertEqual(client.wait_end(), b"")

    def test_client_gone_bounds_the_wait(self):
        _, app = self.slow()
        app.handler = lambda request: request.wire.wait_end() and None
        baton = self.baton([app], timeouts={"client_gone": "300ms"})
        client = self.client(baton)
        client.request()
        app.wait_requests(1)
        client.half_close()
        self.assertEqual(client.wait_end(), b"")
        app.wait(lambda: app.ended == 1, "the end of the server's connection")
        line = baton.wait_access()[0]
        self.assertEqual((line["status"], line["fault"]), (499, "client_gone"))

    def test_half_closed_download_outlives_client_gone(self):
        def answer(request):
            request.wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
            for _ in range(8):
                threading.Event().wait(0.1)  # the time must pass
                request.wire.send(b"x")
            return b""

        client = self.client(self.baton([self.app(answer)], timeouts={"client_gone": "300ms"}))
        client.request()
        client.half_close()
        self.assertEqual(client.answer().body, b"x" * 8)

    def test_client_gone_0_aborts_at_once(self):
        app = self.app(lambda request: request.wire.wait_end() and None)
        baton = self.baton([app], timeouts={"client_gone": "0s"})
        client = self.client(baton)
        client.request()
        app.wait_requests(1)
        client.half_close()
        app.wait(lambda: app.ended == 1, "the end of the server's connection")
        self.assertEqual(self.fault(baton), "client_gone")

    def test_reset_ends_the_server_connection(self):
        app = self.app(lambda request: request.wire.wait_end() and None)
        baton = self.baton([app])
        client = self.client(baton)
        client.request()
        app.wait_requests(1)
        client.reset()
        app.wait(lambda: app.ended == 1, "the end of the server's connection")
        self.assertEqual(self.fault(baton), "client_gone")

    def test_reset_while_connecting(self):
        baton = self.baton([self.full()], upstream={"timeouts": {"connect": "30s"}})
        client = self.client(baton)
        client.send(b"GET / HTTP/1.1\r\n")
        self.assertFalse(client.readable(0.05))  # it has been accepted by then
        before = baton.descriptors()
        client.send(b"Host: a\r\n\r\n")
        eventually(lambda: baton.descriptors() > before, "the attempt to connect")
        client.reset()
        self.assertEqual(self.fault(baton), "client_gone")
        eventually(lambda: baton.descriptors() == before - 1, "the end of both connections")

    def test_no_descriptor_is_lost(self):
        app = self.app(lambda request: reply(b"x" * 300_000))
        baton = self.baton([app], upstream={"keepalive": {"idle_max": 0}})
        begin = baton.descriptors() + 1  # the first stream makes libuv keep one more
        self.ask(baton)
        eventually(lambda: baton.descriptors() == begin, "the end of the first connection, on both sides")
        for turn in range(300):
            client = self.client(baton)
            client.send((b"GET / HTTP/1.1\r\nHo", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                         b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nxx", b"nonsense\r\n\r\n")[turn % 4])
            if turn % 8 == 1:
                client.head()
            if turn % 3:
                client.reset()
            else:
                client.close()
        eventually(lambda: baton.descriptors() == begin, "the end of all connections")

    def test_end_inside_a_request_aborts(self):
        app = self.app()
        baton = self.baton([app], upstream={"request_buffer": 0})
        for data in (b"GET / HTTP/1.1\r\nHo", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello",
                     b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"):
            client = self.client(baton)
            client.send(data)
            client.half_close()
            self.assertEqual(client.wait_end(), b"")
        self.assertEqual([line["fault"] for line in baton.wait_access(3)], ["client_gone"] * 3)
        app.wait(lambda: app.ended == 2, "the end of the server's connections")

    def test_download_that_nobody_reads_any_more_ends(self):
        app = self.app(lambda request: reply(b"x" * 50_000_000))
        baton = self.baton([app])
        client = self.client(baton)
        client.request()
        client.head()
        client.reset()
        app.wait(lambda: app.ended == 1, "the end of the server's connection")
        self.assertEqual(self.fault(baton), "client_gone")


if __name__ == "__main__":
    unittest.main()
