"use strict";
// Draws the lineage of a run: dagre places the nodes, and the arrow keys follow the edges.

const MOST = 500; // nodes drawn at once
const FOLDED_FROM = 60; // nodes; fewer are drawn without their folders
const HEIGHT = 24;
const LETTER = 7.3; // pixels
const LETTERS = 32; // of a name that is drawn
const MARKS = { success: "✓", warn: "!", error: "✗", skipped: "–" };
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);
const nodes = JSON.parse(byId("nodes")?.textContent ?? "[]");
const parents = nodes.map((node) => node.parents);
const children = nodes.map(() => []);
parents.forEach((some, child) => some.forEach((parent) => children[parent].push(child)));
const chart = byId("lineage");
const hint = byId("chosen")?.textContent;
const opened = new Set(); // folders
let drawn = new Map(); // place → its element, from left to right
let folded = new Map(); // folder → its element
let chosen = null; // a place
let scale = 1;

const addressOf = (node) => `#${encodeURIComponent(node.unique_id)}`;

function reach(starts, next) {
  const found = new Set(starts);
  for (const place of found) next[place].forEach((one) => found.add(one)); // also visits new ones
  return found;
}

const around = (starts) => new Set([...reach(starts, parents), ...reach(starts, children)]);

const isFolded = (place) => byId("folders")?.checked && nodes[place].folder && !opened.has(nodes[place].folder);
// The name of what stands for a node in the picture
const unit = (place) => (isFolded(place) ? `folder ${nodes[place].folder}` : String(place));

// Too many nodes cannot be read: then what has failed is shown, or what surrounds the chosen node.
function visible() {
  const withTests = byId("tests").checked;
  const isShown = (place) => withTests || !nodes[place].is_test || nodes[place].state !== "success";
  const all = [...nodes.keys()].filter((place) => isShown(place) || place === chosen);
  if (new Set(all.map(unit)).size <= MOST) return [all, ""];
  const failed = all.filter((place) => nodes[place].state === "error");
  const starts = chosen === null ? failed : [chosen];
  const wanted = starts.length ? around(starts) : new Set(all);
  const some = all.filter((place) => wanted.has(place));
  some.sort((one, other) => (other === chosen) - (one === chosen)); // never cut off
  some.splice(MOST);
  const what = failed.length ? "what failed, and its ancestors and descendants" : "the first ones";
  return [some, `${some.length} of ${all.length} nodes are drawn: ${chosen === null ? what : "the nodes around the chosen one"}. Find a node to see those around it.`];
}

function element(name, attributes, parent, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return parent.appendChild(made);
}

const shortened = (name) => (name.length > LETTERS ? `${name.slice(0, LETTERS - 1)}…` : name);

// A folder has the worst state of its nodes.
function described(places) {
  const [{ name, folder, state, status }] = places.map((place) => nodes[place]);
  if (!isFolded(places[0])) return { places, label: shortened(name), state, title: `${name}, ${status}` };
  const count = (one) => places.filter((place) => nodes[place].state === one).length;
  const states = ["error", "warn", "skipped", "success"].filter(count);
  const title = `${folder}: ${states.map((one) => `${count(one)} ${one}`).join(", ")}`;
  return { places, label: `${shortened(folder)} (${places.length})`, state: states[0], title, folder };
}

function placed(units) {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 10, ranksep: 48, marginx: 8, marginy: 8, ranker: "longest-path" });
  for (const [name, { label }] of units) {
    graph.setNode(name, { width: 32 + LETTER * label.length, height: HEIGHT });
  }
  for (const [name, { places }] of units) {
    for (const parent of places.flatMap((place) => parents[place]).map(unit)) {
      if (parent !== name && units.has(parent)) graph.setEdge(parent, name, {});
    }
  }
  dagre.layout(graph);
  return graph;
}

