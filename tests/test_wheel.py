"""The wheel holds everything, and works where the source tree is not."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.needs("unix")]

_ROOT = Path(__file__).parents[1]
_PLACES = {
    "host/madem": "madem",
    "emulator/madem_emulator": "madem_emulator",
    "emulator/prepare": "madem_emulator/prepare",
    "firmware": "madem_firmware",
}

Run = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: what a build leaves behind would get into the next one."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("host", "emulator", "firmware"):
        shutil.copytree(_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(_ROOT / name, folder)
    build = "import setuptools.build_meta as hooks; hooks.build_wheel('wheel')"
    subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True)
    (found,) = folder.glob("wheel/*.whl")
    return found


@pytest.fixture(scope="module")
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a program of an environment with the wheel, in a folder of its own.

    Its dependencies are those of this environment, whose `.pth` files, and so its way to the
    source tree, don't count there.
    """
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    programs = folder / "venv/bin"
    offline = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
    subprocess.run([programs / "pip", "install", *offline, wheel], check=True)
    (site,) = folder.glob("venv/lib/*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    environment.pop("PYTHONPATH", None)

    def run(program: str, *words: str) -> str:
        done = subprocess.run(
            [programs / program, *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_it_holds_every_file_of_every_room(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {
        f"{inside}/{path.relative_to(_ROOT / place)}"
        for place, inside in _PLACES.items()
        for path in (_ROOT / place).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == files
    assert {"madem/py.typed", "madem_emulator/py.typed"} <= held


def test_the_source_tree_is_not_what_runs(run: Run) -> None:
    said = run("python", "-c", "import sys, madem, madem_emulator; print(madem.__file__, sys.path)")
    assert "site-packages/madem/__init__.py" in said
    assert str(_ROOT / "host") not in said
    assert str(_ROOT / "emulator") not in said
    prepare = "from madem_emulator.boards import prepared; print(prepared.prepare_folder())"
    assert os.access(f"{run('python', '-c', prepare).strip()}/build_micropython.sh", os.X_OK)


def test_it_deploys_learns_and_verifies(run: Run) -> None:
    assert "nothing was changed" in run("madem", "deploy", "--dry-run", "--board", "unix")
    few = ("digits", "--layers", "4", "--epochs", "1", "--no-baselines", "--board", "unix")
    assert "1,437 samples" in run("madem", "learn", *few)
    assert "0 mismatches" in run("madem", "verify", "digits", "--samples", "24", "--board", "unix")
