"""What the tests of sessions in Redis share: batons whose store it is, a server between baton and Redis that can break,
and visitors that come all the time and judge every answer."""

import collections
import itertools
import json
import threading
import time
from urllib.parse import parse_qsl

from api import APP_HOSTS, ApiTest, port_that_serves
from harness import eventually
from peers import Client, reply
from resp import NIL, RedisClient, RedisError, bulk, error, integer, simple
from scripted import ScriptedPeer, said


def page(request):
    """Answers with what the client's X-Reply fields say, and tells what baton has told of the session."""
    fields = [tuple(line.split(": ", 1)) for line in request.all("X-Reply")]
    told = [("X-State", request.get("Baton-Session-State", "")), ("X-Data", request.get("Baton-Session-Data", "")),
            ("X-Id", request.get("Baton-Session-Id", ""))]
    return reply(b"page", told + fields)


def shown(session):
    return [("Cookie", f"JSESSIONID={session}")]


def attributes_of(answer):
    """What the app server was told that the session has."""
    return dict(parse_qsl(answer.get("X-Data"), keep_blank_values=True))


class Relay(ScriptedPeer):
    """A scripted server before a real one: what the table does not name is asked there and answered as that does."""

    def __init__(self, node, table=None, **keys):
        self.node = node
        self._lines = {}  # the real connection of each connection
        super().__init__(table, **keys)

    def _answer(self, command, connection):
        second = command.words[1].decode(errors="replace").upper() if command.args else ""
        for key in (f"{command.name} {second}", command.name):
            if key in self.table:
                return said(self.table[key], command.args, connection)
        return self.real(command.words, connection)

    def real(self, words, connection):
        """The real server's answer."""
        line = self._lines.get(connection.number)
        if line is None:
            line = self._lines[connection.number] = RedisClient(self.node.port, password=self.node.password)
        if words[0].upper() == b"AUTH":
            return simple("OK")
        line.send(*words)
        return as_bytes(line.read())

    def passing(self, name, before=lambda: None):
        """An answer for the table: the real one, after `before` was called."""
        def answer(args, connection):
            before()
            return self.real([name.encode(), *args], connection)

        return answer

    def stop(self):
        try:
            super().stop()
        finally:
            for line in list(self._lines.values()):
                line.close()


def as_bytes(value):
    """A reply as Redis sends it: status words as such."""
    if isinstance(value, str):
        return simple(value)
    if isinstance(value, RedisError):
        return error(str(value))
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, (list, tuple)):
        return b"*%d\r\n%s" % (len(value), b"".join(map(as_bytes, value)))
    return NIL if value is None else bulk(value)


class StoreTest(ApiTest):
    """Batons whose sessions are in Redis."""

    def pages(self, count=1):
        return [self.app(page, name="ABC"[number]) for number in range(count)]

    def password_file(self, password, mode=0o600):
        path = self.file("password", password + "\n")
        path.chmod(mode)
        return str(path)

    def redis_of(self, where, **keys):
        """The [redis] table for a node, a scripted peer or a cluster. A key that is None is left out."""
        if getattr(where, "sentinels", None) and hasattr(where, "nodes"):
            at = {"sentinels": where.sentinel_addresses, "master": where.name}
            if where.sentinels[0].password is not None and where.sentinels[0].user is None:
                at["sentinel_password_file"] = self.password_file(where.sentinels[0].password)
        else:
            at = {"address": where.address}
        if getattr(where, "password", None) and not {"password_file", "password_env"} & keys.keys():
            at["password_file"] = self.password_file(where.password)
        return {key: value for key, value in {**at, **keys}.items() if value is not None}

    def store_baton(self, servers, where, *, redis=None, session=None, ready=True, api=True, **keys):
        """A baton with the sessions in `where`, the session API and the admin listener. Returns once it can use it."""
        session = {"store": "redis", **(session or {})}
        if api:
            session["api"] = {"address": "127.0.0.1:0", "token_file": str(self.token_file())}
        routes = keys.pop("routes", None)
        upstreams = keys.pop("upstreams", None)
        if upstreams is None:
            addresses = [{"address": server.address} for server in servers]
            upstreams = [{"name": name, "servers": addresses} for name in ("app", "other")]
            routes = routes or [{"upstream": "app", "hosts": APP_HOSTS},
                                {"upstream": "other", "hosts": ["other.example"]}]
        baton = self.baton(upstreams=upstreams, routes=routes, redis=self.redis_of(where, **(redis or {})),
                           session=session, admin={"address": "127.0.0.1:0"}, **keys)
        if ready:
            self.wait_store(baton, lambda store: store["state"] == "ready")
            workers = keys.get("top", {}).get("workers", 1)
            eventually(lambda: self.metric(baton, "baton_store_connections_total") >= workers, "all connections")
        return baton

    # -- what its operators see

    def admin(self, baton, path):
        client = Client(port_that_serves(baton, "admin"))
        try:
            return client.ask(target=path, host="127.0.0.1")
        finally:
            client.close()

    def store(self, baton):
        return json.loads(self.admin(baton, "/v1/store").body)

    def wait_store(self, baton, wanted, what="the state of the store", patience=30):
        end = time.monotonic() + patience
        while not wanted(store := self.store(baton)):
            if time.monotonic() > end:
                raise AssertionError(f"{what} did not come; it is {store}\n{baton.event_text()}")
            time.sleep(0.01)
        return store

    # -- requests

    def get(self, baton, session=None, *replies, **keys):
        """One request, answered with the field lines `replies`."""
        fields = keys.pop("fields", []) + [("X-Reply", line) for line in replies]
        return self.ask(baton, fields=fields + (shown(session) if session else []), **keys)

    def start(self, baton, *replies, **keys):
        """The id of a new session."""
        answer = self.get(baton, None, *(replies or ["Baton-Session-Create: 1"]), **keys)
        self.assertEqual(answer.status, 200, answer.head)
        self.assertRegex(answer.cookie() or "", r"^[0-9A-F]{32}$")
        return answer.cookie()

    def state_of(self, baton, session, **keys):
        answer = self.get(baton, session, **keys)
        self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
        return answer.get("X-State")

    def visitors(self, batons, sessions, **keys):
        visitors = Visitors([baton.port for baton in batons], sessions, **keys)
        self.addCleanup(visitors.end)
        return visitors


