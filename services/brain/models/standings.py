"""What a brain knows of the deployments it asks: one record a deployment, whichever agents ask it."""

from collections.abc import Iterator

from services.brain.agent.deployments import Deployment
from services.brain.breaker import Breaker
from services.brain.models.ladder import Standing

# A caller takes a turn each 6 to 10 s: one call alone opens the breaker of a dead deployment at its fourth turn.
FAILURES = 4
WITHIN_S = 60.0
OPEN_S = 15.0


class Standings:
    """One a process. Agents and their versions come and go; that a provider is down stays known."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[str, str], Standing] = {}

    def of(self, deployment: Deployment) -> Standing:
        """By model and address: two agents with the same ones share what is known."""
        place = (deployment.model, str(deployment.options.get("api_base") or deployment.options.get("base_url") or ""))
        if place not in self._by_place:
            same = sum(model == deployment.model for model, _ in self._by_place)
            name = f"{deployment.model}#{same + 1}" if same else deployment.model
            self._by_place[place] = Standing(Breaker(name, FAILURES, WITHIN_S, OPEN_S))
        return self._by_place[place]

    def __iter__(self) -> Iterator[Standing]:
        return iter(self._by_place.values())
