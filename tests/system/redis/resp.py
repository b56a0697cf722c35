"""RESP2, the protocol of Redis and Sentinel: a blocking client, and what a scripted server is made of.

Simple strings are `str`, bulk strings `bytes`, nil is None, arrays are lists, and an error is a RedisError.
"""

import socket
import time

from peers import PATIENCE

MORE = object()  # what a parser says when the value has not come whole


class RedisError(Exception):
    """An error reply. Its text is as it came, with the word in front: `READONLY You can't write ...`."""

    def __eq__(self, other):
        return isinstance(other, RedisError) and str(self) == str(other)

    def __hash__(self):
        return hash(str(self))

    @property
    def code(self):
        return str(self).partition(" ")[0]


class Malformed(Exception):
    """The bytes are no RESP2."""


# ---------------------------------------------------------------- reading


class Parser:
    """Values from bytes in whatever pieces they come."""

    def __init__(self):
        self.buffer = bytearray()

    def feed(self, data):
        self.buffer += data

    def next(self):
        """The next value, errors as values too; MORE if it is not whole."""
        value, end = self._value(0)
        if value is not MORE:
            del self.buffer[:end]
        return value

    def _value(self, start):
        end = self.buffer.find(b"\r\n", start)
        if end < 0:
            return MORE, 0
        kind, text, end = self.buffer[start:start + 1], bytes(self.buffer[start + 1:end]), end + 2
        try:
            if kind == b"+":
                return text.decode(), end
            if kind == b"-":
                return RedisError(text.decode(errors="replace")), end
            if kind == b":":
                return int(text), end
            if kind == b"$":
                return self._bulk(int(text), end)
            if kind == b"*":
                return self._array(int(text), end)
        except ValueError as fault:
            raise Malformed(repr(bytes(self.buffer[start:start + 100]))) from fault
        raise Malformed(repr(bytes(self.buffer[start:start + 100])))

    def _bulk(self, size, at):
        if size < 0:
            return None, at
        if len(self.buffer) < at + size + 2:
            return MORE, 0
        if self.buffer[at + size:at + size + 2] != b"\r\n":
            raise Malformed("a bulk string does not end where it says")
        return bytes(self.buffer[at:at + size]), at + size + 2

    def _array(self, count, at):
        if count < 0:
            return None, at
        values = []
        for _ in range(count):
            value, at = self._value(at)
            if value is MORE:
                return MORE, 0
            values.append(value)
        return values, at


# ---------------------------------------------------------------- writing

OK = b"+OK\r\n"
NIL = b"$-1\r\n"


def simple(text):
    return b"+%s\r\n" % text.encode()


def error(text):
    return b"-%s\r\n" % text.encode()


def integer(number):
    return b":%d\r\n" % number


def to_bytes(value):
    return value if isinstance(value, (bytes, bytearray)) else str(value).encode()


def bulk(value):
    data = to_bytes(value)
    return b"$%d\r\n%s\r\n" % (len(data), data)


def array(*values):
    """An array reply of any values."""
    return b"*%d\r\n%s" % (len(values), b"".join(map(reply, values)))


def reply(value):
    """A Python value as the reply that `Parser` makes it of, but every string is a bulk string."""
    if value is None:
        return NIL
    if isinstance(value, RedisError):
        return error(str(value))
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, (list, tuple)):
        return array(*value)
    return bulk(value)


def request(*words):
    """A command, as clients send it."""
    return b"*%d\r\n%s" % (len(words), b"".join(map(bulk, words)))


def pairs(values):
    """The dictionary in a reply that lists names and values in turn, as text."""
    words = [value.decode() for value in values]
    return dict(zip(words[::2], words[1::2]))


# ---------------------------------------------------------------- client


class RedisClient:
    """One connection. A wait that takes longer than `timeout` raises TimeoutError, and the connection stays usable.

    A connection that ends raises ConnectionError.
    """

    def __init__(self, port, *, password=None, user=None, host="127.0.0.1", timeout=PATIENCE):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._timeout = timeout
        self._parser = Parser()
        if password is not None:
            try:
                self.command("AUTH", *([user] if user else []), password)
            except Exception:
                self.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *words):
        self.send_raw(request(*words))

    def send_raw(self, data):
        self.sock.settimeout(self._timeout)
        self.sock.sendall(data)

    def read(self, timeout=None):
        """The next value, whatever it is."""
        end = time.monotonic() + (self._timeout if timeout is None else timeout)
        while (value := self._parser.next()) is MORE:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no reply; there is {bytes(self._parser.buffer[:200])!r}")
            self.sock.settimeout(left)
            data = self.sock.recv(1 << 18)
            if not data:
                raise ConnectionError(f"the connection ended; there is {bytes(self._parser.buffer[:200])!r}")
            self._parser.feed(data)
        return value

    def reply(self, timeout=None):
        """The next value. Raises it, if it is an error."""
        value = self.read(timeout)
        if isinstance(value, RedisError):
            raise value
        return value

    def command(self, *words):
        self.send(*words)
        return self.reply()

    def pipeline(self, *commands):
        """The replies to commands that are sent all at once. Errors are among them as values."""
        self.send_raw(b"".join(request(*words) for words in commands))
        return [self.read() for _ in commands]

    def subscribe(self, *channels):
        self.send("SUBSCRIBE", *channels)
        for _ in channels:
            self.reply()

    def message(self, timeout=None):
        """(channel, text) of the next message of a channel."""
        while True:
            kind, *rest = self.reply(timeout)
            if kind == b"message":
                return tuple(word.decode() for word in rest)

    def at_end(self, timeout=None):
        """Waits until the peer ends the connection: "end", or "reset". What comes before it is a failure."""
        self.sock.settimeout(self._timeout if timeout is None else timeout)
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionResetError:
            return "reset"
        if data:
            raise AssertionError(f"not the end, but {data!r}")
        return "end"

    def close(self):
        self.sock.close()
