"""Print the script with which a shell completes madem's commands and options.

For example:
    source <(madem completion bash)

shtab makes it of the parsers. A script that is there answers at once, where starting Python at
every Tab would take a third of a second.
"""

from __future__ import annotations

import argparse

import shtab

from madem import output
from madem.commands.parser import make_parser
from madem.commands.terminal import Terminal

_BOARDS = "unix unix32 qemu rp2040 auto"
_PORTS = "/dev/ttyACM* /dev/ttyUSB* /dev/cu.usb* /dev/serial/by-id/*"
_TASKS = "braille braille-words digits motions"
_DATA = "*.csv *.npz"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem completion`."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell reads it")


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print the script."""
    parser = make_parser(complete=True)
    _say_what_completes(parser)
    script = shtab.complete(parser, args.shell)
    output.write_json(args.json, {"shell": args.shell, "script": script})
    terminal.write(script)
    return 0


def _say_what_completes(parser: argparse.ArgumentParser) -> None:
    """Tell shtab which arguments are files, folders, boards and tasks."""
    by_metavar = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
    by_name = {
        "board": _words_or_files("_madem_boards", _BOARDS, _PORTS),
        "task": _words_or_files("_madem_tasks", _TASKS, _DATA),
    }
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _say_what_completes(command)
        elif not action.choices:
            known = by_name.get(action.dest) or by_metavar.get(str(action.metavar))
            if known:
                setattr(action, "complete", known)  # noqa: B010 - shtab's own attribute


def _words_or_files(name: str, words: str, patterns: str) -> dict[str, str | dict[str, str]]:
    """For shtab: complete to one of the words, or to a file that is there at that moment.

    Args:
        name: of the shell function that lists both.

    Args:
        words: what to complete to.
        patterns: of files, as a shell writes them.
    """
    # `sh`, because shells differ about patterns that match nothing.
    listing = f"printf '%s\\n' {words}; sh -c 'ls -d {patterns} 2>/dev/null'"
    return {
        "bash": f"{name}_bash",
        "zsh": f"{name}_zsh",
        "fish": f"({name})",
        "preamble": {
            "bash": f"{name}() {{ {listing}; }}\n"
            f'{name}_bash() {{ compgen -W "$({name})" -- "$1"; }}',
            "zsh": f'{name}() {{ {listing}; }}\n{name}_zsh() {{ compadd "$@" -- $({name}); }}',
            "fish": f"function {name}; {listing}; end",
        },
    }
