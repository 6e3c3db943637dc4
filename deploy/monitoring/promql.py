"""The few shapes of PromQL that the dashboards are made of."""

RATE = "$__rate_interval"


def rate(metric: str, *by: str, where: str = "") -> str:
    """Events a second, summed over all but the labels `by`."""
    return f"{_sum(by)}(rate({_selected(metric, where)}[{RATE}]))"


def per_minute(metric: str, *by: str, where: str = "") -> str:
    return f"60 * {rate(metric, *by, where=where)}"


def total(metric: str, *by: str, where: str = "") -> str:
    """A gauge, summed."""
    return f"{_sum(by)}({_selected(metric, where)})"


def worst(metric: str, *by: str, where: str = "") -> str:
    """A gauge's highest value."""
    return f"max{_by(by)} ({_selected(metric, where)})"


def quantile(q: float, histogram: str, *by: str, where: str = "") -> str:
    """Of a histogram, named without `_bucket`."""
    return f"histogram_quantile({q:g}, {rate(f'{histogram}_bucket', 'le', *by, where=where)})"


def buckets(histogram: str, where: str = "") -> str:
    """Of a histogram, for a heat map."""
    return f"sum by (le) (increase({_selected(f'{histogram}_bucket', where)}[{RATE}]))"


def ratio(part: str, whole: str) -> str:
    return f"{part} / {whole}"


def _selected(metric: str, where: str) -> str:
    return f"{metric}{{{where}}}" if where else metric


def _by(by: tuple[str, ...]) -> str:
    return f" by ({', '.join(by)})" if by else ""


def _sum(by: tuple[str, ...]) -> str:
    return f"sum{_by(by)} " if by else "sum"
