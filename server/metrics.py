"""What Prometheus is told: the workers' counts, how fresh everything is, and whether we are ready."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from importlib.metadata import version
from itertools import groupby

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from jpki.clock import Clock
from jpki.errors import JpkiError
from ocsp.responder import Outcome
from server.health import Check
from server.tally import BOUNDS, Board
from server.wiring import Rooms

CONTENT_TYPE = CONTENT_TYPE_LATEST
PATIENCE_SECONDS = 2.0
"""How long a scrape waits for the ledger: what is not there by then is left out, and not ready."""

Reading = Callable[[], Sequence[Metric]]
"""Reads what may be away.

Raises:
    JpkiError: when it is.
"""

_BUCKETS = [*map(floatToGoString, BOUNDS), "+Inf"]
_log = logging.getLogger(__name__)


class Metrics(Collector):
    """All metrics of one server, whichever of its workers is asked.

    No label holds a word of a client's, nor of a holder (rule R21).
    """

    def __init__(self, board: Board, checks: Mapping[str, Check], facts: Sequence[Reading], clock: Clock) -> None:
        self._board = board
        self._checks = checks
        self._clock = clock
        self._version = version("jpki-authority")
        self._readings = _Readings({name: _held(check) for name, check in checks.items()}, facts)
        self._registry = CollectorRegistry()
        self._registry.register(self)

    @classmethod
    def of(cls, rooms: Rooms, checks: Mapping[str, Check], board: Board) -> "Metrics":
        """Return the metrics of a home. What a door's database role may not read it does not tell."""
        facts: list[Reading] = []
        if "ocsp" in board.doors:
            facts += [lambda: _head(rooms, board), lambda: _responders(rooms)]
        if "crl" in board.doors:
            facts += [lambda: _lists(rooms)]
        if "api" in board.doors:
            facts += [lambda: _office(rooms)]
        return cls(board, checks, facts, rooms.clock)

    def exposition(self) -> bytes:
        """Return all that can be told now, in Prometheus' text format; it never waits long."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Return the metrics; the registry asks for them."""
        yield InfoMetricFamily("jpki_build", "The version that runs.", {"version": self._version})
        yield from self._counted()
        yield from self._heard()
        held, facts = self._readings.taken()
        ready = GaugeMetricFamily("jpki_ready", "Whether a check of /readyz holds: 1, or 0.", labels=["check"])
        for name in self._checks:
            ready.add_metric([name], float(name in held))
        yield ready
        yield from facts

    def _counted(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "jpki_http_requests", "Requests answered, by door and HTTP status.", labels=["door", "status"]
        )
        seconds = HistogramMetricFamily(
            "jpki_http_request_duration_seconds",
            "From a request's last octet to its answer; at the other doors than the fast one, in the application.",
            labels=["door"],
        )
        outcomes: Counter[Outcome] = Counter(dict.fromkeys(Outcome, 0) if "ocsp" in self._board.doors else {})
        for door, of_door in groupby(self._board.totals(), key=lambda each: each[0][0]):
            statuses: Counter[int] = Counter()
            at_most, took = [0] * len(_BUCKETS), 0.0
            for (_, status, outcome), total in of_door:
                statuses[status] += total.count
                at_most = [before + more for before, more in zip(at_most, total.at_most, strict=True)]
                took += total.seconds
                if outcome is not None:
                    outcomes[outcome] += total.count
            for status, count in statuses.items():
                # Failures are told from the beginning: the rate of what is not there yet is not 0.
                if count or status >= 500:
                    requests.add_metric([door, str(status)], count)
            seconds.add_metric([door], list(zip(_BUCKETS, map(float, at_most), strict=True)), took)
        yield requests
        yield seconds
        yield GaugeMetricFamily("jpki_http_connections", "Open connections.", self._board.connections())
        if outcomes:
            answers = CounterMetricFamily(
                "jpki_ocsp_answers",
                "OCSP answers: given again (kept), signed, or refused, by the refusal's status.",
                labels=["outcome"],
            )
            for outcome, count in outcomes.items():
                answers.add_metric([outcome], count)
            yield answers

    def _heard(self) -> Iterator[Metric]:
        heard = self._board.heard()
        if heard is None:
            return
        position, at = heard
        yield GaugeMetricFamily(
            "jpki_journal_heard_position", "The journal's position that every worker has heard of.", position
        )
        yield GaugeMetricFamily(
            "jpki_journal_heard_timestamp_seconds",
            "When the worker that is furthest behind last heard all that the journal told.",
            self._clock().timestamp() - (time.monotonic() - at),
        )


