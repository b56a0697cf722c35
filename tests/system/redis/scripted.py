"""A server in threads that looks like Redis or Sentinel, says what a test tells it to, and keeps all that it is told.

A table gives the answer to a command, by its name ("GET") or its first two words ("SCRIPT LOAD"): the bytes of a reply
(resp.py has the means to make them), or `answer(args, connection)`, which returns such bytes, or None to say nothing.
The functions below make answers of that kind. What is not in the table is answered as Redis 7.0.15 does.
"""

import dataclasses
import fnmatch
import hashlib
import secrets
import socket
import struct
import threading
import time

from peers import PATIENCE
from resp import MORE, NIL, OK, Malformed, Parser, array, bulk, error, integer, simple

VERSION = "7.0.15"
WRONG_PASSWORD = "WRONGPASS invalid username-password pair or user is disabled."
NO_PASSWORD = ("ERR AUTH <password> called without any password configured for the default user. "
               "Are you sure your configuration is correct?")


# ---------------------------------------------------------------- answers


def said(answer, args, connection):
    """The bytes of an answer, whatever kind it is of."""
    return answer(args, connection) if callable(answer) else answer


def never(_args, _connection):
    """No answer, and none to what comes behind it on the connection."""
    raise Silence


def close(_args, connection):
    """The end of the connection, in place of an answer."""
    connection.close()


def reset(_args, connection):
    """RST in place of an answer."""
    connection.reset()


def cut(answer, size):
    """The first `size` bytes of an answer, then the end of the connection."""
    def cutting(args, connection):
        connection.send(said(answer, args, connection)[:size])
        connection.close()

    return cutting


def late(answer, seconds):
    def waiting(args, connection):
        connection.over.wait(seconds)
        return said(answer, args, connection)

    return waiting


def slowly(answer, pause=0.001):
    """Byte by byte."""
    def dripping(args, connection):
        connection.send(said(answer, args, connection), pause=pause)

    return dripping


def in_turn(*answers):
    """The first time the first, and so on; the last from then on."""
    left, lock = list(answers), threading.Lock()

    def next_one(args, connection):
        with lock:
            answer = left.pop(0) if len(left) > 1 else left[0]
        return said(answer, args, connection)

    return next_one


class Held:
    """An answer that does not come before `release`. `waiting` is set once somebody has asked."""

    def __init__(self, answer):
        self._answer = answer
        self._released = threading.Event()
        self.waiting = threading.Event()

    def __call__(self, args, connection):
        self.waiting.set()
        while not self._released.wait(0.005):
            if connection.over.is_set():
                return None
        return said(self._answer, args, connection)

    def release(self):
        self._released.set()


class Silence(Exception):
    """The connection says nothing any more."""


# ---------------------------------------------------------------- the server


@dataclasses.dataclass
class Command:
    words: list  # bytes
    connection: int  # a number
    time: float  # time.monotonic()

    @property
    def name(self):
        """In upper case."""
        return self.words[0].decode(errors="replace").upper()

    @property
    def args(self):
        return self.words[1:]

    def begins_with(self, name):
        """Whether these are its first words, in whatever case."""
        wanted = name.upper().split()
        return [word.decode(errors="replace").upper() for word in self.words[:len(wanted)]] == wanted


class Connection:
    def __init__(self, sock, number):
        self.sock = sock
        self.number = number
        self.user = None  # who has logged in
        self.database = 0
        self.name = ""  # CLIENT SETNAME
        self.channels = {}  # channel or pattern: "message" or "pmessage"
        self.over = threading.Event()
        self._sending = threading.Lock()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data, pause=None):
        """These bytes, byte by byte if there is a pause. One that has ended takes none."""
        with self._sending:
            try:
                for piece in [data] if pause is None else [data[i:i + 1] for i in range(len(data))]:
                    if pause is not None:
                        self.over.wait(pause)
                    self.sock.sendall(piece)
            except OSError:
                pass

    def close(self):
        self.over.set()
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
        except OSError:
            pass

    def reset(self):
        """RST: what SO_LINGER 0 makes of the end of a socket."""
        self.over.set()
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.shutdown(socket.SHUT_RD)  # wakes the thread that reads it, which closes it; sends nothing
        except OSError:
            pass


