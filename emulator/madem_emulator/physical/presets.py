"""Published devices, each with its source.

Numbers that a source does not give are ideal, or said to be declared by us: then they are a
plausible choice, and no measurement.
"""

from __future__ import annotations

from madem_emulator.physical.device import (
    CycleToCycle,
    DeviceModel,
    LogDrift,
    Nonlinearity,
    Polynomial,
    ProgrammingError,
    PulseResponse,
    ReadNoise,
    Relaxation,
    Retention,
    States,
)

IDEAL = DeviceModel(
    name="ideal",
    g_min=1e-6,
    g_max=100e-6,
    source="declared: a linear device without noise",
)
"""A linear device without noise."""

TAOX_HFOX_WU2018 = DeviceModel(
    name="taox_hfox_wu2018",
    g_min=1e-6,
    g_max=10e-6,
    source="MLP+NeuroSim 3.0 manual, table of devices (TaOx/HfOx; Wu et al., VLSI 2018)",
    read_voltage=0.5,
    max_read_voltage=0.5,
    pulses=PulseResponse(
        pulses_set=128,
        pulses_reset=128,
        # Nonlinearity labels +0.04 and −0.63: the manual's table gives A = 31.566827 and 1.997332
        # for them, in units of P.
        curvature_set=1 / 31.566827,
        curvature_reset=1 / 1.997332,
        voltage_set=1.6,
        voltage_reset=1.6,
        width=50e-9,
    ),
    cycle_to_cycle=CycleToCycle(step=0.037),
    states=States(levels=128),
)
"""Ron 100 kΩ, on/off 10, 128 states, nonlinearity +0.04/−0.63, cycle-to-cycle 3.7 % of the window.

The read voltage is NeuroSim's default.
"""

CMO_HFOX_2025 = DeviceModel(
    name="cmo_hfox_2025",
    g_min=8e-6,
    g_max=90e-6,
    source="IBM aihwkit, inference noise model of CMO/HfOx ReRAM; arXiv 2502.04524",
    pulses=PulseResponse(pulses_set=32, pulses_reset=32),
    programming=ProgrammingError(Polynomial((0.0112185391e-6, 0.01129027418e-6))),
    read_noise=ReadNoise(flicker=0.0277316483e-6, t_read=1e-6),
    retention=Retention(
        LogDrift(mean_slope=-0.08900206e-6, sigma=0.41183342e-6, sigma_slope=0.04201137e-6)
    ),
)
"""8–90 µS, programmed within an acceptance range of 2 % of the target.

The source states more than 32 levels; the linear response in 32 pulses is declared.
"""

CMO_HFOX_2025_FINE = DeviceModel(
    name="cmo_hfox_2025_fine",
    g_min=CMO_HFOX_2025.g_min,
    g_max=CMO_HFOX_2025.g_max,
    source=CMO_HFOX_2025.source,
    pulses=CMO_HFOX_2025.pulses,
    programming=ProgrammingError(Polynomial((0.00081107e-6, 0.00106879e-6))),
    read_noise=CMO_HFOX_2025.read_noise,
    retention=CMO_HFOX_2025.retention,
)
"""`CMO_HFOX_2025`, programmed within an acceptance range of 0.2 % of the target."""

_NEURRAM_1S = Polynomial((0.348e-6, 16.030e-6, -43.853e-6, 45.393e-6, -16.815e-6), 40e-6)
_NEURRAM_1D = Polynomial((0.701e-6, 22.086e-6, -50.773e-6, 47.095e-6, -16.458e-6), 40e-6)
_NEURRAM_2D = Polynomial((0.782e-6, 20.274e-6, -43.507e-6, 37.062e-6, -11.934e-6), 40e-6)

HFOX_NEURRAM_2022 = DeviceModel(
    name="hfox_neurram_2022",
    g_min=1e-6,
    g_max=40e-6,
    source="Wan et al., Nature 608 (2022), in the fit of IBM aihwkit (ReRamWan2022NoiseModel)",
    pulses=PulseResponse(pulses_set=64, pulses_reset=64),
    programming=ProgrammingError(_NEURRAM_1S),
    read_noise=ReadNoise(relative=0.01),
    retention=Retention(
        Relaxation((1.0, 86400.0, 172800.0), (_NEURRAM_1S, _NEURRAM_1D, _NEURRAM_2D))
    ),
)
"""Up to 40 µS; σ about the target 1 s, 1 day and 2 days after programming; read noise about 1 %.

g_min and the linear response in 64 pulses are declared.
"""

RRAM_MILO_2021 = DeviceModel(
    name="rram_milo_2021",
    g_min=50e-6,
    g_max=225e-6,
    source="Milo et al., IRPS 2021, Fig. 1 and 4, in the fit of Sandia CrossSim (RRAM_Milo)",
    read_voltage=0.5,
    max_read_voltage=0.5,
    pulses=PulseResponse(pulses_set=64, pulses_reset=64),
    programming=ProgrammingError(Polynomial((4.782321e-6, -0.009107e-6))),
    nonlinearity=Nonlinearity(
        second=(0.007063, 0.005711, 0.001541, 0.0001388),
        third=(1.2968e-3, 6.7919e-4, 8.8710e-5),
        g_low=50e-6,
        g_high=225e-6,
    ),
)
"""50–225 µS, σ = 4.78 µS − 0.0091 g (algorithm IGVVA-100), cubic I–V curve to 0.5 V.

The curve was measured from 62.5 to 110 µS; beyond, it is the fit's assumption that it becomes
linear at 225 µS. The linear response in 64 pulses is declared.
"""

TAOX_64X64_HE2026 = DeviceModel(
    name="taox_64x64_he2026",
    g_min=0.0,
    g_max=150e-6,
    source="He et al., Nat. Commun. 2026, doi 10.1038/s41467-026-69958-0",
    read_voltage=0.2,
    max_read_voltage=0.2,
    pulses=PulseResponse(pulses_set=64, pulses_reset=64),
    programming=ProgrammingError(Polynomial((3.894e-6,)), bias=0.108e-6),
)
"""0–150 µS, written and verified within 5 µS: error 0.108 µS in the mean, σ 3.894 µS; no drift was
seen over 10⁵ s. A 64×64 TaOx array like that of the MADEM paper, not confirmed to be its chip.

The linear response in 64 pulses is declared.
"""

ALL = {
    device.name: device
    for device in (
        IDEAL,
        TAOX_HFOX_WU2018,
        CMO_HFOX_2025,
        CMO_HFOX_2025_FINE,
        HFOX_NEURRAM_2022,
        RRAM_MILO_2021,
        TAOX_64X64_HE2026,
    )
}
"""Every preset by its name."""


def get(name: str) -> DeviceModel:
    """Look a preset up.

    Args:
        name: such as `taox_hfox_wu2018`.

    Returns:
        The preset.

    Raises:
        ValueError: there is none of that name; the message lists them.
    """
    if name not in ALL:
        raise ValueError(f"preset is {name}, but must be one of {', '.join(ALL)}")
    return ALL[name]
