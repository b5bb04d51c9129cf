"""`camx audit`: accuracy and attention by group, from a run folder alone."""
