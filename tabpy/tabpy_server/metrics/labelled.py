"""Figures that say whose they are, for who asks several machines by one address."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from prometheus_client import Metric


class Collector(Protocol):
    """Who has figures, such as prometheus-client's registry."""

    def collect(self) -> "Iterable[Metric]":
        """Return them."""


@dataclass(frozen=True)
class Labelled:
    """The figures of a collector, each with one label more."""

    collector: Collector
    label: str
    value: str

    def collect(self) -> "Iterator[Metric]":
        """Yield them; prometheus-client calls it."""
        for metric in self.collector.collect():
            metric.samples = [
                each._replace(labels={**each.labels, self.label: self.value})
                for each in metric.samples
            ]
            yield metric