def make_blueprint(metrics: Metrics) -> Blueprint:
    """Return the route /metrics."""
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get("/metrics")
    def told() -> Response:
        return Response(metrics.exposition(), content_type=CONTENT_TYPE)

    return blueprint


# --- what may be away ----------------------------------------------------------------------------------------------


class _Readings:
    """Readings that run side by side. One that hangs is not begun a second time, and nobody waits for it."""

    def __init__(self, named: Mapping[str, Reading], others: Sequence[Reading]) -> None:
        self._all: dict[str | int, Reading] = dict(enumerate(others))
        self._all.update(named)
        self._threads = ThreadPoolExecutor(len(self._all), thread_name_prefix="metrics")
        self._lock = threading.Lock()
        self._begun: dict[str | int, Future[Sequence[Metric]]] = {}

    def taken(self) -> tuple[set[str], Sequence[Metric]]:
        """Return the names of those that succeeded in time, and what all such have read."""
        with self._lock:
            for name, reading in self._all.items():
                if name not in self._begun or self._begun[name].done():
                    self._begun[name] = self._threads.submit(reading)
            begun = dict(self._begun)
        done, _ = wait(begun.values(), PATIENCE_SECONDS)
        read = {name: future.result() for name, future in begun.items() if future in done and _succeeded(future)}
        return {name for name in read if isinstance(name, str)}, [each for metrics in read.values() for each in metrics]


def _succeeded(future: Future[Sequence[Metric]]) -> bool:
    error = future.exception()
    if error is not None and not isinstance(error, JpkiError):
        # Only the type is written down: the text may hold what was being worked on (rule R21).
        _log.error("metrics: unexpected %s", type(error).__name__)
    return error is None


def _held(check: Check) -> Reading:
    def held() -> Sequence[Metric]:
        check()
        return ()

    return held


def _head(rooms: Rooms, board: Board) -> Sequence[Metric]:
    heard = board.heard()
    changes = rooms.store.journal.since(0 if heard is None else heard[0], 1)
    return [GaugeMetricFamily("jpki_journal_head_position", "The journal's newest position.", changes.head)]


def _responders(rooms: Rooms) -> Sequence[Metric]:
    ends = GaugeMetricFamily(
        "jpki_ocsp_responder_not_after_timestamp_seconds",
        "When the OCSP responder's certificate ends that speaks for a generation here.",
        labels=["ca", "generation"],
    )
    for issuer in rooms.issuers():
        generation = issuer.generation
        ends.add_metric([generation.purpose, generation.id], issuer.validity.not_after.timestamp())
    return [ends]


def _office(rooms: Rooms) -> Sequence[Metric]:
    now = rooms.clock()
    oldest = rooms.store.events.oldest_open(now)
    return [
        GaugeMetricFamily(
            "jpki_resident_event_wait_seconds",
            "How long the oldest resident event has waited that could be handled; 0 where none waits.",
            0.0 if oldest is None else (now - oldest).total_seconds(),
        ),
        GaugeMetricFamily(
            "jpki_express_cases_overdue",
            "Express cases that are open past their last day.",
            rooms.store.cases.express_overdue(now),
        ),
    ]


def _lists(rooms: Rooms) -> Sequence[Metric]:
    lists = GaugeMetricFamily("jpki_crl_lists", "Revocation lists that are current, by CA.", labels=["ca"])
    ends = GaugeMetricFamily(
        "jpki_crl_next_update_timestamp_seconds",
        "The nextUpdate of that list of a CA which ends first.",
        labels=["ca"],
    )
    for purpose, marks in groupby(rooms.store.shelf.marks(), key=lambda mark: mark.purpose):
        moments = [mark.next_update.timestamp() for mark in marks for _ in mark.lists]
        lists.add_metric([purpose], len(moments))
        ends.add_metric([purpose], min(moments))
    return [lists, ends]
