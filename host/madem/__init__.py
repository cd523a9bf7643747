"""madem: a microcontroller that learns on a memristor crossbar, and the tools around it."""

from importlib.metadata import version

__version__ = version("madem")
