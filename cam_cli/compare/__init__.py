"""`camx compare`: two explained runs of the same images, pair by pair, from their folders alone."""

from .compare import compare
from .options import CompareOptions
from .records import Comparison

__all__ = ["CompareOptions", "Comparison", "compare"]
