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
OTHER = flash_ram.MOUNT + "/other.madem"
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
        equal(again.save(OTHER), True)
        with open(OTHER, "rb") as file:
            other = file.read()
        # They differ in the count of writings, and so in the checksum.
        equal(other[:-8], saved[:-8])
        equal((saved[-8:-4], other[-8:-4]), (b"\1\0\0\0", b"\2\0\0\0"))
        for _ in range(3):
            equal((again.predict(x), again.margin), (net.predict(x), net.margin))

    on_flash(work)


def test_what_the_file_has_already_is_not_written_and_writings_are_counted():
    x = bytearray(b"\xff\0\x80\x40")
    for system in flash_ram.SYSTEMS:
        flash = flash_ram.fresh(system)
        net = madem.Network((4, 3))

        def saved(net, wrote):
            before = flash.writes
            equal(net.save(PATH), wrote)
            equal(flash.writes > before, wrote)
            return net.saves

        def work():
            equal((saved(net, True), saved(net, False)), (1, 1))
            net.learn(x, 1)
            equal((saved(net, True), saved(net, False)), (2, 2))
            again = madem.load(PATH)
            again.predict(x)
            equal(saved(again, False), 2)
            again.rate -= 1
            equal((saved(again, True), saved(again, False)), (3, 3))
            again.use_gate()
            equal((saved(again, True), saved(again, False)), (4, 4))
            # Somebody else wrote the file, cut it, or took it away.
            equal(saved(net, True), 3)
            with open(PATH, "r+b") as file:
                file.write(b"torn")
            again = madem.load(PATH)
            equal(again.saves, 3)
            equal((saved(again, True), saved(again, False)), (4, 4))
            flash_file.remove(PATH)
            equal(saved(again, True), 5)
            # A desktop's file has no count, and more than a board keeps.
            flash_file.replace(PATH, (made(sections_of(net) + [(b"NOTE", b"{}")]),))
            again = madem.load(PATH)
            equal(saved(again, False), 0)
            again.learn(x, 2)
            equal(saved(again, True), 1)

        flash_ram.mounted(system, flash, work)


class Clock:
    """In place of `time`, with the ticks of a board of 32 bits."""

    now = (1 << 30) - 900_000  # ms; a quarter of an hour before they begin anew

    @staticmethod
    def ticks_ms():
        return Clock.now & (1 << 30) - 1

    @staticmethod
    def ticks_diff(end, start):
        return ((end - start + (1 << 29)) & (1 << 30) - 1) - (1 << 29)


def with_clock(work):
    real = library_network.time
    library_network.time = Clock
    try:
        return on_flash(work)
    finally:
        library_network.time = real


def test_saving_now_and_then_keeps_its_distance():
    x = bytearray(b"\xff\0\x80\x40")

    def work(put):
        net = madem.Network((4, 3))
        wrote = []
        for k in range(3600):
            Clock.now += 1000
            net.learn(x, k % 3)
            if net.autosave(PATH, seconds=600):
                wrote.append(k + 1)
        equal(wrote, [600, 1200, 1800, 2400, 3000, 3600])
        equal(net.saves, 6)
        # A program that is started again and again writes no more often.
        for k in range(5):
            net = madem.load(PATH)
            net.learn(x, 1)
            Clock.now += 599_000
            equal(net.autosave(PATH), False)
        Clock.now += 1000
        equal(net.autosave(PATH), True)
        # So does one that saves itself, whose network has not changed, or whose flash fails.
        for call in (
            lambda: net.learn(x, 0) == net.save(PATH),
            lambda: equal(net.autosave(PATH), False),
            lambda: net.learn(x, 0) == refused(OSError, net.autosave, "/flash/none/net.madem"),
        ):
            net.save(PATH)
            Clock.now += 600_000
            call()
            Clock.now += 599_000
            net.learn(x, 0)
            equal(net.autosave("/flash/none/net.madem"), False)
        # After days without a sample, when the difference of ticks is negative or small.
        for days in (3, 6, 7, 12, 13):
            Clock.now += days * 86_400_000
            net.learn(x, 2)
            equal(net.autosave(PATH, 500_000 if days == 6 else 600), True)
        for seconds in (0, -1, 500_001):
            refused(ValueError, net.autosave, PATH, seconds)

    with_clock(work)


