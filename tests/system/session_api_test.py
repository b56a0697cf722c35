"""The session API: what its calls do, and how long. A name's S<number> is the scenario that it proves."""

import base64
import json
import threading
import time
import unittest
from urllib.parse import parse_qsl, quote_plus

from api import OTHER_TOKEN, TOKEN, Api, ApiTest, port_that_serves
from harness import Baton, config, eventually
from peers import reply
from session_test import INVENTED, SESSION_ID
from stop_test import is_refused


class CallsTest(ApiTest):
    """What each call does."""

    def setUp(self):
        [self.server] = self.obedient("A")
        self.proxy = self.api_baton([self.server])
        self.calls = self.api(self.proxy)

    def new(self, *replies):
        return self.new_session(self.proxy, self.server, *replies)

    def attributes(self, session):
        return self.calls.read(session).json["attrs"]

    def test_read(self):
        session = self.new("Baton-Session-Set: cart=3&user=al%20i")
        answer = self.calls.read(session)
        self.assertEqual((answer.status, answer.get("ETag")), (200, '"1"'))
        self.assertEqual(answer.get("Content-Type"), "application/json")
        self.assertEqual(answer.get("Cache-Control"), "no-store")
        self.assertEqual(set(answer.json), {"version", "created", "idle", "ttl", "attrs"})
        self.assertEqual((answer.json["version"], answer.json["idle"]), (1, 1800))
        self.assertEqual(answer.json["attrs"], {"cart": "3", "user": "al i"})
        self.assertLess(abs(answer.json["created"] - time.time() * 1000), 60_000)
        # No sooner than idle says, and up to a minute later.
        self.assertTrue(1790 <= answer.json["ttl"] <= 1860, answer.json)

    def test_head_is_as_get_without_the_body(self):
        session = self.new()
        got = self.calls.read(session)
        head = self.calls.call("HEAD", f"/v1/sessions/{session}")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual([f for f in head.fields if f[0] != "Content-Length"],
                         [f for f in got.fields if f[0] != "Content-Length"])
        self.assertEqual(self.calls.call("HEAD", f"/v1/sessions/{INVENTED}").status, 404)
        self.assertEqual(self.calls.read(session).status, 200)  # the connection goes on

    def test_reading_changes_nothing(self):
        session = self.new("Baton-Session-Set: a=1")
        for _ in range(3):
            self.assertEqual(self.calls.read(session).json["version"], 1)

    def test_patch_merges(self):
        session = self.new("Baton-Session-Set: a=1&b=2")
        answer = self.calls.patch(session, {"attrs": {"a": "9", "b": None, "c": "3", "unknown": None}})
        self.assertEqual((answer.status, answer.get("ETag"), answer.json), (200, '"2"', {"version": 2}))
        self.assertEqual(self.attributes(session), {"a": "9", "c": "3"})
        self.assertEqual(self.data(self.proxy, self.server, session), {"a": "9", "c": "3"})
        self.assertEqual(self.server.last().get("Baton-Session-Version"), "2")

    def test_patch_with_nothing_in_it(self):
        session = self.new("Baton-Session-Set: a=1")
        for body in ({}, {"attrs": {}}):
            self.assertEqual(self.calls.patch(session, body).status, 200)
        self.assertEqual(self.attributes(session), {"a": "1"})

    def test_patch_takes_both_media_types(self):
        session = self.new()
        for number, kind in enumerate(("application/json", "application/merge-patch+json", "Application/JSON",
                                       "application/json; charset=utf-8", "application/json ;charset=utf-8")):
            answer = self.calls.patch(session, {"attrs": {f"k{number}": "v"}}, content_type=kind)
            self.assertEqual(answer.status, 200, kind)
        self.assertEqual(len(self.attributes(session)), 5)

    def test_S23_stale_if_match_on_a_changed_attribute(self):
        session = self.new("Baton-Session-Set: a=1&b=1&c=1")
        self.calls.patch(session, {"attrs": {"a": "2", "b": "2"}})  # version 2
        answer = self.calls.patch(session, {"attrs": {"a": "x", "b": None, "c": "x"}}, version=1)
        self.assertEqual((answer.status, answer.get("ETag")), (412, '"2"'))
        self.assertEqual(sorted(answer.json["names"]), ["a", "b"])
        self.assertEqual(self.attributes(session), {"a": "2", "b": "2", "c": "1"})
        # Another attribute is no conflict, nor is the version that is true now, nor none at all.
        self.assertEqual(self.calls.patch(session, {"attrs": {"c": "x"}}, version=1).status, 200)
        self.assertEqual(self.calls.patch(session, {"attrs": {"a": "x"}}, version=3).status, 200)
        self.assertEqual(self.calls.patch(session, {"attrs": {"a": "y"}}).status, 200)
        self.assertEqual(self.attributes(session), {"a": "y", "b": "2", "c": "x"})

    def test_if_match_sees_what_was_removed(self):
        session = self.new("Baton-Session-Set: a=1&b=1")
        self.calls.patch(session, {"attrs": {"a": None}})
        answer = self.calls.patch(session, {"attrs": {"a": "x"}}, version=1)
        self.assertEqual((answer.status, answer.json["names"]), (412, ["a"]))

    def test_if_match_of_any_version(self):
        session = self.new("Baton-Session-Set: a=1")
        self.calls.patch(session, {"attrs": {"a": "2"}})
        answer = self.calls.call("PATCH", f"/v1/sessions/{session}", {"attrs": {"a": "3"}}, fields=[("If-Match", "*")])
        self.assertEqual(answer.status, 200)

    def test_create_mints(self):
        ids = set()
        for body in (None, {}, {"attrs": {}}, {"attrs": {"a": "1"}, "idle": 900}):
            answer = self.calls.create(body)
            self.assertEqual((answer.status, answer.get("ETag")), (201, '"1"'))
            self.assertEqual((set(answer.json), answer.json["version"]), ({"id", "version"}, 1))
            self.assertRegex(answer.json["id"], f"^{SESSION_ID.pattern}$")
            ids.add(answer.json["id"])
        self.assertEqual(len(ids), 4)
        session = answer.json["id"]
        self.assertEqual(self.calls.read(session).json["idle"], 900)
        self.assertEqual(self.data(self.proxy, self.server, session), {"a": "1"})

    def test_create_with_an_id(self):
        _, request = self.visit(self.proxy, self.server)
        proposed = request.get("Baton-Session-Id")
        answer = self.calls.create({"id": proposed, "attrs": {"a": "1"}})
        self.assertEqual((answer.status, answer.json), (201, {"id": proposed, "version": 1}))
        self.assertEqual(self.data(self.proxy, self.server, proposed), {"a": "1"})
        answer = self.calls.create({"id": proposed, "attrs": {"a": "2"}})
        self.assertEqual((answer.status, set(answer.json)), (409, {"error"}))
        self.assertEqual(self.attributes(proposed), {"a": "1"})
        # The id of a session just ended is not given to another one either.
        self.calls.kill(proposed)
        self.assertEqual(self.calls.create({"id": proposed}).status, 409)
        self.assertEqual(self.calls.read(proposed).status, 404)

    def test_rotate(self):
        session = self.new("Baton-Session-Set: a=1")
        before = self.calls.read(session).json
        answer = self.calls.rotate(session)
        self.assertEqual((answer.status, answer.get("ETag"), answer.json["version"]), (200, '"2"', 2))
        fresh = answer.json["id"]
        self.assertRegex(fresh, f"^{SESSION_ID.pattern}$")
        self.assertNotEqual(fresh, session)
        after = self.calls.read(fresh).json
        self.assertEqual((after["attrs"], after["created"], after["idle"]),
                         (before["attrs"], before["created"], before["idle"]))
        for call in (self.calls.read, self.calls.rotate, lambda one: self.calls.patch(one, {"attrs": {"a": "2"}})):
            self.assertEqual(call(session).status, 404)
        self.assertEqual(self.state(self.proxy, self.server, session), "none")
        self.assertEqual(self.data(self.proxy, self.server, fresh), {"a": "1"})

    def test_kill(self):
        session = self.new()
        for one in (session, session, INVENTED):
            answer = self.calls.kill(one)
            self.assertEqual((answer.status, answer.body), (204, b""))
            self.assertEqual((answer.all("Content-Length"), answer.all("Content-Type")), ([], []))
        self.assertEqual(self.calls.read(session).status, 404)
        self.assertEqual(self.calls.patch(session, {"attrs": {"a": "1"}}).status, 404)
        self.assertEqual(self.state(self.proxy, self.server, session), "none")

    def test_values_are_any_bytes(self):
        texts = {"plain": "abc", "empty": "", "wide": "h\u00e9 \u20ac \U0001f600", "quoted": '"\\\u0000\u001f\u2028/'}
        raw = {"all": bytes(range(256)), "half": b"\xc3", "surrogate": b"\xed\xa0\x80", "overlong": b"\xc0\x80",
               "beyond": b"\xf4\x90\x80\x80"}
        coded = {name: {"b64": base64.b64encode(value).decode()} for name, value in raw.items()}
        session = self.calls.create({"attrs": {**texts, **coded}}).json["id"]
        self.assertEqual(self.attributes(session), {**texts, **coded})
        told = self.server_data(session)
        self.assertEqual(told, {**{k: v.encode() for k, v in texts.items()}, **raw})
        # What a server sets by its fields comes out the same way.
        other = self.new("Baton-Session-Set: " + "&".join(f"{k}={quote_plus(v)}" for k, v in raw.items()))
        self.assertEqual(self.attributes(other), coded)
        # Text may be given as base64; it is told as the text that it is.
        self.calls.patch(other, {"attrs": {"all": {"b64": "aMOp"}, "half": {"b64": ""}}})
        self.assertEqual({k: v for k, v in self.attributes(other).items() if k in ("all", "half")},
                         {"all": "h\u00e9", "half": ""})

    def server_data(self, session):
        _, request = self.visit(self.proxy, self.server, cookie=session)
        pairs = parse_qsl(request.get("Baton-Session-Data"), keep_blank_values=True, encoding="latin-1")
        return {name: value.encode("latin-1") for name, value in pairs}

    def test_idle_is_kept_within_its_limits(self):
        session = self.new()
        for asked, idle in ((900, 900), (0, 60), (59, 60), (60, 60), (86400, 86400), (86401, 86400),
                            (2 ** 63, 86400), (2 ** 64 - 1, 86400)):
            self.assertEqual(self.calls.patch(session, {"idle": asked}).status, 200)
            found = self.calls.read(session).json
            self.assertEqual(found["idle"], idle, asked)
            # The new time begins now; the absolute one, 12 h, is the end.
            self.assertTrue(min(idle, 12 * 3600) - 10 <= found["ttl"] <= idle * 1.1 + 1, found)
            made = self.calls.create({"idle": asked}).json["id"]
            self.assertEqual(self.calls.read(made).json["idle"], idle, asked)

    def test_query_means_nothing(self):
        session = self.new()
        self.assertEqual(self.calls.call("GET", f"/v1/sessions/{session}?a=/b").status, 200)
        self.assertEqual(self.calls.call("POST", "/v1/sessions?x").status, 201)

    def test_S21_all_of_the_data_is_there(self):
        text = "x" * 5000
        session = self.new(f"Baton-Session-Set: big={text}")
        _, request = self.visit(self.proxy, self.server, cookie=session)
        self.assertEqual(request.get("Baton-Session-Data-Omitted"), str(5000 + len("big=")))
        self.assertEqual(request.all("Baton-Session-Data"), [])
        self.assertEqual(self.attributes(session), {"big": text})
        # As much as a session may hold comes and goes, also where each byte takes six in JSON.
        worst = {f"k{i}": "\x00" * 8190 for i in range(3)}
        self.assertEqual(self.calls.patch(session, {"attrs": {"big": None, **worst}}).status, 200)
        self.assertEqual(self.attributes(session), worst)

    def test_many_calls_on_one_connection(self):
        session = self.new()
        for number in range(200):
            self.assertEqual(self.calls.patch(session, {"attrs": {"n": str(number)}}).status, 200)
        self.assertEqual(self.calls.read(session).json["version"], 201)

    def test_pipelined_calls(self):
        session = self.new()
        wire = self.calls.wire
        for number in range(20):
            body = json.dumps({"attrs": {"n": str(number)}}).encode()
            wire.request("PATCH", f"/v1/sessions/{session}", fields=self.fields(), body=body)
        wire.request("GET", f"/v1/sessions/{session}", fields=self.fields())
        self.assertEqual([wire.answer().status for _ in range(20)], [200] * 20)
        self.assertEqual(json.loads(wire.answer().body)["attrs"], {"n": "19"})

    @staticmethod
    def fields():
        return [("Authorization", f"bearer {TOKEN}"), ("Content-Type", "application/json")]

    def test_bodies_may_come_in_chunks_and_late(self):
        head = f"POST /v1/sessions HTTP/1.1\r\nHost: a\r\nAuthorization: BEARER {TOKEN}\r\n"
        head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        self.calls.wire.send(head)
        self.assertEqual(self.calls.wire.head().status, 100)
        for piece in ('{"attrs"', ':{"a":', '"1"}}'):
            self.calls.wire.send(f"{len(piece):x}\r\n{piece}\r\n")
        self.calls.wire.send("0\r\n\r\n")
        answer = self.calls.wire.answer()
        self.assertEqual(answer.status, 201)
        self.assertEqual(self.attributes(json.loads(answer.body)["id"]), {"a": "1"})

    def test_http_1_0(self):
        session = self.new()
        self.calls.wire.request("GET", f"/v1/sessions/{session}", version="1.0", host=None, fields=self.fields())
        answer = self.calls.wire.answer()
        self.assertEqual((answer.status, answer.get("Connection")), (200, "close"))
        self.assertEqual(self.calls.wire.wait_end(), b"")

    def test_calls_are_no_traffic(self):
        session = self.new()
        lines = len(self.proxy.wait_access(1))
        requests = self.metric(self.proxy, "baton_requests_total")
        for status, call in ((200, lambda: self.calls.read(session)), (404, lambda: self.calls.read(INVENTED)),
                             (404, lambda: self.calls.call("GET", "/"))):
            self.assertEqual(call().status, status)
        self.assertEqual(self.metric(self.proxy, "baton_requests_total"), requests)
        self.assertEqual(self.metric(self.proxy, "baton_session_unknown_total"), 0)
        self.visit(self.proxy, self.server)
        self.assertEqual([line["target"] for line in self.proxy.wait_access(lines + 1)], ["/"] * (lines + 1))

    def test_S12_neither_ids_nor_tokens_stand_in_any_log(self):
        session = self.calls.create({"attrs": {"secret-name": "secret-value"}}).json["id"]
        self.calls.patch(session, {"attrs": {"secret-name": 5}})
        self.calls.patch(session, {"attrs": {"secret-name": "x"}}, version=0)
        self.calls.rotate(session)
        self.calls.call("GET", f"/v1/sessions/{session}/other")
        self.visit(self.proxy, self.server, f"Baton-Session-Use: {session}")
        self.proxy.signal(15)
        self.assertEqual(self.proxy.wait_exit(), 0)
        text = self.proxy.event_text() + b"".join(self.proxy.access_lines()).decode()
        self.assertIn("session-api", text)  # the log is there
        for secret in (session, TOKEN, OTHER_TOKEN, "secret-"):
            self.assertNotIn(secret.lower(), text.lower())


