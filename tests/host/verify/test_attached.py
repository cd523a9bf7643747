"""Level 2 of the verification: digital side bit-equal on recorded codes, codes tested."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from madem.boards.link_protocol import Mode
from madem.cli import main
from madem.errors import DeviceError
from madem.learners.board import BoardLearner, connect
from madem.learners.protocol import Presentation
from madem.verify.attached import AttachedLockStep, parse_events, record
from madem.verify.lock_step import DiffersError
from madem.verify.plausibility import PlausibilityCheck
from madem_emulator.designs import GEOMETRIES, faults, maker8x8
from madem_emulator.physical import presets
from madem_emulator.twin.cards import CardPulse, CardRead
from madem_emulator.twin.config import Rule, Settings

from ..conftest import board_with

pytestmark = pytest.mark.needs("unix")

Bench = tuple[maker8x8.Maker8x8, BoardLearner]
SMALL = (7, 4)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Real firmware on a board whose chips this process holds."""
    chips = maker8x8.Maker8x8(presets.TAOX_HFOX_WU2018, seed=3)
    with board_with(chips.bus, tmp_path_factory.mktemp("flash")) as opened:
        yield chips, connect(opened, deploy_firmware=True)


def fresh(bench: Bench, settings: Settings, run: int = 0, *injected: str) -> AttachedLockStep:
    """A network on cards that nobody has used."""
    chips, device = bench
    chips.renew(run, faults.BoardFaults(faults.parse(each) for each in injected))
    device.configure(settings.integers(), "maker8x8")
    return AttachedLockStep(device, "maker8x8")


