"""A fleet's run as one page that needs nothing beside itself: no network, no script.

The numbers that it shows are also in it as JSON, in the element `data`.
"""

from __future__ import annotations

import datetime
import html
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from madem import __version__
from madem.data import braille
from madem.monitor import charts, svg, tui
from madem.monitor.run_state import BoardHealth, RunFacts, Stage, WindowMark

_MOST_CELLS = 192
"""Rows and columns of a weight map at most; beyond, the strongest of neighbours is drawn."""
_SIGNS = {Stage.DONE: "✓", Stage.DEAD: "✗", Stage.STOPPED: "■"}


def render(boards: Sequence[RunFacts]) -> str:
    """Make the page.

    Args:
        boards: what is known of each, at least one.

    Returns:
        HTML, all of it.
    """
    tasks = sorted({facts.task for facts in boards if facts.task}) or ["no task"]
    on = boards[0].board if len(boards) == 1 else f"{len(boards)} boards"
    title = f"{', '.join(tasks)} on {on}"
    data = json.dumps({"boards": [facts.to_json() for facts in boards]}).replace("<", "\\u003c")
    style = files("madem.monitor").joinpath("page.css").read_text(encoding="utf-8")
    when = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        # Else a browser asks a server for one.
        '<link rel="icon" href="data:,">',
        f"<title>{html.escape(title)} - madem monitor</title><style>{style}</style></head><body>",
        f'<header><p class="brand">madem monitor</p><h1>{html.escape(title)}</h1>',
        f"<p>{when} · madem {__version__}</p></header><main>",
    ]
    if len(boards) > 1:
        parts.append(_overview(boards))
    parts += [_section(k, facts) for k, facts in enumerate(boards)]
    parts.append(f'</main><script type="application/json" id="data">{data}</script></body></html>')
    return "\n".join(parts) + "\n"


def _overview(boards: Sequence[RunFacts]) -> str:
    """A row for each board."""
    head = ("board", "", "done", "a second", boards[0].measure, "heap", "resent", "NAKs", "")
    rows = []
    for k, facts in enumerate(boards):
        health = facts.health[-1] if facts.health else None
        cells = (
            f'<a href="#board-{k}">{html.escape(facts.board)}</a>',
            _stage(facts),
            tui.progress(facts),
            f"{facts.samples_per_s:,.0f}" if facts.samples_per_s else "",
            tui.value(facts),
            _kilobytes(health.heap_used) if health else "",
            str(health.resent) if health else "",
            str(health.naks) if health else "",
            html.escape(facts.reason) if facts.stage is Stage.DEAD else "",
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    top = "".join(f"<th>{name}</th>" for name in head)
    return f'<div class="wide"><table class="boards"><tr>{top}</tr>{"".join(rows)}</table></div>'


def _section(number: int, facts: RunFacts) -> str:
    """All about one board."""
    narrow = [card for draw in _NARROW if (card := draw(facts))]
    chip = f" · {html.escape(facts.chip)}" if facts.chip else ""
    parts = [
        f'<section id="board-{number}"><h2>{html.escape(facts.board)} {_stage(facts)}</h2>',
        f'<p class="chip">{html.escape(facts.task)}{chip}</p>',
        f'<p class="reason">{html.escape(facts.reason)}</p>' if facts.reason else "",
        _tiles(facts),
        '<dl class="settings">',
        *(
            f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(what)}</dd></div>"
            for name, what in tui.described(facts)
        ),
        '</dl><div class="cards">',
        *narrow,
        _health(facts, wide=len(narrow) % 2 == 0),
        _weights(facts),
        _fields(facts),
        "</div></section>",
    ]
    return "\n".join(filter(None, parts))


def _stage(facts: RunFacts) -> str:
    return f'<span class="stage {facts.stage}">{_SIGNS.get(facts.stage, "")} {facts.stage}</span>'


