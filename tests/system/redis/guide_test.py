"""How baton finds the master while Sentinels change it, disagree, or are wrong: real servers and Sentinels, and a
scripted Sentinel that lies."""

import collections
import socket
import threading
import time
import unittest

from cluster import Cluster, Node, need_redis
from harness import config, eventually, run_baton
from resp import array
from scripted import ScriptedPeer
from store import StoreTest, attributes_of

NOBODY = 9  # a port where nobody is
PAUSE = 3.0  # seconds within which service is back; the promise


def setUpModule():
    need_redis()


def state_of_master(port, epoch):
    """What a Sentinel says of it."""
    return array("name", "mymaster", "ip", "127.0.0.1", "port", str(port), "flags", "master", "config-epoch",
                 str(epoch), "num-slaves", "1", "num-other-sentinels", "3", "quorum", "2")


class GuideTest(StoreTest):
    """A cluster for each test: all of them leave it changed."""

    def cluster_of(self, **keys):
        cluster = Cluster(**keys)
        self.addCleanup(cluster.close)
        return cluster

    def liar(self, cluster):
        """One more Sentinel: it says the truth when it is asked."""
        port = cluster.master().port
        peer = ScriptedPeer({"SENTINEL MASTER": state_of_master(port, 0)}, role="sentinel", master=("127.0.0.1", port),
                            name=cluster.name)
        self.addCleanup(peer.stop)
        return peer

    def lines(self, baton):
        """How often each event was logged, Sentinels' words apart."""
        return collections.Counter((event["event"], event.get("word")) for event in baton.events())

    def point_to(self, cluster, node):
        """What operators do to name another master by hand."""
        for sentinel in cluster.sentinels:  # all before the first: they would tell each other of the old one
            sentinel.ask("SENTINEL", "REMOVE", cluster.name)
        node.ask("REPLICAOF", "NO", "ONE")
        for sentinel in cluster.sentinels:
            sentinel.ask("SENTINEL", "MONITOR", cluster.name, "127.0.0.1", node.port, 2)
            sentinel.ask("SENTINEL", "SET", cluster.name, "auth-pass", cluster.password)

    def judge(self, seen, sessions, longest):
        for one in seen:
            self.assertEqual((one.fault, one.status, one.state, one.cookies), (None, 200, "live", []), one)
            self.assertEqual(one.data.get("own"), sessions[one.session], one)
            self.assertLess(one.came - one.asked, longest, one)

    def sessions(self, baton, count):
        return {self.start(baton, f"Baton-Session-Set: own={number}"): str(number) for number in range(count)}


class LiarTest(GuideTest):
    def test_F_one_liar_false_messages(self):
        cluster = self.cluster_of(replicas=1)
        liar = self.liar(cluster)
        old = cluster.master()
        replica = cluster.replicas()[0]
        baton = self.store_baton(self.pages(2), cluster, top={"workers": 2},
                                 redis={"sentinels": [*cluster.sentinel_addresses, liar.address]})
        liar.wait_subscribed("+switch-master")
        sessions = self.sessions(baton, 20)
        visitors = self.visitors([baton], sessions, rate=200)
        visitors.wait_more(50)
        # A replica, nobody, and what is no address: once each, and then as fast as it can.
        for port in (replica.port, NOBODY, *[replica.port] * 50):
            liar.publish("+switch-master", f"{cluster.name} 127.0.0.1 {old.port} 127.0.0.1 {port}")
            liar.publish("+promoted-slave",
                         f"slave 127.0.0.1:{port} 127.0.0.1 {port} @ {cluster.name} 127.0.0.1 {old.port}")
        liar.publish("+switch-master", f"{cluster.name} 127.0.0.1 {old.port} nobody.invalid 1")
        visitors.wait_more(300)
        # And when it is asked, too: a newer master that is none.
        liar.master = ("127.0.0.1", replica.port)
        liar.table["SENTINEL MASTER"] = state_of_master(replica.port, 99)
        self.wait_store(baton, lambda store: any(str(replica.port) in one for one in store["degraded"]))
        liar.publish("+switch-master", f"{cluster.name} 127.0.0.1 {old.port} 127.0.0.1 {replica.port}")
        visitors.wait_more(300)
        # Changes wait for some seconds at most after a message of a promotion.
        self.judge(visitors.end(), sessions, longest=5)
        store = self.store(baton)
        self.assertEqual((store["state"], store["master"], store["losses"], store["failovers"]),
                         ("ready", old.address, 0, 0))
        for session in sessions:
            self.assertEqual(int(attributes_of(self.get(baton, session)).get("n", 0)), visitors.written(session))
        # A true failover is followed all the same.
        cluster.failover()
        self.wait_store(baton, lambda store: store["master"] == replica.address and store["state"] == "ready")


