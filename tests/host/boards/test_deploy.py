"""Deploying firmware to a real MicroPython: only what changed, verified, nothing lost."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from madem.boards import firmware
from madem.boards.deploy import READY, deploy, find_firmware, start
from madem.boards.open import Board, open_board
from madem.boards.repl import Entry, Repl
from madem.errors import BoardError
from madem_emulator.boards.prepared import find_unix32

pytestmark = pytest.mark.needs("unix")

BOOT = (
    f"import sys, madem.echo\ndef run():\n print({READY.decode()!r})\n"
    " while True: sys.stdout.buffer.write(madem.echo.answer(sys.stdin.buffer.read(1)))\n"
)
ECHO = "def answer(b): return bytes([b[0] + 1])\n"


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
    (package / "boot.py").write_text(BOOT)
    (package / "echo.py").write_text(ECHO)
    (package / "big.py").write_text("\n".join(f"name_{k} = {k}" for k in range(500)))
    (package / "notes.txt").write_text("not for the board\n")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "echo.cpython-311.pyc").write_bytes(b"")
    (tmp_path / "firmware" / "main.py").write_bytes(firmware.main())
    (tmp_path / "firmware" / "pyrightconfig.json").write_text("{}")
    return tmp_path / "firmware"


def paths(n: int, suffix: str = "mpy") -> tuple[str, ...]:
    modules = ("__init__", "big", "boot", "echo")
    return (*(f"madem-{n}/madem/{module}.{suffix}" for module in modules), "main.py")


def answers(board: Board) -> bytes:
    """What the firmware on a board says to `HAL`."""
    start(board)
    board.port.timeout = 5
    board.port.write(b"HAL")
    return board.port.read(4).removeprefix(b"\n")  # of the line that says that it is ready


def test_all_at_first_then_only_what_changed(board: Board, folder: Path) -> None:
    first = deploy(board, folder=folder)
    assert (first.form, first.why) == ("mpy", None)
    assert first.written == paths(1)
    assert (first.unchanged, first.removed, first.kept) == ((), (), None)
    assert first.bytes_written == first.firmware_bytes > 1000
    assert first.free_bytes
    assert answers(board) == b"IBM"

    again = deploy(board, folder=folder)
    assert (again.written, again.unchanged) == ((), paths(1))

    (folder / "madem" / "echo.py").write_text("def answer(b): return bytes([b[0] + 2])\n")
    changed = deploy(board, folder=folder)
    assert changed.written == ("madem-2/madem/echo.mpy",)
    assert set(changed.unchanged) == set(paths(2)) - {"madem-2/madem/echo.mpy"}
    assert changed.removed == ("madem-1",)
    assert changed.bytes_written < 300
    assert answers(board) == b"JCN"

    assert deploy(board, force=True, folder=folder).written == paths(3)
    with Repl(board.port) as repl:
        assert repl.list_files() == [Entry("madem-3", True), Entry("main.py", False)]
        assert repl.list_files("madem-3") == [Entry("madem", True)]
        assert {entry.name for entry in repl.list_files("madem-3/madem")} == {
            path.rpartition("/")[2] for path in paths(3)[:-1]
        }


def test_as_source_when_asked_or_when_mpy_cross_is_of_another_version(
    board: Board, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = deploy(board, folder=folder, source=True)
    assert (asked.form, asked.why, asked.written) == ("source", None, paths(1, "py"))
    assert asked.bytes_written == sum(
        (folder / path).stat().st_size
        for path in ("main.py", *(f"madem/{Path(path).name}" for path in paths(1, "py")[:-1]))
    )
    assert answers(board) == b"IBM"
    compiled = deploy(board, folder=folder)
    assert compiled.form == "mpy"
    assert compiled.written == paths(2)[:-1]
    assert answers(board) == b"IBM"

    monkeypatch.setattr(firmware, "_mpy_cross_version", lambda: "7.1")
    older = deploy(board, folder=folder)
    assert older.form == "source"
    assert older.why == "it loads .mpy version 6.3, mpy-cross makes 7.1"
    assert older.removed == ("madem-2",)
    assert answers(board) == b"IBM"


def library_paths(suffix: str = "mpy") -> tuple[str, ...]:
    return tuple(path.replace("madem-1", "lib") for path in paths(1, suffix)[:-1])


def test_as_a_library_for_a_main_of_ones_own(board: Board, folder: Path) -> None:
    """Which stays, and finds the new one, whatever was deployed before."""
    own = b"import sys, madem.echo\nprint('own', madem.echo.answer(b'H'), sys.path[0])\n"
    deploy(board, folder=folder)
    with Repl(board.port) as repl:
        repl.write_file("main.py", own)
    (folder / "madem" / "echo.py").write_text("def answer(b): return bytes([b[0] + 2])\n")
    would = deploy(board, folder=folder, library=True, dry_run=True)
    did = deploy(board, folder=folder, library=True)
    assert (would.written, would.removed) == (did.written, did.removed)
    assert (did.form, did.written, did.unchanged) == ("mpy", library_paths(), ())
    assert (did.removed, did.kept) == (("madem-1",), None)
    start(board, ready=b"own b'J' ")
    with Repl(board.port) as repl:
        assert repl.list_files() == [Entry("lib", True), Entry("main.py", False)]
        assert repl.find_equal({"main.py": own}) == {"main.py"}

    again = deploy(board, folder=folder, library=True)
    assert (again.written, again.unchanged, again.removed) == ((), library_paths(), ())
    (folder / "madem" / "echo.py").write_text(ECHO)
    (folder / "madem" / "big.py").unlink()
    changed = deploy(board, folder=folder, library=True)
    assert changed.written == ("lib/madem/echo.mpy",)
    start(board, ready=b"own b'I' ")
    with Repl(board.port) as repl:
        assert Entry("big.mpy", False) not in repl.list_files("lib/madem")
        assert repl.list_files("lib") == [Entry("madem", True)]


def test_a_library_is_what_madem_s_own_main_starts_then(board: Board, folder: Path) -> None:
    deploy(board, folder=folder)
    (folder / "madem" / "echo.py").write_text("def answer(b): return bytes([b[0] + 2])\n")
    assert deploy(board, folder=folder, library=True).removed == ("madem-1",)
    assert answers(board) == b"JCN"
    # And the other way round, the program goes before the library.
    (folder / "madem" / "echo.py").write_text(ECHO)
    assert deploy(board, folder=folder).written == paths(1)[:-1]
    assert answers(board) == b"IBM"


@pytest.mark.needs("qemu")
def test_a_library_behind_another_that_is_frozen_in_is_refused(folder: Path) -> None:
    with (
        open_board("qemu") as frozen,
        pytest.raises(BoardError, match=r"frozen into its MicroPython and goes before /lib"),
    ):
        deploy(frozen, folder=folder, library=True)


def test_a_dry_run_changes_nothing(board: Board, folder: Path) -> None:
    would = deploy(board, folder=folder, dry_run=True)
    assert would.written == paths(1)
    with Repl(board.port) as repl:
        assert repl.list_files() == []
    did = deploy(board, folder=folder)
    assert (did.written, did.bytes_written) == (would.written, would.bytes_written)
    (folder / "madem" / "echo.py").write_text("answer = lambda b: b\n")
    would = deploy(board, folder=folder, dry_run=True)
    assert (would.written, would.removed) == (("madem-2/madem/echo.mpy",), ("madem-1",))
    assert answers(board) == b"IBM"


def test_damage_on_the_board_is_noticed_and_mended(board: Board, folder: Path) -> None:
    deploy(board, folder=folder)
    with Repl(board.port) as repl:
        repl.exec("f=open('madem-1/madem/big.mpy','r+b')\nf.seek(500)\nf.write(b'?')\nf.close()")
    assert deploy(board, folder=folder).written == ("madem-2/madem/big.mpy",)
    # A module too many would be imported in place of the compiled one.
    with Repl(board.port) as repl:
        repl.write_file("madem-2/madem/echo.py", b"def answer(b): return b'?'\n")
    assert answers(board) == b"???"
    mended = deploy(board, folder=folder)
    assert (mended.written, mended.removed) == ((), ("madem-2",))
    assert answers(board) == b"IBM"


def test_a_file_that_arrives_damaged_is_an_error(
    board: Board, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(board, folder=folder)
    (folder / "madem" / "big.py").write_text("other = 1")
    write = Repl.write_file

    def lossy(self: Repl, path: str, content: bytes, progress: object = None) -> None:
        write(self, path, content[:-1] if path.endswith("big.mpy") else content)

    monkeypatch.setattr(Repl, "write_file", lossy)
    with pytest.raises(BoardError, match=r"^madem/big.mpy arrived damaged on unix:heap=64K"):
        deploy(board, folder=folder)
    assert answers(board) == b"IBM"


def test_files_of_others_stay(board: Board, folder: Path) -> None:
    others = {
        path: path.encode()
        for path in ("main_old1.py", "data.csv", "madem/own.py", "madem-notes", "madem-x/a.py")
    }
    with Repl(board.port) as repl:
        repl.make_directory("madem")
        repl.make_directory("madem-x")
        for path, content in (others | {"main.py": b"print('theirs, with madem')"}).items():
            repl.write_file(path, content)
    for dry_run in (False, True):
        with pytest.raises(BoardError, match=r"has a main.py that is not madem's: .* --force"):
            deploy(board, folder=folder, dry_run=dry_run)
    with Repl(board.port) as repl:
        before = {*others, "main.py"}
        assert repl.find_equal(others | {"main.py": b"print('theirs, with madem')"}) == before
        assert len(repl.list_files()) == 6
    assert deploy(board, force=True, folder=folder).kept == "main_old2.py"
    with Repl(board.port) as repl:
        kept = others | {"main_old2.py": b"print('theirs, with madem')"}
        assert repl.find_equal(kept) == set(kept)
    assert answers(board) == b"IBM"
    # An older main.py of our own is simply replaced.
    with (folder / "main.py").open("a") as file:
        file.write("# newer\n")
    newer = deploy(board, folder=folder)
    assert (newer.written, newer.kept) == (("main.py",), None)


def test_a_board_without_room_is_told_before_anything_is_sent(
    board: Board, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(board, folder=folder)
    (folder / "madem" / "echo.py").write_text("answer = lambda b: b\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("madem.boards.deploy._room", lambda repl: (4096, 6 * 4096))
        with pytest.raises(BoardError, match=r"needs 36 KB of .* file system .*, 24 KB are free"):
            deploy(board, folder=folder)
    with Repl(board.port) as repl:
        assert repl.list_files() == [Entry("madem-1", True), Entry("main.py", False)]
    assert answers(board) == b"IBM"


def test_progress_counts_up_to_the_total(board: Board, folder: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    summary = deploy(board, folder=folder, source=True, progress=lambda *call: calls.append(call))
    assert [total for *_, total in calls] == [summary.bytes_written] * len(calls)
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)
    assert calls[-1] == ("main.py", summary.bytes_written, summary.bytes_written)
    assert len([path for path, *_ in calls if path == "madem-1/madem/big.py"]) > 1


def test_the_deployed_firmware_starts_and_owns_the_port(board: Board, folder: Path) -> None:
    deploy(board, folder=folder)
    for _ in range(2):  # also when it runs already
        assert answers(board) == b"IBM"
    start(board, ready=None)
    board.port.write(b"HAL")
    assert board.port.read_until(b"IBM").endswith(b"IBM")
    assert deploy(board, folder=folder).written == ()


def test_firmware_that_does_not_start_is_explained(board: Board, folder: Path) -> None:
    (folder / "madem" / "boot.py").write_text("import madem.missing\n")
    deploy(board, folder=folder)
    with pytest.raises(BoardError, match=r"main\.py on unix:heap=64K ended at once: ImportError"):
        start(board)


def test_firmware_that_does_not_compile_is_explained(board: Board, folder: Path) -> None:
    (folder / "madem" / "echo.py").write_text("def answer(b:\n")
    with pytest.raises(BoardError, match=r"^madem/echo.py does not compile: SyntaxError"):
        deploy(board, folder=folder)


def test_a_board_that_is_pulled_out_is_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is killed in the middle of the biggest file, and can't delete its flash."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    with open_board("unix") as board:
        process = board._process
        assert process is not None

        def pull(path: str, done: int, total: int) -> None:
            if path.endswith("big.py") and done > 2000:
                process.kill()
                process.wait()

        with pytest.raises(BoardError, match=r"^unix vanished while"):
            deploy(board, folder=folder, progress=pull, source=True)
        with pytest.raises(BoardError, match="vanished"):
            start(board)


def test_a_folder_without_firmware_is_an_error(board: Board, tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="holds no firmware"):
        deploy(board, folder=tmp_path)


@pytest.mark.parametrize("source", [False, True])
def test_the_firmware_that_comes_with_madem_arrives_and_runs(source: bool) -> None:
    with open_board("unix") as board:
        summary = deploy(board, source=source)
        suffixes = {path.rpartition(".")[2] for path in summary.written[:-1]}
        assert suffixes == {"py" if source else "mpy"}
        assert not [path for path in summary.written if "_thumb" in path]
        start(board)
        with Repl(board.port) as repl:
            find_firmware(repl)
            assert repl.exec("import madem\nprint(madem.__version__)").strip()


def test_inline_assembler_goes_to_arm_boards_only(folder: Path) -> None:
    (folder / "madem" / "fast_thumb.py").write_text("")
    x64, cortex_m3, none = 2822, 6918, 0
    assert "fast_thumb.py" in firmware.sources(cortex_m3, folder)
    assert "fast_thumb.py" not in firmware.sources(x64, folder)
    assert "fast_thumb.py" not in firmware.sources(none, folder)
    assert firmware.architecture(x64) == "x64"
    assert firmware.architecture(cortex_m3) == "armv7em"


@pytest.mark.parametrize(
    ("mpy", "reason"),
    [
        (0, "does not load .mpy files"),
        (6 | 3 << 8, "has no native code"),
        (6 | 3 << 8 | 12 << 10, "has no native code"),
        (6 | 2 << 8 | 4 << 10, "it loads .mpy version 6.2, mpy-cross makes 6.3"),
        (5 | 4 << 10, "it loads .mpy version 5.0, mpy-cross makes 6.3"),
    ],
)
def test_boards_that_mpy_cross_can_not_serve(mpy: int, reason: str) -> None:
    assert reason in (firmware.why_not_compiled(mpy) or "")


def test_every_named_architecture_is_one_of_mpy_cross() -> None:
    modules = {"x.py": b"import micropython\n@micropython.viper\ndef f(a:int)->int: return a+1\n"}
    for number in range(1, 12):
        mpy = 6 | 3 << 8 | number << 10
        (content,) = firmware.compiled(modules, mpy).values()
        # Byte 0 is M, 1 the version, 2 the architecture and sub-version.
        assert (content[:2], content[2] >> 2, content[2] & 3) == (b"M\x06", number, 3)


# --- frozen ---------------------------------------------------------------------------------------


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """A board whose MicroPython has this checkout's firmware frozen in."""
    monkeypatch.setenv("MADEM_MICROPYTHON", str(find_unix32()))
    with open_board("unix") as board:
        yield board


