"""The library: nothing allocated, the bits of the link, what is refused, and saved networks that a
cut leaves whole.
"""

import gc
import struct
from array import array

import build
import flash_ram
import micropython
from plain import Numbers, equal

import madem
from madem import flash_file, learn_gate, library_network, library_settings, network_config

PATH = flash_ram.MOUNT + "/net.madem"
LINE = "window=16 hop=8 | mean energy bands:2 | norm:5"


def columns(n, low=-1000, high=3000):
    """A section COLS of so many inputs."""
    data = struct.pack("<H", n)
    for k in range(n):
        name = b"column %d" % k
        data += bytes([len(name)]) + name + b"\x02mV" + struct.pack("<hii", 2, low, high + k)
        data += bytes(8)
    return data


def made(sections, checksum=True):
    """A network's file of these sections (tag, bytes)."""
    data = b"MADEM\0\x03\0\0\0"
    for tag, content in sections:
        data += tag + struct.pack("<I", len(content)) + content
    return data


def sections_of(net):
    network = net._network
    return [
        (b"CONF", net._conf),
        (b"STEP", struct.pack("<I", net.steps)),
        (b"DEVS", bytes(network.front.devices)),
        (b"ACCS", b"".join(bytes(cells) for cells in net._learner.accumulators)),
        (b"NAMS", struct.pack("<H", len(net.names)) + b"".join(
            bytes([len(name.encode())]) + name.encode() for name in net.names
        )),
    ]  # fmt: skip


def on_flash(work):
    """The result of `work(put)` on a fresh littlefs; `put(sections)` writes a file to PATH."""
    flash = flash_ram.fresh(flash_ram.Lfs)

    def put(sections):
        flash_file.replace(PATH, (made(sections),))

    return flash_ram.mounted(flash_ram.Lfs, flash, lambda: work(put))


def recalling(words=3, dots=12, lines=2):
    """A network that gives back words, and its WORD section."""
    sizes = (dots + lines * words, dots + words)
    conf = build.configure(sizes, one_hot=0, targets=(204, 0), ranges=(10, 10))
    net = library_network.Network(conf, ["w%d" % k for k in range(words)])
    return sections_of(net) + [(b"WORD", bytes([lines]))]


def loaded(sections):
    return on_flash(lambda put: put(sections) or madem.load(PATH))


def locked(work):
    """Run `work(k)` 24 times with the heap locked: any allocation is a MemoryError."""
    for k in range(24):  # warm up
        work(k)
    gc.collect()
    micropython.heap_lock()
    try:
        for k in range(24):
            work(k)
    finally:
        micropython.heap_unlock()


def test_predicting_and_learning_allocate_nothing():
    net = loaded(sections_of(madem.Network((8, 6, 3))) + [(b"COLS", columns(8))])
    data = Numbers(1)
    samples = [data.bytes(8) for _ in range(4)]
    counts = [data.between(-2000, 4000) for _ in range(8)]
    calls = bytearray(2)

    def count():
        calls[0] = 1

    net.meanwhile(count)

    def work(k):
        net.learn(samples[k & 3], k % 3)
        net.predict(net.encode(counts))
        calls[1] = net.margin
        net.begin(samples[k & 3], k % 3)
        while net.step() is not None:
            pass

    locked(work)
    equal(net.steps, 2 * 48)
    assert calls[0]


def test_giving_back_words_allocates_nothing():
    net = loaded(recalling())
    dots, target, x = bytearray(b"\1\0" * 6), bytearray(b"\1\0\1" * 5), bytearray(18)

    def work(_):
        net.learn(x, target)
        net.recall(dots)

    locked(work)
    equal(net.steps, 48)


def test_gated_learning_allocates_nothing():
    net = madem.Network((8, 6, 3))
    net.use_gate(gate=200, drop=3000, every=2)
    data = Numbers(1)
    samples = [data.bytes(8) for _ in range(4)]
    outcomes = bytearray(1)

    def work(k):
        net.learn(samples[k & 3], k % 3)
        outcomes[0] |= net.gate.outcome

    locked(work)
    equal(net.steps, 48)
    assert outcomes[0] & 6 == 6, "windows learned, and copied"


def test_a_saved_gate_goes_on_as_if_it_had_never_been_off():
    data = Numbers(2)
    samples = [data.bytes(8) for _ in range(90)]
    for drop, every, cut in ((0, 100, 7), (2000, 3, 0), (2000, 3, 1), (2000, 3, 40), (300, 2, 60)):
        settings = {"gate": 90, "at_most": 60, "fade": 3, "drop": drop, "every": every}
        one, other = madem.Network((8, 3), seed=4), madem.Network((8, 3), seed=4)
        one.use_gate(**settings)
        other.use_gate(**settings)
        other.rate, other.pulses = one.rate, one.pulses = 900, 2

        def work(put):
            net = other
            told = [], []
            for k in range(90):
                if k == cut:
                    net.save(PATH)
                    net = madem.load(PATH)
                # The classes are changed over halfway: it must go back now and then.
                label = (samples[k][0] + (k > 45)) % 3
                for each, found in ((one, told[0]), (net, told[1])):
                    found.append((each.learn(samples[k], label), each.gate.outcome))
            equal(told[0], told[1])
            equal(net.gate.state(), one.gate.state())
            equal(net.gate.copy(), one.gate.copy())
            equal(sections_of(net), sections_of(one))
            equal((net.rate, net.pulses), (900, 2))
            return one.gate.rollbacks

        rollbacks = on_flash(work)
        assert rollbacks or not drop, (drop, every, cut)


