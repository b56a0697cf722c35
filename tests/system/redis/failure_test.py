"""What clients and servers see while Redis fails, answers nonsense, or is late: one real server, or a scripted one
before it that breaks its answers.

A name's S<number> is the scenario that it proves. Of all of them holds: whatever the store says or does not say, an
answer never clears, changes or sets the cookie of a session that there is.
"""

import random
import re
import threading
import time
import unittest

import scripted
from cluster import Node, need_redis, until
from api import APP_HOSTS
from harness import eventually
from peers import Client
from resp import array, bulk, error, integer, simple
from scripted import Held, ScriptedPeer
from store import Relay, StoreTest, attributes_of, page, shown

GUARD = 10  # seconds for what takes less than one
INVENTED = "0123456789ABCDEF0123456789ABCDEF"
POLICIES = ("serve", "reject", "wait-serve", "wait-reject")


def setUpModule():
    need_redis()


class NodeTest(StoreTest):
    """One server for the tests of a class, empty before each."""

    @classmethod
    def setUpClass(cls):
        cls.node = Node()
        cls.addClassCleanup(cls.node.close)

    def setUp(self):
        self.node.ask("FLUSHALL")
        self.node.ask("CONFIG", "RESETSTAT")

    def relay(self, table=None, **keys):
        relay = Relay(self.node, table, **keys)
        relay.password = None
        self.addCleanup(relay.stop)
        return relay

    def metrics(self, baton):
        return self.admin(baton, "/metrics").body.decode()

    def commands(self, name):
        stats = self.node.info("commandstats").get(f"cmdstat_{name}", "calls=0,")
        return int(re.match(r"calls=(\d+)", stats)[1])

    def policy_baton(self, where, *, wait="300ms", session=None, ready=True, **keys):
        """A baton with a route for each policy: /serve, /reject and so on."""
        routes = [{"upstream": "app", "hosts": APP_HOSTS, "path": f"/{policy}", "on_unavailable": policy}
                  for policy in POLICIES]
        routes += [{"upstream": "app", "hosts": APP_HOSTS}, {"upstream": "other", "hosts": ["other.example"]}]
        return self.store_baton([self.app(page)], where, routes=routes,
                                session={"failover_wait": wait, **(session or {})}, ready=ready, **keys)

    def sessions(self):
        """Without the key that baton writes for a moment to see whether Redis takes writes again."""
        return [key for key in self.node.ask("KEYS", "*") if b":s:probe-" not in key]

    def assert_untouched(self, answer):
        self.assertEqual(answer.all("Set-Cookie"), [])

    def assert_refused(self, answer):
        self.assertEqual((answer.status, answer.get("Retry-After")), (503, "1"))
        self.assert_untouched(answer)

    def judge(self, seen, sessions, statuses=(200,), states=("live",)):
        for one in seen:
            self.assertIsNone(one.fault, one)
            self.assertEqual(one.cookies, [], one)
            self.assertIn(one.status, statuses, one)
            if one.status != 200:
                continue
            self.assertIn(one.state, states, one)
            if one.state == "live":
                self.assertEqual(one.data.get("own"), sessions[one.session], one)


