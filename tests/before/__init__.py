"""Cases that camx 0.1.0 answered wrongly, each with that answer and the right one.

The cases import only `cam_cli`, `cli` and Pillow, so that they also run on another checkout: `python -m
tools.wrong_before PATH`.
"""
