"""What load may cost: memory for each connection, computing, descriptors; and logs that cannot be written."""

import json
import os
import resource
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from harness import Baton, SystemTest, config, eventually, parse_event
from peers import PATIENCE, chunk

KIB = 1 << 10
MIB = 1 << 20


def settled(value):
    """The value once it has not changed for 300 ms, a while in which nothing was to be done."""
    end, last, still = time.monotonic() + PATIENCE, value(), 0
    while still < 30:
        if time.monotonic() > end:
            raise AssertionError(f"does not settle: {last}")
        threading.Event().wait(0.01)
        still = still + 1 if value() == last else 0
        last = value()
    return last


class BoundsTest(SystemTest):
    def folder(self):
        folder = tempfile.TemporaryDirectory(prefix="baton-test-")
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def assert_serves(self, baton, count=10):
        for _ in range(count):
            self.assertEqual(self.ask(baton).status, 200)


class IdleTest(BoundsTest):
    def test_R_idle_connections(self):
        baton = self.baton(self.load("serve").addresses(), log={"access": "off"})
        most = int(parse_event(baton.wait_event("event=ready").encode())["connections_max"])
        count = min(5000, most - 100)
        warm = self.load("crowd", port=baton.port, connections=50)
        warm.tell("each")
        warm.wait_lines(2)
        before = baton.own_memory()
        crowd = self.load("crowd", port=baton.port, connections=count)
        crowd.tell("each")
        self.assertEqual(crowd.wait_lines(2)[1], f"answers {count} refused 0")
        each = (baton.own_memory() - before) / count
        print(f"{count} idle connections hold {each:.0f} bytes each")
        self.assertLessEqual(each, KIB)
        crowd.tell("each")
        self.assertEqual(crowd.wait_lines(3)[2], f"answers {count} refused 0")


class FloodTest(BoundsTest):
    def test_R_chunk_bomb(self):
        # A million bytes, a chunk each, both ways.
        data = os.urandom(1_000_000)
        bomb = b"".join(b"1\r\n%c\r\n" % byte for byte in data) + b"0\r\n\r\n"

        def answer(request):
            got.append(b"".join(request.pieces()))
            request.wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + bomb)

        got = []
        baton = self.baton([self.app(answer)])
        client = self.client(baton)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + bomb)
        self.assertEqual(client.answer().body, data)
        self.assertEqual(got, [data])
        print(f"two million chunks took {baton.cpu_seconds():.2f} s of CPU")
        self.assertLess(baton.cpu_seconds(), 2)

    def test_R_header_flood(self):
        floods = {
            b"\r\n": b"\r\n" * 100,  # empty lines before any request
            b"GET /": b"x" * 4096,  # a request line without end
            b"GET / HTTP/1.1\r\nHost: a\r\nX: ": b"x" * 4096,  # a value
            b"GET / HTTP/1.1\r\nHost: a\r\n": b"X: y\r\n" * 100,  # fields
            b"GET / HTTP/1.1\r\nHost: a\r\nX": b"x" * 4096,  # a name
            b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n": b" y\r\n" * 100,  # continuations of a line
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;": b"x" * 4096,  # a chunk's line
            b"POST / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n": b"X: y\r\n" * 100,  # trailers
        }
        baton = self.baton([self.app()])
        self.assert_serves(baton)
        before = baton.own_memory()
        for begin, more in floods.items():
            for _ in range(100):
                self.assertIn(self.flood(baton, begin, more), (400, 413, 414, 431, None), begin)
        grown = baton.own_memory() - before
        print(f"{grown / KIB:.0f} KiB held after {100 * len(floods)} floods")
        self.assertLess(grown, MIB)
        self.assert_serves(baton)

    def flood(self, baton, begin, more):
        """The status of the answer that ends it; None if there was an end and no answer."""
        client = self.client(baton)
        try:
            client.send(begin)
            sent = 0
            while not client.readable(0):
                client.send(more)
                sent += len(more)
                self.assertLess(sent, 64 * MIB, begin)
            answer = client.answer()
            self.assertTrue(answer.closes())
            return answer.status
        except (EOFError, OSError):
            return None
        finally:
            client.close()

    def test_R_header_flood_held(self):
        # A hundred heads at once that are nearly too large, and not whole yet.
        baton = self.baton([self.app()])
        self.assert_serves(baton)
        before = baton.own_memory()
        begin = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
        clients = [self.client(baton) for _ in range(100)]
        for client in clients:
            client.send(begin + b"x" * (32_000 - len(begin)))
        self.assert_serves(baton)
        each = settled(lambda: baton.own_memory() - before) / len(clients)
        print(f"a head of 32 KiB that is not whole holds {each / KIB:.1f} KiB")
        self.assertLess(each, 64 * KIB)
        for client in clients:
            self.assertFalse(client.readable(0))
            client.send(b"x" * 1000)
            self.assertEqual(client.answer().status, 431)


