"""A fleet on the terminal: a row for each board, and one board in pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from rich import box
from rich.align import Align
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from madem.data import braille
from madem.monitor import charts
from madem.monitor.run_state import RunFacts, Stage, WindowMark

WINDOW = 200.0
"""Conductance difference that is drawn in full colour: the nominal window of a device."""
_FREE, _NUDGED = charts.BLUE, charts.ORANGE
_STYLES = {
    Stage.LEARNING: "bold cyan",
    Stage.STREAMING: "bold cyan",
    Stage.TESTING: "cyan",
    Stage.DONE: "bold green",
    Stage.DEAD: "bold red",
}
_SIGNS = {Stage.DONE: "✓ ", Stage.DEAD: "✗ ", Stage.STOPPED: "■ "}
_MARK = "#e69f00"


class _Drawn:
    """Something that is drawn into the place that it gets, in characters."""

    def __init__(self, draw: Callable[[int, int], RenderableType]) -> None:
        self._draw = draw

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or options.max_height
        yield self._draw(max(1, options.max_width), max(1, height))


class Whole:
    """Everything, for a full terminal."""

    def __init__(self, boards: Sequence[RunFacts]) -> None:
        """Show boards as they are now.

        Args:
            boards: what is known of each, at least one.
        """
        self._boards = boards

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        boards, shown = self._boards, focus(self._boards)
        layout = Layout()
        layout.split_column(
            Layout(_title(shown), size=1),
            Layout(name="body"),
            Layout(rows(boards), size=len(boards) + 3),
        )
        body = max(6, (options.height or options.max_height) - len(boards) - 4)
        signal = Layout(_panel(_signal_title(shown), _signal(shown)), ratio=4)
        if shown.braille:
            signal.size = min(11, body // 2)
        left, right = [signal], []
        if shown.channels and shown.names:
            panel = _panel("features, above or below usual", _features(shown))
            left.append(Layout(panel, size=min(len(shown.channels) + 3, body // 3)))
        if shown.measure:
            left.append(Layout(_panel(_value_title(shown), _curve(shown)), ratio=3))
        if shown.free:
            panel = _panel(_activity_title(shown), _activities(shown))
            right.append(Layout(panel, size=min(_activity_lines(shown) + 2, body // 2)))
        if shown.weights:
            right.append(Layout(_panel(_weight_title(shown), _weights(shown))))
        columns = [Layout(ratio=5)]
        columns[0].split_column(*left)
        if right:
            columns.append(Layout(ratio=6))
            columns[1].split_column(*right)
        layout["body"].split_row(*columns)
        yield layout


def focus(boards: Sequence[RunFacts]) -> RunFacts:
    """Choose the board whose pictures are shown: the first that works, else the first that did.

    Args:
        boards: what is known of each, at least one.

    Returns:
        One of them.
    """
    for stages in ((Stage.LEARNING, Stage.STREAMING, Stage.TESTING), (Stage.DONE, Stage.STOPPED)):
        for board in boards:
            if board.stage in stages:
                return board
    return boards[0]


def rows(boards: Sequence[RunFacts]) -> Table:
    """Make a table with a row for each board.

    Args:
        boards: what is known of each, at least one.

    Returns:
        The table.
    """
    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("board", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in ("done", "per s", _short(boards[0].measure)):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, ratio=1)
    for name in ("heap", "link", "resent"):
        table.add_column(name, justify="right", no_wrap=True)
    for facts in boards:
        style = _STYLES.get(facts.stage, "")
        state = Text(_SIGNS.get(facts.stage, "") + facts.stage, style)
        health = facts.health[-1] if facts.health else None
        trend: RenderableType = Text(_trend(facts), "cyan")
        if facts.stage is Stage.DEAD:
            trend = Text(facts.reason, "red", overflow="ellipsis")
        table.add_row(
            Text(facts.board),
            state,
            _done(facts),
            _number(facts.samples_per_s),
            value(facts),
            trend,
            f"{health.heap_used / 1024:.0f} KB" if health else "",
            f"{(health.bytes_in + health.bytes_out) / 1024:,.0f} KB" if health else "",
            f"{health.resent}" if health else "",
        )
    return table


def line(facts: RunFacts) -> str:
    """Tell of one board in one line, for what is no terminal.

    Args:
        facts: what is known of it.

    Returns:
        The line.
    """
    parts = [f"{facts.elapsed_s:7.1f} s", facts.board, str(facts.stage)]
    if facts.reason:
        parts.append(facts.reason)
    if facts.samples:
        parts.append(progress(facts))
    if facts.value is not None:
        parts.append(f"{facts.measure} {value(facts)}")
    if facts.health:
        health = facts.health[-1]
        parts.append(f"heap {health.heap_used / 1024:.0f} KB")
        parts.append(f"{health.resent} resent, {health.naks} NAKs")
    return "  ".join(parts)


def progress(facts: RunFacts) -> str:
    """Tell how far a board has come.

    Args:
        facts: what is known of it.

    Returns:
        Such as "1,200 of 5,748"; "" before the first sample.
    """
    if not facts.samples:
        return ""
    done = f"{facts.samples:,}"
    return f"{done} of {facts.total:,}" if facts.total else done


def _done(facts: RunFacts) -> str:
    """The same for a narrow column."""
    if facts.total and facts.samples:
        return f"{100 * facts.samples / facts.total:.0f} %"
    return progress(facts)


def value(facts: RunFacts) -> str:
    """Write the curve's newest value as people write it.

    Args:
        facts: what is known of the board.

    Returns:
        The text; "" before there is one.
    """
    if facts.value is None:
        return ""
    if facts.measure == "novelty score":
        return f"{facts.value:,.0f}"
    return f"{100 * facts.value:.1f} %"


def _number(found: float | None) -> str:
    if found is None:
        return ""
    return f"{found:,.0f}" if found >= 10 else f"{found:.1f}"


def _short(measure: str) -> str:
    return {"novelty score": "score", "words recalled": "recalled"}.get(measure, measure)


def _trend(facts: RunFacts) -> str:
    """The last of the curve, in eight characters."""
    values = [point.value for point in facts.curve]
    if len(values) < 2:
        return ""
    parts = [float(np.mean(part)) for part in np.array_split(values, min(8, len(values)))]
    return charts.bars(parts, min(values), max(values))


def _title(facts: RunFacts) -> RenderableType:
    table = Table.grid(expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(justify="right", no_wrap=True, min_width=7)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(" madem monitor ", f"bold black on {_MARK}")
    text.append(f"  {facts.task or '…'}", "bold")
    text.append(f" on {facts.board}")
    details = [f"{name} {found}" for name, found in described(facts)]
    text.append("  " + " · ".join(details), "dim")
    minutes, seconds = divmod(int(facts.elapsed_s), 60)
    table.add_row(text, f" {minutes:02}:{seconds:02} ")
    return table


def described(facts: RunFacts) -> list[tuple[str, str]]:
    """Tell how the numbers came about.

    Args:
        facts: what is known of the board.

    Returns:
        Names of settings, and their values.
    """
    found = []
    for name, what in facts.settings.items():
        if isinstance(what, (list, tuple)):
            what = "-".join(map(str, what))
        found.append((name.replace("_", " "), str(what)))
    if facts.firmware:
        found.append(("firmware", facts.firmware))
    return found


def _panel(title: str | Text, content: RenderableType) -> Panel:
    return Panel(
        content,
        title=Text.assemble(title, style="bold"),
        title_align="left",
        border_style="grey42",
        box=box.ROUNDED,
        padding=(0, 1),
    )


# --- what goes in ------------------------------------------------------------------------------


def _signal_title(facts: RunFacts) -> str:
    if facts.channels:
        rate = f", {facts.rate_hz:g} Hz" if facts.rate_hz else ""
        return f"signal{rate}"
    return "input"


def _signal(facts: RunFacts) -> RenderableType:
    if facts.channels:
        if facts.signal is None or not len(facts.signal):
            return _recent(facts)
        return _Drawn(lambda width, height: _lanes(facts, width, height))
    if facts.inputs is None:
        return Text("…", "dim")
    if facts.braille:
        return _word(facts)
    if facts.image:
        return _Drawn(lambda width, height: _image(facts, width, height))
    return _Drawn(lambda width, height: _strip(facts, width, height))


def _lanes(facts: RunFacts, width: int, height: int) -> RenderableType:
    """A lane for each channel, and the answers below where their windows end."""
    assert facts.signal is not None
    names = min(10, max(len(name) for name in (*facts.channels, "answers")))
    inner = max(4, width - names - 1)
    lanes = max(1, (height - 1) // len(facts.channels))
    most = max(1, (height - 1) // lanes)
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=names, no_wrap=True, style="dim")
    grid.add_column(no_wrap=True)
    first = facts.signal_end - len(facts.signal)
    x = np.arange(first, facts.signal_end)
    span = (float(first), float(max(facts.signal_end - 1, first + 1)))
    for name, column in list(zip(facts.channels, facts.signal.T, strict=True))[:most]:
        low, high = float(column.min()), float(column.max())
        middle, half = (low + high) / 2, max((high - low) / 2, 1.0)
        lane = charts.Line(x, column, charts.BLUE)
        grid.add_row(
            Text(name), charts.plot([lane], inner, lanes, span, (middle - half, middle + half))
        )
    grid.add_row("answers", _answers(facts, inner, span))
    return grid


def _answers(facts: RunFacts, width: int, span: tuple[float, float]) -> Text:
    """What each window gave, right below its last sample."""
    text = Text(no_wrap=True)
    for mark in facts.marks:
        end = round((mark.end - 1 - span[0]) / (span[1] - span[0]) * width)
        label, style = _answer(facts, mark)
        free = end - len(text.plain) - 1
        if free < 1:
            continue
        label = label[:free]
        text.append(" " * (end - len(text.plain) - len(label)))
        text.append(label, style)
    return text


def _recent(facts: RunFacts) -> RenderableType:
    """What the newest windows gave, where the samples are not known."""
    lost = f", {facts.lost:,} lost" if facts.lost else ""
    table = Table.grid(padding=(0, 2, 0, 0))
    for mark in reversed(facts.marks):
        when = f"{mark.window.t_s:.1f} s" if mark.window.t_s is not None else ""
        said, style = _answer(facts, mark)
        score = f"{mark.window.score:,}" if mark.window.score is not None else ""
        label = facts.classes[mark.window.label] if mark.window.label is not None else ""
        table.add_row(Text(when, "dim"), Text(said, style), Text(label + score, "dim"))
    return Group(Text(f"the samples stay on the board{lost}", "dim"), Text(), table)


def _answer(facts: RunFacts, mark: WindowMark) -> tuple[str, str]:
    """What a window gave in a word, and the style of it."""
    answer, right = mark.window.answer, mark.window.right
    if answer is None:
        return ("new", "bold red") if mark.window.new else ("·", "dim")
    if right is False:
        return "✗" + facts.classes[answer], "bold red"
    return facts.classes[answer], "green" if right else "white"


def _image(facts: RunFacts, width: int, height: int) -> RenderableType:
    assert facts.inputs is not None
    assert facts.image is not None
    picture = facts.inputs.reshape(facts.image) / 255
    lines: list[RenderableType] = [Align.center(charts.grey(picture, width, max(1, height - 1)))]
    if facts.free and facts.classes:
        answer = facts.classes[int(np.argmax(facts.free[-1]))]
        truth = facts.classes[facts.label] if facts.label is not None else ""
        right = answer == truth
        lines.append(
            Align.center(
                Text.assemble(
                    ("it is ", "dim"), (truth, "bold"), ("   free phase says ", "dim"),
                    (answer + (" ✓" if right else " ✗"), "bold green" if right else "bold red"),
                )
            )
        )  # fmt: skip
    return Group(*lines)


def _word(facts: RunFacts) -> RenderableType:
    """A word's dots as it was shown and, if the output is dots, as it was recalled."""
    assert facts.inputs is not None
    shown = facts.inputs[: braille.DOTS] >= 128
    parts: list[RenderableType] = [_cells(shown, "shown", charts.hex_of(charts.WHITE))]
    if facts.classes:
        if facts.free:
            answer = facts.classes[int(np.argmax(facts.free[-1]))]
            truth = facts.classes[facts.label] if facts.label is not None else answer
            sign = ("✓", "bold green") if answer == truth else ("✗ " + truth, "bold red")
            parts.append(Text.assemble(("\nrecognised ", "dim"), (answer + " ", "bold"), sign))
    elif facts.free:
        recalled = facts.free[-1][: braille.DOTS] >= facts.dot_level
        parts += [Text(), _cells(recalled, "recalled", charts.hex_of(charts.BLUE))]
    return Group(*parts)


