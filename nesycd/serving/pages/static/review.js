// Keys, selection, waiting for jobs, and the drawing of the graph. Everything else works without it.
"use strict";
document.documentElement.classList.add("scripted");
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// --- keys ---------------------------------------------------------------------------------------------------------------
const store = { get: (key) => { try { return localStorage.getItem(key) } catch { return null } }, set: (key, value) => { try { localStorage.setItem(key, value) } catch { /* private */ } } };
const keysOn = () => store.get("nesycd-keys") !== "off";
let pending = "", timer = 0;

function act(element) {
  if (element.matches("input, textarea, select")) { element.focus(); element.select?.(); return }
  if (element.matches("summary")) { element.parentElement.open = true; $("input", element.parentElement)?.focus(); return }
  element.click();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox]), textarea, select");
  if (event.key === "Escape" && $("dialog[open]")) return;
  if (event.key === "Escape" && typing) { event.target.blur(); event.preventDefault(); return }
  const combined = (event.ctrlKey || event.metaKey ? "ctrl+" : "") + event.key.toLowerCase();
  const isSingle = !event.ctrlKey && !event.metaKey && !event.altKey;
  if ((isSingle && (typing || !keysOn() || $("dialog[open]"))) || event.altKey || event.isComposing) return;
  const wanted = pending ? `${pending} ${combined}` : combined;
  const found = $$("[data-keys]").find((one) => one.dataset.keys === wanted && !one.disabled);
  pending = "";
  clearTimeout(timer);
  if (found) { event.preventDefault(); found.dataset.keys === "?" ? help(found.href) : act(found); return }
  if (isSingle && $$("[data-keys]").some((one) => one.dataset.keys.startsWith(`${combined} `))) {
    pending = combined;
    timer = setTimeout(() => { pending = "" }, 1500);
  }
});

async function help(address) {
  let dialog = $("#keys");
  if (!dialog) {
    const answer = await fetch(address);
    if (!answer.ok) { location.href = address; return }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    dialog = document.createElement("dialog");
    dialog.id = "keys";
    dialog.setAttribute("aria-label", "Keyboard and help");
    const close = document.createElement("button");
    close.className = "close";
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.append(close, page.querySelector("#help"));
    document.body.append(dialog);
    prepare(dialog);
  }
  dialog.showModal();
}

// --- forms --------------------------------------------------------------------------------------------------------------
function prepare(root) {
  for (const box of $$("[data-keys-on]", root)) {
    box.checked = keysOn();
    box.addEventListener("change", () => store.set("nesycd-keys", box.checked ? "on" : "off"));
  }
  for (const form of $$("form[method=post]", root)) {
    // A double click decides once.
    form.addEventListener("submit", (event) => {
      if (event.defaultPrevented) return;
      if (form.dataset.sent) { event.preventDefault(); return }
      if (!event.submitter?.matches("[data-what-if], [data-cancel]")) form.dataset.sent = "yes";
    });
  }
  for (const select of $$("[data-submit]", root)) {
    const button = $(`button[value=${select.dataset.submit}]`, select.form);
    button.hidden = true;
    select.addEventListener("change", () => select.form.requestSubmit(button));
  }
  for (const fields of $$(".fields[data-kind=fact]", root)) linkTripleToText(fields);
  for (const button of $$("[data-try]", root)) button.addEventListener("click", () => tryRule(button));
  for (const button of $$("[data-what-if]", root)) button.addEventListener("click", (event) => { event.preventDefault(); whatIf(button) });
  for (const waiting of $$("[data-job]", root)) follow(waiting);
  for (const place of $$("[data-load]", root)) load(place);
}

// What the triple says is said in the text too: a new object takes the place of the old one there.
function linkTripleToText(fields) {
  const text = $("[data-part=text]", fields);
  for (const part of ["subject", "object"]) {
    const input = $(`[data-part=${part}]`, fields);
    let before = input.defaultValue.trim();
    input.addEventListener("change", () => {
      const after = input.value.trim();
      const pieces = before ? text.value.split(before) : [];
      if (after && pieces.length === 2) text.value = pieces.join(after);
      before = after;
    });
  }
}

const token = () => $("input[name=form_token]").value;
const post = (address, body) => fetch(address, { method: "POST", body, headers: { Accept: "application/json", "X-Form-Token": token() } });

async function tryRule(button) {
  const form = button.form, told = $(".tried", form);
  told.textContent = "running…";
  const answer = await post("/rules/try", new URLSearchParams(new FormData(form)));
  const found = await answer.json();
  const rows = $$(".test", form).filter((row) => $$("input", row).some((input) => input.value.trim()));
  $$(".verdict", form).forEach((one) => { one.textContent = "" });
  // The base keeps tests in an order of its own.
  const key = (row) => $$("input", row).map((input) => input.value.trim());
  const order = [...rows].sort((a, b) => { const [x, y] = [key(a), key(b)]; const place = x.findIndex((part, n) => part !== y[n]); return place < 0 ? 0 : x[place] < y[place] ? -1 : 1 });
  (found.tests || []).forEach((test, number) => {
    const place = order[number] && $(".verdict", order[number]);
    if (place) { place.textContent = test.passes ? "passes" : `fails: ${test.why}`; place.className = `verdict ${test.passes ? "passes" : "fails"}` }
  });
  told.textContent = found.problem || found.error || (found.ok ? "all pass" : "some fail");
}

