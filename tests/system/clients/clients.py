"""Real clients: curl, Node's fetch and http.Agent, Python's http.client and asyncio streams, wrk.

Each function of CLIENTS asks a list of `Ask`s, one after the other, and keeps connections as its library does.
"""

import asyncio
import dataclasses
import http.client
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Optional

from harness import eventually
from peers import PATIENCE, Message
from servers import HERE, tool


@dataclasses.dataclass
class Ask:
    path: str
    method: str = "GET"
    upload: Optional[str] = None  # a file's name
    chunked: bool = False
    trailers: bool = False  # behind a chunked upload
    fields: dict = dataclasses.field(default_factory=dict)


class Answer:
    """What a client had of an answer. Clients differ in what they show of interim answers and trailers."""

    def __init__(self, status, fields, body, interim=(), trailers=()):
        self.status = status
        self.fields = {name.lower(): value for name, value in fields}
        self.body = body
        self.interim = list(interim)  # statuses
        self.trailers = list(trailers)  # names

    def json(self):
        return json.loads(self.body)


@dataclasses.dataclass
class Asked:
    answers: list
    connections: int  # how many the client opened, by its own word

    def __iter__(self):
        return iter(self.answers)

    def __getitem__(self, index):
        return self.answers[index]


# ---------------------------------------------------------------- curl


def curl_command(*arguments):
    return [tool("curl"), "-q", "-sS", "--noproxy", "*", "--max-time", str(3 * PATIENCE), *map(str, arguments)]


def curl(port, files, asks, options=()):
    with tempfile.TemporaryDirectory(prefix="baton-curl-") as folder:
        command = curl_command()
        for number, ask in enumerate(asks):
            command += ["--next", "-sS", "--noproxy", "*", "--max-time", str(3 * PATIENCE)] if number else []
            command += [*options, "-o", f"{folder}/{number}", "-D", f"{folder}/{number}.head"]
            command += ["-w", "%{json}\n"]
            command += ["--head"] if ask.method == "HEAD" else ["-X", ask.method] if ask.method != "GET" else []
            command += ["-T", files.folder / ask.upload] if ask.upload else []
            command += ["-H", "Transfer-Encoding: chunked"] if ask.chunked else []
            for name, value in ask.fields.items():
                command += ["-H", f"{name}: {value}" if value else f"{name}:"]
            command.append(f"http://127.0.0.1:{port}{ask.path}")
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode != 0:
            raise ConnectionError(f"curl: {done.returncode} {done.stderr.decode()}")
        told = [json.loads(line) for line in done.stdout.splitlines()]
        answers = [curl_answer(Path(folder, str(number)), ask) for number, ask in enumerate(asks)]
        return Asked(answers, sum(one["num_connects"] for one in told))


def curl_answer(body, ask):
    heads = [Message(head + b"\r\n\r\n") for head in
             body.with_suffix(".head").read_bytes().split(b"\r\n\r\n") if head]
    # Trailers stand behind the last head, where curl was sent any.
    finals = [head for head in heads if head.first_line.startswith("HTTP/")]
    statuses = [int(head.first_line.split()[1]) for head in finals]
    empty = ask.method == "HEAD" or not body.exists()
    return Answer(statuses[-1], finals[-1].fields, b"" if empty else body.read_bytes(), statuses[:-1],
                  [head.first_line for head in heads if head not in finals])


# ---------------------------------------------------------------- Node


def node_client(what, port, files, asks, **keys):
    job = {"what": what, "port": port, "folder": str(files.folder), "asks": list(map(dataclasses.asdict, asks)), **keys}
    done = subprocess.run([tool("node"), HERE / "client.js", json.dumps(job)], stdin=subprocess.DEVNULL,
                          capture_output=True, check=False, timeout=3 * PATIENCE)
    if done.returncode != 0:
        raise ConnectionError(f"{what}: {done.stderr.decode()[-2000:]}")
    told, _, bodies = done.stdout.partition(b"\n")
    told = json.loads(told)
    answers = []
    for one in told["answers"]:
        body, bodies = bodies[:one["size"]], bodies[one["size"]:]
        answers.append(Answer(one["status"], one["fields"], body, one["interim"], one["trailers"]))
    return Asked(answers, told["connections"])