class LossTest(NodeTest):
    """Connections that end, and answers that are lost with them."""

    def killing(self, every):
        """Ends all connections of baton's again and again."""
        over = threading.Event()

        def kill():
            with self.node.client() as client:
                while not over.wait(every):
                    client.command("CLIENT", "KILL", "TYPE", "normal")

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()

        def end():
            over.set()
            thread.join(GUARD)

        self.addCleanup(end)
        return end

    def test_S48_no_data_of_another_session(self):
        baton = self.store_baton(self.pages(2), self.node, top={"workers": 2})
        sessions = {self.start(baton, f"Baton-Session-Set: own={number}"): str(number) for number in range(300)}
        end = self.killing(0.1)
        visitors = self.visitors([baton], sessions, rate=500, threads=32)
        visitors.wait(lambda one: one.asked > visitors.seen[0].asked + 5, "5 s of visits")
        end()
        visitors.wait_more(50)
        self.judge(visitors.end(), sessions)
        losses = self.store(baton)["losses"]
        retries = self.store(baton)["counters"]["retries"]
        print(f"    {len(visitors.seen)} answers, {losses} losses, {retries} questions asked again", flush=True)
        self.assertGreater(losses, 5)
        for session, own in sessions.items():
            data = attributes_of(self.get(baton, session))
            self.assertEqual(data, {"own": own, **({"n": str(n)} if (n := visitors.written(session)) else {})})

    def test_S48_counters_are_exact(self):
        baton = self.store_baton(self.pages(2), self.node, top={"workers": 2})
        sessions = [self.start(baton) for _ in range(8)]
        end = self.killing(0.02)
        count = 150

        def clicks(session):
            client = self.client(baton)
            for _ in range(count):
                answer = client.ask(fields=shown(session) + [("X-Reply", "Baton-Session-Incr: hits=1")])
                if (answer.status, answer.all("Set-Cookie")) != (200, []):
                    faults.append(answer.head)

        faults = []
        threads = [threading.Thread(target=clicks, args=(session,)) for session in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        end()
        self.assertEqual(faults, [])
        for session in sessions:
            self.assertEqual(attributes_of(self.get(baton, session)), {"hits": str(count)})

    def test_a_change_whose_answer_was_lost_is_made_once(self):
        relay = self.relay()
        baton = self.store_baton(self.pages(), relay)

        def lose(args, connection):
            """Carried out, and never said so: once."""
            del relay.table["EVALSHA"]
            relay.real([b"EVALSHA", *args], connection)
            connection.close()

        relay.table["EVALSHA"] = lose
        session = self.start(baton, "Baton-Session-Set: a=1")
        self.assertEqual(len(self.sessions()), 1)
        relay.table["EVALSHA"] = lose
        answer = self.get(baton, session, "Baton-Session-Incr: hits=1")
        self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
        self.assertEqual(attributes_of(self.get(baton, session)), {"a": "1", "hits": "1"})
        relay.table["EVALSHA"] = lose
        answer = self.get(baton, session, "Baton-Session-Rotate: login", "Baton-Session-Incr: hits=1")
        fresh = answer.cookie()
        self.assertEqual(answer.status, 200)
        answer = self.get(baton, fresh)
        self.assertEqual((answer.get("X-State"), attributes_of(answer)), ("live", {"a": "1", "hits": "2"}))
        self.assertEqual(self.state_of(baton, session), "none")
        relay.table["EVALSHA"] = lose
        answer = self.get(baton, fresh, "Baton-Session-Destroy: 1")
        self.assertEqual((answer.status, answer.cookie()), (200, ""))
        self.assertEqual(self.state_of(baton, fresh), "none")
        self.assertEqual(self.store(baton)["counters"]["retries"], 4)
        # And the API's.
        api = self.api(baton)
        relay.table["EVALSHA"] = lose
        session = api.create({"attrs": {"b": "2"}}).json["id"]
        relay.table["EVALSHA"] = lose
        self.assertEqual(api.patch(session, {"attrs": {"b": "3"}}, version=1).json, {"version": 2})

    def test_S49_late_answers_and_clients_that_go(self):
        dice = random.Random(49)
        relay = self.relay()
        late = [0]

        def tardy(name):
            def before():
                if dice.random() < 0.03:
                    late[0] += 1
                    time.sleep(dice.choice((0.02, 0.09, 0.1, 0.11, 0.2)))

            return relay.passing(name, before)

        baton = self.store_baton(self.pages(2), relay, redis={"command_timeout": "100ms"}, top={"workers": 2})
        sessions = {self.start(baton, f"Baton-Session-Set: own={number}"): str(number) for number in range(300)}
        for name in ("HGETALL", "PTTL", "EVALSHA"):
            relay.table[name] = tardy(name)
        over = threading.Event()
        left = [0]

        def leave(seed):
            own = random.Random(seed)
            ids = list(sessions)
            while not over.is_set():
                client = Client(baton.port)
                fields = shown(own.choice(ids))
                if own.random() < 0.3:
                    fields.append(("X-Reply", "Baton-Session-Set: gone=1"))
                client.request(fields=fields)
                over.wait(own.choice((0, 0.001, 0.01, 0.1)))
                if own.random() < 0.5:
                    client.reset()
                else:
                    client.close()
                left[0] += 1

        leavers = [threading.Thread(target=leave, args=(number,), daemon=True) for number in range(4)]
        visitors = self.visitors([baton], sessions, rate=400, threads=32)
        for thread in leavers:
            thread.start()
        visitors.wait(lambda one: one.asked > visitors.seen[0].asked + 8, "8 s of visits")
        over.set()
        for thread in leavers:
            thread.join(GUARD)
        relay.table.clear()
        seen = visitors.end()
        # Who waited for 6 s was told so.
        self.judge(seen, sessions, statuses=(200, 503), states=("live", "unavailable"))
        retries = self.store(baton)["counters"]["retries"]
        live = sum(one.state == "live" for one in seen)
        print(f"    {len(seen)} answers, {live} live, {left[0]} clients left, {late[0]} late answers, "
              f"{retries} questions asked again", flush=True)
        self.assertGreater(live, len(seen) // 2)
        self.assertGreater(retries, 0)
        self.wait_store(baton, lambda store: store["state"] == "ready")
        for session, own in sessions.items():
            eventually(lambda: self.get(baton, session).get("X-State") == "live", "the session")  # noqa: B023
            self.assertEqual(attributes_of(self.get(baton, session))["own"], own)

    def test_S37_reset_and_refused(self):
        relay = self.relay()
        baton = self.store_baton(self.pages(), relay)
        session = self.start(baton, "Baton-Session-Set: a=1")
        for way in ("reset", "closed", "refused"):
            for _ in range(3):
                if way == "refused":
                    relay.die()
                else:
                    relay.drop(reset=way == "reset")
                broken = time.monotonic()
                waiting = self.client(baton)
                waiting.request(fields=shown(session))
                if way == "refused":
                    self.wait_store(baton, lambda store: store["state"] == "failover")
                    relay.listen()
                    broken = time.monotonic()
                answer = waiting.answer()
                took = time.monotonic() - broken
                self.assertEqual((answer.status, answer.get("X-State"), answer.all("Set-Cookie")), (200, "live", []))
                print(f"    {way}: served {took * 1000:.0f} ms after it", flush=True)
                self.assertLess(took, GUARD)

    def test_S47_a_server_that_ends_idle_connections(self):
        self.node.ask("CONFIG", "SET", "timeout", 1)
        self.addCleanup(self.node.ask, "CONFIG", "SET", "timeout", 0)
        baton = self.store_baton(self.pages(), self.node)
        session = self.start(baton)
        began = time.monotonic()
        eventually(lambda: time.monotonic() - began > 2.5, "2.5 s of silence")
        self.assertEqual(self.state_of(baton, session), "live")
        self.assertEqual(self.get(baton, session, "Baton-Session-Set: a=1").status, 200)

    def test_a_server_that_stops_for_a_moment_and_for_longer(self):
        baton = self.store_baton(self.pages(), self.node)
        session = self.start(baton)
        self.addCleanup(self.node.resume)
        for pause in (0.2, 1.2):
            self.node.suspend()
            client = self.client(baton)
            client.request(fields=shown(session) + [("X-Reply", "Baton-Session-Incr: hits=1")])
            time.sleep(pause)
            self.node.resume()
            answer = client.answer()
            self.assertEqual((answer.status, answer.get("X-State"), answer.all("Set-Cookie")), (200, "live", []))
        self.assertEqual(attributes_of(self.get(baton, session)), {"hits": "2"})

    def test_S44_script_flush_under_load(self):
        baton = self.store_baton(self.pages(2), self.node, top={"workers": 2})
        sessions = {self.start(baton, f"Baton-Session-Set: own={number}"): str(number) for number in range(100)}
        visitors = self.visitors([baton], sessions, rate=400, threads=16, writes=2)
        for _ in range(60):
            self.node.ask("SCRIPT", "FLUSH", "SYNC")
            visitors.wait_more(10)
        seen = visitors.end()
        self.judge(seen, sessions)
        self.assertGreater(self.commands("script|load"), 12)
        for session in sessions:
            self.assertEqual(int(attributes_of(self.get(baton, session)).get("n", 0)), visitors.written(session))
        self.node.ask("SCRIPT", "FLUSH", "SYNC")
        self.assertEqual(self.get(baton, next(iter(sessions)), "Baton-Session-Destroy: 1").cookie(), "")
        self.node.ask("SCRIPT", "FLUSH", "SYNC")
        self.start(baton)
        self.assertEqual(self.store(baton)["losses"], 0)

    def test_S50_flushall(self):
        baton = self.store_baton(self.pages(), self.node)
        sessions = [self.start(baton) for _ in range(150)]
        eventually(lambda: self.commands("dbsize") >= 1 and self.node.ask("DBSIZE") == 150, "150 keys")
        seen = self.commands("dbsize")
        eventually(lambda: self.commands("dbsize") > seen, "another look at them")  # once a second
        self.node.ask("FLUSHALL")
        for session in sessions[:20]:
            self.assertEqual(self.state_of(baton, session), "none")
        fresh = self.get(baton, sessions[0], "Baton-Session-Create: 1")
        self.assertEqual(fresh.status, 200)
        self.assertNotIn(fresh.cookie(), [None, "", *sessions])
        self.wait_store(baton, lambda store: store["data_losses"] == 1)
        line = baton.wait_event("most keys are gone")
        self.assertIn("level=error", line)
        self.assertEqual(self.metric(baton, "baton_store_data_losses_total"), 1)
        self.assertEqual(self.store(baton)["state"], "ready")


class WritesTest(NodeTest):
    """A server that reads and does not write."""

    def tearDown(self):
        self.node.ask("CONFIG", "SET", "min-replicas-to-write", 0, "maxmemory", 0)

    def assert_read_only(self, baton, session):
        for policy in POLICIES:
            path = f"/{policy}"
            self.assertEqual(self.state_of(baton, session, target=path), "live")
            for line in ("Baton-Session-Set: a=2", "Baton-Session-Rotate: login", "Baton-Session-Destroy: 1",
                         "Baton-Session-Incr: n=1"):
                self.assert_refused(self.get(baton, session, line, target=path))
            self.assert_refused(self.get(baton, None, "Baton-Session-Create: 1", target=path))
            self.assert_refused(self.get(baton, INVENTED, "Baton-Session-Create: 1", target=path))
            # What asks for nothing is no matter.
            self.assertEqual(self.state_of(baton, session, target=path), "live")
            self.assertEqual(self.get(baton, None, target=path).get("X-State"), "none")
        self.assertEqual(attributes_of(self.get(baton, session)), {"a": "1"})
        self.assertEqual(self.store(baton)["state"], "readonly")
        self.assertEqual(self.store(baton)["degraded"], ["writes are refused"])
        self.assertEqual(self.admin(baton, "/readyz").status, 200)
        self.assertIn('baton_store_state{state="readonly"} 1', self.metrics(baton))
        api = self.api(baton)
        self.assertEqual(api.read(session).status, 200)
        for answer in (api.create({}), api.patch(session, {"attrs": {"a": "2"}}), api.rotate(session),
                       api.kill(session)):
            self.assertEqual((answer.status, answer.get("Retry-After")), (503, "1"))

    def test_S45_too_few_replicas(self):
        baton = self.policy_baton(self.node)
        always = self.policy_baton(self.node, session={"create": "always"})
        session = self.start(baton, "Baton-Session-Set: a=1")
        self.node.ask("CONFIG", "SET", "min-replicas-to-write", 3)
        self.assert_read_only(baton, session)
        for policy in POLICIES:
            answer = self.get(always, target=f"/{policy}")
            if "reject" in policy:
                self.assert_refused(answer)
            else:
                self.assertEqual((answer.status, answer.get("X-State")), (200, "unavailable"))
                self.assert_untouched(answer)
            self.assertEqual(self.state_of(always, session, target=f"/{policy}"), "live")
        self.node.ask("CONFIG", "SET", "min-replicas-to-write", 0)
        began = time.monotonic()
        self.start(baton)
        print(f"    a session {time.monotonic() - began:.3f} s after it", flush=True)
        self.assertEqual(self.get(baton, session, "Baton-Session-Set: a=2").status, 200)
        self.assertIsNotNone(self.get(always).cookie())
        self.wait_store(baton, lambda store: (store["state"], store["degraded"]) == ("ready", []))

    def test_S45_a_new_master_is_waited_for(self):
        # Its replicas are about to come back: writes wait for them.
        self.node.ask("CONFIG", "SET", "min-replicas-to-write", 1)
        baton = self.policy_baton(self.node, wait="6s")
        waiting = [self.client(baton) for _ in range(5)]
        for client in waiting:
            client.request(target="/wait-reject", fields=[("X-Reply", "Baton-Session-Create: 1")])
        eventually(lambda: self.store(baton)["counters"]["refused_writes"] > 10, "several tries")
        self.assert_refused(self.get(baton, None, "Baton-Session-Create: 1", target="/serve"))
        self.node.ask("CONFIG", "SET", "min-replicas-to-write", 0)
        self.assertEqual(len({client.answer().cookie() for client in waiting} - {None}), 5)
        self.wait_store(baton, lambda store: store["state"] == "ready")

    def test_a_full_memory(self):
        baton = self.policy_baton(self.node)
        session = self.start(baton, "Baton-Session-Set: a=1")
        self.node.ask("CONFIG", "SET", "maxmemory", 1)
        self.assertEqual(self.state_of(baton, session), "live")
        self.assert_refused(self.get(baton, session, "Baton-Session-Set: a=2"))
        self.assert_refused(self.get(baton, None, "Baton-Session-Create: 1"))
        self.wait_store(baton, lambda store: store["state"] == "readonly")
        self.node.ask("CONFIG", "SET", "maxmemory", 0)
        self.start(baton)
        self.wait_store(baton, lambda store: store["state"] == "ready")

    def test_touches_that_are_refused_harm_nobody(self):
        baton = self.store_baton(self.pages(), self.node, session={"idle": "60s"})
        session = self.start(baton)
        [key] = self.node.ask("KEYS", "*")
        self.node.ask("PEXPIRE", key, 30_000)
        self.node.ask("CONFIG", "SET", "min-replicas-to-write", 3)
        for _ in range(20):
            self.assertEqual(self.state_of(baton, session), "live")
        self.assertLessEqual(self.node.ask("PTTL", key), 30_000)
        self.assertLess(self.commands("evalsha"), 5)  # it rests after the first
        self.node.ask("CONFIG", "SET", "min-replicas-to-write", 0)

        def moved():
            self.assertEqual(self.state_of(baton, session), "live")
            return self.node.ask("PTTL", key) > 60_000

        eventually(moved, "a touch")


class PolicyTest(NodeTest):
    """What each policy makes of a store that cannot be asked."""

    def assert_away(self, baton, session, *, waited=0.0):
        for policy in POLICIES:
            began = time.monotonic()
            answer = self.get(baton, session, target=f"/{policy}")
            took = time.monotonic() - began
            self.assert_untouched(answer)
            if "reject" in policy:
                self.assert_refused(answer)
            else:
                self.assertEqual((answer.status, answer.get("X-State"), answer.get("X-Id"), answer.get("X-Data")),
                                 (200, "unavailable", "", ""))
            if "wait" in policy:
                self.assertGreaterEqual(took, waited * 0.95)
            # Without a session nothing has to be asked.
            answer = self.get(baton, target=f"/{policy}")
            self.assertEqual((answer.status, answer.get("X-State"), answer.all("Set-Cookie")), (200, "none", []))
            self.assert_refused(self.get(baton, None, "Baton-Session-Create: 1", target=f"/{policy}"))

    def test_each_policy_while_the_store_is_away(self):
        relay = self.relay()
        baton = self.policy_baton(relay)
        session = self.start(baton, "Baton-Session-Set: a=1")
        self.assertEqual(self.admin(baton, "/readyz").status, 200)
        self.assertIn('baton_store_state{state="ready"} 1', self.metrics(baton))
        relay.die()
        self.wait_store(baton, lambda store: store["state"] == "failover")
        self.assert_away(baton, session, waited=0.3)
        self.assertIn('baton_store_state{state="failover"} 1', self.metrics(baton))
        self.assertIn("no connection", self.store(baton)["trouble"])
        self.assertEqual(self.admin(baton, "/readyz").status, 503)  # there are routes that would refuse
        self.assertEqual(self.admin(baton, "/healthz").status, 200)
        self.assertEqual(self.api(baton).read(session).status, 503)
        relay.listen()
        self.wait_store(baton, lambda store: store["state"] == "ready")
        eventually(lambda: self.get(baton, session).get("X-State") == "live", "the session")
        self.assertEqual(self.admin(baton, "/readyz").status, 200)
        for policy in POLICIES:
            answer = self.get(baton, session, target=f"/{policy}")
            self.assertEqual((answer.get("X-State"), attributes_of(answer)), ("live", {"a": "1"}))
        line = baton.wait_access(1, lambda one: one["status"] == 503)[0]
        self.assertEqual(line["fault"], "store_unavailable")

    def test_readiness_where_no_route_refuses(self):
        relay = self.relay(listening=False)
        baton = self.store_baton([self.app(page)], relay, session={"on_unavailable": "serve"}, ready=False)
        answer = self.admin(baton, "/readyz")
        self.assertEqual((answer.status, b"store down" in answer.body), (503, True))  # nothing is known yet
        self.assertEqual(self.store(baton)["state"], "down")
        self.assertIn('baton_store_state{state="down"} 1', self.metrics(baton))
        relay.listen()
        self.wait_store(baton, lambda store: store["state"] == "ready")
        self.assertEqual(self.admin(baton, "/readyz").status, 200)
        relay.die()
        self.wait_store(baton, lambda store: store["state"] == "failover")
        self.assertEqual(self.admin(baton, "/readyz").status, 200)

    def test_changes_that_a_server_asks_for_all_the_same(self):
        for strict in (False, True):
            relay = self.relay()
            baton = self.policy_baton(relay, session={"strict_writes": strict})
            session = self.start(baton, "Baton-Session-Set: a=1")
            relay.die()
            self.wait_store(baton, lambda store: store["state"] == "failover")
            lines = ("Baton-Session-Set: a=2", "Baton-Session-Destroy: 1", "Baton-Session-Rotate: login",
                     "Baton-Session-Create: 1", "Baton-Session-Incr: n=1")
            for line in lines:
                answer = self.get(baton, session, line, target="/serve")
                self.assert_untouched(answer)
                if strict:
                    self.assert_refused(answer)
                else:
                    self.assertEqual((answer.status, answer.get("X-State")), (200, "unavailable"))
            self.assertEqual(self.metric(baton, "baton_session_changes_dropped_total"), 0 if strict else len(lines))
            relay.listen()
            eventually(lambda: self.get(baton, session).get("X-State") == "live", "the session")  # noqa: B023
            self.assertEqual(attributes_of(self.get(baton, session)), {"a": "1"})

    def test_create_always_while_the_store_is_away(self):
        relay = self.relay()
        baton = self.policy_baton(relay, session={"create": "always"})
        relay.die()
        self.wait_store(baton, lambda store: store["state"] == "failover")
        for cookie in (None, INVENTED):
            for policy in POLICIES:
                answer = self.get(baton, cookie, target=f"/{policy}")
                self.assert_untouched(answer)
                self.assertEqual(answer.status, 503 if "reject" in policy else 200)

    def test_the_queue_is_full(self):
        relay = self.relay()
        baton = self.policy_baton(relay, wait="9s", session={"wait_queue_max": 2})
        session = self.start(baton)
        relay.die()
        self.wait_store(baton, lambda store: store["state"] == "failover")
        waiting = [self.client(baton) for _ in range(2)]
        for client in waiting:
            client.request(target="/wait-reject", fields=shown(session))
        eventually(lambda: self.store(baton)["counters"]["waiting"] == 2, "two that wait")
        self.assertEqual(self.metric(baton, "baton_store_waiting"), 2)
        began = time.monotonic()
        self.assert_refused(self.get(baton, session, target="/wait-reject"))
        self.assertEqual(self.get(baton, session, target="/wait-serve").get("X-State"), "unavailable")
        self.assertLess(time.monotonic() - began, 9)
        waiting.pop(0).reset()  # its place is free
        eventually(lambda: self.store(baton)["counters"]["waiting"] == 1, "one that waits")
        waiting.append(self.client(baton))
        waiting[-1].request(target="/wait-reject", fields=shown(session))
        eventually(lambda: self.store(baton)["counters"]["waiting"] == 2, "two that wait")
        relay.listen()
        for client in waiting:
            answer = client.answer()
            self.assertEqual((answer.status, answer.get("X-State")), (200, "live"))
        self.assertEqual(self.store(baton)["counters"]["waiting"], 0)

    def test_bodies_are_not_read_while_a_request_waits(self):
        relay = self.relay()
        baton = self.policy_baton(relay, wait="9s")
        session = self.start(baton)
        relay.die()
        self.wait_store(baton, lambda store: store["state"] == "failover")
        client = self.client(baton)
        body = b"x" * 100_000
        client.request("POST", "/wait-reject", fields=shown(session), body=body)
        eventually(lambda: self.store(baton)["counters"]["waiting"] == 1, "one that waits")
        relay.listen()
        answer = client.answer("POST")
        self.assertEqual((answer.status, answer.get("X-State")), (200, "live"))


def odd(*replies):
    """Faults of the reading commands: what is in place of the answer to HGETALL."""
    return [(f"nonsense {number}", reply) for number, reply in enumerate(replies)]


# Answers to the reading command that say nothing of the session. All are as if there were no store.
READ_FAULTS = [
    ("LOADING", error("LOADING Redis is loading the dataset in memory")),
    ("BUSY", error("BUSY Redis is busy running a script.")),
    ("MASTERDOWN", error("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")),
    ("READONLY", error("READONLY You can't read against a read only replica.")),
    ("NOPERM", error("NOPERM this user has no permissions to run the 'hgetall' command")),
    ("NOAUTH", error("NOAUTH Authentication required.")),
    ("ERR", error("ERR unknown command 'hgetall'")),
    ("OOM", error("OOM command not allowed when used memory > 'maxmemory'.")),
    ("MISCONF", error("MISCONF Errors writing to the AOF file")),
    ("closed", scripted.close),
    ("reset", scripted.reset),
    ("cut", scripted.cut(array("_v", "1", "_i", "60000"), 12)),
    ("silence", scripted.never),
    *odd(b"garbage\r\n", b"$-5\r\n", b"*1000000000\r\n", b"*-7\r\n", b"$99999999999\r\n", b"*1\r\n" * 1000,
         b"$3\r\nabcde\r\n", b":12x\r\n", b"+OK\r\n", b"$2\r\nno\r\n", b":1\r\n", b"\x00" * 100,
         b"+" + b"x" * 1_000_000, array("_v", "1", "_i"), array("_v", "1", "_i", "60000", "a:x", "no version"),
         array("_to", "not an id"), array(array("_v", "1")), b"*-1\r\n"),
]

WRITE_FAULTS = [fault for fault in READ_FAULTS if not fault[0].startswith("nonsense")] + [
    ("NOREPLICAS", error("NOREPLICAS Not enough good replicas to write.")),
    ("script error", error("ERR Error running script: @user_script:1: nil")),
    ("old script error", error("ERR Error running script: -READONLY You can't write against a read only replica.")),
    ("never known", error("NOSCRIPT No matching script. Please use EVAL.")),
    *odd(integer(7), simple("OK"), array(), array("OK"), array("WHAT", 1), array(1, 2), b"garbage\r\n", b"*-1\r\n",
         array("MOVED", "no id"), bulk("OK")),
]


class FaultsTest(NodeTest):
    """The store answers, but what?"""

    def setUp(self):
        super().setUp()
        self.peer = self.relay()
        self.baton_ = self.policy_baton(self.peer, wait="100ms", redis={"command_timeout": "200ms"})
        self.session = self.start(self.baton_, "Baton-Session-Set: a=1")

    def until_live(self, name):
        def live():
            answer = self.get(self.baton_, self.session, target="/wait-serve")
            self.assert_untouched(answer)
            return answer.get("X-State") == "live" and attributes_of(answer) == {"a": "1"}

        eventually(live, f"the session after {name}")

    def ready(self, name):
        """A fault that is a reason to leave is followed by a rest, of 5 s at most."""
        until(lambda: self.store(self.baton_)["state"] in ("ready", "readonly"), f"the store after {name}")
        self.until_live(name)

    def test_reads(self):
        for name, fault in READ_FAULTS:
            with self.subTest(fault=name):
                self.ready(name)
                self.peer.table["HGETALL"] = fault
                for policy in POLICIES[:2] if name.startswith("nonsense") else POLICIES:
                    for replies in ([], ["Baton-Session-Set: a=2"], ["Baton-Session-Destroy: 1"]):
                        answer = self.get(self.baton_, self.session, *replies, target=f"/{policy}")
                        self.assert_untouched(answer)
                        if "reject" in policy:
                            self.assert_refused(answer)
                        else:
                            self.assertEqual((answer.status, answer.get("X-State")), (200, "unavailable"))
                del self.peer.table["HGETALL"]
                self.until_live(name)
        self.assertEqual(len(self.sessions()), 1)

    def test_writes(self):
        for name, fault in WRITE_FAULTS:
            with self.subTest(fault=name):
                self.ready(name)
                self.peer.table["EVALSHA"] = fault
                for policy in POLICIES:
                    for line in ("Baton-Session-Set: a=2", "Baton-Session-Destroy: 1", "Baton-Session-Rotate: login",
                                 "Baton-Session-Destroy: 1\r\nX-Reply: Baton-Session-Create: 1"):
                        answer = self.get(self.baton_, self.session, line, target=f"/{policy}")
                        self.assert_untouched(answer)
                        # The link may be down, too: then the server was told, or not asked.
                        if answer.get("X-State") == "unavailable":
                            self.assertIn("serve", policy)
                        else:
                            self.assert_refused(answer)
                    answer = self.get(self.baton_, None, "Baton-Session-Create: 1", target=f"/{policy}")
                    self.assert_refused(answer)
                del self.peer.table["EVALSHA"]
                self.until_live(name)
        self.assertEqual(len(self.sessions()), 1)

    def test_a_master_that_steps_down_is_left_and_the_write_repeated(self):
        for name, fault in (("READONLY", error("READONLY You can't write against a read only replica.")),
                            ("LOADING", error("LOADING Redis is loading")), ("closed", scripted.close),
                            ("old", error("ERR Error running script: -READONLY You can't write"))):
            baton = self.policy_baton(self.peer, wait="6s")
            before = self.peer.connections
            self.peer.table["EVALSHA"] = scripted.in_turn(fault, self.peer.passing("EVALSHA"))
            answer = self.get(baton, self.session, f"Baton-Session-Set: a={name}", target="/wait-reject")
            self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
            self.assertGreater(self.peer.connections, before)
            self.assertEqual(attributes_of(self.get(baton, self.session)), {"a": name})
            del self.peer.table["EVALSHA"]

    def test_a_master_that_says_it_is_none_any_more(self):
        self.peer.table["ROLE"] = array("slave", "127.0.0.1", 1, "connected", 0)
        # It is asked every second, and its connections stay open.
        self.wait_store(self.baton_, lambda store: store["state"] == "failover")
        eventually(lambda: self.get(self.baton_, self.session, target="/serve").get("X-State") == "unavailable",
                   "the worker's notice")
        before = len(self.peer.got("HGETALL"))
        for policy in POLICIES:
            self.assert_untouched(self.get(self.baton_, self.session, target=f"/{policy}"))
        self.assertEqual(len(self.peer.got("HGETALL")), before)
        self.assertIn("not a master", self.store(self.baton_)["trouble"])
        del self.peer.table["ROLE"]
        self.ready("ROLE")

    def test_slow_bytes(self):
        baton = self.store_baton(self.pages(), self.peer)
        self.peer.table["HGETALL"] = scripted.slowly(self.peer.passing("HGETALL"), 0.0005)
        self.peer.table["EVALSHA"] = scripted.slowly(self.peer.passing("EVALSHA"), 0.0005)
        for number in range(5):
            answer = self.get(baton, self.session, f"Baton-Session-Set: a={number}")
            self.assertEqual((answer.status, answer.get("X-State")), (200, "live"))
        self.assertEqual(attributes_of(self.get(baton, self.session)), {"a": "4"})
        self.assertEqual(self.store(baton)["losses"], 0)

    def test_answers_that_nobody_asked_for(self):
        for extra in (bulk("extra"), array("_v", "9"), b"+OK\r\n"):
            self.ready("extra")
            losses = self.store(self.baton_)["losses"]
            self.peer.send(extra)
            self.wait_store(self.baton_, lambda store: store["losses"] > losses)  # noqa: B023
            self.until_live("an answer nobody asked for")

    def test_hangs_are_left_after_the_command_timeout(self):
        baton = self.policy_baton(self.peer, wait="6s", redis={"command_timeout": "200ms"})
        self.assertEqual(self.state_of(baton, self.session), "live")
        held = Held(self.peer.passing("HGETALL"))
        self.peer.table["HGETALL"] = held
        client = self.client(baton)
        client.request(target="/wait-serve", fields=shown(self.session))
        held.waiting.wait(GUARD)
        self.peer.table["HGETALL"] = self.peer.passing("HGETALL")
        answer = client.answer()
        self.assertEqual((answer.status, answer.get("X-State")), (200, "live"))  # by another connection
        held.release()

    def test_wrong_type_is_no_session(self):
        self.peer.table["HGETALL"] = error("WRONGTYPE Operation against a key holding the wrong kind of value")
        self.assertEqual(self.state_of(self.baton_, self.session), "none")
        self.assertEqual(self.metric(self.baton_, "baton_store_foreign_total"), 1)
        del self.peer.table["HGETALL"]
        self.until_live("WRONGTYPE")


class GreetingTest(NodeTest):
    """Servers that are not what they should be."""

    def peer_of(self, table, **keys):
        peer = ScriptedPeer(table, **keys)
        self.addCleanup(peer.stop)
        return peer

    def test_S58_a_server_that_is_too_old(self):
        for version in ("2.8.24", "6.2.14"):
            with self.subTest(version=version):
                info = bulk(f"# Server\r\nredis_version:{version}\r\nrole:master\r\n")
                peer = self.peer_of({"INFO": info, "TIME": array("1", "2")})
                baton = self.policy_baton(peer, ready=False)
                line = baton.wait_event("redis 7.0 or newer is required")
                self.assertIn(version, line)
                self.assertIn("level=error", line)
                self.assertEqual(self.store(baton)["state"], "down")
                self.assertIn(version, self.store(baton)["trouble"])
                self.assertEqual(self.admin(baton, "/readyz").status, 503)
                self.assertEqual(self.get(baton, INVENTED, target="/serve").get("X-State"), "unavailable")
                self.assertEqual(peer.got("HGETALL"), [])

    def test_servers_that_must_not_be_used(self):
        for name, table, keys, text in (
                ("replica", {}, {"role": "slave", "master": ("127.0.0.1", 1)}, "not a master"),
                ("sentinel", {}, {"role": "sentinel"}, "not a master"),
                ("loading", {"INFO": error("LOADING Redis is loading")}, {}, "LOADING"),
                ("password", {}, {"password": "secret"}, "NOAUTH"),
                ("no scripts", {"SCRIPT LOAD": error("NOPERM no permissions to run 'script|load'")}, {}, "NOPERM"),
                ("no answer", {"INFO": scripted.never}, {}, "no answer in time"),
                ("garbage", {"INFO": b"HTTP/1.1 400 Bad Request\r\n\r\n"}, {}, "bad reply"),
                ("no clock", {"TIME": array("x", "y")}, {}, "bad reply"),
                ("end", {"INFO": scripted.close}, {}, "connection lost")):
            with self.subTest(name=name):
                peer = self.peer_of({"TIME": array("1", "2"), **table}, **keys)
                baton = self.policy_baton(peer, ready=False, redis={"command_timeout": "200ms", "password_file": None})
                baton.wait_event(text)
                self.assertNotIn(self.store(baton)["state"], ("ready", "readonly"))
                answer = self.get(baton, INVENTED, target="/serve")
                self.assertEqual((answer.status, answer.get("X-State"), answer.all("Set-Cookie")),
                                 (200, "unavailable", []))
                self.assertEqual(peer.got("HGETALL"), [])

    def test_each_reason_is_told_once_a_minute(self):
        peer = self.peer_of({}, listening=False)
        baton = self.policy_baton(peer, ready=False)
        baton.wait_event('reason="no connection"')
        peer.table["INFO"] = error("NOPERM this user has no permissions to run the 'info' command")
        peer.listen()
        self.assertIn("level=error", baton.wait_event("NOPERM"))
        peer.table["INFO"] = error("LOADING Redis is loading the dataset in memory")
        self.assertIn("level=warn", baton.wait_event("LOADING"))
        lines = [event for event in baton.events() if event["event"] == "session store not ready"]
        self.assertEqual([line["reason"] for line in lines], ["no connection", "refused", "busy"])

    def test_attempts_are_not_many(self):
        peer = self.peer_of({"INFO": scripted.close})
        self.policy_baton(peer, ready=False)
        peer.wait_connections(5)
        began, before = time.monotonic(), peer.connections
        time.sleep(2)
        made, took = peer.connections - before, time.monotonic() - began
        self.assertLess(made, took * 30)


if __name__ == "__main__":
    unittest.main()
