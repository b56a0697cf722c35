"""The session contract with several servers and clients at once. A name's S<number> is the scenario that it proves."""

import base64
import hashlib
import threading
import time
import unittest
from urllib.parse import parse_qsl

from api import Api, ApiTest, port_that_serves
from harness import eventually
from peers import App, reply
from session_test import INVENTED, obedient


def told(request):
    """The attributes that a server was told of."""
    return dict(parse_qsl(request.get("Baton-Session-Data", ""), keep_blank_values=True))


class Together:
    """Holds requests until so many of them are there, each time anew."""

    def __init__(self, count):
        self.barrier = threading.Barrier(count)

    def wait(self):
        self.barrier.wait(10)


class ContractTest(ApiTest):
    def servers(self, handler, count=3):
        return [self.app(handler, name="ABC"[i]) for i in range(count)]

    def at_once(self, works):
        """Runs each in a thread of its own. What they returned, in their order."""
        found = [None] * len(works)

        def run(index):
            try:
                found[index] = works[index]()
            except Exception as fault:  # a thread's own failure is the test's
                found[index] = fault

        threads = [threading.Thread(target=run, args=(index,)) for index in range(len(works))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for one in found:
            if isinstance(one, Exception):
                raise one
        return found

    def begun(self, proxy, attributes=None):
        """A session that its client has shown already."""
        api = Api(port_that_serves(proxy, "session-api"))
        session = api.create({"attrs": attributes or {}}).json["id"]
        api.close()
        return session

    @staticmethod
    def shows(session):
        return [("Cookie", f"JSESSIONID={session}")]

    def attributes(self, proxy, session):
        api = self.api(proxy)
        try:
            return api.read(session).json["attrs"]
        finally:
            api.close()


class ConflictTest(ContractTest):
    """Two or more requests of one session at once."""

    def in_flight(self, count, lines, **keys):
        """A baton whose servers answer so many requests only together, the n-th with the n-th of `lines`."""
        together = Together(count)

        def answer(request):
            if request.get("X-Turn") is None:
                return reply(b"", [])
            together.wait()
            fields = [tuple(line.split(": ", 1)) for line in lines(request)]
            return reply(request.get("X-Turn").encode(), fields)

        return self.api_baton(self.servers(answer), top={"workers": 2}, **keys)

    def ask_all(self, proxy, session, count, method):
        def ask(turn):
            return lambda: self.ask(proxy, method, fields=self.shows(session) + [("X-Turn", str(turn))])

        return self.at_once([ask(turn) for turn in range(count)])

    def test_S17_different_attributes_merge(self):
        for base in (False, True):
            def lines(request):
                found = [f"Baton-Session-Set: k{request.get('X-Turn')}=v"]
                return found + [f"Baton-Session-Base: {request.get('Baton-Session-Version')}"] * base

            proxy = self.in_flight(4, lines)
            for _ in range(10):
                session = self.begun(proxy, {"old": "1"})
                answers = self.ask_all(proxy, session, 4, "POST")
                self.assertEqual([answer.status for answer in answers], [200] * 4)
                self.assertEqual(self.attributes(proxy, session), {"old": "1", **{f"k{i}": "v" for i in range(4)}})
            self.assertEqual(self.metric(proxy, "baton_session_overwrites_total"), 0)

    @staticmethod
    def conflicting(request):
        return [f"Baton-Session-Set: x={request.get('X-Turn')}",
                f"Baton-Session-Base: {request.get('Baton-Session-Version')}"]

    def test_S18_one_of_two_wins_where_a_version_is_named(self):
        proxy = self.in_flight(2, self.conflicting)
        for _ in range(25):
            session = self.begun(proxy, {"x": "old"})
            answers = self.ask_all(proxy, session, 2, "POST")
            self.assertEqual(sorted(answer.status for answer in answers), [200, 409])
            winner = next(answer for answer in answers if answer.status == 200)
            loser = next(answer for answer in answers if answer.status == 409)
            self.assertEqual(self.attributes(proxy, session), {"x": winner.body.decode()})
            self.assertEqual((loser.body, loser.get("Retry-After")), (b"409 Conflict\n", "0"))
            self.assertEqual(loser.all("Set-Cookie"), [])
            self.assert_no_session_fields(loser)
        lines = proxy.wait_access(25, lambda line: line.get("fault") == "session_conflict")
        self.assertEqual({line["status"] for line in lines}, {409})
        self.assertEqual(self.metric(proxy, "baton_session_overwrites_total"), 0)
        self.assertEqual(self.metric(proxy, "baton_session_replays_total"), 0)

    def test_S18_one_of_four_wins(self):
        proxy = self.in_flight(4, self.conflicting)
        for _ in range(10):
            session = self.begun(proxy)  # the attribute is not there yet
            answers = self.ask_all(proxy, session, 4, "POST")
            self.assertEqual(sorted(answer.status for answer in answers), [200, 409, 409, 409])
            winner = next(answer for answer in answers if answer.status == 200)
            self.assertEqual(self.attributes(proxy, session), {"x": winner.body.decode()})

    def test_S18_get_is_answered_by_a_second_try(self):
        for method in ("GET", "HEAD"):
            first = Together(2)

            def answer(request):
                attributes = told(request)
                if attributes.get("x", "0") == "0":
                    first.wait()
                line = [("Baton-Session-Set", f"x={int(attributes.get('x', 0)) + 1}"),
                        ("Baton-Session-Base", request.get("Baton-Session-Version"))]
                return reply(b"" if request.method == "HEAD" else attributes.get("x", "0").encode(), line)

            proxy = self.api_baton(self.servers(answer), top={"workers": 2})
            session = self.begun(proxy, {"x": "0"})
            fields = self.shows(session)
            answers = self.at_once([lambda: self.ask(proxy, method, fields=fields)] * 2)
            self.assertEqual([one.status for one in answers], [200, 200])
            self.assertEqual(self.attributes(proxy, session), {"x": "2"})
            if method == "GET":
                self.assertEqual(sorted(one.body for one in answers), [b"0", b"1"])
            self.assertEqual(self.metric(proxy, "baton_session_replays_total"), 1)

    def test_S18_get_is_not_tried_twice_if_told_so(self):
        proxy = self.in_flight(2, self.conflicting, session={"replay_safe": False})
        session = self.begun(proxy)
        answers = self.ask_all(proxy, session, 2, "GET")
        self.assertEqual(sorted(answer.status for answer in answers), [200, 409])
        self.assertEqual(self.metric(proxy, "baton_session_replays_total"), 0)

    def test_S18_get_is_tried_twice_and_no_more(self):
        def answer(request):
            # Somebody else is always faster.
            api = Api(port_that_serves(proxy, "session-api"))
            api.patch(request.get("Baton-Session-Id"), {"attrs": {"x": "other"}})
            api.close()
            return reply(b"", [("Baton-Session-Set", "x=mine"),
                               ("Baton-Session-Base", request.get("Baton-Session-Version"))])

        servers = self.servers(answer)
        proxy = self.api_baton(servers)
        session = self.begun(proxy, {"x": "0"})
        self.assertEqual(self.ask(proxy, fields=self.shows(session)).status, 409)
        self.assertEqual(sum(len(server.requests) for server in servers), 2)
        versions = sorted(r.get("Baton-Session-Version") for server in servers for r in server.requests)
        self.assertEqual(versions, ["1", "2"])
        self.assertEqual(self.metric(proxy, "baton_session_replays_total"), 1)
        self.assertEqual(self.attributes(proxy, session), {"x": "other"})
        self.assertEqual(proxy.wait_access(1)[0]["fault"], "session_conflict")

    def add_up(self, base, method):
        """4 clients, 100 times each: read a number, write the next one; once more where it was refused."""
        together = Together(4)

        def answer(request):
            number = int(told(request).get("n", 0))
            if request.get("X-Together"):
                together.wait()  # so that there is a conflict, whatever the scheduler does
            fields = [("Baton-Session-Set", f"n={number + 1}")]
            if base:
                fields.append(("Baton-Session-Base", request.get("Baton-Session-Version")))
            return reply(b"", fields)

        proxy = self.api_baton(self.servers(answer), top={"workers": 2})
        session = self.begun(proxy)

        def clicks():
            client = self.client(proxy)
            refused = 0
            for number in range(100):
                first = [("X-Together", "1")] * (number == 0)
                while True:
                    answer = client.ask(method, fields=self.shows(session) + first)
                    first = []
                    if answer.status == 200:
                        break
                    self.assertEqual(answer.status, 409)
                    refused += 1
            return refused

        refused = sum(self.at_once([clicks] * 4))
        return proxy, int(self.attributes(proxy, session)["n"]), refused

    def test_S19_read_modify_write_with_base_loses_nothing(self):
        proxy, final, refused = self.add_up(True, "POST")
        self.assertEqual(final, 400)
        self.assertGreater(refused, 0)
        self.assertEqual(self.metric(proxy, "baton_session_overwrites_total"), 0)
        self.assertEqual(self.metric(proxy, "baton_session_replays_total"), 0)

    def test_S20_read_modify_write_without_base_is_not_silent(self):
        proxy, final, refused = self.add_up(False, "POST")
        self.assertLessEqual(final, 400)
        self.assertEqual(refused, 0)
        self.assertGreater(self.metric(proxy, "baton_session_overwrites_total"), 0)
        event = proxy.wait_event("session attribute overwritten although it had changed")
        self.assertIn("attribute=n ", event)
        self.assertEqual(event.count("level=warn"), 1)

    def test_counter_under_parallel_clicks_loses_nothing(self):
        proxy = self.api_baton(self.servers(lambda request: reply(b"", [("Baton-Session-Incr", "hits=1&down=-2")])),
                               top={"workers": 2})
        session = self.begun(proxy, {"down": "5"})

        def clicks():
            client = self.client(proxy)
            for _ in range(100):
                self.assertEqual(client.ask(fields=self.shows(session)).status, 200)

        self.at_once([clicks] * 4)
        self.assertEqual(self.attributes(proxy, session), {"hits": "400", "down": str(5 - 800)})
        self.assertEqual(self.metric(proxy, "baton_session_overwrites_total"), 0)

    def test_S24_who_follows_a_redirect_at_once_finds_the_change(self):
        def answer(request):
            if request.target.startswith("/login"):
                user = request.target.partition("?")[2]
                return reply(b"", [("Location", "/home"), ("Baton-Session-Set", f"user={user}")], "302 Found")
            return reply(told(request).get("user", "nobody").encode())

        proxy = self.api_baton(self.servers(answer), top={"workers": 2})
        clients = [self.client(proxy) for _ in range(8)]
        misses = 0
        for turn in range(1000):
            # Another connection, and for half of them another thread of baton's.
            login, follower = clients[turn % 8], clients[(turn + 1 + turn // 8 % 7) % 8]
            first = login.ask("POST", f"/login?bob{turn}")
            self.assertEqual((first.status, first.get("Location")), (302, "/home"))
            second = follower.ask(fields=self.shows(first.cookie()))
            misses += second.body != f"bob{turn}".encode()
        self.assertEqual(misses, 0)


class FieldsTest(ContractTest):
    """What one response asks for, through several servers."""

    def setUp(self):
        self.abc = self.obedient("A", "B", "C")
        self.proxy = self.api_baton(self.abc)
        self.turn = 0

    def next(self, *replies, cookie=None, **keys):
        server = self.abc[self.turn % 3]
        self.turn += 1
        return self.visit(self.proxy, server, *replies, cookie=cookie, **keys)

    def test_S14_changes_survive_from_server_to_server(self):
        raw = bytes(range(256))
        encoded = "".join(f"%{byte:02X}" for byte in raw)
        answer, _ = self.next(f"Baton-Session-Set: all={encoded}&gone=1&kept=2", "Baton-Session-Incr: hits=1")
        session = answer.cookie()
        _, request = self.next("Baton-Session-Unset: gone", "Baton-Session-Incr: hits=1", cookie=session)
        self.assertEqual(set(told(request)), {"all", "gone", "kept", "hits"})
        for _ in range(3):
            answer, request = self.next(cookie=session)
            pairs = dict(parse_qsl(request.get("Baton-Session-Data"), encoding="latin-1"))
            self.assertEqual({k: v.encode("latin-1") for k, v in pairs.items()},
                             {"all": raw, "kept": b"2", "hits": b"2"})
            self.assertEqual(request.get("Baton-Session-Version"), "2")
            self.assertEqual(answer.all("Set-Cookie"), [])
        # Data are sorted by their names, whoever set them first.
        self.assertEqual([pair.split("=")[0] for pair in request.get("Baton-Session-Data").split("&")],
                         ["all", "hits", "kept"])

    def test_incr_without_a_session_makes_one(self):
        answer, _ = self.next("Baton-Session-Incr: hits=1&hits2=-5")
        self.assertEqual(self.attributes(self.proxy, answer.cookie()), {"hits": "1", "hits2": "-5"})

    def test_incr_of_what_is_no_integer_is_refused_whole(self):
        session = self.begun(self.proxy, {"word": "x", "most": str(2 ** 53 - 1), "blank": "", "n": "1"})
        for line in ("word=1", "most=1", "blank=1", "n=1&word=1", "n=x", "n=1.5", "n=", "n", "n=%2B1", "n=1&n=1",
                     f"n={2 ** 53}"):
            answer, _ = self.next(f"Baton-Session-Incr: {line}", cookie=session)
            self.assertEqual(answer.status, 502, line)
        self.assertEqual(self.attributes(self.proxy, session),
                         {"word": "x", "most": str(2 ** 53 - 1), "blank": "", "n": "1"})
        answer, _ = self.next(f"Baton-Session-Incr: most=-{2 ** 53 - 1}&n=0", cookie=session)
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.attributes(self.proxy, session)["most"], "0")

    def test_base_without_a_session_or_a_change_means_nothing(self):
        answer, _ = self.next("Baton-Session-Base: 12")
        self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
        answer, _ = self.next("Baton-Session-Base: 12", "Baton-Session-Set: a=1")
        self.assertEqual(answer.status, 200)
        session = answer.cookie()
        answer, _ = self.next("Baton-Session-Base: 0", cookie=session)
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.api(self.proxy).read(session).json["version"], 1)

    def test_fields_that_do_not_go_together(self):
        session = self.begun(self.proxy, {"a": "1"})
        for replies in (["Destroy: 1", "Rotate: login"], ["Destroy: 1", "Unset: a"], ["Destroy: 1", "Incr: a=1"],
                        ["Destroy: 1", "Base: 1"], ["Set: a=2", "Incr: a=1"], ["Unset: a", "Incr: a=1"],
                        ["Set: a=2", "Unset: a"], ["Base: 1", "Base: 1"], ["Idle: 60", "Idle: 60"], ["Rotate: yes"],
                        ["Base: x"], ["Base: -1"], ["Idle: x"], ["Idle: -1"], ["Idle: 1.5"]):
            answer, _ = self.next(*[f"Baton-Session-{one}" for one in replies], cookie=session)
            self.assertEqual((answer.status, answer.all("Set-Cookie")), (502, []), replies)
        found = self.api(self.proxy).read(session).json
        self.assertEqual((found["version"], found["attrs"]), (1, {"a": "1"}))

    def test_idle_is_kept_within_its_limits(self):
        session = self.begun(self.proxy)
        api = self.api(self.proxy)
        for asked, idle in ((900, 900), (0, 60), (1, 60), (10 ** 12, 86400), (86400, 86400)):
            self.next(f"Baton-Session-Idle: {asked}", cookie=session)
            self.assertEqual(api.read(session).json["idle"], idle)
        # Of a new session, too; alone it makes none.
        answer, _ = self.next("Baton-Session-Idle: 300")
        self.assertEqual(answer.all("Set-Cookie"), [])
        answer, _ = self.next("Baton-Session-Idle: 300", "Baton-Session-Create: 1")
        self.assertEqual(api.read(answer.cookie()).json["idle"], 300)

    def test_S27_login_rotates_the_id(self):
        answer, _ = self.next("Baton-Session-Set: cart=3")
        old = answer.cookie()
        before = self.api(self.proxy).read(old).json
        answer, _ = self.next("Baton-Session-Rotate: login", "Baton-Session-Set: user=bob", cookie=old)
        fresh = answer.cookie()
        self.assertEqual(answer.get("Set-Cookie"), f"JSESSIONID={fresh}; Path=/; HttpOnly; SameSite=Lax")
        self.assertEqual(answer.get("Cache-Control"), "no-store")
        self.assert_no_session_fields(answer)
        self.assertNotEqual(fresh, old)
        after = self.api(self.proxy).read(fresh).json
        self.assertEqual(after["attrs"], {"cart": "3", "user": "bob"})
        self.assertEqual((after["created"], after["version"]), (before["created"], 2))
        for _ in range(3):  # the old id, at each of the servers
            answer, request = self.next(cookie=old)
            self.assertEqual((request.get("Baton-Session-State"), answer.all("Set-Cookie")), ("none", []))
        _, request = self.next("Baton-Session-Rotate: 1", cookie=fresh)  # the other word for it
        self.assertEqual((request.get("Baton-Session-State"), told(request)), ("live", {"cart": "3", "user": "bob"}))

    def test_S27_rotation_without_a_session_means_nothing(self):
        answer, _ = self.next("Baton-Session-Rotate: login")
        self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
        answer, request = self.next("Baton-Session-Rotate: login", "Baton-Session-Set: user=bob")
        self.assertEqual(answer.cookie(), request.get("Baton-Session-Id"))

    def test_S28_planted_id_is_dead_after_the_login(self):
        # The attacker has a session of his own, and has planted its id on the victim.
        answer, _ = self.next("Baton-Session-Set: seen=1")
        planted = answer.cookie()
        answer, _ = self.next("Baton-Session-Rotate: login", "Baton-Session-Set: user=victim", cookie=planted)
        fresh = answer.cookie()
        _, request = self.next(cookie=planted)  # the attacker
        self.assertEqual(request.get("Baton-Session-State"), "none")
        self.assertEqual(request.all("Baton-Session-Data"), [])
        _, request = self.next(cookie=fresh)  # the victim
        self.assertEqual(told(request), {"seen": "1", "user": "victim"})

    def test_unknown_ids_from_one_address_are_limited_if_told_so(self):
        proxy = self.api_baton(self.abc, session={"unknown_max": 3})
        session = self.begun(proxy)
        statuses = [self.ask(proxy, fields=self.shows(f"{i:032X}")).status for i in range(20)]
        self.assertEqual(statuses[0], 200)
        # A minute may end among them, once.
        self.assertGreaterEqual(statuses.count(429), 14)
        self.assertLessEqual(set(statuses), {200, 429})
        self.assertEqual(self.ask(proxy, fields=self.shows(session)).status, 200)
        self.assertEqual(proxy.wait_access(1, lambda line: line["status"] == 429)[0]["fault"], "session_guessed")
        self.assertEqual(self.ask(self.proxy, fields=self.shows(INVENTED)).status, 200)  # not by itself


class StragglerTest(ContractTest):
    """Requests that are still on their way when their session ends or moves."""

    def delayed(self, **keys):
        self.go = threading.Event()
        self.addCleanup(self.go.set)

        def answer(request):
            if request.target == "/slow":
                self.go.wait(10)
            return obedient("A")(request)

        self.slow_servers = self.servers(answer, 2)
        return self.api_baton(self.slow_servers, **keys)

    def test_S27_straggler_gets_no_cookie(self):
        for create in ("on-demand", "always"):
            proxy = self.delayed(session={"create": create})
            session = self.begun(proxy, {"a": "1"})
            slow = self.client(proxy)
            slow.request(target="/slow", fields=self.shows(session) + [("X-Reply", "Baton-Session-Set: late=1")])
            eventually(lambda: sum(len(s.requests) for s in self.slow_servers) == 1, "the slow request")
            login = self.ask(proxy, fields=self.shows(session) + [("X-Reply", "Baton-Session-Rotate: login")])
            self.assertIsNotNone(login.cookie())
            self.go.set()
            late = slow.answer()
            self.assertEqual((late.status, late.all("Set-Cookie")), (200, []))
            again = self.ask(proxy, fields=self.shows(session))  # one that comes later still
            self.assertEqual((again.status, again.all("Set-Cookie")), (200, []))
            self.assertEqual(self.attributes(proxy, login.cookie()), {"a": "1"})
            self.assertEqual(self.metric(proxy, "baton_session_changes_dropped_total"), 1)

    def test_renewed_id_is_given_to_all_who_show_the_old_one(self):
        proxy = self.delayed(session={"renew_after": "1s"})
        session = self.begun(proxy, {"a": "1"})
        slow = self.client(proxy)
        slow.request(target="/slow", fields=self.shows(session) + [("X-Reply", "Baton-Session-Set: late=1")])
        found = []

        def renewed():  # nothing to wait for but the time itself
            found.append(self.ask(proxy, fields=self.shows(session)).cookie())
            return found[-1] is not None

        eventually(renewed, "a new id")
        self.assertNotEqual(found[-1], session)
        self.assertEqual(self.ask(proxy, fields=self.shows(session)).cookie(), found[-1])
        self.go.set()
        late = slow.answer()
        self.assertEqual(late.status, 200)
        self.assertIsNotNone(late.cookie())
        self.assertEqual(self.attributes(proxy, late.cookie()), {"a": "1", "late": "1"})
        self.assertEqual(self.attributes(proxy, found[-1]), {"a": "1", "late": "1"})


class TimeTest(ContractTest):
    """What only time can show: a session with the shortest times that are allowed."""

    SLACK = 1.0  # what a session may live longer than its idle time says

    def begin(self, **session):
        server = self.app(lambda request: reply(request.get("Baton-Session-State").encode()))
        proxy = self.api_baton([server], session=session)
        self.asked_at = time.monotonic()
        made = [self.begun(proxy) for _ in range(3)]
        self.made_at = time.monotonic()
        return proxy, made

    def test_S29_idle_session_dies_and_a_used_one_does_not(self):
        proxy, (unused, used, late) = self.begin(idle="2s")
        last = self.made_at
        gap = 0.0
        while time.monotonic() < self.made_at + 2 + self.SLACK + 0.2:
            state = self.ask(proxy, fields=self.shows(used)).body
            gap, last = max(gap, time.monotonic() - last), time.monotonic()
            if gap < 2:
                self.assertEqual(state, b"live")
            if late and time.monotonic() - self.asked_at > 1:
                # A single request in the middle of the time.
                state = self.ask(proxy, fields=self.shows(late)).body
                if time.monotonic() - self.asked_at < 2:
                    self.assertEqual(state, b"live")
                late = None
            time.sleep(0.1)
        self.assertEqual(self.ask(proxy, fields=self.shows(unused)).body, b"none")

    def test_S30_absolute_age_ends_a_session_in_use(self):
        proxy, (session, _, _) = self.begin(absolute="3s")
        state, at_least = b"live", 0
        while state == b"live" and at_least < 3.2:
            at_least = time.monotonic() - self.made_at
            state = self.ask(proxy, fields=self.shows(session)).body
            if time.monotonic() - self.asked_at < 2.9:
                self.assertEqual(state, b"live")
            time.sleep(0.1)
        self.assertEqual(state, b"none")

    def test_idle_field_shortens_one_session_only(self):
        proxy, (short, other, _) = self.begin(idle="1h", idle_min="1s")
        self.assertEqual(self.api(proxy).patch(short, {"idle": 1}).status, 200)
        gone = time.monotonic() + 1 + self.SLACK
        while time.monotonic() < gone + 0.2:
            time.sleep(0.1)  # nothing to wait for but the time itself
        self.assertEqual(self.ask(proxy, fields=self.shows(short)).body, b"none")
        self.assertEqual(self.ask(proxy, fields=self.shows(other)).body, b"live")


class TunnelTest(ContractTest):
    """A WebSocket and its session."""

    ASKS = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]

    @staticmethod
    def echo(request):
        if request.get("Upgrade") is None:
            return reply(request.get("Baton-Session-State").encode())
        key = request.get("Sec-WebSocket-Key").encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        proof = base64.b64encode(hashlib.sha1(key).digest())
        request.wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n")
        for data in request.wire.to_the_end():
            request.wire.send(data)
        raise App.Close()

    def tunnel(self, proxy, session):
        client = self.client(proxy)
        self.assertEqual(client.ask(fields=self.ASKS + self.shows(session)).status, 101)
        return client

    def test_tunnel_that_carries_data_keeps_its_session(self):
        proxy = self.api_baton([self.app(self.echo)], session={"idle": "2s"})
        api = self.api(proxy)
        session = self.begun(proxy)
        client = self.tunnel(proxy, session)
        begun = last = time.monotonic()
        gap = 0.0
        while last < begun + 5:  # as long as two sessions would live
            client.send(b"x")
            self.assertEqual(b"".join(client.pieces(1)), b"x")
            gap, last = max(gap, time.monotonic() - last), time.monotonic()
            if gap < 1:
                self.assertEqual(api.read(session).status, 200)  # asking the API is no use of it
            time.sleep(0.1)
        # Silence: the tunnel stays, its session goes.
        eventually(lambda: api.read(session).status == 404, "the end of the session")
        client.send(b"y")
        self.assertEqual(b"".join(client.pieces(1)), b"y")
        self.assertEqual(self.ask(proxy, fields=self.shows(session)).body, b"none")

    def test_tunnel_ends_with_its_session_if_told_so(self):
        for close, ends in ((True, True), (False, False)):
            proxy = self.api_baton([self.app(self.echo)], session={"idle": "10s", "close_tunnels": close})
            session, other = self.begun(proxy), self.begun(proxy)
            tunnels = [self.tunnel(proxy, session), self.tunnel(proxy, other)]
            self.assertEqual(self.api(proxy).kill(session).status, 204)
            if ends:
                self.assertEqual(tunnels[0].wait_end(), b"")
                proxy.wait_event("tunnel closed because its session has ended")
            for tunnel in tunnels[1:] if ends else tunnels:
                tunnel.send(b"x")
                self.assertEqual(b"".join(tunnel.pieces(1)), b"x")


if __name__ == "__main__":
    unittest.main()
