"""Put the firmware on a board, only what changed, and start it.

A board takes the firmware in one of three forms: frozen into its MicroPython (then there
is nothing to send), compiled to .mpy files, or as source.

Files go into a folder `madem-new` and are checked there. Renaming it to `madem-N`, with
N higher than all before, makes it the one that main.py starts; main.py itself, when it has
changed, is replaced by one more rename. So a board that loses its line or its power at any
moment starts the old firmware or the new one. (On FAT, where a rename can't replace a file,
main.py is missing for a moment.)

As a library for a main.py of one's own, the firmware goes to /lib/madem by way of the same
folder; main.py is left alone.
"""

import ast
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Literal

from madem.boards import firmware
from madem.boards.console import READY
from madem.boards.firmware import MAIN, PACKAGE
from madem.boards.open import Board
from madem.boards.repl import Repl
from madem.errors import BoardError

Form = Literal["frozen", "mpy", "source"]
Progress = Callable[[str, int, int], None]
"""Called with the path, the bytes written so far and all that will be."""

_NEW = f"{PACKAGE}-new"
_TORN = f"{PACKAGE}-torn"
_LIBRARY = "lib"
_OURS = b'"""madem:'  # how each main.py of madem's begins

# Defined on the board before anything else is done there. `survey` prints what deploy must know.
#
# FAT has no rename of one step: a cut amid it leaves two names of one folder, or of one file, and
# whoever removes the one takes what the other has. `mend` leaves one name, or none where the other
# firmware is still there. FAT may also be left with names that are no text: `names` goes past them.
_ON_BOARD = f"""\
import os,sys
def names(path='.'):
 r=[]
 for n in os.listdir(path.encode()):
  try:r.append(n.decode())
  except UnicodeError:pass
 return r
def remove(path):
 for e in os.ilistdir(path):
  p=path+'/'+e[0]
  if e[1]==0x4000:remove(p)
  else:os.remove(p)
 os.rmdir(path)
def copy(source,to):
 b=memoryview(bytearray(256))
 with open(source,'rb') as f,open(to,'wb') as g:
  while 1:
   n=f.readinto(b)
   if not n:return
   g.write(b[:n])
def free():
 try:
  s=os.statvfs(os.getcwd())
  return s[0],s[0]*s[4]
 except Exception:return None
def content(path):
 with open(path,'rb') as f:return f.read()
def same(a,b):
 try:
  open(a+'/_','w').close()
  found='_' in names(b)
  os.remove(a+'/_')
  return found
 except OSError:return False
def mend():
 here=names()
 old=[n for n in here if n[:6]=='{PACKAGE}-' and n[6:].isdigit()]
 for d in old+['{_NEW}']:
  if d in here and '{MAIN}' in here and '{MAIN}' in names(d):
   main=content('{MAIN}')
   if main==content(d+'/{MAIN}'):
    os.remove(d+'/{MAIN}')
    with open('{MAIN}','wb') as f:f.write(main)
 for d in old:
  if '{_NEW}' in here and same('{_NEW}',d):
   os.rename(d,'{_TORN}')
   here.append('{_TORN}')
 for d in ('{_TORN}','{_NEW}'):
  if '{_TORN}' in here and d in here:remove(d)
 for d in ('{_NEW}/old','{_NEW}/{PACKAGE}'):
  if same(d,'{_LIBRARY}/{PACKAGE}'):
   remove('{_LIBRARY}/{PACKAGE}')
   remove(d)
def survey():
 try:
  import madem_frozen
  frozen=madem_frozen.FIRMWARE
 except ImportError:frozen=None
 here=names()
 main=None
 if '{MAIN}' in here:
  with open('{MAIN}','rb') as f:main=f.read({len(_OURS)})
 try:library='{PACKAGE}' in names('{_LIBRARY}')
 except OSError:library=False
 old=sorted([int(n[6:]) for n in here if n[:6]=='{PACKAGE}-' and n[6:].isdigit()])
 mpy=getattr(sys.implementation,'_mpy',0)
 print((mpy,frozen,main,old,'{_NEW}' in here,[n for n in here if n[:8]=='main_old'],library))
"""

_FIND = f"""\
import os,sys
n=[int(n[6:]) for n in os.listdir(b'.') if n[:6]==b'{PACKAGE}-' and n[6:].isdigit()]
if n:sys.path.insert(0,'{PACKAGE}-%d'%max(n))
"""

