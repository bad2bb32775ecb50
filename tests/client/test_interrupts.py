"""Ctrl-C asks gently first, then roughly, then is itself again."""

import signal
import threading

import pytest

from client.interrupts import interrupts


def test_each_signal_runs_the_next_step_and_the_last_one_interrupts() -> None:
    gentle, rough = threading.Event(), threading.Event()
    before = signal.getsignal(signal.SIGINT)
    with interrupts(gentle.set, rough.set):
        signal.raise_signal(signal.SIGINT)
        assert gentle.wait(timeout=10)
        assert not rough.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert rough.wait(timeout=10)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_step_may_want_a_lock_that_the_interrupted_line_holds() -> None:
    lock, done = threading.Lock(), threading.Event()

    def step() -> None:
        with lock:
            done.set()

    with interrupts(step):
        with lock:
            signal.raise_signal(signal.SIGINT)
        assert done.wait(timeout=10)


def test_outside_the_main_thread_nothing_is_installed() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def elsewhere() -> None:
        with interrupts(lambda: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(timeout=10)
    assert seen == [before]
