"""Odd messages between real programs: interim answers, a head alone, trailers, HTTP/1.0, pipelines."""

import unittest

from clients import Ask, Stream, run
from peers import sha
from real import RealTest, pairs
from servers import SIZES


class AnswerTest(RealTest):
    """Each is followed by an ordinary answer on the same connection: nobody has lost count."""

    def follow(self, client, server, *asks, **keys):
        ask = self.asking(client)
        target = self.server(server)
        baton = self.baton([target])
        before = target.connections()
        asked = ask(baton, [*asks, Ask("/small")], **keys)
        self.assert_whole(asked[-1], "small")
        if client != "fetch":  # it gives connections up by rules of its own
            self.assertEqual(asked.connections, 1)
        if server != "python10":
            self.assertLessEqual(target.connections() - before, asked.connections)
        self.assert_clean(self.log(baton, len(asks) + 1))
        return asked.answers[:-1]

    # Python's http.client takes a 103 for the final answer.
    @pairs(clients=["curl", "fetch", "agent", "asyncio"], servers=["node"])
    def test_early_hints(self, client, server):
        for answer in self.follow(client, server, Ask("/hints"), Ask("/hints")):
            self.assertEqual((answer.status, answer.body), (200, b"hinted"))
            self.assertEqual(answer.interim, [] if client == "fetch" else [103, 103])  # fetch does not tell

    @pairs()
    def test_head(self, client, server):
        for answer, name in zip(self.follow(client, server, Ask("/large", "HEAD"), Ask("/small", "HEAD")),
                                ("large", "small")):
            self.assertEqual((answer.status, answer.body, answer.fields["content-length"]),
                             (200, b"", str(SIZES[name])))

    @pairs(servers=["nginx", "node"])
    def test_no_content(self, client, server):
        path = "/204" if server == "node" else "/empty"
        for answer in self.follow(client, server, Ask(path), Ask(path)):
            self.assertEqual((answer.status, answer.body, answer.fields.get("content-length")), (204, b"", None))

    @pairs()
    def test_not_modified(self, client, server):
        later = {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
        if server == "nginx":
            later = {"If-None-Match": self.etag(server)}
        path = "/304" if server == "node" else "/medium"
        for answer in self.follow(client, server, Ask(path, fields=later), Ask(path, fields=later)):
            self.assertEqual((answer.status, answer.body), (304, b""))
            if server == "node":  # it tells the length of what it does not send
                self.assertEqual(answer.fields["content-length"], "1234")

    def etag(self, server):
        return self.asking("http_client")(self.baton([self.server(server)]), [Ask("/medium", "HEAD")])[0].fields["etag"]

    @pairs(servers=["node"])
    def test_unknown_length(self, client, server):
        for answer in self.follow(client, server, Ask("/chunked"), Ask("/chunked")):
            self.assertEqual((answer.status, answer.body), (200, b"two pieces"))

    @pairs(servers=["node"])
    def test_trailers_of_an_answer_are_dropped(self, client, server):
        for answer in self.follow(client, server, Ask("/trailers"), Ask("/trailers")):
            self.assertEqual((answer.status, answer.body), (200, b"with trailers"))
            self.assertEqual((answer.trailers, answer.fields.get("trailer")), ([], None))

    @pairs(clients=["agent", "asyncio"], servers=["node"])
    def test_trailers_of_a_request_are_dropped(self, client, server):
        upload = Ask("/upload", "PUT", "medium", chunked=True, trailers=True)
        for answer in self.follow(client, server, upload, upload):
            said = answer.json()
            self.assertEqual((said["sha"], said["trailers"]), (self.files.sha["medium"], {}))


class OldClientTest(RealTest):
    """HTTP/1.0."""

    @pairs(clients=["curl"])
    def test_curl(self, client, server):
        baton = self.baton([self.server(server)])
        asked = self.asking(client)(baton, [Ask("/small"), Ask("/large"), Ask("/small", "HEAD")],
                                    options=["--http1.0"])
        self.assert_whole(asked[0], "small")
        self.assert_whole(asked[1], "large")
        self.assertEqual((asked[2].status, asked[2].body), (200, b""))
        self.assertEqual(asked.connections, 3)
        self.assert_clean(self.log(baton, 3))

    @pairs(clients=["curl"], servers=["nginx", "node"])
    def test_upload(self, client, server):
        target = self.server(server)
        baton = self.baton([target])
        path = "/upload" if server == "node" else "/stored/old"
        answer = self.asking(client)(baton, [Ask(path, "PUT", "medium")], options=["--http1.0"])[0]
        self.assertEqual((answer.status // 100, answer.interim), (2, []))
        self.assert_clean(self.log(baton, 1))

    @pairs(clients=["asyncio"])
    def test_keep_alive(self, client, server):
        target = self.server(server)
        baton = self.baton([target])
        before = target.connections()
        asked = self.asking(client)(baton, [Ask("/small", fields={"Connection": "Keep-Alive"})] * 10, version="1.0")
        for answer in asked:
            self.assert_whole(answer, "small")
            self.assertEqual(answer.fields["connection"], "keep-alive")
        self.assertEqual(asked.connections, 1)
        self.assertEqual(target.connections() - before, 10 if server == "python10" else 1)

    @pairs(clients=["asyncio"], servers=["node"])
    def test_unknown_length_ends_the_connection(self, client, server):
        baton = self.baton([self.server(server)])
        asked = self.asking(client)(baton, [Ask("/chunked", fields={"Connection": "Keep-Alive"})] * 2, version="1.0")
        for answer in asked:
            self.assertEqual((answer.body, answer.fields["connection"]), (b"two pieces", "close"))
            self.assertNotIn("transfer-encoding", answer.fields)
        self.assertEqual(asked.connections, 2)

    @pairs(clients=["curl", "asyncio"], servers=["node"])
    def test_no_early_hints(self, client, server):
        baton = self.baton([self.server(server)])
        old = {"options": ["--http1.0"]} if client == "curl" else {"version": "1.0"}
        answer = self.asking(client)(baton, [Ask("/hints")], **old)[0]
        self.assertEqual((answer.status, answer.body, answer.interim), (200, b"hinted", []))


class PipelineTest(RealTest):
    @pairs(clients=["asyncio"])
    def test_answers_come_in_order(self, _, server):
        target = self.server(server)
        baton = self.baton([target])
        before = target.connections()
        asks = [Ask("/small"), Ask("/medium", "HEAD"), Ask("/medium"), Ask("/nowhere"), Ask("/small")] * 4

        async def pipelined():
            stream = await Stream.open(baton.port)
            stream.writer.write(b"".join(b"%s %s HTTP/1.1\r\nHost: a\r\n\r\n" % (ask.method.encode(), ask.path.encode())
                                         for ask in asks))
            answers = [await stream.answer(ask.method) for ask in asks]
            stream.close()
            return answers

        for answer, ask in zip(run(pipelined()), asks):
            if ask.path == "/nowhere":
                self.assertEqual(answer.status, 404)
            elif ask.method == "HEAD":
                self.assertEqual((answer.status, answer.body), (200, b""))
            else:
                self.assert_whole(answer, ask.path[1:])
        lines = self.log(baton, len(asks))
        self.assert_clean(lines)
        self.assertEqual([line["target"] for line in lines], [ask.path for ask in asks])
        if server in ("nginx", "node"):
            self.assertEqual(target.connections() - before, 1)

    @pairs(clients=["asyncio"], servers=["node"])
    def test_uploads_in_a_row(self, _, server):
        baton = self.baton([self.server(server)])
        body = (self.files.folder / "medium").read_bytes()

        async def pipelined():
            stream = await Stream.open(baton.port)
            stream.writer.write(b"PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body) +
                                b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n" +
                                b"PUT /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
                                b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            answers = [await stream.answer() for _ in range(3)]
            stream.close()
            return answers

        first, second, third = run(pipelined())
        self.assertEqual((first.json()["sha"], third.json()["sha"]), (sha([body]), sha([body])))
        self.assert_whole(second, "small")


if __name__ == "__main__":
    unittest.main()
