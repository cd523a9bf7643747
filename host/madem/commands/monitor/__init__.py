"""The verbs of `madem monitor`, a file for each; what they share is in watch.py."""
