"""The search for the target layer."""
