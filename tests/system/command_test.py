"""The command line, the logs, and how baton ends."""

import json
import os
import re
import signal
import socket
import threading
import unittest

from harness import App, Baton, Client, SystemTest, config, eventually, refused_address, reply, run_baton


def is_refused(port):
    try:
        Client(port).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


class CommandLineTest(SystemTest):
    def test_good_file(self):
        path = self.file("good.toml", config(["127.0.0.1:1"]))
        self.assertEqual(run_baton("-t", "-c", path), (0, f"{path}: ok\n", ""))

    def test_bad_file_tells_all_at_once(self):
        path = self.file("bad.toml", """workers = 0
foo = 1
grase = "3s"
grace = "3 seconds"

[[listener]]
address = "127.0.0.1:8080"

[[upstream]]
name = "shop"
servers = [{ address = "127.0.0.1:9001" }, { address = "127.0.0.1:8080" }, { address = "127.0.0.1:9001" }]

[[upstream]]
name = "shop"
servers = []

[[route]]
upstream = "shopp"
session = "adopt"

[session]
store = "redis"
""")
        status, out, err = run_baton("-t", "-c", path)
        self.assertEqual((status, out), (2, ""))
        self.assertEqual([line.removeprefix(f"{path}:") for line in err.splitlines()], [
            '1:11: workers: expected "auto" or a whole number from 1 to 256, found 0',
            '2:1: foo: expected a known key, found "foo"',
            '3:1: grase: expected a known key, found "grase", did you mean grace',
            '4:9: grace: expected a duration such as "30s" in ms, s, m, h or d, found "3 seconds"',
            '11:56: upstream[0].servers[1].address: expected a server, found "127.0.0.1:8080", the proxy itself, '
            'as in listener[0].address',
            '11:88: upstream[0].servers[2].address: expected each server once, found "127.0.0.1:9001" again, '
            'as in upstream[0].servers[0].address',
            '14:8: upstream[1].name: expected a name of its own, found "shop" again, as in upstream[0].name',
            '15:11: upstream[1].servers: expected at least one server, found none',
            '18:12: route[0].upstream: expected the name of an upstream, found "shopp", did you mean "shop"',
            '19:11: route[0].session: expected "managed" or "off", found "adopt", which is not supported yet',
            '22:9: session.store: expected "memory", found "redis", which is not supported yet',
        ])

    def test_bad_file_does_not_run(self):
        path = self.file("bad.toml", "workers = 0\n")
        status, _, err = run_baton("-c", path)
        self.assertEqual(status, 2)
        self.assertIn(f"{path}:1:11: workers: expected ", err)
        self.assertIn("listener", err)

    def test_broken_toml_has_its_place(self):
        path = self.file("broken.toml", "workers = 1\ngrace = \"30s\n")
        status, _, err = run_baton("-t", "-c", path)
        self.assertEqual(status, 2)
        self.assertRegex(err, rf"^{re.escape(str(path))}:2:\d+: ")
        self.assertEqual(len(err.splitlines()), 1)

    def test_missing_file(self):
        for arguments in (["-c", "/nonexistent/baton.toml"], ["-t", "-c", "/nonexistent/baton.toml"]):
            self.assertEqual(run_baton(*arguments), (2, "", "/nonexistent/baton.toml: No such file or directory\n"))

    def test_folder_for_a_file(self):
        status, out, err = run_baton("-t", "-c", "/tmp")
        self.assertEqual((status, out), (2, ""))
        self.assertEqual(err, "/tmp: Is a directory\n")

    def test_version_and_help(self):
        status, out, err = run_baton("-V")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"^baton \S+ \(libuv [\d.]+, llhttp [\d.]+, OpenSSL .*\)\n$")
        status, out, err = run_baton("-h")
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(out.startswith("usage: baton -c FILE"))

    def test_wrong_usage(self):
        for arguments, complaint in (([], "expected -c FILE, or --listen and --to"), (["-x"], "unknown argument -x"),
                                     (["-c"], "-c needs a value"), (["-c", "a", "-c", "b"], "-c given twice"),
                                     (["--listen", "127.0.0.1:0"], "--listen and --to go together"),
                                     (["-c", "a", "--to", "b"], "-c and --listen/--to exclude each other"),
                                     (["baton.toml"], "unknown argument baton.toml")):
            with self.subTest(arguments=arguments):
                status, out, err = run_baton(*arguments)
                self.assertEqual((status, out), (2, ""))
                self.assertEqual(err.splitlines()[0], f"baton: {complaint}")
                self.assertIn("usage: baton", err)

    def test_without_a_file(self):
        apps = self.apps("A", "B")
        apps[0].handler = apps[1].handler = lambda r: reply(b"x", [("Baton-Session-Set", "seen=1")])
        baton = self.started(Baton(arguments=["--listen", "127.0.0.1:0", "--to", f"{apps[0].address},{apps[1].address}"]))
        session = self.ask(baton).cookie()
        self.ask(baton, fields=[("Cookie", f"JSESSIONID={session}")])
        self.assertEqual([len(app.requests) for app in apps], [1, 1])
        self.assertEqual(apps[1].last().get("Baton-Session-Data"), "seen=1")
        self.assertEqual(len(baton.wait_access(2)), 2)

    def test_without_a_file_bad_addresses(self):
        status, _, err = run_baton("--listen", "nowhere", "--to", "127.0.0.1:0,example.com:80")
        self.assertEqual(status, 2)
        self.assertEqual(len(err.splitlines()), 3, err)
        self.assertIn('--listen: expected an IP address or localhost with a port, found "nowhere"', err)
        self.assertIn('--to: expected a port from 1 to 65535, found "127.0.0.1:0"', err)
        self.assertIn('found "example.com:80"', err)
        self.assertIn("not supported yet", err)

    def test_checking_binds_nothing(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            text = config(["127.0.0.1:1"], listener={"address": f"127.0.0.1:{taken.getsockname()[1]}"})
            self.assertEqual(run_baton("-t", "-c", self.file("t.toml", text))[0], 0)

    def test_second_baton_on_a_port_ends(self):
        app = self.app()
        first = self.baton([app])
        text = config([app], listener={"address": f"127.0.0.1:{first.port}"})
        status, out, err = run_baton("-c", self.file("second.toml", text))
        self.assertEqual((status, out), (1, ""))
        self.assertIn(f"cannot listen on 127.0.0.1:{first.port}: Address already in use", err)
        for _ in range(20):
            self.assertEqual(self.ask(first).status, 200)  # all of the traffic is still the first one's

    def test_access_log_that_cannot_be_opened(self):
        text = config(["127.0.0.1:1"], log={"access": "/nonexistent/access.log"})
        status, _, err = run_baton("-c", self.file("t.toml", text))
        self.assertEqual(status, 1)
        self.assertIn("/nonexistent/access.log", err)

    def test_several_listeners(self):
        app = self.app()
        text = config([app]) + '[[listener]]\naddress = "[::1]:0"\n'
        baton = self.started(Baton(text))
        self.assertEqual(len(baton.ports), 2)
        self.assertEqual(self.ask(baton).status, 200)
        with socket.create_connection(("::1", baton.ports[1]), 10) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n")
            self.assertTrue(sock.makefile("rb").read().startswith(b"HTTP/1.1 200 "))
        self.assertEqual(app.last().get("X-Forwarded-For"), "::1")
        self.assertEqual(app.last().get("X-Forwarded-Port"), str(baton.ports[1]))


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
        exact = {"client": "127.0.0.1", "method": "POST", "host": "shop.example:80", "target": "/a/b?c=d", "status": 200,
                 "route": "the-route", "server": app.address, "tries": 1, "session": "none"}
        self.assertEqual({key: first.get(key) for key in exact}, exact)
        self.assertEqual(set(first), set(exact) | numbers | {"time", "id", "in", "out"})
        self.assertEqual(second["session"], "live")
        self.assertRegex(second["token"], "^[0-9a-f]{8}$")
        text = next(line for line in baton.access_lines())
        self.assertRegex(text, rb'"total_ms":\d+\.\d{3}[,}]')

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
        baton.signal(signal.SIGTERM)
        baton.wait_event("event=stopping")
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
        baton.signal(signal.SIGTERM)
        baton.wait_event("event=stopping")
        self.assertEqual(sum(len(piece) for piece in client.body_of(head)), 20_000_000)
        self.assertEqual(client.wait_end(), b"")
        self.assertEqual(baton.wait_exit(), 0)

    def test_request_half_sent_finishes(self):
        app = self.app(self.slow)
        baton = self.baton([app])
        client = self.client(baton)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        app.wait_requests(1)
        head_only = self.client(baton)
        head_only.send(b"GET / HTTP/1.1\r\nHo")
        self.ask(baton)  # by then it has read the other's beginning
        baton.signal(signal.SIGTERM)
        baton.wait_event("event=stopping")
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
        baton.signal(signal.SIGTERM)
        baton.wait_event("event=stopping")
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
