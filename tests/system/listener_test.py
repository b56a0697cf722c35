"""What comes in at a listener, before it is a request."""

import socket
import unittest
from pathlib import Path

from harness import SystemTest, eventually
from peers import PATIENCE

ESTABLISHED, NEW = "01", "03"  # states of proc(5), net/tcp: a deferred connection is a request for one


def state_of(client):
    """Of the side of the listener, as the kernel tells it."""
    def name(address):
        return f"0100007F:{address[1]:04X}"

    ends = name(client.getpeername()), name(client.getsockname())
    for line in Path("/proc/net/tcp").read_text().splitlines():
        words = line.split()
        if tuple(words[1:3]) == ends:
            return words[3]
    return None


class DeferTest(SystemTest):
    def connected(self, baton):
        client = socket.create_connection(("127.0.0.1", baton.port), PATIENCE)
        self.addCleanup(client.close)
        return client

    def deferring(self, **keys):
        return self.baton([self.app()], listener={"defer_accept": True}, **keys)

    def test_connection_waits_in_the_kernel_for_its_first_bytes(self):
        baton = self.deferring()
        # After a second the kernel gives in; a machine that slow is tried again.
        eventually(lambda: state_of(self.connected(baton)) == NEW, "a connection that is held back")
        client = self.connected(baton)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertIn(b" 200 ", client.recv(100))
        self.assertEqual(state_of(client), ESTABLISHED)

    def test_silent_connection_is_taken_in_all_the_same(self):
        baton = self.deferring(timeouts={"keepalive": "10ms"})
        self.assertEqual(self.connected(baton).recv(1), b"")  # by baton, which has waited long enough

    def test_connections_are_taken_in_at_once_unless_told_otherwise(self):
        baton = self.baton([self.app()])
        clients = [self.connected(baton) for _ in range(20)]
        self.assertIn(ESTABLISHED, [state_of(client) for client in clients])


if __name__ == "__main__":
    unittest.main()
