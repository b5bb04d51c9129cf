"""Class activation maps as arrays: normalised, placed, measured, coloured. numpy only."""
