"""Which server a request goes to, and what it is told of the client."""

import unittest

from harness import SystemTest, refused_address, upstream_of


class RouteTest(SystemTest):
    def routed(self, *routes, **keys):
        """A baton with one upstream, of one app, for each route: (hosts, path)."""
        apps = [self.app(name=f"app{i}") for i in range(len(routes))]
        upstreams = [upstream_of([app], name=app.name) for app in apps]
        tables = [{"hosts": hosts, "path": path, "upstream": app.name, "session": "off"}
                  for (hosts, path), app in zip(routes, apps)]
        return self.baton(upstreams=upstreams, routes=tables, **keys), apps

    def where(self, client, host, target="/", method="GET"):
        answer = client.ask(method, target, host=host)
        return answer.get("X-App") if answer.status == 200 else answer.status

    def test_hosts(self):
        baton, _ = self.routed((["*"], "/"), (["*.example.com"], "/"), (["www.example.com", "other.test"], "/"),
                               (["*.b.example.com"], "/"))
        client = self.client(baton)
        for host, app in (("www.example.com", "app2"), ("WWW.Example.COM", "app2"), ("www.example.com:8080", "app2"),
                          ("www.example.com.", "app2"), ("www.example.com.:80", "app2"), ("other.test", "app2"),
                          ("x.example.com", "app1"), ("y.x.example.com", "app1"), ("example.com", "app0"),
                          ("badexample.com", "app0"), ("a.b.example.com", "app3"), ("b.example.com", "app1"),
                          ("127.0.0.1", "app0"), ("[::1]:80", "app0"), ("example.com.evil", "app0")):
            self.assertEqual(self.where(client, host), app, host)

    def test_host_beats_path(self):
        baton, _ = self.routed((["*"], "/very/long/path"), (["a.test"], "/"))
        client = self.client(baton)
        self.assertEqual(self.where(client, "a.test", "/very/long/path"), "app1")
        self.assertEqual(self.where(client, "b.test", "/very/long/path/x"), "app0")
        self.assertEqual(self.where(client, "b.test", "/"), 404)

    def test_paths(self):
        baton, _ = self.routed((["*"], "/"), (["*"], "/app"), (["*"], "/app/admin/"), (["*"], "/q"))
        client = self.client(baton)
        for target, app in (("/", "app0"), ("/app", "app1"), ("/apple", "app1"), ("/app/x", "app1"), ("/App", "app0"),
                            ("/app/admin", "app1"), ("/app/admin/", "app2"), ("/app/admin/x?y", "app2"),
                            ("//app", "app0"), ("/%61pp", "app0"), ("/x/../app", "app0"), ("/q?x=1", "app3"),
                            ("/?/app", "app0")):
            self.assertEqual(self.where(client, "a.test", target), app, target)
        self.assertEqual(self.where(client, "a.test", "*", "OPTIONS"), "app0")

    def test_no_route(self):
        baton, _ = self.routed((["a.test"], "/x/"))
        client = self.client(baton)
        for host, target in (("b.test", "/x/"), ("a.test", "/"), ("a.test", "/x")):
            answer = client.ask(host=host, target=target)
            self.assertEqual((answer.status, answer.closes()), (404, False))
        self.assertEqual({(line["fault"], line["status"]) for line in baton.wait_access(3)}, {("no_route", 404)})
        answer = client.ask("POST", "/", host="b.test", body=b"a body that nobody wants")
        self.assertEqual(answer.status, 404)

    def test_each_request_is_routed_by_itself(self):
        baton, _ = self.routed((["a.test"], "/"), (["b.test"], "/"))
        client = self.client(baton)
        client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: b.test\r\n\r\n" * 3)
        self.assertEqual([client.answer().get("X-App") for _ in range(6)], ["app0", "app1"] * 3)

    def test_absolute_target_wins_over_host(self):
        baton, apps = self.routed((["a.test"], "/"), (["*"], "/"))
        client = self.client(baton)
        for target, path in (("http://a.test/x?y", "/x?y"), ("http://A.test:80", "/"), ("http://a.test?y", "/?y")):
            client.request(target=target, host="b.test")
            self.assertEqual(client.answer().get("X-App"), "app0")
            self.assertEqual(apps[0].last().target, path)
        self.assertEqual(apps[0].last().get("Host"), "a.test")
        client.request("OPTIONS", "http://a.test", host="b.test")
        self.assertEqual(client.answer().get("X-App"), "app0")
        self.assertEqual(apps[0].last().target, "*")

    def test_target_and_host_are_passed_as_they_are(self):
        baton, apps = self.routed((["*"], "/"))
        client = self.client(baton)
        target = "//a/%00/../;x=1/<>\"{}|\\^`?b=%zz&c=?"
        client.ask(target=target, host="A.Test.:81")
        self.assertEqual((apps[0].last().target, apps[0].last().get("Host")), (target, "A.Test.:81"))

    def test_methods(self):
        baton, apps = self.routed((["*"], "/"))
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH"):
            self.assertEqual(self.ask(baton, method).status, 200)
            self.assertEqual(apps[0].last().method, method)
        for method, status in (("TRACE", 405), ("CONNECT", 405), ("BREW", 501), ("get", 501)):
            answer = self.ask(baton, method)
            self.assertEqual((answer.status, answer.closes()), (status, True))
        self.assertIn("GET", self.ask(baton, "TRACE").get("Allow"))


