"""The table of boards: how each is recognised, flashed and wired, and what fits on it.

A board that is not in the table works too: everything here is a default or a hint, and the board
itself is asked for its version and its free heap. Ports and boards follow MicroPython's own
definitions: `ports/*/boards/*/mpconfigboard.*` and `boards/*/board.json` of its repository.
"""

from __future__ import annotations

from dataclasses import dataclass

UsbId = tuple[int, int]
"""Vendor and product number."""

# What the ROM of an STM32 calls itself in DFU mode (ST AN2606).
STM32_DFU: UsbId = (0x0483, 0xDF11)


@dataclass(frozen=True)
class BoardType:
    """One kind of board.

    Attributes:
        name: what `--type` takes.
        title: for people.
        chip: as MicroPython names it, in upper case; `sys.implementation._machine` ends with it.
        core: the processor core.
        clock_hz: the core's clock under MicroPython, unless a program changes it.
        mpy_arch: what mpy-cross takes as `-march`.
        download: its name at micropython.org/download; "" if it is not there.
        suffix: of the official image's file name.
        methods: how it can be flashed, the usual way first.
        usb: vendor and product numbers under MicroPython, or of the debug probe on the board:
            hints, for other boards have some of them too. None for boards behind an adapter.
        bootloader_usb: the same in its bootloader.
        volume: identities of its bootloader's volume: `Board-ID` of INFO_UF2.TXT, or the four
            digits that begin the `Unique ID` of DETAILS.TXT or the code of MBED.HTM.
        uf2_family: family numbers of UF2 files that run on it.
        button: how to enter the bootloader by hand.
        heap: bytes of free heap after power-up, typical and rounded down.
        i2c, spi, adc: default pins, as `machine.Pin` takes them: (scl, sda),
            (sck, mosi, miso), and one that the ADC can read.
        pyocd_target: its name in pyOCD; "" when pyOCD does not know it.
        viper: its MicroPython compiles to native code, without which the firmware does not run.
    """

    name: str
    title: str
    chip: str
    core: str
    clock_hz: int
    mpy_arch: str
    download: str
    suffix: str
    methods: tuple[str, ...]
    usb: tuple[UsbId, ...]
    heap: int
    i2c: tuple[str, str]
    spi: tuple[str, str, str]
    adc: str
    button: str
    bootloader_usb: tuple[UsbId, ...] = ()
    volume: tuple[str, ...] = ()
    uf2_family: tuple[int, ...] = ()
    pyocd_target: str = ""
    viper: bool = True


_BOOTSEL = "hold BOOTSEL while plugging the board in"
_BOOT = "hold BOOT, press and release RESET (or EN), then release BOOT"
_BOOT0 = "connect BOOT0 to 3V3 and press RESET"
_DOUBLE_TAP = "press RESET twice, quickly"

