"""`camx audit`: compares accuracy and attention between groups of images, from a run folder alone.

May import `export`, `evaluation`, `outputs`, `gates`, `statistics` and layers below."""
