"""Signals become one exception; in a deferred block the first waits and the second does not."""

import os
import signal
import time

import pytest

from histosynth.core.stopping import Stopped, deferred_stop, raise_if_stopped, stop_signals


@pytest.fixture(autouse=True)
def handlers():
    """Signals as they were: those of a stopped run are not given back.

    A shell that starts the tests in the background lets them ignore Ctrl-C.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "code", "cause"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_signal_is_an_exception_that_no_library_catches(number, code, cause):
    with pytest.raises(Stopped) as stop, stop_signals():
        try:
            send(number)
        except Exception as error:
            raise AssertionError from error
    assert (stop.value.exit_code, stop.value.problem) == (
        code,
        f"Stopped by {cause}: nothing was written.",
    )
    send(number)  # disturbs nothing any more


def test_a_stop_that_a_library_swallowed_is_raised_again():
    with stop_signals():
        with pytest.raises(Stopped):
            send()
        with pytest.raises(Stopped):
            raise_if_stopped()


def test_a_deferred_stop_waits_and_a_second_one_does_not():
    with pytest.raises(Stopped), stop_signals(), deferred_stop() as waiting:
        assert waiting() is None
        send()
        assert waiting().number == signal.SIGTERM
        send(signal.SIGINT)
        raise AssertionError


def test_ignored_signals_stay_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stop_signals():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_stop_that_fell_into_a_destructor_comes_again(capsys):
    """From there no exception rises: Python would show a traceback, and the run would go on."""

    class Destroyed:
        def __del__(self):
            send()

    with pytest.raises(Stopped) as stop, stop_signals():
        Destroyed()
        for _ in range(500):
            time.sleep(0.01)
        raise AssertionError
    assert stop.value.exit_code == 143
    assert capsys.readouterr().err == ""


def test_other_faults_of_destructors_are_shown_as_before(monkeypatch):
    shown = []
    monkeypatch.setattr("sys.unraisablehook", shown.append)

    class Destroyed:
        def __del__(self):
            raise ValueError

    with stop_signals():
        Destroyed()
    assert [each.exc_type for each in shown] == [ValueError]
