"""The peers of a proxy, on raw sockets: clients, and scripted app servers that keep all they were sent."""

import hashlib
import random
import select
import socket
import struct
import threading

PATIENCE = 10  # seconds for every wait


class Broken(AssertionError):
    """The peer's bytes are no HTTP message, or end before it does."""


class Incomplete(Broken):
    """The message has begun, and the connection ended before it was whole."""


class Message:
    """A head as it came, its first line and its fields in order."""

    def __init__(self, head):
        self.head = head  # raw bytes, with the empty line
        lines = head.decode("latin-1").split("\r\n")
        self.first_line = lines[0]
        self.fields = []
        for line in lines[1:-2]:
            name, colon, value = line.partition(":")
            if not colon:
                raise Broken(f"no field: {line!r}")
            self.fields.append((name, value.strip(" \t")))

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        if len(values) > 1:
            raise Broken(f"{name} came {len(values)} times: {values}")
        return values[0] if values else default

    def names(self):
        return [name.lower() for name, _ in self.fields]


class Wire:
    """A socket with a buffer and a hang guard."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def more(self):
        """Reads once. False at the end."""
        data = self.sock.recv(1 << 18)
        self.buffer += data
        return bool(data)

    def take(self, size):
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def until(self, mark, begun=False):
        while mark not in self.buffer:
            try:
                if self.more():
                    continue
            except ConnectionResetError as reset:
                raise Incomplete(f"reset before {mark!r}: {self.buffer!r}") from reset
            raise (Incomplete if self.buffer or begun else EOFError)(f"end before {mark!r}: {self.buffer!r}")
        return self.take(self.buffer.index(mark) + len(mark))

    def pieces(self, size):
        """`size` bytes, as they come."""
        while size > 0:
            if not self.buffer:
                try:
                    if not self.more():
                        raise Incomplete(f"end, {size} bytes before the body's")
                except ConnectionResetError as reset:
                    raise Incomplete(f"reset, {size} bytes before the body's end") from reset
            piece = self.take(size)
            size -= len(piece)
            yield piece

    def chunks(self, trailers):
        """The data of a chunked body, as it comes. Lines behind the last chunk are added to `trailers`."""
        while True:
            line = self.until(b"\r\n", begun=True)
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            yield from self.pieces(size)
            if b"".join(self.pieces(2)) != b"\r\n":
                raise Broken("a chunk does not end where it says")
        while True:
            line = self.until(b"\r\n", begun=True)
            if line == b"\r\n":
                return
            trailers.append(line)

    def to_the_end(self):
        """The rest until the peer closes. A reset is Incomplete."""
        while True:
            if self.buffer:
                yield self.take(len(self.buffer))
            try:
                if not self.more():
                    return
            except ConnectionResetError as reset:
                raise Incomplete("reset in a body until close") from reset

    def readable(self, seconds):
        return bool(self.buffer) or bool(select.select([self.sock], [], [], seconds)[0])

    def wait_end(self):
        """Waits until the peer ends the connection, by FIN or by reset; what came before it."""
        data = b""
        try:
            for piece in self.to_the_end():
                data += piece
        except Incomplete:
            pass
        return data

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()  # no shutdown: it would send a FIN before the RST

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes a thread that reads it
        except OSError:
            pass
        self.sock.close()


class Answer(Message):
    def __init__(self, head):
        super().__init__(head)
        version, status, *_ = self.first_line.split(" ", 2)
        if version != "HTTP/1.1":
            raise Broken(self.first_line)
        self.status = int(status)
        self.body = b""
        self.trailers = []
        self.interim = []  # the 1xx before it

    def closes(self):
        return "close" in self.get("Connection", "").lower()

    def cookie(self, name="JSESSIONID"):
        """The value of the one cookie of that name which it sets, or None."""
        values = [v.split(";")[0].partition("=")[2] for v in self.all("Set-Cookie") if v.startswith(f"{name}=")]
        if len(values) > 1:
            raise Broken(f"several cookies: {values}")
        return values[0] if values else None


class Client(Wire):
    """A client's connection to baton."""

    def __init__(self, port, *, receive_buffer=None):
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(PATIENCE)
        try:
            sock.connect(("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        super().__init__(sock)

    def request(self, method="GET", target="/", *, host="test.example", fields=(), body=None, version="1.1"):
        lines = [f"{method} {target} HTTP/{version}"]
        if host is not None:
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in fields]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))

    def head(self):
        return Answer(self.until(b"\r\n\r\n"))

    def answer(self, method="GET", *, interim=True):
        """The next answer, whole. Raises Incomplete if it is not."""
        passed = []
        answer = self.head()
        while answer.status < 200 and answer.status != 101 and interim:
            passed.append(answer)
            answer = self.head()
        answer.interim = passed
        answer.body = b"".join(self.body_of(answer, method))
        return answer

    def body_of(self, answer, method="GET"):
        if method == "HEAD" or answer.status < 200 or answer.status in (204, 304):
            return ()
        if answer.get("Transfer-Encoding") is not None:
            if answer.get("Transfer-Encoding") != "chunked" or answer.get("Content-Length") is not None:
                raise Broken("bad framing")
            return self.chunks(answer.trailers)
        if answer.get("Content-Length") is not None:
            return self.pieces(int(answer.get("Content-Length")))
        return self.to_the_end()

    def ask(self, method="GET", target="/", **keys):
        self.request(method, target, **keys)
        return self.answer(method)


