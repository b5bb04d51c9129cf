"""Colour maps from equally spaced anchors with linear interpolation, without a plotting library."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

#: Hex colours from 0 to 1.
COLORMAPS: dict[str, str] = {
    "turbo": (
        "30123b 392a73 4040a2 4456c7 466be3 4680f6 4293ff 37a7fa 28bbec 1dccd9 18dcc3 1ee8b0 31f299 "
        "4cf97e 6bfe64 8aff4c a2fc3c b8f735 cced34 dee037 edd03a f7c03a fdad35 fe982c fb8022 f56818 "
        "ec520f e14109 d23105 c12302 ac1701 950d01 7a0403"
    ),
    "viridis": (
        "440154 470d60 48186a 482374 472d7b 453781 424086 3e4989 3b528b 375b8d 33638d 2f6b8e 2c728e "
        "297a8e 26828e 23898e 21908c 1f978b 1f9f88 21a685 27ad81 31b57b 3ebc74 4dc26c 5cc863 6ece58 "
        "82d34d 95d840 aadc32 c0df25 d5e21a eae51a fde725"
    ),
    "cividis": (
        "00224e 00285b 002e6a 053371 1a386f 273e6e 32436d 3b496c 434e6c 4b546c 535a6d 5a5f6e 61656f "
        "686a71 6f7073 767676 7d7c78 848279 8c8878 938e78 9b9476 a39a74 aba072 b4a76f bcae6c c4b468 "
        "cdbb63 d5c25e dec958 e7d150 f0d846 f9e03a fee838"
    ),
    "magma": (
        "000004 030312 0a0822 130d34 1d1147 29115a 36106b 440f76 50127c 5d177f 691c81 762181 822681 "
        "8f2a81 9c2e7f a9337d b6367a c33b75 cf4070 db476a e65164 ee5c5e f46a5c f9785d fb8861 fd9668 "
        "fea571 feb47b fec287 fed194 fde0a1 fceeb0 fcfdbf"
    ),
    "inferno": (
        "000004 040312 0b0724 150b37 210c4a 2f0a5b 3d0965 4a0c6b 56106e 63156e 70196e 7d1e6d 89226a "
        "962766 a32c61 af315b bb3654 c63d4d d14545 da4f3c e35932 eb6529 f1721e f67f14 f98c0a fb9b06 "
        "fcaa0f fbba1f f9c932 f5d949 f2e865 f3f586 fcffa4"
    ),
    "jet": (
        "000080 000096 0000ad 0000c4 0000da 0000f1 0000ff 000cff 0020ff 0034ff 0048ff 005cff 0070ff "
        "0084ff 0098ff 00acff 00c0ff 00d4ff 02e8f4 13fce4 23ffd4 33ffc4 43ffb4 53ffa4 63ff94 73ff83 "
        "83ff73 94ff63 a4ff53 b4ff43 c4ff33 d4ff23 e4ff13 f4f802 ffe600 ffd300 ffc100 ffae00 ff9c00 "
        "ff8900 ff7700 ff6400 ff5200 ff3f00 ff2d00 ff1a00 f10800 da0000 c40000 ad0000 960000 800000"
    ),
    "gray": "000000 ffffff",
}


#: Colour map for signed evidence: blue against, red for, light grey at 0.
TWO_SIDED = "two-sided"
_DIVERGING = "0040ff 0060ff 2080ff 60a0ff f0f0f0 ffa060 ff8020 ff4000 ff0000"

#: Ramps from black at 0, for values of one sign each.
RAMPS: dict[str, str] = {
    "fire": "000000 521410 982211 d23f10 f0701c fba634 ffd870 fff8de",
    "ice": "000000 0d2659 134a9f 1d72d2 379dee 69c2f8 a8e1fc eaf8ff",
}


def palette(name: str) -> np.ndarray:
    """Colour map as 256×3 uint8 RGB."""
    return _levels(_DIVERGING if name == TWO_SIDED else COLORMAPS[name])


def ramp(name: str) -> np.ndarray:
    """Ramp as 256×3 uint8 RGB."""
    return _levels(RAMPS[name])


@cache
def _levels(colours: str) -> np.ndarray:
    import numpy as np

    anchors = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in colours.split()])
    at = np.linspace(0.0, 1.0, len(anchors))
    levels = np.linspace(0.0, 1.0, 256)
    joined = [np.rint(np.interp(levels, at, anchors[:, channel])) for channel in range(3)]
    return np.stack(joined, axis=1).astype(np.uint8)
