"""Workers' arithmetic by hand, and whose a connection is. No server runs."""

import os
import socket

from benchmarks.workers import Turn, compared, connections


def turn(fps: float, split: tuple[int, ...], *, server_cpu_s: float = 5.0) -> Turn:
    """Five seconds, of which the cameras took one of processor time."""
    return Turn(
        seconds=5.0,
        fps=fps,
        frames=round(fps * 5),
        split=split,
        server_cpu_s=server_cpu_s,
        generator_cpu_s=1.0,
    )


def test_each_turn_is_compared_with_the_first_one_s_of_its_round() -> None:
    turns = {
        1: [turn(100, (4,)), turn(200, (4,)), turn(110, (4,))],
        2: [turn(160, (2, 2)), turn(240, (4, 0)), turn(198, (3, 1), server_cpu_s=10)],
    }
    figures = compared(turns)
    assert figures["times_the_first"] == {
        # 1.6, 1.2, 1.8; all busy 1.6, 1.8; frames by second of the processor 1.6, 1.2, 0.9
        "2": {"fps": 1.6, "fps_all_busy": 1.7, "frames_by_server_cpu_s": 1.2}
    }
    by_workers = figures["by_workers"]
    assert isinstance(by_workers, dict)
    assert by_workers["1"]["fps"] == 110 and by_workers["1"]["turns_all_busy"] == 3
    assert by_workers["2"]["fps"] == 198 and by_workers["2"]["fps_all_busy"] == 179
    assert by_workers["2"]["frames_by_server_cpu_s"] == 160
    assert (by_workers["1"]["server_cores"], by_workers["1"]["generator_cores"]) == (1, 0.2)


def test_where_some_worker_is_never_busy_there_is_no_figure_for_all() -> None:
    figures = compared({1: [turn(100, (4,))], 2: [turn(100, (4, 0))]})
    assert figures["times_the_first"] == {
        "2": {"fps": 1.0, "fps_all_busy": None, "frames_by_server_cpu_s": 1.0}
    }


def test_a_connection_is_counted_for_who_holds_the_port_s_end_of_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        assert connections(os.getpid(), address[1]) == 0
        with socket.create_connection(address) as near, listening.accept()[0]:
            assert connections(os.getpid(), address[1]) == 1
            assert connections(os.getpid(), near.getsockname()[1]) == 1  # as seen from there
            assert connections(os.getppid(), address[1]) == 0
