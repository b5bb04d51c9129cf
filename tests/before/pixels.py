"""Cases about the pixels that the network gets from a file."""

from __future__ import annotations

import importlib
import io
from typing import Any

import numpy as np
from PIL import Image

from .case import TINY, Case, command, explained, pictures, rows


def first_row(data: bytes) -> Any:
    """The first row of pixels that the network gets from a file: grey levels, or colours."""
    decode = importlib.import_module("cam_cli.images.decode")
    # It had another name in 0.1.0.
    image = (
        decode.decode_pixels(data, decode.Reading()).image if hasattr(decode, "decode_pixels") else decode.decode(data)
    )
    values = np.asarray(image)[0]
    return (values[:, 0] if (values == values[:, :1]).all() else values).tolist()


def file(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def grey(values: Any, kind: str, image_format: str = "TIFF") -> Any:
    return first_row(file(Image.fromarray(np.array([values], kind)), image_format))


def fourth_band() -> Any:
    return first_row(file(Image.new("RGBA", (1, 1), (10, 20, 30, 128))))


def grey_with_alpha() -> Any:
    return first_row(file(Image.new("LA", (1, 1), (10, 128))))


def palette_with_transparency() -> Any:
    image = Image.new("P", (1, 1), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return first_row(file(image, transparency=1))


def hot_pixel() -> Any:
    values = np.linspace(-1.5, 1.5, 1000, dtype=np.float32)
    values[500] = 1e6
    found = grey(values, "f4")
    return [found[place] for place in (0, 250, 750, 999)]


def frames() -> Any:
    images = [Image.new("RGB", (32, 32), (60 * place, 9, 9)) for place in range(3)]
    pictures("0.png")
    images[0].save("images/0.gif", save_all=True, append_images=images[1:])
    explained(folder=("images/0.gif",))
    return rows()["0.gif"].get("pixels")


def sides() -> Any:
    pictures("0.png")
    return explained("--image-size", "32x64")


def five_bands() -> Any:
    pictures("other.png")
    np.save("images/0.npy", np.random.default_rng(0).integers(0, 255, (32, 32, 5), np.uint8))
    return explained("--model-arg", "in_chans=5", "--mean", "0.5", "--std", "0.5", folder=("images/0.npy",))


def option(*argv: str) -> Any:
    pictures("0.png")
    return explained(*argv)


def input_line() -> Any:
    import timm
    import torch

    torch.save(timm.create_model("test_resnet").state_dict(), "bare.pth")
    pictures("0.png")
    said = command("explain", "images", *TINY[:2], "--checkpoint", "bare.pth", *TINY[3:])[1]
    return "the checkpoint has no input settings" in said


PIXELS = [
    Case("RGBA whose fourth band is no transparency", fourth_band, [[132, 137, 142]], [[10, 20, 30]]),
    Case("grey with alpha", grey_with_alpha, [132], [10]),
    Case("a palette with a transparent colour", palette_with_transparency, [255], [[10, 20, 30]]),
    Case("10 bits in a PNG of 16", lambda: grey([0, 10, 511, 1023], "u2", "PNG"), [0, 0, 1, 3], [0, 2, 127, 255]),
    Case("12 bits in a PNG of 16", lambda: grey([0, 100, 2047, 4095], "u2", "PNG"), [0, 0, 7, 15], [0, 6, 127, 255]),
    Case("0 to 255 in 32 bits", lambda: grey([0, 3, 128, 255], "i4"), [0, 0, 0, 1], [0, 3, 128, 255]),
    Case("0 to 255 in floats", lambda: grey([0, 3, 128, 254], "f4"), [0, 3, 129, 255], [0, 3, 128, 254]),
    Case("-9999 for no value", lambda: grey([-9999, 100.5, 150.5, 200.5], "f4"), [0, 252, 254, 255], [0, 0, 127, 255]),
    Case("NaN for no value", lambda: grey([float("nan"), 100, 150.5, 201], "f4"), [0, 127, 191, 255], [0, 0, 128, 255]),
    Case("one hot pixel", hot_pixel, [0, 0, 0, 0], [0, 62, 193, 255]),
    Case("three frames", frames, None, {"mode": "P", "frames": 3, "frame": 1}),
    Case("another frame", lambda: option("--frames", "all"), 2, 0),
    Case("height and width", sides, 2, 0),
    Case("five bands", five_bands, 2, 0),
    Case("levels that are asked for", lambda: option("--levels", "full"), 2, 0),
    Case("pixels as they are stored", lambda: option("--exif", "ignore"), 2, 0),
    Case("a checkpoint that says nothing of its input", input_line, False, True),
]