class UseTest(ApiTest):
    """A session made or rotated through the API becomes the client's."""

    def setUp(self):
        self.servers = self.obedient("A", "B")
        self.proxy = self.api_baton(self.servers)
        self.calls = self.api(self.proxy)

    def use(self, session, *more, cookie=None):
        fields = [("X-Reply", f"Baton-Session-Use: {session}")] + [("X-Reply", line) for line in more]
        if cookie:
            fields.append(("Cookie", f"JSESSIONID={cookie}"))
        return self.ask(self.proxy, fields=fields)

    def ignored(self):
        return self.metric(self.proxy, "baton_session_use_ignored_total")

    def test_S60_made_with_the_proposed_id(self):
        def page(request):
            # What a server does: it makes the session with the id that it was proposed, then says so.
            own = Api(port_that_serves(proxy, "session-api"))
            made = own.create({"id": request.get("Baton-Session-Id"), "attrs": {"big": "x" * 5000}})
            own.close()
            return reply(made.json["id"].encode(), [("Baton-Session-Use", made.json["id"])])

        app = self.app(page)
        proxy = self.api_baton([app])
        answer = self.ask(proxy)
        self.assertEqual(answer.body.decode(), answer.cookie())
        self.assertEqual(answer.all("Set-Cookie"), [f"JSESSIONID={answer.cookie()}; Path=/; HttpOnly; SameSite=Lax"])
        self.assertEqual(answer.get("Cache-Control"), "no-store")
        self.assert_no_session_fields(answer)

    def test_S60_minted_id_is_set_as_the_cookie(self):
        session = self.calls.create({"attrs": {"user": "bob"}}).json["id"]
        answer = self.use(session)
        self.assertEqual((answer.status, answer.cookie()), (200, session))
        self.assertEqual(self.data(self.proxy, self.servers[1], session), {"user": "bob"})
        self.assertEqual(self.ignored(), 0)

    def test_rotated_session_is_used(self):
        def login(_):
            made.append(calls.rotate(old).json["id"] if not made else made[0])
            return reply(b"", [("Baton-Session-Use", made[0])])

        made = []
        proxy = self.api_baton([self.app(login)])
        calls = self.api(proxy)
        old = calls.create({"attrs": {"user": "bob"}}).json["id"]
        answer = self.ask(proxy, fields=[("Cookie", f"JSESSIONID={old}")])
        self.assertEqual(answer.cookie(), made[0])
        self.assertEqual(calls.read(old).status, 404)
        self.assertEqual(calls.read(made[0]).json["attrs"], {"user": "bob"})
        # A late click with the old id is given nothing.
        self.assertEqual(self.ask(proxy, fields=[("Cookie", f"JSESSIONID={old}")]).all("Set-Cookie"), [])

    def test_session_that_the_client_has_already(self):
        session = self.use(self.calls.create().json["id"]).cookie()
        self.assertEqual(self.use(session, cookie=session).all("Set-Cookie"), [])
        self.assertEqual(self.ignored(), 0)

    def test_S61_what_is_not_just_made_is_ignored(self):
        other = self.api(self.proxy, OTHER_TOKEN)
        dead = self.calls.create().json["id"]
        self.calls.kill(dead)
        rotated = self.calls.create().json["id"]
        self.calls.rotate(rotated)
        foreign = other.create().json["id"]
        for count, session in enumerate((INVENTED, dead, rotated, foreign), 1):
            answer = self.use(session)
            self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
            self.assert_no_session_fields(answer)
            self.assertEqual(self.ignored(), count)
        self.assertEqual(other.read(foreign).status, 200)

    def test_use_stands_alone(self):
        session = self.calls.create().json["id"]
        for more in ("Baton-Session-Set: a=1", "Baton-Session-Destroy: 1", "Baton-Session-Create: 1",
                     "Baton-Session-Rotate: login", "Baton-Session-Incr: a=1", "Baton-Session-Unset: a",
                     "Baton-Session-Base: 1", "Baton-Session-Idle: 900", f"Baton-Session-Use: {session}"):
            self.assertEqual(self.use(session, more).status, 502, more)
        for bad in ("x", session.lower(), session + "0", f"{session}, {session}"):
            self.assertEqual(self.use(bad).status, 502, bad)
        self.assertEqual(self.calls.read(session).json["version"], 1)


