# The Raspberry Pi Pico of MicroPython's own boards, with madem's firmware frozen into it.
set(PICO_BOARD "pico")
set(PICO_PLATFORM "rp2040")
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