function draw() {
  const [places, cut] = visible();
  byId("cut").hidden = !cut;
  byId("cut").textContent = cut;
  const units = new Map();
  for (const [name, some] of Map.groupBy(places, unit)) units.set(name, described(some));
  const graph = placed(units);
  const { width = 0, height = 0 } = graph.graph();
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  Object.assign(svg.dataset, { width, height });
  for (const edge of graph.edges()) {
    const points = graph.edge(edge).points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`);
    element("path", { d: `M${points.join("L")}`, "data-from": edge.v, "data-to": edge.w }, svg);
  }
  drawn = new Map();
  folded = new Map();
  for (const [name, { places: [first], label, state, title, folder }] of units) {
    const { x, y, width: wide } = graph.node(name);
    const group = element("g", { class: state, "data-place": first, transform: `translate(${x - wide / 2} ${y - HEIGHT / 2})` }, svg);
    element("title", {}, group, title);
    element("rect", { width: wide, height: HEIGHT, rx: folder ? 0 : 4 }, group);
    if (folder) element("path", { class: "tab", d: "M0,0v-4h24v4" }, group);
    element("text", { class: "mark", x: 8, y: 16 }, group, MARKS[state]);
    element("text", { x: 24, y: 16 }, group, label);
    if (folder) folded.set(name, group);
    else drawn.set(first, group);
  }
  chart.replaceChildren(svg);
  zoom(1);
  mark();
}

function zoom(factor) {
  scale = Math.min(3, Math.max(0.1, scale * factor));
  const svg = chart.querySelector("svg");
  svg.setAttribute("width", svg.dataset.width * scale);
  svg.setAttribute("height", svg.dataset.height * scale);
}

function mark() {
  const starts = chosen === null ? [] : [chosen];
  const [ancestors, descendants] = [reach(starts, parents), reach(starts, children)];
  const near = new Set([...ancestors, ...descendants]);
  chart.classList.toggle("has-chosen", chosen !== null);
  for (const [place, group] of drawn) {
    group.classList.toggle("near", near.has(place));
    group.classList.toggle("is-chosen", place === chosen);
  }
  const [above, below] = [ancestors, descendants].map((some) => new Set([...some].map(unit)));
  for (const [name, group] of folded) group.classList.toggle("near", above.has(name) || below.has(name));
  for (const path of chart.querySelectorAll("path[data-from]")) {
    const { from, to } = path.dataset;
    const isNear = (above.has(from) && above.has(to)) || (below.has(from) && below.has(to));
    path.classList.toggle("near", isNear);
  }
}

function choose(place) {
  chosen = place;
  if (isFolded(place)) opened.add(nodes[place].folder);
  if (drawn.has(place)) mark();
  else draw();
  history.replaceState(null, "", addressOf(nodes[place]));
  describe(nodes[place], reach([place], parents).size - 1, reach([place], children).size - 1);
  drawn.get(place).scrollIntoView({ block: "nearest", inline: "nearest" });
}

function link(page, node, textContent) {
  const href = new URL(page, location.href);
  href.searchParams.set("id", node.unique_id);
  return Object.assign(document.createElement("a"), { href, textContent });
}

function describe(node, above, below) {
  const line = document.createElement("p");
  const facts = [node.name, node.status, `${node.seconds.toFixed(2)} s`];
  line.textContent = [...facts, `ancestors: ${above}`, `descendants: ${below}`].join(" · ");
  byId("chosen").replaceChildren(line);
  const { model, sql } = chart.dataset; // pages, if there are any
  if (model && node.unique_id.startsWith("model.")) line.append(" · ", link(model, node, "earlier runs"));
  if (sql && !node.unique_id.startsWith("seed.")) line.append(" · ", link(sql, node, "SQL"));
  if (!node.message) return;
  const message = document.createElement("pre");
  message.textContent = node.message;
  byId("chosen").append(message);
}

// Up and down lead to the next node of the same column.
function neighbour(key) {
  if (!drawn.has(chosen)) return [...drawn.keys(), 0][0];
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const some = (key === "ArrowLeft" ? parents : children)[chosen].filter((one) => drawn.has(one) || folded.has(unit(one)));
    return some.find((one) => !nodes[one].is_test) ?? some[0];
  }
  const middle = (place) => {
    const box = drawn.get(place).getBBox();
    const at = drawn.get(place).transform.baseVal[0].matrix;
    return { x: at.e + box.width / 2, y: at.f };
  };
  const here = middle(chosen);
  const ahead = key === "ArrowDown" ? 1 : -1;
  return [...drawn.keys()]
    .filter((place) => Math.abs(middle(place).x - here.x) < 1 && ahead * (middle(place).y - here.y) > 0)
    .sort((one, other) => ahead * (middle(one).y - middle(other).y))[0];
}

function find() {
  const wanted = byId("find").value.trim().toLowerCase();
  if (!wanted) return;
  const names = nodes.map((node) => node.name.toLowerCase());
  const exact = names.indexOf(wanted);
  const found = exact >= 0 ? exact : names.findIndex((name) => name.includes(wanted));
  if (found >= 0) choose(found);
  else byId("chosen").textContent = `No node's name contains ${byId("find").value}.`;
}

if (nodes.length) {
  byId("find").addEventListener("change", find);
  byId("tests").addEventListener("change", draw);
  byId("folders")?.addEventListener("change", () => {
    opened.clear();
    draw();
  });
  byId("less").addEventListener("click", () => zoom(0.8));
  byId("more").addEventListener("click", () => zoom(1.25));
  chart.addEventListener("click", (event) => {
    const place = Number(event.target.closest("g")?.dataset.place);
    if (Number.isNaN(place)) return;
    if (!isFolded(place)) return choose(place);
    opened.add(nodes[place].folder);
    draw();
  });
  chart.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen !== null) {
      chosen = null;
      byId("chosen").textContent = hint;
      history.replaceState(null, "", location.pathname + location.search);
      return draw();
    }
    if (!["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    const found = neighbour(event.key);
    if (found !== undefined) choose(found);
  });
  if (byId("folders")) byId("folders").checked = visible()[0].length > FOLDED_FROM;
  draw();
  const start = nodes.findIndex((node) => addressOf(node) === location.hash);
  const failed = nodes.findIndex((node) => node.state === "error");
  if (start >= 0 || failed >= 0) choose(start >= 0 ? start : failed);
}
