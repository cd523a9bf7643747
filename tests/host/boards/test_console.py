"""What a board prints in place of frames: heard at once and quoted; frames do nothing in a REPL."""

import contextlib
import os
import random
from collections.abc import Iterator

import pytest
import serial

from madem.boards import console, deploy
from madem.boards.console import State, hear
from madem.boards.link import RELEASE, Decoder, Link, encode_frame
from madem.boards.link_protocol import Kind
from madem.boards.open import Board, open_board
from madem.boards.repl import Repl
from madem.errors import LinkError
from madem.learners.board import connect
from madem_emulator.twin.config import Settings

on_unix = pytest.mark.needs("unix")
NEVER = 3600.0
"""Seconds: a test that has to wait for a link's timeout does not end well."""

BANNER = (
    b"MicroPython v1.25.0 on 2025-05-04; Raspberry Pi Pico with RP2040\r\n"
    b'Type "help()" for more information.\r\n>>> '
)
REASON = "MemoryError: memory allocation failed"
TRACEBACK = (
    b'Traceback (most recent call last):\r\n  File "main.py", line 10, in <module>\r\n'
    b'  File "madem/link.py", line 174, in receive\r\nMemoryError: memory allocation failed\r\n'
)


# --- what the words tell --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "state", "whole", "line"),
    [
        (b"\r\nmadem: stopped\r\n" + BANNER, State.ENDED, True, "madem: stopped"),
        (b"\r\nmadem: stopped\r\n", State.ENDED, False, "madem: stopped"),
        (TRACEBACK + BANNER, State.ENDED, True, REASON),
        (TRACEBACK[:90], State.ENDED, False, ""),
        (BANNER, State.ENDED, True, BANNER.split(b"\r")[0].decode()),
        (b"\x17\x88\r\n>>> ", State.ENDED, True, ">>>"),
        (b"\r\nraw REPL; CTRL-B to exit\r\n>", State.ENDED, True, "raw REPL; CTRL-B to exit"),
        (b"\r\nMPY: soft reboot\r\n", State.STARTS, False, "MPY: soft reboot"),
        (b"\r\n>>> \r\nMPY: soft reboot\r\nmadem: ready\r\n", State.SERVES, True, "madem: ready"),
        (b"madem: ready\r\n" + TRACEBACK, State.ENDED, False, REASON),
    ],
)  # fmt: skip
def test_the_last_mark_tells_what_the_board_does(
    text: bytes, state: State, whole: bool, line: str
) -> None:
    assert hear(text) == (state, whole, line)


def test_noise_tells_nothing() -> None:
    assert hear(b"") is None
    draw = random.Random(1)
    assert not any(hear(draw.randbytes(4096)) for _ in range(100))
    assert hear(b"a program's own output > >> >>>\r\nMicro") is None


@pytest.mark.parametrize("cut", [0, 1, 3, 10, 60])
def test_text_is_found_where_it_cuts_a_frame(cut: int) -> None:
    decoder = Decoder()
    sound, frame = encode_frame(0x83, 1, 1, bytes(4)), encode_frame(0x83, 1, 2, bytes(90))
    assert len(decoder.feed(b"old words" + sound)) == 1
    assert decoder.text == b""  # what was before a sound frame is over
    decoder.feed(frame[:cut] + TRACEBACK)
    decoder.drop()
    assert bytes(decoder.text).endswith(TRACEBACK)
    decoder.feed(b"x" * 10_000)
    assert len(decoder.text) == 4096


def test_each_explanation_is_one_line_that_quotes_and_says_what_to_do() -> None:
    for text in (b"madem: stopped\n", TRACEBACK, BANNER, b"MPY: soft reboot\n", b"madem: ready\n"):
        heard = hear(text)
        assert heard
        for others in ("", "screen (process 4711)"):
            said = console.explain(heard, others)
            assert heard.line in said
            assert "run this again" in said
            assert "\n" not in said
    stopped = hear(b"madem: stopped\n")
    assert stopped
    assert "close screen (process 4711)" in console.explain(stopped, "screen (process 4711)")


# --- a board that says them -----------------------------------------------------------------------


@contextlib.contextmanager
def served(spec: str = "unix", main: bytes | None = None) -> Iterator[tuple[Board, Link]]:
    """A board whose firmware is in a session; `main`: its main.py from then on."""
    with open_board(spec) as board:
        deploy.deploy(board)
        if main:
            with Repl(board.port) as repl:
                repl.write_file("main.py", main)
        deploy.start(board)
        device = connect(board, deploy_firmware=False)
        device.configure(Settings(sizes=(8, 6, 3)).integers())
        yield board, device.link


