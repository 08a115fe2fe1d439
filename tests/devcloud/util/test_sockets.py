"""Ports and sockets of this machine."""

import socket
from pathlib import Path

import pytest

from devcloud.util.console import UserError
from devcloud.util.sockets import check_ports, is_free, wait_for


def test_a_taken_port_is_named_with_what_needs_it_and_what_to_do() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(UserError, match=rf"Port {port} of 127\.0\.0\.1 is taken, and cloud a needs it: end it\."):
            check_ports([port], "cloud a", "end it")
    check_ports([port], "cloud a", "end it")


def test_a_port_is_free_unless_something_listens_there() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert not is_free("127.0.0.1", port)
    assert is_free("127.0.0.1", port)


def test_a_service_that_answers_is_found_and_one_that_does_not_is_refused_with_its_log(tmp_path: Path) -> None:
    log, path = tmp_path / "a.log", tmp_path / "a.sock"
    log.write_text("first\nno space left on device\n")
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        unix.bind(str(path))
        port = tcp.getsockname()[1]
        for holder in (tcp, unix):
            holder.listen()
        wait_for(("127.0.0.1", port), 5, "It", log)
        wait_for(path, 5, "It", log)
    with pytest.raises(UserError, match=r"It did not answer within 0 s.*no space left on device"):
        wait_for(("127.0.0.1", port), 0.1, "It", log)
    with pytest.raises(UserError, match="It did not answer within 0 s"):
        wait_for(path, 0.1, "It", log)
