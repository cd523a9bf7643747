#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)
#define MICROPY_BANNER_MACHINE "32-bit linux"
#include "../mpconfigvariant_common.h"
