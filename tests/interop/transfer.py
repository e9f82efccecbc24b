"""Carries random octets by TCP in either direction and compares their hash at both ends.

transfer.py serve              answer clients on PORT
transfer.py put|get HOST SIZE  send or fetch SIZE octets; exit status 1 if they arrive changed
"""

import hashlib
import os
import socket
import sys
import threading
from io import BufferedRWPair

PORT = 7000
CHUNK = 65536
WINDOW = 32768
"""Octets that may be on their way: too few for any queue, so TCP has no need of losses to learn
how fast it may be, and what else is on the way loses nothing by it."""


def limit(connection: socket.socket) -> None:
    """Let no more than WINDOW be on its way, in either direction."""
    for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        connection.setsockopt(socket.SOL_SOCKET, buffer, WINDOW)


def send(stream: BufferedRWPair, size: int) -> None:
    """Send `size` random octets and their SHA-256."""
    digest = hashlib.sha256()
    while size:
        octets = os.urandom(min(size, CHUNK))
        stream.write(octets)
        digest.update(octets)
        size -= len(octets)
    stream.write(digest.digest())
    stream.flush()


def arrives_intact(stream: BufferedRWPair, size: int) -> bool:
    """Read what `send` sends; says whether all of it came, unchanged."""
    digest = hashlib.sha256()
    while size:
        octets = stream.read(min(size, CHUNK))
        if not octets:
            return False
        digest.update(octets)
        size -= len(octets)
    return stream.read(digest.digest_size) == digest.digest()


def answer(connection: socket.socket) -> None:
    with connection, connection.makefile("rwb") as stream:
        direction, size = stream.readline().split()
        if direction == b"get":
            send(stream, int(size))
        else:
            stream.write(b"intact\n" if arrives_intact(stream, int(size)) else b"changed\n")


def serve() -> None:
    with socket.create_server(("", PORT)) as listener:
        limit(listener)  # and so what it accepts
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()


def ask(direction: str, host: str, size: int) -> bool:
    with socket.socket() as connection:
        limit(connection)
        connection.settimeout(60)
        connection.connect((host, PORT))
        stream = connection.makefile("rwb")
        stream.write(f"{direction} {size}\n".encode())
        stream.flush()
        if direction == "get":
            return arrives_intact(stream, size)
        send(stream, size)
        return stream.readline() == b"intact\n"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    sys.exit(0 if ask(sys.argv[1], sys.argv[2], int(sys.argv[3])) else 1)
