"""The page "dbt Cloud" in Airflow's UI, over HTTP and in a browser.

It is asked of a second API server too, of the same Airflow but with users of its own, and below a
prefix, as behind a proxy.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from include.local_airflow.settings.environment import airflow_environment
from include.local_airflow.settings.launch import Launch
from include.local_airflow.start.plan import database_of
from include.local_dbt_cloud.serving.connections import DBT_CLOUD
from include.local_dbt_cloud.testing import free_port
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.test_job_dags import missing_table
from tests.e2e.watching import run_outside
from tests.pictures.browser import BrowserError, Page, browser, needs_browser
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-b")]

KEEP, RUN = "keep_dbt_cloud_history", "run_dbt_cloud_job"
TASK = "trigger_dbt_cloud_job_run"
JOB_ID, PROJECT_ID, DOCUMENTED_JOB = 65767, 36467, 48618
PAGE, PREFIX = "/dbt-cloud-page/", "/airflow"
PASSWORD = "as it is"
USERS = {"viewer": "viewer", "nobody": ""}  # with their roles
EVIL = "<script>document.title = 'taken over'</script>"
FRAME = "document.querySelector('iframe').contentDocument"


@pytest.fixture(scope="module")
def kept(airflow: Airflow, project: Project) -> str:
    """Keep runs of two jobs, one with documentation; return the Dag run that started one."""
    dag_run, _ = airflow.run(RUN)  # the files of an earlier run may be deleted
    start_dbt_run(project, DOCUMENTED_JOB, EVIL)
    active = {"status__in": "[1,2,3]", "job_definition_id": DOCUMENTED_JOB}
    eventually(lambda: not project.dbt_runs(**active), "the run ends")
    airflow.run(KEEP)
    airflow.call("PATCH", f"/dags/{KEEP}", is_paused=True)
    return dag_run


@pytest.fixture(scope="module")
def strict(
    airflow: Airflow, project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Yield the address of an API server that requires a login."""
    passwords = tmp_path_factory.mktemp("users") / "passwords.json"
    passwords.write_text(json.dumps(dict.fromkeys(USERS, PASSWORD)))
    port = free_port()
    address = f"http://127.0.0.1:{port}{PREFIX}"
    settings = {
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{u}:{r}" for u, r in USERS.items()),
    }
    command = [sys.executable, "-m", "airflow", "api-server", "--apps", "core"]
    launch = Launch.read(project.root, project.environment)
    environment = airflow_environment(launch, database_of(launch)) | settings
    with passwords.with_name("log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=project.root, env=environment, stdout=log, stderr=log
        )

    def answers() -> bool:
        try:
            return get(f"{address}/api/v2/version").is_success
        except httpx.TransportError:
            return False

    try:
        eventually(answers, f"the API server answers: {passwords.with_name('log')}")
        yield address
    finally:
        server.terminate()
        server.wait(30)


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, trust_env=False, timeout=30)


def start_dbt_run(project: Project, job_id: int, cause: str) -> int:
    answer = project.dbt_cloud.post(f"/jobs/{job_id}/run/", json={"cause": cause})
    return int(answer.raise_for_status().json()["data"]["id"])


def token_of(address: str, user: str) -> str:
    said = httpx.post(
        f"{address}/auth/token", json={"username": user, "password": PASSWORD}, trust_env=False
    )
    assert said.is_success, said.text
    token: str = said.json()["access_token"]
    return token


PATHS = ("", f"jobs/{JOB_ID}", f"docs/{PROJECT_ID}")
RUN_PATH = f"jobs/{JOB_ID}/runs/{{run_id}}"
OTHER_PATHS = (RUN_PATH, f"{RUN_PATH}/lineage", "usage", "usage.csv")


def run_of(airflow: Airflow, kept: str) -> int:
    """Return the id of the dbt Cloud run that belongs to the Dag run."""
    return int(airflow.xcom(RUN, kept, TASK))


@pytest.mark.parametrize("path", [*PATHS, *OTHER_PATHS])
def test_page_requires_an_airflow_login_and_permission(
    airflow: Airflow, kept: str, strict: str, path: str
) -> None:
    url = f"{strict}{PAGE}{path.format(run_id=run_of(airflow, kept))}"

    stranger = get(url)
    forged = get(url, Authorization="Bearer nonsense")
    unauthorized = get(url, Cookie=f"_token={token_of(strict, 'nobody')}")
    by_cookie = get(url, Cookie=f"_token={token_of(strict, 'viewer')}")
    by_token = get(url, Authorization=f"Bearer {token_of(strict, 'viewer')}")

    answers = (stranger, forged, unauthorized, by_cookie, by_token)
    assert [one.status_code for one in answers] == [401, 403, 403, 200, 200]
    assert "You are not logged in" in stranger.text
    assert f"it requires read access to the Dag {KEEP}" in unauthorized.text
    for refused in (stranger, forged, unauthorized):
        assert "jaffle" not in refused.text
        assert "Daily" not in refused.text


