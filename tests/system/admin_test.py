"""The admin listener of the real program: its pages, its numbers, and how it lives with the traffic."""

import datetime
import json
import os
import random
import re
import signal
import socket
import threading
import unittest

from harness import SystemTest, config, eventually, run_baton, upstream_of
from peers import PATIENCE, App, Broken, Client, Incomplete, Wire, reply

ADMIN = {"address": "127.0.0.1:0"}
# What else would end a client that stalls, so that only the end of the process can.
PATIENT = {"header": "1h", "body_idle": "1h", "send": "1h", "keepalive": "1h"}

SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\d+)\n')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\["\\n])*)"(?:,(?!$)|$)')


def is_refused(port):
    try:
        Client(port).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def parse_metrics(text):
    """The samples of a page in Prometheus' text format: {(name, ((label, value), …)): number}. Strict."""
    samples, types, family, helped = {}, {}, None, None
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            raise Broken(f"no line: {line!r}")
        if line.startswith("# HELP "):
            helped, explanation = line[7:-1].split(" ", 1)
            if helped in types or not explanation:
                raise Broken(f"a second family of that name: {line!r}")
        elif line.startswith("# TYPE "):
            family, kind = line[7:-1].split(" ")
            if family != helped or kind not in ("counter", "gauge"):
                raise Broken(f"not what was to come: {line!r}")
            types[family], helped = kind, None
        else:
            match = SAMPLE.fullmatch(line)
            if not match or match[1] != family or helped:
                raise Broken(f"no sample of {family}: {line!r}")
            labels = match[2] or ""
            pairs = LABEL.findall(labels)
            if ",".join(f'{name}="{value}"' for name, value in pairs) != labels:
                raise Broken(f"no labels: {line!r}")
            key = (family, tuple((name, re.sub(r"\\(.)", r"\1", value)) for name, value in pairs))
            if key in samples:
                raise Broken(f"twice: {line!r}")
            samples[key] = int(match[3])
    if set(types) != {name for name, _ in samples}:
        raise Broken("a family without samples")
    return samples, types


