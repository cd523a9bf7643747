"""Calibration: what is wrong with a board is found, kept on it, put right and left alone."""

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from madem.cli import main
from madem.errors import DeviceError
from madem.frontends import calibrate
from madem.learners.board import BoardLearner, connect
from madem.learners.chips import Chips
from madem.learners.state import NetworkState
from madem_emulator.designs import GEOMETRIES, maker8x8
from madem_emulator.designs.faults import BoardFaults, parse
from madem_emulator.physical import presets
from madem_emulator.twin.config import Settings

from ..conftest import board_with

pytestmark = pytest.mark.needs("unix")

Bench = tuple[maker8x8.Maker8x8, BoardLearner, Path]
SETTINGS = Settings(sizes=(7, 4), weight_bits=7)
HALF = 64  # pulses for half the window of the preset


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Real firmware on a board whose chips this process holds, and its flash."""
    flash = tmp_path_factory.mktemp("flash")
    chips = maker8x8.Maker8x8(presets.TAOX_HFOX_WU2018, seed=3)
    with board_with(chips.bus, flash) as opened:
        yield chips, connect(opened, deploy_firmware=True), flash


def renewed(bench: Bench, *faults: str) -> Chips:
    """The board with new cards, without a calibration, configured."""
    chips, device, flash = bench
    for file in flash.glob("madem.cal*"):
        file.unlink()
    chips.renew(11, BoardFaults(parse(fault) for fault in faults))
    device.configure(SETTINGS.integers(), "maker8x8")
    return Chips(device, GEOMETRIES["maker8x8"])


def calibrated(bench: Bench, *faults: str, cards: int = 1) -> tuple[Chips, calibrate.Calibration]:
    """The same, calibrated and configured anew."""
    asked = renewed(bench, *faults)
    found = calibrate.run(asked, "maker8x8", cards, HALF, lambda _: None)
    asked.store(found.to_bytes())
    return asked, found


def test_a_sound_board_has_nothing_to_report(bench: Bench) -> None:
    _, found = calibrated(bench)
    (card,) = found.cards
    assert not card.dead.any()
    assert np.abs(np.append(card.column_gains, card.row_gains) - 1).max() < 0.005
    assert card.bend < 2
    middle = (presets.TAOX_HFOX_WU2018.g_min / presets.TAOX_HFOX_WU2018.window + 0.5) * 224
    assert found.middle == pytest.approx(middle, rel=0.04)
    assert bench[1].configure(SETTINGS.integers(), "maker8x8").stuck == 0


def test_gains_are_found_and_put_right(bench: Bench) -> None:
    asked, found = calibrated(bench, "gain:c3:1.3", "gain:r6:0.8")
    gains = np.append(found.cards[0].column_gains, found.cards[0].row_gains)
    true = np.ones(16)
    true[3], true[14] = 1.3, 0.8
    assert gains == pytest.approx(true / np.exp(np.log(true).mean()), rel=0.01)
    bench[1].configure(SETTINGS.integers(), "maker8x8")
    card = asked.card(0, reads=16)
    raw = asked.card(0, reads=16, raw=True)
    healthy = card.transposed > 20
    assert np.abs(card.forward / card.transposed - 1)[healthy].max() < 0.03
    assert np.abs(raw.forward / raw.transposed - 1)[healthy].max() > 0.2


def test_what_is_dead_is_found(bench: Bench) -> None:
    faults = "dead:c6", "dead:r2", "stuck:0.r0.c0", "open:0.r1.c1", "short:0.r3.c4"
    _, found = calibrated(bench, *faults)
    (card,) = found.cards
    assert np.flatnonzero(card.dead_columns).tolist() == [4, 6], "a short takes its column along"
    assert np.flatnonzero(card.dead_rows).tolist() == [2]
    assert np.argwhere(card.stuck).tolist() == [[0, 0]]
    assert np.argwhere(card.open).tolist() == [[1, 1]]
    assert np.argwhere(card.shorted).tolist() == [[3, 4]]
    fit = bench[1].configure(SETTINGS.integers(), "maker8x8")
    assert fit.stuck == card.dead.sum() == 24 - 2 + 2 - 1 + 1


def test_the_learner_leaves_dead_devices_alone(bench: Bench) -> None:
    chips, device, _ = bench
    _, found = calibrated(bench, "stuck:0.r0.c0", "dead:c5", "stuck:0.r7.c3")
    device.configure(SETTINGS.integers(), "maker8x8")
    dead = found.cards[0].dead
    assert dead.sum() == 10
    given = counted(chips)
    x = np.full((60, 7), 220, np.uint8)
    device.learn(SETTINGS.rate(16.0), x, np.arange(60, dtype=np.uint8) % 4, pulses_per_update=2)
    device.outputs(x[:1])
    assert given[~dead].sum() > 50
    assert given[dead].sum() == 0


def counted(chips: maker8x8.Maker8x8) -> np.ndarray:
    """The pulses that each device of card 0 gets from now on."""
    given = np.zeros((8, 8), int)
    card = chips.card(0)
    pulse = card.pulse_devices

    def counting(index: tuple[np.ndarray, ...], counts: np.ndarray) -> None:
        given[index] += np.abs(counts)
        pulse(index, counts)

    card.pulse_devices = counting  # type: ignore[method-assign]
    return given


def test_write_verify_leaves_dead_devices_alone(bench: Bench) -> None:
    """They are known: none of them fails, and no line waits for them."""
    chips, device, _ = bench
    _, found = calibrated(bench, "stuck:0.r0.c0", "dead:c5", "stuck:0.r7.c3")
    dead = found.cards[0].dead
    given = counted(chips)
    config = SETTINGS.integers()
    wanted = np.random.default_rng(7).integers(30, 215, 64).astype(np.uint8).tobytes()
    device.load(NetworkState(config, 0, (wanted,), (bytes([128]) * 32,)), "maker8x8")
    assert device.written is not None
    assert device.written.devices == 64
    assert device.written.failed <= 4  # one pulse of this preset goes astray by 3.7 %
    assert given[~dead].sum() > 50
    assert given[dead].sum() == 0


def test_a_dead_line_counts_as_the_middle_of_its_window(bench: Bench) -> None:
    asked, found = calibrated(bench, "dead:c5")
    bench[1].configure(SETTINGS.integers(), "maker8x8")
    for level in (255, 100):
        codes = asked.lines(0, False, 3, level, reads=4, raw=False)
        assert codes[5] == pytest.approx(found.middle * level / 255, abs=1.5)
    codes = asked.lines(0, True, 5, reads=4, raw=False)
    assert codes == pytest.approx(np.full(8, found.middle), abs=2)


def learned(bench: Bench, passes: int = 8) -> float:
    """Accuracy on three classes of seven numbers that differ in two at a time."""
    device = bench[1]
    settings = Settings(sizes=(7, 3), weight_bits=7, w_max=(0.3,), target_high=0.6)
    device.configure(settings.integers(), "maker8x8")
    rng = np.random.default_rng(4)
    y = rng.integers(0, 3, 60).astype(np.uint8)
    centres = np.array([[1, 1, 0, 0, 0, 0, 1], [0, 0, 1, 1, 0, 0, 1], [0, 0, 0, 0, 1, 1, 1]])
    x = np.clip(200 * centres[y] + rng.normal(0, 25, (60, 7)), 0, 255).astype(np.uint8)
    for _ in range(passes):
        device.learn(settings.rate(4.0), x, y, pulses_per_update=6)
    return float((device.outputs(x).argmax(axis=1) == y).mean())


def test_learning_with_dead_lines_is_better_when_calibrated(bench: Bench) -> None:
    """Without its P line a unit can only be lowered; with a computed one it learns."""
    faults = "dead:c2", "dead:c4", "gain:c0:1.5", "cells:0.05"
    renewed(bench, *faults)
    without = learned(bench)
    calibrated(bench, *faults)
    with_it = learned(bench)
    assert with_it >= 0.95
    assert with_it >= without + 0.2


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[:-9], "is damaged: run madem calibrate"),
        (lambda data: data[:30] + bytes([data[30] ^ 1]) + data[31:], "is damaged"),
        (lambda data: b"", "is damaged"),
        (lambda data: b"nonsense" * 10, "is damaged"),
        (
            lambda data: signed(data[:-4].replace(b"maker8x8", b"other8x8")),
            "is of the design other8x8",
        ),
        (lambda data: signed(data[:-5]), "is damaged"),
    ],
)
def test_a_calibration_that_is_damaged_or_another_boards_is_refused(
    bench: Bench, damage: Callable[[bytes], bytes], said: str
) -> None:
    _, device, flash = bench
    asked, found = calibrated(bench)
    whole = found.to_bytes()
    assert (flash / "madem.cal").read_bytes() == whole
    assert [file.name for file in flash.glob("madem.cal*")] == ["madem.cal"]
    (flash / "madem.cal").write_bytes(damage(whole))
    with pytest.raises(DeviceError, match=said):
        device.configure(SETTINGS.integers(), "maker8x8")
    (flash / "madem.cal").unlink()
    device.configure(SETTINGS.integers(), "maker8x8")
    # What does not arrive whole is not kept.
    with pytest.raises(DeviceError, match="is damaged"):
        asked.store(whole[:-1])
    assert not (flash / "madem.cal").exists()


def test_a_full_flash_is_told_and_the_calibration_from_before_is_still_there(bench: Bench) -> None:
    asked, found = calibrated(bench)
    _, device, flash = bench
    before = (flash / "madem.cal").read_bytes()
    (flash / "madem.cal.new").symlink_to("/dev/full")  # for all that is written there is no room
    said = r"^the flash is full: madem.cal.new takes \d+ bytes: delete files"
    with pytest.raises(DeviceError, match=said):
        asked.store(found.to_bytes())
    assert [file.name for file in flash.glob("madem.cal*")] == ["madem.cal"]
    assert (flash / "madem.cal").read_bytes() == before
    device.configure(SETTINGS.integers(), "maker8x8")


def signed(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))


def test_requests_that_make_no_sense_are_refused(bench: Bench) -> None:
    asked = renewed(bench)
    for payload in (b"", b"\x09", b"\x00\x00", struct.pack("<BHBBhBB", 0, 0, 0, 0, 999, 1, 0)):
        with pytest.raises(DeviceError, match="can't be used"):
            asked._ask(payload)
    with pytest.raises(DeviceError, match="can't be used"):
        asked.pulse(300, 1, 1, True, 1)
    bench[1].configure(SETTINGS.integers())
    with pytest.raises(DeviceError, match="there are no chips"):
        asked.card(0, reads=1)


def test_the_command_calibrates_shows_and_keeps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flash, plot, found = tmp_path / "flash", tmp_path / "map.png", tmp_path / "found.json"
    command = ["calibrate", "--board", f"unix:dir={flash}", "--inject", "dead:c4+stuck:0.r1.c1"]
    assert main([*command, "--plot", str(plot), "--json", str(found)]) == 1
    said = capsys.readouterr().out
    assert "dead columns 4" in said
    assert "9 of 64 devices are dead" in said
    result = json.loads(found.read_text())
    assert result["dead_devices"] == 9
    assert result["cards"][0]["stuck"] == [[1, 1]]
    assert plot.stat().st_size > 5000
    assert (flash / "madem.cal").stat().st_size == 10 + 1 + 8 + 2 + 44 + 4
    assert main(["calibrate", "--board", f"unix:dir={flash}", "--forget", "--quiet"]) == 0
    assert not (flash / "madem.cal").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--board", "twin"], "needs a board"),
        (["--design", "other"], "maker8x8"),
        (["--preset", "harsh"], "taox_hfox_wu2018"),
        (["--cards", "0"], "from 1 to 256"),
        (["--forget", "--cards", "2"], "--cards is of a measurement"),
        (["--inject", "gain:c3"], "gain:c3:1.2"),
        (["--inject", "dead:x1"], "is not one of"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
