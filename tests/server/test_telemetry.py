"""What is counted: under which names and labels, and that every metric can move."""

from prometheus_client.parser import text_string_to_metric_families

from fathom import metrics
from fathom.errors import Code
from fathom.values import Failed, Skipped, SkipReason
from server.engines.null import NullEngine
from server.security.gate import Refusal
from server.telemetry import Telemetry
from tests.server.conftest import depth, total

NAMES = {
    value for name, value in vars(metrics).items() if name.isupper() and isinstance(value, str)
}


def settled_each_way(telemetry: Telemetry) -> None:
    failed = Failed(seq=3, code=Code.BAD_IMAGE, expected="", got="", repair="")
    for answer in (depth(1), Skipped(seq=2, reason=SkipReason.POLICY), failed):
        telemetry.received("ramp")
        telemetry.settled("ramp", answer)


def test_every_name_of_the_contract_is_there_and_nothing_else(telemetry: Telemetry) -> None:
    settled_each_way(telemetry)
    telemetry.started(NullEngine().spec)
    families = text_string_to_metric_families(telemetry.page().decode())
    found = {f"{f.name}_total" if f.type == "counter" else f.name for f in families}
    process = {name for name in found if name.startswith("process_")}
    assert {"process_resident_memory_bytes", "process_open_fds"} <= process
    # client_python dates each counter and histogram beside it.
    assert {name for name in found - process if not name.endswith("_created")} == NAMES


def test_every_metric_moves(telemetry: Telemetry) -> None:
    spec = NullEngine().spec
    settled_each_way(telemetry)
    telemetry.started(spec)
    telemetry.handed_over(0.004)
    telemetry.batch(3)
    telemetry.fault()
    telemetry.loop_lag(0.002)
    telemetry.refused(Refusal.WRONG)
    telemetry.lane_busy(1)
    telemetry.load(streams=2, waiting=5)
    assert total(telemetry, metrics.FRAMES_RECEIVED, model="ramp") == 3
    assert total(telemetry, metrics.FRAMES, outcome="answered", reason="") == 1
    assert total(telemetry, metrics.FRAMES, outcome="skipped", reason="policy") == 1
    assert total(telemetry, metrics.FRAMES, outcome="failed", reason="bad_image") == 1
    for stage in metrics.STAGES:
        assert total(telemetry, metrics.STAGE + "_count", stage=stage) == 1
    assert total(telemetry, metrics.FRAME_AGE + "_sum") == 0.004
    assert total(telemetry, metrics.BATCH_SIZE + "_sum") == 3
    assert total(telemetry, metrics.ENGINE_FAULTS) == 1
    assert total(telemetry, metrics.AUTH_REFUSALS, reason="wrong") == 1
    assert total(telemetry, metrics.LOOP_LAG + "_sum") == 0.002
    assert total(telemetry, metrics.LANES_BUSY) == 1
    assert total(telemetry, metrics.STREAMS) == 2
    assert total(telemetry, metrics.WAITING_FRAMES) == 5
    assert total(telemetry, metrics.BUILD_INFO, engine=spec.name, precision="f32") == 1


def test_two_servers_in_one_process_do_not_share_a_count(telemetry: Telemetry) -> None:
    other = Telemetry()
    other.fault()
    assert total(telemetry, metrics.ENGINE_FAULTS) == 0
