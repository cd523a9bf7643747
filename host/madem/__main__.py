"""`python -m madem`."""

import sys

from madem.cli import main

sys.exit(main())
