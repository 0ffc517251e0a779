"""Contenders take turns, so that whatever else the machine does meets all of them alike."""

from collections.abc import Callable, Mapping
from statistics import median

Sample = dict[str, float]
"""What one turn of one contender measured: figure to value."""


def interleave(contenders: Mapping[str, Callable[[], Sample]], *, rounds: int) -> dict[str, Sample]:
    """Run every contender once per round and return each one's medians.

    The order turns around from round to round: nobody always runs in another's wake.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            samples[name].append(contenders[name]())
    return {name: _medians(taken) for name, taken in samples.items()}


def _medians(samples: list[Sample]) -> Sample:
    return {figure: median(sample[figure] for sample in samples) for figure in samples[0]}
