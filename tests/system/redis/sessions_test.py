"""What stands in Redis of the sessions, who may do what there, and how often it is asked. One real server.

A name's S<number> is the scenario that it proves.
"""

import base64
import hashlib
import json
import os
import re
import secrets
import signal
import socket
import struct
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

from cluster import Node, need_redis, until
from harness import config, eventually, run_baton
from resp import RedisError
from session_test import INVENTED
from store import Relay, StoreTest, attributes_of, page, shown

# The least that baton's user at a data node needs, for the keys of its prefix.
ACL = ("on resetchannels resetkeys ~baton:s:* -@all +info +role +time +script|load +evalsha +hgetall +pttl +hmget "
       "+exists +hset +hdel +hlen +del +rename +pexpireat")
# Without it baton complains less, and warns less.
ACL_BETTER = "+client|setname +config|get +dbsize"

NO_TTL = """
for _, key in ipairs(redis.call('KEYS', '*')) do
    if redis.call('PTTL', key) == -1 then return key end
end
return false
"""


def setUpModule():
    need_redis()


def segments(relay):
    """How many pieces with data have come over the open connections: each write is one, until it is very large."""
    data_segs_in = 152  # in struct tcp_info of linux/tcp.h
    return sum(struct.unpack_from("I", one.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), data_segs_in)[0]
               for one in relay.open())


class Monitor:
    """What a server is told from now on, in lines as MONITOR gives them."""

    def __init__(self, node):
        self.lines = []
        self._node = node
        self._client = node.client()
        self._client.command("MONITOR")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while not self._over.is_set():
            try:
                self.lines.append(self._client.read(timeout=0.05))
            except TimeoutError:
                continue
            except OSError:
                return  # the server has ended

    def stop(self):
        """All that it was told until now."""
        if not self._over.is_set():
            mark = secrets.token_hex(16)
            self._node.ask("ECHO", mark)
            eventually(lambda: any(mark in line for line in self.lines), "the last line of the monitor")
            self._over.set()
            self._thread.join(10)
            self._client.close()
        return "\n".join(self.lines)


class NodeTest(StoreTest):
    """One server for the tests of a class, empty before each."""

    @classmethod
    def setUpClass(cls):
        cls.node = Node()
        cls.addClassCleanup(cls.node.close)

    def setUp(self):
        self.node.ask("FLUSHALL")
        self.node.ask("CONFIG", "RESETSTAT")

    def monitor(self):
        monitor = Monitor(self.node)
        self.addCleanup(monitor.stop)
        return monitor

    def commands(self, name):
        stats = self.node.info("commandstats").get(f"cmdstat_{name}", "calls=0,")
        return int(re.match(r"calls=(\d+)", stats)[1])

    def asked(self, name):
        """How often the one baton has asked this for a request: once it asks to learn what it may do."""
        eventually(lambda: self.commands("evalsha") > 0, "the question about its rights")
        return self.commands(name) - 1

    def keys(self):
        return sorted(key.decode() for key in self.node.ask("KEYS", "*"))

    def key_of(self, session, scope="app", cookie="JSESSIONID", prefix="baton"):
        text = b"\0".join(word.encode() for word in (scope, cookie, session))
        return f"{prefix}:s:{hashlib.sha256(text).hexdigest()}"

    def fields(self, key):
        values = self.node.ask("HGETALL", key)
        return {name.decode(): value for name, value in zip(values[::2], values[1::2])}


