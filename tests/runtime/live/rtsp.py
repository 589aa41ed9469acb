"""A small RTSP server on loopback: MPEG-TS in RTP packets between the answers (RFC 2326, RFC 2250)."""

from __future__ import annotations

import re
import socket
import struct
import threading

PAYLOAD = 33
"""RTP's number of MPEG-TS."""
PACKET = 7 * 188
SDP = f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP {PAYLOAD}\r\na=control:track\r\n"


class RtspServer:
    """Server that plays one stream to one client, and asks for nothing."""

    def __init__(self, data):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._data, self.requests = data, []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *reason):
        self._listener.close()

    def _serve(self):
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as lines:
            while request := self._read(lines):
                method, number = request.split(" ")[0], re.search(r"(?i)cseq: (\d+)", request)[1]
                self.requests.append(method)
                more = {
                    "OPTIONS": "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n",
                    "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}",
                    "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 7\r\n\r\n",
                }.get(method, "Session: 7\r\n\r\n")
                connection.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{more}".encode())
                if method == "PLAY":
                    self._play(connection)
                    return

    def _read(self, lines):
        found = b""
        while (line := lines.readline()) not in (b"\r\n", b""):
            found += line
        return found.decode()

    def _play(self, connection):
        for number, start in enumerate(range(0, len(self._data), PACKET)):
            packet = struct.pack("!BBHII", 0x80, PAYLOAD, number, 3600 * number, 5) + self._data[start : start + PACKET]
            connection.sendall(struct.pack("!cBH", b"$", 0, len(packet)) + packet)