class PlannedTest(GuideTest):
    def test_F_planned_failover_loses_nothing(self):
        cluster = self.cluster_of(replicas=1)
        baton = self.store_baton(self.pages(3), cluster, top={"workers": 2})
        old = cluster.master()
        sessions = self.sessions(baton, 64)
        self.assertEqual(old.ask("WAIT", 1, 10_000), 1)
        visitors = self.visitors([baton], sessions, rate=400, threads=32, writes=1)
        visitors.wait_more(200)
        new = cluster.failover()
        self.wait_store(baton, lambda store: store["master"] == new.address and store["state"] == "ready")
        cluster.wait_healed()  # the old one is a replica again, and has lost what it alone had
        visitors.wait_more(200)
        self.judge(visitors.end(), sessions, longest=10)
        longest = max(one.came - one.asked for one in visitors.seen)
        writes = sum(one.wrote is not None for one in visitors.seen)
        # Each is visited by one thread: what was acknowledged is what its next request is told.
        last, lost = {}, []
        for one in visitors.seen:
            if int(one.data.get("n", 0)) < last.get(one.session, 0):
                lost.append(one)
            last[one.session] = one.wrote
        print(f"    {writes} changes, {len(lost)} lost; the longest answer took {longest:.2f} s",
              flush=True)
        self.assertEqual(lost, [])
        counts = self.lines(baton)
        self.assertEqual(counts["session store: new master", None], 1)
        self.assertEqual(self.store(baton)["failovers"], 1)
        many = {what: count for what, count in counts.items()
                if count > 1 and
                what[0] not in ("sentinel connected", "listening", "session store: risky setting")}
        self.assertEqual(many, {})


class AgreeTest(GuideTest):
    def test_F_sentinels_agree_on_another_master(self):
        cluster = self.cluster_of(replicas=1, down_after=3000)
        cluster.failover()
        cluster.wait_healed()
        old, new = cluster.master(), cluster.replicas()[0]
        # The fourth stands for one that was cut off: real ones would tell each other.
        other = self.liar(cluster)
        baton = self.store_baton(self.pages(), cluster,
                                 redis={"sentinels": [*cluster.sentinel_addresses, other.address]})
        self.assertEqual(self.store(baton)["epoch"], 1)
        session = self.start(baton, "Baton-Session-Set: a=1")
        self.assertEqual(old.ask("WAIT", 1, 10_000), 1)
        # One of them alone is shown, and not followed.
        other.master = ("127.0.0.1", new.port)
        other.table["SENTINEL MASTER"] = state_of_master(new.port, 0)
        self.wait_store(baton, lambda store: "a sentinel names another master" in store["degraded"])
        self.assertIn("level=warn", baton.wait_event("sentinels name another master"))
        self.assertEqual((self.store(baton)["state"], self.store(baton)["master"]), ("ready", old.address))
        begun = time.monotonic()
        self.point_to(cluster, new)
        store = self.wait_store(baton, lambda store: store["master"] == new.address and store["state"] == "ready")
        took = time.monotonic() - begun
        print(f"    followed after {took:.1f} s", flush=True)
        self.assertGreater(took, 9)
        self.assertLess(took, 10 + PAUSE)
        self.assertEqual(store["epoch"], 0)
        self.assertEqual(old.role(), "master")  # it still answers
        self.assertEqual(self.state_of(baton, session), "live")
        self.assertEqual(attributes_of(self.get(baton, session)), {"a": "1"})


