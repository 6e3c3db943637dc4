"""The booking system over real HTTP."""

import concurrent.futures

import httpx
import pytest

TUESDAY_TEN = {"name": "Maria Lopez", "phone": "5550142789", "start": "2026-11-24T10:00:00"}


def book(api: httpx.Client, key: str = "", **changes: str) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return api.post("/appointments", json={**TUESDAY_TEN, **changes}, headers=headers)


def ledger(api: httpx.Client) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = api.get("/ledger").json()["ledger"]
    return rows


def test_hours_and_free_times(api: httpx.Client) -> None:
    hours = api.get("/hours", params={"date": "2026-11-28"}).json()
    assert [day["open"] for day in hours["week"]] == [True] * 6 + [False]
    assert hours["asked"] == {
        "date": "2026-11-28",
        "day": "Saturday",
        "open": True,
        "opens": "09:00",
        "closes": "12:00",
    }
    assert api.get("/slots").json()["slots"][0] == "2026-11-23T09:30:00"
    assert api.get("/slots", params={"date": "2026-11-29"}).json() == {"slots": []}
    afternoon = api.get("/slots", params={"date": "2026-11-24", "part": "afternoon"}).json()["slots"]
    assert all("2026-11-24T12:00" <= slot < "2026-11-24T18:00" for slot in afternoon)


def test_book_find_move_cancel(api: httpx.Client) -> None:
    booked = book(api)
    assert booked.status_code == 201
    identity = booked.json()["id"]
    assert "2026-11-24T10:00:00" not in api.get("/slots", params={"date": "2026-11-24"}).json()["slots"]
    assert api.get("/appointments", params={"phone": "5550142789"}).json()["appointments"] == [booked.json()]
    assert api.get("/appointments", params={"name": "maria lopez"}).json()["appointments"] == [booked.json()]
    moved = api.patch(f"/appointments/{identity}", json={"start": "2026-11-27T14:00:00"})
    assert (moved.status_code, moved.json()["start"]) == (200, "2026-11-27T14:00:00")
    assert api.delete(f"/appointments/{identity}").status_code == 200
    assert api.get("/appointments").json() == {"appointments": []}
    gone = api.delete(f"/appointments/{identity}")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")
    assert [row["action"] for row in ledger(api)] == ["book", "move", "cancel"]


def test_the_same_key_books_once(api: httpx.Client) -> None:
    first, second = book(api, "key-1"), book(api, "key-1")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert len(ledger(api)) == 1
    other = book(api, "key-1", name="John Smith")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "key_reused")


def test_the_same_key_at_the_same_time_books_once(api: httpx.Client) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: book(api, "key-1"), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert len(ledger(api)) == 1


def test_a_taken_time_comes_with_alternatives(api: httpx.Client) -> None:
    book(api)
    taken = book(api, name="John Smith", phone="5550199000")
    assert taken.status_code == 409
    error = taken.json()["error"]
    assert error["code"] == "slot_taken"
    assert error["alternatives"] == ["2026-11-24T09:00:00", "2026-11-24T09:30:00", "2026-11-24T10:30:00"]


@pytest.mark.parametrize(
    ("start", "code"),
    [
        ("2026-11-29T10:00:00", "outside_hours"),
        ("2026-11-24T18:00:00", "outside_hours"),
        ("2026-11-28T12:00:00", "outside_hours"),
        ("2026-11-24T10:10:00", "outside_hours"),
        ("2026-11-20T10:00:00", "in_the_past"),
        ("2026-11-23T09:00:00", "in_the_past"),
        ("tomorrow", "invalid_request"),
    ],
)
def test_times_that_cannot_be_booked(api: httpx.Client, start: str, code: str) -> None:
    refused = book(api, start=start)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, code)
    assert refused.json()["error"]["message"]


def test_a_time_with_an_offset_is_brought_to_the_clinic(api: httpx.Client) -> None:
    assert book(api, start="2026-11-24T11:00:00+01:00").json()["start"] == "2026-11-24T10:00:00"


def test_tickets_and_the_trace_in_the_ledger(api: httpx.Client) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"traceparent": traceparent, "Idempotency-Key": "t1"}
    ticket = {"call_id": "c1", "reason": "nobody answered", "turns": [{"caller": "hello"}]}
    assert api.post("/tickets", json=ticket, headers=headers).status_code == 201
    assert api.post("/tickets", json=ticket, headers=headers).status_code == 200
    (filed,) = api.get("/tickets").json()["tickets"]
    assert filed["turns"] == [{"caller": "hello"}]
    (row,) = ledger(api)
    assert (row["action"], row["key"], row["traceparent"]) == ("ticket", "t1", traceparent)