def test_waiting_to_save_allocates_nothing():
    net = madem.Network((4, 3))
    x = bytearray(4)

    def work(k):
        net.learn(x, k % 3)
        equal(net.autosave(PATH, 500_000), False)

    locked(work)


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


def check_cuts(net, change):
    """Cut the save of a network that `change()` changed since the one before, on both systems.

    Each start is that of a user's own program: load, use, learn on, save.
    """
    x = bytearray(b"\xff\0\x80\x40\x20\x10")
    flashes = []
    for system in flash_ram.SYSTEMS:
        flash = flash_ram.fresh(system)
        flash_ram.mounted(system, flash, lambda: net.save(PATH))
        flashes.append((system, flash))
    before = all_of(net)
    change()
    after = all_of(net)
    assert before != after
    saves = net.saves
    for system, flash in flashes:
        found = [0, 0]

        def save():
            net.saves = saves
            net.save(PATH)

        def start():
            again = madem.load(PATH)
            all = all_of(again)
            assert all in (before, after)
            found[all == after] += 1
            again.learn(x, 1)
            equal(again.save(PATH), True)
            equal(all_of(madem.load(PATH)), all_of(again))

        for _, _, left in flash_ram.cuts(system, flash, save):
            flash_ram.mounted(system, left, start)
        assert found[0] and found[1], found


def all_of(net):
    """All that a file keeps of it but the count of writings."""
    return b"".join(bytes(part) for part in net._parts())


def test_a_cut_while_saving_leaves_a_network():
    x = bytearray(b"\xff\0\x80\x40\x20\x10")
    net = madem.Network((6, 5, 2), ("no", "yes"))
    net.learn(x, 1)
    check_cuts(net, lambda: net.learn(x, 0))


def test_a_cut_leaves_the_checkpoint_and_the_settings_that_belong_together():
    data = Numbers(6)
    samples = [data.bytes(6) for _ in range(8)]
    net = madem.Network((6, 2), ("no", "yes"))
    net.use_gate(gate=200, drop=400, every=2)
    net.source = b"\0\0\1\0\0\x05adc\x1a\x1b"

    def learn():
        for k in range(8):
            net.learn(samples[k], k & 1)

    learn()

    def go_on():
        made = net.gate.checkpoint_at
        learn()
        assert net.gate.checkpoint_at > made, "another checkpoint"

    check_cuts(net, go_on)

    def set():
        net.rate, net.pulses, net.source = 70, 2, None
        net.use_gate(gate=90, at_most=40, fade=3)

    check_cuts(net, set)


def test_a_full_flash_is_told_and_no_network_is_lost():
    x = bytearray(range(40))
    for system in flash_ram.SYSTEMS:
        net = madem.Network((40, 20, 2))
        net.learn(x, 1)
        flash = flash_ram.fresh(system, system.small)
        flash_ram.mounted(system, flash, lambda: net.save(PATH))
        before = all_of(net)
        net.learn(x, 0)
        net.use_gate(drop=100)
        net.gate.checkpoint()  # it takes half as much again
        after = all_of(net)
        refusals = 0
        for _, left in flash_ram.filled(system, flash, 2 * len(after) // system.block + 4):

            def work():
                net.saves = 1
                try:
                    net.save(PATH)
                except OSError as e:
                    assert e.args[0].startswith("the flash is full: "), e
                    assert all_of(madem.load(PATH)) in (before, after)
                    # It goes on with what is in memory, and saves it when there is room.
                    equal(net.saves, 1)
                    flash_ram.remove_fillers()
                    equal(net.save(PATH), True)
                    refused = 1
                else:
                    refused = 0
                equal(net.saves, 2)
                equal(all_of(madem.load(PATH)), after)
                return refused

            refusals += flash_ram.mounted(system, left, work)
        assert refusals


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
