#!/usr/bin/env python3
"""An application behind baton, to copy from: the session is what arrives in the Baton-Session-* fields.

    demo_app.py NAME [PORT]

It keeps nothing: any number of these, in any language, serve one session in turn. Python's standard library only.
"""

import sys
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode

PAGE = """<!DOCTYPE html>
<html>
  <head><title>{name}</title></head>
  <body>
    <h1><font color="red">{name}.magedu.com</font></h1>
    <table align="center" border="1">
{rows}
    </table>
    <p><a href="/">again</a> <a href="/logout">log out</a></p>
  </body>
</html>
"""


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True
    name = "App"

    def do_GET(self):
        if self.path == "/logout":
            self.answer([("State", "logged out")], {"Baton-Session-Destroy": "1"})
        elif "Baton-Session-State" not in self.headers:
            self.answer([("Session ID", "none: no baton in front")], {})
        else:
            self.visit()

    do_HEAD = do_GET

    def visit(self):
        # What the session holds, and what this page adds to it.
        session = dict(parse_qsl(self.headers.get("Baton-Session-Data", ""), keep_blank_values=True))
        visits = int(session.get("visits", 0)) + 1
        rows = [
            ("Session ID", self.headers.get("Baton-Session-Id", "unknown")),
            ("Created on", self.headers.get("Baton-Session-Created", "this page")),
            ("magedu.com", session.get("magedu.com", "set by this page")),
            ("visits", str(visits)),
        ]
        self.answer(rows, {"Baton-Session-Set": urlencode({"magedu.com": "magedu.com", "visits": visits})})

    def answer(self, rows, fields):
        table = "\n".join(f"      <tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in rows)
        body = PAGE.format(name=self.name, rows=table).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self):
        return self.name  # the Server field

    def log_request(self, code="-", size="-"):
        pass  # baton has the access log


if __name__ == "__main__":
    App.name = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), App)
    print(f"{App.name} http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
