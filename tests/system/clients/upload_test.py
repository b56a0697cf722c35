"""Uploads that ask first, and answers that come before the upload has ended."""

import unittest

from clients import Ask, http_client
from harness import eventually
from real import RealTest, pairs

ASKS_FIRST = {"Expect": "100-continue"}
AT_ONCE = {"Expect": ""}  # curl asks first unless it is told not to
PASSED_ON = {"request_buffer": "0B"}  # it is the server that is asked


class UploadTest(RealTest):
    def assert_not_used_again(self, baton, target, before):
        """That server connection has ended, and the next request goes out on another."""
        eventually(lambda: target.open() == 0, "the end of the server's connection")
        self.assert_whole(http_client(baton.port, self.files, [Ask("/small")])[0], "small")
        self.assertEqual(target.connections() - before, 2)


class ExpectTest(UploadTest):
    @pairs(clients=["curl", "agent", "asyncio"], servers=["nginx", "node"])
    def test_continue(self, client, server):
        ask = self.asking(client)
        target = self.server(server)
        path = "/upload" if server == "node" else f"/stored/expect-{client}"
        for upstream, expect in (({}, None), (PASSED_ON, "100-continue")):
            baton = self.baton([target], upstream=upstream)
            before = target.connections()
            asked = ask(baton, [Ask(path, "PUT", "medium", chunked, fields=ASKS_FIRST) for chunked in (False, True)])
            for answer in asked:
                self.assertEqual((answer.status // 100, answer.interim), (2, [100]))
                if server == "node":
                    self.assertEqual((answer.json()["sha"], answer.json()["expect"]),
                                     (self.files.sha["medium"], expect))
            self.assertEqual((asked.connections, target.connections() - before), (1, 1))
            self.assert_clean(self.log(baton, 2))

    @pairs(clients=["curl", "agent", "asyncio"], servers=["python"])
    def test_continue_from_a_server_that_refuses_then(self, client, server):
        baton = self.baton([self.server(server)])
        answer = self.asking(client)(baton, [Ask("/small", "PUT", "large", fields=ASKS_FIRST)])[0]
        self.assertEqual((answer.status, answer.interim, answer.fields["connection"]), (501, [100], "close"))
        self.assert_clean(self.log(baton, 1))

    def test_large_bodies_of_curl_ask_by_themselves(self):
        baton = self.baton([self.server("node")], upstream=PASSED_ON)
        answer = self.asking("curl")(baton, [Ask("/upload", "POST", "large")])[0]
        self.assertEqual((answer.interim, answer.json()["expect"], answer.json()["sha"]),
                         ([100], "100-continue", self.files.sha["large"]))

    @pairs(clients=["curl", "agent", "asyncio"], servers=["nginx", "node"])
    def test_refused_with_413(self, client, server):
        ask = self.asking(client)
        target = self.server(server)
        baton = self.baton([target], upstream=PASSED_ON)
        path = "/refuse/413" if server == "node" else "/limited/file"
        before = target.connections()
        answer = ask(baton, [Ask(path, "PUT", "large", fields=ASKS_FIRST)])[0]
        self.assertEqual((answer.status, answer.interim, answer.fields["connection"]), (413, [], "close"))
        self.assert_not_used_again(baton, target, before)
        line = self.log(baton, 2)[0]
        self.assertEqual((line["status"], line.get("fault")), (413, None))
        self.assertLess(line["in"], 1000)  # nobody sent the body

    @pairs(clients=["curl", "agent", "asyncio"], servers=["node"])
    def test_refused_with_417(self, client, server):
        baton = self.baton([self.server(server)], upstream=PASSED_ON)
        answer = self.asking(client)(baton, [Ask("/refuse/417", "PUT", "large", fields=ASKS_FIRST)])[0]
        self.assertEqual((answer.status, answer.fields["connection"]), (417, "close"))
        line = self.log(baton, 1)[0]
        self.assertEqual((line["status"], line.get("fault")), (417, None))

    def test_unknown_expectation_reaches_nobody(self):
        target = self.server("node")
        baton = self.baton([target])
        before = target.stats()["requests"]
        answer = self.asking("http_client")(baton, [Ask("/upload", "PUT", "small", fields={"Expect": "tea"})])[0]
        self.assertEqual(answer.status, 417)
        self.assertEqual(self.log(baton, 1)[0]["fault"], "expectation_unknown")
        self.assertEqual(target.stats()["requests"], before)


class EarlyAnswerTest(UploadTest):
    """The answer arrives, whatever becomes of the rest of the upload, and neither connection is used again."""

    def early(self, client, server, path, status, chunked):
        ask = self.asking(client)
        target = self.server(server)
        baton = self.baton([target], limits={"body": "1GiB"})
        before = target.connections()
        answer = ask(baton, [Ask(path, "POST", "large", chunked, fields=AT_ONCE if client == "curl" else {})])[0]
        self.assertEqual((answer.status, answer.fields["connection"]), (status, "close"))
        self.assert_not_used_again(baton, target, before)
        lines = self.log(baton, 2)
        self.assert_clean(lines)
        self.assertEqual([(line["status"], line["tries"]) for line in lines], [(status, 1), (200, 1)])

    @pairs(servers=["node"])
    def test_R_early_answer_of_a_server_that_closes(self, client, server):
        self.early(client, server, "/early/close", 403, False)

    @pairs(servers=["node"])
    def test_R_early_answer_of_a_server_that_reads_on(self, client, server):
        self.early(client, server, "/early/read", 403, True)

    @pairs(servers=["nginx"])
    def test_R_early_answer_of_nginx(self, client, server):
        self.early(client, server, "/limited/file", 413, False)

    @pairs(servers=["python", "python10"])
    def test_R_early_answer_of_a_server_without_that_method(self, client, server):
        self.early(client, server, "/small", 501, False)

    @pairs(servers=["node"])
    def test_R_early_answer_of_baton(self, client, server):
        ask = self.asking(client)
        target = self.server(server)
        baton = self.baton([target], limits={"body": "1MiB"})
        for chunked in (False, True):
            at_once = AT_ONCE if client == "curl" else {}
            answer = ask(baton, [Ask("/upload", "POST", "large", chunked, fields=at_once)])[0]
            self.assertEqual((answer.status, answer.fields["connection"]), (413, "close"))
        eventually(lambda: target.open() == 0, "the end of the server's connection")
        self.assertEqual([(line["status"], line["fault"]) for line in self.log(baton, 2)],
                         [(413, "body_too_large")] * 2)


if __name__ == "__main__":
    unittest.main()
