"""Servers of this machine: a socket that they listen on, or one line on why there is none."""

from __future__ import annotations

import socket

from modules.errors import InputError

LOOPBACK = "127.0.0.1"


def listen(port: int, host: str = LOOPBACK) -> socket.socket:
    """Returns a listening socket; InputError where there can be none.

    Args:
        port: From 0, any free one, to 65535.
        host: Address of this machine; by default no other machine reaches it.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"port is {port}; it has to be from 0 (any free one) to 65535")
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()
    except OSError as error:
        listening.close()
        where = f"port {port}" if host == LOOPBACK else f"port {port} of {host}"
        reason = error.strerror or error
        raise InputError(f"{where} cannot be used ({reason}); choose another --port") from None
    return listening
