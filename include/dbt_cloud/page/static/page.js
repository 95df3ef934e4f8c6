"use strict";
// Keeps the page fresh, shows times in the browser's zone, follows Airflow's colours, and lets links
// lead out of Airflow's frame.

const seconds = Number(document.currentScript.dataset.seconds);
const isFramed = window.parent !== window;
let shown = document.querySelector("main").innerHTML; // as the server sent it
let tag = ""; // of the content shown

async function refresh() {
  if (document.hidden || document.querySelector("details[open]")) return;
  const response = await fetch(location.href, { headers: { "If-None-Match": tag } });
  if (response.status === 304) return;
  if (!response.ok) return location.reload(); // for example, the session has expired
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  tag = response.headers.get("ETag");
  const before = document.querySelector("main");
  const after = fresh.querySelector("main");
  if (shown === after.innerHTML) return;
  shown = after.innerHTML;
  const focused = focusable(before).indexOf(document.activeElement);
  before.replaceWith(after);
  useLocalTimes();
  focusable(after)[focused]?.focus({ preventScroll: true });
}

function focusable(main) {
  return [...main.querySelectorAll("a, summary, [tabindex]")];
}

function useLocalTimes() {
  const minutes = { dateStyle: "medium", timeStyle: "short" };
  for (const time of document.querySelectorAll("time[data-local]")) {
    time.title = time.textContent;
    const options = time.dataset.local === "minute" ? minutes : undefined;
    time.textContent = new Date(time.dateTime).toLocaleString(undefined, options);
  }
}

function useColours() {
  const theme = window.parent.document.documentElement.classList;
  const scheme = theme.contains("dark") ? "dark" : theme.contains("light") ? "light" : "";
  document.documentElement.style.colorScheme = scheme;
}

// Airflow's frame blocks links to the Dag run and to dbt Cloud, so Airflow's own document opens
// them.
function followOutside(event) {
  const link = event.target.closest("a[target]");
  if (!link) return;
  event.preventDefault();
  const outer = window.parent.document.createElement("a");
  Object.assign(outer, { href: link.href, target: link.target, rel: "noopener" });
  outer.click();
}

useLocalTimes();
if (isFramed) {
  useColours();
  const watch = new MutationObserver(useColours);
  watch.observe(window.parent.document.documentElement, { attributeFilter: ["class"] });
  document.addEventListener("click", followOutside);
}
// Without a response, nothing changes. A page of stored data has 0 seconds and stays as it is.
if (seconds) setInterval(() => refresh().catch(() => {}), 1000 * seconds);
