"""Sessions while a real master goes away: killed, stopped, replaced by hand, and come back.

A name's S<number> is the scenario that it proves. Times are printed; they are asserted only as hang guards.
"""

import threading
import time
import unittest

from cluster import Cluster, need_redis
from harness import eventually
from resp import RedisError
from store import StoreTest, attributes_of, page

GUARD = 10  # seconds for what takes less than one
RATE = 500
# The first second after the promotion of a new master belongs to no promise: replication is asynchronous.
SETTLED = 1.0


def setUpModule():
    need_redis()


class Switches(threading.Thread):
    """When the Sentinels said `+switch-master`: the first of them counts."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.at = None
        self._listeners = [sentinel.client() for sentinel in cluster.sentinels if sentinel.answers()]
        for listener in self._listeners:
            listener.subscribe("+switch-master")
        self.start()

    def run(self):
        while self.at is None:
            for listener in self._listeners:
                try:
                    listener.message(timeout=0.005)
                except TimeoutError:
                    continue
                except OSError:
                    return
                self.at = time.monotonic()

    def close(self):
        for listener in self._listeners:
            listener.close()
        self.join(GUARD)


class ClusterTest(StoreTest):
    """One cluster for the tests of a class, healed before each."""

    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(sentinel_password="of-sentinels", **cls.settings)
        cls.addClassCleanup(cls.cluster.close)

    def setUp(self):
        self.cluster.heal()
        self.old = self.cluster.master()

    def tell(self, text):
        print(f"    {self._testMethodName}: {text}", flush=True)

    def switches(self):
        switches = Switches(self.cluster)
        self.addCleanup(switches.close)
        return switches

    def sessions(self, baton, count=128):
        """Sessions that know who they are, on all replicas."""
        sessions = {self.start(baton, f"Baton-Session-Set: own={number}"): str(number) for number in range(count)}
        self.assertEqual(self.cluster.master().ask("WAIT", 2, 10_000), 2)
        return sessions

    def judge(self, seen, sessions):
        """What holds at every moment: no cookie is touched, no answer is an error but that of the policy, and no data
        are another session's."""
        counts = {"live": 0, "unavailable": 0, "503": 0}
        for one in seen:
            self.assertIsNone(one.fault, one)
            self.assertEqual(one.cookies, [], one)
            if one.status == 503:
                self.assertEqual(one.retry_after, "1", one)
                counts["503"] += 1
                continue
            self.assertEqual(one.status, 200, one)
            self.assertIn(one.state, ("live", "unavailable"), one)
            counts[one.state] += 1
            if one.state == "live":
                self.assertEqual(one.data.get("own"), sessions[one.session], one)
        return counts

    def judge_kept(self, visitors, baton, sessions, broken, switched):
        """What was acknowledged a second before the break, or after the switch, is there."""
        for session, own in sessions.items():
            answer = self.get(baton, session)
            self.assertEqual((answer.status, answer.get("X-State")), (200, "live"))
            data = attributes_of(answer)
            self.assertEqual(data["own"], own)
            last = max(visitors.written(session, until=broken - SETTLED), visitors.written(session, since=switched))
            self.assertGreaterEqual(int(data.get("n", 0)), last)


