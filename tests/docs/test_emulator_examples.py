"""The examples of docs/science/emulator.md run and save what they say; the page knows every
preset.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from madem_emulator import presets

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["program_and_read", "wire_losses", "train_under_drift"])
def test_example(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    picture = tmp_path / f"{name.replace('_', '-')}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"saved {picture}" in done.stdout


def test_the_page_names_every_preset() -> None:
    page = (ROOT / "docs/science/emulator.md").read_text()
    for name in presets.ALL:
        assert f"`{name}`" in page