def _tiles(facts: RunFacts) -> str:
    """The numbers that matter, large."""
    found: list[tuple[str, str, str]] = []
    if facts.value is not None:
        newest = "newest " if facts.measure == "novelty score" else "running "
        found.append(("running", newest + facts.measure, tui.value(facts)))
    if "accuracy" in facts.metrics:
        tested = 100 * facts.metrics["accuracy"]
        found.append(("metrics.accuracy", "accuracy on the test set", f"{tested:.1f} %"))
    for p, share in facts.metrics.get("exact_word", {}).items():
        if p in ("0.20", "0.30"):
            what = f"words recalled, {float(p):.0%} of the dots wrong"
            found.append((f"metrics.exact_word.{p}", what, f"{100 * share:.1f} %"))
    if facts.measure == "novelty score":
        found.append(("new_windows", "windows found new", f"{facts.new:,}"))
    unit = "windows" if facts.channels else "samples"
    found.append(("samples_seen", unit, f"{facts.samples:,}"))
    if facts.samples_per_s:
        rate = f"{facts.samples_per_s:,.1f}"
        found.append(("samples_per_s", f"{unit} a second", rate))
    if facts.health:
        health = facts.health[-1]
        found.append(("health.heap_used", "heap in use", _kilobytes(health.heap_used)))
        found.append(("health.resent", "requests sent again", str(health.resent)))
    if facts.lost is not None:
        found.append(("lost_samples", "samples lost", f"{facts.lost:,}"))
    return '<div class="tiles">' + "".join(
        f'<div><b data-key="{key}">{said}</b><span>{what}</span></div>' for key, what, said in found
    ) + "</div>"  # fmt: skip


def _card(title: str, content: str, note: str = "", wide: bool = False) -> str:
    kind = "card wide" if wide else "card"
    below = f"<figcaption>{note}</figcaption>" if note else ""
    return f'<figure class="{kind}"><h3>{title}</h3>{content}{below}</figure>'


def _curve(facts: RunFacts) -> str:
    if not facts.curve:
        return ""
    low, high = tui.value_range(facts)
    score = facts.measure == "novelty score"
    drawn = svg.chart(
        [point.samples for point in facts.curve],
        [point.value for point in facts.curve],
        width=560,
        height=280,
        low=low,
        high=high,
        unit="windows" if facts.channels else "samples",
        said=(lambda v: f"{v:,.0f}") if score else (lambda v: f"{100 * v:.0f} %"),
        mark=_change(facts),
        label=f"{facts.measure} over {facts.samples:,} samples, now {tui.value(facts)}",
    )
    tested = "Each was tested before it was learned; old ones" if facts.plus else "Old answers"
    note = "How new each window is to the network." if score else f"{tested} fade from the average."
    return _card(html.escape(facts.measure.capitalize()), drawn, note)


def _change(facts: RunFacts) -> tuple[float, str] | None:
    """Where the world changed, if it has."""
    at = facts.change_at
    if at is None or at >= facts.samples:
        return None
    return float(at), str(facts.settings["change"])


def _input(facts: RunFacts) -> str:
    if facts.channels:
        if facts.signal is None or not len(facts.signal):
            return _card("Newest windows", _recent(facts), "The samples stayed on the board.")
        return _card("Signal and answers" if facts.measure else "Signal", *_signal(facts))
    if facts.inputs is None:
        return ""
    if facts.braille:
        return _card("A word as it was shown", *_word(facts))
    if facts.image:
        rows, columns = facts.image
        picture = _grey(facts.inputs.reshape(facts.image) / 255, 240 / max(rows, columns))
        drawn = svg.picture(
            240 * columns / max(rows, columns), 240 * rows / max(rows, columns), picture, "input"
        )
        return _card("Newest input", f'<div class="image">{drawn}</div>', _verdict(facts))
    values = facts.inputs / 255
    wide = 560 / len(values)
    content = [
        svg.rect(k * wide, 200 * (1 - v), wide * 0.8, 200 * v, "free", name)
        for k, (v, name) in enumerate(zip(values.tolist(), facts.names, strict=True))
    ]
    return _card("Newest input", svg.picture(560, 200, content, "inputs"), _verdict(facts))


def _verdict(facts: RunFacts) -> str:
    """What the free phase made of the newest input."""
    if not facts.classes or not facts.free:
        return ""
    answer = facts.classes[int(np.argmax(facts.free[-1]))]
    said = f"The free phase says <b>{html.escape(answer)}</b>"
    if facts.label is None:
        return said + "."
    truth = facts.classes[facts.label]
    sign = "✓" if truth == answer else f"✗, it is <b>{html.escape(truth)}</b>"
    return f"{said} {sign}"


