"""What is counted, in Prometheus' terms: every label takes its values from a closed set."""

from collections.abc import Iterable, Iterator

from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Family(Struct, frozen=True):
    """One thing that is counted, with its value for each combination of labels."""

    name: str
    """Without the ending ``_total`` that counters get."""
    help: str
    counter: bool
    labels: tuple[str, ...]
    samples: tuple[tuple[tuple[str, ...], float], ...]


def exposition(families: Iterable[Family]) -> bytes:
    """All of them as Prometheus reads them; those of one name are put together."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(families))
    return generate_latest(registry)


class _Given(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterator[Metric]:
        metrics: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for family in self._families:
            kind = CounterMetricFamily if family.counter else GaugeMetricFamily
            metric = metrics.setdefault(family.name, kind(family.name, family.help, labels=family.labels))
            for labels, value in family.samples:
                metric.add_metric(labels, value)
        yield from metrics.values()
