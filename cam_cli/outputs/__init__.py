"""Files of a run: images, journal, tables and record, written whole or not at all, and read with checks."""