class StallTest(BoundsTest):
    # 64 KiB may be unsent, and what one read brings beyond; strings grow by doubling.
    each_max = 256 * KIB

    def test_R_slow_read(self):
        baton = self.baton(self.load("serve").addresses())
        self.assert_serves(baton)
        before = baton.own_memory()
        clients = [self.client(baton, receive_buffer=16 * KIB) for _ in range(50)]
        for number, client in enumerate(clients, 1):
            client.request(target=f"/{number}/5000000")
        for client in clients:
            self.assertTrue(client.readable(PATIENCE))
        each = settled(lambda: baton.own_memory() - before) / len(clients)
        print(f"a download that is not read holds {each / KIB:.1f} KiB")
        self.assertLess(each, self.each_max)
        self.assert_serves(baton)
        self.assertEqual(clients[7].answer().body, (b"8;" * 2_500_000))

    def test_R_slow_read_upload(self):
        # The servers accept nothing: the kernel takes a little for them.
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * KIB)
            listener.bind(("127.0.0.1", 0))
            listener.listen(100)
            app = self.app()
            stuck = {"name": "stuck", "servers": [{"address": f"127.0.0.1:{listener.getsockname()[1]}"}]}
            fine = {"name": "fine", "servers": [{"address": app.address}]}
            baton = self.baton(upstreams=[stuck, fine], routes=[{"upstream": "fine"},
                                                                {"upstream": "stuck", "path": "/stuck",
                                                                 "session": "off"}])
            self.assert_serves(baton)
            before = baton.own_memory()
            clients = [self.client(baton) for _ in range(50)]
            for client in clients:
                client.send(b"POST /stuck HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n")
            self.send_until_stuck(clients)
            each = (baton.own_memory() - before) / len(clients)
            print(f"an upload that is not read holds {each / KIB:.1f} KiB")
            self.assertLess(each, self.each_max)
            self.assert_serves(baton)

    def send_until_stuck(self, clients):
        """Until none of them has taken anything for 300 ms; it is well before they have taken all."""
        taken = 0
        for client in clients:
            client.sock.setblocking(False)
        while True:
            ready = select.select([], [client.sock for client in clients], [], 0.3)[1]
            if not ready:
                return
            for sock in ready:
                taken += sock.send(b"x" * 100_000)
            self.assertLess(taken, 50_000_000 * len(clients) // 2)


class SlowClientTest(BoundsTest):
    def until_ended(self, baton, clients, dribble):
        """Lets the clients dribble, beside good traffic, until baton has answered all of them."""
        good = self.client(baton)
        end = time.monotonic() + PATIENCE
        waiting = list(clients)
        while waiting:
            self.assertLess(time.monotonic(), end, f"{len(waiting)} go on")
            for client in waiting:
                try:
                    client.send(dribble)
                except OSError:
                    pass  # its end came in between
            self.assertEqual(good.ask().status, 200)
            threading.Event().wait(0.02)
            waiting = [client for client in waiting if not client.readable(0)]
        return [client.answer().status for client in clients]

    def test_R_slow_head(self):
        baton = self.baton([self.app()], timeouts={"header": "700ms"})
        for begin in (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"GET /", b"GET / HTTP/1.1\r\nHost: a\r\nX"):
            clients = [self.client(baton) for _ in range(30)]
            for client in clients:
                client.send(begin)
            self.assertEqual(self.until_ended(baton, clients, b"x"), [408] * 30)

    def test_R_slow_body(self):
        # Silence ends it; a dribble goes on for as long as `total` lets it.
        app = self.app()
        for timeouts, total, dribble in (("400ms", "0s", b""), ("30s", "700ms", b"x")):
            baton = self.baton([app], timeouts={"body_idle": timeouts}, upstream={"timeouts": {"total": total}})
            clients = [self.client(baton) for _ in range(30)]
            for client in clients:
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nxxx")
            statuses = self.until_ended(baton, clients, dribble)
            self.assertEqual(set(statuses), {408})  # the client is what takes the time, either way


class LogTest(BoundsTest):
    def assert_dropped(self, baton, **fields):
        event = parse_event(baton.wait_event("log lines dropped").encode())
        self.assertGreater(int(event["lines"]), 0)
        self.assertEqual({key: event.get(key) for key in fields}, fields)

    def ask_many(self, baton, count):
        outcomes = self.load("ask", port=baton.port, requests=count, connections=8).wait()
        self.assertEqual({line.split()[1] for line in outcomes}, {"ok"})
        self.assertEqual(len(outcomes), count)

    def test_R_log_disk_full(self):
        baton = self.baton([self.app()], log={"access": "/dev/full"})
        self.assert_serves(baton, 20)
        self.assert_dropped(baton, target="/dev/full", error="No space left on device")
        self.assert_serves(baton)

    def test_R_log_disk_full_and_free_again(self):
        disk = self.folder()
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, text=True,
                               check=False)
        if mount.returncode != 0:
            self.skipTest(f"no file system of 1 MB: {mount.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        log = disk / "access.log"
        baton = self.baton(self.load("serve").addresses(), log={"access": str(log)})
        self.ask_many(baton, 8000)
        self.assert_dropped(baton, target=str(log), error="No space left on device")
        log.unlink()
        baton.signal(signal.SIGUSR1)
        eventually(log.exists, "the new file")
        self.ask(baton, target="/1/1?behind")
        eventually(lambda: b"?behind" in log.read_bytes(), "the line")
        for line in log.read_text().splitlines():
            json.loads(line)

    def test_R_log_stuck(self):
        # A pipe that is open and not read, until it is.
        pipe = self.folder() / "pipe"
        os.mkfifo(pipe)
        baton = self.baton(self.load("serve").addresses(), log={"access": str(pipe)})
        self.ask_many(baton, 20_000)  # more lines than may wait
        self.assert_dropped(baton)
        self.assert_serves(baton)
        lines, reader = [], os.open(pipe, os.O_RDONLY)

        def read():
            with os.fdopen(reader, "rb") as file:
                for line in file:
                    lines.append(line)
                    if b"?behind" in line:
                        return

        thread = threading.Thread(target=read, daemon=True)
        thread.start()

        def ask_and_look():  # what is asked while there is no room yet leaves no line
            self.ask(baton, target="/1/1?behind")
            return not thread.is_alive()

        eventually(ask_and_look, "a line that is read")
        for line in lines:
            json.loads(line)


class DescriptorTest(BoundsTest):
    def assert_calm(self, baton):
        before, began = baton.cpu_seconds(), time.monotonic()
        threading.Event().wait(1)  # the time to be measured
        share = (baton.cpu_seconds() - before) / (time.monotonic() - began)
        print(f"{100 * share:.0f} % of a CPU while there are no descriptors")
        self.assertLess(share, 0.2)

    def test_R_fd_exhaustion(self):
        # Half of them are left for servers: each request takes a new connection to one.
        server = self.load("serve")
        text = config(server.addresses(), upstream={"keepalive": {"idle_max": 0}})
        baton = self.started(Baton(text, descriptors=256))
        self.assertIn("connections_max=95", baton.wait_event("event=ready"))  # (256 - 64 - 2) / 2
        crowd = self.load("crowd", port=baton.port, connections=1000, begun=1)
        crowd.wait_lines(1)
        baton.wait_event("accepting paused")
        self.assert_calm(baton)
        # Each that has its answer gives its place to one that waits.
        crowd.tell("all 1000")
        self.assertEqual(crowd.wait_lines(2)[1], "answers 1000 refused 0")
        crowd.finish()
        self.assert_serves(baton)

    def test_R_fd_exhaustion_unforeseen(self):
        # What was derived at the start is more than there is now.
        baton = self.baton(self.load("serve").addresses())
        resource.prlimit(baton.pid, resource.RLIMIT_NOFILE, (256, 256))
        crowd = self.load("crowd", port=baton.port, connections=1000)
        crowd.tell("all 150")
        crowd.wait_lines(2)
        self.assertIn("Too many open files", baton.wait_event("accepting paused"))
        self.assert_calm(baton)
        crowd.finish()
        self.assertIn(self.ask(baton).status, (200, 503))  # its turn came after all of the crowd's
        eventually(lambda: baton.descriptors() < 100, "the end of the crowd's connections")
        self.assert_serves(baton)


if __name__ == "__main__":
    unittest.main()
