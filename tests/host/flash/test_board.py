"""A board is asked, sent to its boot loader, and awaited."""

import os
import termios
import threading
import time
from pathlib import Path

import pytest

from madem.errors import BoardError
from madem.flash import board

from .bench import Bench, UnixBoard


def test_a_board_without_a_repl_gets_the_1200_baud_touch() -> None:
    master, slave = os.openpty()
    try:
        board.enter_bootloader(os.ttyname(slave), runs_micropython=False)
        assert termios.tcgetattr(slave)[4:6] == [termios.B1200, termios.B1200]
    finally:
        os.close(master)
        os.close(slave)


def test_a_board_with_a_repl_is_asked_there(unix_board: UnixBoard) -> None:
    board.enter_bootloader(unix_board.path, runs_micropython=True)
    deadline = time.monotonic() + 600
    while not unix_board.asked_for_bootloader():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_micropython_says_of_itself(unix_board: UnixBoard) -> None:
    about = board.ask(unix_board.path)
    assert "MicroPython " in about.version
    assert about.machine.startswith("linux")
    assert board.ask_if_it_runs(unix_board.path) == about


def test_a_board_that_starts_slowly_is_awaited(bench: Bench, unix_board: UnixBoard) -> None:
    link = bench.folder / "late"
    timer = threading.Timer(0.5, link.symlink_to, (unix_board.path,))
    timer.start()
    assert "MicroPython " in board.ask_when_started(str(link)).version
    timer.join()


def test_a_board_that_never_starts(tmp_path: Path, impatient: None) -> None:
    with pytest.raises(BoardError, match="there is no port"):
        board.ask_when_started(str(tmp_path / "never"))


def test_the_port_that_comes_back(bench: Bench, unix_board: UnixBoard) -> None:
    other = bench.port((0x1A86, 0x7523), unix_board.path)
    before = board.usb_ports()
    assert before == {other}
    back = bench.port((0x2E8A, 5), unix_board.path)
    assert board.await_port(before, None) == back
    assert board.await_port(before, back) == back


def test_two_ports_that_appear_are_not_guessed_between(bench: Bench, unix_board: UnixBoard) -> None:
    one = bench.port((0x2E8A, 5), unix_board.path)
    bench.port((0x2E8A, 5), unix_board.path)
    assert board.await_port(set(), None) is None
    assert board.await_port(set(), one) == one
