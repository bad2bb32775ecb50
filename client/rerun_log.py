"""Answers into Rerun, a viewer of what a robot sees: pinhole, picture and depth.

https://rerun.io - of the extra `rerun`, imported when it is asked for. Its viewer, not what runs
here, tells its makers of its use until `rerun analytics disable`. Knows no server.
"""

import numpy as np

from fathom.errors import Code, FathomError
from fathom.geometry import RGB
from fathom.values import Colours, DepthMap

VIEWER = "viewer"  # one that is opened on this screen
_FILE = ".rrd"
_ADDRESS = "rerun+"  # http:// or https:// behind it
_JPEG_QUALITY = 85
_PATIENCE_S = 10.0  # for a viewer to take what it is sent


def is_file(place: str) -> bool:
    return place.endswith(_FILE) and not place.startswith(_ADDRESS)


def check_place(place: str) -> None:
    """Whether a recording can go there: VIEWER, a file's name or a viewer's address.

    raises  BAD_OPTION
    """
    if place != VIEWER and not is_file(place) and not place.startswith(_ADDRESS):
        raise FathomError(
            Code.BAD_OPTION,
            expected=f"--rerun alone, a name that ends in {_FILE}, or an address that starts with"
            f" {_ADDRESS}http://",
            got=place,
            repair="leave the place out to open a viewer here",
        )


class RerunLog:
    """One recording; whole once `close` ran.

    Entities are `camera` (the pinhole of the depth), `camera/picture` and `camera/depth`, on the
    timelines `frame` (its number in the stream) and `time`.

    raises  BAD_OPTION where the package is not installed or nothing takes the recording
    """

    def __init__(self, place: str, *, title: str, colours: Colours) -> None:
        self._range_m = (colours.near_m, colours.far_m)
        try:
            import rerun
        except ImportError as error:
            raise FathomError(
                Code.BAD_OPTION,
                expected="the package rerun-sdk, for --rerun",
                got=str(error),
                repair="pip install --constraint constraints.txt '.[rerun]'",
            ) from error
        self._rerun = rerun
        self._place = place
        self._recording = rerun.RecordingStream("fathom")
        self._recording.send_recording_name(title)
        try:
            if place == VIEWER:
                self._recording.spawn()
            elif is_file(place):
                self._recording.save(place)
            else:
                self._recording.connect_grpc(place)
                self._recording.flush(timeout_sec=_PATIENCE_S)  # now, not after the last frame
        except RuntimeError as error:
            raise self._unreachable(error) from error

    def write(self, depth: DepthMap, picture: RGB, time_s: float) -> None:
        """picture  (H, W, 3) uint8 RGB, the pixels of the depth"""
        rerun, camera = self._rerun, depth.camera
        height_px, width_px = depth.depth_m.shape
        self._recording.set_time("frame", sequence=depth.seq)
        self._recording.set_time("time", duration=time_s)
        pinhole = rerun.Pinhole(
            image_from_camera=[
                [camera.fx, 0, camera.cx],
                [0, camera.fy, camera.cy],
                [0, 0, 1],
            ],
            resolution=[width_px, height_px],
        )
        # Rerun takes zero as no answer, and NaN as a distance.
        known = rerun.DepthImage(
            np.nan_to_num(depth.depth_m, nan=0.0), meter=1.0, depth_range=self._range_m
        )
        self._recording.log("camera", pinhole)
        self._recording.log("camera/picture", rerun.Image(picture).compress(_JPEG_QUALITY))
        self._recording.log("camera/depth", known)

    def close(self) -> None:
        """Hand over what is still held, then the end. raises  BAD_OPTION for a viewer that left"""
        try:
            self._recording.flush(timeout_sec=_PATIENCE_S)
        except RuntimeError as error:
            raise self._unreachable(error) from error
        finally:
            self._recording.disconnect()

    def _unreachable(self, error: RuntimeError) -> FathomError:
        return FathomError(
            Code.BAD_OPTION,
            expected=f"a place that takes what Rerun is told: {self._place}",
            got=str(error),
            repair=f"start `rerun` there first, or name a file that ends in {_FILE}",
        )
