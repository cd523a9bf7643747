"""Which packages the wheel holds; all else is in pyproject.toml.

That can't find packages in two roots and under another name.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages("host"),
        *find_packages("emulator"),
        # Not below their root: what prepares boards, and the device's files, as data.
        "madem_emulator.prepare",
        "madem_firmware",
        "madem_firmware.madem",
    ]
)
