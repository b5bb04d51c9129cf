"""``python -m cam_cli.demo OUT``: writes the demo data set."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..sentences import counted
from .dataset import write_dataset


def main() -> None:
    """Parses the command line and writes the images."""
    parser = argparse.ArgumentParser(prog="python -m cam_cli.demo", description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write train/ and val/ into")
    parser.add_argument("--per-class", type=int, default=300, help="images of every class (default 300)")
    parser.add_argument("--size", type=int, default=160, help="side of the images in pixels (default 160)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the whole set (default 0)")
    parser.add_argument("--val-share", type=float, default=0.15, help="share held out in val/ (default 0.15)")
    parser.add_argument("--processes", type=int, default=None, help="worker processes (default: all cores)")
    args = parser.parse_args()
    size = (args.size, args.size)
    count = write_dataset(args.out, args.per_class, args.seed, size, args.val_share, args.processes)
    print(f"{counted(count, 'image')} in {args.out}")


if __name__ == "__main__":
    main()
