"""What `pio run` does: compile the firmware as `madem deploy` would; `-t upload` deploys it."""

import sys
from pathlib import Path

from SCons.Script import Default, DefaultEnvironment

from madem.boards import firmware
from madem.boards.catalogue import BY_NAME
from madem.errors import MademError

env = DefaultEnvironment()


def compile_firmware(target, source, env) -> int:
    """Compile for the board's processor, into the build folder of the environment."""
    march = env.BoardConfig().get("build.march")
    mpy = next(n << 10 for n in range(16) if firmware.architecture(n << 10) == march)
    try:
        files = firmware.compiled(firmware.sources(mpy), mpy)
    except MademError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    folder = Path(env.subst("$BUILD_DIR"), firmware.PACKAGE)
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
        print(f"  {name:20}{len(content):7,} bytes")
    print(f"  {'together':20}{sum(map(len, files.values())):7,} bytes")
    return 0


build = env.Alias(
    "buildprog",
    None,
    env.VerboseAction(compile_firmware, "Compiling for " + env.BoardConfig().get("build.march")),
)
env.AlwaysBuild(build)
Default(build)

# `--upload-port`, and `upload_port` of platformio.ini, are what `madem deploy --board` takes.
env.SetDefault(UPLOAD_PORT="auto")
env.AddPlatformTarget(
    "upload",
    build,
    env.VerboseAction(
        '"$PYTHONEXE" -m madem deploy --board "$UPLOAD_PORT" $UPLOADERFLAGS',
        "Deploying to $UPLOAD_PORT",
    ),
    title="Upload",
    description="Put the firmware on the board and see that it starts",
)
if env.subst("$BOARD") in BY_NAME:  # an emulated one has it already
    env.AddPlatformTarget(
        "flash",
        None,
        env.VerboseAction(
            '"$PYTHONEXE" -m madem flash --board "$UPLOAD_PORT" --type "$BOARD" $UPLOADERFLAGS',
            "Flashing MicroPython",
        ),
        title="Flash",
        description="Put MicroPython itself on the board",
    )