def test_other_addresses_below_the_page_are_not_public(strict: str) -> None:
    for path in ("docs", "openapi.json", "redoc", "jobs/x"):
        assert get(f"{strict}{PAGE}{path}").status_code in (401, 404), path
    assert get(f"{strict}{PAGE}static/page.css").is_success  # as Airflow's own


def test_links_stay_below_the_prefix(kept: str, strict: str) -> None:
    url = httpx.URL(f"{strict}{PAGE}jobs/{JOB_ID}")
    text = get(str(url), Authorization=f"Bearer {token_of(strict, 'viewer')}").text

    assert 'href="../static/page.css"' in text
    assert get(str(url.join("../static/page.css"))).is_success
    assert f'href="../../dags/{RUN}/runs/' in text
    assert url.join(f"../../dags/{RUN}").path == f"{PREFIX}/dags/{RUN}"


def test_page_links_runs_to_their_dag_runs_and_escapes_markup(
    airflow: Airflow, project: Project, kept: str
) -> None:
    overview = get(f"http://127.0.0.1:{airflow.port}{PAGE}").text
    job = get(f"http://127.0.0.1:{airflow.port}{PAGE}jobs/{JOB_ID}").text

    assert f"Account {DBT_CLOUD.login} on localhost:{project.dbt_cloud_port}" in overview
    assert "Daily run" in overview
    assert EVIL not in overview
    assert "&lt;script&gt;document.title" in overview
    (run,) = project.dbt_runs(limit=1, job_definition_id=JOB_ID, status=10)
    assert f'href="{run["href"]}"' in job
    assert f'href="../../dags/{RUN}/runs/{kept.replace(":", "%3A").replace("+", "%2B")}"' in job
    assert "stg_orders" in job


def test_page_shows_kept_runs_when_dbt_cloud_is_unavailable(
    airflow: Airflow, project: Project, kept: str
) -> None:
    url = f"http://127.0.0.1:{airflow.port}{PAGE}"
    faults = f"https://localhost:{project.dbt_cloud_port}/faults"
    fault = {"kind": "503", "method": "GET", "path": "*/runs", "times": 100}
    project.dbt_cloud.post(faults, json=fault).raise_for_status()

    try:
        text = eventually(lambda: says(get(url), "Could not read dbt Cloud"), "the cache expires")
    finally:
        project.dbt_cloud.delete(faults).raise_for_status()

    assert "dbt Cloud returned 503" in text
    assert "Daily run" in text


def says(answer: httpx.Response, words: str) -> str | None:
    assert answer.is_success, answer.text
    return answer.text if words in answer.text else None


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as page:
        page.size(1280, 800)
        yield page


def press(page: Page, key: str, code: int) -> None:
    for kind in ("keyDown", "keyUp"):
        text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
        page.command(
            "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text
        )


def shows(page: Page, script: str) -> Callable[[], Any]:
    def value() -> Any:
        with suppress(BrowserError):  # the page is not there yet
            return page.evaluate(script)

    return value


@needs_browser
def test_page_in_the_airflow_frame_navigates_by_keyboard_to_the_dag_run(
    airflow: Airflow, page: Page, kept: str
) -> None:
    root = f"http://127.0.0.1:{airflow.port}"
    page.open(f"{root}/plugin/dbt-cloud", "dbt Cloud")
    eventually(shows(page, f"!!{FRAME}.querySelector('tbody a')"), "the frame has jobs")

    page.evaluate("document.querySelector('iframe').contentWindow.focus()")
    focused = []
    for _ in range(60):
        press(page, "Tab", 9)
        focused.append(page.evaluate(f"{FRAME}.activeElement.textContent.trim()"))
        if focused[-1] == "Daily build":
            break
    assert focused[-1] == "Daily build", focused
    press(page, "Enter", 13)
    eventually(shows(page, f"location.pathname.endsWith('jobs/{JOB_ID}')"), "the address follows")

    link = f"[...{FRAME}.querySelectorAll('a')].find(a => a.textContent == '{RUN}')"
    eventually(shows(page, f"!!{link}"), "the job's page is there")
    page.evaluate(f"{link}.focus()")
    press(page, "Enter", 13)
    eventually(shows(page, f"location.pathname.startsWith('/dags/{RUN}/runs/')"), "it leads out")


@needs_browser
def test_address_of_airflow_has_the_filter_and_order_of_the_jobs(
    airflow: Airflow, page: Page, kept: str
) -> None:
    url = f"http://127.0.0.1:{airflow.port}/plugin/dbt-cloud{PAGE}?state=success"
    page.open(url, "Show all jobs")

    page.evaluate(f"{FRAME}.querySelector('th[aria-sort] a').click()")

    expected = "location.search === '?state=success&sort=name'"
    eventually(shows(page, expected), "the address follows")


@needs_browser
def test_job_page_adds_a_new_run_without_a_reload(
    airflow: Airflow, project: Project, page: Page, kept: str
) -> None:
    page.open(f"http://127.0.0.1:{airflow.port}{PAGE}jobs/{DOCUMENTED_JOB}", "Daily run")
    page.evaluate("window.isTheSame = true")

    run_id = start_dbt_run(project, DOCUMENTED_JOB, EVIL)

    page.wait_for(f"{run_id} ↗", EVIL)
    page.wait_for("success")
    assert page.evaluate("window.isTheSame && document.title") == "Daily run, dbt Cloud"