class KeysTest(NodeTest):
    def test_S1_one_cookie_one_id_one_key(self):
        apps = self.pages(3)
        baton = self.store_baton(apps, self.node, session={"create": "always"})
        first = self.get(baton)
        self.assertRegex(first.get("Set-Cookie"), "^JSESSIONID=[0-9A-F]{32}; Path=/; HttpOnly; SameSite=Lax$")
        session = first.cookie()
        self.assertEqual([self.state_of(baton, session) for _ in range(9)], ["live"] * 9)
        self.assertEqual([len(app.requests) for app in apps], [4, 3, 3])
        seen = {request.get("Baton-Session-Id") for app in apps for request in app.requests}
        self.assertEqual(seen, {session})
        self.assertEqual(self.keys(), [self.key_of(session)])

    def test_S2_on_demand_leaves_no_key(self):
        baton = self.store_baton(self.pages(), self.node)
        client = self.client(baton)
        for _ in range(1000):
            answer = client.ask()
            self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
        self.assertEqual(self.keys(), [])
        self.assertEqual([self.asked(name) for name in ("hgetall", "pttl", "evalsha")], [0, 0, 0])

    def test_S4_invented_ids_leave_no_key(self):
        baton = self.store_baton(self.pages(), self.node)
        for _ in range(20):
            self.assertEqual(self.state_of(baton, INVENTED), "none")
        self.assertEqual((self.keys(), self.asked("evalsha")), ([], 0))
        self.assertEqual(self.metric(baton, "baton_session_unknown_total"), 20)
        fresh = self.get(baton, INVENTED, "Baton-Session-Create: 1").cookie()
        self.assertNotEqual(fresh, INVENTED)
        self.assertEqual(self.keys(), [self.key_of(fresh)])

    def test_S5_strange_values_are_asked_for_nowhere(self):
        baton = self.store_baton(self.pages(), self.node)
        monitor = self.monitor()
        for value in ("../../x", "x" * 5000, "", "a b c", "%0d%0aX: y", "\xe9\xff\x80", "0" * 31, "0" * 33, "g" * 32,
                      INVENTED.lower(), '""', f"{INVENTED}.node1", f'"{INVENTED}', "*", "baton:s:*"):
            answer = self.ask(baton, fields=[("Cookie", f"JSESSIONID={value}")])
            self.assertEqual((answer.status, answer.get("X-State"), answer.all("Set-Cookie")), (200, "none", []))
        self.assertEqual([self.asked(name) for name in ("hgetall", "pttl", "evalsha")], [0, 0, 0])
        text = monitor.stop().lower()
        for part in ("hgetall", "xxxx", "../", "gggg", INVENTED.lower()):
            self.assertNotIn(part, text)

    def test_S12_no_id_stands_anywhere(self):
        baton = self.store_baton(self.pages(2), self.node, log={"level": "debug"},
                                 session={"renew_after": "1s", "create": "always"})
        monitor = self.monitor()
        api = self.api(baton)
        ids, data = {INVENTED}, "of-alice-and-nobody-else"
        session = self.start(baton, f"Baton-Session-Set: user={data}")
        ids.add(session)

        def renewed():
            answer = self.get(baton, session)
            ids.update({answer.cookie(), answer.get("X-Id")} - {None, ""})
            return answer.cookie()

        eventually(renewed, "a renewed id")
        fresh = max(ids - {session, INVENTED}, key=lambda one: self.node.ask("HEXISTS", self.key_of(one), "_v"))
        self.assertEqual(self.get(baton, session).cookie(), fresh)  # led on
        ids.add(self.get(baton, fresh, "Baton-Session-Rotate: login").cookie())
        ids.add(api.create({"attrs": {"a": "b"}}).json["id"])
        one = self.start(baton)
        ids |= {one, api.rotate(one).json["id"]}
        self.get(baton, INVENTED)
        two = self.start(baton)
        self.assertEqual(self.get(baton, two, "Baton-Session-Destroy: 1").cookie(), "")
        ids.add(two)
        self.assertGreaterEqual(len(ids), 7)
        self.node.ask("SAVE")
        places = {"keys": " ".join(self.keys()), "monitor": monitor.stop(), "log": baton.event_text(),
                  "dump": Path(self.node.folder, "dump.rdb").read_bytes().decode("latin-1"),
                  "access log": b"".join(baton.wait_access(10) and baton.access_lines()).decode(),
                  "metrics": self.admin(baton, "/metrics").body.decode(), "store": json.dumps(self.store(baton))}
        for name, text in places.items():
            self.assertGreater(len(text), 50, name)
            for one in ids:
                self.assertNotIn(one.lower(), text.lower(), name)
            if name not in ("monitor", "dump"):
                self.assertNotIn(data, text, name)

    def test_S13_S14_attributes_as_they_are(self):
        baton = self.store_baton(self.pages(2), self.node)
        encoded = "".join(f"%{byte:02X}" for byte in range(256))
        session = self.start(baton, f"Baton-Session-Set: cart=3&all={encoded}&empty=")
        self.get(baton, session, "Baton-Session-Incr: hits=1", "Baton-Session-Unset: empty")
        self.get(baton, session, "Baton-Session-Incr: hits=1")
        fields = self.fields(self.key_of(session))
        self.assertEqual({name: value for name, value in fields.items() if name.startswith("a:")},
                         {"a:cart": b"1:3", "a:all": b"1:" + bytes(range(256)), "a:hits": b"3:2"})
        self.assertEqual(set(fields) - {"a:cart", "a:all", "a:hits"}, {"_v", "_dv", "_c", "_i", "_x", "_w", "_r", "_n"})
        self.assertEqual((fields["_v"], fields["_dv"], fields["_i"]), (b"3", b"2", b"1800000"))
        self.assertLess(abs(int(fields["_c"]) - time.time() * 1000), 60_000)
        read = self.api(baton).read(session).json
        self.assertEqual((read["version"], set(read["attrs"])), (3, {"cart", "all", "hits"}))

    def test_F_no_abort_a_hash_that_is_no_text_is_answered(self):
        baton = self.store_baton(self.pages(), self.node)
        api = self.api(baton)
        for names in ((b"\xff\xfe",), (b"cut\xc3", b"\xed\xa0\x80"), (b"", b"\0", b"\r\n", b"=&%"), (b"n" * 5000,)):
            for value in (b"1", b"\xff\xfe", b"\0", b"\xf4\x90\x80\x80", b""):
                with self.subTest(names=names, value=value):
                    session = self.start(baton, "Baton-Session-Set: cart=3")
                    for name in names:
                        self.node.ask("HSET", self.key_of(session), b"a:" + name, b"1:" + value)
                    self.node.ask("HSET", self.key_of(session), "a:kept", b"1:" + value)
                    self.node.ask("HSET", self.key_of(session), b"\xff", value)
                    attributes = api.read(session).json["attrs"]
                    self.assertEqual(attributes["cart"], "3")
                    kept = attributes["kept"]
                    if isinstance(kept, dict):
                        self.assertEqual(base64.b64decode(kept["b64"]), value)
                    else:
                        self.assertEqual(kept.encode(), value)
                    self.assertEqual(self.get(baton, session, "Baton-Session-Set: cart=4").status, 200)
                    self.assertEqual(api.patch(session, {"attrs": {"kept": "x"}}, version=0).status, 412)
                    self.assertEqual(api.read(session).json["attrs"]["cart"], "4")

    def test_S21_much_data(self):
        baton = self.store_baton(self.pages(), self.node)
        session = self.start(baton, f"Baton-Session-Set: big={'x' * 5000}&small=1")
        self.get(baton, session)
        answer = self.get(baton, session)
        self.assertEqual(answer.get("X-Data"), "")
        self.assertEqual(self.api(baton).read(session).json["attrs"], {"big": "x" * 5000, "small": "1"})

    def test_S22_what_is_refused_changes_nothing(self):
        baton = self.store_baton(self.pages(), self.node)
        session = self.start(baton, "Baton-Session-Set: a=1")
        before = self.fields(self.key_of(session))
        many = "&".join(f"k{number}=v" for number in range(64))
        for line in (f"Set: big={'x' * 9 * 1024}", f"Set: {many}", "Set: a%20b=1", "Incr: a=x",
                     f"Set: {'&'.join(f'k{n}=' + 'x' * 8000 for n in range(4))}"):
            answer = self.get(baton, session, f"Baton-Session-{line}")
            self.assertEqual((answer.status, answer.all("Set-Cookie")), (502, []), line[:50])
            self.assertEqual(self.fields(self.key_of(session)), before)

    def test_S57_scopes_are_part_of_the_key(self):
        baton = self.store_baton(self.pages(), self.node)
        session = self.start(baton)
        self.assertEqual(self.state_of(baton, session, host="other.example"), "none")
        other = self.get(baton, session, "Baton-Session-Create: 1", host="other.example").cookie()
        self.assertNotEqual(other, session)
        self.assertEqual(self.keys(), sorted([self.key_of(session), self.key_of(other, scope="other")]))

    def test_S60_a_proposal(self):
        baton = self.store_baton(self.pages(), self.node)
        for _ in range(20):
            self.assertRegex(self.get(baton).get("X-Id"), "^[0-9A-F]{32}$")
        self.assertEqual(self.keys(), [])
        answer = self.get(baton, None, "Baton-Session-Create: 1")
        self.assertEqual(answer.get("X-Id"), answer.cookie())
        self.assertEqual(self.keys(), [self.key_of(answer.cookie())])

    def test_S61_use_of_what_is_stale_foreign_or_dead(self):
        baton = self.store_baton(self.pages(), self.node)
        api = self.api(baton)
        fresh, stale, dead = (api.create({}).json["id"] for _ in range(3))
        api.kill(dead)
        foreign = self.get(baton, None, "Baton-Session-Create: 1", host="other.example").cookie()
        self.node.ask("HINCRBY", self.key_of(stale), "_r", -61_000)
        for session in (stale, dead, foreign, INVENTED):
            answer = self.get(baton, None, f"Baton-Session-Use: {session}")
            self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
        self.assertEqual(self.metric(baton, "baton_session_use_ignored_total"), 4)
        self.assertEqual(self.get(baton, None, f"Baton-Session-Use: {fresh}").cookie(), fresh)

    def test_database_and_prefix(self):
        baton = self.store_baton(self.pages(), self.node, redis={"database": 3, "prefix": "shop.eu-1"})
        session = self.start(baton, "Baton-Session-Set: a=1")
        self.assertEqual(self.state_of(baton, session), "live")
        self.get(baton, session, "Baton-Session-Rotate: login")
        self.assertEqual(self.keys(), [])
        with self.node.client() as client:
            client.command("SELECT", 3)
            keys = {key.decode() for key in client.command("KEYS", "*")}
        self.assertEqual(len(keys), 2)
        self.assertIn(self.key_of(session, prefix="shop.eu-1"), keys)
        # What another prefix has is another store.
        other = self.store_baton(self.pages(), self.node, redis={"database": 3})
        self.assertEqual(self.state_of(other, session), "none")


