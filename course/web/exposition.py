"""Metrics in the words of Prometheus. Nothing is kept between two questions: the numbers come from
the database, so that any web process tells of all of them."""

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from course import metrics

TYPE = CONTENT_TYPE_PLAIN_0_0_4


class _Once(Collector):
    def __init__(self, found: Iterable[metrics.Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        for one in self._found:
            labels = [one.label] if one.label else []
            family = GaugeMetricFamily(one.name, one.help, labels=labels)
            for value, number in one.values.items():
                if number is not None:
                    family.add_metric([value] if labels else [], number)
            if family.samples:
                yield family


def exposed(found: Iterable[metrics.Metric]) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(list(found)))
    return generate_latest(registry).decode()
