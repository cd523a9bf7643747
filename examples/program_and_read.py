"""Program published devices, read them, and see how far they are off."""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from madem_emulator import Crossbar, presets

parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (1)")
parser.add_argument(
    "--out", type=Path, default=Path("madem-out"), help="folder of the picture (%(default)s)"
)
args = parser.parse_args()

args.out.mkdir(parents=True, exist_ok=True)

figure = Figure(figsize=(9, 4), layout="constrained")
programmed, read = figure.subplots(1, 2)
for name in ("cmo_hfox_2025", "hfox_neurram_2022", "rram_milo_2021", "taox_64x64_he2026"):
    device = presets.get(name)
    xbar = Crossbar(64, 64, device, seed=args.seed)
    # Every column has its own target; every row is another device with it.
    target = np.linspace(device.g_min, device.g_max, 64)
    xbar.program(target)
    sigma = (xbar.conductances - target).std(axis=0)
    programmed.plot(target / device.g_max, 1e6 * sigma, label=name)

    # All currents of one vector against those of devices on target.
    rng = np.random.default_rng(args.seed)
    voltages = device.read_voltage * rng.uniform(0, 1, (200, 64))
    ideal = voltages @ np.broadcast_to(target, (64, 64))
    error = (xbar.read(voltages) - ideal) / ideal.max()
    read.plot(target / device.g_max, 100 * np.sqrt((error**2).mean(axis=0)), label=name)
    report = xbar.write_verify(target[32], tolerance=0.03 * device.window)
    print(
        f"{name}: programmed within {1e6 * sigma.mean():.2f} µS (σ); written and verified within "
        f"3 % of the window with {report.pulses.mean():.1f} pulses a device"
    )
programmed.set(xlabel="target / g_max", ylabel="σ of the programmed conductance (µS)")
read.set(xlabel="target / g_max", ylabel="error of a read of 64 devices (% of full scale)")
read.legend(fontsize="small")
figure.savefig(args.out / "program-and-read.png", dpi=120)
print(f"saved {args.out / 'program-and-read.png'}")
