"""A network as a thing: its integers, what goes in and what comes out, and its file."""
