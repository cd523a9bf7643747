"""Real MicroPython in a process of its own that looks like a board on a serial port."""
