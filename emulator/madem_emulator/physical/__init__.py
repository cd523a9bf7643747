"""A crossbar emulated in physical units: devices, pulses, noise, drift, wires, converters."""