// --- jobs ---------------------------------------------------------------------------------------------------------------
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function follow(waiting) {
  const address = `/jobs/${waiting.dataset.job}`, bar = $("progress", waiting);
  $("[data-cancel]", waiting)?.addEventListener("click", (event) => { event.preventDefault(); post(`${address}/cancel`, new URLSearchParams()) });
  for (let wait = 150; ; wait = Math.min(wait * 1.3, 1000)) {
    await pause(wait);
    let state;
    try { state = await (await fetch(`${address}/state`, { headers: { Accept: "application/json" } })).json() } catch { continue }
    if (state.error) { $("[data-note]", waiting).textContent = state.error; return }
    if (state.over) break;
    $("[data-note]", waiting).textContent = `${state.note || "waiting for the student"} (${Math.round(state.seconds)} s)`;
    if (state.total) { bar.max = state.total; bar.value = state.done } else bar.removeAttribute("value");
    const count = $("[data-count]", waiting);
    if (count) count.textContent = state.total ? `${state.done} of ${state.total}` : "";
  }
  const part = waiting.closest("[data-part-of-page]");
  if (part) await show(part, address); else location.replace(address);
}

async function show(place, address) {
  const answer = await fetch(address, { headers: { "X-Part": "yes" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  place.replaceChildren(...(page.querySelector("main") || page.body).childNodes);
  prepare(place);
}

async function load(place) {
  place.dataset.partOfPage = "";
  await show(place, place.dataset.load);
}

async function whatIf(button) {
  const form = button.form, place = $(".tried-place", form.parentElement);
  place.dataset.partOfPage = "";
  const answer = await post(button.formAction || form.action, new URLSearchParams(new FormData(form)));
  const found = await answer.json();
  if (found.error) {
    const told = document.createElement("p");
    told.className = "problem";
    told.textContent = found.error;
    place.replaceChildren(told);
    return;
  }
  await show(place, `/jobs/${found.id}`);
  place.scrollIntoView({ block: "nearest" });
}

// --- choosing in a list ---------------------------------------------------------------------------------------------------
const boxes = $$(".bulk input[name=item]"), all = $("[data-all]"), chosen = $(".chosen");
let last = null;
function count() {
  const number = boxes.filter((box) => box.checked).length;
  if (chosen) chosen.textContent = number ? `${number} chosen` : "none chosen";
  if (all) { all.checked = number === boxes.length; all.indeterminate = number > 0 && number < boxes.length }
}
for (const box of boxes) {
  box.addEventListener("click", (event) => {
    if (event.shiftKey && last) {
      const [a, b] = [boxes.indexOf(last), boxes.indexOf(box)].sort((x, y) => x - y);
      boxes.slice(a, b + 1).forEach((one) => { one.checked = box.checked });
    }
    last = box;
    count();
  });
}
all?.addEventListener("change", () => { boxes.forEach((box) => { box.checked = all.checked }); count() });

// --- the graph ------------------------------------------------------------------------------------------------------------
window.addEventListener("DOMContentLoaded", () => {
  const place = $("#graph");
  if (!place || typeof cytoscape === "undefined") return;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "12px system-ui, sans-serif";
  const widest = 150;
  const width = (node) => Math.min(widest, pen.measureText(node.data("label")).width) + 4;
  const height = (node) => 15 * Math.ceil(pen.measureText(node.data("label")).width / widest);
  // From the same beginning the layout comes to the same end; wide, as the place is.
  const wide = place.clientWidth / place.clientHeight;
  const spread = (elements) => elements.map((one, number) => "source" in one.data ? one : { ...one, position: { x: 60 * wide * Math.sqrt(number) * Math.cos(2.4 * number), y: 60 * Math.sqrt(number) * Math.sin(2.4 * number) } });
  const graph = cytoscape({
    container: place,
    elements: spread(JSON.parse(place.dataset.elements)),
    minZoom: 0.2, maxZoom: 3,
    layout: { name: "cose", animate: false, nodeDimensionsIncludeLabels: true, idealEdgeLength: () => 90, nodeRepulsion: () => 90000, gravity: 0.4, numIter: 2500, padding: 24, randomize: false },
    style: [
      { selector: "node", style: { label: "data(label)", color: colour("--text"), "font-size": 12, "font-family": "system-ui, sans-serif", "text-valign": "center", "text-wrap": "wrap", "text-max-width": widest, shape: "round-rectangle", width, height, padding: "7px", "background-color": colour("--ground"), "border-width": 1, "border-color": colour("--edge") } },
      { selector: "node.value", style: { "border-width": 0, "background-color": colour("--soft"), color: colour("--dim") } },
      { selector: "node.start", style: { "background-color": colour("--ours"), "border-color": colour("--ours"), color: colour("--on"), "font-weight": 600 } },
      { selector: "edge", style: { label: "data(label)", "font-size": 10.5, color: colour("--dim"), "text-background-color": colour("--ground"), "text-background-opacity": 1, "text-background-padding": "2px", "curve-style": "bezier", width: 1.4, "line-color": colour("--edge"), "target-arrow-shape": "triangle", "target-arrow-color": colour("--edge"), "arrow-scale": 0.9 } },
      { selector: "edge.proposed", style: { "line-style": "dashed" } },
    ],
  });
  const box = graph.nodes().boundingBox(), stretch = Math.sqrt(Math.min(4, Math.max(1, wide * box.h / box.w)));
  graph.nodes().positions((node) => ({ x: node.position("x") * stretch, y: node.position("y") / stretch }));
  graph.fit(undefined, 24);
  if (graph.zoom() > 1.3) { graph.zoom(1.3); graph.center() }
  graph.on("tap", "node", (event) => { const entity = event.target.data("entity"); if (entity) location.href = `/graph?${new URLSearchParams({ entity })}` });
  graph.on("tap", "edge", (event) => { location.href = `/items/${event.target.data("item")}/edit?${new URLSearchParams({ back: location.pathname + location.search })}` });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
});

prepare(document);
count();