class ForeignTest(NodeTest):
    """Keys with the prefix that are none of baton's."""

    def test_foreign_keys_are_no_session_and_stay(self):
        baton = self.store_baton(self.pages(), self.node)
        kinds = {"a text": lambda key: self.node.ask("SET", key, "text"),
                 "a list": lambda key: self.node.ask("RPUSH", key, "a"),
                 "another hash": lambda key: self.node.ask("HSET", key, "user", "bob"),
                 "a hash like ours": lambda key: self.node.ask("HSET", key, "_v", "x", "_i", "y"),
                 "of ours, without an end": lambda key: self.node.ask("HSET", key, "_v", 1, "_i", 60_000, "_x", 0)}
        for name, make in kinds.items():
            for ttl in (None, 60_000):
                if ttl is not None and name == "of ours, without an end":
                    continue
                with self.subTest(kind=name, ttl=ttl):
                    # An id of its own: a kill is repeated on a new connection.
                    invented = secrets.token_hex(16).upper()
                    key = self.key_of(invented)
                    make(key)
                    if ttl:
                        self.node.ask("PEXPIRE", key, ttl)
                    before = self.node.ask("DUMP", key)
                    self.assertEqual(self.state_of(baton, invented), "none")
                    fresh = self.get(baton, invented, "Baton-Session-Create: 1").cookie()
                    self.assertNotEqual(fresh, invented)
                    self.get(baton, invented, "Baton-Session-Destroy: 1")
                    self.get(baton, invented, "Baton-Session-Set: a=1")
                    api = self.api(baton)
                    self.assertEqual(api.read(invented).status, 404)
                    self.assertEqual(api.create({"id": invented}).status, 409)
                    if name not in ("of ours, without an end", "a hash like ours"):
                        self.assertEqual(api.patch(invented, {"attrs": {"a": "1"}}).status, 404)
                        self.assertEqual(api.rotate(invented).status, 404)
                        self.assertEqual(api.kill(invented).status, 204)
                    self.assertEqual(self.node.ask("DUMP", key), before)
                    self.assertEqual(self.node.ask("PTTL", key) > 0, ttl is not None)


