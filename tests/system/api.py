"""The session API as a server uses it: its calls, and tests whose baton has one."""

import json

from peers import Client
from session_test import SessionTest

TOKEN = "a-token-of-the-scope-app-0123456789"
# The hosts of the tests' requests: one host cannot reach two scopes with one cookie.
APP_HOSTS = ["test.example", "a", "localhost"]
OTHER_TOKEN = "a-token-of-the-scope-other-0123456789"


class Api:
    """Calls on one connection, as a server's pool would hold it; on the next one where an answer ends it."""

    def __init__(self, port, token=TOKEN):
        self.port = port
        self.wire = Client(port)
        self.ended = False
        self.token = token

    def call(self, method, path, body=None, *, fields=(), content_type="application/json"):
        """`body`: bytes as they are, or what is written as JSON. The answer, with `json` if it is any."""
        if self.ended:
            self.wire.close()
            self.wire = Client(self.port)
        fields = list(fields)
        if self.token is not None:
            fields.append(("Authorization", f"Bearer {self.token}"))
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            if content_type is not None:
                fields.append(("Content-Type", content_type))
        answer = self.wire.ask(method, path, host="127.0.0.1", fields=fields, body=body)
        self.ended = answer.closes()
        is_json = answer.get("Content-Type") == "application/json"
        answer.json = json.loads(answer.body) if is_json and answer.body else None
        return answer

    def read(self, session):
        return self.call("GET", f"/v1/sessions/{session}")

    def patch(self, session, body, *, version=None, **keys):
        match = [] if version is None else [("If-Match", f'"{version}"')]
        return self.call("PATCH", f"/v1/sessions/{session}", body, fields=match, **keys)

    def create(self, body=None, **keys):
        return self.call("POST", "/v1/sessions", body, **keys)

    def rotate(self, session):
        return self.call("POST", f"/v1/sessions/{session}/rotate")

    def kill(self, session):
        return self.call("DELETE", f"/v1/sessions/{session}")

    def close(self):
        self.wire.close()


def port_that_serves(baton, what):
    return next(int(event["address"].rpartition(":")[2]) for event in baton.events() if event.get("serves") == what)


class ApiTest(SessionTest):
    """Tests with a session API and an admin listener."""

    def token_file(self, text=None, mode=0o600):
        path = self.file("tokens", text or f"# scope and token\n\napp {TOKEN}\nother\t{OTHER_TOKEN}  \r\n")
        path.chmod(mode)
        return path

    def api_baton(self, servers=(), *, session=None, upstream=None, **keys):
        """Upstreams "app" and "other", each a scope of its own, with the same servers."""
        addresses = [{"address": server.address} for server in servers]
        upstreams = [{"name": name, "servers": addresses, **(upstream or {})} for name in ("app", "other")]
        routes = keys.pop("routes", [{"upstream": "app", "hosts": APP_HOSTS},
                                    {"upstream": "other", "hosts": ["other.example"]}])
        api = {"address": f"127.0.0.1:{keys.pop('api_port', 0)}", "token_file": str(self.token_file())}
        return self.baton(upstreams=upstreams, routes=routes, session={**(session or {}), "api": api},
                          admin={"address": "127.0.0.1:0"}, **keys)

    def api(self, baton, token=TOKEN):
        api = Api(port_that_serves(baton, "session-api"), token)
        self.addCleanup(api.close)
        return api

    def metric(self, baton, name):
        """A number of the admin listener; of several samples their sum."""
        client = self.client(port_that_serves(baton, "admin"))
        text = client.ask(target="/metrics", host="127.0.0.1").body.decode()
        client.close()
        samples = [line.rpartition(" ") for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name]
        self.assertTrue(samples, name)
        return sum(int(value) for _, _, value in samples)
