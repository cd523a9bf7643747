/* What a microcontroller board on a desk has and MicroPython's bare `qemu` port
 * lacks: a serial input filled by an interrupt (so that Ctrl-C stops a running
 * program and an idle board sleeps), a clock, a heap size chosen at power-on,
 * a file system that is mounted at boot, boot.py and main.py.
 *
 * Addresses: "Arm MPS2 Application Note AN385", tables 3-2, 4-2 and 4-5.
 * SPDX-License-Identifier: MIT
 */

#include <stdlib.h>
#include <string.h>

#include "py/gc.h"
#include "py/mphal.h"
#include "py/ringbuf.h"
#include "py/runtime.h"
#include "py/stackctrl.h"
#include "py/stream.h"
#include "shared/readline/readline.h"
#include "shared/runtime/gchelper.h"
#include "shared/runtime/interrupt_char.h"
#include "shared/runtime/pyexec.h"
#include "uart.h"

#define REG(address) (*(volatile uint32_t *)(address))

#define TIMER0_CTRL     REG(0x40000000)
#define TIMER0_VALUE    REG(0x40000004)
#define TIMER0_RELOAD   REG(0x40000008)
#define TIMER0_INT      REG(0x4000000c)
#define TIMER_ENABLE    (1 << 0)
#define TIMER_IRQ       (1 << 3)

#define UART0_DATA      REG(0x40004000)
#define UART0_STATE     REG(0x40004004)
#define UART0_CTRL      REG(0x40004008)
#define UART0_INT       REG(0x4000400c)
#define UART_RX_FULL    (1 << 1)
#define UART_RX_IRQ     (1 << 3)
#define UART_INT_RX     (1 << 1)

#define NVIC_ENABLE     REG(0xe000e100)
#define SCB_VTOR        REG(0xe000ed08)
#define SCB_AIRCR       REG(0xe000ed0c)
#define SYSTEM_RESET    (0x05fa0004)

#define UART0_RX_IRQN   (0)
#define TIMER0_IRQN     (8)
#define CORE_VECTORS    (16)
#define IRQ_VECTORS     (32)

// The emulator's launcher writes the wished heap size (bytes) here before power-on.
#define HEAP_SIZE_WORD  REG(0x21000000)
#define HEAP_SIZE_MAX   (1024 * 1024)

#define TICKS_PER_US    (25)

static uint32_t heap[HEAP_SIZE_MAX / sizeof(uint32_t)];

/* ---- clock: timer 0 counts down at 25 MHz, its interrupt counts the rounds ---- */

static volatile uint32_t timer_rounds;

static void timer0_handler(void) {
    TIMER0_INT = 1;
    timer_rounds += 1;
}

static uint64_t ticks(void) {
    uint32_t state = madem_irq_disable();
    uint32_t low = ~TIMER0_VALUE;
    uint32_t high = timer_rounds;
    if (TIMER0_INT & 1) {
        // Wrapped while interrupts were off: read again, surely after the wrap.
        low = ~TIMER0_VALUE;
        high += 1;
    }
    madem_irq_restore(state);
    return (uint64_t)high << 32 | low;
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return ~TIMER0_VALUE;
}

mp_uint_t mp_hal_ticks_us(void) {
    return ticks() / TICKS_PER_US;
}

mp_uint_t mp_hal_ticks_ms(void) {
    return ticks() / (1000 * TICKS_PER_US);
}

uint64_t mp_hal_time_ns(void) {
    // No calendar here: time begins at power-on.
    return ticks() * (1000 / TICKS_PER_US);
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t end = ticks() + (uint64_t)us * TICKS_PER_US;
    while (ticks() < end) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t end = ticks() + (uint64_t)ms * 1000 * TICKS_PER_US;
    while (ticks() < end) {
        mp_handle_pending(true);
    }
}

/* ---- serial input ---- */

// Far more than a host keeps under way, so that a Ctrl-C is never stuck behind it.
static uint8_t rx_bytes[16 * 1024];
static ringbuf_t rx = { rx_bytes, sizeof(rx_bytes), 0, 0 };