def samples(settings: Settings, count: int, run: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(run)
    y = rng.integers(0, settings.sizes[-1], count).astype(np.uint8)
    centres = rng.integers(0, 256, (settings.sizes[-1], settings.sizes[0]))
    x = np.clip(centres[y] + rng.normal(0, 30, (count, settings.sizes[0])), 0, 255)
    return x.astype(np.uint8), y


@pytest.mark.parametrize(
    "settings",
    [
        Settings(sizes=(10, 6, 3), weight_bits=7),
        Settings(
            sizes=(20, 9, 12, 4), weight_bits=7, competition=(3.0, 0, 0), rate_scale=(1, 2, 3)
        ),
        Settings(sizes=(9, 5, 4), rule=Rule.ONE_SIDED, dac_bits=5),
        Settings(sizes=(9, 5, 4), rule=Rule.CLAMPED),
    ],
)
def test_the_digital_side_is_replayed_bit_by_bit(bench: Bench, settings: Settings) -> None:
    lock = fresh(bench, settings)
    x, y = samples(settings, 30)
    x[::4, :8] = 0  # a block of lines without voltage is not read
    answers = lock.learn(settings.rate(6.0), x, y, pulses_per_update=3)
    lock.outputs(x[:5])
    assert lock.steps == 30
    assert lock.attached.pulses[0] > 50
    assert len(answers) == 30
    assert lock.compared > 30 * 3 * sum(settings.sizes[1:])


def test_a_flipped_activity_is_found_where_it_is(bench: Bench) -> None:
    settings = Settings(sizes=(10, 6, 3), weight_bits=7)
    lock = fresh(bench, settings)
    x, y = samples(settings, 10)
    lock.device.flip(True, 6, 1, 4, 5)
    with pytest.raises(DiffersError) as caught:
        lock.learn(settings.rate(4.0), x, y)
    found = caught.value.mismatch
    assert (found.step, found.phase, found.layer, found.cell) == (6, "free", 1, "unit 4")
    assert found.device == found.twin ^ 1 << 5


Change = Callable[[list[CardRead | CardPulse]], None]


def other_card(events: list[CardRead | CardPulse]) -> None:
    read = events[0]
    assert isinstance(read, CardRead)
    events[0] = CardRead(read.rows, 77, read.codes)


def other_code(events: list[CardRead | CardPulse]) -> None:
    """So large that the activity it leads to is not the device's."""
    read = events[0]
    assert isinstance(read, CardRead)
    events[0] = CardRead(read.rows, read.card, read.codes + np.array([1500, 0] * 4, np.int16))


def other_pulse(events: list[CardRead | CardPulse]) -> None:
    at = next(n for n, event in enumerate(events) if isinstance(event, CardPulse))
    pulse = events[at]
    assert isinstance(pulse, CardPulse)
    events[at] = CardPulse(not pulse.up, pulse.card, pulse.pulses, pulse.rows, pulse.columns)


@pytest.mark.parametrize(
    ("change", "phase", "said"),
    [
        (other_card, "schedule", "should read cards"),
        (lambda events: events.pop(0), "schedule", "should read cards"),
        (lambda events: events.append(events[0]), "schedule", "too many"),
        (other_code, "free", ""),
        (other_pulse, "schedule", "SET on card 0"),
    ],
)
def test_what_the_device_did_otherwise_is_named(
    bench: Bench, change: Change, phase: str, said: str
) -> None:
    settings = Settings(sizes=SMALL, weight_bits=7)
    lock = fresh(bench, settings)
    replay = lock.attached.replay

    def changed(events: list[CardRead | CardPulse]) -> None:
        if lock.attached.steps == 5:
            change(events)
        replay(events)

    lock.attached.replay = changed
    x, y = samples(settings, 10)
    with pytest.raises(DiffersError) as caught:
        lock.learn(settings.rate(8.0), x, y)
    assert (caught.value.mismatch.step, caught.value.mismatch.phase) == (5, phase)
    assert said in str(caught.value)


def test_a_sample_that_nobody_asks_for_any_more_is_finished(bench: Bench) -> None:
    """A host that is gone after the first piece: the weights are those of a whole step."""
    settings = Settings(sizes=(200, 8, 3))
    lock = fresh(bench, settings)
    device = lock.device
    x, y = samples(settings, 2)
    for n in range(2):
        head = bytes([1, n, 0, 0, 0, 100, 0, 1])
        sample = np.append(x[n], y[n]).astype(np.uint8).tobytes()
        assert device.link.request(18, head + sample, timeout=60)[0] == 0, "more than one piece"
        assert device.stats().steps == n + 1
    with pytest.raises(DeviceError, match="not one sample"):
        device.link.request(18, bytes([0, 1, 0]))
    with pytest.raises(DeviceError, match="another number of samples"):
        record(device, x[0], Presentation(Mode.LEARN, first=7), y[0])


def test_events_that_are_cut_are_refused() -> None:
    geometry = GEOMETRIES["maker8x8"]
    whole = bytes([0, 3, 0, *range(16), 3, 3, 0, 2, 1, 128])
    assert [type(event) for event in parse_events(whole, geometry)] == [CardRead, CardPulse]
    for cut in (1, 2, 18, 20, 24):
        with pytest.raises(ValueError, match="not whole"):
            parse_events(whole[:cut], geometry)


# --- are the codes plausible? ---------------------------------------------------------------------


def found_in_run(bench: Bench, run: int, count: int, *injected: str) -> str | None:
    """What is found in a run on new cards; None: nothing."""
    settings = Settings(sizes=SMALL, weight_bits=7, seed=run + 1)
    lock = fresh(bench, settings, run, *injected)
    watch = PlausibilityCheck(lock, bench[0].device, count, 20)
    x, y = samples(settings, count, run)
    try:
        watch.probe()
        lock.learn(settings.rate(4.0), x, y, pulses_per_update=5)
        lock.outputs(x[:20])
        watch.probe()
    except DiffersError as error:
        return f"{error.mismatch.phase}: {error.mismatch.cell}"
    return None


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("gain:c3:1.1", r"wrong gain: column 3 has 1\.(09|10|11)\d times"),
        ("gain:r2:0.9", r"wrong gain: row 2 has 0\.(89|90)\d times"),
        ("gain:c5:1.2@30", r"wrong gain: column 5 has 1\.(19|20)\d times"),
        ("swap:c2:c5", "swapped pair: columns 2 and 5"),
        ("swap:r0:r6", "swapped pair: rows 0 and 6"),
        ("dead:c4", "dead column 4"),
        ("dead:r3@30", "dead row 3"),
        ("gain:c1:0", "dead column 1: its amplifier"),
        ("stuck:0.r3.c2", "stuck device: card 0, row 3, column 2"),
        ("open:0.r1.c1", "open device: card 0, row 1, column 1"),
        ("short:0.r1.c1", "shorted device: card 0, row 1, column 1"),
        ("drift:0.05", "slow drift: devices without pulses moved by -"),
    ],
)
def test_each_fault_is_found_and_named(bench: Bench, fault: str, named: str) -> None:
    found = found_in_run(bench, 0, 400 if "stuck" in fault else 60, fault)
    assert re.match(f"codes: {named}", found or ""), found


def test_no_alarm_where_nothing_is_wrong(bench: Bench) -> None:
    """bench/false_alarms.py measures the rate, at most 1 in 1000: one of 4 runs with 0.4 %."""
    assert sum(found_in_run(bench, run, 60) is not None for run in range(4)) <= 1


def test_the_command_verifies_a_board_of_chips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(3)
    rows = [
        f"{n % 3 + rng.normal(0, 0.2)},{n % 2 + rng.normal(0, 0.2)},k{n % 3}" for n in range(90)
    ]
    (tmp_path / "small.csv").write_text("a,b,y\n" + "\n".join(rows) + "\n")
    found = tmp_path / "found.json"
    command = ["verify", str(tmp_path / "small.csv"), "--frontend", "attached", "--layers", "none"]
    command += ["--samples", "60", "--json", str(found)]
    assert main(command) == 0
    result = json.loads(found.read_text())
    assert (result["steps"], result["mismatches"], result["frontend"]) == (60, 0, "attached")
    assert result["code_tests"] > 500
    assert "0 mismatches" in capsys.readouterr().out
    assert main([*command, "--inject", "gain:c3:1.2"]) == 1
    result = json.loads(found.read_text())
    assert result["first_mismatch"]["phase"] == "codes"
    assert "wrong gain: column 3" in result["first_mismatch"]["cell"]
    assert "the codes of the board are not plausible" in capsys.readouterr().out
    assert main([*command, "--inject", "state:9"]) == 1
    assert json.loads(found.read_text())["first_mismatch"]["step"] == 9
