"""From a network and a batch to class activation maps: where to cut, which layer, which method."""
