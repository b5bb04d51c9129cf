"""`camx compare`: two explained runs of the same images, pair by pair, from their folders alone."""
