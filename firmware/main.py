"""madem: start the newest firmware in a folder madem-N, or the frozen or installed one."""

import os
import sys

# In bytes: after a power cut on FAT there may be names that are no text.
_found = [int(n[6:]) for n in os.listdir(b".") if n[:6] == b"madem-" and n[6:].isdigit()]
if _found:
    sys.path.insert(0, "madem-%d" % max(_found))

from madem import boot  # noqa: E402

boot.run()
