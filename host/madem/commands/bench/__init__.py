"""The verbs of `madem bench`, a file for each."""
