"""Different objects in ten minutes."""

import math
import random

import pytest

from kubewake.baseline.volume import Volume, log_tail


@pytest.mark.parametrize(("number", "shape", "rate"), [(1, 2.0, 1.0), (8, 2.0, 1.0), (30, 50.0, 20.0), (6, 4.0, 9.0)])
def test_the_tail_is_that_of_a_gamma_poisson(number: int, shape: float, rate: float) -> None:
    def mass(k: int) -> float:
        return math.exp(
            math.lgamma(shape + k)
            - math.lgamma(shape)
            - math.lgamma(k + 1)
            + shape * math.log(rate / (rate + 1))
            - k * math.log(rate + 1)
        )

    assert math.exp(log_tail(number, shape, rate)) == pytest.approx(1 - sum(mass(k) for k in range(number)), rel=1e-5)


def test_who_always_reads_many_is_not_news_when_it_does() -> None:
    rng = random.Random(1)
    busy, calm = Volume("", set()), Volume("", set())
    for span in range(50):
        for item in range(40):
            busy.touch(f"s{span:03}", rng.getrandbits(60))
            if item < 2:
                calm.touch(f"s{span:03}", rng.getrandbits(60))
    for volume in (busy, calm):
        for _ in range(45):
            volume.touch("now", rng.getrandbits(60))

    assert busy.score(45) < 2
    assert calm.score(45) > 20


def test_the_same_object_counts_once() -> None:
    volume = Volume("", set())
    assert not any(volume.touch("s", 7) for _ in range(1000))