def test_what_no_gate_takes():
    net = madem.Network((4, 2))
    for name, value in (
        ("gate", 257), ("gate", -1), ("at_most", 101), ("fade", 0), ("fade", 13), ("drop", 65536),
        ("every", 0), ("every", 65536),
    ):  # fmt: skip
        refused(ValueError, net.use_gate, **{name: value})
    words = loaded(recalling())
    refused(ValueError, words.use_gate)
    state = learn_gate.UpdateGate(net._learner, 9, 50, 4, 0, 9).state()
    sections = sections_of(net)

    def work(put):
        for at, content in ((0, b"\xff\xff"), (8, b"\xff\xff"), (10, b"\xff\xff"), (3, b"\0")):
            changed = state[:at] + content + state[at + len(content) :]
            put(sections + [(b"GATE", changed)])
            refused(ValueError, madem.load, PATH)
        for wrong in (state[:-1], state + b"\0", state[:-4] + bytes(4)):
            put(sections + [(b"GATE", wrong)])
            refused(ValueError, madem.load, PATH)
        put(sections + [(b"GATE", state)])
        equal(madem.load(PATH).gate.state(), state)

    on_flash(work)


def test_the_sensor_is_kept_and_what_is_none_is_refused():
    net = madem.Network((4, 2))
    refused(ValueError, net.open_source)

    def work(put):
        head = b"\0\0\1\0"
        for rest in (b"", b"\0\x05bogus", b"\x08" + bytes(9), b"\0\xff", b"\0\0"):
            payload = head + rest
            net.source = payload
            net.save(PATH)
            again = madem.load(PATH)
            equal(again.source, payload)
            refused(ValueError, again.open_source)

    on_flash(work)


