"""The tasks of networks: what the numbers of their outputs mean."""

from __future__ import annotations

from typing import Final, Literal

Task = Literal["auto", "classification", "segmentation", "regression", "ordinal", "similarity", "detection"]

#: One score per image and class, of which a softmax or sigmoid makes probabilities.
CLASSIFICATION: Final = "classification"
#: One score per pixel and class.
SEGMENTATION: Final = "segmentation"
#: Values that mean themselves.
REGRESSION: Final = "regression"
#: Logits of "more than step k", whose sigmoids sum to the expected step.
ORDINAL: Final = "ordinal"
#: An embedding, compared with that of a reference image.
SIMILARITY: Final = "similarity"
#: Boxes with a class and a score each, as many as are found.
DETECTION: Final = "detection"
#: Decided by the output of the network.
AUTO: Final = "auto"
#: What `--task` takes.
TASKS: Final = (AUTO, CLASSIFICATION, SEGMENTATION, REGRESSION, ORDINAL, SIMILARITY, DETECTION)
#: Tasks whose outputs are values: there is no probability, no ranking and no right or wrong.
VALUES: Final = (REGRESSION, ORDINAL, SIMILARITY)