def type_into(port: serial.Serial, keys: bytes) -> None:
    """Another program, which does not ask whether the port is in use, types something."""
    descriptor = os.open(str(port.port), os.O_RDWR | os.O_NOCTTY)
    os.write(descriptor, keys)
    os.close(descriptor)


def samples(link: Link, count: int) -> Iterator[tuple[int, bytes]]:
    for step in range(0, 20 * count, 20):
        yield Kind.LEARN, step.to_bytes(4, "little") + b"\x10\x08\1\0" + bytes(9 * 20)


@pytest.mark.parametrize(
    "spec", [pytest.param(s, marks=pytest.mark.needs(s)) for s in ("unix", "qemu")]
)
def test_a_firmware_that_was_interrupted_is_told_at_once(spec: str) -> None:
    with served(spec) as (board, link):
        replies = link.request_many(samples(link, 100_000), timeout=NEVER)
        for _ in range(5):
            next(replies)
        type_into(board.port, b"\x03")
        with pytest.raises(LinkError, match=r"says 'madem: stopped' .* Ctrl-C .* run this again"):
            list(replies)
        # The host has stopped, and what it had sent did nothing at the prompt.
        with pytest.raises(LinkError, match="no session"):
            link.request(Kind.STATS)
        assert connect(board, deploy_firmware=False).hello.steps == 0


FAILS = b"""\
import os, sys
sys.path.insert(0, [n for n in os.listdir() if n.startswith('madem-')][0])
from madem import link, link_server
whole, calls = link.Link.receive, 0
def receive(self):
    global calls
    calls += 1
    if calls == 5:
        {fault}
    return whole(self)
link.Link.receive = receive
link_server.run()
"""


@on_unix
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise MemoryError('in a test')", "'MemoryError: in a test' .* fault; run this again"),
        ("sys.exit()", "restarted|'MPY: soft reboot' .* run this again"),
        ("self.out[8:12] = b'half'; self._write(b'\\0\\6\\7'); 1 // 0", "'ZeroDivisionError: "),
        ("sys.stdout.write('\\n>>> '); sys.stdin.buffer.read(10000)", "'>>>' .* run this again"),
    ],
)  # fmt: skip
def test_a_firmware_that_ends_is_quoted(fault: str, said: str) -> None:
    main = FAILS.replace(b"{fault}", fault.encode())
    with served(main=main) as (_, link):
        requests = [(Kind.STATS, b"")] * 5
        with pytest.raises(LinkError, match=said):
            list(link.request_many(requests, timeout=NEVER))


@on_unix
def test_a_prompt_in_place_of_a_hello_ends_the_waiting() -> None:
    """And a prompt that the firmware came after does not."""
    with open_board("unix") as board:
        deploy.deploy(board)
        with Repl(board.port):
            pass
        board.port.write(b"\r")
        link = Link(board.port)
        with pytest.raises(LinkError, match=r"says 'MicroPython .* starts it anew"):
            link.hello(timeout=NEVER)
        deploy.start(board, ready=None)  # without reading what it prints
        board.port.write(b"")
        assert link.hello(timeout=NEVER).steps == 0


@pytest.mark.parametrize(
    "spec", [pytest.param(s, marks=pytest.mark.needs(s)) for s in ("unix", "qemu")]
)
def test_frames_typed_at_a_prompt_do_nothing(spec: str) -> None:
    """No reset, no raw REPL, no paste mode, nothing executed, however many."""
    draw = random.Random(2)
    with open_board(spec) as board:
        with Repl(board.port) as repl:
            repl.exec("kept = 5")
        port = board.port
        port.timeout = 60
        assert port.read_until(b">>> ").endswith(b">>> ")
        for seq in range(40):
            port.write(encode_frame(Kind.LEARN, 0x2F1C, seq, draw.randbytes(draw.randrange(220))))
            port.write(RELEASE + b"\x03")  # so that the next one meets an empty line
            seen = port.read_until(b"\r\n>>> ")
            assert seen.endswith(b"\r\n>>> "), seen
        port.write(b"print('kept', 2 * kept)\r")
        seen = port.read_until(b"kept 10")
        assert seen.endswith(b"kept 10"), seen
        assert b"reboot" not in seen