def test_features_allocate_nothing():
    features = madem.pipeline(LINE, 2)
    data = Numbers(1)
    stream = array("h", [data.between(-900, 900) for _ in range(8)])
    sample = (3, -3)
    whole = bytearray(1)

    def work(_):
        whole[0] += features.feed(stream) + features.feed(sample)

    locked(work)
    equal(whole[0], (48 * 5 - 16) // 8 + 1)


def test_the_defaults_fit_the_limits_of_any_size():
    for sizes in ((1, 1), (1024, 255), (1, 1024, 1), (64, 32, 10), (3, 4, 5, 6, 7)):
        payload = library_settings.payload(sizes, 4294967295)
        equal(network_config.parse(payload, 0, len(payload))[0], sizes)
    for sizes, seed in (((3,), 1), ((3, 0), 1), ((3, 256), 1), ((1025, 2), 1), ((3, 2), -1),
                        ((3, 2), 1 << 32), ((), 1)):  # fmt: skip
        refused(ValueError, library_settings.payload, sizes, seed)


def refused(kind, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as e:
        return str(e.args[0])
    raise AssertionError("not refused: %r %r" % (arguments, named))


def test_what_does_not_fit_is_refused():
    net = madem.Network((4, 3))
    equal(net.names, ["0", "1", "2"])
    x = bytearray(4)
    equal(refused(ValueError, net.predict, bytearray(3)), "a sample has 4 codes, not 3")
    equal(refused(ValueError, net.learn, bytearray(5), 0), "a sample has 4 codes, not 5")
    equal(refused(ValueError, net.learn, x, 3), "there is no class 3")
    equal(refused(ValueError, net.learn, x, -1), "there is no class -1")
    refused(ValueError, net.encode, [1, 2, 3, 4])
    refused(ValueError, net.recall, x)
    refused(ValueError, madem.Network, (4, 3), ("a", "b"))
    net.begin(x, 1)
    for call in (net.predict, lambda x: net.learn(x, 0)):
        refused(RuntimeError, call, x)
    net.step()
    refused(RuntimeError, net.predict, x)
    equal(net.step(), None)
    equal(net.step(), None)
    net.predict(x)
    equal(net.steps, 1)


def test_steps_are_a_sample():
    x = bytearray(b"\xff\0\x80\x40")
    one, two = madem.Network((4, 3)), madem.Network((4, 3))
    for k in range(12):
        answer = one.learn(x, k % 3)
        two.begin(x, k % 3)
        equal(two.step(), answer)
        equal(two.step(), None)
    equal(sections_of(one), sections_of(two))


def test_a_saved_network_is_the_same_again():
    data = Numbers(4)
    x = data.bytes(8)
    net = loaded(sections_of(madem.Network((8, 3), ("ä", "b", "c"))) + [(b"COLS", columns(8))])
    equal((net.rate, net.pulses), (2064, 3))
    for k in range(9):
        net.learn(x, k % 3)

    def work(put):
        net.save(PATH)
        with open(PATH, "rb") as file:
            saved = file.read()
        again = madem.load(PATH)
        equal((again.rate, again.pulses), (2064, 3))
        equal(again.names, ["ä", "b", "c"])
        equal(again.columns()[7], ("column 7", "mV", 2, bytes(8)))
        again.save(PATH)
        with open(PATH, "rb") as file:
            equal(file.read(), saved)
        for _ in range(3):
            equal((again.predict(x), again.margin), (net.predict(x), net.margin))

    on_flash(work)


def test_a_network_of_a_stream_keeps_its_pipeline():
    features = madem.pipeline(LINE + " follow", 2)
    net = madem.Network((len(features.codes), 2))
    net.features = features
    data = Numbers(3)
    for _ in range(40):
        features.feed((data.between(-500, 500), data.between(-9000, 9000)))

    def work(put):
        net.save(PATH)
        again = madem.load(PATH).features
        equal(again.state, features.state)
        equal((again.settings, again.follow, again.follows_in_use), (features.settings, True, True))
        features.follows_in_use = False
        net.save(PATH)
        again = madem.load(PATH).features
        equal((again.follow, again.follows_in_use), (False, False))

    on_flash(work)


def test_a_cut_while_saving_leaves_a_network():
    """The start of a user's own program: load, use, learn on, save."""
    x = bytearray(b"\xff\0\x80\x40\x20\x10")
    for system in flash_ram.SYSTEMS:
        net = madem.Network((6, 5, 2), ("no", "yes"))
        net.learn(x, 1)
        flash = flash_ram.fresh(system)
        flash_ram.mounted(system, flash, lambda: net.save(PATH))
        before = sections_of(net)
        net.learn(x, 0)
        after = sections_of(net)
        found = [0, 0]

        def start():
            again = madem.load(PATH)
            sections = sections_of(again)
            assert sections in (before, after)
            found[sections == after] += 1
            again.learn(x, 1)
            again.save(PATH)
            equal(sections_of(madem.load(PATH)), sections_of(again))

        for _, _, left in flash_ram.cuts(system, flash, lambda: net.save(PATH)):
            flash_ram.mounted(system, left, start)
        assert found[0] and found[1], found


def test_files_that_are_none_are_refused_in_one_line():
    net = madem.Network((4, 3), ("a", "b", "c"))
    whole = sections_of(net)

    def work(put):
        def told(sections):
            put(sections)
            return refused(ValueError, madem.load, PATH).replace(PATH + ": ", "")

        for k in range(4):
            told(whole[:k] + whole[k + 1 :])
        for k in range(5):
            told(whole[:k] + [(whole[k][0], whole[k][1][:-1])] + whole[k + 1 :])
            told(whole[:k] + [(whole[k][0], whole[k][1] + b"\0")] + whole[k + 1 :])
            if whole[k][0] != b"NAMS":  # there may be none
                told(whole[:k] + [(whole[k][0], b"")] + whole[k + 1 :])
        equal(
            told(whole[:4] + [(b"NAMS", b"\3\0\1a\1\xff\1c")]),
            "text that is no UTF-8",
        )
        for last in (
            (b"COLS", columns(3)), (b"COLS", columns(4, 2000, 1000)), (b"COLS", columns(4)[:-1]),
            (b"COLS", b""), (b"PIPE", bytes(9)), (b"PIPE", b""), (b"WORD", b""),
        ):  # fmt: skip
            told(whole + [last])
        flash_file.replace(PATH, (b"something else",))
        equal(refused(ValueError, madem.load, PATH), PATH + ": not a network saved by madem")
        flash_file.replace(PATH, (b"MADEM\0\4\0\0\0",))
        refused(ValueError, madem.load, PATH)
        flash_file.replace(PATH, (b"MADEM\0\3\0",))
        refused(ValueError, madem.load, PATH)

    on_flash(work)


def test_lines_of_pipelines_that_are_none():
    for line in (
        "", "window=16", "window=16 |", "| mean", "window=16 | mean | norm:6 | mean",
        "hop=3 | mean",
        "window:16 | mean", "window=16 | mean:2", "window=16 | bands", "window=16 | bands=2",
        "window=16 window=16 | mean", "window=x | mean", "window=7 | mean", "window=257 | mean",
        "window=16 hop=17 | mean", "window=16 | median", "window=16 | mean | norm:13",
        "window=16 | bands:9", "window=8 | bands:1", "window=16 | mean | mean", "window=-16 | mean",
        "window=99999999999 | mean", "window=16 | bands:300", "window= | mean",
    ):  # fmt: skip
        refused(ValueError, madem.pipeline, line)
    for channels in (0, 17, -1, 300):
        refused(ValueError, madem.pipeline, "window=16 | mean", channels)
    features = madem.pipeline("window=16 | mean", 2)
    refused(ValueError, features.feed, (1, 2, 3))
    refused(ValueError, features.feed, (1, 40000))
    refused(ValueError, features.feed, b"\0\0\0")
    refused(ValueError, features.feed, bytes(4 * 40))
    equal(features.feed(bytes(4 * 16)), True)
