"""What an operator asks at night: `baton redis-check` and `baton session key`, also with mistakes made on purpose."""

import hashlib
import re
import socket
import subprocess
import unittest

from cluster import Cluster, Node, Sentinel, need_redis, until
from harness import BATON, PATIENCE, ROOT, config, run_baton
from resp import array, bulk
from scripted import ScriptedPeer
from store import StoreTest, attributes_of

GOOD = {"appendonly": "yes", "min-replicas-to-write": 1, "min-replicas-max-lag": 10}
ID = "0123456789ABCDEF0123456789ABCDEF"


def setUpModule():
    need_redis()


class CheckTest(StoreTest):
    def written(self, redis, *, session=None, **keys):
        """A configuration file whose sessions are there."""
        text = config(["127.0.0.1:9"], session={"store": "redis", **(session or {})}, redis=redis, **keys)
        return self.file("baton.toml", text)

    def check(self, redis, *arguments, **keys):
        """(exit status, lines) of a check. No password is in them."""
        status, out, err = run_baton("redis-check", "-c", self.written(redis, **keys), *arguments)
        self.assertEqual(err, "")
        for word in ("right-secret", "wrong-secret"):
            self.assertNotIn(word, out)
        lines = out.splitlines()
        found = sum(line.startswith("PROBLEM ") for line in lines)
        ends = {0: "ok", 1: "1 problem"}
        self.assertEqual((status, lines[-1]), (1 if found else 0, ends.get(found, f"{found} problems")), out)
        return status, lines

    def problems(self, redis, *arguments, **keys):
        return [line for line in self.check(redis, *arguments, **keys)[1] if line.startswith("PROBLEM ")]

    def warnings(self, redis, *arguments, **keys):
        return [line for line in self.check(redis, *arguments, **keys)[1] if line.startswith("WARNING ")]

    def node(self, **keys):
        node = Node(**keys)
        self.addCleanup(node.close)
        return node

    def sentinel(self, *words, **keys):
        sentinel = Sentinel(*words, **keys)
        self.addCleanup(sentinel.close)
        return sentinel


