"""Official builds, from a model of the site."""

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from madem import cli
from madem.errors import MademError
from madem.flash import board, download

from . import images
from .bench import RP2040_INFO, Bench, Uf2Rom, UnixBoard, playing

PAGE = """\
<h2>Firmware</h2><h3>Releases</h3>
<a class="filename"
 href="/resources/firmware/RPI_PICO-20250809-v1.26.0.uf2">v1.26.0 .uf2</a>
<a class="filename"
 href="/resources/firmware/RPI_PICO-20250911-v1.26.1.uf2">v1.26.1 .uf2</a>
<a href="/resources/firmware/RPI_PICO-20250911-v1.26.1.elf">[.elf]</a>
<p><a href="/resources/firmware/RPI_PICO-20251209-v1.27.0-preview.25.g1.uf2">v1.27.0-preview</a>
<h3>RISC-V</h3>
<p><a href="/resources/firmware/RPI_PICO-RISCV-20260911-v1.30.1.uf2">v1.30.1 .uf2</a>
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files of a site that is reached in place of micropython.org."""
    root = tmp_path / "site"
    (root / "download" / "RPI_PICO").mkdir(parents=True)
    (root / "resources" / "firmware").mkdir(parents=True)
    (root / "download" / "RPI_PICO" / "index.html").write_text(PAGE)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(download, "SITE", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield root
        server.shutdown()
        thread.join()


def test_the_newest_release_is_chosen() -> None:
    newest = functools.partial(download.newest, PAGE)
    assert newest("RPI_PICO", ".uf2") == "/resources/firmware/RPI_PICO-20250911-v1.26.1.uf2"
    assert newest("RPI_PICO-RISCV", ".uf2") == (
        "/resources/firmware/RPI_PICO-RISCV-20260911-v1.30.1.uf2"
    )
    assert newest("RPI_PICO_W", ".uf2") is None
    assert newest("RPI_PICO", ".bin") is None


def test_from_the_site_onto_a_board(
    bench: Bench, site: Path, unix_board: UnixBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    version = board.ask(unix_board.path).version.split()[2]
    content = images.uf2(images.program("Raspberry Pi Pico with RP2040", version))
    (site / "resources/firmware/RPI_PICO-20250911-v1.26.1.uf2").write_bytes(content)
    rom = Uf2Rom(
        bench.folder / "RPI-RP2",
        RP2040_INFO,
        {0xE48BFF56},
        on_start=lambda: bench.port((0x2E8A, 5), unix_board.path),
    )
    bench.expect_volume(rom.folder)
    rom.appear()
    with playing(rom.step):
        assert cli.main(["flash", "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["image"].endswith("madem/micropython/RPI_PICO-20250911-v1.26.1.uf2")
    assert Path(told["image"]).read_bytes() == content


def test_a_download_is_kept(site: Path) -> None:
    file = site / "resources/firmware/RPI_PICO-20250911-v1.26.1.uf2"
    file.write_bytes(b"first")
    told: list[tuple[int, int]] = []
    path = download.fetch("RPI_PICO", ".uf2", lambda *done: told.append(done))
    assert told == [(5, 5)]
    file.unlink()
    assert download.fetch("RPI_PICO", ".uf2", lambda *_: None) == path
    assert path.read_bytes() == b"first"


def test_a_build_that_the_site_does_not_have(site: Path) -> None:
    with pytest.raises(
        MademError,
        match=r"can't fetch PICO9 from .* \(File not found\): .*newest \.uf2 file of .*PICO9/",
    ):
        download.fetch("PICO9", ".uf2", lambda *_: None)
    with pytest.raises(MademError, match=r"lists no release of RPI_PICO-XY as \.uf2"):
        download.fetch("RPI_PICO-XY", ".uf2", lambda *_: None)


def test_without_a_network_it_says_which_file_to_fetch(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "SITE", "http://127.0.0.1:1")
    bench.volume("RPI-RP2", RP2040_INFO)
    assert cli.main(["flash"]) == 3
    said = capsys.readouterr().err
    assert "download the newest .uf2 file of http://127.0.0.1:1/download/RPI_PICO/" in said
    assert "then run `madem flash FILE` here" in said
    assert said.count("\n") == 1


def test_which_build_is_asked_of_the_board(
    bench: Bench,
    unix_board: UnixBoard,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Pico W has the USB numbers of a Pico, and another build."""
    version = "3.4.0; MicroPython v1.26.0 on 2025-08-09"
    about = board.About(version, "Raspberry Pi Pico W with RP2040", "RPI_PICO_W")
    monkeypatch.setattr(board, "ask_if_it_runs", lambda _: about)
    bench.port((0x2E8A, 5), unix_board.path)
    assert cli.main(["flash", "--dry-run"]) == 0
    assert "the newest release of RPI_PICO_W from" in " ".join(capsys.readouterr().out.split())


def test_an_old_board_does_not_tell_its_build(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its chip alone does not tell: a Pico W would get the build without wireless."""
    version = "3.4.0; MicroPython v1.22.0 on 2023-12-27"
    about = board.About(version, "Raspberry Pi Pico W with RP2040", "")
    monkeypatch.setattr(board, "ask_if_it_runs", lambda _: about)
    port = bench.port((0x2E8A, 5))
    assert cli.main(["flash", "--dry-run"]) == 2
    told = f"does {port} (Raspberry Pi Pico W with RP2040) need? Give its file, or --type: rp2040"
    assert told in capsys.readouterr().err
    assert cli.main(["flash", "--dry-run", "--type", "rp2040"]) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "which MicroPython does .*ttyACM0 .* need? Give its file, or --type: rp2040, rp2350"),
        (
            ["--type", "microbit-v2"],
            "micropython.org has no build for BBC micro:bit v2: give a file",
        ),
    ],
)
def test_no_build_can_be_chosen(
    bench: Bench,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    told: str,
) -> None:
    monkeypatch.setattr(board, "ask_if_it_runs", lambda _: None)
    bench.port((0x2E8A, 5))
    assert cli.main(["flash", *words]) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in told.split(".*"))
