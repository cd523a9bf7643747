"""The device's files. This one stays behind: it makes them data of the desktop package."""