# littlefs spends two blocks on each directory (littlefs DESIGN.md, "Metadata pairs").
_DIRECTORY_BLOCKS = 4


@dataclass(frozen=True)
class Summary:
    """A report of what a deployment did, or would do.

    Attributes:
        form: how the board has the firmware: `frozen`, `mpy` or `source`.
        why: why it has no form that takes less memory; None when there is nothing to say.
        written: paths on the board that were written, in this order.
        unchanged: paths that already held the right bytes.
        removed: folders of older firmware that were removed.
        bytes_written: of all written files together.
        firmware_bytes: of all files of the firmware.
        free_bytes: left in the board's file system; None when it does not say.
        kept: the new name of a main.py that was not madem's; None if there was none.
        seconds: duration.
    """

    form: Form
    why: str | None
    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]
    bytes_written: int
    firmware_bytes: int
    free_bytes: int | None
    kept: str | None
    seconds: float


@dataclass(frozen=True)
class _Survey:
    """What a board has."""

    mpy: int
    """Its sys.implementation._mpy; 0 when it has none."""
    frozen: str | None
    """Fingerprint of the firmware in its MicroPython."""
    main: bytes | None
    """The beginning of its main.py."""
    old: list[int]
    """The N of its folders madem-N, in order."""
    unfinished: bool
    """A deployment was cut, and left its folder madem-new."""
    mains: list[str]
    """main_old*.py"""
    library: bool
    """It has a /lib/madem."""


@dataclass(frozen=True)
class _Plan:
    """What is to be done; paths of `stage`, `there` and `copied` are relative to a folder."""

    form: Form
    why: str | None
    package: dict[str, bytes]
    """The firmware but for main.py; empty when it is frozen."""
    folder: str
    """Where main.py, madem's or another, will find it."""
    stage: dict[str, bytes]
    """What madem-new must hold before the switch; empty when there is nothing to change."""
    there: set[str]
    """Of these: what a cut deployment left there already."""
    copied: set[str]
    """Of these: what the newest folder holds too."""
    newest: str | None
    """That folder."""
    early: list[str]
    """Folders that nothing starts any more."""
    late: list[str]
    """Folders that nothing starts after the switch."""
    kept: str | None
    """The name that a main.py which is not madem's gets."""

    @property
    def send(self) -> dict[str, bytes]:
        return {p: c for p, c in self.stage.items() if p not in self.there | self.copied}

    def place(self, path: str) -> str:
        """Where a file is after the switch."""
        return path if path == MAIN else f"{self.folder}/{path}"


def deploy(
    board: Board,
    force: bool = False,
    progress: Progress | None = None,
    folder: Traversable | None = None,
    source: bool = False,
    dry_run: bool = False,
    library: bool = False,
) -> Summary:
    """Bring the firmware on a board up to date; files that are not madem's stay.

    The running program is interrupted. Every file is read back and compared on the board
    before it counts.

    Args:
        board: an open board.
        force: write also what is unchanged, and replace a main.py that is not madem's.
        progress: tells how far it is.
        folder: what holds `main.py` and `madem/`; default: the firmware that came with madem.
        source: have it there as source, even where it could be compiled or is frozen.
        dry_run: change nothing, only find out what would be done.
        library: put it into /lib/madem for a main.py of the board's own, which stays as it is,
            and remove the folders `madem-N`.

    Returns:
        What was done, or would be.

    Raises:
        BoardError: the board does not answer, vanished or has too little room, a file arrived
            damaged, main.py is not madem's and neither `force` nor `library` is set, or what is
            frozen in would go before the library.
    """
    begin = time.monotonic()
    main = firmware.main(folder)
    with Repl(board.port, board.name, board.slowness) as repl:
        repl.exec(_ON_BOARD if dry_run else _ON_BOARD + "mend()")
        found = _Survey(*ast.literal_eval(repl.exec("survey()").decode()))
        if library:
            plan = _plan_library(repl, found, force, folder, source)
        else:
            plan = _plan(repl, found, main, force, folder, source)
        if not dry_run:
            _carry_out(repl, plan, found.unfinished, progress)
        _, free = _room(repl)
    files = plan.package if library else {**plan.package, MAIN: main}
    return Summary(
        form=plan.form,
        why=plan.why,
        written=tuple(plan.place(path) for path in files if path in plan.send),
        unchanged=tuple(plan.place(path) for path in files if path not in plan.send),
        removed=(*plan.early, *plan.late),
        bytes_written=sum(map(len, plan.send.values())),
        firmware_bytes=sum(map(len, files.values())),
        free_bytes=free,
        kept=plan.kept,
        seconds=time.monotonic() - begin,
    )


