"""Files that a power cut leaves whole: the newest or the one before, on littlefs and on FAT.

A file ends with the CRC-32 of all that stands before it. The new content goes into a copy beside
the file first, then into the file itself; so at any moment one of the two is whole. A file of the
same length is written in place: on FAT nothing but its own blocks and its directory entry change.
docs/reference/device.md, "What survives a power cut".
"""

import os

from micropython import const

from . import link_crc

COPY = ".copy"

_SOUND = b"\x1c\xdf\x44\x21"  # CRC-32 of anything followed by its own CRC-32
_PIECE = const(128)  # bytes read at once
_FULL = const(28)  # ENOSPC


def is_whole(path):
    """Whether there is such a file and its checksum is right."""
    return checksum(path) is not None


def checksum(path):
    """The checksum that a whole file ends with, four bytes; None: there is none such."""
    state = bytearray(4)
    piece = bytearray(_PIECE)
    try:
        with open(path, "rb") as file:
            while True:
                n = file.readinto(piece)
                if not n:
                    break
                link_crc.update(state, piece, 0, n)
            if state != _SOUND:
                return None
            file.seek(-4, 2)
            return file.read(4)
    except OSError:
        return None


def checksum_of(parts):
    """The checksum that `replace` writes behind these buffers."""
    state = bytearray(4)
    for part in parts:
        link_crc.update(state, part, 0, len(part))
    return bytes(state)


def find(path):
    """The path of what is whole: the file, or else its copy.

    Raises:
        OSError: there is neither.
    """
    for each in (path, path + COPY):
        if is_whole(each):
            return each
    for each in (path, path + COPY):
        if _size(each) >= 0:
            raise OSError("%s is damaged: its checksum is wrong" % path)
    raise OSError("there is no file %s" % path)


def replace(path, parts):
    """Have the file hold these buffers, one after the other, and their checksum.

    Raises:
        OSError: the flash is full or worn; what was there before is there still.
    """
    if is_whole(path):
        _write(path + COPY, parts)
    _write(path, parts)


def remove(path):
    """Have neither the file nor its copy."""
    for each in (path + COPY, path):  # the copy first: it would be taken for the file
        delete(each)


def put_piece(path, offset, piece):
    """Write a piece of a file that comes in pieces, one after the other.

    Raises:
        ValueError: this is not the next one.
        OSError: the flash is full; the file is gone then, as its rest won't come.
    """
    if offset and offset != _size(path):
        raise ValueError("pieces of a file out of order")
    try:
        with open(path, "ab" if offset else "wb") as file:
            file.write(piece)
    except OSError as e:
        delete(path)
        raise _told(e, path, offset + len(piece))


def _write(path, parts):
    size = 4
    for part in parts:
        size += len(part)
    state = bytearray(4)
    try:
        with open(path, "r+b" if _size(path) == size else "wb") as file:
            for part in parts:
                link_crc.update(state, part, 0, len(part))
                file.write(part)
            file.write(state)
    except OSError as e:
        if not is_whole(path):
            delete(path)
        raise _told(e, path, size)
    if not is_whole(path):
        raise OSError("%s can't be read back: the flash is worn or full" % path)


def _size(path):
    """Bytes of a file; -1: there is none."""
    try:
        return os.stat(path)[6]
    except OSError:
        return -1


def _told(e, path, size):
    if e.args[0] == _FULL:
        return OSError("the flash is full: %s takes %d bytes" % (path, size))
    return e


def delete(path):
    """Have no such file."""
    try:
        os.remove(path)
    except OSError:
        pass  # there is none
