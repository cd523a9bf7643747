# pyright: reportAttributeAccessIssue=false
"""A program of one's own on the board: it learns from its sensor, and remembers.

Put the library into /lib (`mpremote mip install firmware/package.json`) and this file beside it as
main.py. Each start goes on where the last one ended, whenever the power went. Here the sensor is
made up, so that it runs on every board; yours goes in the place of `read`.
"""

import madem  # the board's, not the desktop's

FILE = "gestures.madem"
NAMES = ("still", "shake", "turn")
LINE = "window=32 hop=16 | mean energy zero | norm:5 follow"
SECONDS = 600  # between two savings, for each wears the flash; where that is FAT, rather 3600

noise = 1


def read(gesture, k):
    """One sample of three channels, as the gesture moves the sensor."""
    global noise
    sample = [0, 0, 1000]
    for i in range(3):
        noise = (noise * 75 + 74) % 65537
        sample[i] += noise % 41
    if gesture == 1:
        sample[0] += 400 if k & 4 else -400
    elif gesture == 2:
        sample[1] += 20 * (k & 31)
    return sample


def begin():
    """The network as it was saved last, or a fresh one."""
    try:
        net = madem.load(FILE)
        print(f"loaded {net.steps} steps")
    except OSError as e:
        print("fresh:", e)
        features = madem.pipeline(LINE, channels=3)
        net = madem.Network((len(features.codes), 16, len(NAMES)), NAMES)
        net.features = features
    return net


net = begin()
right = windows = k = 0
while True:
    gesture = k // 200 % len(NAMES)  # of your own program: what a button says, or nothing
    if net.features.feed(read(gesture, k)):
        windows += 1
        right += net.learn(net.features.codes, gesture) == gesture
        try:
            if net.autosave(FILE, SECONDS):
                print(f"saved {net.steps} steps, {right} of {windows} right")
        except OSError as e:  # the flash is full, or worn out: it works on, and tries again later
            print("not saved:", e)
    k += 1
