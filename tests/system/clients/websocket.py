"""As much of WebSocket (RFC 6455) as a test needs: frames, the handshake, a client."""

import base64
import dataclasses
import hashlib
import os
import socket
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONTINUATION = 0


@dataclasses.dataclass
class Frame:
    opcode: int
    data: bytes
    last: bool = True


def accept_of(key):
    proof = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(proof).decode()


def xor(data, mask):
    size = len(data)
    mask = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")


def frame_bytes(frame, masked):
    """Clients mask what they send, servers do not."""
    size = len(frame.data)
    first = frame.opcode | (0x80 if frame.last else 0)
    bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if not masked:
        return head + frame.data
    mask = os.urandom(4)
    return head + mask + xor(frame.data, mask)


def read_frame(read):
    """The next frame of `read(size)`, which returns exactly so many bytes, and whether it was masked."""
    first, second = read(2)
    size = second & 0x7f
    if size == 126:
        size, = struct.unpack("!H", read(2))
    elif size == 127:
        size, = struct.unpack("!Q", read(8))
    mask = read(4) if second & 0x80 else b""
    data = read(size)
    return Frame(first & 0x0f, xor(data, mask) if mask else data, bool(first & 0x80)), bool(mask)


class WebSocket:
    """A client."""

    def __init__(self, port, target="/", timeout=10):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._stream = self.sock.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                          f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                          f"Sec-WebSocket-Version: 13\r\n\r\n".encode())
        self.status = int(self._stream.readline().split()[1])
        self.fields = {}
        while (line := self._stream.readline().decode().rstrip("\r\n")):
            name, _, value = line.partition(":")
            self.fields[name.lower()] = value.strip()
        self.agreed = self.status == 101 and self.fields.get("sec-websocket-accept") == accept_of(key)

    def send(self, opcode, data=b"", last=True):
        self.sock.sendall(frame_bytes(Frame(opcode, data, last), masked=True))

    def frame(self):
        def read(size):
            data = self._stream.read(size)
            if len(data) != size:
                raise EOFError("the connection ended in a frame")
            return data

        frame, masked = read_frame(read)
        if masked:
            raise ValueError("a server's frame is masked")
        return frame

    def at_end(self):
        return self._stream.read(1) == b""

    def close(self):
        self._stream.close()
        self.sock.close()
