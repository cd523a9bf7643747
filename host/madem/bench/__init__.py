"""Figures of a board and of the emulator, each beside a reference measured in the same run."""
