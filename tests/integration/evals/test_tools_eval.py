"""Sixty bookings that are interrupted, retried and taken over, over real brains, NATS and the booking system."""

from evals.tools.run import Wanted, measure


async def test_sixty_bookings_none_twice_none_lost() -> None:
    told: list[str] = []
    measured = await measure(Wanted(bookings=60, at_once=20, brains=2, seed=3, kill_every_s=6), told.append)
    result = measured.document()
    assert [result["which"][name] for name in ("duplicates", "lost", "errors", "gave_up")] == [[], [], [], []]
    assert (result["bookings"], result["duplicates"], result["lost"]) == (60, 0, 0)
    assert result["other_time"] == 0
    # Who hung up before the tool was asked for has none.
    assert result["booked"] >= 60 - result["befell"]["hung_up"]
    assert all(result[name] for name in ("repeats", "retried", "taken_over")), "nothing befell anybody"
