"""`python3 -m http.server`, which in addition tells of its connections: http_server.py PROTOCOL FOLDER."""

import functools
import http.server
import sys

from counted import Counted


class Server(Counted, http.server.ThreadingHTTPServer):
    pass


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = sys.argv[1]


with Server(("127.0.0.1", 0), functools.partial(Handler, directory=sys.argv[2])) as server:
    server.serve()
