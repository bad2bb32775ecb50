"""Point clouds as binary PLY: what Open3D, MeshLab and CloudCompare read."""

import numpy as np

from fathom.geometry import F32, RGB, Intrinsics, unproject

_VERTEX = np.dtype(
    [*((axis, "<f4") for axis in "xyz"), *((c, "u1") for c in ("red", "green", "blue"))]
)


def encode_ply(depth_m: F32, image: RGB, camera: Intrinsics) -> bytes:
    """One coloured point per pixel that has an answer.

    depth_m  (H, W) float32, metres
    image    (H, W, 3) uint8 RGB, the same pixels
    camera   intrinsics in pixels of this map
    returns  binary little-endian PLY, x right, y down, z forward, in metres
    """
    known = np.isfinite(depth_m)
    vertices = np.empty(int(known.sum()), _VERTEX)
    points = unproject(depth_m, camera)[known]
    for i, axis in enumerate("xyz"):
        vertices[axis] = points[:, i]
    for i, channel in enumerate(("red", "green", "blue")):
        vertices[channel] = image[known][:, i]
    header = "\n".join(
        [
            "ply",
            "format binary_little_endian 1.0",
            "comment metres; x right, y down, z forward",
            f"element vertex {len(vertices)}",
            *(f"property float {axis}" for axis in "xyz"),
            *(f"property uchar {channel}" for channel in ("red", "green", "blue")),
            "end_header\n",
        ]
    )
    return header.encode("ascii") + vertices.tobytes()
