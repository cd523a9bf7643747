"""The monitor's page: in a real browser, on the numbers of a real run."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madem.data.registry import load_task
from madem.learn import train
from madem.monitor import html, svg
from madem.monitor.fleet import Assignment, Fleet
from madem.monitor.jobs import LearnJob
from madem.monitor.run_state import CurvePoint, RunFacts, Stage, WindowMark
from madem.stream.windows import WindowResult

from ...conftest import CHROMIUM

needs_chromium = pytest.mark.needs("chromium-headless-shell")


class Browser:
    """Chromium by the DevTools protocol, over the pipe of --remote-debugging-pipe: JSON and a
    NUL in descriptors 3 (to it) and 4 (from it)."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        there, self._to = os.pipe()
        self._from, back = os.pipe()
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (there, back)]
        for fd in (there, back):
            os.close(fd)
        options = (
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *(f"--user-data-dir={profile}", "--remote-debugging-pipe"),
        )
        self._process = subprocess.Popen(
            # The shell moves the pipes to where Chromium looks for them.
            ["bash", "-c", f'exec "$0" "$@" 3<&{ends[0]} 4>&{ends[1]}', CHROMIUM, *options],
            pass_fds=ends,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for fd in ends:
            os.close(fd)
        self._last = 0
        self._buffer = b""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    session: str | None = None

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have something done; what happened meanwhile goes to `events`."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            found = self._read()
            if found.get("id") == self._last:
                assert "error" not in found, found
                return found["result"]
            self.events.append(found)

    def open(self, file: Path) -> None:
        """Load a file and forget what happened before."""
        self.events.clear()
        self.call("Page.navigate", url=file.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def value(self, expression: str) -> Any:
        """What JavaScript makes of it."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def requested(self) -> list[str]:
        """Addresses that the page has asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[dict[str, Any]]:
        """What the page has written to the console, and errors."""
        kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [event for event in self.events if event.get("method") in kinds]

    def close(self) -> None:
        os.close(self._to)
        os.close(self._from)
        try:
            self._process.wait(120)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + 600
        while b"\0" not in self._buffer:
            assert select.select([self._from], [], [], max(0.0, end - time.monotonic()))[0]
            data = os.read(self._from, 1 << 16)
            assert data, "Chromium has ended"
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = Browser(tmp_path_factory.mktemp("profile"))
    try:
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def learned() -> RunFacts:
    """A short run of digits on the emulated board."""
    task = load_task("digits", seed=1)
    job = LearnJob(task, train.recipe(task, seed=1), {"preset": "default", "bits": 4, "seed": 1})
    with Fleet([Assignment("unix", "unix", job)], most=600) as fleet:
        assert fleet.wait(300)
    (facts,) = fleet.snapshots()
    assert facts.stage is Stage.DONE, facts.reason
    return facts


def streamed(**others: Any) -> RunFacts:
    """A stream, made up."""
    random = np.random.default_rng(1)
    marks = [
        WindowMark(40 + 20 * k, WindowResult(k, answer=k % 2, label=0 if k < 6 else None))
        for k in range(8)
    ]
    facts = RunFacts(
        "qemu", "wrist.csv", "accuracy", stage=Stage.STREAMING, samples=8, worked_s=2.0, value=0.5,
        curve=[CurvePoint(k / 4, k, 0.9) for k in range(8)],
        classes=("still", "a rather long name"), channels=("x", "y"), rate_hz=10.0,
        signal=random.integers(-99, 99, (180, 2)).astype(np.int16), signal_end=180,
        marks=tuple(marks), names=tuple("xxxxyyyy"),
        inputs=random.integers(0, 255, 8).astype(np.uint8),
    )  # fmt: skip
    return replace(facts, **others)


@needs_chromium
def test_the_page_loads_alone_and_shows_everything(
    browser: Browser, learned: RunFacts, tmp_path: Path
) -> None:
    dead = RunFacts("COM9", "digits", stage=Stage.DEAD, reason="the board is gone: unplugged")
    file = tmp_path / "report.html"
    file.write_text(html.render([learned, streamed(), dead]), encoding="utf-8")
    browser.open(file)

    assert [url for url in browser.requested() if not url.startswith("data:")] == [file.as_uri()]
    assert browser.complaints() == []

    pictures = browser.value(
        "[...document.querySelectorAll('svg')].map(s => { const b = s.getBoundingClientRect(),"
        " i = s.getBBox(); return [s.getAttribute('aria-label'), b.width, b.height, i.width,"
        " i.height] })"
    )
    labels = [label for label, *_ in pictures]
    for what in ("input", "free and nudged activities", "heap in use over time", "features"):
        assert what in labels
    for when in ("at the beginning", "at the end"):
        assert {f"weights of layer {k} {when}" for k in (1, 2)} <= set(labels)
    for label, *sizes in pictures:
        assert min(sizes) > 5, label
    text = browser.value("document.body.innerText")
    for said in ("unix", "qemu", "COM9", "the board is gone: unplugged", "wrist.csv", "0.1.0"):
        assert said in text
    # Nothing sticks out of the page.
    assert browser.value("document.documentElement.scrollWidth <= window.innerWidth")


@needs_chromium
def test_the_numbers_on_the_page_are_those_of_the_json(
    browser: Browser, learned: RunFacts, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(html.render([learned]), encoding="utf-8")
    browser.open(file)
    data = json.loads(browser.value("document.getElementById('data').textContent"))
    assert data == {"boards": [json.loads(json.dumps(learned.to_json()))]}
    shown = browser.value(
        "[...document.querySelectorAll('[data-key]')].map(e => [e.dataset.key, e.innerText])"
    )
    assert {"running", "metrics.accuracy", "samples_seen", "health.heap_used"} <= {
        key for key, _ in shown
    }
    for key, text in shown:
        value = data["boards"][0]
        for name in key.split("."):
            value = value[name]
        number, unit = re.fullmatch(r"([\d,.]+)\s?(%|KB|)", text).groups()  # type: ignore[union-attr]
        digits = len(number.partition(".")[2])
        value *= {"%": 100, "KB": 1 / 1024, "": 1}[unit]
        assert float(number.replace(",", "")) == pytest.approx(value, abs=0.51 * 10**-digits), key


@needs_chromium
def test_the_browser_would_have_noticed(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "bad.html"
    file.write_text("<script>console.error(1)</script><img src='missing.png'>")
    browser.open(file)
    assert len(browser.requested()) > 1
    assert len(browser.complaints()) == 2


@needs_chromium
def test_dark_where_it_is_wanted_and_light_on_paper(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(html.render([streamed()]), encoding="utf-8")
    browser.open(file)

    def brightness(media: str, scheme: str) -> int:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.call("Emulation.setEmulatedMedia", media=media, features=features)
        colour = browser.value("getComputedStyle(document.querySelector('.card')).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    assert brightness("screen", "dark") < 150
    assert brightness("screen", "light") > 700
    assert brightness("print", "dark") > 700
    browser.call("Emulation.setEmulatedMedia", media="", features=[])


@needs_chromium
def test_names_are_only_text(browser: Browser, tmp_path: Path) -> None:
    nasty = "</script><script>document.title='broken'</script><i>&"
    facts = streamed(board=nasty, task=nasty, classes=(nasty, "b"), channels=(nasty, "y"))
    file = tmp_path / "report.html"
    facts = replace(facts, reason=nasty, stage=Stage.DEAD, settings={nasty: nasty})
    file.write_text(html.render([facts, facts]), encoding="utf-8")
    browser.open(file)
    assert browser.complaints() == []
    assert browser.value("document.querySelectorAll('script, i').length") == 1
    assert browser.value("document.title").startswith("</script>")
    data = json.loads(browser.value("document.getElementById('data').textContent"))
    assert data["boards"][0]["board"] == nasty


def test_a_page_names_nothing_outside_itself(learned: RunFacts) -> None:
    text = html.render([learned, streamed()])
    assert not re.search(r"(src|href)=[\"'](?!#|data:)", text)
    assert not re.search(r"@import|url\(|//[a-z]", text)
    assert len(text) < 500_000


def test_samples_that_stay_on_the_board_are_not_in_the_page() -> None:
    facts = streamed()
    assert "Signal and answers" in html.render([facts])
    kept = html.render([replace(facts, signal=None)])
    assert "The samples stayed on the board" in kept
    assert "polyline" not in kept.partition("Newest windows")[2].partition("</figure>")[0]


def drawn(text: str) -> dict[tuple[int, int], float]:
    """The cells of a heat map and their strength, read back."""
    cells: dict[tuple[int, int], float] = {}
    for kind, strength, d in re.findall(
        r'class="(more|less)" fill-opacity="(.*?)" d="(.*?)"', text
    ):
        sign = 1 if kind == "more" else -1
        for x, y, wide in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v1h", d):
            for k in range(int(wide)):
                place = (int(y), int(x) + k)
                assert place not in cells, "drawn twice"
                cells[place] = sign * float(strength)
    return cells


@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_heat_map_shows_every_cell_once(rows: int, columns: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-4, 5, (rows, columns)) / 4
    cells = drawn(svg.heat(values))
    shown = np.zeros((rows, columns))
    for place, strength in cells.items():
        shown[place] = strength
    np.testing.assert_allclose(shown, values, atol=0.5 / svg.LEVELS + 0.01)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 8))
def test_ticks_are_round_and_inside(low: float, span: float, about: int) -> None:
    found = svg.ticks(low, low + span, about)
    slack = 1e-6 * max(abs(low), span)
    assert all(low - slack <= tick <= low + span + slack for tick in found)
    assert len(found) <= about + 1
    steps = np.diff(found)
    if len(steps):
        assert f"{steps[0]:.0e}"[0] in "125"


def test_a_long_signal_keeps_its_peaks() -> None:
    values = np.zeros(10_000)
    values[7_321] = 5.0
    values[1_234] = -3.0
    index, shown = svg.outline(values, 300)
    assert len(shown) <= 600
    assert shown.max() == 5.0
    assert shown.min() == -3.0
    assert (np.diff(index) >= 0).all()
