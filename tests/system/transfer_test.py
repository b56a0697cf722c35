"""Bodies: large ones, slow readers and writers, and those that were cut."""

import random
import threading
import unittest

from harness import SystemTest
from peers import App, Incomplete, chunk, random_pieces, raw, reply, sha


MIB = 1 << 20


class TransferTest(SystemTest):
    def test_chunked_upload_in_random_chunks(self):
        app = self.app(lambda request: reply(sha(request.pieces()).encode()))
        client = self.client(self.baton([app]))
        for seed in range(3):
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in random_pieces(3 * MIB, seed):
                client.send(chunk(piece))
            client.send(b"0\r\n\r\n")
            self.assertEqual(client.answer().body.decode(), sha(random_pieces(3 * MIB, seed)))
            self.assertEqual(app.last().get("Transfer-Encoding"), "chunked")
            self.assertEqual(app.last().all("Content-Length"), [])
        self.assertEqual(app.connections, 1)

    def test_chunked_download_in_random_chunks(self):
        def answer(request):
            request.wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in random_pieces(3 * MIB, 5):
                request.wire.send(chunk(piece))
            return b"0\r\n\r\n"

        app = self.app(answer)
        client = self.client(self.baton([app]))
        for _ in range(3):
            client.request()
            head = client.head()
            self.assertEqual(sha(client.body_of(head)), sha(random_pieces(3 * MIB, 5)))
        self.assertEqual(app.connections, 1)

    def test_both_ways_at_once(self):
        # The server echoes what it reads while it still reads.
        def answer(request):
            request.wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in request.pieces():
                request.wire.send(chunk(piece))
            return b"0\r\n\r\n"

        client = self.client(self.baton([self.app(answer)]))

        def upload():
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in random_pieces(3 * MIB, 9):
                client.send(chunk(piece))
            client.send(b"0\r\n\r\n")

        sender = threading.Thread(target=upload)
        sender.start()
        head = client.head()
        self.assertEqual(sha(client.body_of(head)), sha(random_pieces(3 * MIB, 9)))
        sender.join()

    def assert_stalls(self, progress, total, baton, before):
        """Waits until the sender is held up, which is when it did not get on for a while."""
        last, still = -1, 0
        while still < 20:  # 200 ms
            still = still + 1 if progress[0] == last else 0
            last = progress[0]
            threading.Event().wait(0.01)
        self.assertLess(progress[0], total)
        self.assertGreater(progress[0], 0)
        self.assertLess(baton.memory() - before, 8 * MIB)

    def test_large_download_to_a_slow_reader(self):
        block = random.Random(1).randbytes(MIB)
        total = 50
        progress = [0]

        def answer(request):
            if request.target == "/small":
                return reply(b"x")
            request.wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (total * MIB))
            for _ in range(total * 16):
                request.wire.send(block[:MIB // 16])
                progress[0] += MIB // 16
            return b""

        app = self.app(answer, send_buffer=64 << 10)
        baton = self.baton([app], timeouts={"send": "9s"})
        self.ask(baton, target="/small")
        before = baton.memory()
        client = self.client(baton, receive_buffer=64 << 10)
        client.request()
        head = client.head()
        self.assert_stalls(progress, total * MIB, baton, before)
        self.assertEqual(sha(client.body_of(head)), sha(block[:MIB // 16] for _ in range(total * 16)))
        self.assertLess(baton.memory() - before, 8 * MIB)

    def test_large_upload_to_a_slow_reader(self):
        block = random.Random(2).randbytes(MIB // 16)
        total = 50
        progress = [0]
        go = threading.Event()

        def answer(request):
            go.wait(10)
            return reply(sha(request.pieces()).encode())

        app = self.app(answer, receive_buffer=64 << 10)
        baton = self.baton([app])
        self.addCleanup(go.set)
        before = baton.memory()
        client = self.client(baton)

        def upload():
            client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (total * MIB))
            for _ in range(total * 16):
                client.send(block)
                progress[0] += len(block)

        sender = threading.Thread(target=upload)
        sender.start()
        self.assert_stalls(progress, total * MIB, baton, before)
        go.set()
        self.assertEqual(client.answer().body.decode(), sha(block for _ in range(total * 16)))
        sender.join()
        self.assertLess(baton.memory() - before, 8 * MIB)


    def test_last_answer_to_a_slow_reader(self):
        client = self.client(self.baton([self.app(lambda request: reply(b"x" * 5_000_000))]), receive_buffer=32 << 10)
        client.request(fields=[("Connection", "close")])
        head = client.head()
        threading.Event().wait(0.1)  # baton has nothing left to do but to wait for the reader
        self.assertEqual(sum(len(piece) for piece in client.body_of(head)), 5_000_000)
        self.assertEqual(client.wait_end(), b"")

    def test_requests_without_end_from_a_client_that_reads_nothing(self):
        baton = self.baton([self.app(lambda request: reply(b"x" * 10_000))])
        self.ask(baton)
        before = baton.memory()
        client = self.client(baton, receive_buffer=32 << 10)
        self.until_stuck(client, b"GET / HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n" % (b"y" * 20_000))
        self.assertLess(baton.memory() - before, 8 * MIB)
        cpu = baton.cpu_seconds()
        threading.Event().wait(0.3)  # the time to be measured
        self.assertLess(baton.cpu_seconds() - cpu, 0.15)

    def test_idle_connections_hold_little(self):
        baton = self.baton([self.app()])
        self.ask(baton)
        before = baton.memory()
        clients = [self.client(baton) for _ in range(500)]
        for client in clients:
            client.ask()
        self.assertLess((baton.memory() - before) / 500, 4096)


class TruncationTest(SystemTest):
    """What was cut on the server's side never looks whole on the client's."""

    def assert_cut(self, answer, request=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
        self.app_server.handler = answer
        client = self.client(self.cutting)
        client.send(request)
        with self.assertRaises(Incomplete):
            got = client.answer()
            self.fail(f"looks whole: {got.head!r} {got.body!r}")

    def setUp(self):
        self.app_server = self.app()
        self.cutting = self.baton([self.app_server])

    def test_length(self):
        self.assert_cut(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"))

    def test_length_without_a_byte(self):
        self.assert_cut(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"))

    def test_chunked(self):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for body in (b"", b"5", b"5\r\nhe", chunk(b"hello"), chunk(b"hello") + b"0", chunk(b"hello") + b"0\r\n",
                     chunk(b"hello") + b"0\r\nX-T: 1\r\n"):
            for request in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"):
                with self.subTest(body=body, request=request):
                    self.assert_cut(raw(head, body), request)
        self.assertEqual([line["fault"] for line in self.cutting.wait_access(14)], ["server_gone"] * 14)

    def test_until_close_ended_by_a_reset(self):
        def answer(request):
            request.wire.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
            answered.wait(10)
            raise App.Close(reset=True)

        for version in (b"1.1", b"1.0"):
            answered = threading.Event()
            baton = self.baton([self.app(answer)])
            self.addCleanup(answered.set)
            client = self.client(baton)
            client.send(b"GET / HTTP/" + version + b"\r\nHost: a\r\n\r\n")
            head = client.head()
            body = client.body_of(head)
            self.assertEqual(next(body), b"hello")
            answered.set()
            with self.assertRaises(Incomplete):
                b"".join(body)

    def test_nonsense_in_the_middle(self):
        def answer(request):
            request.wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hello"))
            seen.wait(10)
            raise App.Close(b"nonsense\r\n")

        seen = threading.Event()
        baton = self.baton([self.app(answer)])
        self.addCleanup(seen.set)
        client = self.client(baton)
        client.request()
        body = client.body_of(client.head())
        self.assertEqual(next(body), b"hello")
        seen.set()
        with self.assertRaises(Incomplete):
            b"".join(body)
        self.assertEqual(baton.wait_access()[0]["fault"], "bad_response")

    def test_bytes_behind_an_answer_are_nobodys(self):
        app = self.app(lambda request: reply(b"x") + reply(b"EVIL"))
        client = self.client(self.baton([app]))
        for _ in range(5):
            self.assertEqual(client.ask().body, b"x")
        self.assertEqual(app.connections, 5)

    def test_bytes_on_an_idle_connection_are_nobodys(self):
        def answer(request):
            if request.target == "/1":
                request.wire.send(reply(b"x"))
                got_it.wait(10)
                return reply(b"EVIL")
            return reply(b"good")

        got_it = threading.Event()
        app = self.app(answer)
        client = self.client(self.baton([app]))
        self.addCleanup(got_it.set)
        self.assertEqual(client.ask(target="/1").body, b"x")
        got_it.set()
        app.wait(lambda: app.ended == 1, "the end of the first connection")
        self.assertEqual(client.ask(target="/2").body, b"good")


if __name__ == "__main__":
    unittest.main()
