"""Charts as pictures of their own: SVG without scripts, in the colours of the pages, light and dark."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element

import pygal
from pygal.style import Style

# It leaves a finder for plug-ins in the way of all imports, of a kind that Python has given up.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "PluginImportFixer"]

_CSS: Final = (
    "inline:"
    ".background, .plot > .background { fill: transparent !important; }"
    "text { fill: #1b2226 !important; } .guide.line { stroke: #d4d9dc !important; }"
    "@media (prefers-color-scheme: dark) {"
    " text { fill: #e7ebed !important; } .guide.line { stroke: #3a444a !important; } }"
)
TAKEN: Final = "#2f7d95"
DELAYED: Final = "#c07a1a"
REFUSED: Final = "#c2434d"
WOULD: Final = "#8a97a0"
WIDE: Final = 760
NARROW: Final = 340
"""Pixels; the narrow fits on a phone."""


def stacked(
    title: str, labels: Sequence[str], series: Mapping[str, tuple[str, Sequence[int]]], width: int = WIDE
) -> bytes:
    """Bars upon each other, one stack for each label; ``series`` gives each name its colour and values.

    Which colour is which stands below the picture, on the page: so it is read on a phone, too.
    """
    colors = tuple(color for color, _ in series.values())
    chart = pygal.StackedBar(
        style=_styled(colors),
        css=["file://style.css", "file://graph.css", _CSS],
        js=[],
        width=width,
        height=260,
        disable_xml_declaration=True,
        show_legend=False,
        margin=6,
        order_min=0,
        show_minor_x_labels=False,
        x_labels_major_every=max(1, len(labels) // (width // 95)),
        no_data_text="",
        truncate_label=20,
    )
    chart.x_labels = list(labels)
    for name, (_, values) in series.items():
        chart.add(name, list(values))
    return _bytes(chart, title, {name: sum(values) for name, (_, values) in series.items()})


def ranked(title: str, bars: Mapping[str, tuple[str, int]], width: int = WIDE) -> bytes:
    """Lying bars, one for each name, which has a colour and a value, the first on top."""
    chart = pygal.HorizontalBar(
        style=_styled(tuple(color for color, _ in bars.values()) or (TAKEN,)),
        css=["file://style.css", "file://graph.css", _CSS],
        js=[],
        width=width,
        height=60 + 26 * max(1, len(bars)),
        max_scale=width // 60,
        disable_xml_declaration=True,
        show_legend=False,
        margin=6,
        order_min=0,
        no_data_text="",
        truncate_label=20,
    )
    upwards = list(bars.items())[::-1]
    chart.x_labels = [name for name, _ in upwards]
    chart.add("", [{"value": value, "color": color} for _, (color, value) in upwards])
    return _bytes(chart, title, {name: value for name, (_, value) in bars.items()})


def _styled(colors: tuple[str, ...]) -> Style:
    return Style(
        background="transparent",
        plot_background="transparent",
        font_family="system-ui, sans-serif",
        label_font_size=11,
        major_label_font_size=11,
        colors=colors,
    )


def _bytes(chart: Any, title: str, sums: Mapping[str, int]) -> bytes:
    """The picture, with what tells of it to those who do not see it."""

    def finish(root: Element) -> Element:
        # Settings for a script are in it even where none is wanted.
        for parent in root.iter():
            for script in parent.findall("script"):
                parent.remove(script)
        told = {"title": title, "desc": ", ".join(f"{name}: {count}" for name, count in sums.items())}
        for old in root.findall("title"):
            root.remove(old)
        for place, (name, text) in enumerate(told.items()):
            element = Element(name, id=f"chart-{name}")
            element.text = text
            root.insert(place, element)
        root.attrib.update(
            {"role": "img", "aria-labelledby": "chart-title", "aria-describedby": "chart-desc"}
        )
        return root

    chart.add_xml_filter(finish)
    text: str = chart.render()
    return text.encode()
