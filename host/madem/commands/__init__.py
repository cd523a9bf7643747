"""The commands, in the order of `madem --help`, and what each is for.

parser.py makes a parser of this table. The module of a command, or of a verb of one, is imported
when its options are needed: all of them take a second.
"""

COMMANDS = {
    "demo": "learn Braille on an emulated board and show it",
    "boards": "what is attached, what is emulated, and which boards are known",
    "flash": "put MicroPython on a board",
    "deploy": "put the firmware on a board",
    "data": "how a file of samples is understood",
    "learn": "stream samples, learn on the device, evaluate",
    "verify": "the same in lock step with the twin",
    "online": "an endless stream: test, then learn each window, through change",
    "novelty": "learn without labels what is usual, tell what is new",
    "predict": "what a saved network answers for new data",
    "show": "what a saved network is",
    "export": "a saved network as integers, or as the file that a board loads",
    "stream": "sensor data to or from a board, recorded or live",
    "monitor": "boards at work: signal, features, activities, weights, accuracy and health",
    "compare": "learning rules against each other on emulated devices",
    "sweep": "many emulated devices, on all cores or a cluster",
    "bench": "figures of the device, the link and its energy",
    "calibrate": "measure a board of chips, and have it keep what was found",
    "doctor": "what is missing, and the command that mends it",
    "completion": "the script that lets a shell complete commands and options",
}
"""By name: what it is for. Its module has the same name."""

VERBS = {
    "stream": {
        "record": "write the samples of a source into a recording",
        "replay": "samples as lines of text, or through a board: features, classes, novelty",
        "show": "draw each second of a source in the terminal",
        "cost": "what a pipeline and a network cost a board, and whether it keeps up",
        "live": "a board works on its own sensor: predict, learn, detect, record",
    },
    "monitor": {
        "learn": "a task while it is learned, and its test",
        "online": "an endless stream whose world changes, learned window by window",
        "replay": "a recording, file or serial line: classes, novelty or features",
        "live": "the boards' own sensors: classes, novelty, features or learning",
    },
    "bench": {
        "device": "time of a training sample, a multiply-accumulate and a weight change",
        "memory": "the smallest heap in which a task completes",
        "link": "goodput of the serial link",
        "emulator": "reads, updates, wires and learning of the physical crossbar",
        "frontend": "reads and pulses a second through the emulated chips",
        "energy": "what a training sample costs on arrays, a microcontroller, a GPU and a CPU",
    },
}
"""Commands that are made of verbs, and what each verb is for. Its module is COMMAND/VERB.py."""
