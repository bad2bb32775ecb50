"""The running average of a student's weights, which is what gets validated and shipped."""

import copy

import torch

from training.students.student import Student


class WeightAverage:
    """An exponential moving average of parameters and BatchNorm statistics, as a student in eval.

    Early on it follows faster, (1 + n) / (10 + n) after n steps, so that it forgets the random
    start instead of carrying it for a thousand steps.
    """

    def __init__(self, student: Student, decay: float) -> None:
        self.student = copy.deepcopy(student).eval().requires_grad_(requires_grad=False)
        self.decay = decay

    @torch.no_grad()
    def update(self, student: Student, steps: int) -> None:
        """Move towards `student`, which has taken `steps` steps."""
        share = 1 - min(self.decay, (1 + steps) / (10 + steps))
        own, new = self.student.state_dict(), student.state_dict()
        reals = [key for key, value in own.items() if value.is_floating_point()]
        torch._foreach_lerp_([own[k] for k in reals], [new[k] for k in reals], share)
        for key in own.keys() - set(reals):  # batch counts
            own[key].copy_(new[key])
