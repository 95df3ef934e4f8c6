"""`make pictures`: take new pictures in `docs/pictures/`, of the Dags in a fresh copy."""

from __future__ import annotations

import io
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from PIL import Image

from tests.e2e.airflow_client import Airflow
from tests.e2e.emitted import Emitted
from tests.e2e.project import CHECKOUT, Project
from tests.e2e.test_job_dags import missing_table
from tests.pictures.browser import BrowserError, Page, browser
from tests.pictures.film import STAGE, Film
from tests.pictures.lineage import draw_lineage
from tests.pictures.terminal import TERMINAL, draw, record

FOLDER = CHECKOUT / "docs" / "pictures"
PIPELINE = "extract_load_transform"
RERUN = "rerun_dbt_cloud_job_from_failure"
MODELS = "show_models_as_tasks"
APPROVAL = "approve_before_dbt_cloud_run"
REPORTED_JOB = 65767
EARLIER_RUNS = 3  # history for the report
GRAPH = """document.querySelector('[aria-label^="Show Graph"]').click()"""
GRID = """document.querySelector('[aria-label^="Show Grid"]').click()"""
GROUPS = """document.querySelector('[data-testid="expand-all-button"]').click()"""
TABLE = """document.querySelector('[aria-label="Show table view"]').click()"""
FORM = """document.querySelector('[data-testid="trigger-dag-button"]').click()"""
# Hide the minimap, which covers tasks. A style also applies to one that is added later.
NO_MAP = """document.head.append(Object.assign(document.createElement('style'),
    {textContent: '.react-flow__minimap { display: none }'}))"""
CLEAR = """document.querySelector('[aria-label="Press shift+c to clear"]')"""
CONFIRM = """[...document.querySelectorAll('[role=dialog] button')].pop()"""
EDIT = """[...document.querySelectorAll('tr')].find(row => row.innerText.includes(
    'dbt_cloud_default')).querySelector('[aria-label="Edit Connection"]').click()"""
NO_PANEL = """document.querySelector('[aria-label="Collapse Details Panel"]').click()"""
FIT = """document.querySelector('.react-flow__controls-fitview').click()"""
SWITCH = """document.querySelector('label[data-scope="switch"]').click()"""
CRITICAL_PATH = """[...document.querySelector('iframe').contentDocument.querySelectorAll('h2')]
    .find(one => one.textContent === 'Critical path').scrollIntoView()"""
LAST_STEP = """[...document.querySelectorAll('main > details')].pop().open = true"""


