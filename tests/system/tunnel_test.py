"""WebSocket tunnels."""

import base64
import hashlib
import threading
import unittest

from harness import SystemTest
from peers import App, random_pieces, raw, reply, sha


MIB = 1 << 20


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
        asked = app.last()
        self.assertEqual((asked.get("Connection").lower(), asked.get("Upgrade").lower()), ("upgrade", "websocket"))
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

    def test_tunnel_to_a_server_that_reads_nothing(self):
        def answer(request):
            request.wire.send(self.accept(request))
            go.wait(10)
            raise App.Close()

        go = threading.Event()
        baton = self.baton([self.app(answer, receive_buffer=32 << 10)])
        self.addCleanup(go.set)
        client = self.client(baton)
        client.ask(fields=self.ASKS)
        before = baton.memory()
        self.until_stuck(client, b"x" * MIB)
        self.assertLess(baton.memory() - before, 8 * MIB)


if __name__ == "__main__":
    unittest.main()
