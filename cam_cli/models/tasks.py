"""Tasks of networks: the meaning of their outputs."""

from __future__ import annotations

from typing import Final, Literal

Task = Literal["auto", "classification", "segmentation", "regression", "ordinal", "similarity", "detection"]

#: One score per image and class, with a softmax or sigmoid.
CLASSIFICATION: Final = "classification"
#: One score per pixel and class.
SEGMENTATION: Final = "segmentation"
#: Values without classes.
REGRESSION: Final = "regression"
#: Logits of "more than step k"; the sum of their sigmoids is the expected step.
ORDINAL: Final = "ordinal"
#: An embedding, which is compared with that of a reference image.
SIMILARITY: Final = "similarity"
#: Boxes with a class and a score each, as many as are found.
DETECTION: Final = "detection"
#: Decided by the output of the network.
AUTO: Final = "auto"
#: Values of `--task`.
TASKS: Final = (AUTO, CLASSIFICATION, SEGMENTATION, REGRESSION, ORDINAL, SIMILARITY, DETECTION)
#: Tasks whose outputs are values: they have no probability, no ranking, and no correct class.
VALUES: Final = (REGRESSION, ORDINAL, SIMILARITY)