@needs_browser
@pytest.mark.parametrize("path", PATHS[:2])
def test_page_fits_a_narrow_window_in_dark_mode(
    airflow: Airflow, page: Page, kept: str, path: str
) -> None:
    page.size(400, 800)
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    page.command("Emulation.setEmulatedMedia", features=[dark])
    try:
        page.open(f"http://127.0.0.1:{airflow.port}{PAGE}{path}", "Daily build")
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 19, 24)"
    finally:
        page.size(1280, 800)
        page.command("Emulation.setEmulatedMedia", features=[])


@needs_browser
@pytest.mark.parametrize("width", [1280, 400])
def test_run_page_in_the_airflow_frame_shows_where_the_time_went(
    airflow: Airflow, page: Page, kept: str, width: int
) -> None:
    page.size(width, 900)
    run_path = RUN_PATH.format(run_id=run_of(airflow, kept))
    try:
        page.open(f"http://127.0.0.1:{airflow.port}/plugin/dbt-cloud{PAGE}{run_path}", "Phases")
        assert page.evaluate(f"{FRAME}.documentElement.scrollWidth") <= width
        assert page.evaluate(f"{FRAME}.querySelectorAll('.gantt rect[data-row]').length") > 10
        assert page.evaluate(f"{FRAME}.querySelectorAll('.path tbody tr').length") > 1
        link = f"[...{FRAME}.querySelectorAll('.facts a')].find(a => a.textContent == '{RUN}')"
        page.evaluate(f"{link}.click()")
        eventually(shows(page, f"location.pathname.startsWith('/dags/{RUN}/runs/')"), "leads out")
    finally:
        page.size(1280, 800)


@needs_browser
def test_task_links_to_the_page_of_its_run(airflow: Airflow, page: Page, kept: str) -> None:
    task = f"/dags/{RUN}/dagRuns/{kept}/taskInstances/{TASK}"
    links = airflow.call("GET", f"{task}/links")["extra_links"]
    root = httpx.URL(f"http://127.0.0.1:{airflow.port}/")

    page.open(str(root.join(links["Run timeline"])), f"Run {run_of(airflow, kept)}", "Phases")

    path = f"{PAGE}{RUN_PATH.format(run_id=run_of(airflow, kept))}"
    assert page.evaluate(f"{FRAME}.location.pathname") == path
    assert links.keys() == {"Monitor Job Run", "Run timeline"}


@needs_browser
def test_page_of_the_local_dbt_cloud_links_to_airflow_s(
    airflow: Airflow, project: Project, page: Page, kept: str
) -> None:
    run_id = run_of(airflow, kept)
    text = project.dbt_cloud.get(airflow.xcom(RUN, kept, TASK, "job_run_url")).text
    (link,) = re.findall(r'<a href="(http:[^"]+)">Run timeline and Dag run in Airflow</a>', text)

    page.open(link.replace("localhost", "127.0.0.1"), f"Run {run_id}", "Phases")

    assert page.evaluate(f"{FRAME}.location.pathname") == f"{PAGE}{RUN_PATH.format(run_id=run_id)}"


@needs_browser
def test_page_of_a_failed_run_shows_message_sql_line_and_skipped_nodes(
    airflow: Airflow, project: Project, page: Page, kept: str
) -> None:
    with missing_table(project, "stores"):
        run_id = int(run_outside(project, JOB_ID, "dbt build --select +stores")["id"])
    airflow.run(KEEP, run_id=run_id)
    airflow.call("PATCH", f"/dags/{KEEP}", is_paused=True)

    page.open(
        f"http://127.0.0.1:{airflow.port}{PAGE}{RUN_PATH.format(run_id=run_id)}",
        "model stg_stores error SQL line",
        "stores does not exist",
    )

    card = page.evaluate("document.querySelector('.failure').innerText")
    assert "skipped because of it:" in card
    assert "model stores" in card


@needs_browser
def test_dbt_docs_render_and_cannot_call_the_airflow_api(
    airflow: Airflow, page: Page, kept: str
) -> None:
    url = f"http://127.0.0.1:{airflow.port}{PAGE}docs/{PROJECT_ID}"

    page.open(f"{url}#!/model/model.jaffle_shop.stg_orders", "order_status")

    assert page.evaluate("window.origin") == "null"
    page.evaluate("fetch('/api/v2/dags').then(() => 'read', () => 'refused').then(x => said = x)")
    assert eventually(shows(page, "window.said"), "the call ends") == "refused"


def test_dag_and_page_use_the_same_history_folder(project: Project) -> None:
    dag = (project.root / "dags" / f"{KEEP}.py").read_text()
    plugin = (project.root / "plugins" / "show_dbt_cloud.py").read_text()

    for place in (dag, plugin):
        assert 'f"file://{Path(__file__).parents[1]}/include/.local/history"' in place
    assert f'DAG_ID = "{KEEP}"' in plugin
