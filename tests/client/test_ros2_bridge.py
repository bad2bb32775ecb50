"""The ROS 2 bridge against a fake of the few calls of rclpy that it makes, not against ROS."""

import queue
import sys
import threading
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from client.ros2_bridge import Topic, main
from client.ros2_messages import Header
from fathom.errors import Code, FathomError
from fathom.geometry import FieldOfView, Intrinsics
from fathom.values import Output, Policy
from tests.client.scripted import Script, ScriptedServer, ScriptedStream, failed, plane, skipped

NOW_NS = 50_000_000_000
WAIT_S = 30.0  # a bound on a hang


class ExternalShutdown(Exception):  # noqa: N818 # as rclpy names its own
    """As rclpy.executors.ExternalShutdownException."""


class FakeNode:
    """Topics as lists of callbacks; what is published and logged can be waited for."""

    def __init__(self) -> None:
        self.subscribed: dict[str, Callable[[Any], None]] = {}
        self.published: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.warned: queue.Queue[str] = queue.Queue()
        self.destroyed = False

    def create_subscription(
        self, _kind: type, topic: str, callback: Callable[[Any], None], _qos: object
    ) -> None:
        self.subscribed[topic] = callback

    def create_publisher(self, _kind: type, topic: str, _qos: object) -> SimpleNamespace:
        return SimpleNamespace(publish=lambda message: self.published.put((topic, message)))

    def get_logger(self) -> SimpleNamespace:
        return SimpleNamespace(warning=lambda text, **_: self.warned.put(text))

    def get_clock(self) -> SimpleNamespace:
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=NOW_NS))

    def destroy_node(self) -> None:
        self.destroyed = True


