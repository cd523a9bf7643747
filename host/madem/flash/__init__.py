"""Put MicroPython on a board: one module a way of writing, one a file format."""