class ClusterTest(CheckTest):
    """With a cluster that is well, which each test leaves as it was."""

    @classmethod
    def setUpClass(cls):
        need_redis()
        cls.cluster = Cluster(settings=GOOD, password="right-secret", sentinel_password="right-secret-too")
        cls.addClassCleanup(cls.cluster.close)

    def redis(self, **keys):
        return self.redis_of(self.cluster, **keys)

    def test_all_is_well(self):
        status, lines = self.check(self.redis())
        master = self.cluster.master()
        self.assertEqual([line for line in lines if line.startswith(("PROBLEM", "WARNING"))], [])
        for sentinel in self.cluster.sentinels:
            self.assertIn(f"sentinel {sentinel.address}: answers, names master {master.address}, epoch 0, quorum 2, "
                          "other sentinels 2, replicas 2", lines)
        self.assertEqual(sum("OK 3 usable Sentinels" in line for line in lines), 3)
        self.assertEqual(sum(line.startswith(f"master {master.address}: role master, redis 7.") for line in lines), 1)
        for replica in self.cluster.replicas():
            self.assertEqual(sum(line.startswith(f"replica {replica.address}: of {master.address} "
                                                 "(master_host:master_port), link up, offset ")
                                 for line in lines), 1, lines)
        self.assertEqual(status, 0)

    def test_names_are_looked_up(self):
        named = [address.replace("127.0.0.1", "localhost") for address in self.cluster.sentinel_addresses]
        self.assertEqual(self.check(self.redis(sentinels=named))[0], 0)

    def test_failover_wait_that_is_too_short(self):
        warned = self.warnings(self.redis(), session={"failover_wait": "3s"})
        self.assertEqual(warned, ['WARNING failover_wait = "3s" is shorter than a failover, about 3500ms: set it to '
                                  "that, or down-after-milliseconds to less"])
        for keys in ({"session": {"failover_wait": "3500ms"}},
                     {"session": {"failover_wait": "3s", "on_unavailable": "serve"}},
                     {"session": {"failover_wait": "3s"}, "route": {"on_unavailable": "reject"}}):
            with self.subTest(keys=keys):
                self.assertEqual(self.warnings(self.redis(), **keys), [])

    def test_data_ports_given_as_sentinels(self):
        ports = [node.address for node in self.cluster.nodes]
        expected = [f"PROBLEM sentinel {address}: a Redis data node and no Sentinel; Sentinels usually listen on 26379"
                    for address in ports]
        status, lines = self.check(self.redis(sentinels=ports))
        self.assertEqual([line for line in lines if line.startswith("PROBLEM")],
                         [*expected, "PROBLEM no Sentinel knows where the master is"])
        # They are looked at all the same.
        self.assertEqual(sum(line.startswith(f"server {ports[0]}: role master") for line in lines), 1)
        self.assertEqual(status, 1)
        # Also where they do not let us in.
        redis = self.redis(sentinels=ports, password_file=self.password_file("wrong-secret"))
        del redis["sentinel_password_file"]
        self.assertEqual([line for line in self.problems(redis) if line.startswith("PROBLEM sentinel")], expected)
        # One of them among Sentinels.
        mixed = self.problems(self.redis(sentinels=[*self.cluster.sentinel_addresses[:2], ports[1]]))
        self.assertEqual(mixed, [expected[1]])

    def test_wrong_passwords(self):
        wrong = self.password_file("wrong-secret")
        self.assertEqual(sorted(self.problems(self.redis(password_file=wrong))), sorted(
            [f"PROBLEM master {self.cluster.master().address}: wrong password, or user"]
            + [f"PROBLEM server {node.address}: wrong password, or user; baton could not use it after a failover"
               for node in self.cluster.replicas()]))
        sentinels = self.cluster.sentinel_addresses
        self.assertEqual(self.problems(self.redis(sentinel_password_file=wrong)),
                         [f"PROBLEM sentinel {address}: wrong password, or user" for address in sentinels]
                         + ["PROBLEM no Sentinel knows where the master is"])

    def test_passwords_that_are_missing(self):
        redis = self.redis()
        del redis["password_file"]
        self.assertIn(f"PROBLEM master {self.cluster.master().address}: it requires a password, and none is configured",
                      self.problems(redis))
        redis = self.redis()
        del redis["sentinel_password_file"]
        self.assertIn(f"PROBLEM sentinel {self.cluster.sentinel_addresses[0]}: it requires a password, and none is "
                      "configured", self.problems(redis))

    def test_name_that_no_sentinel_knows(self):
        problems = self.problems(self.redis(master="other"))
        self.assertEqual(len(problems), 4)
        self.assertIn(f'PROBLEM sentinel {self.cluster.sentinel_addresses[0]}: answers, but knows no master called '
                      '"other": see `sentinel monitor` in its file', problems)

    def test_sentinels_that_are_missing_in_the_list(self):
        two = self.cluster.sentinel_addresses[:2]
        self.assertEqual(self.warnings(self.redis(sentinels=two)),
                         [f"WARNING sentinel {address}: knows 2 other Sentinels, only 1 other is configured here"
                          for address in two]
                         + ["WARNING 2 Sentinels are configured: it takes three for a majority that survives the loss "
                            "of one"])

    def test_replica_of_itself(self):
        # What a `replicaof` with the wrong port makes of a server, and what Sentinel mends if it knows of it.
        replica = self.cluster.replicas()[0]
        self.addCleanup(self.cluster.wait_healed)
        self.addCleanup(replica.ask, "REPLICAOF", "127.0.0.1", self.cluster.master().port)
        replica.ask("REPLICAOF", "127.0.0.1", replica.port)
        status, lines = self.check(self.redis())
        self.assertIn(f"PROBLEM replica {replica.address}: `replicaof 127.0.0.1 {replica.port}` makes it a replica of "
                      "itself; it has no data", lines)
        self.assertEqual(sum(line.startswith(f"replica {replica.address}: of {replica.address} ") for line in lines), 1)
        self.assertEqual(status, 1)

    def test_replica_of_a_port_where_nobody_is(self):
        replica = self.cluster.replicas()[0]
        nobody = self.refused()
        self.addCleanup(self.cluster.wait_healed)
        self.addCleanup(replica.ask, "REPLICAOF", "127.0.0.1", self.cluster.master().port)
        replica.ask("REPLICAOF", *nobody.split(":"))
        told = nobody.replace(":", " ")
        self.assertIn(f"PROBLEM replica {replica.address}: `replicaof {told}` is not the master, which is "
                      f"{self.cluster.master().address}; the link is down", self.problems(self.redis()))

    def test_replica_of_a_replica(self):
        first, second = self.cluster.replicas()
        self.addCleanup(self.cluster.wait_healed)
        self.addCleanup(second.ask, "REPLICAOF", "127.0.0.1", self.cluster.master().port)
        second.ask("REPLICAOF", "127.0.0.1", first.port)
        until(lambda: second.info("replication")["master_link_status"] == "up", "the link", [first, second])
        self.assertEqual(self.warnings(self.redis()),
                         [f"WARNING replica {second.address}: it copies from {first.address}, not from the "
                          f"master {self.cluster.master().address}"])

    def test_replica_that_hangs(self):
        replica = self.cluster.replicas()[1]
        self.addCleanup(self.cluster.wait_healed)
        self.addCleanup(replica.resume)
        replica.suspend()
        self.assertIn(f"PROBLEM server {replica.address}: no answer in time; baton could not use it after a failover",
                      self.problems(self.redis()))

    def test_sentinels_that_are_gone(self):
        # Without a majority no Sentinel may change the master.
        gone = self.cluster.sentinels[1:]
        self.addCleanup(self.cluster.heal)
        for sentinel in gone:
            sentinel.kill()
        first = self.cluster.sentinels[0]
        until(lambda: all("s_down" in one["flags"] for one in first.sentinel_states()), "Sentinels down", [first])
        problems = self.problems(self.redis())
        self.assertIn(f"PROBLEM sentinel {gone[0].address}: no connection: connection refused", problems)
        self.assertEqual(sum("there would be no failover: NOQUORUM" in line for line in problems), 1, problems)

    def test_master_that_is_gone(self):
        # In the moments before the failover; afterwards all is well again, but for one server.
        old = self.cluster.master()
        self.addCleanup(self.cluster.heal)
        old.kill()
        self.assertIn(f"PROBLEM master {old.address}: no connection: connection refused", self.problems(self.redis()))
        new = self.cluster.wait_for_failover(old)
        status, lines = self.check(self.redis())
        self.assertEqual(sum(line.startswith(f"master {new.address}: role master") for line in lines), 1)
        self.assertIn(f"PROBLEM server {old.address}: no connection: connection refused; baton could not use it after "
                      "a failover", lines)
        self.assertEqual(status, 1)

    def test_session_key_is_that_of_redis(self):
        baton = self.store_baton(self.pages(), self.cluster, session={"cookie": "sid"})
        session = self.get(baton, None, "Baton-Session-Create: 1").all("Set-Cookie")[0][len("sid="):][:32]
        path = self.written(self.redis(), session={"cookie": "sid"})
        status, out, err = run_baton("session", "key", session, "-c", path)
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(self.cluster.master().ask("EXISTS", out.strip()), 1)
        # By stdin it stands in no list of processes.
        done = subprocess.run([BATON, "session", "key", "-", "-c", path], input=session + "\n", capture_output=True,
                              text=True, timeout=PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, out))