@pytest.mark.needs("frozen unix32")
def test_frozen_firmware_that_is_this_one_is_used_and_any_other_is_not(
    frozen: Board, tmp_path: Path
) -> None:
    def version() -> bytes:
        start(frozen)
        with Repl(frozen.port) as repl:
            find_firmware(repl)
            return repl.exec("import madem\nprint(madem.__version__,madem.__file__)").strip()

    summary = deploy(frozen)
    assert (summary.form, summary.written) == ("frozen", ("main.py",))
    assert version().endswith(b" madem/__init__.py")
    assert deploy(frozen).written == ()

    package = tmp_path / "madem"
    package.mkdir()
    (tmp_path / "main.py").write_bytes(firmware.main())
    for name, content in firmware.sources(0).items():
        (package / name).write_bytes(content)
    (package / "__init__.py").write_text('__version__ = "9.8.7"\n')
    changed = deploy(frozen, folder=tmp_path)
    assert (changed.form, changed.why) == ("mpy", "what is frozen in is another firmware")
    assert len(changed.written) == len(firmware.sources(0))
    assert version() == b"9.8.7 madem-1/madem/__init__.mpy"

    back = deploy(frozen)
    assert (back.form, back.written, back.removed) == ("frozen", (), ("madem-1",))
    assert version().endswith(b" madem/__init__.py")
    with Repl(frozen.port) as repl:
        assert repl.list_files() == [Entry("main.py", False)]


def test_main_stays_as_it_is_from_version_to_version() -> None:
    """On FAT no rename replaces a file: a new main.py could be cut off between old and new.

    So what changes from version to version belongs into the package; see docs/start/deploy.md.
    """
    digest = hashlib.sha256(firmware.main()).hexdigest()
    assert digest == "485b1306708642c468199b1195cf5a65d8775817576e265b5af076ea29f0f239"
