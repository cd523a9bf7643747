"""A program of one's own on an emulated board opens the sensor that its network's file names."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from madem.boards.deploy import deploy
from madem.boards.link_protocol import CENTRE_OFFSET
from madem.boards.open import open_board
from madem.boards.repl import Repl
from madem.commands.export import with_sensor
from madem.data.files import recording
from madem.learners.twin import TwinLearner
from madem.network import file
from madem.network.network import Channel, Network, StreamInputs
from madem.stream import sensors
from madem_emulator.twin.config import Settings
from madem_emulator.twin.features import TwinFeatures
from madem_emulator.twin.pipeline import parse

LINE = "window=20 hop=10 | mean energy | norm:5"

PROGRAM = """
import json, madem
net = madem.load("net.madem")
sensor = net.open_source()
while True:
    samples, labels, answers = [], [], []
    net.features.restart()
    sensor.start()
    while len(samples) < 100:
        if sensor.read():
            samples.append(bytes(sensor.sample).hex())
            labels.append(sensor.label())
            if net.features.feed(sensor.sample):
                answers.append([net.predict(net.features.codes), net.margin])
    if not sensor.lost:  # a busy computer may lose some
        break
print(json.dumps([sensor.channels, sensor.rate, samples, labels, answers]))
"""


@pytest.mark.needs("unix")
def test_samples_labels_and_answers_are_those_of_the_recording(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    rows = draw.integers(-9000, 9000, (600, 6))
    head = recording.Header(tuple("abcdef"), 100.0)
    with recording.Recorder(tmp_path / "walk.csv", head) as recorder:
        for k, row in enumerate(rows):
            recorder.add(k * 10000, row.tolist(), ("shaken", "still")[k // 150 % 2])
    pipeline = parse(LINE, 6)
    twin = TwinLearner(Settings(sizes=(pipeline.inputs, 2), seed=3).integers())
    fresh = bytes(4) + struct.pack("<II", CENTRE_OFFSET, 0) * pipeline.features
    inputs = StreamInputs(tuple(Channel(c, "g", 1.0) for c in "abcdef"), LINE, fresh, 100.0)
    network = with_sensor(
        Network(twin.state(), ("shaken", "still"), inputs),
        sensors.parse("mpu6050:rate=100,labels=10+11"),
    )
    with open_board(f"unix:sensor=mpu6050+{tmp_path / 'walk.csv'}") as board:
        deploy(board, library=True)
        with Repl(board.port) as repl:
            repl.write_file("net.madem", file.pack(network, board=True))
            told = json.loads(repl.exec(PROGRAM, timeout=120))
    channels, rate, samples, labels, answers = told
    assert (channels, rate) == (6, 100_000)
    taken = np.array([np.frombuffer(bytes.fromhex(sample), "<i2") for sample in samples])
    assert any((np.roll(rows, -k, axis=0)[:100] == taken).all() for k in range(600))
    # When the pins are read is the computer's affair.
    assert set(labels) <= {0, 1}
    features = TwinFeatures(pipeline)
    codes = features.codes(features.windows(taken.astype(np.int16)), False)
    outputs = np.sort(twin.outputs(codes).astype(int), axis=1)
    assert [margin for _, margin in answers] == (outputs[:, -1] - outputs[:, -2]).tolist()
    assert [answer for answer, _ in answers] == twin.outputs(codes).argmax(axis=1).tolist()
