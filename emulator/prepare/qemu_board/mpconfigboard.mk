# MicroPython's `qemu` port for the MPS2-AN385 (Cortex-M3), as upstream builds
# it (ports/qemu/boards/MPS2_AN385), plus the few things that a board on a desk
# has and the bare port lacks; see board.c. No upstream file is changed: the
# linker redirects the handful of functions that board.c replaces.
QEMU_ARCH = arm
QEMU_MACHINE = mps2-an385

CFLAGS += -mthumb -mcpu=cortex-m3 -mfloat-abi=soft
CFLAGS += -DQEMU_SOC_MPS2
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M3"'
CFLAGS += -DMP_CONFIGFILE='"$(BOARD_DIR)/mpconfigboard.h"'

LDSCRIPT = $(BOARD_DIR)/mps2.ld
comma := ,
LDFLAGS += $(addprefix -Wl$(comma)--wrap=,main exit mp_semihosting_init mp_hal_stdin_rx_chr mp_hal_stdio_poll)

SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o
SRC_C += $(BOARD_DIR)/board.c shared/timeutils/timeutils.c

MICROPY_VFS_LFS2 = 1
FROZEN_MANIFEST = $(BOARD_DIR)/manifest.py

MPY_CROSS_FLAGS += -march=armv7m
