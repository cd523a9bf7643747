"""The pictures of docs/guide/monitor.md, from runs on emulated boards: needs Chromium.

python bench/monitor_pictures.py docs/figures
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image
from rich.console import Console

from madem.data import concept_drift
from madem.data.registry import load_task
from madem.data.stream_task import StreamTask
from madem.learn import train
from madem.monitor import html, tui
from madem.monitor.fleet import Assignment, Fleet, names
from madem.monitor.jobs import BoardJob, LearnJob, OnlineJob
from madem.monitor.run_state import RunFacts
from madem.stream import prequential
from madem_emulator.twin.gated import GateSettings

COLUMNS, LINES = 124, 36
_CHROMIUM = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def job(name: str, epochs: int, throttle: float | None = None) -> LearnJob:
    """A task with the defaults of `madem monitor`."""
    task = load_task(name, seed=1)
    plan = train.recipe(task, seed=1, epochs=epochs)
    return LearnJob(task, plan, {"preset": "default", "bits": 4, "rule": "centred"}, throttle)


def flight() -> OnlineJob:
    """Two classes are swapped after 200 windows."""
    task = load_task("motions", seed=1)
    assert isinstance(task, StreamTask)
    stream = concept_drift.drift_stream(
        task, concept_drift.parse("swap:Walking,Running", task), before=200, after=200
    )
    plan = prequential.recipe(task, seed=1)
    return OnlineJob(
        stream, plan, plan.schedule(0), GateSettings(), {"preset": "default", "bits": 4}
    )


def watched(
    specs: Sequence[str], work: BoardJob, until: Callable[[list[RunFacts]], bool] | None = None
) -> list[RunFacts]:
    """What boards look like at a moment, or in the end."""
    with Fleet([Assignment(n, s, work) for n, s in zip(names(specs), specs, strict=True)]) as fleet:
        while not fleet.wait(0.05):
            if until and until(fleet.snapshots()):
                return fleet.snapshots()
    return fleet.snapshots()


def terminal(boards: list[RunFacts], file: Path) -> None:
    """A picture of the terminal."""
    console = Console(
        record=True, width=COLUMNS, height=LINES, force_terminal=True, color_system="truecolor",
        file=io.StringIO(),
    )  # fmt: skip
    console.print(tui.Whole(boards))
    drawn = console.export_svg(title="madem monitor")
    # Rich names a font on a server.
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.S)
    drawn = drawn.replace("Fira Code, monospace", "DejaVu Sans Mono, monospace")
    _, _, width, height = re.search(r'viewBox="(.*?)"', drawn)[1].split()  # type: ignore[index]
    photograph(drawn, "svg", round(float(width)), round(float(height)), file)


def photograph(text: str, kind: str, width: int, height: int, file: Path) -> None:
    """What Chromium makes of a page or picture, in few colours."""
    chromium = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if chromium is None:
        sys.exit("no Chromium: sudo apt-get install chromium-headless-shell")
    with tempfile.TemporaryDirectory() as folder:
        source, shot = Path(folder, f"page.{kind}"), Path(folder, "shot.png")
        source.write_text(text, encoding="utf-8")
        options = (
            *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(f"--screenshot={shot}", f"--window-size={width},{height}"),
        )
        subprocess.run(
            [chromium, *options, source.as_uri()],
            check=True,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        with Image.open(shot) as picture:
            picture.convert("RGB").quantize(128).save(file, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)

    digits = watched(["unix"], job("digits", 20, throttle=4000), lambda b: b[0].samples > 9000)
    terminal(digits, folder / "monitor-digits.png")
    three = ["unix", "unix", "unix:heap=20K"]
    motions = watched(three, job("motions", 20, throttle=600), lambda b: b[1].samples > 1500)
    terminal(motions, folder / "monitor-boards.png")

    learned = watched(["unix"], job("digits", 20, throttle=8000))
    photograph(html.render(learned), "html", 1280, 2210, folder / "monitor-page.png")
    flown = watched(["unix"], flight())
    photograph(html.render(flown), "html", 1280, 1290, folder / "monitor-change.png")


if __name__ == "__main__":
    main()
