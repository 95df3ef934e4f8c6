"use strict";
// Describes the bar that is pointed at or chosen by keys.

const bars = (chart) => [...chart.querySelectorAll("rect[data-row]")];
const value = (bar, name) => parseFloat(bar.getAttribute(name));

function choose(bar) {
  const chart = bar.closest(".gantt");
  chart.querySelector("rect.chosen")?.classList.remove("chosen");
  bar.classList.add("chosen");
  const cells = [...document.getElementById(`n${bar.dataset.row}`).cells];
  const parts = cells
    .filter((cell) => cell.textContent.trim())
    .map((cell) => `${cell.dataset.is ? `${cell.dataset.is}: ` : ""}${cell.textContent.trim()}`);
  const line = document.getElementById("chosen");
  line.textContent = parts.join(" · ");
  const start = parseFloat(cells.find((cell) => cell.dataset.is === "start").textContent);
  const origin = Date.parse(bar.ownerSVGElement.dataset.origin);
  if (Number.isNaN(origin + start)) return;
  const at = new Date(origin + 1000 * start);
  line.title = at.toISOString().replace("T", " ").replace("Z", " UTC");
  line.append(` · at ${at.toLocaleTimeString()}`);
}

// Left and right follow the starts; up and down lead to the nearest bar of the next thread.
function next(all, chosen, key) {
  const place = all.indexOf(chosen);
  if (key === "Home" || place < 0) return all[0];
  if (key === "End") return all.at(-1);
  if (key === "ArrowLeft" || key === "ArrowRight") return all[place + (key === "ArrowLeft" ? -1 : 1)];
  const lane = Number(chosen.dataset.lane) + (key === "ArrowUp" ? -1 : 1);
  const distance = (bar) => Math.abs(value(bar, "x") - value(chosen, "x"));
  return all
    .filter((bar) => Number(bar.dataset.lane) === lane)
    .reduce((best, bar) => (best && distance(best) <= distance(bar) ? best : bar), null);
}

document.addEventListener("pointerover", (event) => {
  if (event.target.matches?.("rect[data-row]")) choose(event.target);
});
document.addEventListener("keydown", (event) => {
  const keys = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];
  if (!event.target.matches?.(".gantt") || !keys.includes(event.key)) return;
  event.preventDefault();
  const found = next(bars(event.target), event.target.querySelector("rect.chosen"), event.key);
  if (found) choose(found);
});