def _cells(dots: np.ndarray, what: str, colour: str) -> Text:
    """Three rows of dots, and what they read as."""
    text = Text(no_wrap=True)
    cells = dots.reshape(-1, 2, 3)
    for row in range(3):
        for cell in cells:
            for column in range(2):
                raised = bool(cell[column, row])
                text.append("● " if raised else "· ", colour if raised else "grey35")
            text.append(" ")
        text.append("\n")
    text.append(f"{what}: ", "dim")
    text.append(braille.decode(dots.astype(np.uint8)).rstrip() or "-", "bold")
    return text


def _strip(facts: RunFacts, width: int, height: int) -> RenderableType:
    """Inputs as bars, as tall as there is room."""
    assert facts.inputs is not None
    values = charts.strongest(facts.inputs[None, :].astype(float), 1, width)[0]
    wide = max(1, width // len(values))
    values = np.repeat(values, wide)
    rows = []
    for row in range(height, 0, -1):
        low, high = 255 * (row - 1) / height, 255 * row / height
        rows.append("".join(" " if v <= low else charts.bars([v], low, high) for v in values))
    return Text("\n".join(rows), charts.hex_of(charts.BLUE), no_wrap=True)


def _features(facts: RunFacts) -> RenderableType:
    if facts.inputs is None:
        return Text("…", "dim")
    return _Drawn(lambda width, height: _feature_table(facts, width, height))


def feature_words(facts: RunFacts) -> list[str]:
    """Name the features of one channel.

    Args:
        facts: what is known of the board, which has channels.

    Returns:
        The names.
    """
    per_channel = len(facts.names) // 2 // len(facts.channels)
    first = facts.channels[0]
    return [
        name.removeprefix(first).removesuffix("above").strip()
        for name in facts.names[: 2 * per_channel : 2]
    ]


def feature_levels(facts: RunFacts) -> np.ndarray:
    """Tell how far each feature is from usual.

    Args:
        facts: what is known of the board, which has channels and inputs.

    Returns:
        -1…1, negative below usual, (channels, features).
    """
    assert facts.inputs is not None
    both = facts.inputs.reshape(len(facts.channels), -1, 2).astype(int)
    return (both[..., 0] - both[..., 1]) / 255


def _feature_table(facts: RunFacts, width: int, height: int) -> RenderableType:
    words, levels = feature_words(facts), feature_levels(facts)
    names = min(10, max(len(name) for name in facts.channels))
    wide = max(2, min(8, (width - names - 1) // len(words)))
    text = Text(" " * (names + 1), no_wrap=True)
    for word in words:
        text.append(word[: wide - 1].ljust(wide), "dim")
    for name, row in list(zip(facts.channels, levels, strict=True))[: height - 1]:
        text.append("\n" + name[:names].ljust(names + 1), "dim")
        for level in row.tolist():
            sign = "" if abs(level) < 0.02 else "▲" if level > 0 else "▼"
            said = f"{sign}{abs(level) * 100:.0f}" if wide > 4 and sign else sign
            colour = charts.hex_of(charts.diverging(level))
            ink = "#000000" if abs(level) > 0.5 else "#ffffff"
            text.append(said.center(wide - 1)[: wide - 1], f"{ink} on {colour}")
            text.append(" ")
    return text


# --- what becomes of it ------------------------------------------------------------------------


def _value_title(facts: RunFacts) -> str:
    passes = f"  pass {facts.passes} of {facts.of_passes}" if facts.of_passes else ""
    tested = facts.metrics.get("accuracy")
    test = f"  test set {100 * tested:.1f} %" if tested is not None else ""
    kind = "running " if facts.measure != "novelty score" else ""
    return f"{kind}{facts.measure} {value(facts)}{passes}{test}"


def _curve(facts: RunFacts) -> RenderableType:
    return _Drawn(lambda width, height: _curve_drawn(facts, width, height))


def _curve_drawn(facts: RunFacts, width: int, height: int) -> RenderableType:
    if not facts.curve:
        return Text("…", "dim")
    x = [point.samples for point in facts.curve]
    y = [point.value for point in facts.curve]
    low, high = value_range(facts)
    score = facts.measure == "novelty score"

    def said(level: float) -> str:
        return f"{level:,.0f}" if score else f"{100 * level:.0f} %"

    margin = max(len(said(low)), len(said(high)))
    tall = max(1, height - 1)
    span = (0.0, float(max(x[-1], 1)))
    curves = [charts.Line(x, y, charts.GREEN)]
    if facts.change_at is not None and facts.change_at < facts.samples:
        curves.insert(0, charts.Line([facts.change_at] * 2, [low, high], charts.ORANGE))
    drawn = charts.plot(curves, width - margin - 1, tall, span, (low, high))
    lines = drawn.split("\n")
    text = Text(no_wrap=True)
    for k, one in enumerate(lines):
        said_here = said(high) if k == 0 else said(low) if k == len(lines) - 1 else ""
        text.append(said_here.rjust(margin) + " ", "dim")
        text.append_text(one)
        text.append("\n")
    unit = "windows" if facts.channels else "samples"
    text.append(f"{facts.samples:,} {unit}".rjust(width), "dim")
    return text


def value_range(facts: RunFacts) -> tuple[float, float]:
    """Choose what a curve's upright axis shows.

    Args:
        facts: what is known of the board.

    Returns:
        Its lower and its upper end.
    """
    values = [point.value for point in facts.curve] or [0.0]
    if facts.measure == "novelty score":
        return 0.0, max(*values, 1.0)
    low = math.floor(10 * min(values)) / 10
    return min(low, 0.9), 1.0


def _activity_title(facts: RunFacts) -> str | Text:
    if not facts.plus:
        return "activities"
    free, nudged = ("▀ free", charts.hex_of(_FREE)), ("▄ nudged", charts.hex_of(_NUDGED))
    return Text.assemble("activities: ", free, " ", nudged)


def _activity_lines(facts: RunFacts) -> int:
    """What the activities would like to have."""
    layers = len(facts.free) - 1 - bool(facts.classes)
    return 3 * layers + len(facts.classes)


def _activities(facts: RunFacts) -> RenderableType:
    return _Drawn(lambda width, height: _activities_drawn(facts, width, height))


def _activities_drawn(facts: RunFacts, width: int, height: int) -> RenderableType:
    lines: list[RenderableType] = []
    nudged = facts.plus or facts.free
    colours = (_FREE, _NUDGED if facts.plus else _FREE)
    last = len(facts.free) - 1
    room = height
    for k, (free, plus) in enumerate(zip(facts.free, nudged, strict=True)):
        if k == 0 or (k == last and facts.classes and room > 1):
            continue
        kind = "output" if k == last else f"hidden layer {k}" if last > 2 else "hidden layer"
        lines.append(Text(f"{kind}, {len(free)} units", "dim"))
        wide = max(1, width // len(free))
        per_line = max(1, width // wide)
        for at in range(0, len(free), per_line):
            a, b = (np.repeat(part[at : at + per_line], wide) for part in (free, plus))
            lines.append(charts.pairs(a / 255, b / 255, colours))
            room -= 1
            if facts.plus:
                lines.append(_changes(free[at : at + per_line], plus[at : at + per_line], wide))
                room -= 1
        room -= 1
    if facts.classes and room > 1:
        lines.append(_outputs(facts, nudged[-1], width, room))
    return Group(*lines)


def _changes(free: np.ndarray, nudged: np.ndarray, wide: int) -> Text:
    """Where the nudge raised a unit and where it lowered it."""
    text = Text(no_wrap=True)
    for change in (nudged.astype(int) - free).tolist():
        sign = "▲" if change > 1 else "▼" if change < -1 else " "
        strength = 0.35 + min(abs(change) / 32, 1) * 0.65
        colour = charts.diverging(strength if change > 0 else -strength)
        text.append(sign.center(wide), charts.hex_of(colour))
    return text


def _outputs(facts: RunFacts, nudged: np.ndarray, width: int, height: int) -> Table:
    """A bar for each class: the free activity, and where the nudge took it."""
    columns = -(-len(facts.classes) // height)
    per_column = -(-len(facts.classes) // columns)
    names = min(14, max(len(name) for name in facts.classes))
    room = max(4, width // columns - names - 7)
    best = int(np.argmax(facts.free[-1]))

    def bar(k: int) -> Text:
        free = int(facts.free[-1][k])
        text = Text(charts.bar(free / 255, room), charts.hex_of(_FREE), no_wrap=True)
        if facts.plus:
            at = min(room - 1, round(int(nudged[k]) / 255 * (room - 1)))
            text = text[:at] + Text("◆", charts.hex_of(_NUDGED)) + text[at + 1 :]
        text.append(f" {free:3}", "dim")
        style = "bold green" if k == facts.label else "bold" if k == best else "dim"
        return Text(facts.classes[k][:names].ljust(names) + " ", style) + text

    table = Table.grid(padding=(0, 2, 0, 0))
    for row in range(per_column):
        table.add_row(*(bar(k) for k in range(row, len(facts.classes), per_column)))
    return table


def _weight_title(facts: RunFacts) -> Text:
    below, above = ("−", "#56b4e9"), ("+", "#f06e1e")
    return Text.assemble("weights: ", below, " ", above, ", inputs across")


def _weights(facts: RunFacts) -> RenderableType:
    return _Drawn(lambda width, height: _weights_drawn(facts, width, height))


def _weights_drawn(facts: RunFacts, width: int, height: int) -> RenderableType:
    """The layers under one another, each with as many lines as its bit lines deserve."""
    tall = [max(2, math.ceil(w.shape[1] / 2)) for w in facts.weights]
    room = max(len(tall), height - len(tall))
    parts: list[RenderableType] = []
    for k, (w, want) in enumerate(zip(facts.weights, tall, strict=True)):
        rows = min(want, max(1, room * want // sum(tall[k:])))
        room -= rows
        parts.append(Text(f"layer {k + 1}: {w.shape[0]} → {w.shape[1]}", "dim"))
        parts.append(charts.heat(w.T / WINDOW, width, rows))
    return Group(*parts)