class LifeTest(ApiTest):
    """Renewed ids, several workers, limits, the end."""

    def test_old_id_leads_to_the_new_one_after_a_renewal(self):
        app = self.app(lambda request: reply(b""))
        proxy = self.api_baton([app], session={"create": "always", "renew_after": "1s"})
        calls = self.api(proxy)
        old = self.ask(proxy).cookie()
        fresh = []

        def renewed():  # nothing to wait for but the time itself
            fresh.append(self.ask(proxy, fields=[("Cookie", f"JSESSIONID={old}")]).cookie())
            return fresh[-1] is not None

        eventually(renewed, "a new id")
        self.assertNotEqual(fresh[-1], old)
        self.assertEqual(calls.read(old).status, 200)
        self.assertEqual(calls.patch(old, {"attrs": {"a": "1"}}).status, 200)
        for session in (old, fresh[-1]):
            self.assertEqual(calls.read(session).json["attrs"], {"a": "1"})
        rotated = calls.rotate(old)
        self.assertEqual(rotated.status, 200)
        self.assertEqual(calls.read(rotated.json["id"]).json["attrs"], {"a": "1"})
        # It led to the one that is dead now.
        self.assertEqual([calls.read(one).status for one in (old, fresh[-1])], [404, 404])

    def test_kill_by_the_old_id_after_a_renewal(self):
        app = self.app(lambda request: reply(b""))
        proxy = self.api_baton([app], session={"create": "always", "renew_after": "1s"})
        calls = self.api(proxy)
        old = self.ask(proxy).cookie()
        fresh = []

        def renewed():  # nothing to wait for but the time itself
            fresh.append(self.ask(proxy, fields=[("Cookie", f"JSESSIONID={old}")]).cookie())
            return fresh[-1] is not None

        eventually(renewed, "a new id")
        self.assertEqual(calls.kill(old).status, 204)
        self.assertEqual(calls.read(fresh[-1]).status, 404)

    def test_patch_is_a_use_of_the_session_and_get_is_none(self):
        proxy = self.api_baton([self.app()], session={"idle": "2s"})
        calls = self.api(proxy)
        patched, read = (calls.create().json["id"] for _ in range(2))
        made = last = time.monotonic()
        gap = 0.0
        while last < made + 3.2:  # idle, and the second that it may live longer
            found = calls.read(read)
            status = calls.patch(patched, {"attrs": {}}).status
            gap, last = max(gap, time.monotonic() - last), time.monotonic()
            if gap < 2:
                self.assertEqual(status, 200)
            time.sleep(0.1)
        self.assertEqual(found.status, 404)

    def test_reading_a_session_does_not_confirm_it(self):
        # Only its own client's cookie makes a session worth more than those of a flood.
        [app] = self.obedient("A")
        proxy = self.api_baton([app], session={"sessions_max": 64})
        calls = self.api(proxy)
        read, shown = (calls.create().json["id"] for _ in range(2))
        self.assertEqual(self.state(proxy, app, shown), "live")
        for _ in range(500):
            calls.read(read)
            calls.create()
        self.assertEqual([calls.read(one).status for one in (read, shown)], [404, 200])

    def test_two_workers_share_the_sessions(self):
        [app] = self.obedient("A")
        proxy = self.api_baton([app], top={"workers": 2})
        connections = [self.api(proxy) for _ in range(12)]
        for number, calls in enumerate(connections):
            session = calls.create({"attrs": {"n": "0"}}).json["id"]
            for other in connections:
                self.assertEqual(other.patch(session, {"attrs": {f"c{number}": "1"}}).status, 200)
                self.assertEqual(other.read(session).status, 200)
            self.assertEqual(self.data(proxy, app, session), {"n": "0", f"c{number}": "1"})

    def test_api_works_while_a_request_still_runs(self):
        # A server that finishes a request may need the API until its end.
        go = threading.Event()
        self.addCleanup(go.set)

        def slow(request):
            go.wait(10)
            # On the connection that there was: nobody listens any more.
            found = calls.read(session).json["attrs"]["n"]
            status = calls.patch(session, {"attrs": {"n": found + "1"}}).status
            return reply(f"{status} {calls.read(session).json['attrs']['n']}".encode())

        app = self.app(slow)
        proxy = self.api_baton([app], top={"workers": 2, "grace": "20s"})
        calls = self.api(proxy)
        session = calls.create({"attrs": {"n": "1"}}).json["id"]
        client = self.client(proxy)
        client.request()
        app.wait_requests(1)
        proxy.signal(15)
        eventually(lambda: is_refused(proxy.port) and is_refused(calls.port), "a refusal")
        go.set()
        answer = client.answer()
        self.assertEqual((answer.status, answer.body, answer.closes()), (200, b"200 11", True))
        self.assertEqual(client.wait_end(), b"")
        self.assertEqual(proxy.wait_exit(), 0)
        self.assertEqual(calls.wire.wait_end(), b"")

    def test_idle_connections_of_the_api_do_not_delay_the_end(self):
        proxy = self.api_baton([self.app()], top={"grace": "0s"})
        calls = [self.api(proxy) for _ in range(3)]
        self.assertEqual(calls[0].create().status, 201)
        proxy.signal(15)
        self.assertEqual(proxy.wait_exit(), 0)

    def test_connections_are_counted_apart_from_the_traffic(self):
        # 300 descriptors are (300 - 64 - 2) / 2 = 117 connections, of which an eighth, at least 16, are the API's.
        [app] = self.obedient("A")
        proxy = self.started(self.limited([app], 300))
        calls = [self.api(proxy) for _ in range(16)]
        session = calls[0].create().json["id"]
        for each in calls:
            self.assertEqual(each.read(session).status, 200)
        self.assertEqual(self.ask(proxy).status, 200)  # the traffic does not notice
        late = self.api(proxy)
        self.assertEqual(late.read(session).status, 200)  # in the place of the one that was idle the longest
        self.assertEqual(calls[0].wire.wait_end(), b"")

    def test_flood_of_clients_does_not_shut_the_servers_out(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def slow(_request):
            go.wait(10)
            return reply(b"done")

        app = self.app(slow)
        proxy = self.api_baton([app], limits={"connections": 4})
        held = [self.client(proxy) for _ in range(4)]
        for client in held:
            client.request()
        app.wait_requests(4)
        late = self.client(proxy)
        late.request()
        self.assertFalse(late.readable(0.3))
        calls = self.api(proxy)
        session = calls.create().json["id"]
        self.assertEqual(calls.read(session).status, 200)
        go.set()
        self.assertEqual(late.answer().status, 200)

    def limited(self, servers, descriptors):
        api = {"address": "127.0.0.1:0", "token_file": str(self.token_file())}
        upstreams = [{"name": name, "servers": [{"address": s.address} for s in servers]} for name in ("app", "other")]
        return Baton(config(upstreams=upstreams, session={"api": api}), descriptors=descriptors)

    def test_call_of_a_client_that_leaves(self):
        [app] = self.obedient("A")
        proxy = self.api_baton([app])
        for _ in range(50):
            gone = self.api(proxy)
            gone.wire.request("POST", "/v1/sessions", fields=[("Authorization", f"Bearer {TOKEN}")])
            gone.wire.reset()
        self.assertEqual(self.api(proxy).create().status, 201)


if __name__ == "__main__":
    unittest.main()
