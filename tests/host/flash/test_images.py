"""Image files: what they are for is found, and any damage is."""

import base64
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madem.errors import MademError
from madem.flash import dfuse, esp_image, intel_hex, uf2_file
from madem.flash.image import Image, read_image

from ...conftest import MICROBIT_FIRMWARE
from . import images

PICO = "Raspberry Pi Pico with RP2040"
PICO2 = "Raspberry Pi Pico2 with RP2350"
PYBOARD = "PYBv1.1 with STM32F405RG"


def read(folder: Path, name: str, content: bytes | str, sha256: str | None = None) -> Image:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_image(file, sha256)


@pytest.mark.parametrize(
    ("content", "kind", "chips", "machine"),
    [
        (images.uf2(images.program(PICO)), "uf2", {"RP2040"}, PICO),
        (images.uf2(images.program(PICO2), 0xE48BFF59, e10=True), "uf2", {"RP2350"}, PICO2),
        (images.uf2(images.program(PICO2), 0xE48BFF5A), "uf2", {"RP2350"}, PICO2),
        (images.uf2(images.program(PICO), family=None), "uf2", set(), PICO),
        (
            images.esp(images.program("Generic ESP32 module with ESP32")),
            "esp",
            {"ESP32"},
            "Generic ESP32 module with ESP32",
        ),
        (
            images.esp(images.program("Generic ESP32S3 module with ESP32-S3"), 9, 0),
            "esp",
            {"ESP32S3"},
            "Generic ESP32S3 module with ESP32-S3",
        ),
        (images.dfuse(images.vectors(images.program(PYBOARD))), "dfu", {"STM32"}, PYBOARD),
        (images.vectors(images.program(PYBOARD)), "bin", {"STM32"}, PYBOARD),
        (
            images.hexadecimal(images.vectors(images.program(PYBOARD)), 0x0800_0000).encode(),
            "hex",
            {"STM32"},
            PYBOARD,
        ),
        (
            images.hexadecimal(images.program("PCA10056 with NRF52840")).encode(),
            "hex",
            set(),
            "PCA10056 with NRF52840",
        ),
    ],
)
def test_an_image_tells_what_it_is_for(
    tmp_path: Path, content: bytes, kind: str, chips: set[str], machine: str
) -> None:
    image = read(tmp_path, "image", content)
    assert (image.kind, image.chips, image.machine) == (kind, chips, machine)
    assert image.version == "v1.26.1"
    assert "MicroPython v1.26.1 for " + machine in image.describe()


def test_where_an_image_goes(tmp_path: Path) -> None:
    program = images.vectors(images.program(PYBOARD, size=5000))
    expected = ((0x0800_0000, 5000),)
    assert read(tmp_path, "a", images.dfuse(program)).segments == expected
    assert read(tmp_path, "b", program).segments == expected
    assert read(tmp_path, "c", images.hexadecimal(program, 0x0800_0000)).segments == expected
    memory = dfuse.parse(images.dfuse(program))
    assert memory == [(0x0800_0000, program)]
    assert intel_hex.parse(images.hexadecimal(program, 0x0800_0000).encode())[0] == memory
    _, blocks = uf2_file.parse(images.uf2(program, address=0x0800_0000))
    assert blocks == [(0x0800_0000, program.ljust(5120, b"\0"))]


def test_a_universal_hex_names_its_boards(tmp_path: Path) -> None:
    image = read(tmp_path, "u.hex", images.universal_hex(b"1" * 600, b"2" * 600))
    assert image.boards == {"9900", "9903"}


def test_intel_hex_of_another_program_is_read() -> None:
    """The example of the format's article in Wikipedia: every kind of record but the data's."""
    text = b":020000021200EA\n:0B0010006164647265737320676170A7\n:00000001FF\n"
    assert intel_hex.parse(text) == ([(0x12010, b"address gap")], frozenset())


def test_a_dfuse_file_of_another_program_is_read() -> None:
    """Made by dfuse-pack of dfu-util 0.11: 40 bytes that count up, for 0x08004000."""
    file = zlib.decompress(
        base64.b64decode(
            "eNpzSSsNTmWMZWRgYAxJLEpPLWEAMhmCQ/T09BhGLDAAYlAwMDgwcGiAaEYmZhZWNnYOTi5uHl4+fgFB"
            "IWERUTFxCUkpaRlZOXkFRSVlFVU1dQYGwfvNLFKMoW4uAsky2ioASu0MzQ=="
        )
    )
    assert dfuse.parse(file) == [(0x0800_4000, bytes(range(40)))]


