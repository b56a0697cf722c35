"""The means of the tests with Redis themselves: processes that fail over and come back, and the scripted server."""

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

import scripted
from cluster import Cluster, Node, Sentinel, need_redis, until
from harness import SystemTest, eventually
from resp import NIL, OK, RedisClient, RedisError, array, bulk, error, integer, pairs, request
from scripted import Held, ScriptedPeer


def gone(pid):
    """Whether the process has ended. A dead one whose parent is gone too may not be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class NodeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need_redis()
        cls.node = Node(settings={"maxmemory": "50mb"})
        cls.addClassCleanup(cls.node.close)

    def setUp(self):
        self.client = self.node.client()
        self.addCleanup(self.client.close)

    def test_values(self):
        script = "return {1, 'x', {false, redis.status_reply('FINE')}, redis.error_reply('ODD one')}"
        self.assertEqual(self.client.command("EVAL", script, 0),
                         [1, b"x", [None, "FINE"], RedisError("ODD one")])
        self.assertEqual(self.client.command("SET", "key", b"\r\n\x00\xff" * 100_000), "OK")
        self.assertEqual(self.client.command("GET", "key"), b"\r\n\x00\xff" * 100_000)
        self.assertIsNone(self.client.command("GET", "none"))
        self.assertEqual(self.client.command("CONFIG", "GET", "maxmemory"), [b"maxmemory", b"52428800"])

    def test_pipeline(self):
        self.assertEqual(self.client.pipeline(("SET", "n", 1), ("INCR", "n"), ("LPOP", "n"), ("GET", "n")),
                         ["OK", 2, RedisError("WRONGTYPE Operation against a key holding the wrong kind of value"),
                          b"2"])

    def test_password(self):
        with self.assertRaisesRegex(RedisError, "^WRONGPASS "):
            self.node.client(password="wrong")
        with self.node.client(password=None) as stranger, self.assertRaises(RedisError) as refused:
            stranger.command("GET", "key")
        self.assertEqual(refused.exception.code, "NOAUTH")

    def test_channels(self):
        with self.node.client() as listener:
            listener.subscribe("one", "two")
            self.assertEqual(self.client.command("PUBLISH", "two", "hello"), 1)
            self.assertEqual(listener.message(), ("two", "hello"))

    def test_suspend_and_resume(self):
        self.node.suspend()
        self.client.send("PING")
        with self.assertRaises(TimeoutError):
            self.client.reply(timeout=0.05)
        self.node.resume()
        self.assertEqual(self.client.reply(), "PONG")

    def test_restart(self):
        self.client.command("CONFIG", "SET", "maxmemory", "60mb")
        self.client.command("CONFIG", "REWRITE")
        for original, expected in ((False, b"62914560"), (True, b"52428800")):
            pid = self.node.pid
            self.node.restart(original_config=original)
            self.assertNotEqual(self.node.pid, pid)
            self.assertEqual(self.node.ask("CONFIG", "GET", "maxmemory"), [b"maxmemory", expected])
        self.assertEqual(self.client.at_end(), "end")

    def test_nobody_gets_the_port_of_one_that_is_down(self):
        self.node.kill()
        with self.assertRaises(ConnectionRefusedError):
            self.node.client()
        self.node.start()
        self.assertEqual(self.node.role(), "master")
        with Node(start=False) as node:
            with socket.socket() as other, self.assertRaises(OSError):
                other.bind(("127.0.0.1", node.port))
            node.start()

    def test_replica(self):
        self.client.command("SET", "key", "value")
        with Node(replica_of=self.node, password=self.node.password) as replica:
            replica.wait_in_sync(self.node)
            self.assertEqual((self.node.online(), replica.ask("GET", "key")), ({replica.port}, b"value"))
            replica.ask("CONFIG", "REWRITE")
            replica.restart()
            self.assertEqual(replica.role(), "slave")
            replica.restart_as_master()
            self.assertEqual(replica.role(), "master")

    def test_one_that_cannot_start_says_why(self):
        with self.assertRaisesRegex(AssertionError, "Bad directive"):
            Node(settings={"no-such-setting": 1})

    def test_a_thread_that_started_one_may_end(self):
        started = []
        thread = threading.Thread(target=lambda: started.append(Node()))
        thread.start()
        thread.join()
        with started[0] as node:
            self.assertEqual(node.ask("PING"), "PONG")
            self.assertFalse(gone(node.pid))

    def test_it_ends_with_the_test(self):
        program = ("import sys; sys.path[:0] = sys.argv[1:]\n"
                   "from cluster import Node; node = Node(); node.suspend()\n"
                   "print(node.pid, node.folder, flush=True); sys.stdin.read()")
        here = Path(__file__).resolve().parent
        test = subprocess.Popen([sys.executable, "-c", program, here, here.parent], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
        with test:
            pid, folder = test.stdout.readline().split()
            self.assertFalse(gone(pid))
            test.kill()
        eventually(lambda: gone(pid), "the end of the server")
        for left in Path(folder).iterdir():
            left.unlink()
        os.rmdir(folder)


class SentinelTest(unittest.TestCase):
    def test_users(self):
        need_redis()
        users = {"user": ["default off", "watcher on >secret ~* &* +@all"]}
        with Node() as node, Sentinel(node, quorum=1, user="watcher", password="secret", settings=users) as sentinel:
            self.assertEqual(sentinel.master_port(), node.port)
            until(lambda: sentinel.watches(node, 0, 0), "the master in its sight", [node, sentinel])
            with sentinel.client(user=None, password=None) as stranger, self.assertRaisesRegex(RedisError, "^NOAUTH"):
                stranger.command("PING")


class ClusterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need_redis()
        cls.cluster = Cluster(sentinel_password="of-sentinels")
        cls.addClassCleanup(cls.cluster.close)

    def setUp(self):
        self.cluster.heal()
        self.old = self.cluster.master()

    def test_password_of_sentinels(self):
        with self.cluster.sentinels[0].client(password=None) as stranger, self.assertRaises(RedisError) as refused:
            stranger.command("SENTINEL", "MASTERS")
        self.assertEqual(refused.exception.code, "NOAUTH")
        self.assertEqual(self.cluster.sentinel_addresses, [f"127.0.0.1:{s.port}" for s in self.cluster.sentinels])

    def test_the_master_dies_and_comes_back(self):
        self.old.ask("SET", "key", "value")
        self.assertEqual(self.old.ask("WAIT", 2, 10_000), 2)
        with self.cluster.sentinels[0].client() as listener:
            listener.subscribe("+switch-master")
            self.old.kill()
            new = self.cluster.wait_for_failover(self.old)
            self.assertEqual(listener.message(), ("+switch-master", f"mymaster 127.0.0.1 {self.old.port} 127.0.0.1 "
                                                                    f"{new.port}"))
        self.assertIsNot(new, self.old)
        self.assertEqual(new.ask("GET", "key"), b"value")
        self.old.restart_as_master()
        self.cluster.wait_healed()
        self.assertIs(self.cluster.master(), new)
        self.assertEqual(self.old.role(), "slave")
        self.assertIn("replicaof", self.old.current_config())
        self.assertEqual(self.old.ask("GET", "key"), b"value")
        with self.assertRaises(RedisError) as refused:
            self.old.ask("SET", "key", "other")
        self.assertEqual(refused.exception.code, "READONLY")

    def test_the_master_stands_still(self):
        self.old.suspend()
        new = self.cluster.wait_for_failover(self.old)
        self.assertIsNot(new, self.old)
        self.old.resume()
        self.assertEqual(self.old.role(), "master")  # it knows of nothing yet
        self.cluster.wait_healed()
        self.assertEqual((self.old.role(), new.role()), ("slave", "master"))

    def test_sentinels_that_are_down(self):
        first, second, third = self.cluster.sentinels
        first.kill()
        second.suspend()
        self.assertFalse(self.cluster.healthy())
        self.assertIs(self.cluster.master(), self.old)
        self.assertEqual(third.master_port(), self.old.port)
        self.cluster.heal()
        self.assertEqual(len(first.sentinel_states()), 2)
        self.assertEqual(int(first.master_state()["num-slaves"]), 2)

    def test_failover_by_hand(self):
        new = self.cluster.failover()
        self.assertIsNot(new, self.old)
        self.assertEqual(new.role(), "master")

    def test_a_wait_that_fails_shows_the_logs(self):
        with self.assertRaisesRegex(AssertionError, "(?s)pigs that fly did not come.*\\+monitor master"):
            until(lambda: False, "pigs that fly", self.cluster.processes(), patience=0)


class ScriptedTest(SystemTest):
    def peer(self, table=None, **keys):
        peer = ScriptedPeer(table, **keys)
        self.addCleanup(peer.stop)
        return peer

    def connect(self, peer, **keys):
        client = RedisClient(peer.port, **keys)
        self.addCleanup(client.close)
        return client

    def raises(self, code, client, *words):
        with self.assertRaises(RedisError) as refused:
            client.command(*words)
        self.assertEqual(refused.exception.code, code)

    def test_table(self):
        asked = []

        def echo(args, connection):
            asked.append((args, connection.number))
            return array(*args, None, 7, RedisError("ERR odd"))

        peer = self.peer({"ECHO": echo, "SCRIPT LOAD": error("NOSCRIPT none"), "GET": bulk("one")})
        client = self.connect(peer)
        self.assertEqual(client.command("echo", "a", "b"), [b"a", b"b", None, 7, RedisError("ERR odd")])
        self.assertEqual(asked, [([b"a", b"b"], 1)])
        self.assertEqual(client.command("GET", "x"), b"one")
        peer.table["GET"] = NIL
        self.assertIsNone(client.command("GET", "x"))
        self.raises("NOSCRIPT", client, "SCRIPT", "LOAD", "return 1")
        self.assertEqual(client.command("SCRIPT", "EXISTS", "0" * 40), [0])
        self.raises("ERR", client, "SINTER", "a")

    def test_redis(self):
        client = self.connect(self.peer(config={"maxmemory-policy": "volatile-lru"}))
        self.assertEqual(client.command("PING"), "PONG")
        self.assertEqual(client.command("SELECT", 3), "OK")
        self.assertEqual(client.command("CLIENT", "SETNAME", "baton"), "OK")
        self.assertEqual(client.command("CLIENT", "GETNAME"), b"baton")
        self.assertEqual(client.command("ROLE"), [b"master", 0, []])
        self.assertIn(b"\r\nredis_version:7.0.15\r\n", client.command("INFO", "server"))
        digest = hashlib.sha1(b"return 1").hexdigest()
        self.assertEqual(client.command("SCRIPT", "LOAD", "return 1"), digest.encode())
        self.assertEqual(client.command("SCRIPT", "EXISTS", digest), [1])
        self.assertEqual(client.command("CONFIG", "GET", "maxmemory-*"), [b"maxmemory-policy", b"volatile-lru"])
        self.raises("ERR", client, "SENTINEL", "MASTERS")
        self.assertEqual(client.command("QUIT"), "OK")
        self.assertEqual(client.at_end(), "end")

    def test_replica(self):
        client = self.connect(self.peer(role="slave", master=("127.0.0.1", 99)))
        self.assertEqual(client.command("ROLE"), [b"slave", b"127.0.0.1", 99, b"connected", 0])
        self.assertIn(b"role:slave\r\n", client.command("INFO"))

    def test_password(self):
        peer = self.peer(password="secret")
        client = self.connect(peer)
        self.raises("NOAUTH", client, "PING")
        self.raises("WRONGPASS", client, "AUTH", "default", "wrong")
        self.assertEqual(client.command("AUTH", "secret"), "OK")
        self.assertEqual(client.command("PING"), "PONG")
        self.raises("ERR", self.connect(self.peer()), "AUTH", "secret")

    def test_sentinel(self):
        peer = self.peer(role="sentinel", master=("127.0.0.1", 99), replicas=["127.0.0.1:98"],
                         sentinels=["127.0.0.1:97", "127.0.0.1:96"])
        client = self.connect(peer)
        self.assertEqual(client.command("ROLE"), [b"sentinel", [b"mymaster"]])
        self.assertEqual(client.command("SENTINEL", "get-master-addr-by-name", "mymaster"), [b"127.0.0.1", b"99"])
        self.assertIsNone(client.command("SENTINEL", "get-master-addr-by-name", "other"))
        master = pairs(client.command("SENTINEL", "MASTER", "mymaster"))
        self.assertEqual((master["port"], master["num-other-sentinels"]), ("99", "2"))
        self.assertEqual([pairs(one)["port"] for one in client.command("SENTINEL", "SENTINELS", "mymaster")],
                         ["97", "96"])
        replica, = client.command("SENTINEL", "REPLICAS", "mymaster")
        self.assertEqual(pairs(replica)["master-port"], "99")
        self.raises("ERR", client, "SENTINEL", "MASTER", "other")

        listener = self.connect(peer)
        listener.subscribe("+switch-master", "+sdown")
        peer.wait_subscribed("+switch-master")
        self.assertEqual(peer.switch_master(("127.0.0.1", 98)), 1)
        self.assertEqual(listener.message(), ("+switch-master", "mymaster 127.0.0.1 99 127.0.0.1 98"))
        self.assertEqual(client.command("SENTINEL", "get-master-addr-by-name", "mymaster"), [b"127.0.0.1", b"98"])
        self.assertEqual(listener.command("PING"), [b"pong", b""])
        self.raises("ERR", listener, "ROLE")
        self.assertEqual(listener.command("UNSUBSCRIBE", "+switch-master"), [b"unsubscribe", b"+switch-master", 1])
        self.assertEqual(peer.publish("+switch-master", "nobody hears it"), 0)

        listener.command("PSUBSCRIBE", "+s*")
        self.assertEqual(peer.publish("+sdown", "x"), 2)
        self.assertEqual([listener.reply(), listener.reply()],
                         [[b"message", b"+sdown", b"x"], [b"pmessage", b"+s*", b"+sdown", b"x"]])

    def test_split_and_pipelined_requests(self):
        peer = self.peer({"GET": lambda args, _connection: bulk(args[0])})
        client = self.connect(peer)
        data = request("GET", "a\r\nb") + request("PING") + request("get", b"$3\r\n")
        expected = [b"a\r\nb", "PONG", b"$3\r\n"]
        for cut in range(len(data)):
            client.send_raw(data[:cut])
            client.send_raw(data[cut:])
            self.assertEqual([client.read() for _ in expected], expected)
        for i in range(len(data)):
            client.send_raw(data[i:i + 1])
        self.assertEqual([client.read() for _ in expected], expected)
        self.assertEqual(len(peer.got("GET")), 2 * (len(data) + 1))

    def test_records(self):
        peer = self.peer({"SET": OK})
        one, two = self.connect(peer), self.connect(peer)
        peer.wait_connections(2)
        one.command("SELECT", 1)
        two.command("set", "key", b"\x00")
        command = peer.wait_command("SET key")
        self.assertEqual((command.name, command.args, command.connection), ("SET", [b"key", b"\x00"], 2))
        select = peer.wait_command("SELECT")
        self.assertEqual(select.connection, 1)
        self.assertLessEqual(select.time, command.time)
        self.assertLessEqual(command.time, time.monotonic())
        self.assertEqual([c.database for c in peer.open()], [1, 0])
        one.close()
        peer.wait_open(1)

    def test_slowly_and_late(self):
        peer = self.peer({"GET": scripted.slowly(bulk("value")), "TTL": scripted.late(integer(1), 0.02)})
        client = self.connect(peer)

        def pieces():
            client.send("GET", "x")
            came = []
            while sum(map(len, came)) < len(bulk("value")):
                came.append(client.sock.recv(100))
            self.assertEqual(b"".join(came), bulk("value"))
            return len(came)

        eventually(lambda: pieces() > 1, "an answer in pieces")  # some may wait until a busy machine lets this read
        self.assertEqual(client.command("GET", "x"), b"value")
        asked = time.monotonic()
        self.assertEqual(client.command("TTL", "x"), 1)
        self.assertGreaterEqual(time.monotonic() - asked, 0.02)

    def test_held(self):
        peer = self.peer({"GET": Held(bulk("value"))})
        client, other = self.connect(peer), self.connect(peer)
        client.send_raw(request("GET", "x") + request("PING"))
        self.assertTrue(peer.table["GET"].waiting.wait(10))
        with self.assertRaises(TimeoutError):
            client.reply(timeout=0.05)
        self.assertEqual(other.command("PING"), "PONG")
        peer.table["GET"].release()
        self.assertEqual([client.reply(), client.reply()], [b"value", "PONG"])

    def test_never(self):
        peer = self.peer({"GET": scripted.never})
        client = self.connect(peer)
        client.send_raw(request("GET", "x") + request("PING"))
        peer.wait_command("GET")
        with self.assertRaises(TimeoutError):
            client.reply(timeout=0.05)
        client.close()
        peer.wait_open(0)

    def test_ends(self):
        peer = self.peer({"GET": scripted.close, "SET": scripted.reset, "TTL": scripted.cut(bulk("value"), 5)})
        for words, expected in ((("GET", "x"), "end"), (("SET", "x", "y"), "reset")):
            client = self.connect(peer)
            client.send(*words)
            self.assertEqual(client.at_end(), expected)
        client = self.connect(peer)
        with self.assertRaisesRegex(ConnectionError, "v'"):
            client.command("TTL", "x")
        for reset, expected in ((False, "end"), (True, "reset")):
            client = self.connect(peer)
            client.command("PING")
            peer.drop(reset=reset)
            self.assertEqual(client.at_end(), expected)
        peer.wait_open(0)

    def test_in_turn(self):
        peer = self.peer({"GET": scripted.in_turn(error("LOADING wait"), bulk("one"), lambda *_: bulk("two"))})
        client = self.connect(peer)
        self.assertEqual(client.pipeline(*[("GET", "x")] * 4), [RedisError("LOADING wait"), b"one", b"two", b"two"])

    def test_unasked(self):
        peer = self.peer()
        client = self.connect(peer)
        peer.wait_open(1)
        peer.send(bulk("nobody asked") + integer(1), pause=0)
        self.assertEqual([client.reply(), client.reply()], [b"nobody asked", 1])

    def test_refuses_and_comes_back(self):
        peer = self.peer(listening=False)
        with self.assertRaises(ConnectionRefusedError):
            self.connect(peer)
        peer.listen()
        client = self.connect(peer)
        client.command("PING")
        for _ in range(10):
            peer.refuse()
            with self.assertRaises(ConnectionRefusedError):
                self.connect(peer)
            self.assertEqual(client.command("PING"), "PONG")
            peer.listen()
            self.assertEqual(self.connect(peer).command("PING"), "PONG")
        peer.die()
        self.assertEqual(client.at_end(), "end")
        with self.assertRaises(ConnectionRefusedError):
            self.connect(peer)

    def test_faults_are_shown(self):
        def broken(_args, _connection):
            raise KeyError("broken")

        for data, table in ((b"GET x\r\n", {}), (b"*1\r\n:1\r\n", {}), (request("GET"), {"GET": broken})):
            peer = ScriptedPeer(table)
            client = self.connect(peer)
            client.send_raw(data)
            self.assertEqual(client.at_end(), "end")
            with self.assertRaisesRegex(AssertionError, "scripted master: .*(malformed|broken)"):
                peer.stop()


if __name__ == "__main__":
    unittest.main()