Seen = collections.namedtuple("Seen", "asked came session status state data cookies wrote retry_after fault")


class Visitors:
    """Clients in threads that show their sessions in turn, so many requests a second together. Every `writes`th request
    sets the session's attribute `n` to a number that grows; none writes if it is 0."""

    def __init__(self, ports, sessions, *, rate=500, threads=8, writes=5):
        self.seen = []
        self.sessions = list(sessions)
        self.faults = []
        self.rate = rate
        self._writes = writes
        self._numbers = itertools.count(1)
        self._over = threading.Event()
        self._news = threading.Condition()
        shares = [self.sessions[number::threads] for number in range(threads)]
        self._threads = [threading.Thread(target=self._visit, args=(ports[number % len(ports)], share, threads),
                                          daemon=True)
                         for number, share in enumerate(shares) if share]
        for thread in self._threads:
            thread.start()

    def _visit(self, port, share, threads):
        client = None
        period = threads / self.rate
        due = time.monotonic()
        for turn in itertools.count():
            due = max(due + period, time.monotonic() - 1)  # what was missed is not made up for altogether
            if self._over.wait(max(0, due - time.monotonic())):
                break
            session = share[turn % len(share)]
            # Not the same sessions again and again.
            number = next(self._numbers) if self._writes and (turn + turn // len(share)) % self._writes == 0 else None
            fields = shown(session)
            if number is not None:
                fields.append(("X-Reply", f"Baton-Session-Set: n={number}"))
            asked = time.monotonic()
            try:
                if client is None:
                    client = Client(port)
                answer = client.ask(fields=fields)
                if answer.closes():
                    client.close()
                    client = None
                self._note(Seen(asked, time.monotonic(), session, answer.status, answer.get("X-State"),
                                attributes_of(answer) if answer.get("X-Data") is not None else {},
                                answer.all("Set-Cookie"), number, answer.get("Retry-After"), None))
            except Exception as fault:  # the test's to judge
                self._note(Seen(asked, time.monotonic(), session, 0, None, {}, [], number, None, repr(fault)))
                if client is not None:
                    client.close()
                client = None
        if client is not None:
            client.close()

    def _note(self, one):
        with self._news:
            self.seen.append(one)
            self._news.notify_all()

    def wait(self, wanted, what, patience=40):
        """The first answer that is wanted, of those that came."""
        end = time.monotonic() + patience
        at = 0
        with self._news:
            while True:
                while at < len(self.seen):
                    if wanted(self.seen[at]):
                        return self.seen[at]
                    at += 1
                if not self._news.wait(max(0, end - time.monotonic())) and time.monotonic() >= end:
                    last = self.seen[-5:]
                    raise AssertionError(f"{what} did not come, of {len(self.seen)} answers; the last are {last}")

    def wait_more(self, count):
        """Waits for so many more answers to requests that begin now."""
        now = time.monotonic()
        want = iter(range(1, count))
        self.wait(lambda one: one.asked >= now and next(want, None) is None, f"{count} more answers")

    def end(self):
        """Everything that was seen, in the order in which it came."""
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        return self.seen

    # -- judging

    def rate_until(self, moment):
        return sum(one.came < moment for one in self.seen) / (moment - self.seen[0].asked)

    def written(self, session, since=0.0, until=float("inf")):
        """The last number that was acknowledged of those that came in that time, 0 if there is none."""
        return max((one.wrote for one in self.seen if one.session == session and one.wrote is not None
                    and one.status == 200 and one.state == "live" and since <= one.came < until), default=0)