def test_esptool_agrees_with_the_images_of_these_tests(tmp_path: Path) -> None:
    """They would prove nothing if the real chip refused them."""
    part = images.esp_part(9, images.program("x with ESP32-S3"))
    (tmp_path / "part.bin").write_bytes(part)
    done = subprocess.run(
        [sys.executable, "-m", "esptool", "image-info", str(tmp_path / "part.bin")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert re.search(r"Checksum: \w+ \(valid\)", done.stdout), done.stdout
    assert re.search(r"Validation hash: \w+ \(valid\)", done.stdout)


SMALL = {
    "uf2": images.uf2(images.program(PICO, size=900)),
    "esp": images.esp(images.program("x with ESP32", size=900)),
    "dfu": images.dfuse(images.vectors(images.program(PYBOARD, size=900))),
    "hex": images.hexadecimal(images.program(PICO, size=900)).encode(),
}
PARSERS = {
    "uf2": uf2_file.parse,
    "esp": esp_image.parse,
    "dfu": dfuse.parse,
    "hex": intel_hex.parse,
}


@pytest.mark.parametrize("kind", SMALL)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_cut_file_is_damaged(kind: str, data: st.DataObject) -> None:
    content = SMALL[kind]
    # The end of the last line of a hex file is no part of it.
    cut = data.draw(st.integers(0, len(content) - 2))
    with pytest.raises(ValueError, match=r"^(it|its|the|line|block|a part) "):
        PARSERS[kind](content[:cut])


@pytest.mark.parametrize("kind", ["dfu", "hex"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_found(kind: str, data: st.DataObject) -> None:
    content = bytearray(SMALL[kind])
    at = data.draw(st.integers(0, len(content) - 2))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    if kind == "hex" and SMALL[kind].split() == bytes(content).upper().split():
        return  # a digit in lower case is the same digit, and white space is white space
    with pytest.raises(ValueError, match=r"^(it|its|the|line|block|a part) "):
        PARSERS[kind](bytes(content))


@pytest.mark.parametrize("kind", SMALL)
@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=2000))
def test_anything_else_is_damaged_and_no_parser_breaks(kind: str, content: bytes) -> None:
    for start in (b"", SMALL[kind][:16], SMALL[kind][:600]):
        with pytest.raises(ValueError, match=r"^(it|its|the|line|block|a part) "):
            PARSERS[kind](start + content)


def test_a_flipped_bit_of_a_program_for_esp32_is_found() -> None:
    content = bytearray(SMALL["esp"])
    for at in (40, 0x7000 + 8, len(content) - 700, len(content) - 5):
        content[at] ^= 4
        with pytest.raises(ValueError, match=r"checksum|SHA-256"):
            esp_image.parse(bytes(content))
        content[at] ^= 4
    esp_image.parse(bytes(content))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (SMALL["uf2"][:-512], r"damaged: it has 3 of 4 blocks; download it again"),
        (SMALL["uf2"] + SMALL["uf2"][-512:], "block 3 of 4 is there twice"),
        (images.esp_part(0, b"program"), "no partition table.*first installation"),
        (images.esp(b"program", 9, 0, app_chip=5), "for different chips"),
        (images.esp(b"program", 99, 0), "chip number 99 is unknown"),
        (SMALL["dfu"][:-1] + b"\0", "its CRC is wrong"),
        (images.dfuse(b"12345678", product=0x1234), "USB device 0483:1234, no STM32"),
        (SMALL["hex"].replace(b"\n:00000001FF", b""), "its last record is missing"),
        (b"<!doctype html><title>Download</title>", "is a web page"),
        (b"PK\3\4 something else", r"is no image of a board: \.uf2, \.bin, \.dfu or \.hex"),
        (b"", "is no image of a board"),
    ],
)
def test_what_is_no_whole_image_is_refused_in_one_line(
    tmp_path: Path, content: bytes, told: str
) -> None:
    with pytest.raises(MademError, match=told) as caught:
        read(tmp_path, "image", content)
    assert "\n" not in str(caught.value)


def test_the_checksum_that_a_user_gives_is_checked(tmp_path: Path) -> None:
    image = read(tmp_path, "image", SMALL["uf2"])
    assert read(tmp_path, "image", SMALL["uf2"], image.sha256.upper()) == image
    with pytest.raises(MademError, match=f"has SHA-256 {image.sha256}, not 00ff: download it"):
        read(tmp_path, "image", SMALL["uf2"], "00ff")


def test_files_that_cannot_be_read_are_explained(tmp_path: Path) -> None:
    with pytest.raises(MademError, match=r"can't read .*: No such file"):
        read_image(tmp_path / "nothing.uf2")
    with pytest.raises(MademError, match=r"can't read .*: Is a directory"):
        read_image(tmp_path)
    huge = tmp_path / "disk.img"
    with open(huge, "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(MademError, match="larger than any board's flash"):
        read_image(huge)


@pytest.mark.needs("firmware-microbit-micropython")
def test_the_real_micropython_of_the_microbit_is_read() -> None:
    image = read_image(MICROBIT_FIRMWARE)
    assert image.version == "v1.9.2-34-gd64154c73"
    assert image.machine == "micro:bit v1.0.1 with nRF51822"
    assert struct.unpack_from("<I", intel_hex.parse(image.content)[0][0][1])[0] == 0x2000_4000
