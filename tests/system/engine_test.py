"""Messages through baton: framing, pipelining, fields, 1xx."""

import hashlib
import threading
import unittest

from harness import SystemTest
from peers import App, chunk, random_pieces, raw, reply, sha


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
        baton = self.baton([app])
        client = self.client(baton)
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(client.answer().status, 200)
        self.assertEqual(app.last().get("Host"), f"127.0.0.1:{baton.port}")

    def test_http_1_0_gets_unknown_length_until_close(self):
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for answer in (raw(chunked, chunk(b"he"), chunk(b"llo"), b"0\r\n\r\n"),
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
            for method, status, length in (("HEAD", 200, "1234"), ("GET", 304, "1234"), ("GET", 204, None),
                                           ("HEAD", 404, "1234")):
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
        self.assertEqual((app.last().get("Transfer-Encoding"), app.last().get("Content-Length"),
                          app.last().body), (None, "0", b""))
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
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"1;ext=1\r\nb\r\n0\r\nX-T: 1\r\n\r\n")
        got = client.answer()
        self.assertEqual((got.body, got.trailers, got.all("Trailer")), (b"a", [], []))
        self.assertEqual((app.last().body, app.last().trailers), (b"b", []))

    def test_hop_by_hop_fields_stay(self):
        own = [("Connection", "X-Own"), ("X-Own", "1"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "x"),
               ("X-Other", "2")]
        app = self.app(lambda request: reply(b"x", own))
        client = self.client(self.baton([app]))
        client.request(fields=[("Connection", "X-Own, keep-alive, Host, Authorization"), ("X-Own", "1"),
                               ("TE", "trailers"), ("Keep-Alive", "x"), ("Proxy-Connection", "x"),
                               ("Upgrade", "h2c"), ("Authorization", "me"), ("X-Other", "2")])
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
        self.assertEqual([f for f in answer.fields if f[0] not in ("Content-Length", "Date")],
                         [("x-B", "1"), ("X-a", "caf\xe9"), ("x-B", "2"), ("Server", "own")])


class InterimTest(SystemTest):
    def test_100_continue_is_passed_on(self):
        def answer(request):
            request.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            return reply(request.body)

        app = self.app(answer)
        client = self.client(self.baton([app], upstream={"request_buffer": 0}))
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

        client = self.client(self.baton([self.app(answer)], upstream={"request_buffer": 0}))
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
        client = self.client(self.baton([app], upstream={"request_buffer": 0}))
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
        client = self.client(self.baton([app], upstream={"request_buffer": 0}))
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


if __name__ == "__main__":
    unittest.main()
