"""Deploying firmware to a real MicroPython: only what changed, verified, nothing lost."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from madem.boards import Board, open_board
from madem.deploy import READY, deploy, firmware_files, start
from madem.errors import BoardError
from madem.repl import Entry, Repl

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the emulated board needs Linux")

MAIN = (
    f"import sys, madem.echo\nprint({READY.decode()!r})\n"
    "while True: sys.stdout.buffer.write(madem.echo.answer(sys.stdin.buffer.read(1)))\n"
)


@pytest.fixture
def board() -> Iterator[Board]:
    with open_board("unix:heap=64K") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small firmware: echoes each byte plus one; with files that don't belong on a board."""
    package = tmp_path / "firmware" / "madem"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "echo.py").write_text("def answer(b): return bytes([b[0] + 1])\n")
    (package / "big.py").write_text("# filler\n" * 3000)
    (package / "notes.txt").write_text("not for the board\n")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "echo.cpython-311.pyc").write_bytes(b"")
    (tmp_path / "firmware" / "main.py").write_text(MAIN)
    (tmp_path / "firmware" / "pyrightconfig.json").write_text("{}")
    return tmp_path / "firmware"


def test_all_at_first_then_only_what_changed(board: Board, folder: Path) -> None:
    paths = ("madem/__init__.py", "madem/big.py", "madem/echo.py", "main.py")
    first = deploy(board, folder=folder)
    assert first.written == paths
    assert first.unchanged == ()
    assert first.kept is None
    assert first.bytes_written == sum(map(len, firmware_files(folder).values()))

    assert deploy(board, folder=folder).unchanged == paths

    (folder / "madem" / "echo.py").write_text("def answer(b): return b[::-1]\n#")
    changed = deploy(board, folder=folder)
    assert changed.written == ("madem/echo.py",)
    assert changed.bytes_written == len("def answer(b): return b[::-1]\n#")

    assert deploy(board, force=True, folder=folder).written == paths
    with Repl(board.port) as repl:
        assert repl.find_equal(firmware_files(folder)) == set(paths)
        assert repl.list_files() == [Entry("madem", True), Entry("main.py", False)]


def test_damage_on_the_board_is_noticed_and_mended(board: Board, folder: Path) -> None:
    deploy(board, folder=folder)
    with Repl(board.port) as repl:
        repl.exec("f=open('madem/big.py','r+b')\nf.seek(5000)\nf.write(b'?')\nf.close()")
    assert deploy(board, folder=folder).written == ("madem/big.py",)


def test_a_file_that_arrives_damaged_is_an_error(
    board: Board, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Repl.write_file

    def lossy(self: Repl, path: str, content: bytes, progress: object = None) -> None:
        write(self, path, content[:-1] if path == "madem/big.py" else content)

    monkeypatch.setattr(Repl, "write_file", lossy)
    with pytest.raises(BoardError, match=r"^madem/big.py arrived damaged on unix:heap=64K"):
        deploy(board, folder=folder)


def test_files_of_others_stay(board: Board, folder: Path) -> None:
    with Repl(board.port) as repl:
        repl.make_directory("madem")
        for path in ("main.py", "main_old1.py", "data.csv", "madem/own.py"):
            repl.write_file(path, path.encode())
    assert deploy(board, folder=folder).kept == "main_old2.py"
    others = {path: path.encode() for path in ("main_old1.py", "data.csv", "madem/own.py")}
    with Repl(board.port) as repl:
        assert repl.find_equal(others | {"main_old2.py": b"main.py"}) == {*others, "main_old2.py"}
    # An older main.py of our own is simply replaced.
    (folder / "main.py").write_text(MAIN + "# newer\n")
    newer = deploy(board, folder=folder)
    assert newer.written == ("main.py",)
    assert newer.kept is None


def test_progress_counts_up_to_the_total(board: Board, folder: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    summary = deploy(board, folder=folder, progress=lambda *call: calls.append(call))
    assert [total for *_, total in calls] == [summary.bytes_written] * len(calls)
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)
    assert calls[-1] == ("main.py", summary.bytes_written, summary.bytes_written)
    assert len([path for path, *_ in calls if path == "madem/big.py"]) > 3


def test_the_deployed_firmware_starts_and_owns_the_port(board: Board, folder: Path) -> None:
    deploy(board, folder=folder)
    for _ in range(2):  # also when it runs already
        start(board)
        board.port.timeout = 5
        board.port.write(b"HAL")
        assert board.port.read_until(b"IBM").endswith(b"IBM")
    start(board, ready=None)
    board.port.write(b"HAL")
    assert board.port.read_until(b"IBM").endswith(b"IBM")
    assert deploy(board, folder=folder).written == ()


def test_firmware_that_does_not_start_is_explained(board: Board, folder: Path) -> None:
    (folder / "main.py").write_text("import madem.missing\n")
    deploy(board, folder=folder)
    with pytest.raises(BoardError, match=r"main\.py on unix:heap=64K ended at once: ImportError"):
        start(board)


def test_a_board_that_is_pulled_out_is_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is killed in the middle of the biggest file, and can't delete its flash."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    with open_board("unix") as board:
        process = board._process
        assert process is not None

        def pull(path: str, done: int, total: int) -> None:
            if path == "madem/big.py" and done > 5000:
                process.kill()
                process.wait()

        with pytest.raises(BoardError, match=r"^unix vanished while"):
            deploy(board, folder=folder, progress=pull)
        with pytest.raises(BoardError, match="vanished"):
            start(board)


def test_a_folder_without_firmware_is_an_error(board: Board, tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="holds no firmware"):
        deploy(board, folder=tmp_path)


def test_the_firmware_that_comes_with_madem_arrives() -> None:
    files = firmware_files()
    assert list(files)[-1] == "main.py"
    assert "madem/__init__.py" in files
    assert not [path for path in files if not path.endswith(".py")]
    with open_board("unix") as board:
        assert deploy(board).written == tuple(files)
        with Repl(board.port) as repl:
            assert repl.exec("import madem\nprint(madem.__version__)").strip()