class MistakeTest(CheckTest):
    """Servers of their own, with mistakes in their files."""

    def test_one_server_without_sentinels(self):
        node = self.node()
        status, lines = self.check(self.redis_of(node))
        self.assertEqual((status, lines[0]), (0, "no Sentinels configured: nobody takes over when the master is gone"))
        self.assertEqual([line for line in lines if line.startswith("WARNING")],
                         [f"WARNING master {node.address}: no persistence: a master that restarts before Sentinel "
                          "notices comes back empty, and its replicas with it"])

    def test_settings_that_are_unwise(self):
        master = self.node(settings={"maxmemory-policy": "allkeys-lru", "masterauth": None})
        replica = self.node(replica_of=master, password=master.password,
                            settings={"replica-priority": 0, "replica-read-only": "no"})
        replica.wait_in_sync(master)
        sentinel = self.sentinel(master, quorum=1)
        redis = {"sentinels": [sentinel.address], "master": sentinel.name,
                 "password_file": self.password_file(master.password)}
        until(lambda: sentinel.watches(master, 1, 0), "the replica at the Sentinel", [sentinel])
        warned = self.warnings(redis)
        for text in (f"sentinel {sentinel.address}: quorum 1: a single Sentinel that is cut off starts a failover",
                     "1 Sentinel is configured: it takes three for a majority that survives the loss of one",
                     f"master {master.address}: maxmemory-policy allkeys-lru lets Redis drop live sessions: set it "
                     "to noeviction",
                     f"master {master.address}: min-replicas-to-write 0: a master that is cut off keeps accepting "
                     "writes that are lost later, set it to 1",
                     f"master {master.address}: `masterauth` is not set: it could not be a replica after a failover",
                     f"replica {replica.address}: replica-priority 0: it never becomes master",
                     f"replica {replica.address}: replica-read-only is off: what is written to it is lost"):
            with self.subTest(text=text):
                self.assertIn("WARNING " + text, warned)

    def test_masterauth_that_is_wrong_or_missing(self):
        master = self.node()
        missing = self.node(replica_of=master, password=master.password, settings={"masterauth": None})
        wrong = self.node(replica_of=master, password=master.password, settings={"masterauth": "wrong-secret"})
        problems = self.problems(self.redis_of(master), "--node", missing.address, "--node", wrong.address)
        self.assertEqual(len(problems), 2)
        self.assertRegex(problems[0], rf"^PROBLEM replica {missing.address}: .*; `masterauth` is not set$")
        self.assertRegex(problems[1], rf"^PROBLEM replica {wrong.address}: .*; its `masterauth` is not the password "
                                      "that is configured here$")

    def test_servers_that_nobody_names(self):
        # A replica of itself is known to nobody but to who looks: all seems well, but no replica is there.
        master = self.node()
        lost = self.node(replica_of=master, password=master.password)
        lost.ask("REPLICAOF", "127.0.0.1", lost.port)
        until(lambda: not master.online(), "a master without replicas", [master])
        sentinel = self.sentinel(master)
        redis = {"sentinels": [sentinel.address], "master": sentinel.name,
                 "password_file": self.password_file(master.password)}
        problems = self.problems(redis)
        self.assertIn(f"PROBLEM sentinel {sentinel.address}: knows no replica: none could take the master's place; "
                      "look at `replicaof` and `masterauth` in the replicas' files", problems)
        self.assertIn(f"PROBLEM replica {lost.address}: `replicaof 127.0.0.1 {lost.port}` makes it a replica of "
                      "itself; it has no data", self.problems(redis, "--node", lost.address))
        other = self.sentinel(master, password=master.password)
        self.assertEqual(self.problems(self.redis_of(master), "--node", other.address),
                         [f"PROBLEM server {other.address}: a Sentinel, not a data node"])

    def test_two_masters(self):
        first, second = self.node(password="right-secret"), self.node(password="right-secret")
        self.assertEqual(self.problems(self.redis_of(first), "--node", second.address),
                         [f"PROBLEM server {second.address}: another master besides {first.address}"])

    def test_sentinels_that_disagree(self):
        first, second = self.node(password="right-secret"), self.node(password="right-secret")
        sentinels = [self.sentinel(first), self.sentinel(second)]
        redis = {"sentinels": [one.address for one in sentinels], "master": sentinels[0].name,
                 "password_file": self.password_file("right-secret")}
        problems = self.problems(redis)
        self.assertIn(f"PROBLEM the Sentinels name different masters: {first.address}, {second.address}", problems)
        self.assertIn(f"PROBLEM sentinel {sentinels[0].address}: knows 0 other Sentinels, 1 other is configured "
                      "here: do they all watch the same master, and does each have its own identity "
                      "(`sentinel myid`)?",
                      problems)

    def test_addresses_that_are_none(self):
        for host, port in (("127.0.0.1", "0"), ("127.0.0.1", "65536"), ("127.0.0.1", "-1"), ("127.0.0.1", ""),
                           ("", "6379"), ("127.0.0.1", "6379x"), ("a b", "6379")):
            with self.subTest(host=host, port=port):
                table = {"SENTINEL MASTER": array("name", "mymaster", "ip", host, "port", port, "flags", "master"),
                         "SENTINEL GET-MASTER-ADDR-BY-NAME": array(host, port)}
                for kind in ("SENTINELS", "REPLICAS"):
                    table[f"SENTINEL {kind}"] = array(array("name", "other", "ip", host, "port", port))
                with ScriptedPeer(table, role="sentinel") as sentinel:
                    problems = self.problems({"sentinels": [sentinel.address], "master": "mymaster"})
                self.assertEqual(problems, [f'PROBLEM sentinel {sentinel.address}: names "{host}:{port}" as the '
                                            "master, which is no address",
                                            "PROBLEM no Sentinel knows where the master is"])
        info = "\r\nrole:master\r\nredis_version:7.0.15\r\nslave0:ip=,port=1,state=online\r\nslave1:ip=::1,port=0\r\n"
        with ScriptedPeer({"INFO": bulk(info)}) as master:
            status, lines = self.check({"address": master.address})
        self.assertEqual(status, 1)
        self.assertIn("0 replicas connected", lines[1])

    def test_sentinel_that_cannot_get_in(self):
        master = self.node()
        sentinel = self.sentinel(master, node_password="wrong-secret")
        redis = {"sentinels": [sentinel.address], "master": sentinel.name,
                 "password_file": self.password_file(master.password)}
        until(lambda: "down" in sentinel.master_state()["flags"], "the master down", [sentinel])
        self.assertEqual(sum("is `sentinel auth-pass` the master's password?" in line
                             for line in self.problems(redis)), 1)

    def test_address_of_a_replica(self):
        master = self.node()
        replica = self.node(replica_of=master, password=master.password)
        replica.wait_in_sync(master)
        self.assertEqual(self.problems(self.redis_of(replica)),
                         [f"PROBLEM master {replica.address}: is not a master but a replica of {master.address}"])

    def test_writes_that_are_refused(self):
        few = self.node(settings={"min-replicas-to-write": 1, "min-replicas-max-lag": 10})
        self.assertEqual(self.problems(self.redis_of(few)),
                         [f"PROBLEM master {few.address}: refuses writes: min-replicas-to-write is 1, and 0 replicas "
                          "are up to date"])
        full = self.node(settings={"maxmemory": "100kb"})
        self.assertEqual(self.problems(self.redis_of(full)),
                         [f"PROBLEM master {full.address}: its memory is full: it refuses writes"])

    def test_user_that_may_too_little(self):
        node = self.node(settings={"user": ["limited on >right-secret ~baton:* -@all +info +role +time +script|load"]})
        problems = self.problems(self.redis_of(node, username="limited",
                                               password_file=self.password_file("right-secret")))
        self.assertEqual(problems, [f'PROBLEM master {node.address}: the user "limited" lacks rights: add +evalsha '
                                    "+hgetall +pttl +hmget +hset +hdel +hlen +exists +del +rename +pexpireat to its "
                                    "ACL"])

    def rights(self):
        """Those of the line in the manual, without the user's name, its password and what it takes away."""
        manual = (ROOT / "docs" / "redis.md").read_text(encoding="utf-8")
        line = re.search(r"^    user baton on >PASSWORD (~baton:s:\* .*)$", manual, re.M)[1]
        return [word for word in line.split() if word.startswith(("+", "~"))]

    def user(self, node, rights):
        node.ask("ACL", "SETUSER", "limited", "reset", "on", ">right-secret", "resetchannels", "-@all", *rights)
        return self.redis_of(node, username="limited", password_file=self.password_file("right-secret"))

    def limited_baton(self, redis):
        return self.baton(upstreams=[{"name": "app", "servers": [{"address": self.pages()[0].address}]}],
                          redis=redis, session={"store": "redis"}, admin={"address": "127.0.0.1:0"})

    def test_F_acl_each_right_that_is_missing_is_named(self):
        node, rights = self.node(), self.rights()
        self.assertGreater(len(rights), 14)
        cases = [[right] for right in rights] + [["+role", "+info"], ["+info", "+hdel", "~baton:s:*"],
                                                 ["+script|load", "+rename"], ["+pttl", "+del", "+hlen"]]
        for missing in cases:
            with self.subTest(missing=missing):
                redis = self.user(node, [right for right in rights if right not in missing])
                baton = self.limited_baton(redis)
                line = baton.wait_event("lacks")
                self.assertIn("level=error", line)
                store = self.store(baton)
                shown = f"{store['trouble']} {store['degraded']}"
                problems = [one for one in self.problems(redis) if "lacks rights: add " in one]
                self.assertEqual(len(problems), 1)
                # Without what the greeting needs, nothing else is asked for.
                greeting = [right for right in missing if right in ("+info", "+role", "+time", "+script|load")]
                for right in missing:
                    self.assertIn(right, problems[0])
                    if not greeting or right in greeting:
                        self.assertIn(right, line)
                        self.assertIn(right, shown)
                baton.stop()

    def test_F_acl_a_right_that_is_given_or_taken_while_baton_runs(self):
        node, rights = self.node(), self.rights()
        redis = self.user(node, rights)
        baton = self.limited_baton(redis)
        self.wait_store(baton, lambda store: (store["state"], store["degraded"]) == ("ready", []))
        session = self.start(baton, "Baton-Session-Set: a=1")
        for right, change in (("+hgetall", "Idle: 900"), ("+hset", "Set: a=2"), ("+rename", "Rotate: login")):
            node.ask("ACL", "SETUSER", "limited", "-" + right[1:])
            # A script says only that it may not.
            self.get(baton, session, "Baton-Session-" + change)
            self.wait_store(baton, lambda store: store["degraded"] == [f"the user lacks rights: {right}"])  # noqa: B023
            self.assertIn(f"rights={right}", baton.wait_event(f"rights={right}"))
            node.ask("ACL", "SETUSER", "limited", right)
            self.wait_store(baton, lambda store: store["degraded"] == [], patience=3)
            self.assertEqual(self.state_of(baton, session), "live")

    def test_F_acl_a_change_that_is_refused_changes_nothing(self):
        node, rights = self.node(), self.rights()
        redis = self.user(node, rights)
        baton = self.store_baton(self.pages(), node, redis=redis)
        changes = (["Set: a=2&c=3"], ["Incr: n=1"], ["Unset: b"], ["Idle: 900"], ["Rotate: login", "Set: a=2"],
                   ["Destroy: 1"], ["Destroy: 1", "Set: z=1"], None)
        refused = set()
        for right in rights:
            if right in ("+info", "+role", "+time", "~baton:s:*"):  # without these the connection ends
                continue
            for change in changes:
                with self.subTest(right=right, change=change):
                    node.ask("ACL", "SETUSER", "limited", *rights)
                    node.ask("FLUSHALL")
                    session = self.start(baton, "Baton-Session-Set: a=1&b=1")
                    before = fields_of(node)
                    node.ask("ACL", "SETUSER", "limited", "-" + right[1:])
                    lines = ["Create: 1"] if change is None else change
                    answer = self.get(baton, None if change is None else session,
                                      *["Baton-Session-" + line for line in lines])
                    if answer.status == 200:
                        continue
                    self.assertEqual((answer.status, answer.all("Set-Cookie")), (503, []))
                    self.assertEqual(fields_of(node), before)
                    self.assertGreater(min(node.ask("PTTL", key) for key in before), 0)
                    refused.add(right)
        self.assertLessEqual({"+hset", "+hdel", "+rename", "+pexpireat", "+del"}, refused)

    def test_F_acl_replicas_and_sentinels(self):
        master = self.node(password="right-secret")
        replica = self.node(replica_of=master, password="right-secret")
        replica.wait_in_sync(master)
        self.user(master, self.rights())
        redis = self.user(replica, [right for right in self.rights() if right != "+hdel"])
        redis["address"] = master.address
        self.assertEqual(self.problems(redis), [f'PROBLEM server {replica.address}: the user "limited" lacks rights: '
                                                "add +hdel to its ACL"])
        of_sentinel = "baton on >right-secret resetkeys -@all +sentinel|get-master-addr-by-name +subscribe +ping"
        sentinel = self.sentinel(master, quorum=1, settings={"user": ["default on nopass allcommands allchannels",
                                                                     of_sentinel]})
        password = self.password_file("right-secret")
        redis = {"sentinels": [sentinel.address], "master": sentinel.name, "password_file": password,
                 "sentinel_username": "baton", "sentinel_password_file": password}
        self.assertIn(f"WARNING sentinel {sentinel.address}: its ACL does not allow all that baton asks: add "
                      "+sentinel|master +sentinel|sentinels +sentinel|myid allchannels", self.warnings(redis))
        baton = self.limited_baton(redis)
        self.assertIn('rights="+sentinel|master +sentinel|myid +sentinel|sentinels"',
                      baton.wait_event("sentinel user lacks rights"))

    def test_users_of_the_manual(self):
        """The ACL lines of docs/redis.md, as they are there: baton works with them, and the check finds nothing."""
        page = (ROOT / "docs/redis.md").read_text(encoding="utf-8")
        lines = re.findall(r"^    user (baton on >PASSWORD .*)$", page, re.M)
        self.assertEqual(len(lines), 2)
        of_node, of_sentinel = (line.replace("PASSWORD", "right-secret") for line in lines)
        master = self.node()
        replica = self.node(replica_of=master, password=master.password)
        for node in (master, replica):  # they are not replicated
            node.ask("ACL", "SETUSER", *of_node.split())
        replica.wait_in_sync(master)
        sentinel = self.sentinel(master, quorum=1, settings={"user": ["default on nopass allcommands allchannels",
                                                                     of_sentinel]})
        until(lambda: sentinel.watches(master, 1, 0), "the replica at the Sentinel", [sentinel])
        password = self.password_file("right-secret")
        redis = {"sentinels": [sentinel.address], "master": sentinel.name, "username": "baton",
                 "password_file": password, "sentinel_username": "baton", "sentinel_password_file": password}
        _, lines = self.check(redis)
        self.assertEqual([line for line in lines if line.startswith("PROBLEM")], [])
        self.assertIn("  its settings are not checked, CONFIG GET is not allowed", lines)
        self.assertIn("  quorum: not known, SENTINEL CKQUORUM is not allowed", lines)
        baton = self.baton(upstreams=[{"name": "app", "servers": [{"address": self.pages()[0].address}]}],
                           redis=redis, session={"store": "redis"}, admin={"address": "127.0.0.1:0"})
        self.wait_store(baton, lambda store: store["state"] == "ready")
        session = self.start(baton, "Baton-Session-Set: a=1&b=2")
        for change in ("Incr: n=1", "Unset: b", "Idle: 900"):
            self.assertEqual(self.get(baton, session, "Baton-Session-" + change).status, 200)
        session = self.get(baton, session, "Baton-Session-Rotate: login").cookie()
        self.assertEqual(attributes_of(self.get(baton, session)), {"a": "1", "n": "1"})
        self.assertEqual(self.get(baton, session, "Baton-Session-Destroy: 1").status, 200)
        self.assertEqual(self.state_of(baton, session), "none")
        self.assertNotIn("NOPERM", baton.event_text())
        self.assertNotIn("sentinel refuses events", baton.event_text())

    def test_redis_that_is_too_old(self):
        with ScriptedPeer({"INFO": b"$45\r\n# Server\r\nredis_version:6.2.14\r\nrole:master\r\n\r\n"}) as old:
            problems = self.problems({"address": old.address})
        self.assertEqual(problems, [f"PROBLEM master {old.address}: baton cannot work with it: redis 7.0 or newer is "
                                    "required: 6.2.14"])

    def test_nobody_is_there(self):
        nobody = self.refused()
        self.assertEqual(self.problems({"address": nobody}),
                         [f"PROBLEM master {nobody}: no connection: connection refused"])
        self.assertEqual(self.problems({"sentinels": [nobody], "master": "mymaster"}),
                         [f"PROBLEM sentinel {nobody}: no connection: connection refused",
                          "PROBLEM no Sentinel knows where the master is"])
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        self.assertEqual(self.problems({"address": address}), [f"PROBLEM master {address}: no answer in time"])
        self.assertEqual(self.problems({"address": "nobody.invalid:6379"})[0].partition(": ")[0],
                         "PROBLEM master nobody.invalid:6379")


