"""A WebSocket server that says everything back.

What begins with "close" makes it end the connection, with code 4000; so does "reset" with a RST.
"""

import socketserver
from socket import SO_LINGER, SOL_SOCKET
from struct import pack

from counted import Counted
from websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, accept_of, frame_bytes, read_frame


class Echo(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        try:
            if self.handshake():
                while self.one_frame():
                    pass
        except OSError:
            pass  # the client has gone
        except ValueError:
            pass  # and this is how its end looks when something is read of it

    def handshake(self):
        fields = {}
        self.rfile.readline()
        while (line := self.rfile.readline().decode().rstrip("\r\n")):
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        if fields.get("upgrade", "").lower() != "websocket":
            self.wfile.write(b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
                             b"Content-Length: 0\r\n\r\n")
            return False
        self.wfile.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         f"Sec-WebSocket-Accept: {accept_of(fields['sec-websocket-key'])}\r\n\r\n".encode())
        return True

    def one_frame(self):
        frame, masked = read_frame(self.read)
        if not masked:
            raise ValueError("a client's frame is not masked")
        if frame.opcode == CLOSE:
            self.send(frame)
            return False
        if frame.opcode == TEXT and frame.data == b"close":
            self.send(Frame(CLOSE, pack("!H", 4000) + b"as asked"))
            return read_frame(self.read)[0].opcode != CLOSE
        if frame.opcode == TEXT and frame.data == b"reset":
            self.request.setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
            self.request.close()
            return False
        if frame.opcode == PING:
            self.send(Frame(PONG, frame.data))
        elif frame.opcode in (TEXT, BINARY, CONTINUATION):
            self.send(frame)
        return True

    def read(self, size):
        data = self.rfile.read(size)
        if len(data) != size:
            raise ValueError("the connection ended")
        return data

    def send(self, frame):
        self.wfile.write(frame_bytes(frame, masked=False))


class Server(Counted, socketserver.ThreadingTCPServer):
    pass


with Server(("127.0.0.1", 0), Echo) as server:
    server.serve()
