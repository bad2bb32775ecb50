import re
from itertools import pairwise

from fathom import metrics

NAMES = {
    value
    for name, value in vars(metrics).items()
    if name.isupper() and isinstance(value, str) and not name.startswith("_")
}


def test_names_are_fathom_s_own_and_legal() -> None:
    assert NAMES
    assert all(re.fullmatch(r"fathom_[a-z_]+", name) for name in NAMES)


def test_no_two_metrics_share_a_name() -> None:
    constants = [v for n, v in vars(metrics).items() if n.isupper() and isinstance(v, str)]
    assert len(constants) == len(set(constants))


def test_units_are_base_units_and_come_last() -> None:
    for name in NAMES:
        assert not re.search(r"_(ms|us|milliseconds|kb|mb)(_|$)", name)
        if "seconds" in name:
            assert name.endswith("_seconds")


def test_buckets_rise_from_a_millisecond_to_ten_seconds() -> None:
    buckets = metrics.SECONDS_BUCKETS
    assert (buckets[0], buckets[-1]) == (0.001, 10.0)
    assert list(buckets) == sorted(set(buckets))


def test_buckets_are_fine_where_a_frame_s_budget_lies() -> None:
    # Between 5 and 50 ms no bucket is more than a third wider than the one before it ends.
    fine = [b for b in metrics.SECONDS_BUCKETS if 0.005 <= b <= 0.05]
    assert all(b / a <= 1.34 for a, b in pairwise(fine))