class WayBackTest(GuideTest):
    ALL = ["on", ">of-baton", "~*", "&*", "+@all"]

    def test_F_way_back_from_a_new_master_that_does_not_know_us(self):
        cluster = self.cluster_of(replicas=1)
        old, other = cluster.master(), cluster.replicas()[0]
        old.ask("ACL", "SETUSER", "baton", *self.ALL)
        password = {"username": "baton", "password_file": self.password_file("of-baton")}
        baton = self.store_baton(self.pages(), cluster, redis=password)
        session = self.start(baton, "Baton-Session-Set: a=1")
        self.assertEqual(old.ask("WAIT", 1, 10_000), 1)
        cluster.failover()
        self.wait_store(baton, lambda store: "WRONGPASS" in (store["trouble"] or ""))
        cluster.wait_healed()
        # By hand, back to the one that knows us: its epoch begins at 0.
        self.point_to(cluster, old)
        other.ask("REPLICAOF", "127.0.0.1", old.port)
        self.assert_back(baton, old, "REMOVE and MONITOR")
        self.assertEqual(self.state_of(baton, session), "live")
        # The other way: the user is made where it was missing.
        cluster.wait_healed()
        cluster.failover()
        self.wait_store(baton, lambda store: "WRONGPASS" in (store["trouble"] or ""))
        other.ask("ACL", "SETUSER", "baton", *self.ALL)
        self.assert_back(baton, other, "the user")

    def assert_back(self, baton, master, cause):
        begun = time.monotonic()
        self.wait_store(baton, lambda store: (store["master"], store["state"]) == (master.address, "ready"))
        eventually(lambda: self.get(baton, None, "Baton-Session-Create: 1").status == 200, "a session")
        took = time.monotonic() - begun
        print(f"    back {took:.2f} s after {cause}", flush=True)
        self.assertLess(took, PAUSE)


class SaysTest(GuideTest):
    """What Redis says to a connection that it does not take."""

    def check(self, redis):
        text = config(["127.0.0.1:9"], session={"store": "redis"}, redis=redis)
        status, out, _ = run_baton("redis-check", "-c", self.file("baton.toml", text))
        self.assertEqual(status, 1, out)
        return out

    def test_F_redis_says_that_it_has_no_room(self):
        node = Node(settings={"maxclients": 4})
        self.addCleanup(node.close)
        held = [node.client() for _ in range(4)]
        baton = self.store_baton(self.pages(), node, ready=False)
        line = baton.wait_event("ERR max number of clients reached")
        self.assertIn("session store not ready", line)
        self.wait_store(baton, lambda store: store["trouble"] == "no connection: ERR max number of clients reached")
        self.assertIn("ERR max number of clients reached", self.check(self.redis_of(node)))
        for client in held:
            client.close()
        begun = time.monotonic()
        self.wait_store(baton, lambda store: store["state"] == "ready")
        self.assertLess(time.monotonic() - begun, PAUSE)
        self.assertNotIn("closed by the peer", baton.event_text())

    def test_F_redis_says_that_it_is_in_protected_mode(self):
        text = "DENIED Redis is running in protected mode because protected mode is enabled."
        for password in (None, "secret"):
            server = socket.create_server(("127.0.0.1", 0))
            self.addCleanup(server.close)
            threading.Thread(target=turn_away, args=(server, text), daemon=True).start()
            redis = {"address": f"127.0.0.1:{server.getsockname()[1]}"}
            if password:
                redis["password_file"] = self.password_file(password)
            baton = self.baton(upstreams=[{"name": "app", "servers": [{"address": self.pages()[0].address}]}],
                               redis=redis, session={"store": "redis"}, admin={"address": "127.0.0.1:0"})
            self.assertIn("level=error", baton.wait_event(text))
            self.wait_store(baton, lambda store: store["trouble"] == f"refused: {text}")
            self.assertIn(text, self.check(redis))
            self.assertNotIn("closed by the peer", baton.event_text())


def turn_away(server, text):
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        connection.sendall(f"-{text}\r\n".encode())
        connection.close()


if __name__ == "__main__":
    unittest.main()
