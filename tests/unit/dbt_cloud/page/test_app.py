"""Tests of the page over HTTP. Airflow's login is tested end to end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.security import get_user
from airflow.sdk import ObjectStoragePath
from fastapi import FastAPI
from fastapi.testclient import TestClient

from include.dbt_cloud.api.accounts import Account
from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.page import make_page
from include.dbt_cloud.reports.dbt_docs import DOCS_FOLDER
from include.dbt_cloud.reports.history import History, write
from include.dbt_cloud.reports.results import Results
from tests.unit.dbt_cloud.events.conftest import airflow_s_tables, database_url
from tests.unit.dbt_cloud.page.test_content import DAILY, run

__all__ = ["airflow_s_tables", "database_url"]
PROJECT = 36467
CONN_ID = "dbt_cloud_page"
ACCOUNT = Account("localhost:1", 16173)  # nothing listens on that port
LONG = "9" * 5000
SEGMENTS = [
    LONG,
    "9" * 300,
    "9" * 19,
    "x" * 5000,
    "-1",
    "0",
    "1.5",
    "1e3",
    "0x10",
    "1_000",
    "nan",
    "%00",
    "1%00",
    "..",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f" * 50,
    "%",
    "%zz",
    "%ff%fe",
    "%ed%a0%80",
    "é",
    "%C3%A9",
    "\u0661\u0662",
    "\uff11\uff12",
    "%20",
    "1%20",
    "%0a",
    "1%0a2",
    "<script>",
    "65767/",
    "65767/runs",
    "/" * 2000,
    "1?" + "x=" * 25_000,
    "1;a=b",
    "1#x",
]


@pytest.fixture
def kept(tmp_path: Path) -> Any:
    """Return the folder with the stored runs of all accounts."""
    return ObjectStoragePath(f"file://{tmp_path}/history")


@pytest.fixture
def history(kept: Any) -> History:
    """Return the history of the connection's account."""
    folder = ACCOUNT.folder_below(kept)
    folder.mkdir(parents=True)
    return History(folder)


MakeClient = Callable[..., TestClient]


@pytest.fixture
def make_client(
    kept: Any, airflow_s_tables: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeClient]:
    """Create clients that are logged in, with an unavailable dbt Cloud."""
    create_auth_manager()
    with ExitStack() as clients:

        def make(account: Account = ACCOUNT, **arguments: Any) -> TestClient:
            login = {"login": f"{account.id}", "password": "token"}
            fields = {"conn_type": "dbt_cloud", "host": account.host, **login}
            monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(fields))
            page = make_page(kept, **{"dbt_cloud_conn_id": CONN_ID, "dag_id": "keep", **arguments})
            page.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(
                username="ada", role="admin"
            )
            airflow = FastAPI()
            airflow.mount("/dbt-cloud-page", page)
            client = TestClient(airflow, base_url="http://airflow/dbt-cloud-page/")
            return clients.enter_context(client)

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client()


def test_page_serves_overview_job_and_docs(client: TestClient, history: History) -> None:
    history.keep(Results(run(1), []))
    docs = history.folder / DOCS_FOLDER / str(PROJECT) / "1.html"
    docs.parent.mkdir(parents=True)
    docs.write_text("dbt's page")

    responses = [client.get(path) for path in ("", f"jobs/{DAILY}", f"docs/{PROJECT}")]

    assert [answer.status_code for answer in responses] == [200, 200, 200]
    assert "Daily build" in responses[0].text
    assert responses[2].text == "dbt's page"


PATHS = ("", f"jobs/{DAILY}", f"docs/{PROJECT}")
RUN_PATH = f"jobs/{DAILY}/runs/1"
MODEL = "id=model.shop.orders"
MODEL_PATH = f"jobs/{DAILY}/model?{MODEL}"
LINEAGE_PATH, SQL_PATH = f"{RUN_PATH}/lineage", f"{RUN_PATH}/sql?{MODEL}"
ALL_PATHS = (*PATHS, RUN_PATH, LINEAGE_PATH, SQL_PATH, MODEL_PATH, "usage", "usage.csv")


