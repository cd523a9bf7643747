/* The REPL of boards, raw mode included, instead of the Unix port's own, which
 * got it only in MicroPython 1.27.
 * SPDX-License-Identifier: MIT
 */

#include <stdlib.h>

#include "shared/runtime/pyexec.h"

// The port calls this where its own REPL would begin.
void __wrap_prompt_read_history(void) {
    int ret;
    do {
        ret = pyexec_mode_kind == PYEXEC_MODE_RAW_REPL ? pyexec_raw_repl() : pyexec_friendly_repl();
    } while (!(ret & PYEXEC_FORCED_EXIT));
    exit(0);
}
