"""Training a network for which CAM is exact: data, cached features, the loop, and what it leaves."""