def _grey(values: np.ndarray, cell: float) -> list[str]:
    """A picture of 0…1."""
    rows, columns = values.shape
    found = [svg.rect(0, 0, columns * cell, rows * cell, "dark")]
    for i, row in enumerate(values.tolist()):
        for k, value in enumerate(row):
            if value:
                found.append(
                    f'<rect x="{k * cell:.2f}" y="{i * cell:.2f}" width="{cell:.2f}"'
                    f' height="{cell:.2f}" class="bright" fill-opacity="{value:.2f}"/>'
                )
    return found


def _signal(facts: RunFacts) -> tuple[str, str]:
    """A lane for each channel, the windows' answers below."""
    assert facts.signal is not None
    left, width, lane = 90.0, 560.0, max(26.0, min(60.0, 240.0 / len(facts.channels)))
    parts = []
    samples = len(facts.signal)
    step = (width - left - 10) / max(samples - 1, 1)
    height = lane * len(facts.channels) + 34
    for k, (name, column) in enumerate(zip(facts.channels, facts.signal.T, strict=True)):
        low, high = int(column.min()), int(column.max())
        parts.append(svg.text(left - 8, (k + 0.5) * lane + 4, name[:12], "tick", "end"))
        index, values = svg.outline(column.astype(float), 450)
        y = (k + 1) * lane - 4 - (values - low) / max(high - low, 1) * (lane - 8)
        parts.append(svg.path(left + index * step, y, "line free"))
    first = facts.signal_end - samples
    base = lane * len(facts.channels)
    before = left
    for mark in facts.marks:
        x = left + (mark.end - 1 - first) * step
        parts.append(svg.line(x, 0, x, base + 6, "grid"))
        said, kind = _answer(facts, mark)
        parts.append(svg.text(x, base + 20, _cut(said, x - before), f"answer {kind}", "end"))
        before = x
    rate = f" at {facts.rate_hz:g} Hz" if facts.rate_hz else ""
    label = f"{samples} samples of {len(facts.channels)} channels"
    note = f"The newest {samples:,} samples{rate}; each line ends a window, below it its answer."
    return svg.picture(width, height, parts, label), note


def _recent(facts: RunFacts) -> str:
    """What the newest windows gave, where their samples are not known."""
    what = "score" if facts.measure == "novelty score" else "label"
    rows = [f"<tr><th>window's end</th><td></td><td>{what}</td></tr>"]
    for mark in reversed(facts.marks):
        said, kind = _answer(facts, mark)
        when = f"{mark.window.t_s:.1f} s" if mark.window.t_s is not None else ""
        label = facts.classes[mark.window.label] if mark.window.label is not None else ""
        score = f"{mark.window.score:,}" if mark.window.score is not None else ""
        rows.append(
            f'<tr><th>{when}</th><td class="{kind}">{html.escape(said)}</td>'
            f"<td>{html.escape(label)}{score}</td></tr>"
        )
    return f'<table class="health">{"".join(rows)}</table>'


def _answer(facts: RunFacts, mark: WindowMark) -> tuple[str, str]:
    """What a window gave in a word, and the classes of that text."""
    answer = mark.window.answer
    if answer is None:
        return ("new", "bad") if mark.window.new else ("·", "quiet")
    kind = {True: "good", False: "bad", None: ""}[mark.window.right]
    return ("✗ " if kind == "bad" else "") + facts.classes[answer], kind


