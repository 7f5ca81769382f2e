"""The circuit breaker, alone."""

import threading

import pytest

from hsm_adapter.breaker import Breaker
from hsm_adapter.faults import busy, failed, hung
from jpki.errors import JpkiError
from tests.hsm_adapter.tokens import Seconds

PAUSE = 2.0


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def breaker(seconds: Seconds) -> Breaker:
    return Breaker(PAUSE, seconds)


def meet(breaker: Breaker, error: JpkiError | None) -> str:
    """Make a request that meets this error, or none; tell how it ended."""
    try:
        with breaker.request():
            if error is not None:
                raise error
    except JpkiError as ended:
        return "refused" if ended is not error else error.code
    return "served"


def test_after_an_outage_nobody_waits(breaker: Breaker, seconds: Seconds) -> None:
    assert meet(breaker, hung(10)) == "hsm-timeout"
    assert [meet(breaker, None), meet(breaker, hung(10))] == ["refused"] * 2
    seconds.now += PAUSE - 0.01
    assert meet(breaker, None) == "refused"


def test_a_probe_that_is_served_reopens_for_all(breaker: Breaker, seconds: Seconds) -> None:
    meet(breaker, failed("DeviceError"))
    seconds.now += PAUSE
    assert [meet(breaker, None), meet(breaker, None)] == ["served"] * 2


def test_a_probe_that_fails_is_the_next_pause(breaker: Breaker, seconds: Seconds) -> None:
    meet(breaker, failed("DeviceError"))
    seconds.now += PAUSE
    assert meet(breaker, failed("DeviceError")) == "hsm-unavailable"
    assert meet(breaker, None) == "refused"
    seconds.now += PAUSE
    assert meet(breaker, None) == "served"


def test_one_probe_at_a_time(breaker: Breaker, seconds: Seconds) -> None:
    meet(breaker, hung(10))
    seconds.now += PAUSE
    with breaker.request():
        assert meet(breaker, None) == "refused"
    assert meet(breaker, None) == "served"


@pytest.mark.parametrize("error", [failed("KeyNotFound"), failed("PinIncorrect"), failed("MechanismInvalid"), busy(10)])
def test_what_is_no_outage_opens_nothing(breaker: Breaker, error: JpkiError) -> None:
    assert meet(breaker, error) == error.code
    assert meet(breaker, None) == "served"


def test_r19_a_key_that_a_probe_does_not_find_ends_no_outage(breaker: Breaker, seconds: Seconds) -> None:
    meet(breaker, failed("DeviceError"))
    seconds.now += PAUSE
    meet(breaker, failed("KeyNotFound"))
    with breaker.request():
        assert meet(breaker, None) == "refused"


def test_who_waited_while_another_met_the_outage_is_refused(breaker: Breaker) -> None:
    with breaker.request() as require_admitted:
        require_admitted()
        meet(breaker, hung(10))
        with pytest.raises(JpkiError) as refused:
            require_admitted()
    assert refused.value.code == "hsm-unavailable"


def test_what_was_under_way_does_not_lengthen_the_pause(breaker: Breaker, seconds: Seconds) -> None:
    late = hung(10)

    def meet_late() -> None:
        with breaker.request():
            meet(breaker, hung(10))
            seconds.now += PAUSE
            raise late

    with pytest.raises(JpkiError):
        meet_late()
    assert meet(breaker, None) == "served"


def test_of_many_threads_one_probes(breaker: Breaker, seconds: Seconds) -> None:
    meet(breaker, hung(10))
    seconds.now += PAUSE
    probing, release = threading.Event(), threading.Event()
    outcomes: list[str] = []

    def probe() -> None:
        with breaker.request():
            probing.set()
            release.wait(10)

    prober = threading.Thread(target=probe)
    prober.start()
    probing.wait(10)
    others = [threading.Thread(target=lambda: outcomes.append(meet(breaker, None))) for _ in range(8)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    release.set()
    prober.join()
    assert outcomes == ["refused"] * 8
