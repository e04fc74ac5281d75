"""The simulated vendors speak as documented."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from pollbridge.local.scripts import DOCUMENTED
from pollbridge.local.stories import FINISHED, FOUND, STORIES
from pollbridge.model.job import JobKey
from pollbridge.vendors import VENDORS

from .simulated import KEYS, REFUSALS, SCOPED, Vendors, simulated_vendors

TOLD = {
    "mentionlab/job": ["pending", "running", "running", "partially_failed"],
    "mentionlab/execution": ["pending", "retrying", "retrying", "succeeded"],
    "oration/job": ["pending", "running", "500", "failed"],
    "scale/job": ["pending", "running", "running", "running", "partially_failed"],
    "mintlify/agent-v1": ["running", "running", "succeeded"],
    "mintlify/agent-v2": ["running", "running", "no answer", "succeeded"],
}
SUCCEEDING = [{"body": {"status": "running"}}, {"body": {"status": "succeeded"}}]
LISTS = [
    ("/mentionlab/api/jobs/list", "mentionlab", {"method": "POST"}),
    ("/scale/v1/projects/p/jobs", "scale", {}),
    ("/mintlify/v1/agent/p/jobs", "mintlify", {}),
]


@pytest.fixture
def vendors() -> Iterator[Vendors]:
    with simulated_vendors() as client:
        yield client


@pytest.mark.parametrize("kind", STORIES)
def test_every_story_is_read_by_the_real_adapter(vendors: Vendors, kind: str) -> None:
    vendors.script(f"{kind}/p/1", *STORIES[kind])
    vendor, _, of = kind.partition("/")
    parse = VENDORS[vendor].kinds[of].parse

    told = []
    for _ in STORIES[kind]:
        answer = vendors.ask(f"{kind}/p/1")
        if answer.is_success:
            told.append(parse(answer.content).snapshot.state.value if answer.content else "no answer")
        else:
            told.append(str(answer.status_code))

    assert told == TOLD[kind]


@pytest.mark.parametrize("kind", STORIES)
def test_a_story_ends_in_a_state_that_stays(vendors: Vendors, kind: str) -> None:
    vendors.script(f"{kind}/p/1", *STORIES[kind])

    answers = [vendors.ask(f"{kind}/p/1").content for _ in range(len(STORIES[kind]) + 2)]

    assert len(set(answers[-3:])) == 1
    assert vendors.look(f"{kind}/p/1").state.terminal


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_a_job_without_overrides_says_the_documented_body(vendors: Vendors, kind: str) -> None:
    vendors.script(f"{kind}/p/1", {})

    assert vendors.ask(f"{kind}/p/1").json() == DOCUMENTED[kind]("p", "1")


def test_the_stories_details_reach_the_snapshots(vendors: Vendors) -> None:
    last = {}
    for kind, steps in STORIES.items():
        vendors.script(f"{kind}/p/1", steps[-1])
        last[kind] = vendors.look(f"{kind}/p/1")

    progress, children = last["mentionlab/job"].progress, last["scale/job"].children
    assert progress
    assert (progress.total, progress.succeeded, progress.failed) == (100, 92, 8)
    assert children
    assert children.counts == {"succeeded": 3, "failed": 1}
    assert "E.164" in (last["oration/job"].error or "")
    assert [len(last[f"mintlify/agent-{v}"].links) for v in ("v1", "v2")] == [1, 1]


def test_a_project_may_be_expanded_and_a_status_left_out(vendors: Vendors) -> None:
    vendors.script("mentionlab/job/p/1", {"body": {"project": {"id": "p", "name": "Acme"}}})
    vendors.script("mentionlab/execution/p/1", {"without": ["status"]})

    assert vendors.ask("mentionlab/job/p/1").json()["project"]["name"] == "Acme"
    assert "status" not in vendors.ask("mentionlab/execution/p/1").json()
    assert vendors.look("mentionlab/execution/p/1").state == "unknown"


def test_scopes_and_ids_are_opaque(vendors: Vendors) -> None:
    key = f"scale/job/{quote('a/b é', safe='')}/{quote('50%/?#', safe='')}"
    vendors.script(key, {})

    assert vendors.look(key).state == "pending"


def test_a_job_is_unknown_in_another_scope(vendors: Vendors) -> None:
    vendors.script("oration/job/ours/1", {})

    assert vendors.ask("oration/job/theirs/1").status_code == 404


def test_a_deleted_job_is_not_found(vendors: Vendors) -> None:
    vendors.script("scale/job/p/1", {})

    assert vendors.delete("/_control/jobs/scale/job/p/1").status_code == 204
    assert vendors.ask("scale/job/p/1").json() == {"detail": "Job not found"}
    assert vendors.delete("/_control/jobs/scale/job/p/1").status_code == 404


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_every_credential_is_asked_for(vendors: Vendors, kind: str) -> None:
    vendors.script(f"{kind}/p/1", {})
    job = JobKey.parse(f"{kind}/p/1")
    wish = VENDORS[job.connection].kinds[job.kind].request(job)

    refused = vendors.get(f"/{job.connection}{wish.path}", headers=wish.headers)

    assert (refused.status_code, refused.json()) == (401, REFUSALS[job.connection])


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer k"}, {"x-api-key": "k"}])
def test_oration_takes_either_credential_but_wants_the_workspace(vendors: Vendors, headers: dict[str, str]) -> None:
    vendors.script("oration/job/p/1", {})

    assert vendors.get("/oration/jobs/1", headers=headers).status_code == 401
    assert vendors.get("/oration/jobs/1", headers=headers | {"x-workspace-slug": "p"}).status_code == 200


def test_mintlify_wants_a_bearer_token(vendors: Vendors) -> None:
    vendors.script("mintlify/agent-v2/p/1", {})

    assert vendors.get("/mintlify/v2/agent/p/job/1", headers={"Authorization": "mint_key"}).status_code == 401


def test_mentionlab_lists_the_latest_first_in_pages(vendors: Vendors) -> None:
    for minute in (1, 3, 2):
        vendors.script(f"mentionlab/job/p/{minute}", {"body": {"updatedAt": f"2026-06-08T12:0{minute}:00.000Z"}})
    wish = {"sort": [{"field": "updatedAt", "direction": "DESC"}]}

    pages = [
        vendors.listed(f"/mentionlab/api/jobs/list?limit=2&page={page}", "mentionlab", method="POST", json=wish)
        for page in (1, 2)
    ]

    assert [[job["id"] for job in page["results"]] for page in pages] == [["3", "2"], ["1"]]
    assert pages[0]["page"] == {
        "totalRecords": 3,
        "limit": 2,
        "currentPage": 1,
        "totalPages": 2,
        "nextPage": 2,
        "prevPage": None,
    }


def test_mentionlab_lists_one_project_and_one_status(vendors: Vendors) -> None:
    vendors.script("mentionlab/job/p/1", {"body": {"status": "failed"}})
    vendors.script("mentionlab/job/p/2", {})
    vendors.script("mentionlab/job/other/3", {"body": {"status": "failed"}})

    found = vendors.listed("/mentionlab/api/jobs/list", "mentionlab", method="POST", json={"status": "failed"})

    assert [job["id"] for job in found["results"]] == ["1"]


def test_scale_lists_pages_or_a_bare_array(vendors: Vendors) -> None:
    for number in range(3):
        vendors.script(f"scale/job/p/{number}", {})

    first = vendors.listed("/scale/v1/projects/p/jobs?page_size=2", "scale")
    path = f"/scale/v1/projects/p/jobs?page_size=2&continuation_token={first['next_token']}"
    rest = vendors.listed(path, "scale")
    vendors.put("/_control/lists/scale", json={"shape": "array"})

    assert ([len(first["items"]), len(rest["items"])], rest["next_token"]) == ([2, 1], None)
    assert len(vendors.listed("/scale/v1/projects/p/jobs", "scale")) == 3


def test_mintlify_lists_twelve_unless_told(vendors: Vendors) -> None:
    for number in range(15):
        vendors.script(f"mintlify/agent-v1/p/{number}", {})

    pages = [vendors.listed(f"/mintlify/v1/agent/p/jobs?{query}", "mintlify") for query in ("", "skip=12", "take=14")]

    assert [len(page["allSessions"]) for page in pages] == [12, 3, 14]


def test_a_list_is_a_look_at_each_of_its_jobs_and_suffers_none_of_their_faults(vendors: Vendors) -> None:
    vendors.script("scale/job/p/1", {}, {"fault": {"status": 500}}, *SUCCEEDING)

    shown = [vendors.listed("/scale/v1/projects/p/jobs", "scale")["items"][0]["status"] for _ in range(2)]

    assert shown == ["pending", "running"]
    assert vendors.look("scale/job/p/1").state == "succeeded"


def test_a_list_moves_only_those_on_that_it_shows(vendors: Vendors) -> None:
    for number in range(2):
        vendors.script(f"scale/job/p/{number}", *SUCCEEDING)

    vendors.listed("/scale/v1/projects/p/jobs?page_size=1", "scale")

    assert [vendors.look(f"scale/job/p/{number}").state for number in range(2)] == ["succeeded", "running"]


@pytest.mark.parametrize(("path", "vendor", "more"), LISTS)
def test_jobs_that_were_over_before_stand_in_every_list(
    vendors: Vendors, path: str, vendor: str, more: dict[str, str]
) -> None:
    (kind,) = [kind for kind in FINISHED if kind.startswith(vendor)]
    vendors.script(f"{kind}/p/1", *FINISHED[kind])
    listing = VENDORS[vendor].kinds[kind.partition("/")[2]].listing

    shown = vendors.listed(path, vendor, **more)

    assert listing
    (listed,) = listing.parse(json.dumps(shown).encode(), None).jobs
    assert listed.snapshot.state.terminal


@pytest.mark.parametrize("kind", FOUND)
def test_a_job_that_comes_up_runs_and_ends(vendors: Vendors, kind: str) -> None:
    vendors.script(f"{kind}/p/1", *FOUND[kind])

    states = [vendors.look(f"{kind}/p/1").state for _ in FOUND[kind]]

    assert [state.terminal for state in states] == [False] * (len(states) - 1) + [True]


@pytest.mark.parametrize(
    ("method", "path", "status", "shape"),
    [
        ("POST", "/mentionlab/api/jobs/list?limit=101", 400, "mentionlab"),
        ("GET", "/scale/v1/projects/p/jobs?page_size=0", 422, "scale"),
        ("GET", "/mintlify/v1/agent/p/jobs?take=many", 400, "mintlify"),
        ("GET", "/oration/nowhere", 404, "oration"),
        ("DELETE", "/scale/v1/projects/p/jobs", 405, "scale"),
    ],
)
def test_a_wrong_request_is_refused_in_the_vendors_shape(
    vendors: Vendors, method: str, path: str, status: int, shape: str
) -> None:
    refused = vendors.request(method, path, headers=KEYS[shape] | SCOPED)

    assert refused.status_code == status
    assert refused.json().keys() == REFUSALS[shape].keys()


def test_requests_are_counted_and_shown_without_any_value(vendors: Vendors) -> None:
    vendors.script("oration/job/p/1", {})
    vendors.ask("oration/job/p/1")
    vendors.get("/oration/nowhere?key=canary-key")

    seen = vendors.get("/_control/requests")

    assert seen.json()["counts"] == {"oration/job": 1, "oration/other": 1}
    first = seen.json()["last"][0]
    assert (first["method"], first["path"], first["kind"]) == ("GET", "/oration/jobs/1", "oration/job")
    assert {"authorization", "x-workspace-slug"} <= {*first["headers"]}
    assert "canary-key" not in seen.text


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("PUT", "jobs/scale/task/p/1", {"steps": [{}]}, "scale/job"),
        ("PUT", "jobs/scale/job/p/1", {"steps": []}, "steps"),
        ("PUT", "jobs/scale/job/p/1", {"steps": [{"faults": {}}]}, "steps.0.faults"),
        ("PUT", "jobs/scale/job/p/1", {"steps": [{"fault": {"content": "xml"}}]}, "steps.0.fault.content"),
        ("PUT", "jobs/scale/job/p/1", {"steps": [{"fault": {}}]}, "steps.0.fault"),
        ("POST", "outage", {"vendor": "acme", "fault": None}, "vendor"),
        ("POST", "outage", {"vendor": "scale"}, "fault"),
        ("PUT", "lists/scale", {"shape": "tree"}, "shape"),
        ("GET", "requests?last=all", None, "last"),
    ],
)
def test_a_mistake_in_the_control_input_is_one_line_that_names_it(
    vendors: Vendors, method: str, path: str, body: object, named: str
) -> None:
    refused = vendors.request(method, f"/_control/{path}", json=body)

    assert refused.status_code == 400
    assert named in refused.text
    assert "\n" not in refused.text
