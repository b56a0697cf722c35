"""Connections that end in one direction, servers that reset theirs, and sides that are slow."""

import http.client
import socket
import unittest

from clients import Answer, Ask, Stream, http_client, run
from harness import eventually
from peers import PATIENCE
from real import RealTest, pairs

NO_MORE = (OSError, EOFError, http.client.HTTPException)  # how clients say that an answer is not whole


def http_client_half(port, files, ask, meanwhile):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        body = (files.folder / ask.upload).read_bytes() if ask.upload else None
        connection.request(ask.method, ask.path, body=body)
        connection.sock.shutdown(socket.SHUT_WR)
        meanwhile()
        answer = connection.getresponse()
        return Answer(answer.status, answer.getheaders(), answer.read())
    finally:
        connection.close()


def asyncio_half(port, files, ask, meanwhile):
    async def half():
        stream = await Stream.open(port)
        await stream.send(files, ask)
        stream.writer.write_eof()
        meanwhile()
        answer = await stream.answer(ask.method)
        rest = await stream.reader.read()
        stream.close()
        if rest:
            raise ValueError(f"{rest!r} behind the answer")
        return answer

    return run(half())


class HalfCloseTest(RealTest):
    """A client that has said all gets its answer."""

    def half_close(self, client, server, ask, meanwhile=lambda: None):
        target = self.server(server)
        baton = self.baton([target])
        half = {"http_client": http_client_half, "asyncio": asyncio_half}[client]
        answer = half(baton.port, self.files, ask, meanwhile)
        self.assertEqual(answer.fields.get("connection", "close"), "close")
        line = self.log(baton, 1)[0]
        self.assert_clean([line])
        self.assertEqual(line["status"], answer.status)
        return answer

    @pairs(clients=["http_client", "asyncio"])
    def test_R_client_half_close_download(self, client, server):
        for name in ("small", "large"):
            self.assert_whole(self.half_close(client, server, Ask(f"/{name}")), name)

    @pairs(clients=["http_client", "asyncio"], servers=["nginx", "node"])
    def test_R_client_half_close_upload(self, client, server):
        path = "/upload" if server == "node" else f"/stored/half-{client}"
        answer = self.half_close(client, server, Ask(path, "PUT", "medium"))
        self.assertEqual(answer.status // 100, 2)
        if server == "node":
            self.assertEqual(answer.json()["sha"], self.files.sha["medium"])

    @pairs(clients=["http_client", "asyncio"], servers=["node"])
    def test_R_client_half_close_before_the_answer(self, client, server):
        target = self.server(server)

        def release():
            eventually(lambda: target.stats()["waiting"] == 1, "the request")
            target.release()

        answer = self.half_close(client, server, Ask("/wait"), release)
        self.assertEqual((answer.status, answer.body), (200, b"late"))


class ResetTest(RealTest):
    """Servers that reset their connection."""

    @pairs(servers=["node"])
    def test_before_the_answer(self, client, server):
        baton = self.baton([self.server(server)])
        ask = self.asking(client)
        asks = [Ask("/reset/before"), Ask("/reset/before", "POST"), Ask("/reset/before", "POST", "small")]
        for answer in ask(baton, asks):
            self.assertEqual((answer.status, answer.body), (502, b"502 Bad Gateway\n"))
        self.assert_whole(http_client(baton.port, self.files, [Ask("/small")])[0], "small")
        self.assertEqual([(line["tries"], line.get("fault")) for line in self.log(baton, 4)],
                         [(2, "server_gone"), (1, "server_gone"), (1, "server_gone"), (1, None)])

    @pairs(servers=["node"])
    def test_in_the_middle(self, client, server):
        baton = self.baton([self.server(server)])
        ask = self.asking(client)
        with self.assertRaises(NO_MORE):
            ask(baton, [Ask("/reset/middle")])
        self.assert_whole(http_client(baton.port, self.files, [Ask("/small")])[0], "small")
        self.assertEqual([(line["status"], line.get("fault")) for line in self.log(baton, 2)],
                         [(200, "server_gone"), (200, None)])

    @pairs(clients=["http_client"], servers=["node"])
    def test_while_idle(self, client, server):
        target = self.server(server)
        baton = self.baton([target])
        ask = self.asking(client)
        self.assertEqual(ask(baton, [Ask("/reset/idle")])[0].body, b"bye")
        target.release()
        eventually(lambda: target.open() == 0, "the end of the idle connection")
        answer = http_client(baton.port, self.files, [Ask("/upload", "POST", "small")])[0]
        self.assertEqual(answer.json()["sha"], self.files.sha["small"])
        lines = self.log(baton, 2)
        self.assert_clean(lines)
        self.assertEqual([line["tries"] for line in lines], [1, 1])

    def test_R_rst_storm_of_a_server(self):
        baton = self.baton([self.server("node")])
        good = self.good_traffic(baton)
        # A connection each: those that were cut in the middle are of no more use.
        for _ in range(250):
            answer = http_client(baton.port, self.files, [Ask("/reset/before", "POST")])[0]
            self.assertEqual(answer.status, 502)
            with self.assertRaises(NO_MORE):
                http_client(baton.port, self.files, [Ask("/reset/middle")])
        served = good.end()
        self.assertGreater(served, 0)
        lost = [line for line in self.log(baton, served + 500) if line["target"].startswith("/reset")]
        self.assertEqual([(line["status"], line["fault"]) for line in lost],
                         [(502, "server_gone"), (200, "server_gone")] * 250)


class SlowTest(RealTest):
    @pairs(servers=["nginx", "node"])
    def test_server(self, client, server):
        baton = self.baton([self.server(server)])
        answer = self.asking(client)(baton, [Ask("/slow/medium" if server == "nginx" else "/drip")])[0]
        if server == "nginx":
            self.assert_whole(answer, "medium")
        else:
            self.assertEqual((answer.status, answer.body), (200, b"x" * 15))
        self.assert_clean(self.log(baton, 1))

    @pairs(clients=["curl"], servers=["nginx", "node", "python"])
    def test_reader(self, client, server):
        baton = self.baton([self.server(server)])
        answer = self.asking(client)(baton, [Ask("/large")], options=["--limit-rate", "40M"])[0]
        self.assert_whole(answer, "large")
        self.assert_clean(self.log(baton, 1))

    @pairs(clients=["curl"], servers=["nginx", "node"])
    def test_writer(self, client, server):
        baton = self.baton([self.server(server)])
        path = "/upload" if server == "node" else "/stored/slow"
        ask = self.asking(client)
        for chunked in (False, True):
            answer = ask(baton, [Ask(path, "PUT", "medium", chunked)], options=["--limit-rate", "4M"])[0]
            self.assertEqual(answer.status // 100, 2)
            if server == "node":
                self.assertEqual(answer.json()["sha"], self.files.sha["medium"])
        self.assert_clean(self.log(baton, 2))


if __name__ == "__main__":
    unittest.main()