@dataclass(frozen=True)
class Album:
    """The browser, Airflow and project of the pictures."""

    page: Page
    airflow: Airflow
    project: Project

    @property
    def ui(self) -> str:
        return f"http://127.0.0.1:{self.airflow.port}"

    def take(self, name: str, url: str = "", *texts: str, click: tuple[str, ...] = ()) -> None:
        """Open the URL, if any, click, wait until the texts are shown and nothing moves, and save.

        Without a URL the current page is saved.
        """
        if url:
            self.page.open(url, *texts[:1])
        for script in click:
            self.page.evaluate(script)
            self.page.settle()
        self.page.wait_for(*texts)
        self._save(name, self.page.settle())

    def _save(self, name: str, png: bytes) -> None:
        file = FOLDER / f"{name}.png"
        with Image.open(io.BytesIO(png)) as image:
            # A third of the size; the octree keeps rare colours, such as those of task states.
            image.convert("RGB").quantize(method=Image.Quantize.FASTOCTREE).save(
                file, optimize=True
            )
        self._print(file)

    @contextmanager
    def film(self, name: str) -> Iterator[Film]:
        """Yield a film for the block to record, and save it."""
        film = Film(self.page)
        yield film
        file = FOLDER / f"{name}.webp"
        film.save(file)
        self._print(file)

    def _print(self, file: Path) -> None:
        print(f"  {file.relative_to(CHECKOUT)}: {file.stat().st_size / 1000:.0f} kB", flush=True)

    def film_make_run(self) -> None:
        """Film a first `make run` in a terminal, sped up."""
        self.page.size(1280, 640)
        self.page.open("about:blank")
        self.page.evaluate(TERMINAL)
        env = {key: value for key, value in self.project.environment.items() if "MAKE" not in key}
        # The copy uses the checkout's .venv, which the target `install` would rebuild.
        command = ["make", "--old-file=install", "run"]
        with self.film("make_run") as film:
            shown = 0.0
            draw(self.page, "$ make run")
            film.shoot(1)
            for seconds, printed in record(command, self.project.root, env):
                film.durations[-1] += int((seconds - shown) * 1000)
                draw(self.page, f"$ make run\n{printed}")
                film.shoot(1)
                shown = seconds
            film.speed_up(to=5000)
            film.durations[0], film.durations[-1] = 1000, 4000

    def _succeeded(self, dag_id: str, run_id: str) -> bool:
        return run_id in self.airflow.dag_runs(dag_id, state="success")

    def take_the_running_pipeline(self) -> None:
        run_id = self.airflow.trigger(PIPELINE)
        self.airflow.wait_for_task(PIPELINE, run_id, "trigger_dbt_cloud_job_run", "deferred")
        with self.dbt_cloud_being_slow():
            self.page.size(1280, 640)
            self.take("airflow_grid", f"{self.ui}/dags/{PIPELINE}", "train_model")
            run = f"{self.ui}/dags/{PIPELINE}/runs/{run_id}"
            self.take("airflow_graph", run, "train_model", "deferred", click=(GRAPH, NO_MAP))
        self.airflow.wait(PIPELINE, run_id)

    @contextmanager
    def dbt_cloud_being_slow(self) -> Iterator[None]:
        """Delay the run's responses, so that it seems as long as a real one."""
        faults = f"https://localhost:{self.project.dbt_cloud_port}/faults"
        slow = {"kind": "slow", "method": "GET", "path": "*/runs/*", "seconds": 60, "times": 5}
        self.project.dbt_cloud.post(faults, json=slow).raise_for_status()
        yield
        self.project.dbt_cloud.delete(faults).raise_for_status()

    def take_dags_and_forms(self) -> None:
        self.page.size(1280, 1720)
        self.take("airflow_dags", f"{self.ui}/dags", "extract_load_transform", click=(TABLE,))
        self.page.size(1280, 1500)
        form = f"{self.ui}/dags/run_dbt_cloud_job_with_form"
        self.take("airflow_form", form, "read_form", "Models to leave out", click=(FORM,))
        self.page.size(1280, 420)  # hide the warehouse, whose path depends on this machine
        self.take("airflow_connections", f"{self.ui}/connections", "dbt_cloud_default")
        self.page.size(1280, 820)
        self.page.evaluate(EDIT)
        self.page.wait_for("API Token")
        for name, text in {"host": "ab123.us1.dbt.com", "password": "YOUR_TOKEN"}.items():
            self.page.fill_in(name, text)
        self.take("airflow_connection_form", "", "Account ID")

    def take_graphs(self) -> None:
        self.page.size(1280, 420)
        gate = f"{self.ui}/dags/gate_on_fresh_sources"
        self.take("airflow_gate", gate, "wait_for_sources", click=(GRAPH, NO_MAP))
        vendors = f"{self.ui}/dags/fivetran_dbt_cloud_census"
        self.take("airflow_vendors", vendors, "trigger_census_sync", click=(GRAPH, NO_MAP))
        self.page.size(1280, 640)
        models = f"{self.ui}/dags/run_dbt_core_model_by_model"
        self.take(
            "airflow_models", models, "jaffle_shop", "stg_orders", click=(GRAPH, GROUPS, NO_MAP)
        )

    def take_a_dbt_cloud_run(self) -> None:
        [run] = self.project.dbt_runs(limit=1, job_definition_id=30605)
        self.page.size(1280, 900)
        self.take("dbt_cloud_run", run["href"], "dbt build", click=(LAST_STEP,))

    def take_a_failure_and_its_end(self) -> None:
        """Show a model that fails without its source, and the run that finishes it."""
        with missing_table(self.project, "stores"):
            self.airflow.run("run_dbt_cloud_job")
        [failed] = self.project.dbt_runs(limit=1, status=20)
        self.page.size(1280, 900)
        self.take("dbt_cloud_failed", failed["href"], "dbt build", click=(LAST_STEP,))
        run_id, _ = self.airflow.run(RERUN)
        self.page.size(1280, 640)
        task = f"{self.ui}/dags/{RERUN}/runs/{run_id}/tasks/finish_failed_run"
        self.take("airflow_rerun", task, "All Log Levels", "find_failed_run", click=(GRID,))

    def take_a_clear(self) -> None:
        """Clear a failed task after the repair of its cause: the icon, the dialog, and a film."""
        with broken_model(self.project):
            run_id, _ = self.airflow.run(PIPELINE)
        self.page.size(1280, 640)
        task = f"{self.ui}/dags/{PIPELINE}/runs/{run_id}/tasks/trigger_dbt_cloud_job_run/details"
        self.page.open(task, "Extra Links", "Failed")
        self.page.evaluate(f"{GRID}; {STAGE}")
        self.page.settle()
        Film(self.page).point_at(CLEAR)
        self.take("airflow_clear")
        with self.film("clear_task") as film:
            self.page.evaluate(f"{GRAPH}; {NO_MAP}")
            self.page.settle()
            film.shoot(1200)
            film.point_at(CLEAR)
            self.page.press()
            self.page.wait_for("Affected Tasks: 2", "train_model")
            self.page.settle()
            film.shoot(1200)
            film.point_at(CONFIRM)
            self.take("airflow_clear_dialog")
            self.page.press()
            self.page.move_mouse(500, 500)  # no tooltip is shown there
            film.shoot_until(lambda: self._succeeded(PIPELINE, run_id), 400)

    def take_extra_link(self) -> None:
        run_id = self.airflow.first_run("run_dbt_cloud_job")
        self.page.size(1280, 640)
        task = f"/dags/run_dbt_cloud_job/runs/{run_id}/tasks/trigger_dbt_cloud_job_run/details"
        self.take("airflow_extra_links", f"{self.ui}{task}", "Monitor Job Run", click=(GRID,))

    def film_models(self) -> None:
        """Film the graph from the first task to the last; without panels its text is readable."""
        self.airflow.call("PATCH", f"/dags/{MODELS}", is_paused=True)  # until the page is ready
        runs = self.airflow.api.post(f"/dags/{MODELS}/dagRuns", json={"logical_date": None})
        run_id = runs.raise_for_status().json()["dag_run_id"]
        self.page.size(1280, 760)
        self.page.open(f"{self.ui}/dags/{MODELS}/runs/{run_id}", "Queued")
        for script in (GRAPH, GROUPS, NO_PANEL, f"{NO_MAP}; {STAGE}", FIT):
            self.page.evaluate(script)
            self.page.settle()
        with self.film("models_turn_green") as film:
            film.shoot(1000)
            self.page.evaluate(SWITCH)
            film.shoot_until(lambda: self._succeeded(MODELS, run_id), 400)

    def take_models_of_a_job(self) -> None:
        """Show a failed model, the ones that it blocks, and the others that dbt has built."""
        with missing_table(self.project, "stores"):
            run_id, _ = self.airflow.run(MODELS)
        self.page.size(1280, 640)
        run = f"{self.ui}/dags/{MODELS}/runs/{run_id}"
        self.take("airflow_job_models", run, "rest_of_run", click=(GRAPH, GROUPS, NO_MAP))

    def take_page(self) -> None:
        """Show a job with a failed run, that run, and one that succeeded; earlier ones ran them."""
        self.airflow.run("keep_dbt_cloud_history")
        menu = f"{self.ui}/plugin/dbt-cloud"
        page = f"{menu}/dbt-cloud-page"
        self.page.size(1280, 1000)
        self.take("airflow_jobs", menu, "Last 30 runs", "Daily build")
        self.page.size(1280, 1560)  # down to its runs
        job = f"{page}/jobs/{REPORTED_JOB}"
        self.take("airflow_dbt_cloud", job, "What has failed", "stg_stores")
        runs = self.project.dbt_runs(job_definition_id=REPORTED_JOB)
        good = next(run["id"] for run in runs if run["status"] == 10)
        failed = [run["id"] for run in runs if run["status"] == 20][-1]  # later ones resume it
        model = "model.jaffle_shop.orders"
        self.page.size(1280, 720)
        self.take("airflow_run", f"{job}/runs/{good}", "Table of all", click=(CRITICAL_PATH,))
        self.take("airflow_failure", f"{job}/runs/{failed}", "What failed")
        self.page.size(1280, 640)
        self.take("airflow_lineage", f"{job}/runs/{failed}/lineage", "ancestors")
        self.page.size(1280, 900)
        self.take("airflow_model", f"{job}/model?id={model}", "Run time of a build")
        self.take("airflow_usage", f"{page}/usage", "Models built")

    def take_the_question(self) -> None:
        """Show the form that approves the build of a changed model."""
        self.airflow.first_run("run_dbt_cloud_job")
        model = self.project.root / "include" / "jaffle_shop" / "models" / "marts" / "stores.sql"
        model.write_text(f"{model.read_text()}-- changed\n")
        run_id = self.airflow.trigger(APPROVAL)
        self.airflow.wait_for_task(APPROVAL, run_id, "approve", "awaiting_input")
        self.page.size(1280, 640)
        question = f"{self.ui}/dags/{APPROVAL}/runs/{run_id}/tasks/approve/required_actions"
        self.take("airflow_approve", question, "Approve", "model, table", click=(GRID,))
        self.airflow.answer(APPROVAL, run_id, "approve", "Reject")

    def draw(self, name: str, dag_id: str) -> None:
        """Draw the OpenLineage events of a Dag run that succeeded."""
        events = Emitted.by(self.project).of_dag_run(dag_id, self.airflow.first_run(dag_id))
        self._save(name, draw_lineage(events))

    def take_jobs(self) -> None:
        """Show all jobs and their runs; earlier pictures have run some of them."""
        for dag_id in ("hourly_dbt_cloud_job", "daily_dbt_cloud_job"):
            self.airflow.first_run(dag_id)
        self.page.size(1280, 1150)
        address = f"https://localhost:{self.project.dbt_cloud_port}/"
        self.take("dbt_cloud", address, "Build after load", "Hourly run")

    def take_report(self) -> None:
        for _ in range(EARLIER_RUNS):
            self.project.dbt_cloud.post(f"/jobs/{REPORTED_JOB}/run/", json={"cause": "A picture"})
        self.airflow.run("report_run_results")
        reports = self.project.root / "include" / ".local" / "reports"
        report = max(reports.rglob("run-*/report.html"), key=lambda file: file.stat().st_mtime)
        self.page.size(1100, 900)
        self.take("report", report.as_uri(), "dbt Cloud")