class ScriptedPeer:
    """`role` is "master", "slave" or "sentinel". All of these may be changed while it runs:

    table       its answers, by command
    role, password, config (what CONFIG GET finds)
    master      (host, port): of a replica its master, of a Sentinel the master that it names
    replicas, sentinels   the addresses that a Sentinel knows
    """

    def __init__(self, table=None, *, role="master", password=None, master=None, replicas=(), sentinels=(),
                 name="mymaster", config=None, listening=True):
        self.table = dict(table or {})
        self.role = role
        self.password = password
        self.master = master
        self.replicas = list(replicas)
        self.sentinels = list(sentinels)
        self.name = name
        self.config = {"maxmemory": "0", "maxmemory-policy": "noeviction", **(config or {})}
        self.run_id = secrets.token_hex(20)
        self.commands = []
        self.scripts = {}  # SCRIPT LOAD: text by SHA-1
        self.connections = 0  # how many there have been
        self.faults = []
        self._open = {}  # connections by number
        self._threads = []
        self._news = threading.Condition()
        self._listener = None
        # Keeps the port, also while nothing listens there.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self.host, self.port = self._held.getsockname()
        self.address = f"127.0.0.1:{self.port}"
        if listening:
            self.listen()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # -- its connections

    def listen(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        listener.listen(512)
        self._listener = listener
        self._begin(self._accept, listener)

    def refuse(self):
        """Refuses new connections until `listen`; those that there are stay."""
        with self._news:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept, and refuses from now on

    def drop(self, *, reset=False):
        """Ends all connections."""
        for connection in self.open():
            connection.reset() if reset else connection.close()

    def die(self):
        """What a process that ends does."""
        self.refuse()
        self.drop()

    def stop(self):
        """The clean-up of each test. Answers that broke fail it."""
        self.die()
        for thread in list(self._threads):
            thread.join(PATIENCE)
        self._held.close()
        if self.faults:
            raise AssertionError(f"scripted {self.role}: {self.faults}")

    def open(self):
        """The connections that are open, in the order in which they came."""
        with self._news:
            return list(self._open.values())

    def send(self, data, pause=None):
        """Bytes that nobody asked for, on all connections."""
        for connection in self.open():
            connection.send(data, pause)

    def _begin(self, work, *args):
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener):
        with listener:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                with self._news:
                    if self._listener is not listener:
                        sock.close()
                        return
                    self.connections += 1
                    connection = self._open[self.connections] = Connection(sock, self.connections)
                    self._begin(self._serve, connection)
                    self._news.notify_all()

    def _serve(self, connection):
        parser = Parser()
        try:
            while not connection.over.is_set() and (data := connection.sock.recv(1 << 16)):
                parser.feed(data)
                while not connection.over.is_set() and (words := parser.next()) is not MORE:
                    self._command(words, connection)
        except Silence:
            self._listen_only(connection)
        except OSError:
            pass  # the other side has ended it, or the test has
        except Malformed as fault:
            self.faults.append(f"malformed: {fault}")
        except Exception as fault:  # a test's own answer: show it where the test ends
            self.faults.append(repr(fault))
        connection.over.set()
        with self._news:
            self._open.pop(connection.number, None)
            self._news.notify_all()
        connection.sock.close()

    def _listen_only(self, connection):
        try:
            while connection.sock.recv(1 << 16):
                pass
        except OSError:
            pass

    # -- what a test waits for

    def wait(self, wanted, what):
        with self._news:
            if not self._news.wait_for(wanted, PATIENCE):
                told = [b" ".join(command.words)[:100] for command in self.commands[-20:]]
                raise AssertionError(f"scripted {self.role}: {what} did not come; it has {self.connections} "
                                     f"connections, of which {len(self._open)} are open, and got {told}; "
                                     f"{self.faults}")

    def got(self, name):
        """The commands that begin with these words, in the order in which they came."""
        return [command for command in list(self.commands) if command.begins_with(name)]

    def wait_command(self, name, count=1):
        """The first such command, or the one of that number."""
        self.wait(lambda: len(self.got(name)) >= count, f"{count} {name}")
        return self.got(name)[count - 1]

    def wait_open(self, count):
        """Waits until just so many connections are open."""
        self.wait(lambda: len(self._open) == count, f"{count} open connections")

    def wait_connections(self, count):
        """Waits until there have been so many."""
        self.wait(lambda: self.connections >= count, f"{count} connections")

    def wait_subscribed(self, channel, count=1):
        self.wait(lambda: sum(channel in one.channels for one in self._open.values()) >= count,
                  f"{count} subscriptions to {channel}")

    # -- channels

    def publish(self, channel, text):
        """Tells the subscribers; how many were told."""
        messages = []
        with self._news:
            for connection in self._open.values():
                for wanted, kind in connection.channels.items():
                    if kind == "message" and wanted == channel:
                        messages.append((connection, array(kind, channel, text)))
                    elif kind == "pmessage" and fnmatch.fnmatchcase(channel, wanted):
                        messages.append((connection, array(kind, wanted, channel, text)))
        for connection, message in messages:
            connection.send(message)
        return len(messages)

    def switch_master(self, address):
        """What a Sentinel does that has changed the master: names another one, and tells of it."""
        (old_host, old_port), self.master = self.master, address
        return self.publish("+switch-master", f"{self.name} {old_host} {old_port} {address[0]} {address[1]}")

    # -- commands

    def _command(self, words, connection):
        if not isinstance(words, list) or not words or not all(isinstance(word, bytes) for word in words):
            raise Malformed(f"not a command: {words!r}")
        command = Command(words, connection.number, time.monotonic())
        with self._news:
            self.commands.append(command)
            self._news.notify_all()
        data = self._answer(command, connection)
        if data is not None:
            connection.send(data)

    def _answer(self, command, connection):
        name = command.name
        second = command.words[1].decode(errors="replace").upper() if command.args else ""
        if self.password is not None and connection.user is None and name not in ("AUTH", "HELLO", "QUIT"):
            return error("NOAUTH Authentication required.")
        for key in (f"{name} {second}", name):
            if key in self.table:
                return said(self.table[key], command.args, connection)
        if connection.channels and name not in ("SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "PING",
                                                "QUIT"):
            return error(f"ERR Can't execute '{name.lower()}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
                         "RESET are allowed in this context")
        own = getattr(self, f"_{name.lower()}", None) if name in KNOWN else None
        if own is None or name == "SENTINEL" and self.role != "sentinel":
            return error(f"ERR unknown command '{words_of(command)[0]}', with args beginning with: "
                         + "".join(f"'{word}' " for word in words_of(command)[1:]))
        return own(command.args, connection)

    def _auth(self, args, connection):
        user, password = (args if len(args) == 2 else [b"default", *args])
        if self.password is None and len(args) == 1:
            return error(NO_PASSWORD)
        if self.password is not None and password != self.password.encode():
            return error(WRONG_PASSWORD)
        connection.user = user.decode()
        return OK

    def _select(self, args, connection):
        connection.database = int(args[0])
        return OK

    def _client(self, args, connection):
        verb = args[0].upper()
        if verb == b"ID":
            return integer(connection.number)
        if verb == b"SETNAME":
            connection.name = args[1].decode()
        elif verb == b"GETNAME":
            return bulk(connection.name) if connection.name else NIL
        elif verb == b"SETINFO":  # came with 7.2
            return error(f"ERR unknown subcommand '{args[0].decode()}'. Try CLIENT HELP.")
        return OK

    def _ping(self, args, connection):
        if connection.channels:
            return array("pong", args[0] if args else "")
        return bulk(args[0]) if args else simple("PONG")

    def _quit(self, _args, connection):
        connection.send(OK)
        connection.close()

    def _role(self, _args, _connection):
        if self.role == "sentinel":
            return array("sentinel", [self.name])
        if self.role == "slave":
            host, port = self.master or ("127.0.0.1", 1)
            return array("slave", host, int(port), "connected", 0)
        return array("master", 0, [])

    def _info(self, _args, _connection):
        lines = ["# Server", f"redis_version:{VERSION}",
                 f"redis_mode:{'sentinel' if self.role == 'sentinel' else 'standalone'}", f"run_id:{self.run_id}",
                 f"tcp_port:{self.port}"]
        if self.role != "sentinel":
            lines += ["", "# Replication", f"role:{self.role}", "connected_slaves:0"]
        if self.role == "slave":
            host, port = self.master or ("127.0.0.1", 1)
            lines += [f"master_host:{host}", f"master_port:{port}", "master_link_status:up"]
        return bulk("\r\n".join(lines) + "\r\n")

    def _script(self, args, _connection):
        verb = args[0].upper()
        if verb == b"LOAD":
            digest = hashlib.sha1(args[1]).hexdigest()
            self.scripts[digest] = args[1]
            return bulk(digest)
        if verb == b"EXISTS":
            return array(*(int(digest.decode() in self.scripts) for digest in args[1:]))
        if verb == b"FLUSH":
            self.scripts.clear()
        return OK

    def _config(self, args, _connection):
        if args[0].upper() == b"SET":
            self.config.update(zip((word.decode() for word in args[1::2]), (word.decode() for word in args[2::2])))
            return OK
        patterns = [word.decode().lower() for word in args[1:]]
        found = {key: value for key, value in self.config.items() if any(fnmatch.fnmatchcase(key, p) for p in patterns)}
        return array(*(word for pair in found.items() for word in pair))

    def _subscribe(self, args, connection):
        return self._join(args, connection, "subscribe", "message")

    def _psubscribe(self, args, connection):
        return self._join(args, connection, "psubscribe", "pmessage")

    def _join(self, args, connection, word, kind):
        data = b""
        with self._news:
            for channel in args:
                connection.channels[channel.decode()] = kind
                data += array(word, channel, len(connection.channels))
            # A message must not come before this does.
            connection.send(data)
            self._news.notify_all()

    def _unsubscribe(self, args, connection):
        return self._leave(args, connection, "unsubscribe", "message")

    def _punsubscribe(self, args, connection):
        return self._leave(args, connection, "punsubscribe", "pmessage")

    def _leave(self, args, connection, word, kind):
        data = b""
        for channel in args or [key.encode() for key, value in connection.channels.items() if value == kind] or [None]:
            if channel is not None:
                connection.channels.pop(channel.decode(), None)
            data += array(word, channel, len(connection.channels))
        return data

    # -- commands of a Sentinel

    def _sentinel(self, args, _connection):
        verb, name = args[0].decode().upper(), args[1].decode() if len(args) > 1 else ""
        known = name == self.name and self.master is not None
        if verb == "GET-MASTER-ADDR-BY-NAME":
            return array(*map(str, self.master)) if known else b"*-1\r\n"
        if verb not in ("MASTER", "MASTERS", "SENTINELS", "REPLICAS", "SLAVES"):
            return error(f"ERR unknown subcommand '{args[0].decode()}'. Try SENTINEL HELP.")
        if verb == "MASTERS":
            return array(*([self._master_fields()] if self.master else []))
        if not known:
            return error("ERR No such master with that name")
        if verb == "MASTER":
            return array(*self._master_fields())
        flags, addresses = ("sentinel", self.sentinels) if verb == "SENTINELS" else ("slave", self.replicas)
        return array(*(self._other_fields(address, flags) for address in addresses))

    def _master_fields(self):
        host, port = self.master
        return ["name", self.name, "ip", host, "port", str(port), "runid", self.run_id, "flags", "master",
                "num-slaves", str(len(self.replicas)), "num-other-sentinels", str(len(self.sentinels)), "quorum", "2"]

    def _other_fields(self, address, flags):
        host, _, port = str(address).rpartition(":")
        fields = ["name", address, "ip", host, "port", port, "runid", hashlib.sha1(address.encode()).hexdigest(),
                  "flags", flags]
        if flags == "slave":
            fields += ["master-link-status", "ok", "master-host", self.master[0], "master-port", str(self.master[1])]
        return fields


KNOWN = {"AUTH", "SELECT", "CLIENT", "PING", "QUIT", "ROLE", "INFO", "SCRIPT", "CONFIG", "SUBSCRIBE", "PSUBSCRIBE",
         "UNSUBSCRIBE", "PUNSUBSCRIBE", "SENTINEL"}


def words_of(command):
    return [word.decode(errors="replace")[:128] for word in command.words]
