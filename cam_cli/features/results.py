"""Converts the maps of one image to a sheet, a journal row, and lines of `activations.csv`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from ..outputs.drawing import encode_image
from ..outputs.renderer import Rendered, base_row
from ..outputs.rows import BLANK, OK, ImageRow, MapRow, first_map
from ..outputs.rows import Channels as ChannelsRow
from ..outputs.tables import line, number, text
from ..run_layout import SHEETS, output_name
from .maps import Channels, Reading
from .sheet import draw_sheet

NUMBERS = ("mean", "maximum", "energy", "dead")
COLUMNS = ("image", "status", "error", "layer", "channel", *NUMBERS, "tile", "sheet")


def rendered(reading: Reading) -> Rendered:
    """Sheet and journal row of one reading."""
    picture, maps = reading.picture, reading.maps
    row = base_row(picture)
    if maps is None:
        return Rendered({**row, "error": reading.problem}, {})
    record: MapRow = {"layer": maps.layer, "grid": [maps.height, maps.width]}
    row |= {"status": OK, "maps": [record]}
    if not maps.finite:
        return Rendered({**row, "status": BLANK, "error": "the feature maps are not finite"}, {})
    record |= {"channels": _as_record(maps.channels), "shown": maps.shown.tolist()}
    if maps.blank:
        return Rendered({**row, "status": BLANK, "error": "the feature maps are zero"}, {})
    record["sheet"] = output_name(SHEETS, picture.source.key, ".png", apart=picture.source.apart)
    return Rendered(row, {record["sheet"]: encode_image(draw_sheet(maps, picture.input), "png")})


def table(rows: Iterable[ImageRow]) -> Iterator[bytes]:
    """`activations.csv` in pieces of UTF-8 (RFC 4180): one line per image and channel, by channel.

    An image without numbers (failed, not finite) has one line. `tile`: position on the sheet from 1, in the order of
    `--sort`; empty for a channel that is not drawn.
    """
    yield line([*COLUMNS])
    for row in rows:
        yield b"".join(map(line, _lines(row)))


def _lines(row: ImageRow) -> Iterator[list[Any]]:
    map_row = first_map(row)
    start = [text(row["image"]), row["status"], text(row.get("error", "")), text(map_row.get("layer", ""))]
    channels = map_row.get("channels")
    if channels is None:
        yield [*start, *[""] * (len(COLUMNS) - len(start))]
        return
    sheet = text(map_row.get("sheet", ""))
    tiles = {channel: place for place, channel in enumerate(map_row["shown"], 1)} if sheet else {}
    for channel, values in enumerate(zip(*(cast(dict[str, list[float]], channels)[name] for name in NUMBERS))):
        yield [*start, channel, *map(number, values), tiles.get(channel, ""), sheet]


def _as_record(channels: Channels) -> ChannelsRow:
    """Statistics for the journal, with nine digits, the precision of float32."""
    numbers = {name: [float(f"{value:.9g}") for value in getattr(channels, name)] for name in NUMBERS}
    return cast(ChannelsRow, numbers)