def fields_of(node):
    """All hashes of a server, by their keys."""
    return {key: node.ask("HGETALL", key) for key in node.ask("KEYS", "*")}


class UsageTest(CheckTest):
    def test_sessions_in_memory(self):
        path = self.file("memory.toml", config(["127.0.0.1:9"]))
        for arguments in (("redis-check",), ("session", "key", ID)):
            self.assertEqual(run_baton(*arguments, "-c", path), (
                2, "", 'baton: the sessions are in memory: expected store = "redis" in [session]\n'))

    def test_wrong_usage(self):
        for arguments, complaint in (
                (["redis-check"], "expected -c FILE"),
                (["session", "key", ID], "expected -c FILE"),
                (["session"], "expected session key ID"),
                (["session", "kee", ID], "expected session key ID"),
                (["session", "key"], "expected session key ID"),
                (["redis-check", "-c", "a", "--node", "6379"], "--node: expected a host with a port"),
                (["redis-check", "-c", "a", "--scope", "b"], "--scope goes with session key"),
                (["-c", "a", "--node", "127.0.0.1:6379"], "--node goes with redis-check"),
                (["redis-check", "--listen", "a", "--to", "b"], "expected -c FILE")):
            with self.subTest(arguments=arguments):
                status, out, err = run_baton(*arguments)
                self.assertEqual((status, out, err.splitlines()[0]), (2, "", f"baton: {complaint}"))
        self.assertIn("baton redis-check -c FILE", run_baton("-h")[1])
        self.assertIn("baton session key ID -c FILE", run_baton("-h")[1])

    def test_bad_configuration(self):
        status, out, err = run_baton("redis-check", "-c", self.written({}))
        self.assertEqual((status, out), (2, ""))
        self.assertIn("redis.sentinels: expected ", err)

    def test_session_keys_of_scopes(self):
        server = ["127.0.0.1:9"]
        keys = {"upstreams": [{"name": name, "scope": scope, "servers": [{"address": server[0]}]}
                              for name, scope in (("app", "shop"), ("other", "shop"), ("third", "desk"))]}
        path = self.written({"address": "127.0.0.1:9", "prefix": "us"}, **keys)
        # SHA-256 of scope, 0, cookie, 0, id, by another program.
        shop = "us:s:" + digest("shop")
        desk = "us:s:" + digest("desk")
        self.assertEqual(run_baton("session", "key", ID, "-c", path), (0, f"shop {shop}\ndesk {desk}\n", ""))
        self.assertEqual(run_baton("session", "key", ID, "-c", path, "--scope", "desk"), (0, f"{desk}\n", ""))
        self.assertEqual(run_baton("session", "key", ID, "-c", path, "--scope", "app"),
                         (2, "", 'baton: no upstream has the scope "app"\n'))
        for bad in (ID.lower(), ID[1:], "", "x"):
            self.assertEqual(run_baton("session", "key", bad, "-c", path),
                             (2, "", "baton: expected a session id, 32 digits of 0-9 and A-F\n"))


def digest(scope):
    return hashlib.sha256(f"{scope}\0JSESSIONID\0{ID}".encode()).hexdigest()


if __name__ == "__main__":
    unittest.main()
