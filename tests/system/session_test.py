"""The managed session as clients and app servers see it. A name's S<number> is the scenario that it proves."""

import re
import threading
import time
import unittest
from urllib.parse import parse_qsl

from harness import SystemTest, config, eventually, run_baton
from peers import App, chunk, reply

SESSION_ID = re.compile(r"[0-9A-F]{32}")
INVENTED = "0123456789ABCDEF0123456789ABCDEF"


def obedient(app_name):
    """An app server that answers with what the client's X-Reply fields say, each one a whole field line."""

    def answer(request):
        fields = [tuple(line.split(": ", 1)) for line in request.all("X-Reply")]
        return reply(b"page of " + app_name.encode(), [("X-App", app_name)] + fields)

    return answer


class SessionTest(SystemTest):
    def obedient(self, *names):
        return [self.app(obedient(name), name=name) for name in names]

    def visit(self, baton, app, *replies, cookie=None, **keys):
        """One request, answered with the field lines `replies`. The answer, and what the app server was sent."""
        fields = [("X-Reply", line) for line in replies]
        if cookie is not None:
            fields.append(("Cookie", cookie if "=" in cookie else f"JSESSIONID={cookie}"))
        fields += keys.pop("fields", [])
        before = len(app.requests)
        answer = self.ask(baton, fields=fields, **keys)
        self.assertLessEqual(len(app.requests), before + 1)
        return answer, app.requests[-1]

    def new_session(self, baton, app, *replies, **keys):
        """The id of a session made by a response."""
        answer, _ = self.visit(baton, app, *(replies or ["Baton-Session-Create: 1"]), **keys)
        self.assertEqual(answer.status, 200)
        self.assertIsNotNone(answer.cookie())
        return answer.cookie()

    def state(self, baton, app, cookie, **keys):
        answer, request = self.visit(baton, app, cookie=cookie, **keys)
        self.assertEqual(answer.status, 200)
        return request.get("Baton-Session-State")

    def data(self, baton, app, cookie, **keys):
        _, request = self.visit(baton, app, cookie=cookie, **keys)
        self.assertEqual(request.get("Baton-Session-State"), "live")
        return dict(parse_qsl(request.get("Baton-Session-Data"), keep_blank_values=True, strict_parsing=False))

    def assert_no_session_fields(self, message):
        self.assertEqual([name for name in message.names() if name.replace("_", "-").startswith("baton-")], [])


