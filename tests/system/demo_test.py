"""The demonstration, as a user runs it."""

import os
import re
import socket
import struct
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BATON_BUILD", ROOT / "build"))
CLAIMS = ["page", "rotation", "same id", "same creation time", "counter", "HEAD direct", "HEAD through baton",
          "a server killed", "conflict", "parallel clicks", "login", "more than a field holds", "logout", "old id dead"]


class DemoTest(unittest.TestCase):
    def test_demo_shows_its_claims(self):
        demo = subprocess.run([sys.executable, ROOT / "tests/apps/demo.py", "--exit", "--baton", BUILD / "baton"],
                              capture_output=True, text=True, timeout=60, check=False)
        verdicts = [line for line in demo.stdout.splitlines() if line.startswith(("ok ", "FAILED "))]
        self.assertEqual(verdicts, [f"ok {claim}" for claim in CLAIMS], demo.stdout + demo.stderr)
        self.assertEqual((demo.returncode, demo.stderr), (0, ""))

    def test_the_application_says_nothing_of_clients_that_are_gone(self):
        get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        post = b"POST /notes HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\ntext=a"
        app = subprocess.Popen([sys.executable, ROOT / "tests/apps/demo_app.py", "App01", "0"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        try:
            port = int(re.search(r":(\d+)/$", app.stdout.readline().strip())[1])
            for request in (b"", b"GET / HT", get, get * 50, post):
                with socket.create_connection(("127.0.0.1", port), 10) as client:
                    client.sendall(request)
                    if request.startswith(get):
                        client.recv(1)
                    # Closed with a reset.
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # One that is served after them, so that all of them are over.
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                client.sendall(get)
                self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 200"))
        finally:
            app.terminate()
            self.assertEqual(app.communicate()[1], "")

    def test_demo_app_is_short_enough_to_copy(self):
        app = (ROOT / "tests/apps/demo_app.py").read_text()
        self.assertLessEqual(len(app.splitlines()), 125)


if __name__ == "__main__":
    unittest.main()
