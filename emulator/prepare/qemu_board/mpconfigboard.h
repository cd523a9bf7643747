// Upstream's configuration of the port, with what boards/RPI_PICO also has:
// byte streams on the serial line, time, select, and a file system.
#include "ports/qemu/mpconfigport.h"

#undef MICROPY_PY_SYS_STDIO_BUFFER
#undef MICROPY_PY_SELECT
#undef MICROPY_PY_TIME
#define MICROPY_PY_SYS_STDIO_BUFFER (1)
#define MICROPY_PY_SELECT           (1)
#define MICROPY_PY_TIME             (1)

// Interrupts exist here, so the scheduler's state needs protection from them.
static inline uint32_t madem_irq_disable(void) {
    uint32_t primask;
    __asm volatile ("mrs %0, primask\n cpsid i" : "=r" (primask) :: "memory");
    return primask;
}
static inline void madem_irq_restore(uint32_t primask) {
    __asm volatile ("msr primask, %0" :: "r" (primask) : "memory");
}
#define MICROPY_BEGIN_ATOMIC_SECTION()     madem_irq_disable()
#define MICROPY_END_ATOMIC_SECTION(state)  madem_irq_restore(state)
