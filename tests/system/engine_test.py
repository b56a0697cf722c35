"""Messages through baton: bodies, framing, pipelining, 1xx, tunnels, truncation."""

import base64
import hashlib
import random
import socket
import threading
import unittest

from harness import App, Incomplete, SystemTest, chunk, reply, sha

MIB = 1 << 20


def raw(*parts):
    """An answer as it stands; the connection ends behind it."""
    def answer(_request):
        raise App.Close(b"".join(parts))

    return answer


def random_pieces(total, seed):
    """`total` random bytes in pieces of random sizes, small and large."""
    source = random.Random(seed)
    while total > 0:
        size = min(total, source.choice((1, 2, 15, 16, 17, 255, 4096, source.randrange(1, 70_000))))
        yield source.randbytes(size)
        total -= size


class MessageTest(SystemTest):
    def test_pipelining_in_order(self):
        app = self.app(lambda request: reply(request.target.encode() + request.body))
        baton = self.baton([app])
        client = self.client(baton)
        asked = b""
        for i in range(20):
            if i % 3 == 2:
                asked += b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" % i
            else:
                asked += b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i
        client.send(asked)
        self.assertEqual([client.answer().body for _ in range(20)],
                         [b"/%d" % i + (b"body" if i % 3 == 2 else b"") for i in range(20)])
        self.assertEqual(app.connections, 1)

    def test_pipelined_more_than_a_buffer(self):
        app = self.app(lambda request: reply(hashlib.sha256(request.body).digest()))
        baton = self.baton([app])
        client = self.client(baton)
        bodies = list(random_pieces(400_000, 7))
        asked = b"".join(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(b), b) for b in bodies)
        sender = threading.Thread(target=client.send, args=(asked,))
        sender.start()
        for body in bodies:
            self.assertEqual(client.answer().body, hashlib.sha256(body).digest())
        sender.join()

    def test_nothing_behind_connection_close_is_served(self):
        app = self.app()
        client = self.client(self.baton([app]))
        client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(client.answer().closes())
        self.assertEqual(client.wait_end(), b"")
        self.assertEqual([request.target for request in app.requests], ["/1"])

    def test_good_request_then_garbage(self):
        client = self.client(self.baton([self.app()]))
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGARBAGE\x00\r\n\r\n")
        self.assertEqual(client.answer().status, 200)
        answer = client.answer()
        self.assertEqual((answer.status, answer.closes()), (400, True))
        self.assertEqual(client.wait_end(), b"")

    def test_http_1_0(self):
        app = self.app()
        baton = self.baton([app])
        client = self.client(baton)
        client.send(b"GET /1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        answer = client.answer()
        self.assertEqual(answer.get("Connection"), "keep-alive")
        client.send(b"GET /2 HTTP/1.0\r\nHost: a\r\n\r\n")
        self.assertEqual(client.answer().body, b"app")
        self.assertEqual(client.wait_end(), b"")
        self.assertEqual({request.version for request in app.requests}, {"HTTP/1.1"})

    def test_http_1_0_without_host(self):
        app = self.app()
        client = self.client(self.baton([app]))
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(client.answer().status, 200)
        self.assertEqual(app.last().get("Host"), app.address)

    def test_http_1_0_gets_unknown_length_until_close(self):
        for answer in (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b"he"), chunk(b"llo"), b"0\r\n\r\n"),
                       raw(b"HTTP/1.1 200 OK\r\n\r\nhello"), raw(b"HTTP/1.0 200 OK\r\n\r\nhello")):
            client = self.client(self.baton([self.app(answer)]))
            client.send(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            got = client.answer()
            self.assertEqual((got.body, got.all("Transfer-Encoding"), got.closes()), (b"hello", [], True))

    def test_until_close_becomes_chunked(self):
        client = self.client(self.baton([self.app(raw(b"HTTP/1.1 200 OK\r\n\r\nhello"))]))
        for _ in range(2):
            answer = client.ask()
            self.assertEqual((answer.body, answer.get("Transfer-Encoding")), (b"hello", "chunked"))

    def test_answers_without_a_body_do_not_stall(self):
        def answer(request):
            status = request.target[1:]
            return f"HTTP/1.1 {status} X\r\nContent-Length: 1234\r\nETag: \"x\"\r\n\r\n".encode()

        app = self.app(answer)
        client = self.client(self.baton([app]))
        for _ in range(3):
            for method, status, length in (("HEAD", 200, "1234"), ("GET", 304, "1234"), ("GET", 204, None), ("HEAD", 404, "1234")):
                got = client.ask(method, f"/{status}")
                self.assertEqual((got.status, got.get("Content-Length"), got.get("ETag")), (status, length, '"x"'))
        self.assertEqual(app.connections, 1)

    def test_head_of_a_chunked_page(self):
        app = self.app(lambda request: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                       (b"" if request.method == "HEAD" else chunk(b"hello") + b"0\r\n\r\n"))
        client = self.client(self.baton([app]))
        self.assertEqual(client.ask("HEAD").status, 200)
        self.assertEqual(client.ask("GET").body, b"hello")

    def test_empty_bodies(self):
        app = self.app()
        client = self.client(self.baton([app]))
        client.ask("POST", body=b"")
        self.assertEqual(app.last().get("Content-Length"), "0")
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        self.assertEqual(client.answer().status, 200)
        self.assertEqual((app.last().get("Transfer-Encoding"), app.last().body), ("chunked", b""))
        client.ask("POST")
        self.assertEqual((app.last().get("Transfer-Encoding"), app.last().get("Content-Length")), (None, None))

    def test_servers_say_whether_they_go_on(self):
        def answer(request):
            version, connection = request.target[1:].split("-", 1)
            fields = f"Connection: {connection}\r\n" if connection else ""
            return f"HTTP/{version} 200 OK\r\nContent-Length: 1\r\n{fields}\r\nx".encode()

        for target, connections in (("/1.1-", 1), ("/1.1-close", 4), ("/1.0-", 4), ("/1.0-keep-alive", 1)):
            app = self.app(answer)
            client = self.client(self.baton([app]))
            for _ in range(4):
                self.assertFalse(client.ask(target=target).closes())
            self.assertEqual(app.connections, connections, target)

    def test_trailers_are_dropped(self):
        def answer(request):
            return (b"HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"a") +
                    b"0\r\nX-T: 1\r\nBaton-Session-Set: a=1\r\n\r\n")

        app = self.app(answer)
        client = self.client(self.baton([app]))
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;ext=1\r\nb\r\n0\r\nX-T: 1\r\n\r\n")
        got = client.answer()
        self.assertEqual((got.body, got.trailers, got.all("Trailer")), (b"a", [], []))
        self.assertEqual((app.last().body, app.last().trailers), (b"b", []))

    def test_hop_by_hop_fields_stay(self):
        app = self.app(lambda request: reply(b"x", [("Connection", "X-Own"), ("X-Own", "1"), ("Keep-Alive", "timeout=5"),
                                                    ("Proxy-Connection", "x"), ("X-Other", "2")]))
        client = self.client(self.baton([app]))
        client.request(fields=[("Connection", "X-Own, keep-alive, Host, Authorization"), ("X-Own", "1"), ("TE", "trailers"),
                               ("Keep-Alive", "x"), ("Proxy-Connection", "x"), ("Upgrade", "h2c"), ("Authorization", "me"),
                               ("X-Other", "2")])
        for message in (client.answer(), app.last()):
            names = message.names()
            for name in ("x-own", "keep-alive", "proxy-connection", "te", "upgrade"):
                self.assertNotIn(name, names)
            self.assertEqual(message.get("X-Other"), "2")
        self.assertEqual(app.last().get("Authorization"), "me")
        self.assertEqual(app.last().get("Host"), "test.example")

    def test_fields_keep_name_case_value_and_order(self):
        app = self.app(lambda request: reply(b"", [("x-B", "1"), ("X-a", "caf\xe9"), ("x-B", "2"), ("Server", "own")]))
        client = self.client(self.baton([app]))
        sent = [("x-B", "1"), ("X-a", "caf\xe9 \tx"), ("x-B", "2"), ("X-Empty", "")]
        client.request(fields=sent)
        answer = client.answer()
        self.assertEqual([f for f in app.last().fields if f[0].lower().startswith(("x-b", "x-a", "x-e"))], sent)
        self.assertEqual([f for f in answer.fields if f[0] != "Content-Length"],
                         [("x-B", "1"), ("X-a", "caf\xe9"), ("x-B", "2"), ("Server", "own")])


class InterimTest(SystemTest):
    def test_100_continue_is_passed_on(self):
        def answer(request):
            request.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            return reply(request.body)

        app = self.app(answer)
        client = self.client(self.baton([app]))
        for _ in range(2):
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            self.assertEqual(client.head().status, 100)
            client.send(b"hello")
            got = client.answer()
            self.assertEqual((got.status, got.body), (200, b"hello"))
        self.assertEqual(app.last().get("Expect"), "100-continue")

    def test_final_answer_before_the_body_ends_the_connection(self):
        def answer(request):
            raise App.Close(reply(b"no", status="413 No"))

        client = self.client(self.baton([self.app(answer)]))
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        got = client.answer()
        self.assertEqual((got.status, got.body, got.closes()), (413, b"no", True))
        # What is still sent is no request.
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(client.wait_end(), b"")

    def test_early_answer_while_the_body_is_sent(self):
        # The server answers a large upload at once and keeps reading; the answer arrives and the connection ends.
        app = self.app(lambda request: reply(b"no", status="403 No"))
        app.handler = lambda request: request.wire.send(reply(b"no", status="403 No")) or sha(request.pieces()) and None
        client = self.client(self.baton([app]))
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 1000)
        got = client.answer()
        self.assertEqual((got.status, got.body, got.closes()), (403, b"no", True))

    def test_early_answer_from_a_server_that_reads_no_more(self):
        def answer(request):
            request.wire.send(reply(b"no", [("Connection", "close")], "403 No"))
            request.wire.half_close()
            go.wait(10)
            raise App.Close()

        go = threading.Event()
        baton = self.baton([self.app(answer)])
        self.addCleanup(go.set)
        client = self.client(baton)

        def upload():
            try:
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000000\r\n\r\n" + b"x" * 60_000_000)
            except OSError:
                pass  # baton does not take it all

        sender = threading.Thread(target=upload)
        sender.start()
        got = client.answer()
        self.assertEqual((got.status, got.body, got.closes()), (403, b"no", True))
        sender.join()

    def test_expect_is_sent_again_on_a_new_connection(self):
        def answer(request):
            if request.method == "GET":
                return reply(b"x")
            if len(app.requests) == 2:
                raise App.Close()  # the idle connection was stale
            request.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            return reply(request.body)

        app = self.app(answer)
        client = self.client(self.baton([app]))
        client.ask()
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        self.assertEqual(client.head().status, 100)
        client.send(b"hello")
        self.assertEqual(client.answer().body, b"hello")
        self.assertEqual(len(app.requests), 3)

    def test_unknown_expectation(self):
        client = self.client(self.baton([self.app()]))
        client.request("POST", fields=[("Expect", "the-unexpected")], body=b"x")
        self.assertEqual(client.answer().status, 417)

    def test_103_is_passed_on_but_not_to_1_0(self):
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
        app = self.app(lambda request: hints * 2 + reply(b"x"))
        baton = self.baton([app])
        client = self.client(baton)
        for _ in range(2):
            got = client.ask()
            self.assertEqual([(i.status, i.get("Link")) for i in got.interim], [(103, "</a.css>")] * 2)
            self.assertEqual((got.status, got.body), (200, b"x"))
        old = self.client(baton)
        old.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        got = old.answer()
        self.assertEqual((got.status, got.interim), (200, []))

    def test_17_interim_answers_are_too_many(self):
        app = self.app(lambda request: b"HTTP/1.1 103 Early Hints\r\n\r\n" * int(request.target[1:]) + reply(b"x"))
        baton = self.baton([app])
        self.assertEqual(self.ask(baton, target="/16").status, 200)
        answer = self.ask(baton, target="/17")
        self.assertEqual((answer.status, len(answer.interim)), (502, 16))


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

    def until_stuck(self, client, data):
        """Sends until nothing is taken any more; 100 MB are never taken."""
        client.sock.settimeout(0.3)
        with self.assertRaises(socket.timeout):
            for _ in range(100 * MIB // len(data)):
                client.send(data)
        client.sock.settimeout(10)

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

    def test_tunnel_to_a_server_that_reads_nothing(self):
        def answer(request):
            request.wire.send(TunnelTest.accept(request))
            go.wait(10)
            raise App.Close()

        go = threading.Event()
        baton = self.baton([self.app(answer, receive_buffer=32 << 10)])
        self.addCleanup(go.set)
        client = self.client(baton)
        client.ask(fields=TunnelTest.ASKS)
        before = baton.memory()
        self.until_stuck(client, b"x" * MIB)
        self.assertLess(baton.memory() - before, 8 * MIB)

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
        baton = self.baton([self.app(answer)])
        client = self.client(baton)
        client.send(request)
        with self.assertRaises(Incomplete):
            got = client.answer()
            self.fail(f"looks whole: {got.head!r} {got.body!r}")
        self.assertEqual(baton.wait_access()[0]["fault"], "server_gone")

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


class TunnelTest(SystemTest):
    ASKS = [("Connection", "keep-alive, Upgrade"), ("Upgrade", "WebSocket"), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]

    @staticmethod
    def accept(request):
        key = request.get("Sec-WebSocket-Key").encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        proof = base64.b64encode(hashlib.sha1(key).digest()).decode()
        return (f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {proof}\r\n\r\n").encode()

    def echo(self, request):
        if request.get("Upgrade") is None:
            return reply(b"plain")
        request.wire.send(self.accept(request) + b"\x81\x05hello")  # the server may speak first
        for data in request.wire.to_the_end():
            request.wire.send(data)
        raise App.Close()

    def test_echo_both_ways(self):
        app = self.app(self.echo)
        baton = self.baton([app])
        client = self.client(baton)
        answer = client.ask(fields=self.ASKS)
        self.assertEqual(answer.status, 101)
        self.assertEqual(answer.get("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        self.assertEqual((answer.get("Connection").lower(), answer.get("Upgrade").lower()), ("upgrade", "websocket"))
        self.assertEqual((app.last().get("Connection").lower(), app.last().get("Upgrade").lower()), ("upgrade", "websocket"))
        self.assertEqual(b"".join(client.pieces(7)), b"\x81\x05hello")
        total = 2 * MIB
        sender = threading.Thread(target=lambda: [client.send(piece) for piece in random_pieces(total, 3)])
        sender.start()
        self.assertEqual(sha(client.pieces(total)), sha(random_pieces(total, 3)))
        sender.join()
        client.half_close()  # the echo's end comes back
        self.assertEqual(client.wait_end(), b"")
        line = baton.wait_access()[0]
        self.assertEqual(line["status"], 101)
        self.assertNotIn("fault", line)
        self.assertGreater(line["in"], total)
        self.assertGreater(line["out"], total)

    def test_bytes_sent_with_the_request_are_tunnelled(self):
        client = self.client(self.baton([self.app(self.echo)]))
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.ASKS)
        client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\nEARLY")
        self.assertEqual(client.answer().status, 101)
        self.assertEqual(b"".join(client.pieces(12)), b"\x81\x05helloEARLY")

    def test_server_half_closes(self):
        def answer(request):
            request.wire.send(self.accept(request) + b"bye")
            request.wire.half_close()
            late.append(b"".join(request.wire.pieces(4)))
            raise App.Close()

        late = []
        app = self.app(answer)
        client = self.client(self.baton([app]))
        client.ask(fields=self.ASKS)
        self.assertEqual(client.wait_end(), b"bye")  # the end of that side has come, and no more than that
        client.send(b"late")
        app.wait(lambda: late == [b"late"], "what the client sent afterwards")

    def test_client_half_closes(self):
        def answer(request):
            request.wire.send(self.accept(request))
            said = b"".join(request.wire.to_the_end())
            raise App.Close(b"you said " + said)

        client = self.client(self.baton([self.app(answer)], timeouts={"client_gone": "0s"}))
        client.ask(fields=self.ASKS)
        client.send(b"this")
        client.half_close()
        self.assertEqual(client.wait_end(), b"you said this")

    def test_half_closed_tunnel_outlives_client_gone(self):
        def answer(request):
            request.wire.send(self.accept(request))
            list(request.wire.to_the_end())
            for _ in range(8):
                threading.Event().wait(0.1)  # the time must pass
                request.wire.send(b"x")
            raise App.Close()

        client = self.client(self.baton([self.app(answer)], timeouts={"client_gone": "300ms"}))
        client.ask(fields=self.ASKS)
        client.half_close()
        self.assertEqual(client.wait_end(), b"x" * 8)

    def test_reset_of_one_side_ends_the_other(self):
        app = self.app(self.echo)
        client = self.client(self.baton([app]))
        client.ask(fields=self.ASKS)
        client.reset()
        app.wait(lambda: app.ended == 1, "the end of the server's side")

    def test_server_reset_ends_the_client(self):
        def answer(request):
            request.wire.send(self.accept(request))
            raise App.Close(reset=True)

        client = self.client(self.baton([self.app(answer)]))
        client.ask(fields=self.ASKS)
        self.assertEqual(client.wait_end(), b"")

    def test_idle_tunnel_ends(self):
        app = self.app(self.echo)
        client = self.client(self.baton([app], timeouts={"tunnel_idle": "300ms"}))
        client.ask(fields=self.ASKS)
        self.assertEqual(client.wait_end(), b"\x81\x05hello")
        app.wait(lambda: app.ended == 1, "the end of the server's side")

    def test_route_without_websocket(self):
        app = self.app(self.echo)
        client = self.client(self.baton([app], route={"websocket": False}))
        answer = client.ask(fields=self.ASKS)
        self.assertEqual((answer.status, answer.body), (200, b"plain"))
        self.assertEqual(client.ask().status, 200)  # no tunnel, the connection goes on

    def test_only_websocket_get_is_an_upgrade(self):
        app = self.app(self.echo)
        baton = self.baton([app])
        for method, fields, body in (("POST", self.ASKS, b"x"), ("GET", self.ASKS, b"x"),
                                     ("GET", [("Connection", "Upgrade"), ("Upgrade", "h2c")], None),
                                     ("GET", [("Upgrade", "websocket")], None),
                                     ("GET", [("Connection", "Upgrade"), ("Upgrade", "websocket, h2c")], None)):
            self.assertEqual(self.ask(baton, method, fields=fields, body=body).body, b"plain")

    def test_upgrade_refused_by_the_server(self):
        app = self.app(lambda request: reply(b"no", status="403 No"))
        client = self.client(self.baton([app]))
        for _ in range(2):
            self.assertEqual(client.ask(fields=self.ASKS).status, 403)
        self.assertEqual(client.ask().status, 403)

    def test_101_that_nobody_asked_for(self):
        app = self.app(raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nGET"))
        baton = self.baton([app])
        self.assertEqual(self.ask(baton).status, 502)
        self.assertEqual(baton.wait_access()[0]["fault"], "bad_response")


if __name__ == "__main__":
    unittest.main()
