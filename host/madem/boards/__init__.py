"""Boards and the line to them: found, opened, sent the firmware, talked to."""
