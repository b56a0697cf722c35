"""Signals, and how baton ends."""

import os
import signal
import threading
import unittest

from harness import SystemTest, eventually, refused_address
from peers import App, Client, reply


def is_refused(port):
    try:
        Client(port).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


class StopTest(SystemTest):
    def setUp(self):
        self.go = threading.Event()  # for slow answers

    def slow(self, request):
        if request.target == "/slow":
            self.go.wait(10)
        return reply(b"done")

    def begin_slow(self, baton, app):
        self.addCleanup(self.go.set)
        client = self.client(baton)
        client.request(target="/slow")
        app.wait_requests(1)
        return client

    def begin_stop(self, baton):
        """When it returns every worker knows: none of them listens any more."""
        baton.signal(signal.SIGTERM)
        eventually(lambda: is_refused(baton.port), "a refusal")

    def test_running_requests_finish(self):
        app = self.app(self.slow)
        baton = self.baton([app], top={"workers": 2, "grace": "10s"})
        client = self.begin_slow(baton, app)
        idle = self.client(baton)
        self.assertFalse(idle.ask().closes())
        silent = self.client(baton)  # never said a word
        baton.signal(signal.SIGTERM)
        self.assertEqual(idle.wait_end(), b"")
        self.assertEqual(silent.wait_end(), b"")
        eventually(lambda: is_refused(baton.port), "a refusal")
        self.go.set()
        answer = client.answer()
        self.assertEqual((answer.status, answer.body, answer.closes()), (200, b"done", True))
        self.assertEqual(client.wait_end(), b"")
        self.assertEqual(baton.wait_exit(), 0)
        self.assertEqual(len(baton.wait_access(2)), 2)

    def test_sigint_stops_as_well(self):
        baton = self.baton([self.app()])
        baton.signal(signal.SIGINT)
        self.assertEqual(baton.wait_exit(), 0)

    def test_request_behind_the_running_one_is_not_begun(self):
        app = self.app(self.slow)
        baton = self.baton([app])
        client = self.begin_slow(baton, app)
        client.request(target="/next")
        self.begin_stop(baton)
        self.go.set()
        self.assertTrue(client.answer().closes())
        self.assertEqual(client.wait_end(), b"")
        self.assertEqual(len(app.requests), 1)
        self.assertEqual(baton.wait_exit(), 0)

    def test_requests_that_had_arrived_are_answered(self):
        # They wait in the kernel, accepted or not, when the signal comes.
        app = self.app()
        for _ in range(4):
            baton = self.baton([app], top={"workers": 2})
            known = self.client(baton)
            known.ask()
            baton.signal(signal.SIGSTOP)
            clients = [known] + [self.client(baton) for _ in range(60)]
            for client in clients:
                client.request()
            baton.signal(signal.SIGTERM)
            baton.signal(signal.SIGCONT)
            for client in clients:
                self.assertEqual(client.answer().status, 200)
                self.assertEqual(client.wait_end(), b"")
            self.assertEqual(baton.wait_exit(), 0)

    def test_download_finishes(self):
        app = self.app(lambda request: reply(b"x" * 20_000_000))
        baton = self.baton([app], top={"grace": "10s"})
        client = self.client(baton, receive_buffer=64 << 10)
        client.request()
        head = client.head()
        self.begin_stop(baton)
        self.assertEqual(sum(len(piece) for piece in client.body_of(head)), 20_000_000)
        self.assertEqual(client.wait_end(), b"")
        self.assertEqual(baton.wait_exit(), 0)

    def test_request_half_sent_finishes(self):
        app = self.app(self.slow)
        baton = self.baton([app], upstream={"request_buffer": 0})
        client = self.client(baton)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        app.wait_requests(1)
        head_only = self.client(baton)
        head_only.send(b"GET / HTTP/1.1\r\nHo")
        self.ask(baton)  # by then it has read the other's beginning
        self.begin_stop(baton)
        client.send(b"cd")
        head_only.send(b"st: a\r\n\r\n")
        for each in (client, head_only):
            answer = each.answer()
            self.assertEqual((answer.status, answer.closes()), (200, True))
        self.assertEqual(baton.wait_exit(), 0)

    def test_grace_cuts_what_is_left(self):
        def tunnel(request):
            if request.get("Upgrade") is None:
                return self.slow(request)
            request.wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            request.wire.wait_end()
            raise App.Close()

        app = self.app(tunnel)
        baton = self.baton([app], top={"grace": "300ms"})
        tunnel = self.client(baton)
        self.assertEqual(tunnel.ask(fields=[("Connection", "Upgrade"), ("Upgrade", "websocket")]).status, 101)
        self.addCleanup(self.go.set)
        slow = self.client(baton)
        slow.request(target="/slow")
        app.wait_requests(2)
        baton.signal(signal.SIGTERM)
        self.assertEqual(tunnel.wait_end(), b"")
        self.assertEqual(slow.wait_end(), b"")
        self.assertEqual(baton.wait_exit(), 0)
        self.assertEqual(baton.event_text().count("grace is over"), 1)
        self.assertEqual({line.get("fault") for line in baton.wait_access(2)}, {"stopping"})

    def test_tunnel_lives_through_the_grace(self):
        def echo(request):
            request.wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            for data in request.wire.to_the_end():
                request.wire.send(data)
            raise App.Close()

        baton = self.baton([self.app(echo)], top={"grace": "10s"})
        client = self.client(baton)
        client.ask(fields=[("Connection", "Upgrade"), ("Upgrade", "websocket")])
        self.begin_stop(baton)
        client.send(b"still there?")
        self.assertEqual(b"".join(client.pieces(12)), b"still there?")
        client.half_close()
        self.assertEqual(client.wait_end(), b"")
        self.assertEqual(baton.wait_exit(), 0)

    def test_second_signal_ends_at_once(self):
        app = self.app(self.slow)
        baton = self.baton([app], top={"grace": "30s"})
        client = self.begin_slow(baton, app)
        baton.signal(signal.SIGTERM)
        baton.wait_event("event=stopping")
        baton.signal(signal.SIGTERM)
        self.assertEqual(baton.wait_exit(), 1)
        self.assertEqual(client.wait_end(), b"")
        self.assertIn("second signal", baton.event_text())

    def test_drain_delay_keeps_listening(self):
        app = self.app()
        baton = self.baton([app], top={"drain_delay": "400ms"})
        baton.signal(signal.SIGTERM)
        baton.wait_event("event=stopping")
        self.assertEqual(self.ask(baton).status, 200)
        self.assertEqual(baton.wait_exit(), 0)

    def test_F_draining_close_from_the_signal_on(self):
        app = self.app(self.slow)
        baton = self.baton([app], top={"workers": 2, "drain_delay": "3s"}, admin={"address": "127.0.0.1:0"},
                           routes=[{"upstream": "app", "hosts": ["test.example"]}])
        idle = [self.client(baton) for _ in range(6)]  # of both workers
        for client in idle:
            self.assertFalse(client.ask().closes())
        running = self.begin_slow(baton, app)
        baton.signal(signal.SIGTERM)
        baton.wait_event("event=stopping")
        ready = self.client(baton.admin_port)
        eventually(lambda: ready.ask(target="/readyz", host="localhost").status == 503, "the word of the end")
        eventually(lambda: self.ask(baton).closes(), "the word in each worker")
        self.go.set()
        for client in idle:
            answer = client.ask()
            self.assertEqual((answer.status, answer.closes()), (200, True))
            self.assertEqual(client.wait_end(), b"")
        self.assertTrue(running.answer().closes())
        nowhere = self.ask(baton, host="nowhere.example")
        self.assertEqual((nowhere.status, nowhere.closes()), (404, True))
        self.assertEqual(baton.wait_exit(), 0)

    def test_F_drain_full_who_waits_at_the_limit_is_answered(self):
        app = self.app(self.slow)
        baton = self.baton([app], top={"workers": 2, "grace": "10s"}, limits={"connections": 4})
        self.addCleanup(self.go.set)
        busy = [self.client(baton) for _ in range(4)]
        for client in busy:
            client.request(target="/slow")
        app.wait_requests(4)
        queued = [self.client(baton) for _ in range(40)]
        for client in queued:
            client.request()
        baton.wait_event("accepting paused")
        baton.signal(signal.SIGTERM)
        for client in queued:
            answer = client.answer()
            self.assertEqual((answer.status, answer.closes()), (200, True))
        self.go.set()
        for client in busy:
            self.assertEqual(client.answer().status, 200)
        self.assertEqual(baton.wait_exit(), 0)

    def test_sighup_changes_nothing(self):
        baton = self.baton([self.app()])
        baton.signal(signal.SIGHUP)
        self.assertIn("level=warn", baton.wait_event("SIGHUP ignored"))
        self.assertEqual(self.ask(baton).status, 200)

    def test_sigpipe_changes_nothing(self):
        app = self.app(lambda request: reply(b"x" * 5_000_000))
        baton = self.baton([app])
        baton.signal(signal.SIGPIPE)
        for _ in range(10):  # a client that goes away in the middle of its answer
            client = self.client(baton)
            client.request()
            client.head()
            client.reset()
        self.assertEqual(self.ask(baton).status, 200)

    def test_logs_without_a_reader(self):
        # Who reads the logs is gone: writing to them must not end the process.
        app = self.app()
        read_end, write_end = os.pipe()
        baton = self.baton([app], log={"access": f"/proc/{os.getpid()}/fd/{write_end}"})
        os.close(read_end)
        for _ in range(3):
            self.assertEqual(self.ask(baton).status, 200)
        os.close(write_end)
        baton.signal(signal.SIGTERM)
        self.assertEqual(baton.wait_exit(), 0)

    def test_all_servers_down_does_not_hinder_the_end(self):
        address, held = refused_address()
        self.addCleanup(held.close)
        baton = self.baton([address])
        self.assertEqual(self.ask(baton).status, 503)
        baton.signal(signal.SIGTERM)
        self.assertEqual(baton.wait_exit(), 0)


if __name__ == "__main__":
    unittest.main()