# ---------------------------------------------------------------- app servers


class Request(Message):
    """A request as an app server got it. The body is read when it is asked for."""

    def __init__(self, head, wire, connection):
        super().__init__(head)
        self.method, self.target, self.version = self.first_line.split(" ")
        self.wire = wire
        self.connection = connection  # a number
        self.trailers = []
        self._body = None
        self._read = False

    def pieces(self):
        self._read = True
        if self.get("Transfer-Encoding") is not None:
            return self.wire.chunks(self.trailers)
        return self.wire.pieces(int(self.get("Content-Length", "0")))

    def read_rest(self):
        if not self._read:
            self._body = b"".join(self.pieces())

    @property
    def body(self):
        if self._body is None:
            self._body = b"" if self._read else b"".join(self.pieces())
        return self._body


class App:
    """An app server in threads. `handler(request)` returns the answer's bytes; None: it has seen to it itself.

    A handler that raises `App.Close` ends the connection, after sending what it carries.
    """

    class Close(Exception):
        def __init__(self, data=b"", *, reset=False):
            super().__init__()
            self.data = data
            self.reset = reset

    def __init__(self, handler=None, *, name="app", host="127.0.0.1", send_buffer=None, receive_buffer=None):
        self.handler = handler or (lambda request: reply(self.name.encode(), [("X-App", self.name)]))
        self.name = name
        self.requests = []
        self.connections = 0
        self.ended = 0  # connections that are over
        self.faults = []
        self._news = threading.Condition()
        self._wires = {}
        self._threads = []
        self._open = True
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for option, size in ((socket.SO_SNDBUF, send_buffer), (socket.SO_RCVBUF, receive_buffer)):
            if size:
                self._listener.setsockopt(socket.SOL_SOCKET, option, size)
        self._listener.bind((host, 0))
        self._listener.listen(512)
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._news:
                if not self._open:
                    sock.close()
                    return
                self.connections += 1
                number = self.connections
                wire = self._wires[number] = Wire(sock)
                wire.sock.settimeout(60)  # an idle connection is no hang
                thread = threading.Thread(target=self._serve, args=(wire, number), daemon=True)
                self._threads.append(thread)
                self._news.notify_all()
            thread.start()

    def _serve(self, wire, number):
        try:
            self._serve_requests(wire, number)
        except App.Close as close:
            try:
                wire.send(close.data)
                if close.reset:
                    wire.reset()
            except OSError:
                pass
        except (EOFError, OSError, Incomplete):
            pass  # baton has ended the connection, or the test has
        except Exception as fault:  # a test's own handler: show it where the test ends
            self.faults.append(repr(fault))
        with self._news:
            self._wires.pop(number, None)
            self.ended += 1
            self._news.notify_all()
        wire.close()

    def _serve_requests(self, wire, number):
        while True:
            request = Request(wire.until(b"\r\n\r\n"), wire, number)
            with self._news:
                self.requests.append(request)
                self._news.notify_all()
            data = self.handler(request)
            if data is not None:
                request.read_rest()  # it stands in the way of the next head
                wire.send(data)

    def notify(self):
        """A handler has changed something that a test may wait for."""
        with self._news:
            self._news.notify_all()

    def wait(self, wanted, what):
        with self._news:
            if not self._news.wait_for(wanted, PATIENCE):
                raise AssertionError(f"{self.name}: {what} did not come; it has {len(self.requests)} requests, "
                                     f"{self.connections} connections, of which {self.ended} ended; {self.faults}")

    def wait_requests(self, count=1):
        self.wait(lambda: len(self.requests) >= count, f"{count} requests")
        return self.requests[count - 1]

    def last(self):
        return self.requests[-1]

    def kill(self):
        """What a dying process does: nothing listens any more, every connection breaks."""
        with self._news:
            self._open = False
            wires = list(self._wires.values())
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        except OSError:
            pass
        self._listener.close()
        for wire in wires:
            wire.close()

    def stop(self):
        self.kill()
        self._accepting.join(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        if self.faults:
            raise AssertionError(f"{self.name}: {self.faults}")


def reply(body=b"", fields=(), status="200 OK"):
    """An answer with a length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"] + [f"{name}: {value}" for name, value in fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def sha(pieces):
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def raw(*parts):
    """An answer as it stands; the connection ends behind it."""
    def answer(_request):
        raise App.Close(b"".join(parts))

    return answer


def random_pieces(total, seed):
    """`total` random bytes in pieces of random sizes, small and large."""
    source = random.Random(seed)
    while total > 0:
        size = min(total, source.choice((1, 2, 15, 16, 17, 255, 4096, source.randrange(1, 70_000))))
        yield source.randbytes(size)
        total -= size