# Free heaps: RP2, nRF52840 and pyboard by their linker scripts (RAM less what the firmware keeps),
# ESP32 family by `gc.mem_free()` as reported for generic builds without PSRAM; all rounded down.
BOARD_TYPES = (
    BoardType(
        name="rp2040",
        title="Raspberry Pi Pico",
        chip="RP2040",
        core="Cortex-M0+",
        clock_hz=125_000_000,
        mpy_arch="armv6m",
        download="RPI_PICO",
        suffix=".uf2",
        methods=("uf2", "pyocd"),
        usb=((0x2E8A, 0x0005),),
        bootloader_usb=((0x2E8A, 0x0003),),
        volume=("RPI-RP2",),
        uf2_family=(0xE48BFF56,),
        heap=185_000,
        i2c=("GP5", "GP4"),
        spi=("GP18", "GP19", "GP16"),
        adc="GP26",
        button=_BOOTSEL,
        pyocd_target="rp2040",
    ),
    BoardType(
        name="rp2350",
        title="Raspberry Pi Pico 2, Arm",
        chip="RP2350",
        core="Cortex-M33",
        clock_hz=150_000_000,
        mpy_arch="armv7emsp",
        download="RPI_PICO2",
        suffix=".uf2",
        methods=("uf2", "pyocd"),
        usb=((0x2E8A, 0x0005),),
        bootloader_usb=((0x2E8A, 0x000F),),
        volume=("RP2350",),
        uf2_family=(0xE48BFF59,),
        heap=480_000,
        i2c=("GP5", "GP4"),
        spi=("GP18", "GP19", "GP16"),
        adc="GP26",
        button=_BOOTSEL,
        pyocd_target="rp2350",
    ),
    BoardType(
        name="rp2350-riscv",
        title="Raspberry Pi Pico 2, RISC-V",
        chip="RP2350",
        core="Hazard3 (RISC-V)",
        clock_hz=150_000_000,
        mpy_arch="rv32imc",
        download="RPI_PICO2-RISCV",  # a variant on the page of the Arm build
        suffix=".uf2",
        methods=("uf2",),
        usb=((0x2E8A, 0x0005),),
        bootloader_usb=((0x2E8A, 0x000F),),
        volume=("RP2350",),
        uf2_family=(0xE48BFF5A,),
        heap=480_000,
        i2c=("GP5", "GP4"),
        spi=("GP18", "GP19", "GP16"),
        adc="GP26",
        button=_BOOTSEL,
    ),
    BoardType(
        name="esp32",
        title="ESP32 module or DevKit",
        chip="ESP32",
        core="Xtensa LX6",
        clock_hz=160_000_000,
        mpy_arch="xtensawin",
        download="ESP32_GENERIC",
        suffix=".bin",
        methods=("esptool",),
        usb=(),
        heap=110_000,
        i2c=("18", "19"),
        spi=("14", "13", "12"),
        adc="32",
        button=_BOOT,
    ),
    BoardType(
        name="esp32-s3",
        title="ESP32-S3 module or DevKit",
        chip="ESP32S3",
        core="Xtensa LX7",
        clock_hz=240_000_000,
        mpy_arch="xtensawin",
        download="ESP32_GENERIC_S3",
        suffix=".bin",
        methods=("esptool",),
        usb=((0x303A, 0x4001),),
        bootloader_usb=((0x303A, 0x1001),),
        heap=160_000,
        i2c=("9", "8"),
        spi=("12", "11", "13"),
        adc="1",
        button=_BOOT,
    ),
    BoardType(
        name="esp32-c3",
        title="ESP32-C3 module or DevKit",
        chip="ESP32C3",
        core="RISC-V (RV32IMC)",
        clock_hz=160_000_000,
        mpy_arch="rv32imc",
        download="ESP32_GENERIC_C3",
        suffix=".bin",
        methods=("esptool",),
        # Its USB is the chip's own serial port and JTAG, the same before and after flashing.
        usb=((0x303A, 0x1001),),
        bootloader_usb=((0x303A, 0x1001),),
        heap=120_000,
        i2c=("9", "8"),
        spi=("6", "7", "2"),
        adc="0",
        button=_BOOT,
    ),
    BoardType(
        name="pyboard",
        title="pyboard v1.1",
        chip="STM32F405RG",
        core="Cortex-M4F",
        clock_hz=168_000_000,
        mpy_arch="armv7emsp",
        download="PYBV11",
        suffix=".dfu",
        methods=("dfu", "pyocd"),
        usb=((0xF055, 0x9800), (0xF055, 0x9801)),
        bootloader_usb=(STM32_DFU,),
        heap=93_000,
        i2c=("X9", "X10"),
        spi=("X6", "X8", "X7"),
        adc="X1",
        button="connect DFU to 3V3 and press RST",
        pyocd_target="stm32f405rgtx",
    ),
    BoardType(
        name="nucleo-f446re",
        title="ST Nucleo-F446RE",
        chip="STM32F446XX",
        core="Cortex-M4F",
        clock_hz=168_000_000,
        mpy_arch="armv7emsp",
        download="NUCLEO_F446RE",
        suffix=".hex",
        # Its USB socket leads to the ST-LINK, which shows a volume, not to the chip's own DFU.
        methods=("daplink", "pyocd", "dfu"),
        usb=((0x0483, 0x374B),),
        bootloader_usb=((0x0483, 0x374B), STM32_DFU),
        volume=("0777",),
        heap=70_000,
        i2c=("B6", "B7"),
        spi=("A5", "A7", "A6"),
        adc="A0",
        button=_BOOT0,
        pyocd_target="stm32f446retx",
    ),
    BoardType(
        name="nrf52840",
        title="nRF52840 development kit",
        chip="NRF52840",
        core="Cortex-M4F",
        clock_hz=64_000_000,
        mpy_arch="armv7emsp",
        download="PCA10056",
        suffix=".hex",
        methods=("pyocd", "daplink"),
        usb=((0x1366, 0x1015), (0x1366, 0x1051), (0x1366, 0x1061)),
        volume=("1102",),
        heap=200_000,
        i2c=("27", "26"),
        spi=("47", "45", "46"),
        adc="3",
        button="none is needed: the kit's own debug probe flashes it",
        pyocd_target="nrf52840",
    ),
    BoardType(
        name="xiao-nrf52840",
        title="Seeed XIAO nRF52840 Sense",
        chip="NRF52840",
        core="Cortex-M4F",
        clock_hz=64_000_000,
        mpy_arch="armv7emsp",
        download="SEEED_XIAO_NRF52",
        suffix=".uf2",
        methods=("uf2",),
        usb=((0x2886, 0x0045), (0x2886, 0x8045)),
        bootloader_usb=((0x2886, 0x0045),),
        volume=("Seeed_XIAO_nRF52840_Sense", "Seeed_XIAO_nRF52840"),
        uf2_family=(0xADA52840,),
        heap=200_000,
        i2c=("5", "4"),
        spi=("45", "47", "46"),
        adc="2",
        button=_DOUBLE_TAP,
    ),
    BoardType(
        name="microbit-v2",
        title="BBC micro:bit v2",
        chip="NRF52833",
        core="Cortex-M4F",
        clock_hz=64_000_000,
        mpy_arch="armv7emsp",
        # MicroPython for it comes from the micro:bit foundation, as a universal hex.
        download="",
        suffix=".hex",
        methods=("daplink", "pyocd"),
        usb=((0x0D28, 0x0204),),
        volume=("9903", "9904", "9905", "9906"),
        heap=60_000,
        i2c=("pin19", "pin20"),
        spi=("pin13", "pin15", "pin14"),
        adc="pin0",
        button="none is needed: copying a file is enough",
        pyocd_target="nrf52833",
        viper=False,
    ),
)

