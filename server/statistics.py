"""What one model was asked in the Open Inference Protocol, and how long its frames were where."""

from collections import Counter
from dataclasses import dataclass, field

from fathom.values import EncodedDepth


@dataclass(slots=True)
class Statistics:
    """Counted by the door of that protocol for its own clients, who ask for it.

    stages_ns  by the protocol's names: queue, compute_input, compute_infer, compute_output
    """

    inferences: int = 0
    executions: float = 0
    success_ns: int = 0
    failures: int = 0
    stages_ns: Counter[str] = field(default_factory=Counter)

    def add(self, answer: EncodedDepth) -> None:
        """Count one frame."""
        stages = answer.stages
        times_s = {
            "queue": stages.wait_s,
            "compute_input": stages.decode_s,
            "compute_infer": stages.infer_s,
            "compute_output": stages.finish_s + stages.encode_s,
        }
        self.inferences += 1
        self.executions += 1 / max(1, answer.batch_size)
        self.success_ns += int(sum(times_s.values()) * 1e9)
        self.stages_ns.update({name: int(time_s * 1e9) for name, time_s in times_s.items()})
