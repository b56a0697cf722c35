"""The command line, the logs, and how baton ends."""

import re
import socket
import unittest

from harness import Baton, SystemTest, config, run_baton
from peers import reply


class CommandLineTest(SystemTest):
    def test_good_file(self):
        path = self.file("good.toml", config(["127.0.0.1:1"]))
        self.assertEqual(run_baton("-t", "-c", path), (0, f"{path}: ok\n", ""))

    def test_bad_file_tells_all_at_once(self):
        path = self.file("bad.toml", """workers = 0
foo = 1
grase = "3s"
grace = "3 seconds"

[[listener]]
address = "127.0.0.1:8080"

[[upstream]]
name = "shop"
servers = [{ address = "127.0.0.1:9001" }, { address = "127.0.0.1:8080" }, { address = "127.0.0.1:9001" }]

[[upstream]]
name = "shop"
servers = []

[[route]]
upstream = "shopp"
session = "adopt"

[session]
store = "redis"
""")
        status, out, err = run_baton("-t", "-c", path)
        self.assertEqual((status, out), (2, ""))
        self.assertEqual([line.removeprefix(f"{path}:") for line in err.splitlines()], [
            '1:1: redis.sentinels: expected `sentinels` and `master`, or `address`, because store = \"redis\", '
            'found none',
            '1:11: workers: expected "auto" or a whole number from 1 to 256, found 0',
            '2:1: foo: expected a known key, found "foo"',
            '3:1: grase: expected a known key, found "grase", did you mean grace',
            '4:9: grace: expected a duration such as "30s" in ms, s, m, h or d, found "3 seconds"',
            '11:56: upstream[0].servers[1].address: expected a server, found "127.0.0.1:8080", the proxy itself, '
            'as in listener[0].address',
            '11:88: upstream[0].servers[2].address: expected each server only once, found "127.0.0.1:9001" again, '
            'as in upstream[0].servers[0].address',
            '14:8: upstream[1].name: expected a unique name, found "shop" again, as in upstream[0].name',
            '15:11: upstream[1].servers: expected at least one server, found none',
            '18:12: route[0].upstream: expected the name of an upstream, found "shopp", did you mean "shop"',
            '19:11: route[0].session: expected "managed" or "off", found "adopt", which is not supported yet',
        ])

    def test_bad_file_does_not_run(self):
        path = self.file("bad.toml", "workers = 0\n")
        status, _, err = run_baton("-c", path)
        self.assertEqual(status, 2)
        self.assertIn(f"{path}:1:11: workers: expected ", err)
        self.assertIn("listener", err)

    def test_broken_toml_has_its_place(self):
        path = self.file("broken.toml", "workers = 1\ngrace = \"30s\n")
        status, _, err = run_baton("-t", "-c", path)
        self.assertEqual(status, 2)
        self.assertRegex(err, rf"^{re.escape(str(path))}:2:\d+: ")
        self.assertEqual(len(err.splitlines()), 1)

    def test_missing_file(self):
        for arguments in (["-c", "/nonexistent/baton.toml"], ["-t", "-c", "/nonexistent/baton.toml"]):
            self.assertEqual(run_baton(*arguments), (2, "", "/nonexistent/baton.toml: No such file or directory\n"))

    def test_folder_for_a_file(self):
        status, out, err = run_baton("-t", "-c", "/tmp")
        self.assertEqual((status, out), (2, ""))
        self.assertEqual(err, "/tmp: Is a directory\n")

    def test_version_and_help(self):
        status, out, err = run_baton("-V")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"^baton \S+ \(libuv [\d.]+, llhttp [\d.]+, OpenSSL .*\)\n$")
        status, out, err = run_baton("-h")
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(out.startswith("usage: baton -c FILE"))

    def test_wrong_usage(self):
        for arguments, complaint in (([], "expected -c FILE, or --listen and --to"), (["-x"], "unknown argument -x"),
                                     (["-c"], "-c needs a value"), (["-c", "a", "-c", "b"], "-c given twice"),
                                     (["--listen", "127.0.0.1:0"], "--listen and --to go together"),
                                     (["-c", "a", "--to", "b"], "-c and --listen/--to exclude each other"),
                                     (["baton.toml"], "unknown argument baton.toml")):
            with self.subTest(arguments=arguments):
                status, out, err = run_baton(*arguments)
                self.assertEqual((status, out), (2, ""))
                self.assertEqual(err.splitlines()[0], f"baton: {complaint}")
                self.assertIn("usage: baton", err)

    def test_without_a_file(self):
        apps = self.apps("A", "B")
        apps[0].handler = apps[1].handler = lambda r: reply(b"x", [("Baton-Session-Set", "seen=1")])
        servers = f"{apps[0].address},{apps[1].address}"
        baton = self.started(Baton(arguments=["--listen", "127.0.0.1:0", "--to", servers]))
        session = self.ask(baton).cookie()
        self.ask(baton, fields=[("Cookie", f"JSESSIONID={session}")])
        self.assertEqual([len(app.requests) for app in apps], [1, 1])
        self.assertEqual(apps[1].last().get("Baton-Session-Data"), "seen=1")
        self.assertEqual(len(baton.wait_access(2)), 2)

    def test_without_a_file_bad_addresses(self):
        status, _, err = run_baton("--listen", "nowhere", "--to", "127.0.0.1:0,example.com:80")
        self.assertEqual(status, 2)
        self.assertEqual(len(err.splitlines()), 3, err)
        self.assertIn('--listen: expected an IP address or localhost with a port, found "nowhere"', err)
        self.assertIn('--to: expected a port from 1 to 65535, found "127.0.0.1:0"', err)
        self.assertIn('found "example.com:80"', err)
        self.assertIn("not supported yet", err)

    def test_checking_binds_nothing(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            text = config(["127.0.0.1:1"], listener={"address": f"127.0.0.1:{taken.getsockname()[1]}"})
            self.assertEqual(run_baton("-t", "-c", self.file("t.toml", text))[0], 0)

    def test_second_baton_on_a_port_ends(self):
        app = self.app()
        first = self.baton([app])
        text = config([app], listener={"address": f"127.0.0.1:{first.port}"})
        status, out, err = run_baton("-c", self.file("second.toml", text))
        self.assertEqual((status, out), (1, ""))
        self.assertIn(f"cannot listen on 127.0.0.1:{first.port}: Address already in use", err)
        for _ in range(20):
            self.assertEqual(self.ask(first).status, 200)  # all of the traffic is still the first one's

    def test_access_log_that_cannot_be_opened(self):
        text = config(["127.0.0.1:1"], log={"access": "/proc/access.log"})
        path = self.file("t.toml", text)
        self.assertEqual(run_baton("-t", "-c", path)[0], 0)
        status, _, err = run_baton("-c", path)
        self.assertEqual(status, 1)
        self.assertIn("/proc/access.log", err)

    def test_several_listeners(self):
        app = self.app()
        text = config([app]) + '[[listener]]\naddress = "[::1]:0"\n'
        baton = self.started(Baton(text))
        self.assertEqual(len(baton.ports), 2)
        self.assertEqual(self.ask(baton).status, 200)
        with socket.create_connection(("::1", baton.ports[1]), 10) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n")
            self.assertTrue(sock.makefile("rb").read().startswith(b"HTTP/1.1 200 "))
        self.assertEqual(app.last().get("X-Forwarded-For"), "::1")
        self.assertEqual(app.last().get("X-Forwarded-Port"), str(baton.ports[1]))


if __name__ == "__main__":
    unittest.main()
