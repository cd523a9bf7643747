# The Unix port's standard variant as a static 32-bit program, less what would
# need 32-bit libraries, plus the raw REPL that boards have; see repl.c.
MICROPY_FORCE_32BIT = 1
MICROPY_PY_FFI = 0
MICROPY_PY_SSL = 0
MICROPY_PY_BTREE = 0
MICROPY_PY_SOCKET = 0
FROZEN_MANIFEST = $(VARIANT_DIR)/manifest.py
MPY_CROSS_FLAGS += -march=x86

SHARED_SRC_C_EXTRA += runtime/pyexec.c
LDFLAGS_EXTRA += -static -Wl,--wrap=prompt_read_history
