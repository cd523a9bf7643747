"""A server for the link tests: counts, echoes, and tells how much heap is in use.

Runs inside MicroPython. Arguments: max_body window rx_bytes.

LEARN (3): the payload goes into a running sum; the reply is the count so far.
PREDICT (4): sleeps for as many milliseconds as its first byte says, then as LEARN.
READ (5): the count, in a reply too long to be kept for a repeated request.
WRITE (6): while its first byte is 1, any allocation is a MemoryError.
DIGEST (7): count, sum, bytes of heap in use.
STATS (8): as LEARN, then it is refused with a text of as many characters as its payload says.
"""

import gc
import struct
import sys
import time

import micropython
from madem.link import Link

from madem import link_protocol

max_body, window, rx_bytes = [int(a) for a in sys.argv[1:4]]
link = Link(sys.stdin.buffer, sys.stdout.buffer, max_body, window)
count = 0
total = 0


def absorb():
    global count, total
    count += 1
    body = link.body
    for i in range(link.start, link.end):
        total = (total * 31 + body[i]) & 0xFFFF


def serve():
    while True:
        kind = link.receive()
        if kind == 1:
            link.hello("the server for the tests of the link, whose name is long", count, rx_bytes)
        elif kind == 3 or kind == 4:
            if kind == 4:
                time.sleep_ms(link.body[link.start])
            absorb()
            struct.pack_into("<I", link.out, 8, count)
            link.reply(4)
        elif kind == 5:
            struct.pack_into("<I", link.out, 8, count)
            link.reply(100)
        elif kind == 6:
            if link.body[link.start]:
                micropython.heap_lock()
            else:
                micropython.heap_unlock()
            link.reply(0)
        elif kind == 7:
            struct.pack_into("<IHI", link.out, 8, count, total, gc.mem_alloc())
            link.reply(10)
        elif kind == 8:
            n = link_protocol.u16(link.body, link.start)
            absorb()
            link.error(2, "%*d" % (n, count))
        elif kind == 10:
            link.echo()
        elif kind == 11:
            link.reply(0)
            return
        else:
            link.error(1, "no such kind")


gc.collect()
try:
    serve()
except EOFError:
    pass
except KeyboardInterrupt:
    print("interrupted")