class FailoverTest(ClusterTest):
    def fail_over(self, break_it, **session):
        """Breaks the master under load; what was seen, and when."""
        session = {"create": "always", **session}
        baton = self.store_baton(self.pages(3), self.cluster, session=session, top={"workers": 2})
        sessions = self.sessions(baton)
        switches = self.switches()
        visitors = self.visitors([baton], sessions, rate=RATE, threads=64)
        # A second and more, of which nothing may be lost.
        visitors.wait(lambda one: one.asked > visitors.seen[0].asked + SETTLED + 0.5, "the load")
        broken = time.monotonic()
        break_it(self.old)
        new = self.cluster.wait_for_failover(self.old)
        eventually(lambda: switches.at, "+switch-master")
        back = visitors.wait(lambda one: one.came > broken + 0.5 and one.state == "live" and one.asked > switches.at,
                             "service")
        visitors.wait_more(RATE)
        self.wait_store(baton, lambda store: store["state"] == "ready" and store["master"] == new.address)
        # The questions that waited are answered before those that came behind the switch.
        first = min((one.came for one in visitors.seen if one.came > switches.at and one.state == "live"),
                    default=back.came)
        return baton, sessions, visitors, broken, switches.at, first, new

    def assert_failed_over(self, break_it, **session):
        baton, sessions, visitors, broken, switched, first, _ = self.fail_over(break_it, **session)
        seen = visitors.end()
        counts = self.judge(seen, sessions)
        longest = max(one.came - one.asked for one in seen)
        self.tell(f"{visitors.rate_until(broken):.0f} requests a second; the switch {switched - broken:.2f} s after "
                  f"the break, service {first - switched:.3f} s after it; the longest answer took {longest:.2f} s; "
                  f"{len(seen)} answers: {counts}")
        self.assertLess(first - switched, GUARD)
        self.judge_kept(visitors, baton, sessions, broken, switched)
        return baton, visitors, counts, broken, switched

    def test_S34_the_master_is_killed_under_load(self):
        baton, _, counts, _, _ = self.assert_failed_over(lambda node: node.kill())
        # Six seconds are enough for a failover that takes two: nobody was told that the store was away.
        self.assertEqual((counts["unavailable"], counts["503"]), (0, 0))
        self.assertEqual((self.store(baton)["failovers"], self.store(baton)["losses"]), (1, 1))

    def test_S34_the_master_stands_still_under_load(self):
        baton, _, counts, _, _ = self.assert_failed_over(lambda node: node.suspend())
        self.assertEqual((counts["unavailable"], counts["503"]), (0, 0))
        self.assertEqual(self.store(baton)["failovers"], 1)

    def test_S34_by_the_policy(self):
        for policy, wait in (("reject", "6s"), ("serve", "6s"), ("wait-reject", "200ms"), ("wait-serve", "200ms")):
            with self.subTest(policy=policy):
                self.setUp()
                _, visitors, counts, broken, switched = self.assert_failed_over(
                    lambda node: node.kill(), on_unavailable=policy, failover_wait=wait)
                self.assertEqual(counts["unavailable"] > 0, "serve" in policy)
                if "reject" in policy:
                    self.assertGreater(counts["503"], 0)
                # Only meanwhile.
                for one in visitors.seen:
                    if one.state == "unavailable" or one.status == 503:
                        self.assertGreater(one.came, broken)
                        self.assertLess(one.asked, switched + GUARD)

    def test_S36_the_master_stands_still_and_comes_back(self):
        baton, sessions, visitors, broken, switched, _, new = self.fail_over(lambda node: node.suspend())
        lost = baton.wait_event("session store not ready")
        self.assertIn("no answer in time", lost)
        self.old.resume()
        self.assertEqual(self.old.role(), "master")  # it still believes so
        before = time.monotonic()
        visitors.wait_more(RATE)
        self.cluster.wait_healed()
        visitors.wait_more(RATE // 2)
        counts = self.judge(visitors.end(), sessions)
        meanwhile = sum(one.came > before for one in visitors.seen)
        self.tell(f"{counts}; {meanwhile} answers from when two believed to be master")
        self.assertEqual((counts["unavailable"], counts["503"]), (0, 0))
        self.judge_kept(visitors, baton, sessions, broken, switched)
        self.assertEqual(self.store(baton)["master"], new.address)
        self.assertEqual(self.store(baton)["failovers"], 1)

    def test_S35_the_old_master_comes_back_as_a_false_one(self):
        baton, sessions, visitors, broken, switched, _, new = self.fail_over(lambda node: node.kill())
        self.old.restart_as_master()
        with self.old.client() as monitor:
            self.assertEqual(monitor.command("MONITOR"), "OK")
            self.assertEqual(self.old.role(), "master")
            stop = threading.Event()
            lines = []

            def watch():
                while not stop.is_set():
                    try:
                        lines.append(monitor.read(timeout=0.05))
                    except TimeoutError:
                        pass
                    except OSError:
                        return

            watcher = threading.Thread(target=watch, daemon=True)
            watcher.start()
            visitors.wait_more(RATE)
            self.cluster.wait_healed()
            visitors.wait_more(RATE // 2)
            stop.set()
            watcher.join(GUARD)
        self.assertEqual(self.old.role(), "slave")
        self.assertTrue(any('"ROLE"' in line or '"INFO"' in line or '"PING"' in line or '"ping"' in line
                            for line in map(str, lines)), "the monitor sees what Sentinels ask")
        for line in map(str, lines):
            for word in ("evalsha", "hgetall", "pttl", "setname", "script", "dbsize"):
                # What its master sends it as a replica stands without a client's address.
                if f'"{word}"' in line.lower() and "baton" in line.lower():
                    self.fail(line)
        stats = self.old.info("commandstats")
        for name in ("cmdstat_evalsha", "cmdstat_hgetall", "cmdstat_script|load", "cmdstat_client|setname|baton"):
            self.assertNotIn(name, stats)
        counts = self.judge(visitors.end(), sessions)
        self.judge_kept(visitors, baton, sessions, broken, switched)
        self.tell(f"{counts}; {len(lines)} commands at the old master, none of them baton's")
        with self.assertRaises(RedisError) as refused:
            self.old.ask("SET", "key", "value")
        self.assertEqual(refused.exception.code, "READONLY")
        self.assertEqual(self.store(baton)["master"], new.address)

    def test_S43_a_switch_by_hand_under_load(self):
        baton, sessions, visitors, broken, switched, first, new = self.fail_over(
            lambda node: self.cluster.failover())
        self.cluster.wait_healed()
        visitors.wait_more(RATE // 2)
        counts = self.judge(visitors.end(), sessions)
        self.tell(f"the switch {switched - broken:.2f} s after the command, service {first - switched:.3f} s after it; "
                  f"{counts}")
        self.assertEqual((counts["unavailable"], counts["503"]), (0, 0))
        self.judge_kept(visitors, baton, sessions, broken, switched)
        self.assertEqual(self.store(baton)["master"], new.address)

    def test_two_failovers_in_a_row(self):
        baton = self.store_baton(self.pages(), self.cluster)
        sessions = self.sessions(baton, 5)
        for count in (1, 2):
            old = self.cluster.master()
            old.kill()
            new = self.cluster.wait_for_failover(old)
            self.wait_store(baton, lambda store: store["state"] == "ready" and store["master"] == new.address)
            self.assertEqual(self.store(baton)["failovers"], count)
            for session, own in sessions.items():
                answer = self.get(baton, session)
                self.assertEqual((answer.get("X-State"), attributes_of(answer)), ("live", {"own": own}))
            self.cluster.heal()


class LogoutTest(ClusterTest):
    """A logout is for ever, though replication is asynchronous."""

    def lose_what_follows(self):
        """From now on nothing reaches the replicas, not even what their kernel would take for them."""
        for replica in self.cluster.replicas():
            replica.suspend()
        self.old.ask("CLIENT", "KILL", "TYPE", "replica")
        self.assertEqual(self.old.online(), set())

    def switch(self, *, break_it):
        break_it(self.old)
        for replica in self.cluster.nodes:
            if replica is not self.old:
                replica.resume()
        return self.cluster.wait_for_failover(self.old)

    def test_S46_a_logout_that_was_not_replicated(self):
        self.check(lambda node: node.kill())

    def test_S46_a_logout_at_a_master_that_then_stands_still(self):
        self.check(lambda node: node.suspend())

    def check(self, break_it):
        batons = [self.store_baton(self.pages(), self.cluster) for _ in range(2)]
        names = ("field", "api", "rotated", "api rotated", "kept")
        sessions = {name: self.start(batons[0], f"Baton-Session-Set: who={name.replace(' ', '-')}") for name in names}
        api = self.api(batons[0])
        self.assertEqual(self.old.ask("WAIT", 2, 10_000), 2)
        self.lose_what_follows()
        answer = self.get(batons[0], sessions["field"], "Baton-Session-Destroy: 1")
        self.assertEqual((answer.status, answer.cookie()), (200, ""))
        self.assertEqual(api.kill(sessions["api"]).status, 204)
        self.assertIsNotNone(self.get(batons[0], sessions["rotated"], "Baton-Session-Rotate: login").cookie())
        self.assertEqual(api.rotate(sessions["api rotated"]).status, 200)
        new = self.switch(break_it=break_it)
        # Straight from the replica: they were lost. By then baton has said it again, or is about to.
        for baton in batons:
            self.wait_store(baton, lambda store: store["state"] == "ready" and store["master"] == new.address)
        self.assertEqual(self.store(batons[0])["degraded"].count("logouts not yet repeated to this master"), 0)
        for name in names:
            for baton in batons:
                answer = self.get(baton, sessions[name])
                self.assertEqual((answer.status, answer.get("X-State"), answer.all("Set-Cookie")),
                                 (200, "live" if name == "kept" else "none", []), name)
        self.tell(f"{self.store(batons[0])['failovers']} failover, all {len(names) - 1} ids dead")

    def test_S46_without_the_repetition_the_session_would_be_back(self):
        """The proof that the scenario loses the logout: another baton, which was told of none."""
        one = self.store_baton(self.pages(), self.cluster)
        session = self.start(one)
        self.assertEqual(self.old.ask("WAIT", 2, 10_000), 2)
        self.lose_what_follows()
        self.assertEqual(self.get(one, session, "Baton-Session-Destroy: 1").status, 200)
        one.stop()
        self.switch(break_it=lambda node: node.kill())
        other = self.store_baton(self.pages(), self.cluster)
        self.assertEqual(self.state_of(other, session), "live")


class SentinelsTest(ClusterTest):
    def test_S38_all_sentinels_are_gone(self):
        baton = self.store_baton(self.pages(2), self.cluster, top={"workers": 2})
        sessions = self.sessions(baton, 20)
        self.assertEqual(self.store(baton)["degraded"], [])
        visitors = self.visitors([baton], sessions, rate=200)
        visitors.wait_more(50)
        for sentinel in self.cluster.sentinels:
            sentinel.kill()
        self.wait_store(baton, lambda store: "no sentinel answers" in store["degraded"])
        visitors.wait_more(200)
        self.assertEqual(self.store(baton)["state"], "ready")
        before = self.store(baton)["losses"]
        with self.old.client() as client:
            killed = client.command("CLIENT", "KILL", "TYPE", "normal")  # not this one
        self.assertGreaterEqual(killed, 3)
        self.wait_store(baton, lambda store: store["state"] == "ready" and store["losses"] == before + 1)
        visitors.wait_more(200)
        counts = self.judge(visitors.end(), sessions)
        self.assertEqual((counts["unavailable"], counts["503"]), (0, 0))
        self.assertEqual(self.admin(baton, "/readyz").status, 200)
        longest = max(one.came - one.asked for one in visitors.seen)
        self.tell(f"{counts}; the longest answer took {longest:.3f} s")

    def test_S38_one_sentinel_is_gone(self):
        baton = self.store_baton(self.pages(), self.cluster)
        self.cluster.sentinels[0].kill()
        self.wait_store(baton, lambda store: store["degraded"] == ["a sentinel does not answer"])
        self.old.kill()
        new = self.cluster.wait_for_failover(self.old)
        self.wait_store(baton, lambda store: store["master"] == new.address and store["state"] == "ready")

    def test_S38_last_known_turned_off(self):
        baton = self.store_baton(self.pages(), self.cluster, redis={"last_known": False},
                                 session={"on_unavailable": "serve"})
        session = self.start(baton)
        for sentinel in self.cluster.sentinels:
            sentinel.kill()
        self.wait_store(baton, lambda store: "no sentinel answers" in store["degraded"])
        self.assertEqual(self.state_of(baton, session), "live")  # what it has it keeps
        with self.old.client() as client:
            client.command("CLIENT", "KILL", "TYPE", "normal")
        self.wait_store(baton, lambda store: store["state"] == "failover")
        began = time.monotonic()
        while time.monotonic() < began + 2.5:  # it looks for the master every second
            self.assertNotEqual(self.store(baton)["state"], "ready")
            time.sleep(0.05)
        self.assertEqual(self.state_of(baton, session), "unavailable")
        self.cluster.heal()
        self.wait_store(baton, lambda store: store["state"] == "ready")
        eventually(lambda: self.state_of(baton, session) == "live", "the session")

    def test_S40_data_ports_in_the_list_of_sentinels(self):
        app = self.app(page)
        wrong = {"sentinels": [node.address for node in self.cluster.nodes], "master": self.cluster.name,
                 "sentinel_password_file": self.password_file(self.cluster.password)}
        baton = self.store_baton([app], self.cluster, redis=wrong, ready=False)
        line = baton.wait_event("26379")
        self.assertIn("level=error", line)
        self.assertRegex(line, "Redis|redis|data")
        self.tell(line.strip())
        self.assertEqual(self.admin(baton, "/readyz").status, 503)
        self.assertEqual(self.ask(baton, fields=[("X-Reply", "X-Any: 1")]).status, 200)

    def test_S40_one_data_port_among_sentinels(self):
        wrong = {"sentinels": [self.old.address, self.cluster.sentinels[0].address]}
        baton = self.store_baton(self.pages(), self.cluster, redis=wrong)
        self.start(baton)

    def test_S41_three_mistakes_three_lines(self):
        cluster = self.cluster
        for redis, text in (({"password_file": self.password_file("wrong")}, "WRONGPASS"),
                            ({"sentinel_password_file": self.password_file("wrong")}, "sentinel refuses the password"),
                            ({"master": "nobody"}, "no sentinel knows the master")):
            with self.subTest(text=text):
                baton = self.store_baton(self.pages(), cluster, redis=redis, ready=False)
                line = baton.wait_event(text)
                self.tell(line.strip())
                self.assertIn("level=error", line)
                self.assertNotIn("wrong ", line.replace("wrong password", ""))
                began = time.monotonic()
                # Five times as long as it waits at most between two attempts of any kind.
                eventually(lambda: time.monotonic() - began > 5, "5 s")
                self.assertEqual(baton.event_text().count(text), 1)
                self.assertEqual(self.admin(baton, "/readyz").status, 503)

    def test_S39_everything_is_started_after_baton(self):
        for process in self.cluster.processes():
            process.kill()
        self.addCleanup(self.cluster.heal)
        app = self.app(page)
        routes = [{"upstream": "app"}, {"upstream": "app", "path": "/static", "session": "off"}]
        baton = self.store_baton([app], self.cluster, ready=False, api=False, routes=routes,
                                 session={"on_unavailable": "serve"},
                                 upstreams=[{"name": "app", "servers": [{"address": app.address}]}])
        self.assertEqual(self.admin(baton, "/readyz").status, 503)
        self.assertEqual(self.ask(baton, target="/static/x").status, 200)
        self.assertEqual(self.get(baton).get("X-State"), "none")  # there is nothing to ask for
        self.assertEqual(self.get(baton, "0" * 32).get("X-State"), "unavailable")
        for node in self.cluster.nodes:
            node.start()
        for sentinel in self.cluster.sentinels:
            sentinel.start()
        appeared = time.monotonic()
        self.wait_store(baton, lambda store: store["state"] == "ready")
        self.tell(f"ready {time.monotonic() - appeared:.2f} s after the last of them was there")
        eventually(lambda: self.get(baton, None, "Baton-Session-Create: 1").cookie(), "a session")
        self.assertEqual(self.admin(baton, "/readyz").status, 200)


class SentinelUserTest(ClusterTest):
    """Baton's user at the Sentinels may not do everything."""

    ALLOWED = "+ping +auth +sentinel|get-master-addr-by-name"

    def test_S42_sentinels_that_refuse_subscriptions(self):
        for allowed, events in ((self.ALLOWED, False),
                                (self.ALLOWED + " +sentinel|master +sentinel|sentinels +subscribe", True)):
            with self.subTest(allowed=allowed):
                self.setUp()
                for sentinel in self.cluster.sentinels:
                    sentinel.ask("ACL", "SETUSER", "baton", "reset", "on", ">of-baton", "~*", "&*", "-@all",
                                 *allowed.split())
                redis = {"sentinel_username": "baton", "sentinel_password_file": self.password_file("of-baton")}
                baton = self.store_baton(self.pages(), self.cluster, redis=redis)
                sessions = self.sessions(baton, 10)
                switches = self.switches()
                visitors = self.visitors([baton], sessions, rate=100)
                visitors.wait_more(20)
                self.old.kill()
                new = self.cluster.wait_for_failover(self.old)
                known = time.monotonic()
                self.wait_store(baton, lambda store: store["state"] == "ready" and store["master"] == new.address)
                self.tell(f"{'with' if events else 'without'} events: {time.monotonic() - known:.2f} s after all "
                          f"Sentinels knew, {time.monotonic() - switches.at:.2f} s after the first")
                visitors.wait_more(50)
                self.judge(visitors.end(), sessions)
                self.assertLess(time.monotonic() - known, 2 * GUARD)


if __name__ == "__main__":
    unittest.main()
