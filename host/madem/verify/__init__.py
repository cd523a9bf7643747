"""A device in lock step with its twin: the first value that differs is located."""