def start(board: Board, ready: bytes | None = READY, timeout: float = 10.0) -> None:
    """Reset the board softly into its main.py, as after power-up.

    The port is then the firmware's: the first byte that is not read here
    follows the `ready` text.

    Args:
        board: an open board with the firmware on it.
        ready: the text that main.py prints when it serves; None: don't wait for it.
        timeout: how long main.py may take to print it, in seconds.

    Raises:
        BoardError: main.py raised (its error is quoted), ended, or did not report in time.
    """
    with Repl(board.port, board.name, board.slowness) as repl:
        repl.run_main(ready, timeout)


def find_firmware(repl: Repl) -> None:
    """Make `import madem` work in the raw REPL, where main.py has not run.

    Args:
        repl: of the board.
    """
    repl.exec(_FIND)


def _plan(
    repl: Repl,
    found: _Survey,
    main: bytes,
    force: bool,
    folder: Traversable | None,
    source: bool,
) -> _Plan:
    kept = _name_for_foreign_main(repl, found, force)
    form, why, files = _choose(found, folder, source)
    package = {f"{PACKAGE}/{name}": content for name, content in files.items()}
    folders = [f"{PACKAGE}-{n}" for n in found.old]
    newest = folders[-1] if folders else None
    same = set() if force or newest is None else _find_same(repl, newest, package)
    if newest and package and same == set(package) == _modules(repl, newest):
        target, stage = newest, {}
    else:
        target, stage = f"{PACKAGE}-{max(found.old, default=0) + 1}", dict(package)
    if force or not repl.find_equal({MAIN: main}):
        stage[MAIN] = main
    there = _find_same(repl, _NEW, stage) if found.unfinished and not force else set()
    return _Plan(
        form=form,
        why=why,
        package=package,
        folder=target,
        stage=stage,
        there=there,
        copied=(same & stage.keys()) - there,
        newest=newest,
        early=folders[:-1],
        late=[newest] if newest and newest != target else [],
        kept=kept,
    )


def _plan_library(
    repl: Repl, found: _Survey, force: bool, folder: Traversable | None, source: bool
) -> _Plan:
    form, why, files = _choose(found, folder, source)
    if found.frozen and form != "frozen":
        raise BoardError(
            f"{repl.name}: a firmware is frozen into its MicroPython and goes before /lib: flash a "
            "MicroPython without it, or with this one"
        )
    package = {f"{PACKAGE}/{name}": content for name, content in files.items()}
    same = _find_same(repl, _LIBRARY, package) if found.library and not force else set()
    whole = found.library and same == set(package) == _modules(repl, _LIBRARY)
    stage = {} if whole else package
    there = _find_same(repl, _NEW, stage) if found.unfinished and not force else set()
    return _Plan(
        form=form,
        why=why,
        package=package,
        folder=_LIBRARY,
        stage=stage,
        there=there,
        copied=(same & stage.keys()) - there,
        newest=_LIBRARY,
        early=[],
        late=[f"{PACKAGE}-{n}" for n in found.old],
        kept=None,
    )


def _choose(
    found: _Survey, folder: Traversable | None, source: bool
) -> tuple[Form, str | None, dict[str, bytes]]:
    """The form that takes the least memory, why it is no smaller one, and the files of it."""
    modules = firmware.sources(found.mpy, folder)
    if source:
        return "source", None, modules
    if found.frozen == firmware.fingerprint(modules):
        return "frozen", None, {}
    reason = firmware.why_not_compiled(found.mpy)
    if reason:
        return "source", reason, modules
    why = "what is frozen in is another firmware" if found.frozen else None
    return "mpy", why, firmware.compiled(modules, found.mpy)


def _name_for_foreign_main(repl: Repl, found: _Survey, force: bool) -> str | None:
    """What a main.py that is not madem's will be called; None when there is none."""
    if found.main is None or found.main == _OURS:
        return None
    if not force:
        raise BoardError(
            f"{repl.name} has a {MAIN} that is not madem's: `madem deploy --force --board "
            f"{repl.name}` keeps it under another name and puts madem's in its place"
        )
    n = 1
    while f"main_old{n}.py" in found.mains:
        n += 1
    return f"main_old{n}.py"