@dataclass
class FakeRos:
    """Stands where the module rclpy stands; `play` is what happens while it spins."""

    play: Callable[[FakeNode], None] = lambda _: None
    node: FakeNode = field(default_factory=FakeNode)
    arguments: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def init(self, args: list[str]) -> None:
        self.arguments = args

    def create_node(self, _name: str) -> FakeNode:
        return self.node

    def ok(self) -> bool:
        return not self.ended.is_set()

    def shutdown(self) -> None:
        self.ended.set()

    def spin(self, node: FakeNode) -> None:
        self.play(node)
        raise ExternalShutdown


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> FakeRos:
    fake = FakeRos()
    modules: dict[str, Any] = {
        "rclpy": fake,
        "rclpy.qos": SimpleNamespace(
            QoSProfile=lambda **terms: terms,
            ReliabilityPolicy=SimpleNamespace(BEST_EFFORT="best effort"),
        ),
        "rclpy.executors": SimpleNamespace(ExternalShutdownException=ExternalShutdown),
        "sensor_msgs": ModuleType("sensor_msgs"),
        "sensor_msgs.msg": SimpleNamespace(Image=SimpleNamespace, CameraInfo=SimpleNamespace),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return fake


def header(sec: int) -> Header:
    stamp = SimpleNamespace(sec=sec, nanosec=500_000_000)
    found: Header = SimpleNamespace(stamp=stamp, frame_id=f"frame {sec}")
    return found


def picture(sec: int, encoding: str = "rgb8") -> SimpleNamespace:
    return SimpleNamespace(
        header=header(sec),
        height=24,
        width=32,
        encoding=encoding,
        is_bigendian=0,
        step=96,
        data=array("B", bytes([sec]) * 24 * 96),
    )


def test_a_picture_becomes_depth_and_camera_with_its_own_stamp_and_frame(ros: FakeRos) -> None:
    server = ScriptedServer(ScriptedStream(plane))
    got = []

    def play(node: FakeNode) -> None:
        for sec in (40, 41):
            node.subscribed["image"](picture(sec))
            got.append([node.published.get(timeout=WAIT_S) for _ in range(2)])

    ros.play = play
    assert main(["--hfov", "60", "--ros-args", "-r", "image:=/camera"], connect=server) == 0
    assert ros.arguments == ["--ros-args", "-r", "image:=/camera"]
    for sec, ((depth_topic, depth), (camera_topic, camera)) in zip((40, 41), got, strict=True):
        assert (depth_topic, camera_topic) == ("depth/image", "depth/camera_info")
        assert depth.header.frame_id == camera.header.frame_id == f"frame {sec}"
        assert depth.header.stamp.sec == camera.header.stamp.sec == sec
        assert (depth.encoding, depth.height, depth.width) == ("32FC1", 24, 32)
        assert set(np.frombuffer(depth.data, "<f4").tolist()) == {1.25}
        assert camera.k[0] == 30.0
    opening = server.opening
    assert opening is not None and opening.policy is Policy.LATEST
    assert opening.options.output is Output.SOURCE
    assert opening.options.camera == FieldOfView(60)
    assert server.reconnect is not None
    assert ros.node.destroyed and ros.ended.is_set()


def test_the_focal_length_of_camera_info_is_asked_with(ros: FakeRos) -> None:
    server = ScriptedServer(ScriptedStream(plane))

    def play(node: FakeNode) -> None:
        node.subscribed["image"](picture(40))
        node.subscribed["camera_info"](SimpleNamespace(k=[0.0] * 9))  # not calibrated yet
        assert "bad_option" in node.warned.get(timeout=WAIT_S)
        for focal_px in (25.0, 99.0, 99.0):
            node.subscribed["camera_info"](
                SimpleNamespace(k=[focal_px, 0, 15.5, 0, focal_px, 11.5, 0, 0, 1])
            )
        node.published.get(timeout=WAIT_S)

    ros.play = play
    assert main(["--camera-info"], connect=server) == 0
    assert server.opening is not None
    assert server.opening.options.camera == Intrinsics(fx=25.0, fy=25.0, cx=15.5, cy=11.5)


def test_pictures_without_depth_keep_the_stamps_of_the_others_right(ros: FakeRos) -> None:
    """Answers of every kind: each takes the header of its own picture."""
    script: dict[int, Script] = {1: skipped, 2: failed}
    server = ScriptedServer(ScriptedStream(lambda frame: script.get(frame.seq, plane)(frame)))

    def play(node: FakeNode) -> None:
        node.subscribed["image"](picture(40))
        wait_sent(server, 1)
        node.subscribed["image"](picture(41))
        assert "engine_fault" in node.warned.get(timeout=WAIT_S)
        node.subscribed["image"](picture(42, "bayer_rggb8"))
        assert "unsupported_image" in node.warned.get(timeout=WAIT_S)
        node.subscribed["image"](picture(43))
        depth = node.published.get(timeout=WAIT_S)[1]
        assert depth.header.stamp.sec == 43

    ros.play = play
    assert main([], connect=server) == 0


def wait_sent(server: ScriptedServer, frames: int) -> None:
    """Until the server has answered so many; by looking, as it tells nobody."""
    tick = threading.Event()
    while len(server.scripted.frames) < frames:
        tick.wait(0.001)


def test_a_server_that_refuses_ends_the_node(
    ros: FakeRos, capsys: pytest.CaptureFixture[str]
) -> None:
    class Refusing(ScriptedServer):
        def stream(self, *_: object, **__: object) -> ScriptedStream:
            raise FathomError(Code.UNKNOWN_MODEL, expected="a model", got="x", repair="another")

    ros.play = lambda _: None if ros.ended.wait(WAIT_S) else pytest.fail("the node goes on")
    assert main(["--model", "x"], connect=Refusing(ScriptedStream(plane))) == 1
    assert "ros2_bridge: unknown_model" in capsys.readouterr().err


def test_without_ros_it_says_what_to_source(capsys: pytest.CaptureFixture[str]) -> None:
    if "rclpy" in sys.modules:
        pytest.skip("ROS is here")
    assert main([], connect=ScriptedServer(ScriptedStream(plane))) == 2
    assert "setup.bash" in capsys.readouterr().err


def test_only_the_newest_waits_and_its_age_is_by_its_stamp() -> None:
    complaints: list[FathomError] = []
    topic = Topic(lambda: NOW_NS, complaints.append, clock=lambda: 1000.0)
    frames = topic.frames()
    for sec in (46, 47, 48):
        topic.put(picture(sec))
    captured = next(frames)
    assert topic.passed_over == 2
    assert [each.stamp.sec for each in topic.headers] == [48]
    assert captured.captured_s == pytest.approx(1000.0 - 1.5)
    for sec in (51, 1):  # from the future, and from another clock
        topic.put(picture(sec))
        assert next(frames).captured_s == 1000.0
    topic.close()
    assert next(frames, None) is None and not complaints


@pytest.mark.parametrize(("flags", "encoding"), [([], "jpeg"), (["--raw"], "rgb8")])
def test_a_frame_is_sent_as_jpeg_or_as_it_is(ros: FakeRos, flags: list[str], encoding: str) -> None:
    server = ScriptedServer(ScriptedStream(plane))

    def play(node: FakeNode) -> None:
        node.subscribed["image"](picture(40))
        node.published.get(timeout=WAIT_S)

    ros.play = play
    assert main(flags, connect=server) == 0
    assert [frame.image.encoding for frame in server.scripted.frames] == [encoding]
