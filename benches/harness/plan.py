"""Which rows there are, for whom, and what they are to reach."""

from __future__ import annotations

from dataclasses import dataclass

OURS = "ours"


@dataclass(frozen=True)
class Row:
    """One piece of work, measured for several peers."""

    language: str  # "rust" or "python": which program runs it
    name: str  # what that program calls it
    title: str
    peers: tuple[str, ...]
    n: int
    figure: str  # the field of the program's answer: caller_ns or process_ns; "rate" is spans per second of wall time
    unit: str  # "ns", "µs" or "M/s"
    target: float  # in that unit: at most, for a rate at least
    sends: bool = False  # spans go to the sink, so that received and lost are known
    counted: bool = False  # instructions are counted under valgrind
    broker: str = ""  # which kind of broker it needs: "kafka" or "rabbitmq"
    share: bool = False  # the target is that much of the first peer's figure, and no figure of its own

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger figure is the better one."""
        return self.figure == "rate"

    def value(self, answer: dict[str, float]) -> float:
        """The row's figure, in its unit, out of one process's answer."""
        if self.figure == "rate":
            return 1e3 / answer["wall_ns"]
        return answer[self.figure] / (1e3 if self.unit == "µs" else 1.0)


def rust(
    name: str,
    title: str,
    target: float,
    n: int,
    peers: tuple[str, ...],
    *,
    figure: str = "caller_ns",
    sends: bool = False,
) -> Row:
    """A row of the Rust program."""
    return Row("rust", name, title, (OURS, *peers), n, figure, "ns", target, sends, counted=not sends)


def python(
    name: str, title: str, target: float, n: int, peers: tuple[str, ...] = ("opentelemetry-sdk", "scouter-ml")
) -> Row:
    """A row of the Python program about what the caller pays."""
    return Row("python", name, title, (OURS, *peers), n, "caller_ns", "µs", target)


def broker(name: str, title: str, peer: str) -> Row:
    """A row about a transport and the bare client underneath: nine tenths of its throughput are wanted."""
    return Row("rust", name, title, (OURS, peer), 1_000_000, "rate", "M/s", 0.9, broker=name, share=True)


ROWS = (
    rust("span", "Span with 10 attributes and 1 event", 200, 100_000, ("opentelemetry", "fastrace")),
    Row(
        "rust",
        "span",
        "The same through the traits of the `opentelemetry` API",
        ("ours-api", "opentelemetry"),
        100_000,
        "caller_ns",
        "ns",
        260,
        counted=True,
    ),
    rust("unsampled", "Span that is not sampled", 20, 500_000, ("opentelemetry", "fastrace")),
    rust("parse", "`traceparent` parsed", 25, 500_000, ("opentelemetry", "fastrace")),
    rust("format", "`traceparent` formatted", 10, 500_000, ("opentelemetry", "fastrace")),
    rust(
        "pipeline",
        "Whole process: the spans of the first row, to the bytes on a socket",
        500,
        200_000,
        ("opentelemetry",),
        figure="process_ns",
        sends=True,
    ),
    rust(
        "second",
        "The same to two destinations (*ours-plain*: to one)",
        550,
        200_000,
        ("ours-plain",),
        figure="process_ns",
        sends=True,
    ),
    rust(
        "gzip",
        "The same compressed with gzip at level 1 (*ours-plain*: not compressed)",
        980,
        200_000,
        ("ours-plain",),
        figure="process_ns",
        sends=True,
    ),
    rust("record", "A record of 5 metrics inserted beside a span", 500, 100_000, ("opentelemetry",)),
    broker("kafka", "Spans into Kafka, a message for each trace of 20, all acknowledged", "rdkafka"),
    broker("rabbitmq", "Spans into RabbitMQ, a persistent message for 2000, all confirmed", "lapin"),
    python("empty", "`with start_as_current_span`, nothing inside", 0.7, 20_000),
    python("attributes", "10 attributes and 1 event", 1.7, 20_000),
    python("unsampled", "Not sampled", 0.4, 50_000),
    python("decorated", "Decorated call, arguments and result captured", 4.0, 10_000),
    Row(
        "python",
        "threads",
        "4 threads, empty spans",
        (OURS, "opentelemetry-sdk", "scouter-ml"),
        40_000,
        "rate",
        "M/s",
        0.6,
    ),
    python("inject", "Headers of the current span made", 0.3, 50_000),
    python("extract", "Headers read", 0.3, 50_000, ("opentelemetry-sdk",)),
    python("record", "A record of 5 metrics inserted beside a span", 3.0, 20_000, ("opentelemetry-sdk",)),
    Row(
        "python",
        "export",
        "Whole process: 100 000 spans with 5 attributes, exported",
        (OURS, "opentelemetry-sdk"),
        100_000,
        "process_ns",
        "µs",
        2.5,
        sends=True,
    ),
)
