"""`camx compare`: compares two explained runs of the same images in pairs, from their folders alone.

May import `audit`, `export`, `evaluation`, `outputs`, `gates`, `statistics` and layers below."""