class IdentityTest(SessionTest):
    def test_S1_create_always_one_cookie_one_id(self):
        apps = self.obedient("A", "B", "C")
        baton = self.baton(apps, session={"create": "always"})
        first = self.ask(baton)
        cookies = first.all("Set-Cookie")
        self.assertEqual(len(cookies), 1)
        self.assertRegex(cookies[0], r"^JSESSIONID=[0-9A-F]{32}; Path=/; HttpOnly; SameSite=Lax$")
        self.assertEqual(first.get("Cache-Control"), "no-store")
        session = first.cookie()
        asked = [first] + [self.ask(baton, fields=[("Cookie", f"JSESSIONID={session}")]) for _ in range(9)]
        for answer in asked[1:]:
            self.assertEqual((answer.status, answer.all("Set-Cookie"), answer.all("Cache-Control")), (200, [], []))
        self.assertEqual([answer.get("X-App") for answer in asked], list("ABC" * 3 + "A"))
        seen = [request for app in apps for request in app.requests]
        self.assertEqual({request.get("Baton-Session-Id") for request in seen}, {session})
        self.assertEqual(sorted(request.get("Baton-Session-State") for request in seen), ["live"] * 9 + ["new"])
        created = {request.get("Baton-Session-Created") for request in seen}
        self.assertEqual(len(created), 1)
        self.assertLess(abs(int(created.pop()) - time.time() * 1000), 60_000)

    def test_S2_on_demand_makes_nothing_unasked(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        client = self.client(baton)
        for _ in range(1000):
            answer = client.ask()
            self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
        self.assertEqual({r.get("Baton-Session-State") for r in app.requests}, {"none"})
        proposals = [r.get("Baton-Session-Id") for r in app.requests]
        self.assertEqual(len(set(proposals)), 1000)
        for proposed in proposals:  # none of them is a session
            client.ask(fields=[("Cookie", f"JSESSIONID={proposed}")])
        self.assertEqual({r.get("Baton-Session-State") for r in app.requests}, {"none"})

    def test_route_overrides_create(self):
        [app] = self.obedient("A")
        routes = [{"upstream": "app", "path": "/always", "create": "always"}, {"upstream": "app"}]
        baton = self.baton([app], routes=routes)
        self.assertIsNotNone(self.ask(baton, target="/always").cookie())
        self.assertIsNone(self.ask(baton, target="/").cookie())

    def test_S4_invented_id_is_not_adopted(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        answer, request = self.visit(baton, app, cookie=INVENTED)
        self.assertEqual(request.get("Baton-Session-State"), "none")
        self.assertRegex(request.get("Baton-Session-Id"), SESSION_ID)
        self.assertNotEqual(request.get("Baton-Session-Id"), INVENTED)
        self.assertEqual(answer.all("Set-Cookie"), [])
        fresh = self.new_session(baton, app, cookie=INVENTED)
        self.assertNotEqual(fresh, INVENTED)
        self.assertEqual(self.state(baton, app, INVENTED), "none")

    def test_S4_invented_id_with_create_always(self):
        [app] = self.obedient("A")
        baton = self.baton([app], session={"create": "always"})
        answer, request = self.visit(baton, app, cookie=INVENTED)
        self.assertEqual(request.get("Baton-Session-State"), "new")
        self.assertRegex(answer.cookie(), SESSION_ID)
        self.assertNotEqual(answer.cookie(), INVENTED)
        self.assertEqual(self.state(baton, app, answer.cookie()), "live")

    def test_S5_strange_cookie_values_are_no_session(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        session = self.new_session(baton, app)
        for value in ("../../x", "x" * 5000, "", "a b c", "%0d%0aX: y", "\xe9\xff\x80", session.lower(), session + "0",
                      session[:-1], f"'{session}'", f'"{session}', f"{session}.node1", '""', '"', "=" + session):
            with self.subTest(value=value[:40]):
                answer, request = self.visit(baton, app, cookie=f"JSESSIONID={value}")
                self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
                self.assertEqual(request.get("Baton-Session-State"), "none")
                self.assertEqual(request.all("Cookie"), [])
        self.assertNotIn("x" * 100, baton.event_text())

    def test_S6_several_cookies_first_live_one_wins(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        one, two = self.new_session(baton, app), self.new_session(baton, app)
        for cookie, wins in ((f"JSESSIONID={INVENTED}; JSESSIONID={one}", one),
                             (f"JSESSIONID=rubbish; a=b; JSESSIONID={one}", one),
                             (f"JSESSIONID={one}; JSESSIONID={two}", one),
                             (f"JSESSIONID={two}; JSESSIONID={one}", two),
                             (f'JSESSIONID="{one}"', one)):
            answer, request = self.visit(baton, app, cookie=cookie)
            self.assertEqual(answer.status, 200)
            self.assertEqual(request.get("Baton-Session-Id"), wins)
            self.assertEqual(request.get("Baton-Session-State"), "live")
        # In two fields, too.
        _, request = self.visit(baton, app, cookie=INVENTED, fields=[("Cookie", f"JSESSIONID={two}")])
        self.assertEqual(request.get("Baton-Session-Id"), two)

    def test_F_many_cookies_that_others_planted_hide_no_login(self):
        [app] = self.obedient("A")
        baton = self.baton([app], limits={"head": "64KiB"})
        mine = self.new_session(baton, app)
        for count in (4, 15, 16, 100, 700):
            planted = "; ".join(f"JSESSIONID={number:032X}" for number in range(count))
            for cookies in (f"{planted}; JSESSIONID={mine}", f"JSESSIONID={mine}; {planted}"):
                self.assertEqual(self.state(baton, app, cookies), "live", count)
            login, _ = self.visit(baton, app, "Baton-Session-Rotate: login",
                                  cookie=f"{planted}; JSESSIONID={mine}")
            mine = login.cookie()
            self.assertEqual(self.state(baton, app, f"{planted}; JSESSIONID={mine}"), "live", count)
        self.assertIn("route=*/", baton.wait_event("more session cookies in a request than are looked up"))

    def test_S8_session_cookie_is_kept_from_the_server(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        session = self.new_session(baton, app)
        for cookie, left in ((f"JSESSIONID={session}", []),
                             (f"a=1; JSESSIONID={session}; b=2", ["a=1; b=2"]),
                             (f"JSESSIONID={session}; a=1; b=2", ["a=1; b=2"]),
                             (f"a=1; b=2; JSESSIONID={session}", ["a=1; b=2"]),
                             (f"a=1; JSESSIONIDX={session}; b=2", [f"a=1; JSESSIONIDX={session}; b=2"])):
            _, request = self.visit(baton, app, cookie=cookie)
            self.assertEqual(request.all("Cookie"), left)

    def test_S9_server_cannot_set_the_session_cookie(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        answer, _ = self.visit(baton, app, "Set-Cookie: JSESSIONID=EVIL; Path=/app", "Set-Cookie: other=1; Path=/")
        self.assertEqual(answer.all("Set-Cookie"), ["other=1; Path=/"])
        event = baton.wait_event("a server sets the session cookie itself")
        self.assertIn(" cookie=JSESSIONID ", event)  # and what to do about it
        self.assertIn("session = 'off'", event)
        # Together with a session of baton's own: only that one.
        answer, _ = self.visit(baton, app, "Set-Cookie: JSESSIONID=EVIL", "Baton-Session-Create: 1")
        self.assertRegex(answer.cookie(), SESSION_ID)

    def test_S10_secure_where_a_trusted_peer_says_https(self):
        [app] = self.obedient("A")
        https = [("X-Forwarded-Proto", "https")]
        for trusted, fields, secure in ((["127.0.0.0/8"], https, True), (["127.0.0.0/8"], [], False),
                                        ([], https, False), (["10.0.0.0/8"], https, False)):
            baton = self.baton([app], listener={"trusted_proxies": trusted}, session={"create": "always"})
            cookie = self.ask(baton, fields=fields).get("Set-Cookie")
            self.assertEqual(cookie.endswith("; Path=/; HttpOnly; SameSite=Lax; Secure"), secure, cookie)

    def test_secure_always_and_never(self):
        [app] = self.obedient("A")
        for secure, fields, expected in (("always", [], True), ("never", [("X-Forwarded-Proto", "https")], False)):
            baton = self.baton([app], listener={"trusted_proxies": ["127.0.0.1"]},
                               session={"create": "always", "secure": secure})
            self.assertEqual("Secure" in self.ask(baton, fields=fields).get("Set-Cookie"), expected)

    def test_S11_host_prefix_needs_secure(self):
        for secure, status in (("auto", 2), ("never", 2), ("always", 0)):
            [app] = self.obedient("A")
            text = config([app], session={"cookie": "__Host-sid", "secure": secure})
            path = self.file("baton.toml", text)
            found, _, err = run_baton("-t", "-c", path)
            self.assertEqual(found, status, err)
            if status:
                self.assertRegex(err, r'^.*baton\.toml:\d+:\d+: session\.cookie: expected a name without "__Host-", '
                                      r'or secure = "always", found "__Host-sid"')

    def test_S11_host_prefix_with_secure_always_works(self):
        [app] = self.obedient("A")
        baton = self.baton([app], session={"cookie": "__Host-sid", "secure": "always", "create": "always"})
        self.assertRegex(self.ask(baton).get("Set-Cookie"),
                         r"^__Host-sid=[0-9A-F]{32}; Path=/; HttpOnly; SameSite=Lax; Secure$")

    def test_S12_no_id_in_any_log(self):
        [app] = self.obedient("A")
        baton = self.baton([app], log={"level": "debug"}, session={"data_max": "10KiB"})
        ids = {INVENTED}
        session = self.new_session(baton, app, "Baton-Session-Set: user=alice-secret")
        ids |= {session, app.last().get("Baton-Session-Id")}
        self.visit(baton, app, "Baton-Session-Set: a%20b=alice-secret", cookie=session)  # refused
        self.visit(baton, app, "Baton-Session-Foo: 1", "Set-Cookie: JSESSIONID=EVIL", cookie=session)  # warned of
        self.visit(baton, app, "Baton-Session-Incr: n=1", cookie=session)
        self.visit(baton, app, cookie=f"JSESSIONID={INVENTED}; JSESSIONID={session}")
        self.visit(baton, app, "Baton-Session-Destroy: 1", cookie=session)
        self.visit(baton, app, cookie=session)
        ids |= {request.get("Baton-Session-Id") for request in app.requests}
        lines = baton.wait_access(7)
        self.assertEqual([line["session"] for line in lines][:2], ["none", "live"])
        tokens = {line["token"] for line in lines if "token" in line}
        self.assertEqual(len(tokens), 1)
        self.assertRegex(tokens.pop(), "^[0-9a-f]{8}$")
        baton.signal(15)
        self.assertEqual(baton.wait_exit(), 0)
        text = baton.event_text() + b"".join(baton.access_lines()).decode()
        self.assertIn("a server sets the session cookie itself", text)  # the log is there
        for one in ids:
            self.assertNotIn(one.lower(), text.lower())
        self.assertNotIn("alice-secret", text)


class AttributeTest(SessionTest):
    def test_S13_attributes_travel(self):
        apps = self.obedient("A", "B")
        baton = self.baton(apps)
        answer, _ = self.visit(baton, apps[0], "Baton-Session-Set: cart=3&user=al%20i")
        self.assert_no_session_fields(answer)
        session = answer.cookie()
        answer, request = self.visit(baton, apps[1], cookie=session)
        self.assertEqual(answer.get("X-App"), "B")
        self.assertEqual(request.get("Baton-Session-Data"), "cart=3&user=al+i")
        self.assertEqual(request.get("Baton-Session-State"), "live")
        self.assertEqual(request.get("Baton-Session-Id"), session)
        self.assert_no_session_fields(answer)
        self.assertEqual(answer.all("Set-Cookie"), [])

    def test_attributes_change_and_go(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        session = self.new_session(baton, app, "Baton-Session-Set: a=1&b=2", "Baton-Session-Set: c=3")
        self.assertEqual(self.data(baton, app, session), {"a": "1", "b": "2", "c": "3"})
        version = int(app.last().get("Baton-Session-Version"))
        self.visit(baton, app, "Baton-Session-Set: a=9&d", "Baton-Session-Unset: b&unknown", cookie=session)
        self.assertEqual(self.data(baton, app, session), {"a": "9", "c": "3", "d": ""})
        self.assertEqual(int(app.last().get("Baton-Session-Version")), version + 1)

    def test_all_bytes_survive(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        encoded = "".join(f"%{byte:02x}" for byte in range(256))
        session = self.new_session(baton, app, f"Baton-Session-Set: all={encoded}")
        self.visit(baton, app, cookie=session)
        [(_, value)] = parse_qsl(app.last().get("Baton-Session-Data"), encoding="latin-1")
        self.assertEqual(value.encode("latin-1"), bytes(range(256)))

    def test_S15_clients_cannot_speak_as_baton(self):
        lies = [("Baton-Session-Data", "admin=1"), ("BATON-SESSION-ID", "x"), ("baton_session_data", "admin=1"),
                ("Baton_Session-State", "live"), ("baton-anything", "1")]
        for mode in ("managed", "off"):
            for underscores in ("drop", "keep"):
                [app] = self.obedient("A")
                baton = self.baton([app], route={"session": mode}, limits={"underscores": underscores})
                head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: Baton-Session-Data\r\n"
                head += "".join(f"{name}: {value}\r\n" for name, value in lies) + "\r\n"
                trailer = b"0\r\nBaton-Session-Data: admin=1\r\nbaton_session_id: x\r\n\r\n"
                client = self.client(baton)
                client.send(head.encode() + chunk(b"hello") + trailer)
                self.assertEqual(client.answer().status, 200)
                request = app.last()
                self.assertEqual(request.body, b"hello")
                self.assertEqual(request.trailers, [])
                names = [name for name in request.names() if name.replace("_", "-").startswith("baton-")]
                if mode == "off":
                    self.assertEqual(names, [])
                else:
                    self.assertEqual(names, ["baton-session-state", "baton-session-id"])
                    self.assertEqual(request.get("Baton-Session-State"), "none")
                self.assertNotIn(b"admin", request.head)
                self.assertEqual(client.ask().status, 200)  # nothing was left over

    def test_S16_connection_cannot_name_session_fields(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        session = self.new_session(baton, app, "Baton-Session-Set: a=1")
        named = [("Connection", "close, Baton-Session-Id, Baton-Session-State, Baton-Session-Data, Cookie")]
        _, request = self.visit(baton, app, cookie=f"x=y; JSESSIONID={session}", fields=named)
        self.assertEqual(request.get("Baton-Session-State"), "live")
        self.assertEqual(request.get("Baton-Session-Id"), session)
        self.assertEqual(request.get("Baton-Session-Data"), "a=1")
        self.assertEqual(request.get("Cookie"), "x=y")

    def with_api(self):
        path = self.file("tokens", f"app {'t' * 32}\n")
        path.chmod(0o600)
        return {"api": {"address": "127.0.0.1:0", "token_file": str(path)}}

    def test_S21_much_data_is_omitted_and_its_size_told(self):
        [app] = self.obedient("A")
        baton = self.baton([app], session=self.with_api())
        session = self.new_session(baton, app, f"Baton-Session-Set: big={'x' * 5000}")
        _, request = self.visit(baton, app, cookie=session)
        self.assertEqual(request.get("Baton-Session-Data-Omitted"), str(5000 + len("big=")))
        self.assertEqual(request.all("Baton-Session-Data"), [])
        self.visit(baton, app, "Baton-Session-Unset: big", cookie=session)  # nothing is lost by it
        self.assertEqual(self.data(baton, app, session), {})

    def test_F_large_session_is_refused_where_no_server_could_be_told(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        session = self.new_session(baton, app, f"Baton-Session-Set: k={'x' * 4094}")
        for change in ("Set: more=", "Set: k=" + "x" * 4095, "Incr: n=1"):
            answer, _ = self.visit(baton, app, f"Baton-Session-{change}", cookie=session)
            self.assertEqual(answer.status, 502)
        line = baton.wait_access(4)[-1]
        self.assertEqual((line["fault"], line["reason"]), ("session_refused", "session_too_long"))
        self.assertEqual(self.data(baton, app, session), {"k": "x" * 4094})
        answer, _ = self.visit(baton, app, f"Baton-Session-Set: k={'x' * 4095}")
        self.assertEqual((answer.status, answer.all("Set-Cookie")), (502, []))

    def test_S21_data_exactly_at_the_limit_is_sent(self):
        [app] = self.obedient("A")
        baton = self.baton([app], session=self.with_api())
        for size, name in ((4096, "Baton-Session-Data"), (4097, "Baton-Session-Data-Omitted")):
            session = self.new_session(baton, app, f"Baton-Session-Set: k={'x' * (size - 2)}")
            _, request = self.visit(baton, app, cookie=session)
            self.assertIsNotNone(request.get(name), size)

    def test_S22_what_cannot_be_stored_is_refused_whole(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        session = self.new_session(baton, app, "Baton-Session-Set: good=1")
        self.visit(baton, app, cookie=session)
        version = app.last().get("Baton-Session-Version")
        many = "&".join(f"k{i}=v" for i in range(65))
        refused = ([f"Baton-Session-Set: ok=1&big={'x' * 9 * 1024}"], [f"Baton-Session-Set: {many}"],
                   ["Baton-Session-Set: ok=1&a%20b=1"], ["Baton-Session-Set: ok=1&a b=1"], ["Baton-Session-Set: =1"],
                   ["Baton-Session-Set: a=%zz"], ["Baton-Session-Set: a=%4"], ["Baton-Session-Create: yes"],
                   ["Baton-Session-Destroy: 0"], ["Baton-Session-Set: ok=1", "Baton-Session-Unset: ok"],
                   ["Baton-Session-Unset: a=1"], ["Baton-Session-Set: " + "n" * 65 + "=1"],
                   # one more than fits, together with what is there
                   ["Baton-Session-Set: " + "&".join(f"k{i}=v" for i in range(64))])
        for replies in refused:
            with self.subTest(replies=[line[:60] for line in replies]):
                answer, _ = self.visit(baton, app, *replies, cookie=session)
                self.assertEqual(answer.status, 502)
                self.assert_no_session_fields(answer)
                self.assertNotIn(b"page", answer.body)
                self.assertEqual(answer.all("Set-Cookie"), [])
        lines = baton.wait_access(len(refused), lambda line: line.get("fault") == "session_refused")
        self.assertEqual(len(lines), len(refused))
        self.assertEqual(self.data(baton, app, session), {"good": "1"})
        self.assertEqual(app.last().get("Baton-Session-Version"), version)
        # Without a session: none is made.
        answer, request = self.visit(baton, app, "Baton-Session-Set: a%20b=1")
        self.assertEqual((answer.status, answer.all("Set-Cookie")), (502, []))
        self.assertEqual(self.state(baton, app, request.get("Baton-Session-Id")), "none")

    def test_S22_limits_exactly(self):
        [app] = self.obedient("A")
        baton = self.baton([app], session={"headers": {"limit": "64KiB"}})
        exactly = "&".join(f"k{i}=v" for i in range(64))
        session = self.new_session(baton, app, f"Baton-Session-Set: {exactly}")
        self.assertEqual(len(self.data(baton, app, session)), 64)
        session = self.new_session(baton, app, f"Baton-Session-Set: {'n' * 64}={'x' * 8192}")
        self.assertEqual(self.data(baton, app, session), {"n" * 64: "x" * 8192})

    def test_fields_that_cannot_be_read_are_refused_by_name(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        for field, reason in (("Incr: a=b", "an Incr that is no integer"), ("Base: x", "Base must be a version"),
                              ("Rotate: yes", "Rotate must be login or 1"), ("Idle: soon", "Idle must be a number"),
                              ("Use: me", "Use must be an id")):
            answer, request = self.visit(baton, app, f"Baton-Session-{field}", "Baton-Session-Set: b=1")
            self.assertEqual((answer.status, answer.all("Set-Cookie")), (502, []))
            line = baton.wait_access(1, lambda line: line["id"] == request.get("X-Request-Id"))[0]
            self.assertEqual(line["fault"], "session_refused")
            # Of such events there is one a second.
            eventually(lambda: reason in self.warned(baton, app, field), reason)

    def warned(self, baton, app, field):
        self.visit(baton, app, f"Baton-Session-{field}")
        return baton.event_text()

    def test_fields_unknown_are_stripped(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        answer, _ = self.visit(baton, app, "Baton-Session-Foo: 1", "baton_session_bar: 2")
        self.assertEqual(answer.status, 200)
        self.assert_no_session_fields(answer)
        baton.wait_event("unknown session field from a server")

    def test_off_strips_both_ways(self):
        [app] = self.obedient("A")
        baton = self.baton([app], route={"session": "off"})
        answer, request = self.visit(baton, app, "Baton-Session-Set: a=1", "Set-Cookie: JSESSIONID=own",
                                     cookie=f"JSESSIONID={INVENTED}; a=b")
        self.assert_no_session_fields(answer)
        self.assert_no_session_fields(request)
        self.assertEqual(answer.get("Set-Cookie"), "JSESSIONID=own")  # the app's own
        self.assertEqual(request.get("Cookie"), f"JSESSIONID={INVENTED}; a=b")
        self.assertEqual(baton.wait_access()[0]["session"], "off")

    def test_other_prefix_and_cookie(self):
        [app] = self.obedient("A")
        baton = self.baton([app], session={"cookie": "sid", "headers": {"prefix": "X-Sess-"}})
        answer, request = self.visit(baton, app, "X-Sess-Set: a=1")
        self.assertEqual(request.get("X-Sess-State"), "none")
        self.assertEqual(answer.all("X-Sess-Set"), [])
        answer, request = self.visit(baton, app, cookie=f"sid={answer.cookie('sid')}",
                                     fields=[("x_sess_id", "evil"), ("Baton-Session-Data", "evil=1")])
        self.assertEqual(request.get("X-Sess-Data"), "a=1")
        self.assertNotIn(b"evil", request.head)

    def test_release_waits_for_the_commit(self):
        # A client that follows the answer at once on another connection, served by another thread, finds the change.
        apps = self.obedient("A", "B")
        baton = self.baton(apps, top={"workers": 2})
        session = self.new_session(baton, apps[0])
        clients = [self.client(baton) for _ in range(6)]
        for turn in range(300):
            fields = [("Cookie", f"JSESSIONID={session}")]
            writer, reader = clients[turn % 6], clients[(turn + 1) % 6]
            writer.ask(fields=fields + [("X-Reply", f"Baton-Session-Set: turn={turn}")])
            name = reader.ask(fields=fields).get("X-App")
            request = next(app for app in apps if app.name == name).last()
            self.assertEqual(request.get("Baton-Session-Data"), f"turn={turn}")

    def test_session_fields_on_a_101_are_committed_first(self):
        def upgrade(request):
            if request.get("Upgrade") is None:
                return obedient("A")(request)
            raise App.Close(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            b"Baton-Session-Set: tunnel=1\r\n\r\n")

        app = self.app(upgrade)
        baton = self.baton([app])
        session = self.new_session(baton, app)
        answer, _ = self.visit(baton, app, cookie=session, fields=[("Connection", "Upgrade"), ("Upgrade", "websocket")])
        self.assertEqual(answer.status, 101)
        self.assert_no_session_fields(answer)
        self.assertEqual(self.data(baton, app, session), {"tunnel": "1"})

    def test_session_fields_on_other_1xx_mean_nothing(self):
        def early(request):
            return b"HTTP/1.1 103 Early Hints\r\nBaton-Session-Set: a=1\r\nLink: x\r\n\r\n" + reply(b"x")

        app = self.app(early)
        baton = self.baton([app])
        answer = self.ask(baton)
        self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
        self.assert_no_session_fields(answer.interim[0])
        self.assert_no_session_fields(answer)


class EndTest(SessionTest):
    def test_S25_logout(self):
        apps = self.obedient("A", "B")
        baton = self.baton(apps)
        session = self.new_session(baton, apps[0], "Baton-Session-Set: user=bob")
        answer, _ = self.visit(baton, apps[1], "Baton-Session-Destroy: 1", cookie=session)
        ended = "JSESSIONID=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax"
        self.assertEqual(answer.all("Set-Cookie"), [ended])
        self.assert_no_session_fields(answer)
        answer, request = self.visit(baton, apps[0], cookie=session)
        self.assertEqual(request.get("Baton-Session-State"), "none")
        self.assertEqual(request.all("Baton-Session-Data"), [])
        self.assertNotEqual(request.get("Baton-Session-Id"), session)

    def test_S25_dead_id_gets_no_session_by_itself(self):
        [app] = self.obedient("A")
        baton = self.baton([app], session={"create": "always"})
        session = self.ask(baton).cookie()
        self.visit(baton, app, "Baton-Session-Destroy: 1", cookie=session)
        answer, request = self.visit(baton, app, cookie=session)  # a straggler
        self.assertEqual((request.get("Baton-Session-State"), answer.all("Set-Cookie")), ("none", []))
        # Not even if its server asks.
        answer, _ = self.visit(baton, app, "Baton-Session-Set: user=eve", cookie=session)
        self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
        baton.wait_event("session change dropped, the session of its request has ended")

    def test_S25_destroy_without_a_session(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        self.assertEqual(self.visit(baton, app, "Baton-Session-Destroy: 1")[0].all("Set-Cookie"), [])
        answer, _ = self.visit(baton, app, "Baton-Session-Destroy: 1", cookie=INVENTED)
        self.assertIn("Max-Age=0", answer.get("Set-Cookie"))

    def test_S25_destroy_and_set_begin_anew(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        old = self.new_session(baton, app, "Baton-Session-Set: a=1")
        answer, _ = self.visit(baton, app, "Baton-Session-Destroy: 1", "Baton-Session-Set: b=2", cookie=old)
        self.assertNotEqual(answer.cookie(), old)
        self.assertEqual(self.data(baton, app, answer.cookie()), {"b": "2"})
        self.assertEqual(self.state(baton, app, old), "none")

    def test_S26_late_set_after_logout(self):
        go = threading.Event()

        def answer(request):
            if request.target == "/slow":
                go.wait(10)
                return reply(b"slow", [("Baton-Session-Set", "z=1")])
            return obedient("A")(request)

        app = self.app(answer)
        baton = self.baton([app])
        session = self.new_session(baton, app)
        self.addCleanup(go.set)
        slow = self.client(baton)
        slow.request(target="/slow", fields=[("Cookie", f"JSESSIONID={session}")])
        app.wait_requests(2)
        self.visit(baton, app, "Baton-Session-Destroy: 1", cookie=session)
        go.set()
        late = slow.answer()
        self.assertEqual((late.status, late.body, late.all("Set-Cookie")), (200, b"slow", []))
        self.assertEqual(self.state(baton, app, session), "none")

    def test_S57_scopes_do_not_share(self):
        shop, admin, both = self.obedient("shop", "admin", "both")
        upstreams = [{"name": name, "servers": [{"address": app.address}], **keys}
                     for name, app, keys in (("shop", shop, {}), ("admin", admin, {}),
                                             ("both", both, {"scope": "shop"}))]
        routes = [{"hosts": [f"{name}.example"], "upstream": name} for name in ("shop", "admin", "both")]
        baton = self.baton(upstreams=upstreams, routes=routes)
        session = self.new_session(baton, shop, "Baton-Session-Set: a=1", host="shop.example")
        answer, request = self.visit(baton, admin, cookie=session, host="admin.example")
        self.assertEqual(request.get("Baton-Session-State"), "none")
        self.assertNotEqual(request.get("Baton-Session-Id"), session)
        self.assertEqual(answer.all("Set-Cookie"), [])
        self.assertEqual(self.data(baton, both, session, host="both.example"), {"a": "1"})
        self.visit(baton, admin, "Baton-Session-Destroy: 1", cookie=session, host="admin.example")
        self.assertEqual(self.state(baton, shop, session, host="shop.example"), "live")

    def test_S59_head_is_as_get(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        fields = [("X-Reply", "Baton-Session-Set: a=1")]
        answer = self.ask(baton, "HEAD", fields=fields)
        self.assertEqual(answer.status, 200)
        self.assertRegex(answer.cookie(), SESSION_ID)
        self.assert_no_session_fields(answer)
        self.ask(baton, "HEAD", fields=[("Cookie", f"JSESSIONID={answer.cookie()}")])
        self.assertEqual(app.last().get("Baton-Session-Data"), "a=1")

    def test_S59_head_with_create_always(self):
        [app] = self.obedient("A")
        baton = self.baton([app], session={"create": "always"})
        answer = self.ask(baton, "HEAD")
        self.assertEqual(answer.cookie(), app.last().get("Baton-Session-Id"))
        self.assertEqual(app.last().get("Baton-Session-State"), "new")

    def test_S60_proposed_id_is_the_cookie(self):
        def page(request):
            return reply(request.get("Baton-Session-Id").encode(), [("Baton-Session-Set", "shown=1")])

        app = self.app(page)
        baton = self.baton([app])
        answer = self.ask(baton)
        self.assertEqual(answer.body.decode(), answer.cookie())
        self.assertEqual(self.ask(baton, fields=[("Cookie", f"JSESSIONID={answer.cookie()}")]).body, answer.body)
        self.assertEqual(app.last().get("Baton-Session-State"), "live")

    def test_S60_unused_proposal_leaves_no_trace(self):
        [app] = self.obedient("A")
        baton = self.baton([app])
        _, request = self.visit(baton, app)
        proposed = request.get("Baton-Session-Id")
        answer, request = self.visit(baton, app, cookie=proposed)
        self.assertEqual(request.get("Baton-Session-State"), "none")
        self.assertNotEqual(request.get("Baton-Session-Id"), proposed)
        self.assertEqual(answer.all("Set-Cookie"), [])

    def test_idle_sessions_expire_for_real(self):
        # The least idle time, 1 s, and the slack on top of it, 1 s.
        [app] = self.obedient("A")
        baton = self.baton([app], session={"idle": "1s"})
        session, kept = self.new_session(baton, app), self.new_session(baton, app)
        made = time.monotonic()
        while time.monotonic() - made < 2.2:  # nothing to wait for but the time itself
            time.sleep(0.2)
            self.assertEqual(self.state(baton, app, kept), "live")
        self.assertEqual(self.state(baton, app, session), "none")
        self.assertEqual(self.state(baton, app, kept), "live")

    def test_absolute_age_ends_a_session_in_use(self):
        [app] = self.obedient("A")
        baton = self.baton([app], session={"absolute": "1s"})
        session = self.new_session(baton, app)
        made = time.monotonic()
        while self.state(baton, app, session) == "live":
            time.sleep(0.05)  # nothing to wait for but the time itself
            self.assertLess(time.monotonic() - made, 3)
        self.assertGreater(time.monotonic() - made, 0.9)

    def test_table_limit_keeps_confirmed_sessions(self):
        [app] = self.obedient("A")
        baton = self.baton([app], session={"sessions_max": 64})
        session = self.new_session(baton, app)
        self.assertEqual(self.state(baton, app, session), "live")  # its cookie came back
        for _ in range(500):
            self.new_session(baton, app)
        self.assertEqual(self.state(baton, app, session), "live")


if __name__ == "__main__":
    unittest.main()
