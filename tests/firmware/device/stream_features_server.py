"""Runs pipelines that are asked for on the standard input, a line each, until it ends.

A line: channels window hop flags bands norm follow, then the samples in hex (16-bit, little-
endian). Answered by a line with each window's inputs in hex, then the normalisation's state.
"""

import binascii
import sys

from madem.stream_features import Pipeline

while True:
    line = sys.stdin.readline()
    if not line:
        break
    words = line.split()
    shape = [int(word) for word in words[:6]]
    one = Pipeline(*shape)
    data = binascii.unhexlify(words[7]) if len(words) > 7 else b""
    found = []
    for at in range(0, len(data), 2 * shape[0]):
        due = one.due(1, 0)
        whole = one.push(data, at)
        assert due == whole
        if whole:
            one.compute(int(words[6]))
            found.append(binascii.hexlify(one.codes).decode())
    print(",".join(found), binascii.hexlify(one.state).decode())