def fetch(port, files, asks, **keys):
    return node_client("fetch", port, files, asks, **keys)


def agent(port, files, asks, **keys):
    return node_client("agent", port, files, asks, **keys)


# ---------------------------------------------------------------- Python


class CountingConnection(http.client.HTTPConnection):
    opened = 0

    def connect(self):
        super().connect()
        self.opened += 1


def http_client(port, files, asks):
    connection = CountingConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        return Asked([http_client_ask(connection, files, ask) for ask in asks], connection.opened)
    finally:
        connection.close()


def http_client_ask(connection, files, ask):
    fields = dict(ask.fields)
    if ask.upload is None:
        connection.request(ask.method, ask.path, headers=fields)
        return http_client_answer(connection)
    path = files.folder / ask.upload
    if not ask.chunked:
        fields["Content-Length"] = str(path.stat().st_size)  # without it a file goes out in chunks
    with path.open("rb") as body:
        connection.request(ask.method, ask.path, body=body, headers=fields)
    return http_client_answer(connection)


def http_client_answer(connection):
    answer = connection.getresponse()
    return Answer(answer.status, answer.getheaders(), answer.read())


class Stream:
    """HTTP/1.1 by hand on asyncio's streams."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port):
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    async def send(self, files, ask, version="1.1"):
        lines = [f"{ask.method} {ask.path} HTTP/{version}", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in ask.fields.items()]
        if ask.upload:
            size = (files.folder / ask.upload).stat().st_size
            lines.append("Transfer-Encoding: chunked" if ask.chunked else f"Content-Length: {size}")
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        if ask.upload and "Expect" not in ask.fields:
            await self.send_body(files, ask)

    async def send_body(self, files, ask):
        with (files.folder / ask.upload).open("rb") as body:
            while piece := body.read(1 << 18):
                self.writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if ask.chunked else piece)
                await self.writer.drain()
        if ask.chunked:
            self.writer.write(b"0\r\nX-Check: behind\r\n\r\n" if ask.trailers else b"0\r\n\r\n")
        await self.writer.drain()

    async def head(self):
        return Message(await self.reader.readuntil(b"\r\n\r\n"))

    async def answer(self, method="GET", interim=()):
        interim = list(interim)
        while (head := await self.head()).first_line.startswith("HTTP/1.1 1"):
            interim.append(int(head.first_line.split()[1]))
        return await self.rest(head, method, interim)

    async def rest(self, head, method, interim=()):
        """The answer that begins with this head."""
        status = int(head.first_line.split()[1])
        trailers = []
        body = b"".join([piece async for piece in self.pieces(head, method, status, trailers)])
        return Answer(status, head.fields, body, interim, trailers)

    async def pieces(self, head, method, status, trailers):
        if method == "HEAD" or status in (204, 304):
            return
        if head.get("Transfer-Encoding") == "chunked":
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                yield await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            while (line := await self.reader.readuntil(b"\r\n")) != b"\r\n":
                trailers.append(line.partition(b":")[0].decode())
        elif (length := head.get("Content-Length")) is not None:
            left = int(length)
            while left > 0:
                piece = await self.reader.read(min(left, 1 << 18))
                if not piece:
                    raise ConnectionError(f"the connection ended {left} bytes before the answer")
                left -= len(piece)
                yield piece
        else:
            while piece := await self.reader.read(1 << 18):
                yield piece

    async def ask(self, files, ask, version="1.1"):
        await self.send(files, ask, version)
        if ask.upload and "Expect" in ask.fields:
            head = await self.head()
            if not head.first_line.startswith("HTTP/1.1 100"):  # the body is not wanted
                return await self.rest(head, ask.method)
            await self.send_body(files, ask)
            return await self.answer(ask.method, [100])
        return await self.answer(ask.method)

    def close(self):
        self.writer.transport.abort()


def run(coroutine):
    """Runs to the end, but not for ever."""
    return asyncio.run(asyncio.wait_for(coroutine, 3 * PATIENCE))


def asyncio_streams(port, files, asks, version="1.1"):
    async def all_of_them():
        answers, opened, stream = [], 0, None
        for ask in asks:
            if stream is None:
                stream = await Stream.open(port)
                opened += 1
            answers.append(await stream.ask(files, ask, version))
            connection = answers[-1].fields.get("connection", "").lower()
            if connection == "close" or version == "1.0" and connection != "keep-alive":
                stream.close()
                stream = None
        if stream is not None:
            stream.close()
        return Asked(answers, opened)

    return run(all_of_them())


# ---------------------------------------------------------------- those that leave

# Each asks for one thing and goes away in the middle of it: of the upload once `under_way()` is true, else of the
# download once a byte of it has come.


def curl_leaves(port, files, ask, under_way):
    with tempfile.TemporaryDirectory(prefix="baton-curl-") as folder:
        body = Path(folder, "body")
        command = curl_command("-o", body, "--limit-rate", "20M")
        command += ["-T", files.folder / ask.upload] if ask.upload else []
        process = subprocess.Popen([*command, f"http://127.0.0.1:{port}{ask.path}"], stdin=subprocess.DEVNULL)
        try:
            eventually(lambda: under_way() if ask.upload else body.exists() and body.stat().st_size > 0, "the middle")
        finally:
            process.kill()
            process.wait()


def node_leaves(what, port, files, ask):
    node_client(what, port, files, [ask], leave="upload" if ask.upload else "download")


def http_client_leaves(port, files, ask, under_way):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        if not ask.upload:
            connection.request(ask.method, ask.path)
            connection.getresponse().read(1)
            return
        connection.putrequest(ask.method, ask.path)
        connection.putheader("Content-Length", str((files.folder / ask.upload).stat().st_size))
        connection.endheaders()
        while not under_way():
            connection.send(bytes(1 << 16))
    finally:
        connection.close()


def asyncio_leaves(port, files, ask, under_way):
    async def leave():
        stream = await Stream.open(port)
        upload = asyncio.ensure_future(stream.send(files, ask))
        if ask.upload:
            while not under_way():
                await asyncio.sleep(0.005)
        else:
            await stream.head()
            await stream.reader.read(1)
        upload.cancel()
        stream.close()

    run(leave())


LEAVERS = {
    "curl": curl_leaves,
    "fetch": lambda port, files, ask, under_way: node_leaves("fetch", port, files, ask),
    "agent": lambda port, files, ask, under_way: node_leaves("agent", port, files, ask),
    "http_client": http_client_leaves,
    "asyncio": asyncio_leaves,
}


# ---------------------------------------------------------------- wrk


class Wrk:
    """A running wrk: so many connections that ask as fast as they are answered."""

    def __init__(self, port, path, connections=8, duration="1s"):
        self.process = subprocess.Popen([tool("wrk"), "-t1", f"-c{connections}", f"-d{duration}",
                                         f"http://127.0.0.1:{port}{path}"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def result(self):
        """(requests, complaints), once its time is over."""
        out, _ = self.process.communicate(timeout=3 * PATIENCE)
        return int(re.search(r"(\d+) requests in", out)[1]), re.findall(r".*(?:Socket errors|Non-2xx).*", out)


# What asks in each way, and the program it needs.
CLIENTS = {
    "curl": (curl, "curl"),
    "fetch": (fetch, "node"),
    "agent": (agent, "node"),
    "http_client": (http_client, "python3"),
    "asyncio": (asyncio_streams, "python3"),
}
