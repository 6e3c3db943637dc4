"""A booking system on a bad day, and what its ledger says of it, over real HTTP."""

import json

import httpx
import pytest

from tests.integration.business_api.test_api import TUESDAY_TEN, book, ledger


def refuses(api: httpx.Client, key: str, kind: str, timeout: float = 5.0) -> httpx.Response:
    headers = {"Idempotency-Key": key, "X-Fault": kind}
    return api.post("/appointments", json=TUESDAY_TEN, headers=headers, timeout=timeout)


@pytest.mark.parametrize(("kind", "done"), [("error", False), ("error_after", True)])
def test_an_error_before_or_after_the_booking(faulty_api: httpx.Client, kind: str, done: bool) -> None:
    assert refuses(faulty_api, "k", kind).status_code == 500
    assert bool(ledger(faulty_api)) is done
    assert book(faulty_api, "k").status_code == (200 if done else 201)
    assert len(ledger(faulty_api)) == 1


@pytest.mark.parametrize(
    ("kind", "error", "done"),
    [
        ("lost", httpx.RemoteProtocolError, True),
        ("never", httpx.ReadTimeout, False),
        ("never_after", httpx.ReadTimeout, True),
    ],
)
def test_an_answer_that_never_comes(faulty_api: httpx.Client, kind: str, error: type[Exception], done: bool) -> None:
    with pytest.raises(error):
        refuses(faulty_api, "k", kind, timeout=0.5)
    assert bool(ledger(faulty_api)) is done
    assert book(faulty_api, "k").status_code == (200 if done else 201)


def test_an_answer_that_is_no_json_or_has_no_end(faulty_api: httpx.Client) -> None:
    half = refuses(faulty_api, "k", "malformed")
    with pytest.raises(json.JSONDecodeError):
        half.json()
    assert len(refuses(faulty_api, "k", "huge").content) == 10 * 1024 * 1024
    assert len(ledger(faulty_api)) == 1


def test_the_ledger_tells_how_often_a_key_came_again(faulty_api: httpx.Client) -> None:
    book(faulty_api, "k")
    book(faulty_api, "k")
    (row,) = ledger(faulty_api)
    assert (row["key"], row["repeats"]) == ("k", ["2026-11-23T09:00:00"])
    assert faulty_api.get("/duplicates").json() == {"duplicates": []}


def test_the_same_appointment_under_another_key_is_a_duplicate(api: httpx.Client) -> None:
    book(api, "k1")
    assert book(api, "k2").status_code == 409
    assert book(api).status_code == 409
    assert book(api, "k3", name="John Smith").status_code == 409, "somebody else: taken, and no duplicate"
    told = api.get("/duplicates").json()["duplicates"]
    assert [(one["first_key"], one["key"], one["phone"]) for one in told] == [
        ("k1", "k2", "5550142789"),
        ("k1", "", "5550142789"),
    ]


def test_a_plan_for_one_number_and_rates_for_all(faulty_api: httpx.Client) -> None:
    faulty_api.put("/faults/5550142789", json={"kinds": ["error", "error_after"]}).raise_for_status()
    assert [book(faulty_api, "k").status_code for _ in range(3)] == [500, 500, 200]
    faulty_api.put("/faults", json={"rates": {"error": 1.0}}).raise_for_status()
    assert book(faulty_api, "k").status_code == 500
    assert faulty_api.get("/slots").status_code == 200, "reads go well unless it is said otherwise"
    assert faulty_api.get("/faults").json()["happened"] == {"error": 2, "error_after": 1}


def test_without_the_option_nothing_goes_wrong(api: httpx.Client) -> None:
    assert api.put("/faults", json={"rates": {"error": 1.0}}).status_code == 404
    assert refuses(api, "k", "error").status_code == 201
