"""The access log, the event log, and their rotation."""

import json
import signal
import threading
import unittest

from harness import SystemTest, eventually
from peers import Client, reply


class LogTest(SystemTest):
    def test_access_line(self):
        app = self.app(lambda request: reply(b"0123456789", [("Baton-Session-Set", "a=1")]))
        baton = self.baton([app], route={"name": "the-route"})
        client = self.client(baton)
        client.request("POST", "/a/b?c=d", host="shop.example:80", body=b"hello")
        answer = client.answer()
        client.ask(fields=[("Cookie", f"JSESSIONID={answer.cookie()}")])
        first, second = baton.wait_access(2)
        self.assertRegex(first["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertRegex(first["id"], "^[0-9a-f]{32}$")
        self.assertEqual(first["id"], app.requests[0].get("X-Request-Id"))
        numbers = {"wait_ms", "connect_ms", "first_ms", "total_ms"}
        for key in numbers:
            self.assertGreaterEqual(first[key], 0)
        self.assertLessEqual(first["first_ms"], first["total_ms"])
        self.assertGreater(first["in"], len(b"hello"))
        self.assertEqual(first["out"], len(answer.head) + 10)
        exact = {"client": "127.0.0.1", "method": "POST", "host": "shop.example:80", "target": "/a/b?c=d",
                 "status": 200, "route": "the-route", "server": app.address, "tries": 1, "session": "none"}
        self.assertEqual({key: first.get(key) for key in exact}, exact)
        self.assertEqual(set(first), set(exact) | numbers | {"time", "id", "in", "out"})
        self.assertEqual(second["session"], "live")
        self.assertRegex(second["token"], "^[0-9a-f]{8}$")
        text = next(line for line in baton.access_lines())
        self.assertRegex(text, rb'"total_ms":\d+\.\d{3}[,}]')

    def test_F_reason_event_of_a_server(self):
        """What a server did wrong is in the event log too, once a minute and kind, however often it happens."""
        bad = b"HTTP/1.1 200 OK\r\nX Foo: 1\r\n\r\n"
        app = self.app(lambda request: None if request.target == "/slow" else bad)
        baton = self.baton([app], upstream={"timeouts": {"response": "200ms"}})
        for target, status in (("/bad", 502), ("/slow", 504)) * 3:
            self.assertEqual(self.client(baton).ask(target=target).status, status)
        lines = baton.wait_access(6)
        self.assertEqual([line["reason"] for line in lines], ["blank_in_name", "response_timeout"] * 3)
        events = [event for event in baton.events() if event.get("reason") in ("blank_in_name", "response_timeout")]
        self.assertEqual([(event["reason"], event["id"]) for event in events],
                         [("blank_in_name", lines[0]["id"]), ("response_timeout", lines[1]["id"])])
        for event in events:
            self.assertEqual((event["server"], event["upstream"]), (app.address, "app"))

    def test_query_false(self):
        app = self.app()
        baton = self.baton([app], log={"query": False})
        self.ask(baton, target="/a?secret=1")
        self.client(baton).send(b"GET /b?secret=1 HTTP/1.1\r\n\r\n")  # refused: no Host
        self.assertEqual([line["target"] for line in baton.wait_access(2)], ["/a", "/b"])
        self.assertEqual(app.last().target, "/a?secret=1")

    def test_off(self):
        app = self.app()
        baton = self.baton([app], log={"access": "off"})
        self.ask(baton)
        baton.signal(signal.SIGTERM)
        self.assertEqual(baton.wait_exit(), 0)
        self.assertEqual(baton.access_lines(), [])

    def test_hostile_bytes_are_escaped(self):
        app = self.app()
        baton = self.baton([app], listener={"trusted_proxies": ["127.0.0.1"]})
        sent = 0
        for byte in range(256):
            for head in (b"GET /%c HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a%c\r\n\r\n",
                         b"G%cT / HTTP/1.1\r\nHost: a\r\n\r\n",
                         b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1%c2\r\nX-Request-Id: %c\r\n\r\n"):
                client = self.client(baton)
                client.send(head.replace(b"%c", bytes([byte])))
                client.half_close()
                client.wait_end()
                client.close()
                sent += 1
        baton.wait_access(sent)
        for line in baton.access_lines():
            self.assertRegex(line, rb"^\{[\x20-\x7e]*\}\n$")
            self.assertIn("status", json.loads(line))
        self.assertEqual(len(baton.access_lines()), sent)

    def test_quotes_and_backslashes_come_back(self):
        app = self.app()
        baton = self.baton([app])
        target = '/"\\<b>{}|^`\\u0041'
        self.ask(baton, target=target)
        self.assertEqual(baton.wait_access()[0]["target"], target)

    def test_line_of_a_long_target_is_cut_and_parses(self):
        app = self.app()
        baton = self.baton([app])
        self.ask(baton, target="/" + '"' * 8000)
        line = baton.wait_access()[0]
        self.assertTrue(line["target"].endswith("..."))
        self.assertLess(len(baton.access_lines()[0]), 4097)

    def test_client_behind_trusted_proxies(self):
        app = self.app()
        baton = self.baton([app], listener={"trusted_proxies": ["127.0.0.1", "10.0.0.0/8"]})
        self.ask(baton, fields=[("X-Forwarded-For", "6.6.6.6, 1.2.3.4, 10.1.1.1")])
        self.assertEqual(baton.wait_access()[0]["client"], "1.2.3.4")

    def test_rotation_loses_no_line(self):
        app = self.app()
        baton = self.baton([app], top={"workers": 2}, log={"access": "./access.log"})
        log = baton.folder / "access.log"
        sent, stop = [], threading.Event()
        lock = threading.Lock()

        def load():
            client = Client(baton.port)
            while not stop.is_set():
                answer = client.ask(target=f"/{threading.get_ident()}/{len(sent)}")
                with lock:
                    sent.append(answer.status)
            client.close()

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for turn in range(5):
            eventually(lambda: log.exists() and log.stat().st_size > 0, "a line")
            log.rename(baton.folder / f"access.log.{turn}")
            baton.signal(signal.SIGUSR1)
            eventually(log.exists, "the new file")
        stop.set()
        for thread in threads:
            thread.join()
        folder = baton.folder
        baton.signal(signal.SIGTERM)
        self.assertEqual(baton.wait_exit(), 0)
        lines = [json.loads(line) for path in folder.glob("access.log*") for line in path.read_bytes().splitlines()]
        self.assertEqual(set(sent), {200})
        self.assertEqual(len(lines), len(sent))
        self.assertEqual(len({line["id"] for line in lines}), len(sent))

    def test_lines_survive_the_end(self):
        app = self.app()
        baton = self.baton([app], log={"access": "./access.log"})
        self.ask(baton)
        log = baton.folder / "access.log"
        baton.signal(signal.SIGTERM)
        self.assertEqual(baton.wait_exit(), 0)
        self.assertEqual(len(log.read_text().splitlines()), 1)


if __name__ == "__main__":
    unittest.main()
