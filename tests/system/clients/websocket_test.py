"""WebSocket conversations through baton."""

import json
import random
import struct
import subprocess
import threading
import unittest

from clients import Ask, http_client
from harness import eventually
from peers import PATIENCE
from real import RealTest
from servers import HERE, Told, tool
from websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, WebSocket

MIB = 1 << 20


class WebSocketTest(RealTest):
    def setUp(self):
        self.echo = self.own(Told("websocket_echo.py", "echo"))
        self.through = self.baton([self.echo])
        self.before = self.through.descriptors() + 1  # the first stream makes libuv keep one more

    def connect(self):
        client = WebSocket(self.through.port, timeout=PATIENCE)
        self.addCleanup(client.close)
        self.assertEqual((client.status, client.agreed), (101, True))
        return client

    def close_handshake(self, client):
        goodbye = struct.pack("!H", 1000) + b"done"
        client.send(CLOSE, goodbye)
        self.assertEqual(client.frame(), Frame(CLOSE, goodbye))
        self.assertTrue(client.at_end())  # the server ends first (RFC 6455, 7.1.1)
        client.close()

    def line(self):
        """The access log's line, once both connections have ended."""
        eventually(lambda: self.through.descriptors() == self.before, "the end of the tunnel")
        eventually(lambda: self.echo.open() == 0, "the end of the server's side")
        line = self.log(self.through, 1)[0]
        self.assertEqual(line["status"], 101)
        return line

    def test_text_and_close(self):
        client = self.connect()
        for text in ("x", "grüß dich", "y" * 125, "z" * 126, "w" * 70_000):
            client.send(TEXT, text.encode())
            self.assertEqual(client.frame(), Frame(TEXT, text.encode()))
        self.close_handshake(client)
        self.assertNotIn("fault", self.line())

    def test_a_megabyte(self):
        client = self.connect()
        for seed in range(5):
            data = random.Random(seed).randbytes(MIB)
            client.send(BINARY, data)
            self.assertEqual(client.frame(), Frame(BINARY, data))
        self.close_handshake(client)
        line = self.line()
        self.assertNotIn("fault", line)
        self.assertGreater(min(line["in"], line["out"]), 5 * MIB)

    def test_ping_and_pong(self):
        client = self.connect()
        for data in (b"", b"are you there?", bytes(range(125))):
            client.send(PING, data)
            self.assertEqual(client.frame(), Frame(PONG, data))
        client.send(PONG, b"unasked")  # is not answered
        client.send(TEXT, b"next")
        self.assertEqual(client.frame(), Frame(TEXT, b"next"))

    def test_a_ping_between_fragments(self):
        client = self.connect()
        for frame in (Frame(TEXT, b"one ", False), Frame(CONTINUATION, b"two ", False), Frame(PING, b"?"),
                      Frame(CONTINUATION, b"three")):
            client.send(frame.opcode, frame.data, frame.last)
            expected = Frame(PONG, b"?") if frame.opcode == PING else frame
            self.assertEqual(client.frame(), expected)

    def test_server_says_goodbye(self):
        client = self.connect()
        client.send(TEXT, b"close")
        frame = client.frame()
        self.assertEqual((frame.opcode, frame.data), (CLOSE, struct.pack("!H", 4000) + b"as asked"))
        client.send(CLOSE, frame.data)
        self.assertTrue(client.at_end())
        client.close()
        self.assertNotIn("fault", self.line())

    def test_server_resets(self):
        client = self.connect()
        client.send(TEXT, b"reset")
        with self.assertRaises((EOFError, ConnectionResetError, ValueError)):
            client.frame()
        self.line()

    def test_client_is_gone_without_a_word(self):
        client = self.connect()
        client.send(TEXT, b"hello")
        client.frame()
        client.close()
        self.line()

    def test_many_at_once(self):
        clients = [self.connect() for _ in range(50)]
        faults = []

        def talk(number, client):
            try:
                for turn in range(20):
                    text = f"{number} says {turn}".encode()
                    client.send(TEXT, text)
                    if client.frame() != Frame(TEXT, text):
                        faults.append(number)
            except Exception as fault:  # shown below, whatever it is
                faults.append(repr(fault))

        talkers = [threading.Thread(target=talk, args=pair) for pair in enumerate(clients)]
        for talker in talkers:
            talker.start()
        for talker in talkers:
            talker.join()
        self.assertEqual(faults, [])
        for client in clients:
            self.close_handshake(client)
        self.assert_clean(self.log(self.through, 50))

    def test_an_ordinary_request(self):
        answer = http_client(self.through.port, self.files, [Ask("/")])[0]
        self.assertEqual((answer.status, answer.fields.get("upgrade")), (426, None))

    def test_where_it_is_not_allowed(self):
        baton = self.baton([self.echo], route={"websocket": False})
        client = WebSocket(baton.port, timeout=PATIENCE)
        self.addCleanup(client.close)
        self.assertEqual((client.status, client.agreed), (426, False))

    def test_client_of_node(self):
        self.need("node")
        probe = subprocess.run([tool("node"), "-p", "typeof WebSocket"], stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, check=True)
        if probe.stdout.strip() != "function":
            self.skipTest("this node has no WebSocket")
        done = subprocess.run([tool("node"), HERE / "websocket_client.js", str(self.through.port)],
                              stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=3 * PATIENCE)
        self.assertEqual(json.loads(done.stdout or "null"),
                         {"text": "grüß dich", "same": True, "code": 4001, "clean": True}, done.stderr)
        self.assertNotIn("fault", self.line())


if __name__ == "__main__":
    unittest.main()
