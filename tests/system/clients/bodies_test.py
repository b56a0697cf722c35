"""Bodies between real clients and real servers, compared by their hash."""

import unittest

from clients import Ask
from real import RealTest, pairs
from servers import SIZES, file_sha


class BodiesTest(RealTest):
    @pairs()
    def test_downloads(self, client, server):
        ask = self.asking(client)
        baton = self.baton([self.server(server)])
        names = ["small", "medium", "large", "small"]
        for answer, name in zip(ask(baton, [Ask(f"/{name}") for name in names]), names):
            self.assert_whole(answer, name)
            self.assertEqual(answer.fields["content-length"], str(SIZES[name]))
        lines = self.log(baton, 4)
        self.assert_clean(lines)
        self.assertEqual([(line["status"], line["out"] > SIZES[name]) for line, name in zip(lines, names)],
                         [(200, True)] * 4)

    def upload(self, client, target, path_of):
        """Uploads of each size, of a length that is told and one that is not: (file's name, path, chunked, answer)."""
        ask = self.asking(client)
        baton = self.baton([target])
        asks = [Ask(path_of(name, chunked), "PUT", name, chunked) for chunked in (False, True) for name in SIZES]
        asked = ask(baton, asks)
        lines = self.log(baton, len(asks))
        self.assert_clean(lines)
        self.assertEqual([line["in"] > SIZES[one.upload] for line, one in zip(lines, asks)], [True] * len(asks))
        return [(one.upload, one.path, one.chunked, answer) for one, answer in zip(asks, asked)]

    @pairs(servers=["node"])
    def test_uploads(self, client, server):
        for name, _, chunked, answer in self.upload(client, self.server(server), lambda *_: "/upload"):
            said = answer.json()
            self.assertEqual((answer.status, said["size"], said["sha"]), (200, SIZES[name], self.files.sha[name]))
            # What is whole by the time request_buffer is full has a length.
            framing = (None, "chunked") if chunked and SIZES[name] > 16384 else (str(SIZES[name]), None)
            self.assertEqual((said["length"], said["coding"]), framing)

    @pairs(servers=["nginx"])
    def test_stored_uploads(self, client, server):
        target = self.server(server)
        for name, path, _, answer in self.upload(client, target, lambda name, chunked: f"/stored/{name}-{chunked}"):
            self.assertIn(answer.status, (201, 204))
            self.assertEqual(file_sha(target.folder / path[1:]), self.files.sha[name])
            (target.folder / path[1:]).unlink()


if __name__ == "__main__":
    unittest.main()
