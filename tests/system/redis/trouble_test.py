"""Sessions while Redis stands still, is full, loses answers, or holds what nobody can read: what was refused does not
happen later, what happened is known, and nobody else waits."""

import threading
import time
import unittest

import scripted
from cluster import need_redis
from failure_test import INVENTED, NodeTest
from harness import eventually
from store import attributes_of, page, shown


def setUpModule():
    need_redis()


class TroubleTest(NodeTest):
    def keys_hold(self):
        """All of Redis but times: what a change would have changed."""
        held = {}
        for key in self.node.ask("KEYS", "*"):
            fields = self.node.ask("HGETALL", key)
            pairs = dict(zip(fields[::2], fields[1::2], strict=True))
            held[key] = {name: value for name, value in pairs.items() if name not in (b"_c", b"_r", b"_x")}
        return held

    def patient_baton(self, where, **keys):
        return self.store_baton(self.pages(), where, session={"failover_wait": "0s", **keys.pop("session", {})},
                                redis={"command_timeout": "200ms", **keys.pop("redis", {})}, **keys)

    def test_F_late_write_what_was_answered_503_is_not_done_when_redis_goes_on(self):
        baton = self.patient_baton(self.node)
        replies = ["Baton-Session-Set: a=2", "Baton-Session-Incr: n=1", "Baton-Session-Unset: a",
                   "Baton-Session-Rotate: login", "Baton-Session-Destroy: 1"]
        sessions = [self.start(baton, "Baton-Session-Set: a=1") for _ in replies]
        held = threading.Event()
        server = self.app(lambda request: (held.wait(20), page(request))[1])
        slow = self.store_baton([server], self.node, session={"failover_wait": "0s"},
                                redis={"command_timeout": "200ms"})
        before = self.keys_hold()
        clients = [self.client(slow) for _ in [*replies, None]]
        for client, session, line in zip(clients, [*sessions, None], [*replies, "Baton-Session-Create: 1"],
                                         strict=True):
            client.request(fields=[("X-Reply", line)] + (shown(session) if session else []))
        eventually(lambda: len(server.requests) == len(clients), "all at the server")
        self.node.suspend()
        try:
            held.set()
            answers = [client.answer() for client in clients]
        finally:
            self.node.resume()
        for answer in answers:
            self.assert_refused(answer)
        # Every connection that Redis was sent something on is read to its end by then.
        self.wait_store(slow, lambda store: store["state"] == "ready")
        eventually(lambda: self.state_of(slow, sessions[0]) == "live", "the worker's connection")
        self.assertEqual(self.keys_hold(), before)
        self.assertEqual([self.state_of(baton, session) for session in sessions], ["live"] * len(sessions))

    def test_F_late_write_a_login_that_nobody_could_tell_of_is_settled_by_the_next_request(self):
        for lines in (["Baton-Session-Rotate: login", "Baton-Session-Set: user=bob"],
                      ["Baton-Session-Destroy: 1", "Baton-Session-Set: user=bob"]):
            relay = self.relay()
            baton = self.patient_baton(relay, top={"workers": 2})
            session = self.start(baton, "Baton-Session-Set: a=1")

            def lose(args, connection, relay=relay):
                relay.real([b"EVALSHA", *args], connection)
                connection.close()

            relay.table["EVALSHA"] = lose
            self.assert_refused(self.get(baton, session, *lines))
            del relay.table["EVALSHA"]
            self.wait_store(baton, lambda store: store["state"] == "ready")
            eventually(lambda b=baton: self.get(b, INVENTED).get("X-State") == "none", "the worker's connection")
            fresh = set()
            for _ in range(4):  # as a page's requests do, at any worker
                answer = self.get(baton, session)
                self.assertEqual((answer.status, answer.get("X-State")), (200, "live"))
                self.assertEqual(attributes_of(answer)["user"], "bob")
                fresh.add(answer.cookie())
            self.assertEqual(len(fresh), 1)
            self.assertNotIn(session, fresh)
            answer = self.get(baton, fresh.pop())
            self.assertEqual((answer.get("X-State"), answer.all("Set-Cookie")), ("live", []))

    def test_F_lost_answer_a_change_is_known_although_another_one_came_between(self):
        for method, fields in (("POST", ["Baton-Session-Set: cart=01", "Baton-Session-Base: 1"]),
                               ("GET", ["Baton-Session-Set: cart=01", "Baton-Session-Base: 1"]),
                               ("POST", ["Baton-Session-Incr: hits=1"]),
                               ("GET", ["Baton-Session-Set: cart=01", "Baton-Session-Incr: hits=1"])):
            with self.subTest(method=method, fields=fields):
                relay = self.relay()
                held = threading.Event()
                server = self.app(lambda request, held=held: (held.wait(20), page(request))[1])
                baton = self.store_baton([server], relay, redis={"command_timeout": "5s"})
                held.set()
                session = self.start(baton, "Baton-Session-Create: 1")
                held.clear()
                before = len(server.requests)
                others = ["Baton-Session-Incr: others=1"] * 5
                clients = [self.client(baton) for _ in [None, *others]]
                for client, lines in zip(clients, [fields, *([one] for one in others)], strict=True):
                    client.request(method, fields=[("X-Reply", line) for line in lines] + shown(session))
                eventually(lambda s=server, n=before + len(clients): len(s.requests) == n, "all at the server")
                lost = []

                def lose(args, connection, relay=relay, lost=lost):
                    """All of them are carried out, and then the connection breaks."""
                    relay.real([b"EVALSHA", *args], connection)
                    lost.append(args)
                    if len(lost) == 6:
                        del relay.table["EVALSHA"]
                        connection.close()

                relay.table["EVALSHA"] = lose
                held.set()
                answers = [client.answer(method) for client in clients]
                self.assertEqual([answer.status for answer in answers], [200] * 6)
                self.assertEqual(len(lost), 6)
                self.assertEqual(len(server.requests), before + 6)  # none was replayed
                wanted = {"others": "5"}
                for line in fields[:-1] if "Base" in fields[-1] else fields:
                    name, value = line.split(": ")[1].split("=")
                    wanted[name] = value
                self.assertEqual(attributes_of(self.get(baton, session)), wanted)

    def test_F_full_the_state_is_steady_and_a_session_that_is_replaced_lives_on(self):
        baton = self.policy_baton(self.node)
        session = self.start(baton, "Baton-Session-Set: a=1")
        others = [self.start(baton) for _ in range(6)]
        self.node.ask("CONFIG", "SET", "maxmemory", 1)
        self.assert_refused(self.get(baton, session, "Baton-Session-Destroy: 1", "Baton-Session-Set: b=2"))
        self.wait_store(baton, lambda store: store["state"] == "readonly")
        # What takes no memory goes on, and says nothing of the rest.
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            if others:
                self.assertEqual(self.get(baton, others.pop(), "Baton-Session-Destroy: 1").status, 200)
            answer = self.get(baton, session)
            self.assertEqual((answer.get("X-State"), attributes_of(answer)), ("live", {"a": "1"}))
            self.assertEqual(self.store(baton)["state"], "readonly")
        # Nobody writes, and it is ready again all the same.
        self.node.ask("CONFIG", "SET", "maxmemory", 0)
        self.wait_store(baton, lambda store: store["state"] == "ready", patience=5)
        for key in self.node.ask("KEYS", "*"):
            self.assertGreater(self.node.ask("PTTL", key), 0)
        answer = self.get(baton, session, "Baton-Session-Destroy: 1", "Baton-Session-Set: b=2")
        self.assertEqual(answer.status, 200)
        self.assertEqual(attributes_of(self.get(baton, answer.cookie())), {"b": "2"})
        self.assertEqual(self.state_of(baton, session), "none")

    def test_F_poison_one_session_that_cannot_be_read_harms_no_other(self):
        baton = self.policy_baton(self.node, wait="6s", redis={"command_timeout": "10s"})
        session = self.start(baton, "Baton-Session-Set: a=1")
        [own] = self.node.ask("KEYS", "*")
        poisoned = self.start(baton, "Baton-Session-Create: 1")
        [key] = set(self.node.ask("KEYS", "*")) - {own}
        self.node.ask("EVAL", "for i=1,100000 do redis.call('HSET',KEYS[1],'a:n'..i,'1:x') end", 1, key)
        connections = self.metric(baton, "baton_store_connections_total")
        began = time.monotonic()
        for _ in range(20):
            answer = self.get(baton, poisoned, target="/wait-reject")
            self.assertEqual((answer.status, answer.get("X-State"), answer.all("Set-Cookie")), (200, "none", []))
            self.assertEqual(self.state_of(baton, session, target="/wait-reject"), "live")
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(self.metric(baton, "baton_store_connections_total"), connections)
        self.assertEqual(self.metric(baton, "baton_store_too_large_total"), 1)
        self.assertEqual(self.store(baton)["losses"], 0)

    def test_F_poison_thousands_of_names_are_refused_at_once(self):
        baton = self.policy_baton(self.node, wait="6s")
        session = self.start(baton, "Baton-Session-Set: a=1")
        self.assertEqual(self.get(baton, session, "Baton-Session-Unset: a").status, 200)
        names = [f"n{number}" for number in range(6000)]
        began = time.monotonic()
        lines = ["Baton-Session-Unset: " + "&".join(names[at:at + 500]) for at in range(0, 3000, 500)]
        self.assertEqual(self.get(baton, session, *lines).status, 502)
        api = self.api(baton)
        answer = api.patch(session, {"attrs": dict.fromkeys(names)}, version=1)
        self.assertEqual(answer.status, 413)
        self.assertEqual(api.patch(session, {"attrs": dict.fromkeys(names[:64])}, version=1).status, 412)
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(self.state_of(baton, session), "live")

    def test_F_no_abort_fields_that_are_none_of_ours_harm_nobody(self):
        baton = self.policy_baton(self.node)
        session = self.start(baton, "Baton-Session-Set: a=1")
        [key] = self.node.ask("KEYS", "*")
        self.node.ask("HSET", key, b"a:\xff\xfe\x00", "1:x", "a:with blank", "1:y", "other", "z")
        answer = self.get(baton, session)
        self.assertEqual((answer.get("X-State"), attributes_of(answer)), ("live", {"a": "1"}))
        self.assertEqual(self.api(baton).read(session).json["attrs"], {"a": "1"})
        self.assertEqual(self.metric(baton, "baton_store_foreign_total"), 6)
        self.assertEqual(self.get(baton, session, "Baton-Session-Set: a=2").status, 200)

    def test_F_queue_fair_no_more_wait_than_may_and_users_first(self):
        baton = self.policy_baton(self.node, wait="20s", session={"wait_queue_max": 5},
                                  redis={"command_timeout": "300ms"})
        sessions = [self.start(baton) for _ in range(5)]
        for session in sessions:
            self.assertEqual(self.state_of(baton, session, target="/wait-serve"), "live")
        self.node.suspend()
        try:
            # Sent before anybody knows, and while it is known.
            invented = [self.client(baton) for _ in range(20)]
            for number, client in enumerate(invented):
                client.request(target="/wait-serve", fields=shown(f"{number:032X}"))
            self.wait_store(baton, lambda store: store["state"] == "failover")
            self.assertEqual(self.store(baton)["counters"]["waiting"], 5)
            users = [self.client(baton) for _ in sessions]
            for client, session in zip(users, sessions, strict=True):
                client.request(target="/wait-serve", fields=shown(session))
            for client in invented:
                self.assertEqual(client.answer().get("X-State"), "unavailable")
            self.assertEqual(self.store(baton)["counters"]["waiting"], 5)
        finally:
            self.node.resume()
        for client in users:
            self.assertEqual(client.answer().get("X-State"), "live")

    def test_F_alarm_sessions_that_expire_together_are_no_loss(self):
        baton = self.store_baton(self.pages(), self.node,
                                 session={"idle": "1s", "idle_min": "1s", "create": "always"})
        for _ in range(150):
            self.get(baton)
        eventually(lambda: self.node.ask("DBSIZE") >= 100, "the sessions")
        # It has been seen by then.
        seen = self.commands("dbsize")
        eventually(lambda: self.commands("dbsize") > seen, "a look at them")
        eventually(lambda: self.node.ask("DBSIZE") == 0, "their end")
        seen = self.commands("dbsize")
        eventually(lambda: self.commands("dbsize") > seen + 1, "a look at nothing")
        self.assertEqual(self.store(baton)["data_losses"], 0)


if __name__ == "__main__":
    unittest.main()
