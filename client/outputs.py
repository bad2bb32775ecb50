"""Everything a run keeps and shows of its answers; decodes only what somebody looks at."""

from contextlib import ExitStack

import numpy as np

from client.rerun_log import RerunLog
from client.settings import Settings
from client.viewers import Status, Window, compose, panel_size
from client.writers import DepthPngWriter, Mp4Writer, PlyWriter
from fathom.codecs.image import decode, inspect
from fathom.errors import FathomError
from fathom.geometry import RGB, Size
from fathom.session.core import Received
from fathom.values import DepthMap, Failed, Image, Limits, Skipped

_NO_PICTURE = np.zeros((240, 320, 3), np.uint8)


class Outputs:
    """The writers and the window of one run; close it, or the video is not whole.

    raises  BAD_OPTION where one of them cannot work here
    """

    def __init__(self, settings: Settings, *, title: str, fps: float) -> None:
        self._colours = settings.colours
        self._panel: Size | None = None
        self._window = Window(title) if settings.show else None
        self._video = Mp4Writer(settings.save, fps) if settings.save else None
        self._pngs = DepthPngWriter(settings.save_depth) if settings.save_depth else None
        self._clouds = PlyWriter(settings.save_ply) if settings.save_ply else None
        self._rerun = (
            RerunLog(settings.rerun, title=title, colours=settings.colours)
            if settings.rerun
            else None
        )
        kept = (self._window, self._video, self._pngs, self._clouds, self._rerun)
        self._wanted = any(output is not None for output in kept)
        self._closing = ExitStack()  # the second is closed even where the first fails
        for output in (self._window, self._video, self._rerun):
            if output is not None:
                self._closing.callback(output.close)

    def take(self, received: Received, *, time_s: float, status: Status) -> bool:
        """Keep and show one answer; False once the viewer wants to end.

        time_s  when the frame is shown, from the beginning

        A failed frame is shown without depth and with its code. A skipped one is not shown: the
        frame that replaced it is.
        """
        answer = received.decoded() if self._wanted else None
        if answer is None or isinstance(answer, Skipped):
            return True
        picture = _seen(received.image)
        if isinstance(answer, DepthMap):
            self._keep(answer, picture, time_s)
        if self._video is None and self._window is None:
            return True
        self._panel = self._panel or panel_size((picture.shape[0], picture.shape[1]))
        canvas = compose(
            picture,
            answer.depth_m if isinstance(answer, DepthMap) else None,
            status=status,
            colours=self._colours,
            panel=self._panel,
        )
        if self._video is not None:
            self._video.write(canvas, time_s)
        return self._window.show(canvas) if self._window is not None else True

    def close(self) -> None:
        """Again is no error."""
        self._closing.close()

    def _keep(self, depth: DepthMap, picture: RGB, time_s: float) -> None:
        if self._pngs is not None:
            self._pngs.write(depth)
        if self._clouds is not None:
            self._clouds.write(depth, picture)
        if self._rerun is not None:
            self._rerun.write(depth, picture, time_s)


def status_of(received: Received, *, fps: float, skipped: int) -> Status:
    """What to write below a frame."""
    note = f"no depth: {received.answer.code}" if isinstance(received.answer, Failed) else ""
    return Status(age_s=received.age_s, fps=fps, skipped=skipped, note=note)


def _seen(image: Image) -> RGB:
    """The picture as it was sent; black if it cannot be read, which is then why it failed."""
    try:
        return decode(image, inspect(image, Limits()))
    except FathomError:
        return _NO_PICTURE
