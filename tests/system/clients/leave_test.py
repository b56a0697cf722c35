"""Clients that leave in the middle: the server's connection ends, and nothing is lost but that request."""

import random
import unittest

from clients import LEAVERS, Ask, Wrk, http_client
from harness import eventually
from peers import Client
from real import RealTest, pairs


class LeaveTest(RealTest):
    def leave(self, client, server, ask, under_way):
        """The line of the log of a client that leaves."""
        self.asking(client)  # or it is not there
        target = self.server(server)
        baton = self.baton([target], upstream={"keepalive": {"idle_max": 0}}, limits={"body": 0})
        before = baton.descriptors() + 1  # the first stream makes libuv keep one more
        LEAVERS[client](baton.port, self.files, ask, under_way(target))
        eventually(lambda: baton.descriptors() == before, "the end of both connections")
        eventually(lambda: target.open() == 0, "the end of the server's connection")
        self.assert_whole(http_client(baton.port, self.files, [Ask("/small")])[0], "small")
        line, next_line = self.log(baton, 2)
        self.assert_clean([next_line])
        return line

    @pairs(servers=["nginx", "node", "python"])
    def test_download(self, client, server):
        line = self.leave(client, server, Ask("/endless"), lambda target: lambda: False)
        self.assertEqual((line["status"], line["fault"]), (200, "client_gone"))

    @pairs(servers=["nginx", "node"])
    def test_upload(self, client, server):
        def under_way(target):
            if server == "nginx":
                return lambda: any(file.stat().st_size for file in (target.folder / "temp/body").iterdir())
            before = target.stats()["bytes"]
            return lambda: target.stats()["bytes"] > before

        path = "/upload" if server == "node" else "/stored/never"
        line = self.leave(client, server, Ask(path, "PUT", "endless"), under_way)
        self.assertEqual((line["status"], line["fault"]), (499, "client_gone"))


class ManyLeaveTest(RealTest):
    """At every moment of a request, with good traffic beside it."""

    HEAD = b" HTTP/1.1\r\nHost: a\r\n"
    MOMENTS = [(b"", False),  # what is sent, and whether something of the answer is read
               (b"GET /sma", False),
               (b"GET /small" + HEAD, False),
               (b"GET /small" + HEAD + b"\r\n", False),
               (b"GET /small" + HEAD + b"\r\n", True),
               (b"GET /large" + HEAD + b"\r\n", False),
               (b"GET /large" + HEAD + b"\r\n", True),
               (b"PUT /stored/never" + HEAD + b"Content-Length: 100\r\n\r\nnot all", False),
               (b"PUT /stored/never" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nnot", False),
               (b"GET /small" + HEAD + b"\r\nGET /medium" + HEAD + b"\r\n", True),
               (b"nonsense\r\n\r\n", False)]

    def leave(self, baton, turn, reset):
        data, read = self.MOMENTS[turn % len(self.MOMENTS)]
        client = Client(baton.port)
        client.send(data)
        if read:
            client.more()
        if reset:
            client.reset()
        else:
            client.sock.close()

    def many(self, rounds, reset):
        """So many clients that leave. What the log says of them."""
        target = self.server("nginx")
        baton = self.baton([target], upstream={"keepalive": {"idle_max": 0}})
        before = baton.descriptors() + 1  # the first stream makes libuv keep one more
        good = self.good_traffic(baton)
        for turn in range(rounds):
            self.leave(baton, turn, reset(turn))
        served = good.end()
        self.assertGreater(served, 0)
        eventually(lambda: baton.descriptors() == before, "the end of all connections")
        eventually(lambda: target.open() == 0, "the end of the server's connections")
        lines = self.log(baton)
        self.assertGreaterEqual(sum("fault" not in line for line in lines), served)
        return {line.get("fault") for line in lines}

    def test_R_client_gone(self):
        source = random.Random(1)
        faults = self.many(3_000, lambda turn: source.random() < 0.5)
        self.assertEqual(faults, {None, "client_gone", "bad_request"})

    def test_R_client_gone_with_all_its_connections(self):
        self.need("wrk")
        target = self.server("nginx")
        baton = self.baton([target], upstream={"keepalive": {"idle_max": 0}})
        before = baton.descriptors() + 1  # the first stream makes libuv keep one more
        good = self.good_traffic(baton)
        for _ in range(5):
            load = Wrk(baton.port, "/medium", connections=32, duration="60s")
            self.addCleanup(load.kill)
            served = len(baton.access_lines())
            eventually(lambda: len(baton.access_lines()) > served + 100, "some of its requests")
            load.kill()
        good.end()
        eventually(lambda: baton.descriptors() == before, "the end of all connections")
        self.assertLessEqual({line.get("fault") for line in self.log(baton)}, {None, "client_gone"})

    def test_R_rst_storm(self):
        faults = self.many(2_000, lambda turn: True)
        self.assertLessEqual(faults, {None, "client_gone", "bad_request"})


if __name__ == "__main__":
    unittest.main()
