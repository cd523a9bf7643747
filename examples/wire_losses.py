"""What wires take of a read, over the size of the array."""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from madem_emulator import Crossbar, presets
from madem_emulator.physical.wires import Wires

SIZES = (8, 16, 32, 64, 128)

parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (1)")
parser.add_argument(
    "--out", type=Path, default=Path("madem-out"), help="folder of the picture (%(default)s)"
)
args = parser.parse_args()

args.out.mkdir(parents=True, exist_ok=True)

figure = Figure(figsize=(9, 4), layout="constrained")
over_size, over_array = figure.subplots(1, 2)
device = presets.TAOX_64X64_HE2026
rng = np.random.default_rng(args.seed)
for ohms in (0.5, 2.0, 5.0):
    losses = []
    for size in SIZES:
        xbar = Crossbar(size, size, device, wires=Wires(word_segment=ohms, bit_segment=ohms))
        xbar.conductances = rng.uniform(device.g_min, device.g_max, (size, size))
        voltages = np.full(size, device.read_voltage)
        ideal = voltages @ xbar.conductances
        losses.append(100 * (1 - xbar.read(voltages) / ideal))
    print(f"{ohms} Ω a segment:", " ".join(f"{loss.mean():.2f}" for loss in losses), "% lost")
    over_size.plot(SIZES, [loss.mean() for loss in losses], marker="o", label=f"{ohms} Ω, mean")
    worst = [loss.max() for loss in losses]
    over_size.plot(SIZES, worst, linestyle=":", color=over_size.lines[-1].get_color())
over_size.set(
    xlabel="lines of the array",
    ylabel="current lost (%), dotted: worst bit line",
    xscale="log",
    yscale="log",
    xticks=SIZES,
    xticklabels=SIZES,
)
over_size.legend()

# Where it is lost: one device at a time is read through the wires of 64 lines.
xbar = Crossbar(64, 64, device, wires=Wires(5.0, 5.0))
xbar.conductances = device.g_max / 2
one_hot = device.read_voltage * np.eye(64)
seen = xbar.read(one_hot) / device.read_voltage / (device.g_max / 2)
image = over_array.imshow(100 * (1 - seen), cmap="viridis")
over_array.set(xlabel="bit line", ylabel="word line", title="loss by device (%), 5 Ω")
figure.colorbar(image)
figure.savefig(args.out / "wire-losses.png", dpi=120)
print(f"saved {args.out / 'wire-losses.png'}")