BY_NAME = {board.name: board for board in BOARD_TYPES}


def by_usb(vid: int | None, pid: int | None) -> tuple[BoardType, ...]:
    """Find the board types that show some USB numbers, running or in their bootloader.

    Args:
        vid: vendor; None: it is no USB port.
        pid: product.

    Returns:
        The types, in the order of the table.
    """
    return tuple(
        board for board in BOARD_TYPES if (vid, pid) in (*board.usb, *board.bootloader_usb)
    )


def by_volume(identity: str) -> tuple[BoardType, ...]:
    """Find the board types whose bootloader's volume has some identity.

    Args:
        identity: see `BoardType.volume`.

    Returns:
        The types, in the order of the table.
    """
    return tuple(board for board in BOARD_TYPES if identity in board.volume)


def by_machine(machine: str) -> tuple[BoardType, ...]:
    """Find the board types of a chip.

    What MicroPython tells names the board before the chip; that may be one of many with that chip.

    Args:
        machine: `sys.implementation._machine`, which ends with the chip.

    Returns:
        The types, in the order of the table.
    """
    chip = machine.rpartition(" with ")[2].upper().replace("-", "")
    riscv = chip == "RP2350RISCV"
    chip = chip.removesuffix("RISCV")
    found = tuple(board for board in BOARD_TYPES if board.chip == chip)
    # The chip that has cores of both kinds says which of them run.
    if chip == "RP2350":
        return tuple(board for board in found if (board.mpy_arch == "rv32imc") == riscv)
    return found
