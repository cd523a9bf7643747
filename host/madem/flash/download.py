"""The official MicroPython builds, from micropython.org, the project's own site.

The site publishes no checksums: what arrives is trusted as far as HTTPS, the file's own checksums
and `--sha256` go.
"""

from __future__ import annotations

import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from madem import output
from madem.errors import DownloadError

SITE = "https://micropython.org"
_TIMEOUT = 20.0
_PIECE = 64 * 1024


def page_of(build: str) -> str:
    """Address of the page of a build.

    Args:
        build: such as `RPI_PICO` or `RPI_PICO2-RISCV`.

    Returns:
        Its URL.
    """
    return f"{SITE}/download/{build.partition('-')[0]}/"


def fetch(build: str, suffix: str, progress: Callable[[int, int], None]) -> Path:
    """Download the newest release of a build, unless it is there from before.

    Args:
        build: its name on the site.
        suffix: of the file's name, such as `.uf2`.
        progress: called with the bytes that have arrived and all of them (0: not known).

    Returns:
        The file, in the user's cache.

    Raises:
        DownloadError: the site can't be reached, or has no such build.
    """
    page = page_of(build)
    advice = f"download the newest {suffix} file of {page} on a computer that can, then run"
    try:
        with _open(page) as reply:
            found = newest(reply.read().decode(errors="replace"), build, suffix)
        if found is None:
            raise DownloadError(
                f"{page} lists no release of {build} as {suffix}: download one by hand"
            )
        file = cache() / found.rpartition("/")[2]
        if file.exists():
            return file
        with _open(SITE + found) as reply:
            total = int(reply.headers.get("Content-Length") or 0)
            content = bytearray()
            while piece := reply.read(_PIECE):
                content += piece
                progress(len(content), total)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise DownloadError(
            f"can't fetch {build} from {SITE} ({reason}): {advice} `madem flash FILE` here"
        ) from None
    if total and len(content) != total:
        raise DownloadError(f"{SITE} sent {len(content):,} of {total:,} bytes: run this again")
    output.check_file(file, make_folder=True)
    output.write_whole(file, bytes(content))
    return file


def newest(page: str, build: str, suffix: str) -> str | None:
    """Find the newest release that a page links to; previews don't count.

    Args:
        page: its HTML.
        build: name of the build.
        suffix: of the file's name, such as `.uf2`.

    Returns:
        Path on the site; None if there is none.
    """
    link = re.compile(
        rf'href="(/resources/firmware/{re.escape(build)}-(\d{{8}})-v[\d.]+{re.escape(suffix)})"'
    )
    found = sorted(link.findall(page), key=lambda one: one[1])
    return found[-1][0] if found else None


def cache() -> Path:
    """Where downloads are kept."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home()))
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "madem" / "micropython"


def _open(address: str):
    request = urllib.request.Request(address, headers={"User-Agent": "madem"})
    return urllib.request.urlopen(request, timeout=_TIMEOUT)
