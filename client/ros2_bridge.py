"""A ROS 2 node: pictures of a topic in, their depth in metres out, with the pictures' own stamps.

    python -m client.ros2_bridge --server localhost:8001 --ros-args -r image:=/camera/image_raw

It takes `image` (sensor_msgs/Image in rgb8, bgr8 or mono8) and publishes `depth/image` (32FC1, of
the picture's size) and `depth/camera_info`; with --camera-info it first waits for one message of
`camera_info`, whose focal length gives the metres their scale. Stamp and frame_id are the
picture's. Only the newest picture waits: what a newer one replaced is never sent.

It needs a sourced ROS 2 with Python 3.11 or newer. It has been tested against a fake of the few
calls of rclpy that it makes, never yet against ROS itself.
"""

import argparse
import queue
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from importlib import import_module
from typing import Any

from client.connection import Connect, Connection, Conversation
from client.ros2_messages import (
    CameraMessage,
    Header,
    ImageMessage,
    fill_camera,
    fill_depth,
    intrinsics_of,
    picture_of,
)
from client.sender import Sender
from client.sources.slot import Slot
from client.sources.source import Captured, SourceInfo
from fathom.errors import Code, FathomError
from fathom.geometry import Camera, FieldOfView
from fathom.session import credentials
from fathom.session.core import Received
from fathom.session.reconnect import Reconnect, ending
from fathom.session.sync import Client
from fathom.values import DepthMap, Failed, OpenStream, Options, Output, Policy

# One on its way, one in the stream's slot on the server, one computed.
_WINDOW = 3
_OLDEST_S = 10.0  # a stamp further away than this is on another clock


