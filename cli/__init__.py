"""The command line: argv in, engine calls out. Nothing imports it."""
