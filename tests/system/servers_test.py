"""Which server gets a request, and what becomes of it when servers are away, leave, or talk nonsense."""

import json
import socket
import threading
import unittest

from harness import SystemTest, config, eventually, refused_address, run_baton
from peers import App, Client, chunk, reply


class RoundRobinTest(SystemTest):
    def test_in_turn_over_all_workers(self):
        apps = self.apps("a", "b", "c")
        baton = self.baton(apps, top={"workers": 2})
        clients = [self.client(baton) for _ in range(8)]  # of both workers, almost surely
        seen = "".join(clients[i % 8].ask().get("X-App") for i in range(60))
        self.assertEqual(seen, "abc" * 20)

    def test_smooth_weights_over_all_workers(self):
        a, b, c = self.apps("a", "b", "c")
        servers = [{"address": a.address, "weight": 5}, {"address": b.address}, {"address": c.address}]
        baton = self.baton(servers, top={"workers": 2})
        clients = [self.client(baton) for _ in range(8)]
        seen = "".join(clients[i % 8].ask().get("X-App") for i in range(70))
        self.assertEqual(seen, "aabacaa" * 10)

    def test_counts_are_exact_when_many_ask_at_once(self):
        a, b = self.apps("a", "b")
        baton = self.baton([a, {"address": b.address, "weight": 2}], top={"workers": 2})

        def load():
            client = Client(baton.port)
            for _ in range(100):
                client.ask()
            client.close()

        threads = [threading.Thread(target=load) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([len(a.requests), len(b.requests)], [200, 400])

    def test_server_connections_are_used_again(self):
        app = self.app()
        baton = self.baton([app])
        for _ in range(50):
            self.ask(baton)
        self.assertEqual(app.connections, 1)

    def test_connections_end_after_so_many_requests(self):
        app = self.app()
        baton = self.baton([app], upstream={"keepalive": {"requests_max": 10}})
        client = self.client(baton)
        for _ in range(50):
            client.ask()
        self.assertEqual(app.connections, 5)

    def test_idle_max_0_keeps_none(self):
        app = self.app()
        baton = self.baton([app], upstream={"keepalive": {"idle_max": 0}})
        client = self.client(baton)
        for _ in range(5):
            client.ask()
        self.assertEqual(app.connections, 5)

    def test_idle_connections_end_after_a_while(self):
        app = self.app()
        baton = self.baton([app], upstream={"keepalive": {"idle_timeout": "300ms"}})
        self.ask(baton)
        app.wait(lambda: app.ended == 1, "the end of the idle connection")


class ManyTest(SystemTest):
    """More servers than anybody has, each at an address of its own: all of 127.0.0.0/8 is this host."""

    def crowd(self, count, port):
        return [f"127.1.{i // 250}.{i % 250 + 1}:{port}" for i in range(count)]

    def app_everywhere(self, handler=None):
        return self.app(handler or (lambda request: reply(request.get("Host").encode())), host="0.0.0.0")

    def many(self, servers, **keys):
        return self.baton(servers, admin={"address": "127.0.0.1:0"}, **keys)

    def page(self, baton, target):
        return self.client(baton.admin_port).ask(target=target, host="localhost").body

    def told(self, baton):
        return json.loads(self.page(baton, "/v1/upstreams"))["upstreams"][0]["servers"]

    def samples(self, baton, name):
        text = self.page(baton, "/metrics").decode()
        lines = [line for line in text.splitlines() if line.startswith(name + "{")]
        return {line.partition('server="')[2].partition('"')[0]: int(line.rpartition(" ")[2]) for line in lines}

    def test_F_no_abort_300_servers_take_turns(self):
        servers = self.crowd(300, self.app_everywhere().port)
        baton = self.many(servers, upstream={"keepalive": {"idle_max": 0}})
        client = self.client(baton)
        for _ in range(600):
            self.assertEqual(client.ask().status, 200)
        asked = [line["server"] for line in baton.wait_access(600)]
        self.assertEqual(asked, servers * 2)
        counted = self.samples(baton, "baton_server_requests_total")
        self.assertEqual(counted, dict.fromkeys(servers, 2))
        told = self.told(baton)
        self.assertEqual([(one["address"], one["requests"]) for one in told], [(server, 2) for server in servers])

    def test_F_no_abort_5000_servers_of_which_few_are_there(self):
        gone = int(self.refused().rpartition(":")[2])
        servers = self.crowd(5000, gone)
        servers[2500] = self.app_everywhere().address.replace("127.0.0.1", "127.2.0.1")
        baton = self.many(servers, top={"workers": 2})
        for _ in range(3):
            self.assertEqual(self.ask(baton).status, 200)  # whoever is asked first, the one that is there is found
        self.assertEqual(sum(self.samples(baton, "baton_server_requests_total").values()), 3)
        told = self.told(baton)
        self.assertEqual([one["address"] for one in told if one["requests"]], [servers[2500]])

    def test_F_no_abort_300_servers_none_of_which_is_there(self):
        baton = self.many(self.crowd(300, int(self.refused().rpartition(":")[2])))
        for _ in range(2):
            self.assertEqual(self.ask(baton).status, 503)
        told = self.told(baton)
        self.assertEqual({one["last_fault"]["fault"] for one in told}, {"connect_failed"})  # each was tried
        self.assertEqual(sum(self.samples(baton, "baton_server_requests_total").values()), 0)

    def test_F_no_abort_a_request_is_sent_again_to_others_of_300(self):
        def lost(request):
            if len(request_servers) < 9:
                request_servers.append(request.wire.sock.getsockname()[0])
                raise App.Close()
            return reply(request.wire.sock.getsockname()[0].encode())

        request_servers = []
        baton = self.many(self.crowd(300, self.app_everywhere(lost).port), upstream={"retry": {"tries": 10}})
        answer = self.ask(baton)
        self.assertEqual(answer.status, 200)
        self.assertEqual(len({*request_servers, answer.body.decode()}), 10)  # ten servers, each once

    def test_F_no_abort_more_than_5000_servers_are_refused_by_name(self):
        path = self.file("baton.toml", config(self.crowd(5001, 9)))
        status, _, errors = run_baton("-t", "-c", str(path))
        self.assertEqual(status, 2)
        self.assertIn("upstream[0].servers: expected at most 5000 servers, found 5001", errors)


class LossTest(SystemTest):
    def test_killed_server_costs_no_get(self):
        apps = self.apps("a", "b", "c")
        baton = self.baton(apps, top={"workers": 2})
        failed, asked, stop = [], [0] * 4, threading.Event()

        def load(number):
            client = Client(baton.port)
            while not stop.is_set():
                try:
                    status = client.ask().status
                except Exception as fault:  # every kind of failure counts
                    return failed.append(repr(fault))
                if status != 200:
                    failed.append(status)
                asked[number] += 1
            client.close()

        threads = [threading.Thread(target=load, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        apps[0].wait_requests(50)
        apps[0].kill()
        before = sum(asked)
        eventually(lambda: failed or sum(asked) > before + 400, "400 answers")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])

    def test_refused_server_costs_nothing(self):
        app = self.app()
        baton = self.baton([self.refused(), app, self.refused()])
        client = self.client(baton)
        for _ in range(100):
            self.assertEqual(client.ask().status, 200)
            self.assertEqual(client.ask("POST", body=b"x").status, 200)
        self.assertIn("ECONNREFUSED", baton.wait_event("cannot connect to a server"))
        self.assertEqual({(line["tries"], line["server"]) for line in baton.wait_access(200)}, {(1, app.address)})

    def test_all_down(self):
        baton = self.baton([self.refused(), self.refused()])
        client = self.client(baton)
        for _ in range(2):
            answer = client.ask()
            self.assertEqual((answer.status, answer.get("Retry-After"), answer.closes()), (503, "1", False))
            self.assertEqual(answer.get("Content-Type"), "text/plain; charset=utf-8")
            self.assertRegex(answer.get("X-Request-Id"), "^[0-9a-f]{32}$")
        self.assertEqual(client.ask("HEAD").status, 503)
        line = baton.wait_access(3)[0]
        self.assertEqual((line["fault"], line["status"]), ("no_server", 503))
        self.assertNotIn("server", line)

    def test_server_that_comes_back_is_used(self):
        address, held = refused_address()
        baton = self.baton([address])
        self.assertEqual(self.ask(baton).status, 503)
        port = int(address.rpartition(":")[2])
        held.close()
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()
            client = self.client(baton)
            client.request()
            listener.settimeout(10)
            server, _ = listener.accept()
            server.recv(10_000)
            server.sendall(reply(b"back"))
            self.assertEqual(client.answer().body, b"back")
            server.close()

    def test_post_is_never_delivered_twice(self):
        def answer(request):
            raise App.Close(reply(b"done"))  # and the connection ends, unannounced

        apps = self.apps("a", "b", handler=answer)
        baton = self.baton(apps, top={"workers": 2})
        client = self.client(baton)
        lost = 0
        for number in range(200):
            got = client.ask("POST", "/", fields=[("X-Number", number)], body=b"x" * 100)
            self.assertIn(got.status, (200, 502))
            lost += got.status == 502
            if got.closes():
                client = self.client(baton)
        delivered = [request.get("X-Number") for app in apps for request in app.requests]
        self.assertEqual(len(delivered), len(set(delivered)))
        self.assertGreaterEqual(len(delivered), 200 - lost)
        faults = [line.get("fault") for line in baton.wait_access(200)]
        self.assertEqual((faults.count(None), faults.count("server_gone")), (200 - lost, lost))

    def test_get_is_never_lost_to_closing_servers(self):
        def answer(request):
            raise App.Close(reply(b"done"))

        apps = self.apps("a", "b", handler=answer)
        baton = self.baton(apps, top={"workers": 2})
        client = self.client(baton)
        for _ in range(500):
            self.assertEqual(client.ask().status, 200)

    def stale(self, reset):
        """A server that answers once on each connection, and breaks it when the next request comes."""
        def answer(request):
            if counts.setdefault(request.connection, 0):
                request.body
                raise App.Close(reset=reset)
            counts[request.connection] = 1
            return reply(b"ok")

        counts = {}
        return self.app(answer)

    def test_stale_connections_cost_a_get_nothing(self):
        for reset in (False, True):
            app = self.stale(reset)
            client = self.client(self.baton([app]))
            for _ in range(10):
                self.assertEqual(client.ask().status, 200)
                self.assertEqual(client.ask("PUT", body=b"x" * 1000).status, 200)
            # Each is sent again on a connection that is new, which counts for its first only.
            self.assertEqual(len(app.requests), app.connections * 2 - 1)

    def test_stale_connection_costs_a_post_once(self):
        for reset, body in ((False, b"x"), (True, b"x"), (False, b""), (True, b"")):
            app = self.stale(reset)
            baton = self.baton([app])
            client = self.client(baton)
            self.assertEqual(client.ask("POST", fields=[("X-Number", "1")], body=body).status, 200)
            self.assertEqual(client.ask("POST", fields=[("X-Number", "2")], body=body).status, 502)
            self.assertEqual(self.fault(baton, 2), "server_gone")
            self.assertEqual([request.get("X-Number") for request in app.requests], ["1", "2"])

    def test_second_try_takes_no_idle_connection(self):
        # Several idle connections, all of them stale: one of them costs the request its first try, no other the second.
        def answer(request):
            if request.connection > 3:
                return reply(b"fresh")
            if counts.setdefault(request.connection, 0):
                raise App.Close()
            counts[request.connection] = 1
            together.wait(10)
            return reply(b"ok")

        counts, together = {}, threading.Barrier(3)
        app = self.app(answer)
        baton = self.baton([app])
        clients = [self.client(baton) for _ in range(3)]
        for client in clients:
            client.request()
        for client in clients:
            self.assertEqual(client.answer().status, 200)
        self.assertEqual(clients[0].ask().body, b"fresh")
        self.assertEqual(app.connections, 4)

    def test_request_goes_to_the_next_server_when_one_breaks(self):
        def breaks(_request):
            raise App.Close(reset=True)

        bad, good = self.app(breaks, name="bad"), self.app(name="good")
        baton = self.baton([bad, good])
        client = self.client(baton)
        for method, body in (("GET", None), ("PUT", b"y" * 5000), ("DELETE", None), ("HEAD", None)):
            for _ in range(2):
                self.assertEqual(client.ask(method, body=body).status, 200)
        self.assertEqual({r.body for r in good.requests if r.method == "PUT"}, {b"y" * 5000})
        self.assertEqual({line["tries"] for line in baton.wait_access(8)} - {1, 2}, set())

    def test_tries_are_counted(self):
        def breaks(_request):
            raise App.Close()

        for tries in (1, 2, 3):
            apps = self.apps("a", "b", "c", "d", handler=breaks)
            baton = self.baton(apps, upstream={"retry": {"tries": tries}})
            self.assertEqual(self.ask(baton).status, 502)
            self.assertEqual(sum(len(app.requests) for app in apps), tries)
            self.assertEqual(baton.wait_access()[0]["tries"], tries)

    def test_large_upload_is_not_sent_again(self):
        def breaks(request):
            for _ in request.wire.pieces(500_000):
                pass
            raise App.Close(reset=True)

        bad, good = self.app(breaks, name="bad"), self.app(name="good")
        client = self.client(self.baton([bad, good]))
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n" + b"x" * 550_000)
        self.assertEqual(client.answer().status, 502)
        self.assertEqual(good.requests, [])

    def test_request_half_sent_goes_to_the_next_server(self):
        def breaks(request):
            request.wire.until(b"x" * 500)
            raise App.Close()

        halves = ((b"Content-Length: 1000", b"x" * 500, b"y" * 500),
                  (b"Transfer-Encoding: chunked", chunk(b"x" * 500), chunk(b"y" * 500) + b"0\r\n\r\n"))
        for framing, first, second in halves:
            bad, good = self.app(breaks, name="bad"), self.app(lambda request: reply(request.body), name="good")
            client = self.client(self.baton([bad, good], upstream={"request_buffer": 0}))
            client.send(b"PUT / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n" + first)
            good.wait_requests(1)
            client.send(second)
            self.assertEqual(client.answer().body, b"x" * 500 + b"y" * 500)

    def test_answer_begun_is_not_begun_again(self):
        def breaks(_request):
            raise App.Close(b"HTTP/1.1 200 OK\r\nContent-")

        bad, good = self.app(breaks, name="bad"), self.app(name="good")
        client = self.client(self.baton([bad, good]))
        self.assertEqual(client.ask().status, 502)
        self.assertEqual(good.requests, [])

    def test_nonsense_is_a_502(self):
        for data in (b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
                     b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
                     b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"):
            def answer(_request, data=data):
                raise App.Close(data)

            baton = self.baton([self.app(answer)])
            client = self.client(baton)
            answer = client.ask()
            self.assertEqual((answer.status, answer.closes()), (502, False))
            self.assertEqual(self.fault(baton), "bad_response")


if __name__ == "__main__":
    unittest.main()