static void uart0_rx_handler(void) {
    UART0_INT = UART_INT_RX;
    while (UART0_STATE & UART_RX_FULL) {
        if (ringbuf_free(&rx) == 0) {
            // Leave the byte in the UART: the emulator then holds back the rest.
            UART0_CTRL &= ~UART_RX_IRQ;
            return;
        }
        int c = UART0_DATA & 0xff;
        if (c == mp_interrupt_char) {
            // As in MicroPython's USB ports the input before it goes with it.
            rx.iget = rx.iput;
            mp_sched_keyboard_interrupt();
        } else {
            ringbuf_put(&rx, c);
        }
    }
}

int __wrap_mp_hal_stdin_rx_chr(void) {
    for (;;) {
        uint32_t state = madem_irq_disable();
        int c = ringbuf_get(&rx);
        if (!(UART0_CTRL & UART_RX_IRQ)) {
            UART0_CTRL |= UART_RX_IRQ;
            uart0_rx_handler();
        } else if (c < 0) {
            // Sleep; an interrupt that arrived since the check ends it at once.
            __asm volatile ("wfi");
        }
        madem_irq_restore(state);
        if (c >= 0) {
            return c;
        }
        mp_handle_pending(true);
    }
}

uintptr_t __wrap_mp_hal_stdio_poll(uintptr_t flags) {
    uintptr_t ready = flags & MP_STREAM_POLL_WR;
    if (ringbuf_avail(&rx)) {
        ready |= flags & MP_STREAM_POLL_RD;
    }
    return ready;
}

/* ---- power-on ---- */

static void start_interrupts(void) {
    static uint32_t vectors[CORE_VECTORS + IRQ_VECTORS] __attribute__((aligned(256)));
    extern const uint32_t isr_vector[];
    extern void Default_Handler(void);
    memcpy(vectors, isr_vector, CORE_VECTORS * sizeof(uint32_t));
    for (int i = 0; i < IRQ_VECTORS; ++i) {
        vectors[CORE_VECTORS + i] = (uint32_t)&Default_Handler;
    }
    vectors[CORE_VECTORS + UART0_RX_IRQN] = (uint32_t)&uart0_rx_handler;
    vectors[CORE_VECTORS + TIMER0_IRQN] = (uint32_t)&timer0_handler;
    SCB_VTOR = (uint32_t)vectors;

    TIMER0_RELOAD = 0xffffffff;
    TIMER0_VALUE = 0xffffffff;
    TIMER0_CTRL = TIMER_ENABLE | TIMER_IRQ;
    UART0_CTRL |= UART_RX_IRQ;
    if (!(UART0_STATE & UART_RX_FULL)) {
        // Tells QEMU, which noticed a closed receiver, to look again at once.
        (void)UART0_DATA;
    }
    NVIC_ENABLE = 1 << UART0_RX_IRQN | 1 << TIMER0_IRQN;
}

// No semihosting: what runs on the board can't reach the host's files.
void __wrap_mp_semihosting_init(void) {
}

// machine.reset() arrives here with status 0, a failed boot with another one.
void __wrap_exit(int status) {
    if (status == 0) {
        SCB_AIRCR = SYSTEM_RESET;
    }
    for (;;) {
        __asm volatile ("wfi");
    }
}

static void run(void) {
    pyexec_frozen_module("_boot.py", false);
    int ret = pyexec_file_if_exists("boot.py");
    if (!(ret & PYEXEC_FORCED_EXIT) && pyexec_mode_kind == PYEXEC_MODE_FRIENDLY_REPL) {
        ret = pyexec_file_if_exists("main.py");
    }
    while (!(ret & PYEXEC_FORCED_EXIT)) {
        ret = pyexec_mode_kind == PYEXEC_MODE_RAW_REPL ? pyexec_raw_repl() : pyexec_friendly_repl();
    }
}

int __wrap_main(void) {
    uint32_t heap_size = HEAP_SIZE_WORD;
    if (heap_size == 0 || heap_size > HEAP_SIZE_MAX) {
        heap_size = MICROPY_HEAP_SIZE;
    }
    start_interrupts();
    mp_stack_ctrl_init();
    mp_stack_set_limit(10240);
    gc_init(heap, (uint8_t *)heap + heap_size);
    for (;;) {
        mp_init();
        mp_obj_list_append(mp_sys_path, MP_OBJ_NEW_QSTR(qstr_from_str("/lib")));
        readline_init0();
        run();
        mp_printf(&mp_plat_print, "MPY: soft reboot\n");
        gc_sweep_all();
        mp_deinit();
    }
}
