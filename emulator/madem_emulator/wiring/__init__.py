"""SPI, I2C and pins between real MicroPython and chip models."""
