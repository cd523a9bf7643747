"""Opening boards: emulated ones, ports, wrong names, and two programs at once."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from madem.boards import deploy
from madem.boards.open import BoardInfo, list_boards, open_board
from madem.boards.repl import Repl
from madem.errors import BoardError
from madem.learners.board import connect

pytestmark = pytest.mark.needs("unix")


def usb_port(device: str, vid: int | None, product: str | None = None) -> ListPortInfo:
    port = ListPortInfo(device, skip_link_detection=True)
    port.vid, port.pid, port.product = vid, 5, product
    return port


def attach(monkeypatch: pytest.MonkeyPatch, *ports: ListPortInfo) -> None:
    """Have pyserial report these ports: no test machine has boards on its USB."""
    monkeypatch.setattr(list_ports, "comports", lambda: list(ports))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_emulated_board_opens_answers_and_ends() -> None:
    with open_board("unix:heap=64K") as board:
        assert board.name == "unix:heap=64K"
        assert board.emulated
        process = board._process
        assert process is not None
        assert alive(process.pid)
        with Repl(board.port, board.name) as repl:
            size = int(repl.exec("import gc\nprint(gc.mem_free() + gc.mem_alloc())"))
        assert 60_000 < size <= 65_536
    assert not board.port.is_open
    assert process.returncode == 0  # by itself, not killed
    board.close()  # a second time does no harm


def test_each_emulated_board_has_its_own_flash() -> None:
    with open_board("unix") as one, open_board("unix") as other:
        with Repl(one.port) as repl:
            repl.write_file("file", b"1")
        with Repl(other.port) as repl:
            assert repl.list_files() == []


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("unix:heap=abc", "heap size 'abc' is not a size such as 64K"),
        ("unix:heap=1K", "outside 8K to 1024M"),
        ("unix:heap=", "only the option heap=SIZE"),
        ("unix:heap", "only the option heap=SIZE"),
        ("unix:speed=1", "only the option heap=SIZE"),
        ("twin", "no board 'twin': choose unix, .* a serial port .* or auto"),
        ("rp2040:nothing.uf2", "nothing.uf2 can't be read: No such file"),
        ("", "no board ''"),
        ("COM77", "no port COM77"),
        ("/dev/nothing", "no port /dev/nothing: plug the board in"),
        ("/dev/null", "/dev/null is no serial port that works: Inappropriate ioctl"),
        ("/tmp", "/tmp is no serial port that works: Is a directory"),
        ("foo://bar", "foo://bar is not a serial port"),
    ],
)
def test_wrong_names_are_explained(spec: str, told: str) -> None:
    with pytest.raises(BoardError, match=told) as caught:
        open_board(spec)
    assert "\n" not in str(caught.value)


def test_a_broken_interpreter_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADEM_MICROPYTHON", "/bin/false")
    with pytest.raises(BoardError, match="/bin/false can't serve as a board"):
        open_board("unix")
    monkeypatch.setenv("MADEM_MICROPYTHON", "/nothing/there")
    with pytest.raises(BoardError, match="MADEM_MICROPYTHON names /nothing/there"):
        open_board("unix")


def test_a_second_program_is_told_that_the_port_is_in_use() -> None:
    with open_board("unix") as board:
        path = board.port.port
        assert path
        with pytest.raises(BoardError, match=f"{path} is in use: close the other program"):
            open_board(path)
        board.port.close()
        with open_board(path) as again, Repl(again.port) as repl:
            assert not again.emulated
            assert repl.exec("print(1)") == b"1\n"


def test_a_board_is_given_longer_where_that_is_asked_for() -> None:
    """Its main.py takes 3 s before it serves."""
    with open_board("unix", 1.0) as board:
        assert board.slowness == 0.1
        deploy.deploy(board)
        with Repl(board.port) as repl:
            main = repl.exec("print(open('main.py').read())")
            repl.write_file("main.py", b"import time\ntime.sleep(3)\n" + main)
        with pytest.raises(BoardError, match=r"did not report within 1 s: .* --patience"):
            deploy.start(board)
        assert board.port.port
        board.port.close()
        with open_board(board.port.port, 100.0) as again:
            assert again.slowness == 10.0
            deploy.start(again)


@pytest.mark.slow
@pytest.mark.needs("frozen rp2040")
@pytest.mark.parametrize(
    ("source", "form"),
    [(False, "frozen"), pytest.param(True, "source", marks=pytest.mark.long)],
)
def test_a_board_that_computes_slowly_is_known_behind_its_port(source: bool, form: str) -> None:
    """The whole firmware as source takes minutes to compile there."""
    with open_board("rp2040") as board:
        assert board.slowness == 20.0
        path = board.port.port
        assert path
        board.port.close()
        with open_board(path) as again:
            assert (again.emulated, again.slowness) == (False, 20.0)
            summary = deploy.deploy(again, source=source)
            assert summary.form == form
            deploy.start(again)
            hello = connect(again, deploy_firmware=False).hello
            assert "RP2040" in hello.board


def test_no_permission_names_the_group() -> None:
    """Tried as an ordinary user, since root may open everything."""
    master, slave = os.openpty()
    path = os.ttyname(slave)
    os.chmod(path, 0o600 if os.geteuid() == 0 else 0)
    code = (
        "import os\nfrom madem.boards.open import open_board\n"
        f"if os.geteuid() == 0: os.setuid(65534)\nopen_board({path!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    os.close(master)
    os.close(slave)
    assert f"no permission to open {path}: run `sudo usermod -aG " in done.stderr, done.stderr


def test_sockets_are_ports_too() -> None:
    """A board behind a network adapter: raw bytes over TCP."""
    with open_board("unix") as board, socket.create_server(("127.0.0.1", 0)) as server:
        address = f"socket://127.0.0.1:{server.getsockname()[1]}"
        board.port.timeout = 0.01

        def relay() -> None:
            connection, _ = server.accept()
            connection.settimeout(0.01)
            with connection:
                while True:
                    try:
                        received = connection.recv(4096)
                        if not received:
                            return
                        board.port.write(received)
                    except TimeoutError:
                        pass
                    with contextlib.suppress(BrokenPipeError):
                        connection.sendall(board.port.read(max(1, board.port.in_waiting)))

        thread = threading.Thread(target=relay)
        thread.start()
        with open_board(address) as remote, Repl(remote.port, remote.name) as repl:
            repl.write_file("file", bytes(1000))
            assert repl.find_equal({"file": bytes(1000)}) == {"file"}
        thread.join()
    with pytest.raises(BoardError, match=f"{address} can't be reached: Connection refused"):
        open_board(address)


def test_auto_takes_the_only_board_and_refuses_to_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    mainboard = usb_port("/dev/ttyS0", None)
    attach(monkeypatch, mainboard)
    with pytest.raises(BoardError, match="no board is attached"):
        open_board("auto")
    with open_board("unix") as emulated:
        path = emulated.port.port
        assert path
        emulated.port.close()
        attach(monkeypatch, mainboard, usb_port(path, 0x2E8A, "Pico"))
        with open_board("auto") as board:
            assert board.port.port == path
        attach(monkeypatch, usb_port("/dev/ttyACM9", 0x1A86), usb_port(path, 0x2E8A, "Pico"))
        with pytest.raises(BoardError, match="several boards") as caught:
            open_board("auto")
    assert f"{path} (Pico)" in str(caught.value)
    assert "/dev/ttyACM9 (unnamed)" in str(caught.value)


def test_boards_are_listed_with_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    attach(
        monkeypatch,
        usb_port("/dev/ttyUSB10", 0x10C4, "CP2102 USB to UART"),
        usb_port("/dev/ttyUSB2", 0x4242),
        usb_port("/dev/ttyACM0", 0x2E8A, "Board in FS mode"),
        usb_port("/dev/ttyS0", None),
    )
    boards = list_boards()
    assert [board.spec for board in boards] == [
        *("/dev/ttyACM0", "/dev/ttyS0", "/dev/ttyUSB2", "/dev/ttyUSB10"),
        *("unix", "unix32", "qemu", "rp2040"),
    ]
    assert [board.likely for board in boards] == [True, False, False, False, True, True, True, True]
    assert boards[0].description == (
        "Board in FS mode (RP2040 or RP2350 board, may run MicroPython)"
    )
    assert "CP210x adapter" in boards[3].description
    assert boards[4] == BoardInfo("unix", boards[4].description, True, True, None)

    monkeypatch.setenv("MADEM_MICROPYTHON", "/nothing/there")
    assert "MADEM_MICROPYTHON" in (list_boards()[4].reason or "")
    monkeypatch.delenv("MADEM_MICROPYTHON")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "need Linux" in (list_boards()[-1].reason or "")


def test_the_board_dies_with_a_killed_host() -> None:
    host = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from madem.boards.open import open_board\n"
            "from madem.boards.repl import Repl\nimport time\n"
            "board = open_board('unix')\nrepl = Repl(board.port)\nrepl.enter()\n"
            "repl.start('while True: pass')\n"
            "print(board._process.pid, flush=True)\ntime.sleep(60)\n",
        ],
        stdout=subprocess.PIPE,
    )
    assert host.stdout is not None
    pump = int(host.stdout.readline())
    children = Path(f"/proc/{pump}/task/{pump}/children").read_text().split()
    assert len(children) == 1
    host.send_signal(signal.SIGKILL)
    host.wait()
    end = time.monotonic() + 600
    while alive(pump) or alive(int(children[0])):
        assert time.monotonic() < end, "left a process behind"
        time.sleep(0.01)


def test_ctrl_c_at_the_terminal_leaves_the_board_to_its_host() -> None:
    """The host decides what an interrupt means; its board must still be there then."""
    host = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from madem.boards.open import open_board\n"
            "from madem.boards.repl import Repl\nimport time\n"
            "with open_board('unix') as board:\n"
            " try:\n  print('ready', flush=True)\n  time.sleep(60)\n"
            " except KeyboardInterrupt:\n"
            "  with Repl(board.port) as repl: print(repl.exec('print(42)'))\n",
        ],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert host.stdout is not None
    assert host.stdout.readline() == "ready\n"
    os.killpg(host.pid, signal.SIGINT)
    output, _ = host.communicate(timeout=120)
    assert output == "b'42\\n'\n"
    assert host.returncode == 0


def test_modules_of_the_current_directory_are_not_picked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "select.py").write_text("raise SystemExit('wrong module')\n")
    shutil.copytree(tmp_path, tmp_path / "madem_emulator")
    monkeypatch.chdir(tmp_path)
    with open_board("unix") as board, Repl(board.port) as repl:
        assert repl.exec("print(1)") == b"1\n"
