"""`camx patterns`: finds the cues that a network uses, clustered over a whole folder. Uses numpy only.

May import `audit`, `export`, `evaluation`, `outputs`, `gates`, `statistics` and layers below."""