@contextmanager
def broken_model(project: Project) -> Iterator[None]:
    """Make dbt fail during the block, by a typing mistake in a model."""
    model = project.root / "include" / "jaffle_shop" / "models" / "marts" / "customers.sql"
    text = model.read_text()
    model.write_text(f"selct * from mistyped\n{text}")
    yield
    model.write_text(text)


def take_all_of_airflow(album: Album) -> None:
    """Take all pictures of Airflow in this order: some show the runs of earlier ones."""
    album.take_the_running_pipeline()
    album.take_report()
    album.take_a_dbt_cloud_run()
    album.take_extra_link()
    album.take_graphs()
    album.take_dags_and_forms()
    album.take_a_failure_and_its_end()
    album.film_models()
    album.draw("lineage_extract_load_transform", PIPELINE)
    album.draw("lineage_show_models_as_tasks", MODELS)
    album.take_models_of_a_job()
    album.take_page()
    album.take_the_question()
    album.take_a_clear()
    album.take_jobs()


def main() -> int:
    """Take all pictures; return the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):  # stop the processes that were started
        signal.signal(number, signal.default_int_handler)
    FOLDER.mkdir(exist_ok=True)
    try:
        with browser() as page, tempfile.TemporaryDirectory() as folder:
            project = Project.copy_to(Path(folder))
            album = Album(page, Airflow(project.port), project)
            try:
                album.film_make_run()
            finally:
                project.launcher("stop")
            print("Starting Airflow and the local dbt Cloud in a copy ...", flush=True)
            settings = {"AIRFLOW__API__AUTO_REFRESH_INTERVAL": "1"}  # second
            with project.started(**settings, **Emitted.by(project).settings):
                take_all_of_airflow(album)
    except (BrowserError, AssertionError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except httpx.HTTPError as error:
        print(f"Error: no response ({error}): try again on a less busy machine.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
