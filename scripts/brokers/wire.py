"""The two requests of the Kafka protocol that starting a broker needs: is it there, and make this topic.

Plain structures of versions that every broker speaks, so that no Kafka client has to be installed.
"""

from __future__ import annotations

import socket
import struct

METADATA, CREATE_TOPICS = 3, 19
TOPIC_EXISTS = 36
TIMEOUT = 10.0


def ready(host: str, port: int) -> bool:
    """Whether the broker answers, and tells of itself as one that clients may use."""
    answer = _ask(host, port, METADATA, 1, struct.pack(">i", 0))  # No topics: only the brokers.
    (brokers,) = struct.unpack_from(">i", answer)
    return bool(brokers > 0)


def create_topic(host: str, port: int, name: str, partitions: int) -> int:
    """Makes a topic and gives the broker's error code: 0, or `TOPIC_EXISTS`, or a failure."""
    topic = struct.pack(">h", len(name)) + name.encode() + struct.pack(">ihii", partitions, 1, 0, 0)
    request = struct.pack(">i", 1) + topic + struct.pack(">i?", int(TIMEOUT * 1000), False)
    answer = _ask(host, port, CREATE_TOPICS, 2, request)
    _, _, length = struct.unpack_from(">iih", answer)  # Throttle time, one topic, the length of its name.
    (code,) = struct.unpack_from(">h", answer, 10 + length)
    return int(code)


def _ask(host: str, port: int, key: int, version: int, body: bytes) -> bytes:
    client = b"scripts"
    header = struct.pack(">hhih", key, version, 1, len(client)) + client
    with socket.create_connection((host, port), TIMEOUT) as connection:
        connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
        (size,) = struct.unpack(">i", _read(connection, 4))
        return _read(connection, size)[4:]  # Without the number of our request.


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError("the broker closed the connection")
        data += part
    return data
