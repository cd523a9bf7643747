"""Freezes the firmware into a build of MicroPython, where it takes the least heap.

    make -C ports/rp2 BOARD=RPI_PICO FROZEN_MANIFEST=/path/to/this/manifest.py

Include it in a manifest of your own beside what else your board freezes. What is frozen
carries a fingerprint of its source, by which `madem deploy` knows it and sends nothing
when it is this firmware already.

For a Cortex-M0+ (RP2040) first make `aligned (2)` `aligned (4)` in MicroPython's
tools/mpy-tool.py: docs/start/emulated_boards.md tells why.
"""

import atexit
import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

# Inline assembler compiles for its own instruction set only: makemanifest.py is told which.
arm = any("-march=armv" in argument for argument in sys.argv)
sources = sorted(
    path for path in Path("madem").glob("*.py") if arm or not path.stem.endswith("_thumb")
)
# Copies: the build would take a source that is older than its output for compiled already.
copies = Path(tempfile.mkdtemp(prefix="madem-freeze-"))
atexit.register(shutil.rmtree, copies)
(copies / "madem").mkdir()
digest = hashlib.sha256()
for source in sources:
    content = source.read_bytes()
    digest.update(b"%s %d\n%s" % (source.name.encode(), len(content), content))
    (copies / "madem" / source.name).write_bytes(content)
(copies / "madem_frozen.py").write_text(f"FIRMWARE = {digest.hexdigest()!r}\n")

package("madem", base_path=str(copies))
module("madem_frozen.py", base_path=str(copies))
