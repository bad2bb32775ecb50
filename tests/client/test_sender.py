"""A frame is chosen when it can go; never more are under way than there are slots."""

import threading

import numpy as np
import simplejpeg

from client.sender import Window, encode_jpeg


def test_a_slot_is_taken_until_it_is_given_back() -> None:
    window = Window(2)
    assert window.take() and window.take()
    taken = threading.Event()

    def take() -> None:
        window.take()
        taken.set()

    threading.Thread(target=take, daemon=True).start()
    assert not taken.is_set()
    window.give_back()
    assert taken.wait(timeout=10)


def test_closing_wakes_who_waits_and_refuses_who_comes() -> None:
    window = Window(1)
    window.take()
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(window.take()), daemon=True)
    waiting.start()
    window.close()
    waiting.join(timeout=10)
    assert answers == [False]
    window.give_back()
    assert not window.take()


def test_the_jpeg_is_the_picture_in_rgb() -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 255
    decoded = simplejpeg.decode_jpeg(encode_jpeg(red[::-1], 85), "RGB")
    assert decoded.shape == red.shape
    assert np.abs(decoded.astype(int) - red).max() < 5
