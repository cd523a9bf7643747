"""Whether what a board of chips says is what a sound board would say."""
