"""A whole answer: depth and labels of one frame, from wire form to arrays."""

from fathom.codecs.depth import decode_depth
from fathom.codecs.labels import decode_labels
from fathom.values import DepthMap, EncodedDepth


def decode_answer(encoded: EncodedDepth) -> DepthMap:
    """Decode depth and labels; raises BAD_REQUEST where the bytes do not fit."""
    size = (encoded.height_px, encoded.width_px)
    return DepthMap(
        seq=encoded.seq,
        depth_m=decode_depth(encoded.data, encoded.encoding, size),
        camera=encoded.camera,
        focal_given=encoded.focal_given,
        model=encoded.model,
        version=encoded.version,
        labels=(
            decode_labels(encoded.labels, encoded.label_encoding, size)
            if encoded.label_encoding is not None
            else None
        ),
        stages=encoded.stages,
        batch_size=encoded.batch_size,
        age_s=encoded.age_s,
    )
