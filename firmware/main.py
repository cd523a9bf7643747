"""madem: start the newest firmware in a folder madem-N, or the frozen or installed one."""

import os
import sys

_found = [int(name[6:]) for name in os.listdir() if name[:6] == "madem-" and name[6:].isdigit()]
if _found:
    sys.path.insert(0, "madem-%d" % max(_found))

from madem import boot  # noqa: E402

boot.run()
