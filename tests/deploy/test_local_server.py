"""What both servers stand on."""

from __future__ import annotations

import socket

import pytest

from goldenrule.core.errors import OptionError
from goldenrule.deploy.local_server import listener


def test_a_connection_sends_what_there_is_at_once() -> None:
    """Else the body of an answer waits until the other side has confirmed its headers, which takes 40 ms."""
    with listener("127.0.0.1", 0) as server, socket.create_connection(server.getsockname()) as client:
        connection, _ = server.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            connection.sendall(b"here")
            assert client.recv(4) == b"here"


def test_a_port_that_is_taken_says_so() -> None:
    with listener("127.0.0.1", 0) as server, pytest.raises(OptionError, match="nothing can listen there"):
        listener("127.0.0.1", server.getsockname()[1])