@pytest.mark.parametrize("path", ALL_PATHS)
def test_each_view_requires_a_login_and_permission(
    make_client: MakeClient, history: History, path: str
) -> None:
    model = Node("model.shop.orders", "success", 1.0, "", 4)
    history.keep(Results(run(1), [model]))
    write(history.folder / DOCS_FOLDER / str(PROJECT) / "1.html", "dbt's page")
    client = make_client()
    allowed = client.get(path)
    page: Any = client.app
    users = page.routes[-1].app.dependency_overrides

    users[get_user] = lambda: SimpleAuthManagerUser(username="eve", role=None)
    forbidden = client.get(path)
    users.clear()
    unknown = client.get(path)

    answers = (allowed, forbidden, unknown)
    assert [one.status_code for one in answers] == [200, 403, 401]
    assert "it requires read access to the Dag keep" in forbidden.text
    assert "You are not logged in" in unknown.text
    for one in answers:
        assert "default-src 'none'" in one.headers["content-security-policy"]
        assert one.headers["cache-control"] == "no-store"


def test_page_is_sent_again_only_if_it_has_changed(client: TestClient, history: History) -> None:
    history.keep(Results(run(1), []))
    first = client.get(f"jobs/{DAILY}")
    known = {"If-None-Match": first.headers["etag"]}

    same = client.get(f"jobs/{DAILY}", headers=known)
    history.keep(Results(run(2), []))
    changed = client.get(f"jobs/{DAILY}", headers=known)
    missing = client.get("jobs/1", headers={"If-None-Match": client.get("jobs/1").headers["etag"]})

    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["etag"] == first.headers["etag"]
    assert same.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]
    assert missing.status_code == 404


@pytest.mark.parametrize("other", [Account("localhost:2", 16173), Account("localhost:1", 7)])
def test_page_shows_only_the_account_of_its_connection(
    make_client: MakeClient, kept: Any, other: Account
) -> None:
    """Jobs and projects of two accounts can have the same ids."""
    accounts = {"Ours": ACCOUNT, "Theirs": other}
    for run_id, (name, account) in enumerate(accounts.items(), start=1):
        folder = account.folder_below(kept)
        History(folder).keep(Results(run(run_id, job={"name": f"{name}: daily build"}), []))
        write(folder / DOCS_FOLDER / str(PROJECT) / f"{run_id}.html", f"{name}: dbt's page")

    for name, account in accounts.items():
        client = make_client(account)
        texts = [client.get(path).text for path in PATHS]
        assert [[one for one in accounts if f"{one}:" in text] for text in texts] == [[name]] * 3
        assert f"Account {account.id} on {account.host}" in texts[0]


def test_page_shows_an_account_given_beside_the_connection(
    make_client: MakeClient, kept: Any
) -> None:
    other = Account(ACCOUNT.host, 7)
    History(other.folder_below(kept)).keep(Results(run(1), []))

    assert "Daily build" in make_client(account_id=other.id).get("").text


@pytest.mark.parametrize("path", PATHS)
def test_page_returns_503_without_a_connection(
    make_client: MakeClient, history: History, path: str
) -> None:
    history.keep(Results(run(1), []))

    answer = make_client(dbt_cloud_conn_id="dbt_cloud_missing").get(path)

    assert answer.status_code == 503
    assert "Could not read which account to show: " in answer.text
    assert "dbt_cloud_missing" in answer.text
    assert "Daily build" not in answer.text


@pytest.mark.parametrize("view", ["jobs", f"jobs/{DAILY}/runs", "docs", "static"])
def test_page_returns_404_or_a_redirect_for_malformed_paths(client: TestClient, view: str) -> None:
    responses = {one: client.get(f"{view}/{one}", follow_redirects=False) for one in SEGMENTS}

    assert {answer.status_code for answer in responses.values()} <= {307, 404}


