"""How many connections there are on both sides, by the client's word and the server's."""

import unittest

from clients import Ask, Wrk
from harness import eventually
from real import RealTest, pairs
from servers import Nginx, Node

ROUNDS = 10


class ReuseTest(RealTest):
    @pairs()
    def test_in_turn(self, client, server):
        ask = self.asking(client)
        target = self.server(server)
        baton = self.baton([target])
        before = target.connections()
        asked = ask(baton, [Ask("/small")] * ROUNDS)
        for answer in asked:
            self.assert_whole(answer, "small")
        lines = self.log(baton, ROUNDS)
        self.assert_clean(lines)
        self.assertEqual({line["tries"] for line in lines}, {1})
        # fetch opens a second one if it is asked before it has put the first away.
        self.assertLessEqual(asked.connections, 2 if client == "fetch" else 1)
        used = target.connections() - before
        if server == "python10":  # it closes behind each answer, and no client notices
            self.assertEqual(used, ROUNDS)
        else:
            self.assertLessEqual(used, asked.connections)

    @pairs(clients=["curl", "agent", "http_client", "asyncio"], servers=["nginx", "node"])
    def test_clients_that_close_share_a_server_connection(self, client, server):
        ask = self.asking(client)
        target = self.server(server)
        baton = self.baton([target])
        before = target.connections()
        asked = ask(baton, [Ask("/small", fields={"Connection": "close"})] * 5)
        for answer in asked:
            self.assert_whole(answer, "small")
            self.assertEqual(answer.fields["connection"], "close")
        self.assertEqual(asked.connections, 5)
        self.assertEqual(target.connections() - before, 1)

    def test_different_clients_share_a_server_connection(self):
        target = self.server("node")
        baton = self.baton([target])
        before = target.connections()
        for client in ("curl", "http_client", "agent", "asyncio"):
            self.assert_whole(self.asking(client)(baton, [Ask("/small")])[0], "small")
        self.assertEqual(target.connections() - before, 1)

    def test_parallel_sockets_of_an_agent(self):
        target = self.server("node")
        baton = self.baton([target])
        before = target.connections()
        asked = self.asking("agent")(baton, [Ask("/medium")] * 40, sockets=4)
        for answer in asked:
            self.assert_whole(answer, "medium")
        self.assertEqual(asked.connections, 4)
        self.assertLessEqual(target.connections() - before, 4)

    @pairs(clients=["wrk"], servers=["nginx", "node"])
    def test_load(self, client, server):
        self.need(client)
        target = self.server(server)
        baton = self.baton([target])
        before = target.connections()
        load = Wrk(baton.port, "/small", connections=8)
        self.addCleanup(load.kill)
        requests, complaints = load.result()
        self.assertGreater(requests, 0)
        self.assertEqual(complaints, [])
        self.assertLessEqual(target.connections() - before, 8)
        # At its end wrk leaves in the middle of what it has asked.
        self.assertLessEqual({line.get("fault") for line in self.log(baton)}, {None, "client_gone"})

    def own_server(self, server, nginx_settings, **node_settings):
        """One with its own idea of how long connections live."""
        self.need(server)
        return self.own(Nginx(self.files, nginx_settings) if server == "nginx" else Node(self.files, **node_settings))

    @pairs(clients=["curl", "agent", "http_client"], servers=["nginx", "node"])
    def test_server_that_allows_three_requests(self, client, server):
        ask = self.asking(client)
        target = self.own_server(server, "keepalive_requests 3;", maxRequestsPerSocket=3)
        baton = self.baton([target])
        asked = ask(baton, [Ask("/small")] * ROUNDS)
        for answer in asked:
            self.assert_whole(answer, "small")
        self.assertEqual(asked.connections, 1)
        self.assertEqual(target.connections(), (ROUNDS + 2) // 3)
        self.assertEqual({line["tries"] for line in self.log(baton, ROUNDS)}, {1})

    @pairs(clients=["http_client"], servers=["nginx", "node"])
    def test_server_that_closes_idle_connections(self, client, server):
        ask = self.asking(client)
        target = self.own_server(server, "keepalive_timeout 300ms;", keepAliveTimeout=300)
        baton = self.baton([target])
        self.assert_whole(ask(baton, [Ask("/small")])[0], "small")
        eventually(lambda: target.open() == 0, "the end of the idle connection")
        # What cannot be sent twice goes out on a new connection.
        path = "/upload" if server == "node" else "/stored/once"
        answer = ask(baton, [Ask(path, "POST" if server == "node" else "PUT", "small")])[0]
        self.assertEqual(answer.status // 100, 2)
        self.assertEqual(target.connections(), 2)
        self.assertEqual({line["tries"] for line in self.log(baton, 2)}, {1})


if __name__ == "__main__":
    unittest.main()
