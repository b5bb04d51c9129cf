"""Questions that camx 0.1.0 answered wrongly, each with that answer and with the right one.

The questions need no more of camx than `cam_cli`, `cli` and Pillow images, so that another checkout can be asked too:
`python -m tools.wrong_before PATH`.
"""