class Topic:
    """The newest picture of a topic each time one is asked for; a source for `Sender`.

    now_ns    the node's clock, which the stamps are on
    complain  told of messages that are no picture
    headers   of the pictures that were taken, oldest first: one is for each answer
    """

    info = SourceInfo(name="image", live=True, fps=30.0)

    def __init__(
        self,
        now_ns: Callable[[], int],
        complain: Callable[[FathomError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.headers: deque[Header] = deque()
        self._now_ns, self._complain, self._clock = now_ns, complain, clock
        self._slot = Slot[ImageMessage]()

    @property
    def passed_over(self) -> int:
        return self._slot.passed_over

    def put(self, message: ImageMessage) -> None:
        """The subscription's callback: keeps the message, computes nothing."""
        self._slot.put(message)

    def close(self) -> None:
        self._slot.close()

    def frames(self) -> Iterator[Captured]:
        while (message := self._slot.take()) is not None:
            try:
                picture = picture_of(message)
            except FathomError as error:
                self._complain(error)
                continue
            self.headers.append(message.header)
            yield Captured(picture, self._clock() - self._age_s(message.header))

    def _age_s(self, header: Header) -> float:
        stamp_ns = header.stamp.sec * 1_000_000_000 + header.stamp.nanosec
        age_s = (self._now_ns() - stamp_ns) / 1e9
        return age_s if 0 <= age_s <= _OLDEST_S else 0.0


class Bridge:
    """Between a node's topics and one stream of a server."""

    def __init__(self, ros: Any, given: argparse.Namespace) -> None:  # rclpy is not typed
        qos, messages = import_module("rclpy.qos"), import_module("sensor_msgs.msg")
        self._image, self._camera_info = messages.Image, messages.CameraInfo
        self._given = given
        self._cameras: queue.Queue[Camera | None] = queue.Queue(1)
        self._stream: Conversation | None = None
        self._closed = False
        self.node = ros.create_node("fathom_bridge")
        self._log = self.node.get_logger()
        clock = self.node.get_clock()
        self.topic = Topic(lambda: int(clock.now().nanoseconds), self._complain)
        # A camera's driver may send either way; best effort takes both, and one is enough.
        newest = qos.QoSProfile(depth=1, reliability=qos.ReliabilityPolicy.BEST_EFFORT)
        self.node.create_subscription(self._image, "image", self.topic.put, newest)
        self._depth = self.node.create_publisher(self._image, "depth/image", 1)
        self._camera = self.node.create_publisher(self._camera_info, "depth/camera_info", 1)
        if given.camera_info:
            self.node.create_subscription(self._camera_info, "camera_info", self._calibrate, newest)
        else:
            self._take_camera(None if given.hfov is None else FieldOfView(given.hfov))

    def run(self, connection: Connection) -> None:
        """Send and publish until `close`, or until the server refuses; raises why."""
        camera = self._cameras.get()  # a stream has one camera
        if self._closed:
            return
        options = Options(output=Output.SOURCE, smoothing=self._given.smoothing, camera=camera)
        opening = OpenStream(model=self._given.model, policy=Policy.LATEST, options=options)
        stream = connection.stream(
            opening,
            reconnect=Reconnect(),
            reconnected=lambda gap: self._log.warning(f"found the server again: {gap}"),
        )
        quality = None if self._given.raw else self._given.quality
        sender = Sender(self.topic, stream, slots=_WINDOW, quality=quality, max_frames=None)
        self._stream = stream
        with closing(stream), ThreadPoolExecutor(1, "send") as pool:
            sending = pool.submit(sender.run)
            try:
                for received in stream.answers():
                    sender.answered()
                    self._publish(received, self.topic.headers.popleft())
            finally:
                sender.stop()
                stream.close()
        if not self._closed:
            sending.result()
            if stream.closing is not None and (end := ending(stream.closing)) is not None:
                raise end

    def close(self) -> None:
        """End `run`, from any thread."""
        self._closed = True
        self._take_camera(None)
        self.topic.close()
        if self._stream is not None:
            self._stream.close()

    def _calibrate(self, message: CameraMessage) -> None:
        try:
            self._take_camera(intrinsics_of(message))
        except FathomError as error:
            self._complain(error)

    def _take_camera(self, camera: Camera | None) -> None:
        with suppress(queue.Full):  # the first is the one: drivers repeat it with every picture
            self._cameras.put_nowait(camera)

    def _publish(self, received: Received, header: Header) -> None:
        answer = received.decoded()
        if isinstance(answer, DepthMap):
            depth, camera = self._image(), self._camera_info()
            fill_depth(depth, answer, header)
            fill_camera(camera, answer, header)
            self._depth.publish(depth)
            self._camera.publish(camera)
        elif isinstance(answer, Failed):
            self._complain(answer.as_error())

    def _complain(self, error: FathomError) -> None:
        self._log.warning(str(error), throttle_duration_sec=1.0)


def main(argv: Sequence[str] | None = None, *, connect: Connect = Client) -> int:
    """Run the node; 0 ended by whoever started it, 1 failed, 2 misuse."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    at = arguments.index("--ros-args") if "--ros-args" in arguments else len(arguments)
    given = _parser().parse_args(arguments[:at])
    try:
        trust = credentials.from_options(given)
        ros = _rclpy()
        ros.init(args=arguments[at:])
        try:
            bridge = Bridge(ros, given)
            with connect(given.server, trust) as connection:
                connection.describe()  # waits for a server that is still starting
                return _spin(ros, bridge, connection)
        finally:
            if ros.ok():
                ros.shutdown()
    except FathomError as error:
        sys.stderr.write(f"ros2_bridge: {error}\n")
        return 2 if error.code is Code.BAD_OPTION else 1


def _spin(ros: Any, bridge: Bridge, connection: Connection) -> int:
    """ROS on this thread, the stream on another; either ends the other."""
    ended_by_ros = import_module("rclpy.executors").ExternalShutdownException

    def run() -> None:
        try:
            bridge.run(connection)
        finally:
            if ros.ok():
                ros.shutdown()

    with ThreadPoolExecutor(1, "stream") as pool:
        running = pool.submit(run)
        try:
            ros.spin(bridge.node)
        except (KeyboardInterrupt, ended_by_ros):
            pass
        finally:
            bridge.close()
        running.result()
    bridge.node.destroy_node()
    return 0


def _rclpy() -> Any:
    try:
        return import_module("rclpy")
    except ImportError as error:
        raise FathomError(
            Code.BAD_OPTION,
            expected="ROS 2's Python packages, rclpy and sensor_msgs",
            got=str(error),
            repair="source ROS 2's setup.bash, and use the Python that it is for",
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m client.ros2_bridge",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--server", default="localhost:8001", metavar="HOST:PORT", help="gRPC door (%(default)s)")
    add("--model", default="", metavar="NAME", help="the server's first if left out")
    add("--hfov", type=float, metavar="DEG", help="the camera's horizontal field of view")
    add("--camera-info", action="store_true", help="take the focal length from `camera_info`")
    add("--smoothing", type=float, default=0.0, metavar="0..1", help="over time (off)")
    add("--quality", type=int, default=85, help="JPEG, 1 to 100 (%(default)s)")
    add("--raw", action="store_true", help="send pixels, not JPEG")
    credentials.add_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
