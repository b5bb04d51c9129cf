"""`camx patterns`: the cues that a network uses, clustered over a whole folder; numpy only."""
