"""Streams of sensor samples: sources, boards that work on them, windows that come of them."""
