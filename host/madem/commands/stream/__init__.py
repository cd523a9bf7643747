"""The verbs of `madem stream`, a file for each."""