def _find_same(repl: Repl, folder: str, files: Mapping[str, bytes]) -> set[str]:
    """Which of these files a folder of the board holds."""
    paths = repl.find_equal({f"{folder}/{path}": content for path, content in files.items()})
    return {path.partition("/")[2] for path in paths}


def _modules(repl: Repl, folder: str) -> set[str]:
    """All that is in the package there: one file too many could be imported."""
    return {f"{PACKAGE}/{entry.name}" for entry in repl.list_files(f"{folder}/{PACKAGE}")}


def _carry_out(repl: Repl, plan: _Plan, unfinished: bool, progress: Progress | None) -> None:
    for name in plan.early:
        repl.exec(f"remove({name!r})")
    if unfinished and not plan.there:
        repl.exec(f"remove({_NEW!r})")
    if plan.stage:
        _stage(repl, plan, progress)
    if plan.kept:
        repl.exec(f"copy({MAIN!r},{plan.kept!r})")
    _switch(repl, plan)


def _stage(repl: Repl, plan: _Plan, progress: Progress | None) -> None:
    """Have madem-new hold exactly what the plan says."""
    _check_room(repl, plan)
    repl.make_directory(_NEW)
    repl.make_directory(f"{_NEW}/{PACKAGE}")
    if plan.there:
        # What else a cut deployment left may be of another version.
        wanted = tuple(path.rpartition("/")[2] for path in plan.there)
        repl.exec(
            f"for d in ({_NEW!r},'{_NEW}/{PACKAGE}'):\n"
            " for e in os.ilistdir(d):\n"
            f"  if e[1]!=0x4000 and e[0] not in {wanted!r}:os.remove(d+'/'+e[0])"
        )
    for path in plan.copied:
        repl.exec(f"copy('{plan.newest}/{path}','{_NEW}/{path}')")
    total = sum(map(len, plan.send.values()))
    done = 0
    for path, content in plan.send.items():

        def report(written: int, path: str = path, before: int = done) -> None:
            if progress:
                progress(plan.place(path), before + written, total)

        repl.write_file(f"{_NEW}/{path}", content, report)
        done += len(content)
    damaged = sorted(plan.stage.keys() - _find_same(repl, _NEW, plan.stage))
    if damaged:
        raise BoardError(
            f"{', '.join(damaged)} arrived damaged on {repl.name}: deploy again; "
            "if that does not help, its flash is worn or full"
        )


def _switch(repl: Repl, plan: _Plan) -> None:
    """From the old firmware to the staged one; each rename leaves something whole behind."""
    staged = plan.folder if plan.stage.keys() & plan.package.keys() else _NEW
    if staged == _LIBRARY:
        repl.make_directory(_LIBRARY)
        # The old one goes into the folder that the new one comes from, and then with it.
        repl.exec(
            f"if {PACKAGE!r} in names({_LIBRARY!r}):"
            f"os.rename('{_LIBRARY}/{PACKAGE}','{_NEW}/old')\n"
            f"os.rename('{_NEW}/{PACKAGE}','{_LIBRARY}/{PACKAGE}')\nremove({_NEW!r})"
        )
    elif staged != _NEW:
        repl.exec(f"os.rename({_NEW!r},{staged!r})")
    if MAIN in plan.stage:
        main = f"{staged}/{MAIN}"
        repl.exec(
            f"try:os.rename({main!r},{MAIN!r})\n"
            f"except OSError:\n os.remove({MAIN!r})\n os.rename({main!r},{MAIN!r})"
        )
    if staged == _NEW and plan.stage:
        repl.exec(f"remove({_NEW!r})")
    for folder in plan.late:
        # By one rename, for when nothing newer hides it while it goes.
        repl.exec(f"os.rename({folder!r},{_NEW!r})\nremove({_NEW!r})")


def _room(repl: Repl) -> tuple[int, int | None]:
    """Bytes in a block of the board's file system, and free bytes; None when it does not say."""
    return ast.literal_eval(repl.exec("print(free())").decode()) or (1, None)


def _check_room(repl: Repl, plan: _Plan) -> None:
    block, free = _room(repl)
    blocks = sum(-(-len(c) // block) for path, c in plan.stage.items() if path not in plan.there)
    needed = (blocks + _DIRECTORY_BLOCKS) * block
    if free is not None and needed > free:
        raise BoardError(
            f"the firmware needs {-(-needed // 1024)} KB of {repl.name}'s file system beside "
            f"what is there, {free // 1024} KB are free: delete files that it does not need"
        )