@pytest.mark.parametrize(
    "path",
    [
        *("jobs/x", f"jobs/{LONG}", "docs/-1", "other", f"jobs/{DAILY}/runs/x", "jobs/x/runs/1"),
        *(f"jobs/{DAILY}/runs/0", f"jobs/{DAILY}/runs/{LONG}", f"jobs/{DAILY}/runs/7"),
    ],
)
def test_page_returns_an_html_404_for_an_unknown_path(client: TestClient, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert '<p class="notice">' in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_page_rejects_methods_other_than_get(client: TestClient, method: str) -> None:
    assert client.request(method, "").status_code == 405


def test_page_renders_runs_with_lone_surrogates(client: TestClient, history: History) -> None:
    lone: dict[str, Any] = {"status_message": "\ud800", "trigger": {"cause": "\udfff\x00"}}
    history.keep(Results(run(1, job={"name": "Daily \ud83d"}, **lone), []))

    for path in ("", f"jobs/{DAILY}", RUN_PATH):
        assert client.get(path).status_code == 200


def test_run_page_links_to_its_job_and_to_dbt_cloud(client: TestClient, history: History) -> None:
    history.keep(Results(run(1), []))

    text = client.get(RUN_PATH).text

    assert f'<a href="../../../jobs/{DAILY}">Daily build</a>' in text
    assert '<a href="https://localhost/runs/1/" target="_blank" rel="noopener">' in text
    assert "The run has no results of nodes" in text
    assert f'<a href="../jobs/{DAILY}/runs/1">1</a>' in client.get(f"jobs/{DAILY}").text
    assert f'<a href="./jobs/{DAILY}/runs/1">1</a>' in client.get("").text


def test_run_page_of_a_damaged_file_is_missing(client: TestClient, history: History) -> None:
    history.keep(Results(run(1), []))
    Path(history.folder.path, str(DAILY), "1.json").write_text("{")

    answer = client.get(RUN_PATH)

    assert answer.status_code == 404
    assert f"Run 1 of job {DAILY} is not one of dbt Cloud" in answer.text


def test_docs_view_skips_missing_and_unreadable_files(client: TestClient, history: History) -> None:
    docs = history.folder / DOCS_FOLDER / str(PROJECT)
    docs.mkdir(parents=True)
    Path(docs.path, "3.html").symlink_to("missing")  # listed, but missing when it is read

    assert client.get(f"docs/{PROJECT}").status_code == 404

    Path(docs.path, "2.html").write_text("dbt's page")
    assert client.get(f"docs/{PROJECT}").text == "dbt's page"

    Path(docs.path, "4.html").mkdir()
    assert client.get(f"docs/{PROJECT}").text == "dbt's page"

    Path(docs.path, "5.html").write_bytes(b"\xff\xfe")
    assert client.get(f"docs/{PROJECT}").status_code == 200


def test_page_returns_503_when_the_history_is_unreadable(
    client: TestClient, history: History
) -> None:
    folder = Path(history.folder.path)
    folder.rmdir()
    folder.symlink_to(folder)  # unreadable even for root

    responses = [client.get(path) for path in ALL_PATHS]

    assert {answer.status_code for answer in responses} == {503}
    assert "Could not read the stored runs" in responses[0].text


def test_page_skips_and_counts_damaged_files(client: TestClient, history: History) -> None:
    history.keep(Results(run(1), []))
    for run_id, content in enumerate(("", "{", '{"version": 2}', "[" * 100_000, "\x00"), start=2):
        Path(history.folder.path, str(DAILY), f"{run_id}.json").write_text(content)

    overview, job = client.get(""), client.get(f"jobs/{DAILY}")

    assert (overview.status_code, job.status_code) == (200, 200)
    assert "Daily build" in overview.text
    assert "5 stored files of this job cannot be read" in job.text


def test_page_shows_start_queued_time_and_run_time(client: TestClient, history: History) -> None:
    started: dict[str, Any] = {
        "started_at": "2026-11-25T11:05:00Z",
        "finished_at": "2026-11-25T11:05:30Z",
    }
    history.keep(Results(run(1, created_at="2026-11-25T11:00:00Z", **started), []))

    overview, job = client.get("").text, client.get(f"jobs/{DAILY}").text

    start = 'datetime="2026-11-25T11:05:00+00:00">2026-11-25 11:05 UTC</time>'
    assert f'<small><time data-local="minute" {start}</small></td>' in overview
    assert "30.0 s<br> <small>last 30.0 s</small>" in overview
    assert '<td class="number" data-is="Queued">5 min 00 s</td>' in job
    assert f'<td data-is="Started"><time data-local="minute" {start}</td>' in job
    assert '<td class="number" data-is="Took">30.0 s</td>' in job


def test_page_leaves_the_start_empty_for_a_run_that_never_started(
    client: TestClient, history: History
) -> None:
    never: dict[str, Any] = {"started_at": None, "finished_at": None, "status": 30}
    history.keep(Results(run(1, **never), []))

    assert "<time" not in client.get("").text
    assert '<td data-is="Started"></td>' in client.get(f"jobs/{DAILY}").text


def test_jobs_page_filters_and_sorts_by_its_address(client: TestClient, history: History) -> None:
    for job_id, status in ((1, 10), (2, 20), (3, 20)):
        history.keep(Results(run(job_id, job_id, status, job={"name": f"Job {job_id}"}), []))

    text = client.get("?state=error&sort=name&name=JOB").text

    assert re.findall(r">(Job \d)</a>", text) == ["Job 2", "Job 3"]
    assert 'href="?state=error&amp;name=JOB&amp;sort=-name">Job</a> ↑' in text
    assert "<option selected>error</option>" in text
    assert 'href="?sort=name">Show all jobs</a>' in text


def test_jobs_page_names_unknown_values_of_its_address(
    client: TestClient, history: History
) -> None:
    history.keep(Results(run(1), []))

    text = client.get("?project=<script>&sort=color").text

    assert "No job has the project &lt;script&gt;." in text
    assert "There is no column color to sort by: use one of name, project," in text
    assert "No job matches the filter." in client.get("?name=weekly").text


def test_page_shows_no_idempotency_key(client: TestClient, history: History) -> None:
    key = "airflow:0123456789abcdef"
    for run_id, cause in enumerate((f"Airflow: a.b, c [{key}]", f'{{"a": 1,"run":"{key}"}}'), 1):
        history.keep(Results(run(run_id, trigger={"cause": cause}), []))

    for path in ("", f"jobs/{DAILY}", RUN_PATH, f"jobs/{DAILY}/runs/2"):
        assert "0123456789abcdef" not in client.get(path).text
    assert "Airflow: a.b, c</span>" in client.get(RUN_PATH).text


OTHER, OTHER_ID = Account("localhost:2", 16173), "dbt_cloud_page_eu"
NAMES = ("Ours: daily build", "Theirs: daily build")


@pytest.fixture
def two_accounts(kept: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Store a run of each account, with the same ids; return the connections."""
    for account, name in zip((ACCOUNT, OTHER), NAMES, strict=True):
        folder = account.folder_below(kept)
        href = f"https://{account.host}/deploy/{account.id}/projects/{PROJECT}/runs/1/"
        History(folder).keep(Results(run(1, job={"name": name}, href=href), []))
        write(folder / DOCS_FOLDER / str(PROJECT) / "1.html", f"{name}'s page")
    set_other(monkeypatch)
    return [CONN_ID, OTHER_ID]


def set_other(monkeypatch: pytest.MonkeyPatch, host: str = OTHER.host) -> None:
    fields = {"conn_type": "dbt_cloud", "host": host, "login": f"{OTHER.id}", "password": "token"}
    monkeypatch.setenv(f"AIRFLOW_CONN_{OTHER_ID.upper()}", json.dumps(fields))


def test_page_groups_the_jobs_of_several_accounts(
    make_client: MakeClient, two_accounts: list[str]
) -> None:
    client = make_client(dbt_cloud_conn_id=two_accounts)

    ours, theirs = client.get("").text.split("<h2>Account 16173 on localhost:2</h2>")

    assert "<h2>Account 16173 on localhost:1</h2>" in ours
    for text, account, conn_id, name in zip(
        (ours, theirs), (ACCOUNT, OTHER), two_accounts, NAMES, strict=True
    ):
        assert [one for one in NAMES if one in text] == [name]
        assert f'href="./jobs/{DAILY}?connection={conn_id}"' in text
        assert f'href="https://{account.host}/deploy/16173/projects/{PROJECT}/runs/1/"' in text
        assert "Could not read dbt Cloud, so this page shows stored runs" in text
    assert NAMES[0] not in client.get(f"?connection={OTHER_ID}").text


@pytest.mark.parametrize("path", [*PATHS[1:], RUN_PATH])
def test_page_of_a_job_or_project_in_two_accounts_requires_the_connection(
    make_client: MakeClient, two_accounts: list[str], path: str
) -> None:
    client = make_client(dbt_cloud_conn_id=two_accounts)

    ambiguous = client.get(path)

    assert ambiguous.status_code == 409
    places = [f"{CONN_ID} (account 16173 on localhost:1)", f"{OTHER_ID} (account 16173 on loc"]
    assert all(place in ambiguous.text for place in places)
    assert f"add ?connection={CONN_ID} to the address." in ambiguous.text
    for conn_id, name in zip(two_accounts, NAMES, strict=True):
        text = client.get(f"{path}?connection={conn_id}").text
        assert [one for one in NAMES if one in text] == [name]
    unknown = client.get(f"{path}?connection=<script>")
    assert unknown.status_code == 404
    assert "This page has no connection &lt;script&gt;." in unknown.text


def test_run_is_found_by_its_url_in_the_right_account(
    make_client: MakeClient, two_accounts: list[str]
) -> None:
    client = make_client(dbt_cloud_conn_id=two_accounts)
    places = [f"{account.host}/deploy/{account.id}" for account in (ACCOUNT, OTHER)]
    urls = [f"https://{place}/projects/{PROJECT}/runs/1/" for place in places]
    wrong = ["", "nonsense", urls[0].replace("/1/", "/2/"), urls[0].replace(":1", ":3"), LONG]

    for url, conn_id, name in zip(urls, two_accounts, NAMES, strict=True):
        found = client.get("runs", params={"run_url": url}, follow_redirects=False)
        path = f"./jobs/{DAILY}/runs/1?connection={conn_id}"
        assert (found.status_code, found.headers["location"]) == (307, path)
        assert name in client.get("runs", params={"run_url": url}).text
    for url in wrong:
        answer = client.get("runs", params={"run_url": url})
        assert answer.status_code == 404
        assert "is not one of dbt Cloud&#39;s newest runs, and has no readable file." in answer.text


def test_job_of_only_one_account_needs_no_connection_in_the_address(
    make_client: MakeClient, kept: Any, two_accounts: list[str]
) -> None:
    History(OTHER.folder_below(kept)).keep(Results(run(2, job_id=5, job={"name": "Weekly"}), []))

    assert "Weekly" in make_client(dbt_cloud_conn_id=two_accounts).get("jobs/5").text


def test_unusable_connection_does_not_hide_other_accounts(
    make_client: MakeClient, two_accounts: list[str]
) -> None:
    client = make_client(dbt_cloud_conn_id=["dbt_cloud_missing", OTHER_ID])

    overview = client.get("")

    assert overview.status_code == 200
    missing, theirs = overview.text.split("<h2>Account 16173 on localhost:2</h2>")
    assert "<h2>Connection dbt_cloud_missing</h2>" in missing
    assert "Could not read which account to show: " in missing
    assert NAMES[1] in theirs
    assert NAMES[1] in client.get(f"jobs/{DAILY}").text
    assert client.get("?connection=dbt_cloud_missing").status_code == 503


def test_account_of_two_connections_is_shown_once(
    make_client: MakeClient, two_accounts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_other(monkeypatch, host="LOCALHOST:1/")
    client = make_client(dbt_cloud_conn_id=two_accounts)

    assert client.get("").text.count("<h2>") == 1
    assert client.get(f"jobs/{DAILY}").status_code == 200


def test_page_rejects_connections_that_it_cannot_show(make_client: MakeClient) -> None:
    with pytest.raises(ValueError, match="account_id=7 is for a page with one connection"):
        make_client(dbt_cloud_conn_id=[CONN_ID, OTHER_ID], account_id=7)
    with pytest.raises(ValueError, match="at least one connection"):
        make_client(dbt_cloud_conn_id=[])
