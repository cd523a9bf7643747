"""Whatever learns, as one kind of object: a board, its twin, both in lock step."""
