"""The commands, in the order of `madem --help`, and what each is for.

Each is a module of this package that has `add_options(parser)` and `run(args, terminal)`, which
gives the exit code. cli.py imports the one that is asked for: all take half a second.
"""

ALL = {
    "demo": "learn Braille on an emulated board and show it",
    "boards": "what is attached, what is emulated, and which boards are known",
    "flash": "put MicroPython on a board",
    "deploy": "put the firmware on a board",
    "learn": "stream samples, learn on the device, evaluate",
    "verify": "the same in lock step with the twin",
    "stream": "sensor data to or from a board, recorded or live",
    "monitor": "boards at work: signal, features, activities, weights, accuracy and health",
    "compare": "learning rules against each other on emulated devices",
    "sweep": "many emulated devices, on all cores or a cluster",
    "bench": "figures of the device, the link and its energy",
    "calibrate": "measure a board of chips, and have it keep what was found",
    "doctor": "what is missing, and the command that mends it",
    "completion": "the script that lets a shell complete commands and options",
}
