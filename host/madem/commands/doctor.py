"""`madem doctor`: what is missing, and the command that mends it."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from madem import doctor, session
from madem.commands.terminal import Terminal

NAME = "doctor"
HELP = "what is missing, and the command that mends it"


def add_options(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Say what is missing; 1 when something that the emulated board needs is."""
    found = doctor.examine()
    if args.json:
        session.write_json(args.json, {"checks": [asdict(check) for check in found]})
    terminal.say(doctor.format_checks(found))
    return 0 if all(check.ok or not check.required for check in found) else 1