class AdminTest(SystemTest):
    def setUp(self):
        self.go = threading.Event()  # for slow answers
        self.addCleanup(self.go.set)

    def slow(self, request):
        if request.target == "/slow":
            self.go.wait(60)
        return reply(b"done")

    def admin_baton(self, servers, **keys):
        return self.baton(servers, admin=ADMIN, **keys)

    def admin_client(self, baton, **keys):
        return self.client(baton.admin_port, **keys)

    def page(self, baton, target, method="GET", **keys):
        client = self.admin_client(baton)
        try:
            return client.ask(method, target, host="localhost", **keys)
        finally:
            client.close()

    def metrics(self, baton):
        answer = self.page(baton, "/metrics")
        self.assertEqual(answer.status, 200)
        return parse_metrics(answer.body.decode())[0]

    def number(self, baton, name, **labels):
        return self.metrics(baton)[name, tuple(labels.items())]

    # -- the pages

    def test_the_event_log_names_the_port(self):
        baton = self.admin_baton([self.app()])
        listening = [event for event in baton.events() if event["event"] == "listening"]
        self.assertEqual([event.get("serves") for event in listening], [None, "admin"])
        self.assertEqual(listening[1]["address"], f"127.0.0.1:{baton.admin_port}")
        self.assertEqual(baton.ports, [baton.port])
        self.assertNotEqual(baton.admin_port, baton.port)
        self.assertEqual(self.page(baton, "/healthz").body, b"ok\n")

    def test_off_unless_it_is_asked_for(self):
        baton = self.baton([self.app()])
        self.assertIsNone(baton.admin_port)
        self.assertEqual(len([event for event in baton.events() if event["event"] == "listening"]), 1)
        self.assertEqual(self.ask(baton, target="/healthz").body, b"app")  # the application's

    def test_all_pages(self):
        app = self.app()
        baton = self.admin_baton([app])
        client = self.admin_client(baton)
        types = {"/healthz": "text/plain; charset=utf-8", "/readyz": "application/json",
                 "/v1/upstreams": "application/json", "/metrics": "text/plain; version=0.0.4; charset=utf-8"}
        for target, content_type in types.items():
            for method in ("GET", "HEAD"):
                answer = client.ask(method, target, host="localhost")
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.get("Content-Type"), content_type)
                self.assertEqual(answer.get("Cache-Control"), "no-store")
                self.assertEqual(answer.get("X-Content-Type-Options"), "nosniff")
                self.assertFalse(answer.closes())
            refused = client.ask("POST", target, host="localhost", body=b"a=b")
            self.assertEqual((refused.status, refused.get("Allow")), (405, "GET, HEAD"))
        self.assertEqual(client.ask(target="/", host="localhost").status, 404)
        self.assertEqual(client.ask(target="/healthz", host="shop.example").status, 403)
        self.assertEqual(client.ask(target="/healthz", host="localhost", fields=[("Origin", "null")]).status, 403)
        self.assertEqual(client.ask(target="/healthz", host=f"127.0.0.1:{baton.admin_port}").body, b"ok\n")
        self.assertEqual(app.requests, [])

    def test_on_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            self.skipTest("this machine has no IPv6")
        baton = self.baton([self.app()], admin={"address": "[::1]:0"})
        baton.wait_event(f"event=listening address=[::1]:{baton.admin_port} serves=admin")
        with socket.create_connection(("::1", baton.admin_port), PATIENCE) as sock:
            wire = Wire(sock)
            wire.send(f"GET /healthz HTTP/1.1\r\nHost: [::1]:{baton.admin_port}\r\nConnection: close\r\n\r\n")
            self.assertTrue(wire.wait_end().endswith(b"\r\n\r\nok\n"))

    def test_upstreams(self):
        here, there = self.apps("here", "there")
        tables = [upstream_of([{"address": here.address, "weight": 1}, {"address": there.address, "weight": 2}]),
                  upstream_of([self.refused()], name="down")]
        routes = [{"upstream": "app"}, {"upstream": "down", "path": "/down", "session": "off"}]
        baton = self.admin_baton([], upstreams=tables, routes=routes, top={"workers": 2})

        def upstreams():
            answer = self.page(baton, "/v1/upstreams")
            self.assertEqual(answer.status, 200)
            return json.loads(answer.body)["upstreams"]

        for _ in range(9):
            self.assertEqual(self.ask(baton).status, 200)
        before = datetime.datetime.now(datetime.timezone.utc)
        self.assertEqual(self.ask(baton, target="/down").status, 503)

        def busy():
            return [one["in_flight"] for one in upstreams()[0]["servers"]]

        eventually(lambda: busy() == [0, 0], "idle servers")  # a client has its answer a moment earlier
        known = upstreams()
        self.assertEqual([(one["name"], one["balance"]) for one in known],
                         [("app", "round-robin"), ("down", "round-robin")])
        self.assertEqual(known[0]["servers"], [
            {"address": here.address, "weight": 1, "state": "unchecked", "in_flight": 0, "requests": 3,
             "last_fault": None},
            {"address": there.address, "weight": 2, "state": "unchecked", "in_flight": 0, "requests": 6,
             "last_fault": None}])
        down = known[1]["servers"][0]
        self.assertEqual((down["requests"], down["last_fault"]["fault"]), (0, "connect_failed"))
        time_of = datetime.datetime.strptime(down["last_fault"]["time"], "%Y-%m-%dT%H:%M:%S.%f%z")
        self.assertLess(abs(time_of - before), datetime.timedelta(seconds=2 * PATIENCE))

        here.handler = there.handler = self.slow
        clients = [self.client(baton) for _ in range(6)]
        for client in clients:
            client.request(target="/slow")
        here.wait_requests(5)
        there.wait_requests(10)
        self.assertEqual(busy(), [2, 4])
        self.go.set()
        for client in clients:
            client.answer()
        eventually(lambda: busy() == [0, 0], "idle servers")

    # -- the numbers

    def test_the_parser_of_this_test_is_strict(self):
        good = '# HELP a_total Of \\ and "things".\n# TYPE a_total counter\na_total{b="\\"c\\\\",d=""} 1\n'
        self.assertEqual(parse_metrics(good)[0], {("a_total", (("b", '"c\\'), ("d", ""))): 1})
        for bad in (good[:-1], good + good, good.replace("counter", "number"), good.replace(' 1\n', ' x\n'),
                    good.replace('d=""', 'd='), good.replace('",d', '" d'), good.replace('""}', '"",}'),
                    good.replace("a_total{", "b_total{"), good.replace("# TYPE a_total", "# TYPE b_total"),
                    good + "\n", good + good.splitlines(keepends=True)[2]):
            with self.assertRaises((Broken, ValueError), msg=bad):
                parse_metrics(bad)

    def test_numbers_after_traffic(self):
        def answer(request):
            first = len(apps[0].requests) + len(apps[1].requests) == 1
            if request.target == "/gone" or (request.target == "/once" and first):
                raise App.Close()
            status = request.target[1:].replace("-", " ")
            return reply(b"x", status=status if status[:1].isdigit() else "200 OK")

        apps = self.apps("a", "b", handler=answer)
        routes = [{"upstream": "app", "hosts": ["shop.example"], "path": "/", "name": "the-shop"},
                  {"upstream": "app", "hosts": ["api.of-the-shop.example"], "path": '/"\\', "session": "off"}]
        baton = self.admin_baton(apps, routes=routes, top={"workers": 2})

        def sent(count, target, status, host="shop.example", method="GET"):
            for _ in range(count):  # each on a connection of its own: both workers get some
                self.assertEqual(self.ask(baton, method, target, host=host).status, status)

        sent(1, "/once", 200)
        sent(50, "/200-Fine", 200)
        sent(5, "/304-Same", 304)
        sent(4, "/404-Nothing", 404)
        sent(3, "/500-Oh", 500)
        sent(2, "/gone", 502, method="POST")
        sent(6, "/", 404, host="other.example")
        sent(7, '/"\\', 200, host="api.of-the-shop.example")
        for _ in range(8):
            client = self.client(baton)
            client.send(b"rubbish\r\n\r\n")
            self.assertEqual(client.answer().status, 400)
            client.close()
        eventually(lambda: self.number(baton, "baton_connections", side="client") == 0, "the end of the clients")
        eventually(lambda: self.number(baton, "baton_connections", side="server") ==
                   sum(app.connections - app.ended for app in apps), "the end of the connections that broke")
        samples, types = parse_metrics(self.page(baton, "/metrics").body.decode())
        requests = {labels: number for (name, labels), number in samples.items() if name == "baton_requests_total"}
        expected = {("the-shop", "2xx"): 51, ("the-shop", "3xx"): 5, ("the-shop", "4xx"): 4, ("the-shop", "5xx"): 5,
                    ('api.of-the-shop.example/"\\', "2xx"): 7, ("", "4xx"): 14}
        routes = ["the-shop", 'api.of-the-shop.example/"\\', ""]
        self.assertEqual(requests, {(("route", route), ("class", f"{digit}xx")): expected.get((route, f"{digit}xx"), 0)
                                    for route in routes for digit in range(1, 6)})
        faults = {labels[0][1]: number for (name, labels), number in samples.items() if name == "baton_faults_total"}
        self.assertEqual({fault: number for fault, number in faults.items() if number},
                         {"server_gone": 2, "no_route": 6, "bad_request": 8})
        self.assertEqual(len(faults), 22)

        def total(name, **labels):
            return sum(number for (one, pairs), number in samples.items()
                       if one == name and labels.items() <= dict(pairs).items())

        self.assertEqual(total("baton_requests_in_flight"), 0)
        self.assertEqual(total("baton_request_retries_total"), 1)
        self.assertEqual(total("baton_server_requests_total"), sum(len(app.requests) for app in apps))
        for app in apps:
            self.assertEqual(total("baton_server_requests_total", server=app.address), len(app.requests))
        self.assertEqual(total("baton_server_faults_total"), 3)
        self.assertEqual(total("baton_server_faults_total", fault="server_gone"), 3)
        self.assertEqual(total("baton_server_requests_in_flight"), 0)
        self.assertGreater(total("baton_connections", side="server"), 0)  # idle ones
        self.assertEqual(total("baton_log_lines_dropped_total"), 0)
        version = run_baton("--version")[1].split()[1]
        self.assertEqual(samples["baton_build_info", (("version", version),)], 1)
        self.assertEqual({name for name, kind in types.items() if kind == "counter"},
                         {name for name in types if name.endswith("_total")})

    def test_requests_and_tunnels_in_flight(self):
        def serve(request):
            if request.get("Upgrade") is None:
                return self.slow(request)
            request.wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            request.wire.wait_end()
            raise App.Close()

        app = self.app(serve)
        baton = self.admin_baton([app], top={"workers": 2})
        tunnels = [self.client(baton) for _ in range(3)]
        for tunnel in tunnels:
            self.assertEqual(tunnel.ask(fields=[("Connection", "Upgrade"), ("Upgrade", "websocket")]).status, 101)
        clients = [self.client(baton) for _ in range(4)]
        for client in clients:
            client.request(target="/slow")
        idle = [self.client(baton) for _ in range(2)]
        app.wait_requests(7)
        eventually(lambda: self.number(baton, "baton_connections", side="client") == 9, "all clients")

        def gauges():
            samples = self.metrics(baton)
            return (samples["baton_requests_in_flight", ()],
                    samples["baton_server_requests_in_flight", (("upstream", "app"), ("server", app.address))],
                    samples["baton_connections", (("side", "client"),)],
                    samples["baton_connections", (("side", "server"),)])

        self.assertEqual(gauges(), (7, 7, 9, 7))
        self.go.set()
        for client in clients:
            client.answer()
        eventually(lambda: gauges() == (3, 3, 9, 7), "the end of the requests, not of their connections")
        for client in tunnels + idle:
            client.close()
        eventually(lambda: gauges() == (0, 0, 4, 4), "the end of the tunnels")
        self.assertEqual(self.number(baton, "baton_requests_total", route="*/", **{"class": "1xx"}), 3)

    def test_pages_are_true_while_the_numbers_move(self):
        app = self.app()
        baton = self.admin_baton([app], top={"workers": 2})
        stop = threading.Event()
        sent = []

        def traffic():
            count = 0
            while not stop.is_set():
                client = Client(baton.port)
                for _ in range(20):
                    client.ask()
                    count += 1
                client.close()
            sent.append(count)

        threads = [threading.Thread(target=traffic) for _ in range(3)]
        for thread in threads:
            thread.start()
        scraper = self.admin_client(baton)
        before = {}
        try:
            for _ in range(150):
                samples, types = parse_metrics(scraper.ask(target="/metrics", host="localhost").body.decode())
                for key, number in samples.items():
                    self.assertLess(number, 1 << 40)  # nothing went below zero
                    if types[key[0]] == "counter":
                        self.assertGreaterEqual(number, before.get(key, 0))
                before = samples
                json.loads(scraper.ask(target="/v1/upstreams", host="localhost").body)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        eventually(lambda: self.number(baton, "baton_requests_total", route="*/", **{"class": "2xx"}) == sum(sent),
                   "all that was sent")

    def test_evictions_are_counted(self):
        app = self.app()
        baton = self.admin_baton([app], session={"sessions_max": 2, "create": "always"})

        def sessions():
            samples = self.metrics(baton)
            return (samples["baton_sessions", ()],
                    samples["baton_session_evictions_total", (("confirmed", "false"),)],
                    samples["baton_session_evictions_total", (("confirmed", "true"),)])

        cookies = [self.ask(baton).cookie() for _ in range(5)]
        self.assertEqual(sessions(), (2, 3, 0))
        for cookie in cookies[3:]:
            self.assertIsNone(self.ask(baton, fields=[("Cookie", f"JSESSIONID={cookie}")]).cookie())
        self.assertEqual(sessions(), (2, 3, 0))
        self.ask(baton)
        self.assertEqual(sessions(), (2, 3, 1))
        self.ask(baton, fields=[("Cookie", "JSESSIONID=x; a=b")])
        self.assertEqual(self.number(baton, "baton_session_unknown_total", reason="malformed"), 1)
        self.assertGreater(self.number(baton, "baton_session_memory_bytes"), 0)

    def test_lost_log_lines_are_counted(self):
        app = self.app()
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        baton = self.admin_baton([app], log={"access": f"/proc/{os.getpid()}/fd/{write_end}"})
        os.close(write_end)
        client = self.client(baton)
        batch = b"".join([b"GET /" + b"x" * 7000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"] * 50)
        sent = dropped = 0
        while dropped == 0:
            self.assertLess(sent, 20_000)
            client.send(batch)
            for _ in range(50):
                self.assertEqual(client.answer().status, 200)
            sent += 50
            dropped = self.number(baton, "baton_log_lines_dropped_total")
        self.assertEqual(self.page(baton, "/healthz").body, b"ok\n")
        # Each line has come, or is counted.
        os.set_blocking(read_end, False)
        lines = 0

        def all_known():
            nonlocal lines
            try:
                lines += os.read(read_end, 1 << 20).count(b"\n")
            except BlockingIOError:
                pass
            return lines + self.number(baton, "baton_log_lines_dropped_total") == sent

        eventually(all_known, "the other lines")
        self.assertGreater(lines, 0)

    # -- beside the traffic

    def test_its_requests_are_not_in_the_access_log(self):
        baton = self.admin_baton([self.app()])
        for target in ("/healthz", "/metrics", "/nothing"):
            self.page(baton, target)
        client = self.admin_client(baton)
        client.send(b"rubbish\r\n\r\n")
        client.wait_end()
        self.ask(baton, target="/traffic")
        baton.signal(signal.SIGTERM)
        self.assertEqual(baton.wait_exit(), 0)
        self.assertEqual([json.loads(line)["target"] for line in baton.access_lines()], ["/traffic"])

    def test_its_connections_are_its_own(self):
        app = self.app(self.slow)
        baton = self.admin_baton([app], limits={"connections": 3})
        idle = [self.admin_client(baton) for _ in range(32)]
        for client in idle:
            self.assertEqual(client.ask(target="/healthz", host="localhost").status, 200)
        # The traffic has all of its own, and takes none of these.
        traffic = [self.client(baton) for _ in range(3)]
        for client in traffic:
            client.request(target="/slow")
        app.wait_requests(3)
        late = self.client(baton)
        late.request()
        self.assertFalse(late.readable(0.3))
        answer = idle[5].ask(target="/metrics", host="localhost")
        self.assertEqual(parse_metrics(answer.body.decode())[0]["baton_connections", (("side", "client"),)], 3)
        # One more takes the place of the one that has been idle the longest.
        more = self.admin_client(baton)
        self.assertEqual(more.ask(target="/readyz", host="localhost").status, 200)
        self.assertEqual(idle[0].wait_end(), b"")
        self.go.set()
        self.assertEqual(late.answer().status, 200)

    def test_hostile_bytes(self):
        baton = self.admin_baton([self.app()])
        refused = [
            b"\r\n\r\n\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00" * 100, b"\xff" * 100,
            b"GET /healthz\r\n\r\n", b"GET /healthz HTTP/1.1\r\n\r\n",
            b"GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /healthz HTTP/1.1\nHost: localhost\n\n", b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n folded: 1\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
            b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nrubbish\r\n",
            b"GET /healthz#x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ]
        for data in refused:
            client = self.admin_client(baton)
            client.send(data)
            answer = client.answer()
            self.assertEqual((answer.status, answer.closes()), (400, True), data)
            self.assertEqual(client.wait_end(), b"")
            client.close()
        large = {b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n": 414,
                 b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 200 + b"\r\n": 431,
                 b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 40_000 + b"\r\n\r\n": 431,
                 b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000: 413,
                 b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n": 405,
                 b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": 505}
        for data, status in large.items():
            client = self.admin_client(baton)
            client.send(data)
            self.assertEqual(client.answer().status, status)
            client.close()
        source = random.Random(1)
        for _ in range(200):
            client = self.admin_client(baton)
            begin = source.choice((b"", b"GET ", b"GET /metrics HTTP/1.1\r\n", refused[-1][:40]))
            try:
                client.send(begin + source.randbytes(source.randrange(1, 300)))
                client.half_close()
            except OSError:
                pass  # it was refused before it had sent all
            client.wait_end()
            client.close()
        self.assertEqual(self.page(baton, "/healthz").body, b"ok\n")
        self.assertEqual(self.ask(baton).status, 200)

    def test_a_second_baton_with_the_same_address(self):
        app = self.app()
        baton = self.admin_baton([app])
        address = f"127.0.0.1:{baton.admin_port}"
        path = self.file("second.toml", config([app], admin={"address": address}))
        self.assertEqual(run_baton("-t", "-c", path)[0], 0)  # nothing is bound by a look
        status, out, err = run_baton("-c", path)
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertRegex(err, f'level=error event="cannot start" reason="cannot listen on {address}: '
                              'Address already in use"')
        self.assertEqual(self.page(baton, "/healthz").body, b"ok\n")
        # Nor is it taken by a listener for traffic, or shared by its own.
        path = self.file("third.toml", config([app], listener={"address": address}))
        self.assertEqual(run_baton("-c", path)[0], 1)
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            free = held.getsockname()[1]
        path = self.file("fourth.toml", config([app], listener={"address": f"0.0.0.0:{free}"},
                                               admin={"address": f"127.0.0.1:{free}"}))
        status, _, err = run_baton("-c", path)
        self.assertEqual(status, 1)
        self.assertIn(f"cannot listen on 127.0.0.1:{free}: ", err)

    # -- the end

    def test_readiness_while_stopping(self):
        app = self.app(self.slow)
        baton = self.admin_baton([app], top={"workers": 2, "drain_delay": "3s", "grace": "60s"})
        watcher = self.admin_client(baton)

        def ready():
            answer = watcher.ask(target="/readyz", host="localhost")
            return answer.status, json.loads(answer.body)

        self.assertEqual(ready(), (200, {"ready": True}))
        slow = self.client(baton)
        slow.request(target="/slow")
        app.wait_requests(1)
        baton.signal(signal.SIGTERM)
        baton.wait_event("event=stopping")
        draining = (503, {"ready": False, "reasons": ["draining"]})
        self.assertEqual(ready(), draining)
        # The balancer has not looked yet: its connections are still taken.
        answer = self.ask(baton)
        self.assertEqual((answer.status, answer.closes()), (200, True))
        self.assertEqual(ready(), draining)
        self.assertEqual(self.page(baton, "/healthz").body, b"ok\n")
        eventually(lambda: is_refused(baton.port) and is_refused(baton.admin_port), "a refusal")
        # Only the slow request keeps the process. Who is connected to the admin listener still is told.
        self.assertEqual(ready(), draining)

        def in_flight():
            text = watcher.ask(target="/metrics", host="localhost").body.decode()
            return parse_metrics(text)[0]["baton_requests_in_flight", ()]

        eventually(lambda: in_flight() == 1, "the end of all others")
        self.assertIsNone(baton.process.poll())
        self.assertFalse(watcher.readable(0))
        self.go.set()
        answer = slow.answer()
        self.assertEqual((answer.body, answer.closes()), (b"done", True))
        self.assertEqual(watcher.wait_end(), b"")
        self.assertEqual(baton.wait_exit(), 0)
        self.assertTrue(is_refused(baton.admin_port))
        self.assertEqual(baton.events()[-1]["event"], "stopped")

    def test_grace_is_over(self):
        app = self.app(self.slow)
        baton = self.admin_baton([app], top={"grace": "300ms"}, timeouts=PATIENT)
        slow = self.client(baton)
        slow.request(target="/slow")
        app.wait_requests(1)
        idle = self.admin_client(baton)
        baton.signal(signal.SIGTERM)
        self.assertEqual(slow.wait_end(), b"")
        self.assertEqual(idle.wait_end(), b"")
        self.assertEqual(baton.wait_exit(), 0)

    def stalled(self, stall, **keys):
        """Whether a process with a client that does `stall` ends all the same."""
        baton = self.admin_baton([self.app()], timeouts=PATIENT, top={"grace": "0s"}, **keys)
        client = self.admin_client(baton, receive_buffer=2048)
        stall(client, baton)
        self.assertEqual(self.page(baton, "/healthz").body, b"ok\n")  # by then the other was read, too
        baton.signal(signal.SIGTERM)
        self.assertEqual(baton.wait_exit(), 0)
        return client

    def test_a_silent_client_does_not_hinder_the_end(self):
        client = self.stalled(lambda client, baton: None)
        self.assertEqual(client.wait_end(), b"")

    def test_half_a_head_does_not_hinder_the_end(self):
        self.stalled(lambda client, baton: client.send(b"GET /metrics HTTP/1.1\r\nHost: loc"))

    def test_half_a_body_does_not_hinder_the_end(self):
        self.stalled(lambda client, baton: client.send(
            b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc"))

    def test_a_client_that_does_not_read_does_not_hinder_the_end(self):
        def stall(client, _baton):
            self.until_stuck(client, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)

        client = self.stalled(stall)
        self.assertIn(b"HTTP/1.1 200 OK\r\n", client.wait_end())

    def ask_at_the_end(self):
        """The answer to a request of which half is there when the last worker goes; None if the rest came too late."""
        self.go.clear()
        app = self.app(self.slow)
        baton = self.admin_baton([app])
        slow = self.client(baton)
        slow.request(target="/slow")
        app.wait_requests(1)
        begun = self.admin_client(baton)
        begun.send(b"GET /readyz HTTP/1.1\r\nHost: loc")
        idle = self.admin_client(baton)
        self.assertEqual(idle.ask(target="/readyz", host="localhost").status, 200)  # it has read the other's
        baton.signal(signal.SIGTERM)
        eventually(lambda: is_refused(baton.port), "a refusal")
        self.go.set()
        self.assertEqual(idle.wait_end(), b"")  # the admin listener has been told to stop
        try:
            begun.send(b"alhost\r\n\r\n")
            answer = begun.answer()
        except (OSError, EOFError, Incomplete):
            answer = None
        self.assertEqual(slow.answer().body, b"done")
        self.assertEqual(baton.wait_exit(), 0)
        return answer

    def test_the_last_answer_leaves(self):
        # There is a second for it, which a busy machine may take from us, but hardly each time.
        answer = next(filter(None, (self.ask_at_the_end() for _ in range(5))), None)
        self.assertIsNotNone(answer)
        self.assertEqual((answer.status, answer.closes()), (503, True))


if __name__ == "__main__":
    unittest.main()