class ForwardTest(SystemTest):
    SPOKEN = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "shop.example"),
              ("X-Forwarded-Port", "443"), ("Forwarded", "for=1.2.3.4"), ("X-Real-IP", "1.2.3.4"),
              ("X-Request-Id", "Abc-1.2_3")]
    NAMES = [name for name, _ in SPOKEN]

    def told(self, trusted, fields, **keys):
        app = self.app()
        baton = self.baton([app], listener={"trusted_proxies": trusted}, **keys)
        answer = self.ask(baton, fields=fields)
        self.assertEqual(answer.status, 200)
        return baton, app.last(), answer

    def test_untrusted_peer(self):
        baton, request, _ = self.told([], self.SPOKEN)
        found = {name: request.get(name) for name in self.NAMES}
        fresh = found.pop("X-Request-Id")
        self.assertRegex(fresh, "^[0-9a-f]{32}$")
        self.assertEqual(found, {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http",
                                 "X-Forwarded-Host": "test.example", "X-Forwarded-Port": str(baton.port),
                                 "Forwarded": None, "X-Real-IP": None})
        line = baton.wait_access()[0]
        self.assertEqual((line["id"], line["client"]), (fresh, "127.0.0.1"))

    def test_trusted_peer(self):
        baton, request, _ = self.told(["127.0.0.0/8"], self.SPOKEN)
        self.assertEqual({name: request.get(name) for name in self.NAMES},
                         {**dict(self.SPOKEN), "X-Forwarded-For": "1.2.3.4, 127.0.0.1"})
        line = baton.wait_access()[0]
        self.assertEqual((line["id"], line["client"]), ("Abc-1.2_3", "1.2.3.4"))

    def test_trusted_peer_that_says_nothing(self):
        baton, request, _ = self.told(["127.0.0.1"], [])
        self.assertEqual([request.get(name) for name in self.NAMES[:6]],
                         ["127.0.0.1", "http", "test.example", str(baton.port), None, None])

    def test_several_forwarded_for(self):
        fields = [("X-Forwarded-For", "1.1.1.1, 2.2.2.2"), ("x-forwarded-for", "3.3.3.3")]
        _, request, _ = self.told(["127.0.0.1"], fields)
        self.assertEqual(request.all("X-Forwarded-For"), ["1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1"])
        _, request, _ = self.told([], fields)
        self.assertEqual(request.all("X-Forwarded-For"), ["127.0.0.1"])

    def test_request_id_must_look_like_one(self):
        for given, taken in (("x" * 128, True), ("x" * 129, False), ("a b", False), ("a\"b", False), ("", False)):
            _, request, _ = self.told(["127.0.0.1"], [("X-Request-Id", given)])
            self.assertEqual(request.get("X-Request-Id") == given, taken, given)

    def test_request_ids_are_distinct_and_on_own_answers(self):
        app = self.app()
        baton = self.baton([app], top={"workers": 2}, route={"path": "/x"})
        for _ in range(50):
            self.ask(baton, target="/x")
        self.assertEqual(len({request.get("X-Request-Id") for request in app.requests}), 50)
        answer = self.ask(baton)
        line = baton.wait_access(1, lambda line: line["status"] == 404)[0]
        self.assertEqual(answer.get("X-Request-Id"), line["id"])

    def test_connection_cannot_name_what_baton_says(self):
        fields = [("Connection", "X-Forwarded-For, X-Forwarded-Proto, X-Request-Id, Host, Content-Length")]
        _, request, _ = self.told(["127.0.0.1"], fields + self.SPOKEN)
        self.assertEqual(request.get("X-Forwarded-For"), "1.2.3.4, 127.0.0.1")
        self.assertEqual(request.get("X-Forwarded-Proto"), "https")
        self.assertEqual(request.get("X-Request-Id"), "Abc-1.2_3")

    def test_underscores(self):
        fields = [("X_Forwarded_For", "6.6.6.6"), ("My_Field", "1"), ("My-Field", "2")]
        _, request, _ = self.told([], fields)
        self.assertEqual([name for name in request.names() if "_" in name], [])
        self.assertEqual(request.get("My-Field"), "2")
        _, request, _ = self.told([], fields, limits={"underscores": "keep"})
        self.assertEqual((request.all("My_Field"), request.get("My-Field")), (["1"], "2"))
        app = self.app()
        baton = self.baton([app], limits={"underscores": "reject"})
        self.assertEqual(self.ask(baton, fields=fields).status, 400)
        self.assertEqual(self.ask(baton).status, 200)
        self.assertEqual(len(app.requests), 1)
        self.assertEqual(baton.wait_access(2)[0]["fault"], "bad_request")

    def test_F_via_two_that_forward_to_each_other(self):
        """A names B and B names A: a request comes back once, and takes no more connections than that."""
        address, held = refused_address()
        one = self.baton([address])
        held.close()
        two = self.baton([f"127.0.0.1:{one.port}"], listener={"address": address})
        for baton, lines in ((one, (2, 1)), (two, (3, 3))):
            self.assertEqual(self.ask(baton).status, 508)
            self.assertEqual(len(one.wait_access(lines[0])), lines[0])
            self.assertEqual(len(two.wait_access(lines[1])), lines[1])
        faults = [line.get("fault") for line in one.wait_access(3)]
        self.assertEqual(faults.count("loop"), 1)

    def test_F_via_chain_of_two(self):
        """What another baton has sent is no loop."""
        app = self.app()
        inner = self.baton([app])
        outer = self.baton([f"127.0.0.1:{inner.port}"])
        self.assertEqual(self.ask(outer, version="1.0").status, 200)
        first, second = app.last().all("Via")
        self.assertRegex(first, "^1.0 baton-[0-9a-f]{16}$")
        self.assertRegex(second, "^1.1 baton-[0-9a-f]{16}$")
        self.assertNotEqual(first[4:], second[4:])


if __name__ == "__main__":
    unittest.main()
