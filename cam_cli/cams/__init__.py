"""Class activation maps: forwards cut at a target layer, the choice of that layer, the methods, and the engine."""
