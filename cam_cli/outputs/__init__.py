"""Files of a run: pictures, journal, tables and record, written whole or not at all, and read with checks."""