class ExpiryTest(NodeTest):
    IDLE, SLACK = 60_000, 6_000

    def baton_of(self, **session):
        return self.store_baton(self.pages(), self.node, session={"idle": "60s", **session})

    def assert_full(self, key):
        self.assertLessEqual(self.node.ask("PTTL", key), self.IDLE + self.SLACK)
        self.assertGreater(self.node.ask("PTTL", key), self.IDLE)

    def moved(self, baton, session, key):
        self.state_of(baton, session)
        eventually(lambda: self.node.ask("PTTL", key) > self.IDLE, "a touch")
        self.assert_full(key)

    def test_S29_the_end_of_a_session_is_moved_on(self):
        baton = self.baton_of()
        session = self.start(baton)
        key = self.key_of(session)
        self.assert_full(key)
        self.node.ask("PEXPIRE", key, self.IDLE + 1_500)  # not yet
        for _ in range(5):
            self.state_of(baton, session)
        self.assertLessEqual(self.node.ask("PTTL", key), self.IDLE + 1_500)
        self.assertEqual(self.asked("evalsha"), 1)  # that made it
        for left in (self.IDLE, 10_000, 1_000):
            self.node.ask("PEXPIRE", key, left)
            self.moved(baton, session, key)
        self.node.ask("PEXPIRE", key, 20_000)
        self.get(baton, session, "Baton-Session-Set: a=1")
        self.assert_full(key)
        self.node.ask("PEXPIRE", key, 1)
        eventually(lambda: self.node.ask("PTTL", key) == -2, "its end")
        self.assertEqual(self.state_of(baton, session), "none")

    def test_S29_idle_of_one_session(self):
        baton = self.baton_of()
        session = self.start(baton, "Baton-Session-Create: 1")
        self.get(baton, session, "Baton-Session-Idle: 600")
        self.assertGreater(self.node.ask("PTTL", self.key_of(session)), 600_000)
        self.assertLessEqual(self.node.ask("PTTL", self.key_of(session)), 660_000)

    def test_S30_the_absolute_end_is_never_moved(self):
        baton = self.baton_of(absolute="100s")
        session = self.start(baton)
        key = self.key_of(session)
        end = int(self.fields(key)["_x"])
        self.assertEqual(end - int(self.fields(key)["_c"]), 100_000)
        # As if 70 s had passed.
        for field in ("_c", "_x", "_r"):
            self.node.ask("HINCRBY", key, field, -70_000)
        end -= 70_000
        self.node.ask("PEXPIRE", key, 20_000)
        self.state_of(baton, session)
        eventually(lambda: self.node.ask("PTTL", key) > 20_000, "a touch")
        self.assertEqual(self.node.ask("PEXPIRETIME", key), end)
        before = self.commands("evalsha")
        for _ in range(50):
            self.state_of(baton, session)
        self.assertEqual(self.commands("evalsha"), before)  # there is nothing to move
        for line in ("Set: a=1", "Rotate: login", "Idle: 3600"):
            answer = self.get(baton, session, f"Baton-Session-{line}")
            session = answer.cookie() or session
            self.assertEqual(self.node.ask("PEXPIRETIME", self.key_of(session)), end)

    def test_S25_S27_the_ends_of_tombstones(self):
        baton = self.baton_of(renew_after="1s")
        dead, rotated, renewed = (self.start(baton) for _ in range(3))
        self.get(baton, dead, "Baton-Session-Destroy: 1")
        self.get(baton, rotated, "Baton-Session-Rotate: login")
        eventually(lambda: self.get(baton, renewed).cookie(), "a renewal")
        for session, most in ((dead, 30_000), (rotated, 30_000), (renewed, 60_000)):
            key = self.key_of(session)
            self.assertEqual(set(self.fields(key)), {"_to"})
            self.assertLessEqual(self.node.ask("PTTL", key), most)
            self.assertGreater(self.node.ask("PTTL", key), most - 10_000)
        self.assertEqual(self.state_of(baton, dead), "none")
        self.assertEqual(self.state_of(baton, rotated), "none")
        # A tombstone that is over is as if nothing had been.
        self.node.ask("PEXPIRE", self.key_of(dead), 1)
        eventually(lambda: self.node.ask("EXISTS", self.key_of(dead)) == 0, "its end")
        self.assertEqual(self.state_of(baton, dead), "none")

    def test_S26_a_straggler_cannot_bring_it_back(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def slow(request):
            if request.target == "/slow":
                go.wait(10)
            return page(request)

        app = self.app(slow)
        baton = self.store_baton([app], self.node)
        session = self.start(baton)
        client = self.client(baton)
        client.request(target="/slow", fields=shown(session) + [("X-Reply", "Baton-Session-Set: z=1")])
        eventually(lambda: app.last().target == "/slow", "the slow request")
        self.assertEqual(self.get(baton, session, "Baton-Session-Destroy: 1").cookie(), "")
        go.set()
        answer = client.answer()
        self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
        self.assertEqual(self.fields(self.key_of(session)), {"_to": b""})
        self.assertEqual(self.metric(baton, "baton_session_changes_dropped_total"), 1)

    def test_S31_few_touches_for_many_requests(self):
        # Requests at once may each have seen that a touch is due.
        for absolute, clients, at_once in (("12h", 1, 1), ("12h", 8, 4), ("13s", 1, 1), ("13s", 8, 4)):
            with self.subTest(absolute=absolute, clients=clients):
                baton = self.store_baton(self.pages(), self.node, session={"idle": "10s", "absolute": absolute},
                                         top={"workers": 1 if clients == 1 else 2})
                sessions = [self.start(baton)]
                before = self.commands("evalsha")
                visitors = self.visitors([baton], sessions * clients, rate=600, threads=clients, writes=0)
                visitors.wait(lambda one: one.asked > visitors.seen[0].asked + 5, "5 s of visits")
                seen = visitors.end()
                touches = self.commands("evalsha") - before
                print(f"    {len(seen)} requests, {touches} touches", flush=True)
                self.assertEqual({(one.status, one.state) for one in seen}, {(200, "live")})
                took = seen[-1].came - seen[0].asked
                # Every second, as that is a tenth of the idle time; at most until nothing is left to move it by.
                most = took + 1 if absolute == "12h" else 3
                self.assertLessEqual(touches, at_once * most)
                self.assertGreater(touches, 0)

    def test_S32_every_key_has_an_end(self):
        found, over = [], threading.Event()
        looks = [0]

        def watch():
            with self.node.client() as client:
                while not over.is_set():
                    looks[0] += 1
                    if key := client.command("EVAL", NO_TTL, 0):
                        found.append(key)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        self.addCleanup(over.set)
        baton = self.store_baton(self.pages(), self.node, session={"create": "always", "renew_after": "1s"})
        sessions = [self.start(baton, "Baton-Session-Set: a=1") for _ in range(50)]
        for number, session in enumerate(sessions):
            self.get(baton, session, ("Baton-Session-Set: b=1", "Baton-Session-Rotate: login",
                                      "Baton-Session-Destroy: 1", "Baton-Session-Idle: 600")[number % 4])
        for turn in range(5):
            victim = self.store_baton(self.pages(), self.node, session={"create": "always"}) if turn else baton
            keys = self.node.ask("DBSIZE")

            def create(port=victim.port):
                try:
                    client = self.client(port)
                    while True:
                        client.ask()
                except (OSError, EOFError, AssertionError):
                    pass

            creators = [threading.Thread(target=create, daemon=True) for _ in range(8)]
            for thread in creators:
                thread.start()
            until(lambda: self.node.ask("DBSIZE") > keys + 100, "sessions")  # noqa: B023
            victim.process.kill()
            victim.process.wait()
            for thread in creators:
                thread.join(10)
            victim.process.returncode = 0  # it was to end so
        over.set()
        watcher.join(10)
        self.assertGreater(looks[0], 50)
        self.assertEqual(found, [])
        self.assertIsNone(self.node.ask("EVAL", NO_TTL, 0))
        self.assertGreater(self.node.ask("DBSIZE"), 500)

    def test_S33_no_command_carries_a_clock(self):
        monitor = self.monitor()
        baton = self.baton_of(renew_after="1s")
        api = self.api(baton)
        session = self.start(baton, "Baton-Session-Set: a=1")
        self.get(baton, session, "Baton-Session-Set: a=2", "Baton-Session-Idle: 300")
        self.node.ask("PEXPIRE", self.key_of(session), 10_000)
        self.state_of(baton, session)
        eventually(lambda: self.get(baton, session).cookie(), "a renewal")
        fresh = self.get(baton, session).cookie()
        self.get(baton, fresh, "Baton-Session-Rotate: login")
        api.create({"attrs": {"b": "1"}})
        self.get(baton, self.start(baton), "Baton-Session-Destroy: 1")
        text = monitor.stop()
        asked = [line for line in text.splitlines()
                 if re.search(r'\] "(HGETALL|PTTL|EVALSHA|EVAL|ROLE|TIME|SELECT|SCRIPT)"', line, re.IGNORECASE)
                 and " lua] " not in line]
        self.assertGreater(sum('"EVALSHA"' in line for line in asked), 6)
        now = time.time()
        for line in asked:
            words = re.findall(r'"((?:[^"\\]|\\.)*)"', line)
            # The one time that there is: until when a change may be made, by the clock of Redis, which stands in front.
            if '"EVALSHA"' in line and re.fullmatch(r"0\d{15}", words[-1]) and int(words[-1]) > 0:
                ahead = int(words.pop()) / 1000 - float(line.split()[0])
                self.assertGreater(ahead, -0.001, line)
                self.assertLessEqual(ahead, 0.501, line)  # command_timeout
            for word in words:
                for base in (10, 16):
                    try:
                        number = int(word, base)
                    except ValueError:
                        continue
                    for unit in (1, 1e3, 1e6, 1e9):
                        self.assertFalse(abs(number / unit - now) < 86_400, line)


class SharedTest(NodeTest):
    """Two batons with the same sessions."""

    def setUp(self):
        super().setUp()
        self.one, self.two = (self.store_baton(self.pages(2), self.node, top={"workers": 2}) for _ in range(2))

    def test_S54_two_batons(self):
        for _ in range(50):
            session = self.start(self.one, "Baton-Session-Set: user=bob")
            answer = self.get(self.two, session)
            self.assertEqual((answer.get("X-State"), attributes_of(answer)), ("live", {"user": "bob"}))
            answer = self.get(self.two, session, "Baton-Session-Destroy: 1")
            self.assertEqual((answer.status, answer.cookie()), (200, ""))
            self.assertEqual(self.state_of(self.one, session), "none")
            self.assertEqual(self.state_of(self.one, session), "none")

    def test_S54_what_the_api_of_one_does_the_other_sees(self):
        api = self.api(self.one)
        session = api.create({"attrs": {"a": "1"}}).json["id"]
        self.assertEqual(self.state_of(self.two, session), "live")
        self.assertEqual(self.get(self.two, None, f"Baton-Session-Use: {session}").cookie(), session)
        self.get(self.two, session, "Baton-Session-Set: a=2")
        self.assertEqual(api.patch(session, {"attrs": {"a": "3"}}, version=1).status, 412)
        fresh = api.rotate(session).json["id"]
        self.assertEqual(self.state_of(self.two, session), "none")
        self.assertEqual(attributes_of(self.get(self.two, fresh)), {"a": "2"})

    def test_S24_login_at_one_and_the_next_page_from_the_other(self):
        clients = [self.client(self.one), self.client(self.two)]
        for turn in range(200):
            login, follower = clients[turn % 2], clients[(turn + 1) % 2]
            first = login.ask("POST", fields=[("X-Reply", f"Baton-Session-Set: user=bob{turn}")])
            second = follower.ask(fields=shown(first.cookie()))
            self.assertEqual((second.get("X-State"), attributes_of(second)), ("live", {"user": f"bob{turn}"}))
            third = follower.ask("POST", fields=shown(first.cookie()) + [("X-Reply", "Baton-Session-Rotate: login")])
            fourth = login.ask(fields=shown(third.cookie()))
            self.assertEqual(attributes_of(fourth), {"user": f"bob{turn}"})
            self.assertEqual(login.ask(fields=shown(first.cookie())).get("X-State"), "none")

    def test_S28_a_planted_id_is_dead_everywhere(self):
        planted = self.start(self.one)
        fresh = self.get(self.one, planted, "Baton-Session-Rotate: login", "Baton-Session-Set: user=victim").cookie()
        for baton in (self.one, self.two):
            answer = self.get(baton, planted)
            self.assertEqual((answer.get("X-State"), answer.get("X-Data")), ("none", ""))
            self.assertEqual(attributes_of(self.get(baton, fresh)), {"user": "victim"})

    def test_S17_S18_S20_changes_at_both(self):
        base = [("X-Reply", "Baton-Session-Base: 1")]

        def change(baton, session, number, fields):
            answers.append(self.get(baton, session, f"Baton-Session-Set: x={number}", f"Baton-Session-Set: y{number}=1",
                                    method="POST", fields=fields))

        for fields in (base, []):
            for _ in range(20):
                answers = []
                session = self.start(self.one, "Baton-Session-Set: x=0")
                threads = [threading.Thread(target=change, args=((self.one, self.two)[n % 2], session, n, list(fields)))
                           for n in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(10)
                data = attributes_of(self.get(self.one, session))
                if fields:
                    self.assertEqual(sorted(answer.status for answer in answers), [200, 409, 409, 409])
                    self.assertEqual(data, {"x": data["x"], f"y{data['x']}": "1"})
                else:
                    self.assertEqual([answer.status for answer in answers], [200] * 4)
                    self.assertEqual(set(data), {"x", "y0", "y1", "y2", "y3"})
                for answer in answers:
                    self.assertEqual(answer.all("Set-Cookie"), [])


class AccessTest(NodeTest):
    """Passwords and users."""

    def test_password_file_that_others_may_read(self):
        for mode in (0o644, 0o604, 0o666):
            path = self.password_file(self.node.password, mode)
            toml = config(["127.0.0.1:1"], session={"store": "redis"},
                          redis={"address": self.node.address, "password_file": path})
            status, _, err = run_baton("-t", "-c", self.file("baton.toml", toml))
            self.assertEqual((status, "redis.password_file" in err), (2, True), f"{mode:o} {err}")
            self.assertNotIn(self.node.password, err)

    def test_password_from_the_environment(self):
        with mock.patch.dict(os.environ, {"THE_PASSWORD_OF_REDIS": self.node.password}):
            baton = self.store_baton(self.pages(), self.node, redis={"password_env": "THE_PASSWORD_OF_REDIS"})
        self.start(baton)

    def user(self, line):
        self.node.ask("ACL", "SETUSER", "baton", "reset", *line.split(), ">of-baton")

    def as_user(self, **keys):
        redis = {"username": "baton", "password_file": self.password_file("of-baton"), **keys.pop("redis", {})}
        return self.store_baton(self.pages(), self.node, redis=redis,
                                session={"renew_after": "1s", "idle": "60s", "on_unavailable": "serve",
                                         "failover_wait": "10ms"}, **keys)

    def everything(self, baton):
        """Uses all that baton asks for of a store. What did not work."""
        wrong = []

        def want(what, found):
            if not found:
                wrong.append(what)

        session = self.get(baton, None, "Baton-Session-Set: a=1&b=2").cookie()
        want("create", session)
        if session:
            want("load", self.get(baton, session).get("X-State") == "live")
            key = self.key_of(session)
            self.node.ask("PEXPIRE", key, 20_000)
            self.get(baton, session)
            end = time.monotonic() + 1
            while self.node.ask("PTTL", key) <= 20_000 and time.monotonic() < end:
                time.sleep(0.01)
            want("touch", self.node.ask("PTTL", key) > 20_000)
            want("commit", self.get(baton, session, "Baton-Session-Set: a=2", "Baton-Session-Unset: b",
                                    "Baton-Session-Incr: n=1", "Baton-Session-Idle: 300").status == 200)
            want("rotate", session := self.get(baton, session, "Baton-Session-Rotate: login").cookie())
        if session:
            self.node.ask("HINCRBY", self.key_of(session), "_r", -2000)
            want("renew", fresh := self.get(baton, session).cookie())
            want("kill", self.get(baton, fresh or session, "Baton-Session-Destroy: 1").cookie() == "")
        return wrong

    def test_the_least_that_a_user_needs(self):
        self.user(ACL)
        self.node.ask("ACL", "LOG", "RESET")
        baton = self.as_user()
        self.assertEqual(self.everything(baton), [])
        refused = {entry[entry.index(b"object") + 1].decode() for entry in self.node.ask("ACL", "LOG")}
        self.assertEqual(refused, set(ACL_BETTER.replace("+", "").split()))
        self.assertEqual(self.store(baton)["state"], "ready")
        baton.stop()
        self.user(f"{ACL} {ACL_BETTER}")
        self.node.ask("ACL", "LOG", "RESET")
        baton = self.as_user()
        self.assertEqual(self.everything(baton), [])
        eventually(lambda: self.commands("dbsize") > 1, "what is asked each second")
        self.assertEqual(self.node.ask("ACL", "LOG"), [])

    def test_less_than_the_least_is_too_little(self):
        for word in ACL.split():
            if not word.startswith("+"):
                continue
            with self.subTest(without=word):
                self.user(" ".join(one for one in ACL.split() if one != word))
                baton = self.as_user(ready=False)
                if word in ("+info", "+role", "+time", "+script|load"):
                    baton.wait_event("NOPERM")
                    self.assertEqual(self.store(baton)["state"], "down")
                else:
                    self.wait_store(baton, lambda store: store["state"] == "ready")
                    wrong = self.everything(baton)
                    self.assertNotEqual(wrong, [])
                baton.stop()

    def test_keys_of_others_are_out_of_reach(self):
        self.user(ACL)
        with self.node.client(user="baton", password="of-baton") as client:
            for words in (("HGETALL", "other:x"), ("KEYS", "*"), ("FLUSHALL",), ("CONFIG", "GET", "*"),
                          ("SUBSCRIBE", "x"), ("GET", "baton:s:x"), ("SCRIPT", "FLUSH"), ("DEBUG", "SLEEP", "1")):
                with self.assertRaises(RedisError) as refused:
                    client.command(*words)
                self.assertEqual(refused.exception.code, "NOPERM", words)

    def test_a_right_that_is_taken_away_while_it_runs(self):
        self.user(ACL)
        baton = self.as_user()
        session = self.get(baton, None, "Baton-Session-Create: 1").cookie()
        self.node.ask("ACL", "SETUSER", "baton", "-hgetall")
        for _ in range(3):
            self.assertEqual(self.state_of(baton, session), "unavailable")
        self.node.ask("ACL", "SETUSER", "baton", "+hgetall")
        eventually(lambda: self.state_of(baton, session) == "live", "the session")


class CommandsTest(NodeTest):
    """How many commands a request costs."""

    def counts(self):
        return {name: self.commands(name) for name in ("hgetall", "pttl", "evalsha", "script|load", "eval")}

    def after(self, before):
        return {name: count - before[name] for name, count in self.counts().items() if count != before[name]}

    def test_S56_a_request_costs_two_commands_at_most(self):
        baton = self.store_baton(self.pages(), self.node)
        session = self.start(baton)
        client = self.client(baton)
        for replies, expected in (([], {"hgetall": 1, "pttl": 1}),
                                  (["Baton-Session-Set: a=1"], {"hgetall": 1, "pttl": 1, "evalsha": 1}),
                                  (["Baton-Session-Set: a=1&b=2", "Baton-Session-Incr: n=1", "Baton-Session-Unset: a2"],
                                   {"hgetall": 1, "pttl": 1, "evalsha": 1}),
                                  (["X-Other: 1"], {"hgetall": 1, "pttl": 1})):
            before = self.counts()
            for _ in range(20):
                client.ask(fields=shown(session) + [("X-Reply", line) for line in replies])
            self.assertEqual(self.after(before), {name: 20 * count for name, count in expected.items()}, replies)
        before = self.counts()
        client.ask()
        self.assertEqual(self.after(before), {})
        client.ask(fields=[("X-Reply", "Baton-Session-Create: 1")])
        self.assertEqual(self.after(before), {"evalsha": 1})

    def test_all_commands_of_one_turn_leave_in_one_write(self):
        relay = Relay(self.node)
        self.addCleanup(relay.stop)
        baton = self.store_baton(self.pages(), relay)
        session = self.start(baton)
        clients = [self.client(baton) for _ in range(40)]
        for client in clients:
            client.ask()
        best = None
        for _ in range(5):  # a heartbeat may come between
            before, hgetall = segments(relay), self.commands("hgetall")
            baton.signal(signal.SIGSTOP)  # all of them come while it stands
            for client in clients:
                client.request(fields=shown(session))
            baton.signal(signal.SIGCONT)
            for client in clients:
                self.assertEqual(client.answer().get("X-State"), "live")
            took = segments(relay) - before
            self.assertEqual(self.commands("hgetall") - hgetall, len(clients))
            best = took if best is None else min(best, took)
        print(f"    {2 * len(clients)} commands in {best} pieces", flush=True)
        self.assertEqual(best, 1)


if __name__ == "__main__":
    unittest.main()
