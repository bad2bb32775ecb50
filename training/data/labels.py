"""The thirteen indoor classes and how finer ones become them. Knows no data set's files.

Couprie et al., Indoor Semantic Segmentation using depth information, ICLR 2013. 0 is no class: it
is what nobody labelled, and no loss or figure counts it.
"""

import numpy as np
from numpy.typing import NDArray

CLASSES = (
    "unlabelled", "bed", "books", "ceiling", "chair", "floor", "furniture",
    "objects", "picture", "sofa", "table", "tv", "wall", "window",
)  # fmt: skip
# What to paint them with: what lies side by side in rooms differs most.
COLOURS = (
    "#000000", "#e377c2", "#8c564b", "#fff2a8", "#d62728", "#2ca02c", "#ff7f0e",
    "#9467bd", "#f7b6d2", "#17becf", "#bcbd22", "#22227a", "#7f9fc6", "#00e5ff",
)  # fmt: skip
UNLABELLED = 0


def class_id(name: str) -> int:
    return CLASSES.index(name)


def map_labels(labels: NDArray[np.integer], table: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Classes of the 13; ids beyond the table are unlabelled.

    table  (n,) class by the finer id, table[0] = 0; None: they are the 13 already
    """
    if table is None:
        table = np.arange(len(CLASSES), dtype=np.uint8)
    known = (labels >= 0) & (labels < len(table))
    return np.where(known, table[np.where(known, labels, 0)], UNLABELLED).astype(np.uint8)