def _word(facts: RunFacts) -> tuple[str, str]:
    assert facts.inputs is not None
    shown = facts.inputs[: braille.DOTS] >= 128
    rows = [("shown", shown, "")]
    if not facts.classes and facts.free:
        rows.append(("recalled", facts.free[-1][: braille.DOTS] >= facts.dot_level, "free"))
    parts = []
    for k, (what, dots, kind) in enumerate(rows):
        top = 30 + 130 * k
        said = braille.decode(dots.astype(np.uint8)).rstrip() or "-"
        parts.append(svg.text(10, top - 8, f"{what}: {said}", "name"))
        for i, raised in enumerate(dots.tolist()):
            cell, place = divmod(i, 6)
            x = 24 + 54 * cell + 22 * (place // 3)
            y = top + 16 + 26 * (place % 3)
            parts.append(svg.dot(x, y, 8 if raised else 3, (kind or "ink") if raised else "flat"))
    drawn = svg.picture(560, 130 * len(rows) + 10, parts, "Braille dots")
    return drawn, _verdict(facts) if facts.classes else ""


def _features(facts: RunFacts) -> str:
    if not facts.channels or facts.inputs is None or not facts.names:
        return ""
    words, levels = tui.feature_words(facts), tui.feature_levels(facts)
    left, width, tall = 90.0, 560.0, 30.0
    wide = (width - left) / len(words)
    parts = []
    for k, word in enumerate(words):
        parts.append(svg.text(left + (k + 0.5) * wide, 14, word, "tick", "middle"))
    for i, (name, row) in enumerate(zip(facts.channels, levels, strict=True)):
        top = 22 + i * tall
        parts.append(svg.text(left - 8, top + tall / 2 + 4, name[:12], "tick", "end"))
        for k, level in enumerate(row.tolist()):
            x = left + k * wide
            kind = "more" if level > 0 else "less"
            title = f"{name} {words[k]}: {100 * level:+.0f} %"
            parts.append(svg.rect(x + 1, top + 1, wide - 2, tall - 2, "ground", title))
            parts.append(
                f'<rect x="{x + 1:.2f}" y="{top + 1:.2f}" width="{wide - 2:.2f}"'
                f' height="{tall - 2:.2f}" class="{kind}" fill-opacity="{abs(level):.2f}"/>'
            )
            if abs(level) >= 0.02:
                ink = "cell strong" if abs(level) > 0.6 else "cell"
                said = f"{'▲' if level > 0 else '▼'} {abs(100 * level):.0f}"
                parts.append(
                    svg.text(x + wide / 2, top + tall / 2 + 4, said, ink, "middle")
                )  # fmt: skip
    drawn = svg.picture(width, 26 + tall * len(facts.channels), parts, "features")
    note = "Of the newest window, in % of the range: ▲ above, ▼ below what is usual."
    return _card("Features", drawn, note)


def _activities(facts: RunFacts) -> str:
    if not facts.free:
        return ""
    nudged = facts.plus or None
    parts, top = [], 0.0
    width, left, tall = 560.0, 36.0, 84.0
    last = len(facts.free) - 1
    for k, free in enumerate(facts.free[1:], 1):
        kind = "output" if k == last else f"hidden layer {k}" if last > 2 else "hidden layer"
        parts.append(svg.text(left, top + 14, f"{kind}, {len(free)} units", "name"))
        base = top + 22 + tall
        wide = (width - left) / len(free)
        for level in (0.0, 0.5, 1.0):
            y = base - level * tall
            parts.append(svg.line(left, y, width, y, "grid"))
            parts.append(svg.text(left - 6, y + 4, f"{level:g}", "tick", "end"))
        radius = min(4.5, max(1.6, wide * 0.32))
        for i, value in enumerate((free / 255).tolist()):
            x = left + i * wide
            name = facts.classes[i] if k == last and facts.classes else f"unit {i}"
            title = f"{name}: free {value:.2f}"
            if nudged:
                title += f", nudged {nudged[k][i] / 255:.2f}"
            parts.append(
                svg.rect(x + wide * 0.1, base - value * tall, wide * 0.8, value * tall, "free",
                         title)
            )  # fmt: skip
            if nudged:
                y = base - nudged[k][i] / 255 * tall
                parts.append(svg.dot(x + wide / 2, y, radius, "nudged", title))
            if k == last and facts.classes and len(facts.classes) <= 16:
                parts.append(
                    svg.text(x + wide / 2, base + 15, _cut(name, wide), "tick", "middle")
                )  # fmt: skip
        top = base + 22
    drawn = svg.picture(width, top, parts, "free and nudged activities")
    keys = '<span class="key free"></span>free phase'
    if nudged:
        keys += ' <span class="key nudged round"></span>nudged phase'
    return _card("The network's activities", drawn, f"{keys}, newest sample")


def _cut(name: str, room: float) -> str:
    """As much of a name as there is room for."""
    most = max(1, int((room - 4) / 6.5))
    return name if len(name) <= most else name[: most - 1] + "…"


def _weights(facts: RunFacts) -> str:
    """P - N of each layer, at the beginning and at the end."""
    if not facts.weights:
        return ""
    rows = []
    for k, (begin, end) in enumerate(zip(facts.first, facts.weights, strict=True), 1):
        inputs, outputs = end.shape
        across = "inputs" if inputs >= outputs else "outputs"
        stays = np.array_equal(begin, end)
        times = [("at the beginning", begin), ("at the end", end)]
        maps = []
        for when, w in times[stays:]:
            values = charts.strongest(
                (w.T if across == "inputs" else w) / tui.WINDOW, _MOST_CELLS, _MOST_CELLS
            )
            tall, wide = values.shape
            label = f"weights of layer {k} {when}"
            drawn = svg.picture(wide, tall, [svg.heat(values)], label)
            name = f"layer {k}, {inputs} → {outputs}{'' if stays else f', {when}'}"
            maps.append(f"<div><p>{name}; {across} across</p>{drawn}</div>")
        rows.append('<div class="maps">' + "".join(maps) + "</div>")
    ramp = "".join(
        f'<rect x="{160 + level * 5}" width="5" height="12"'
        f' class="{"more" if level > 0 else "less"}" fill-opacity="{abs(level) / 32:.2f}"/>'
        for level in range(-32, 33)
    )
    scale = (
        '<svg class="ramp" viewBox="-40 0 400 14" role="img" aria-label="scale">'
        f"{svg.text(-8, 11, '−1', 'tick', 'end')}{ramp}{svg.text(330, 11, '+1', 'tick')}</svg>"
    )
    note = f"Conductance difference P − N in units of a device's window. {scale}"
    return _card("Weights", "".join(rows), note, wide=True)


def _fields(facts: RunFacts) -> str:
    """What each unit above a picture looks for."""
    if not facts.image or not facts.weights:
        return ""
    rows, columns = facts.image
    units = facts.weights[0].T / tui.WINDOW
    per_row = min(len(units), 16)
    parts = []
    for i, unit in enumerate(units):
        x, y = (i % per_row) * (columns + 1), (i // per_row) * (rows + 1)
        parts.append(svg.heat(unit.reshape(facts.image), x, y))
    width = per_row * (columns + 1) - 1
    height = -(-len(units) // per_row) * (rows + 1) - 1
    drawn = svg.picture(width, height, parts, "what each unit of the first layer looks for")
    note = f"The weights of layer 1 once more, a picture of {rows} × {columns} for each unit."
    return _card("What each unit looks for", drawn, note, wide=True)


def _health(facts: RunFacts, wide: bool) -> str:
    if not facts.health:
        return ""
    t = [health.t_s for health in facts.health]
    heap = [health.heap_used / 1024 for health in facts.health]
    newest = facts.health[-1]
    drawn = svg.chart(
        t, heap, width=560, height=200, low=0.0, high=max(heap) * 1.15, unit="seconds",
        said=lambda v: f"{v:,.0f} KB", label="heap in use over time", kind="line free",
    )  # fmt: skip
    rows = "".join(
        f'<tr><th>{name}</th><td data-key="health.{key}">{said}</td></tr>'
        for key, name, said in _health_rows(newest)
    )
    table = f'<table class="health">{rows}</table>'
    note = "Heap in use, until the board collects garbage."
    content = f'<div class="{"maps" if wide else "column"}"><div>{drawn}</div>{table}</div>'
    return _card("Heap and link", content, note, wide)


def _health_rows(health: BoardHealth) -> list[tuple[str, str, str]]:
    return [
        ("heap_used", "heap in use", _kilobytes(health.heap_used)),
        ("heap_free", "heap free", _kilobytes(health.heap_free)),
        ("bytes_out", "sent to the board", _kilobytes(health.bytes_out)),
        ("bytes_in", "received from it", _kilobytes(health.bytes_in)),
        ("resent", "requests sent again", str(health.resent)),
        ("naks", "NAKs of the board", str(health.naks)),
    ]


def _kilobytes(n: Any) -> str:
    return f"{n / 1024:,.1f} KB"


_NARROW = (_curve, _input, _features, _activities)
"""Cards that are half as wide as the page."""
