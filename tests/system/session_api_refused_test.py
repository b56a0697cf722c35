"""What the session API refuses, and that nothing has happened then. S<number>: the scenario that it proves."""

import base64
import unittest

from api import OTHER_TOKEN, TOKEN, ApiTest, port_that_serves
from harness import config, run_baton
from session_test import INVENTED


class RefusalsTest(ApiTest):
    """What is not done, and that nothing has happened then."""

    def setUp(self):
        [self.server] = self.obedient("A")
        self.proxy = self.api_baton([self.server])
        self.calls = self.api(self.proxy)

    def new(self, **attributes):
        return self.calls.create({"attrs": attributes}).json["id"]

    def assert_refused(self, answer, status, hint=""):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(set(answer.json), {"error"})
        self.assertIn(hint, answer.json["error"])

    def test_S23_without_a_good_token(self):
        session = self.new(a="1")
        path = f"/v1/sessions/{session}"
        nobody = self.api(self.proxy, None)
        for token in (None, "", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}0", f"Bearer  {TOKEN}",
                      f"Bearer {TOKEN.upper()}", f"Basic {TOKEN}", f"Token {TOKEN}", TOKEN, f"Bearer,{TOKEN}",
                      f"Bearer {TOKEN} {TOKEN}", f"Bearer {'x' * 8000}", "Bearer app", f'Bearer "{TOKEN}"'):
            fields = [] if token is None else [("Authorization", token)]
            for method, target, body in (("GET", path, None), ("PATCH", path, {"attrs": {"a": "2"}}),
                                         ("DELETE", path, None), ("POST", "/v1/sessions", None),
                                         ("POST", path + "/rotate", None), ("GET", "/nothing", None),
                                         ("PUT", path, None)):
                answer = nobody.call(method, target, body, fields=fields)
                self.assert_refused(answer, 401)
                self.assertEqual(answer.get("WWW-Authenticate"), "Bearer")
        self.assertEqual(self.calls.read(session).json["attrs"], {"a": "1"})

    def test_S23_who_has_no_token_is_not_listened_to(self):
        # The answer comes before the body, of which nothing is kept.
        for more in ("", "Expect: 100-continue\r\n"):
            client = self.client(port_that_serves(self.proxy, "session-api"))
            client.send("POST /v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                        f"Authorization: Bearer {TOKEN}x\r\n{more}Content-Length: 100000\r\n\r\n")
            answer = client.answer()
            self.assertEqual((answer.status, answer.closes(), answer.interim), (401, True, []))

    def test_S23_api_path_on_the_public_port_is_an_ordinary_path(self):
        session = self.new(a="1")
        for method, target in (("GET", f"/v1/sessions/{session}"), ("DELETE", f"/v1/sessions/{session}"),
                               ("POST", "/v1/sessions")):
            answer = self.ask(self.proxy, method, target, fields=[("Authorization", f"Bearer {TOKEN}")])
            self.assertEqual((answer.status, answer.body), (200, b"page of A"))
            self.assertEqual((self.server.last().method, self.server.last().target), (method, target))
        self.assertEqual(self.calls.read(session).status, 200)

    def test_pages_of_the_other_listeners_are_not_here(self):
        for path in ("/healthz", "/readyz", "/metrics", "/v1/upstreams"):
            self.assert_refused(self.calls.call("GET", path), 404)
        admin = self.client(port_that_serves(self.proxy, "admin"))
        answer = admin.ask("GET", f"/v1/sessions/{self.new()}", host="127.0.0.1",
                           fields=[("Authorization", f"Bearer {TOKEN}")])
        self.assertEqual(answer.status, 404)

    def test_S57_token_of_another_scope(self):
        other = self.api(self.proxy, OTHER_TOKEN)
        session = self.new(a="1")
        self.assert_refused(other.read(session), 404)
        self.assert_refused(other.patch(session, {"attrs": {"a": "2"}}), 404)
        self.assert_refused(other.rotate(session), 404)
        self.assertEqual(other.kill(session).status, 204)  # as for any id that it does not know
        found = self.calls.read(session).json
        self.assertEqual((found["version"], found["attrs"]), (1, {"a": "1"}))
        # The same id there is another session.
        self.assertEqual(other.create({"id": session, "attrs": {"b": "1"}}).status, 201)
        self.assertEqual(other.read(session).json["attrs"], {"b": "1"})
        self.assertEqual(self.data(self.proxy, self.server, session, host="other.example"), {"b": "1"})
        self.assertEqual(self.data(self.proxy, self.server, session), {"a": "1"})

    def test_paths_that_are_none(self):
        session = self.new()
        for path in ("/", "/v1", "/v1/", "/v1/sessions/", "/v2/sessions", "/v1/session", "/v1/sessionsX",
                     "/V1/sessions", "//v1/sessions", f"/v1/sessionsX/{session}", f"/v1/sessions//{session}",
                     f"/v1/sessions/{session[:-1]}", f"/v1/sessions/{session}0", f"/v1/sessions/{session.lower()}",
                     f'/v1/sessions/"{session}"', f"/v1/sessions/%22{session}%22", f"/v1/sessions/{session}/",
                     f"/v1/sessions/{session}/rotate/", f"/v1/sessions/{session}/Rotate",
                     f"/v1/sessions/{session}/rotate/rotate", f"/v1/sessions/{session[:30]}%31%32",
                     "/v1/sessions/../sessions", "/v1/sessions/rotate", "/v1/sessions//rotate",
                     f"/v1/sessions/{session};x", "/v1%2Fsessions"):
            for method in ("GET", "POST", "PUT"):
                self.assert_refused(self.calls.call(method, path), 404)
        self.assertEqual(self.calls.read(session).json["version"], 1)

    def test_methods_that_are_none(self):
        session = self.new()
        for path, allowed in (("/v1/sessions", "POST"), (f"/v1/sessions/{session}/rotate", "POST"),
                              (f"/v1/sessions/{session}", "GET, HEAD, PATCH, DELETE"),
                              (f"/v1/sessions/{INVENTED}", "GET, HEAD, PATCH, DELETE")):
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"):
                if method in allowed.split(", "):
                    continue
                if method == "get":
                    # An unknown method is refused as on any other listener, and ends the connection.
                    answer = self.api(self.proxy).call(method, path)
                    self.assertEqual(answer.status, 501)
                    continue
                answer = self.calls.call(method, path)
                self.assert_refused(answer, 405)
                self.assertEqual(answer.get("Allow"), allowed)
        answer = self.calls.call("HEAD", "/v1/sessions")
        self.assertEqual((answer.status, answer.get("Allow"), answer.body), (405, "POST", b""))
        self.assertEqual(self.calls.read(session).json["version"], 1)

    def test_bodies_of_another_kind(self):
        session = self.new()
        for kind in (None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonx",
                     "application/json-patch+json", "text/json", "json"):
            self.assert_refused(self.calls.patch(session, {"attrs": {"a": "1"}}, content_type=kind), 415)
            self.assert_refused(self.calls.create({"attrs": {"a": "1"}}, content_type=kind), 415)
        self.assertEqual(self.calls.read(session).json["version"], 1)

    def test_bodies_that_are_refused(self):
        session = self.new()
        deep = b"[" * 100_000
        nested = b'{"attrs":{"a":' + b'{"b64":' * 15_000 + b'"x"' + b"}" * 15_002
        both = ((b"x", ""), (b"{", ""), (b"{}x", ""), (b"[]", "object"), (b"null", "object"), (b'"a"', "object"),
                (b"1", "object"), (b" ", ""), (b'{"attrs":{"a":"\xff"}}', ""), (b'{"attrs":{"a":"\\ud800"}}', ""),
                (b'{"attrs":{"a":"1",}}', ""), (b"{'attrs':{}}", ""), (b'{"attrs":{"a":NaN}}', ""),
                (deep, "nested"), (nested, "nested"),
                ({"attr": {}}, 'unknown key "attr"'), ({"Attrs": {}}, "unknown key"), ({"": 1}, "unknown key"),
                ({"version": 3}, "unknown key"), ({"attrs": {"ok": "1"}, "x": 1}, "unknown key"),
                ({"attrs": []}, "attrs: expected an object"), ({"attrs": None}, "attrs: expected an object"),
                ({"attrs": "a=1"}, "attrs: expected an object"),
                ({"idle": -1}, "idle"), ({"idle": 1.5}, "idle"), ({"idle": "900"}, "idle"), ({"idle": True}, "idle"),
                ({"idle": None}, "idle"), ({"idle": {}}, "idle"), (b'{"idle":1e3}', "idle"),
                (b'{"idle":' + b"9" * 400 + b"}", ""),
                ({"attrs": {"ok": "1", "": "1"}}, 'attrs.""'), ({"attrs": {"a b": "1"}}, 'attrs."a b"'),
                ({"attrs": {"a=b": "1"}}, 'attrs."a=b"'), ({"attrs": {"n" * 65: "1"}}, "attrs."),
                ({"attrs": {"\u00e9": "1"}}, "attrs."),
                ({"attrs": {"ok": "1", "a": 1}}, 'attrs."a"'), ({"attrs": {"a": True}}, 'attrs."a"'),
                ({"attrs": {"a": ["1"]}}, 'attrs."a"'), ({"attrs": {"a": {}}}, 'attrs."a"'),
                ({"attrs": {"a": {"b64": 1}}}, 'attrs."a"'), ({"attrs": {"a": {"b64": "QQ"}}}, 'attrs."a"'),
                ({"attrs": {"a": {"b64": "Q==="}}}, 'attrs."a"'), ({"attrs": {"a": {"b64": "Q Q="}}}, 'attrs."a"'),
                ({"attrs": {"a": {"b64": "QQ=Q"}}}, 'attrs."a"'), ({"attrs": {"a": {"b64": "Q-_="}}}, 'attrs."a"'),
                ({"attrs": {"a": {"b64": "QQ==\n"}}}, 'attrs."a"'), ({"attrs": {"a": {"B64": "QQ=="}}}, 'attrs."a"'),
                ({"attrs": {"a": {"b64": "QQ==", "x": 1}}}, 'attrs."a"'))
        patch = both + ((b"", "object"), ({"id": INVENTED}, 'unknown key "id"'))
        create = both + (({"attrs": {"a": None}}, 'attrs."a"'), ({"id": "x"}, "id"), ({"id": 1}, "id"),
                         ({"id": None}, "id"), ({"id": INVENTED.lower()}, "id"), ({"id": INVENTED + "0"}, "id"))
        for body, hint in patch:
            with self.subTest(patch=str(body)[:60]):
                self.assert_refused(self.calls.patch(session, body), 400, hint)
        sessions = self.metric(self.proxy, "baton_sessions")
        for body, hint in create:
            with self.subTest(create=str(body)[:60]):
                self.assert_refused(self.calls.create(body), 400, hint)
        found = self.calls.read(session).json
        self.assertEqual((found["version"], found["attrs"]), (1, {}))
        self.assertEqual(self.metric(self.proxy, "baton_sessions"), sessions)

    def test_F_json_end_a_rotation_takes_no_keys_and_passes_over_nothing(self):
        session = self.new(a="1")
        path = f"/v1/sessions/{session}/rotate"
        for body, hint in (({"attrs": {"a": "2"}}, 'unknown key "attrs"'), ({"idle": 900}, 'unknown key "idle"'),
                           ({"id": INVENTED}, 'unknown key "id"'), (b"{}\0", "not JSON at byte 3"), (b"\0", ""),
                           (b"{}x", ""), (b"[]", "object"), (b" ", ""), (b"x", "")):
            with self.subTest(body=body):
                self.assert_refused(self.calls.call("POST", path, body), 400, hint)
        self.assert_refused(self.calls.call("POST", path, b"a=2", content_type="text/plain"), 415)
        self.assertEqual(self.calls.read(session).json["version"], 1)
        rotated = self.calls.call("POST", path, {})
        self.assertEqual((rotated.status, rotated.json["version"]), (200, 2))
        self.assertEqual(self.calls.rotate(rotated.json["id"]).status, 200)

    def test_complaints_hold_no_values(self):
        session = self.new()
        for body in ({"attrs": {"a": ["secret"]}}, {"attrs": {"a": {"b64": "secret!"}}}, b'{"attrs":{"a":"secret"'):
            self.assertNotIn(b"secret", self.calls.patch(session, body).body)

    def test_more_than_a_session_may_hold(self):
        session = self.new(there="1")
        many = {f"k{i}": "v" for i in range(65)}
        large = {f"k{i}": "x" * 8190 for i in range(3)}  # 24,576 bytes with the names: exactly all
        for attrs in ({"a": "x" * 8193}, {"a": {"b64": base64.b64encode(b"\xff" * 8193).decode()}}, many,
                      {**large, "k": ""}):
            self.assert_refused(self.calls.create({"attrs": attrs}), 413)
            self.assert_refused(self.calls.patch(session, {"attrs": attrs}), 413)
        # Together with what is there.
        self.assert_refused(self.calls.patch(session, {"attrs": {k: many[k] for k in list(many)[:64]}}), 413)
        self.assert_refused(self.calls.patch(session, {"attrs": large}), 413)
        found = self.calls.read(session).json
        self.assertEqual((found["version"], found["attrs"]), (1, {"there": "1"}))
        for attrs in ({"a": "x" * 8192}, {k: many[k] for k in list(many)[:64]}, large):
            self.assertEqual(self.calls.create({"attrs": attrs}).status, 201)
            self.assertEqual(self.calls.patch(session, {"attrs": {"there": None, **attrs}}).status, 200)
            session = self.new(there="1")

    def test_body_longer_than_any_can_be(self):
        length = 6 * (24 << 10) + (8 << 10)
        body = b'{"attrs":{}' + b" " * (length - 12) + b"}"
        self.assertEqual(len(body), length)
        self.assertEqual(self.calls.create(body).status, 201)
        head = "POST /v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        head += f"Authorization: Bearer {TOKEN}\r\n"
        # By what its length says, before anything of it is sent.
        for more in ("", "Expect: 100-continue\r\n"):
            client = self.client(port_that_serves(self.proxy, "session-api"))
            client.send(f"{head}{more}Content-Length: {length + 1}\r\n\r\n")
            answer = client.answer()
            self.assertEqual((answer.status, answer.closes(), answer.interim), (413, True, []))
        # By what has come of it.
        client = self.client(port_that_serves(self.proxy, "session-api"))
        client.send(f"{head}Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(length // 4096):
            client.send(b"1000\r\n" + b" " * 4096 + b"\r\n")
        self.assertFalse(client.readable(0.1))
        client.send(b"1000\r\n" + b" " * 4096 + b"\r\n")
        answer = client.answer()
        self.assertEqual((answer.status, answer.closes()), (413, True))

    def test_many_keys_cost_no_more_than_few(self):
        # As many as fit into a body; each would be searched from the first one on if they were kept in a list.
        session = self.new()
        names = [f"{i:05x}" for i in range(11_000)]
        body = ("{" + ",".join(f'"{name}":0' for name in names) + "}").encode()
        before = self.proxy.cpu_seconds()
        self.assert_refused(self.calls.patch(session, body), 400, "unknown key")
        body = ('{"attrs":{' + ",".join(f'"{name}":null' for name in names[:9000]) + "}}").encode()
        self.assert_refused(self.calls.patch(session, body), 413, "too many names")
        self.assertLess(self.proxy.cpu_seconds() - before, 2)  # a hang guard: it takes milliseconds

    def test_conditions_that_are_none(self):
        session = self.new(a="1")
        path = f"/v1/sessions/{session}"
        for value in ("1", "'1'", '"', '""', '"x"', '"-1"', '"+1"', '"1.0"', '"01x"', 'W/"1"', '"1", "2"', "**",
                      f'"{2 ** 63}"', f'"{2 ** 53}"'):
            answer = self.calls.call("PATCH", path, {"attrs": {"a": "2"}}, fields=[("If-Match", value)])
            self.assert_refused(answer, 400, "If-Match")
        for method, target in (("GET", path), ("DELETE", path), ("POST", path + "/rotate"), ("POST", "/v1/sessions")):
            self.assert_refused(self.calls.call(method, target, fields=[("If-Match", '"1"')]), 400, "If-Match")
        self.assertEqual(self.calls.read(session).json["version"], 1)

    def test_sessions_that_are_none(self):
        for call in (self.calls.read, self.calls.rotate, lambda one: self.calls.patch(one, {"attrs": {"a": "2"}}),
                     lambda one: self.calls.patch(one, {"attrs": {"a": "2"}}, version=1)):
            self.assert_refused(call(INVENTED), 404)
        self.assertEqual(self.metric(self.proxy, "baton_sessions"), 0)

    def test_what_is_no_http(self):
        for text in ("GET /v1/sessions HTTP/1.1\nHost: a\n\n", "\x16\x03\x01\x00\xa5", "GET / HTTP/2.0\r\n\r\n"):
            client = self.client(port_that_serves(self.proxy, "session-api"))
            client.send(text.encode("latin-1") + b"\r\n\r\n")
            self.assertIn(client.answer().status, (400, 505))
        self.assertEqual(self.calls.read(self.new()).status, 200)


class ConfigurationTest(ApiTest):
    """What is refused before anything listens."""

    def check(self, api, *, servers=("127.0.0.1:9001",), **keys):
        path = self.file("baton.toml", config(list(servers), session={"api": api}, **keys))
        return run_baton("-t", "-c", path)

    def refused(self, pattern, text=None, *, mode=0o600, **keys):
        api = {"address": "127.0.0.1:8082", "token_file": str(self.token_file(text, mode)), **keys}
        status, out, err = self.check({key: value for key, value in api.items() if value is not None})
        self.assertEqual((status, out), (2, ""), err)
        self.assertRegex(err, r"^\S+baton\.toml:\d+:\d+: session\.api" + pattern)
        self.assertNotIn(TOKEN, err)
        return err

    def test_good_files(self):
        for text in (f"app {TOKEN}\n", f"app {TOKEN}", f"\n#x\n  \t\napp\t \t{TOKEN} \r\n\r\n",
                     f"app {TOKEN}\napp {OTHER_TOKEN}\n", "app " + "-._~+/=" + "A" * 25 + "\n",
                     "app " + "a" * 32 + "\n", "app " + "a" * 256 + "\n"):
            api = {"address": "127.0.0.1:8082", "token_file": str(self.token_file(text))}
            status, out, err = self.check(api)
            self.assertEqual((status, err), (0, ""), text)
            self.assertRegex(out, "ok$")

    def test_keys_that_are_missing_or_wrong(self):
        self.refused(r": expected .*token_file|\.token_file: expected the path of a file", token_file=None)
        self.refused(r".*address.*expected an IP address", f"app {TOKEN}", address=None)
        self.refused(r"\.address: expected an IP address or localhost with a port, found \"example.com:1\"",
                     f"app {TOKEN}", address="example.com:1")
        self.refused(r"\.tokens: expected a known key", f"app {TOKEN}", tokens="x")

    def test_address_of_its_own(self):
        api = {"address": "127.0.0.1:8080", "token_file": str(self.token_file(f"app {TOKEN}"))}
        status, _, err = self.check(api, listener={"address": "127.0.0.1:8080"})
        self.assertEqual(status, 2)
        self.assertIn("session.api.address: expected an address that no other listener has", err)

    def test_files_that_cannot_be_read(self):
        self.refused(r"\.token_file: expected .*No such file", f"app {TOKEN}", token_file="/nothing/of/this/name")
        self.refused(r"\.token_file: expected .*it is not a file", f"app {TOKEN}", token_file="/tmp")
        self.refused(r"\.token_file: expected .*it is not a file", f"app {TOKEN}", token_file="/dev/null")
        self.refused(r"\.token_file: expected .*larger than 64KiB", f"app {TOKEN}\n" + "#" * (64 << 10))

    def test_files_that_others_may_read(self):
        for mode in (0o604, 0o644, 0o664, 0o777):
            self.refused(r"\.token_file: expected .*everybody can read it", f"app {TOKEN}\n", mode=mode)
        for mode in (0o600, 0o400, 0o640, 0o660):
            path = self.token_file(f"app {TOKEN}\n", mode)
            self.assertEqual(self.check({"address": "127.0.0.1:8082", "token_file": str(path)})[0], 0)

    def test_lines_that_are_none(self):
        for line in (f"{TOKEN}", "app", "app short-token", "app " + "a" * 31, "app " + "a" * 257, f"app {TOKEN} more",
                     f"app {TOKEN},", f'app "{TOKEN}"', f"app {TOKEN[:20]}\u00e9{TOKEN[20:]}", f"app={TOKEN}",
                     f"app: {TOKEN}$"):
            err = self.refused(r"\.token_file: .*; line 2: expected a scope and a token", f"# mine\n{line}\n")
            self.assertNotIn("short-token", err)
        self.refused(r"\.token_file: .*at least one line", "# nothing\n\n")
        self.refused(r"\.token_file: .*; line 3: a token that is in use",
                     f"app {TOKEN}\napp {OTHER_TOKEN}\nb {TOKEN}\n")

    def test_scopes_that_are_none(self):
        self.refused(r'\.token_file: expected the scope of an upstream, found "shop"',
                     f"app {TOKEN}\nshop {OTHER_TOKEN}\n")
        api = {"address": "127.0.0.1:8082", "token_file": str(self.token_file(f"shared {TOKEN}\n"))}
        upstreams = [{"name": "a", "scope": "shared", "servers": [{"address": "127.0.0.1:9001"}]}]
        self.assertEqual(self.check(api, upstreams=upstreams, routes=[{"upstream": "a"}])[0], 0)

    def test_address_that_is_taken(self):
        held = self.app()
        api = {"address": held.address, "token_file": str(self.token_file(f"app {TOKEN}"))}
        path = self.file("baton.toml", config(["127.0.0.1:9001"], session={"api": api}))
        status, _, err = run_baton("-c", path)
        self.assertEqual(status, 1)
        self.assertIn(f"cannot listen on {held.address}", err)


if __name__ == "__main__":
    unittest.main()
