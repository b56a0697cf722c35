#!/usr/bin/env python3
"""An application behind baton, to copy from: the session is what arrives in the Baton-Session-* fields.

    demo_app.py NAME [PORT]

It keeps nothing: any number of these, in any language, serve one session in turn. Python's standard library only.
The variable BATON_API names a file with the address of baton's session API and a token, for sessions that are too
large for a field.
"""

import json
import os
import sys
from contextlib import closing, suppress
from html import escape
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

PAGE = """<!DOCTYPE html>
<html>
  <head><title>{name}</title></head>
  <body>
    <h1><font color="red">{name}.magedu.com</font></h1>
    <table align="center" border="1">
{rows}
    </table>
    <form method="post" action="/login"><input name="user"><button>log in</button></form>
    <form method="post" action="/cart"><input name="add"><button>into the cart</button></form>
    <form method="post" action="/notes"><textarea name="text"></textarea><button>keep</button></form>
    <form method="post" action="/click"><button>click</button></form>
    <p><a href="/">again</a> <a href="/logout">log out</a></p>
  </body>
</html>
"""


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True
    name = "App"

    def handle(self):
        with suppress(ConnectionError):  # whoever was to read this is gone
            super().handle()

    def do_GET(self):
        if self.path == "/logout":
            self.answer([("State", "logged out")], {"Destroy": "1"})
        elif "Baton-Session-State" not in self.headers:
            self.answer([("Session ID", "none: no baton in front")], {})
        else:
            # Added up by baton: two visits at once are two.
            self.show(self.session(), {"magedu.com": "magedu.com"}, {"visits": 1})

    do_HEAD = do_GET

    def do_POST(self):
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        session = self.session()
        if self.path == "/cart":
            # Read, changed, written back: if another request was faster, this one is answered with 409 and nothing
            # is lost. Whoever asked asks again.
            cart = ",".join(filter(None, [session.get("cart"), form["add"]]))
            self.show(session, {"cart": cart}, {}, {"Base": self.headers.get("Baton-Session-Version", "0")})
        elif self.path == "/click":
            self.show(session, {}, {"clicks": 1})
        elif self.path == "/login":
            # A new id with the new rights: who knew the old one, or planted it, has nothing.
            self.show(session, {"user": form["user"]}, {}, {"Rotate": "login"})
        elif self.path == "/notes":
            self.show(session, {"notes": form["text"]})
        else:
            self.send_error(404)

    def session(self):
        """The attributes: from the field, or from the session API if there are too many for it."""
        if "Baton-Session-Data-Omitted" not in self.headers:
            return dict(parse_qsl(self.headers.get("Baton-Session-Data", ""), keep_blank_values=True))
        address, token = Path(os.environ["BATON_API"]).read_text(encoding="utf-8").split()
        with closing(HTTPConnection(address, timeout=5)) as api:
            api.request("GET", "/v1/sessions/" + self.headers["Baton-Session-Id"],
                        headers={"Authorization": "Bearer " + token})
            return json.load(api.getresponse())["attrs"]

    def show(self, session, changes, counts=None, more=None):
        """The page, with what it changes: attributes that are set, and numbers that are added to others."""
        counts = counts or {}
        shown = {**session, **changes, **{k: str(int(session.get(k, 0)) + n) for k, n in counts.items()}}
        rows = [
            ("Session ID", self.headers.get("Baton-Session-Id", "unknown")),
            ("Created on", self.headers.get("Baton-Session-Created", "this page")),
            ("magedu.com", session.get("magedu.com", "set by this page")),
            *((name, shown.get(name, "0")) for name in ("visits", "clicks")),
            *((name, shown.get(name, "nothing")) for name in ("user", "cart")),
            ("notes", f"{len(shown.get('notes', ''))} characters"),
        ]
        asked = {"Set": urlencode(changes), "Incr": urlencode(counts), **(more or {})}
        self.answer(rows, {name: value for name, value in asked.items() if value})

    def answer(self, rows, asked):
        table = "\n".join(f"      <tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in rows)
        body = PAGE.format(name=self.name, rows=table).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in asked.items():
            self.send_header("Baton-Session-" + name, value)
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
