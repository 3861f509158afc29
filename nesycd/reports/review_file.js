// Decisions on the items in #data: shown one by one, kept in this browser, given back as a file. Texts are only ever set as text.
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const items = data.items;
  const place = new Map(items.map((one, index) => [one.id, index]));
  const PAGE = 50;
  const WORDS = { approve: "approved", reject: "rejected", "not sure": "not sure" };
  const SIGNS = { approve: "✓", reject: "✗", "not sure": "?" };
  let made = new Map(); // id -> { decision, changes, comment }
  let at = 0;
  let page = 0;
  let shown = [];
  const past = []; // [id, what was decided before, where the list stood]

  // --- what is kept
  const key = `nesycd review ${data.base} ${data.revision}`;
  let keeps = true;
  const keep = () => {
    try {
      localStorage.setItem(key, JSON.stringify({ by: byId("by").value, decisions: [...made] }));
    } catch {
      keeps = false;
    }
    byId("keeps").hidden = keeps;
    const told = "This browser keeps nothing of this page: download the decisions before you close it.";
    byId("keeps").textContent = keeps ? "" : told;
  };
  const restore = () => {
    try {
      const old = JSON.parse(localStorage.getItem(key) || "null");
      if (!old) return;
      byId("by").value = String(old.by || "");
      made = new Map(old.decisions.filter(([id]) => place.has(id)));
    } catch {
      made = new Map();
    }
  };
  let given = 0; // how many decisions there were when they were downloaded or copied last
  addEventListener("beforeunload", (event) => {
    if (!keeps && made.size !== given) event.preventDefault();
  });

  // --- making elements
  const element = (name, attributes = {}, ...children) => {
    const one = document.createElement(name);
    for (const [what, value] of Object.entries(attributes)) if (value !== null) one.setAttribute(what, value);
    one.append(...children.filter((child) => child !== null && child !== ""));
    return one;
  };
  const row = (what, value) => (value ? [element("dt", {}, what), element("dd", {}, value)] : []);
  const asLine = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const asText = (value) => (Array.isArray(value) ? value.map(asLine).join("\n") : value || "");
  const after = (one) => ({ ...one.item, ...(made.get(one.id)?.changes || {}) });
  const said = (text) => { byId("said").textContent = text; };

  // --- the list
  const haystacks = [];
  const haystack = (index) => {
    const one = items[index];
    haystacks[index] ??= [Object.values(one.item), one.id, one.reasons].flat(2).map(asLine).join(" ").toLowerCase();
    return haystacks[index];
  };
  const kinds = {
    "to decide": (one) => !made.get(one.id)?.decision,
    all: () => true,
    approved: (one) => made.get(one.id)?.decision === "approve",
    edited: (one) => Object.keys(made.get(one.id)?.changes || {}).length > 0,
    rejected: (one) => made.get(one.id)?.decision === "reject",
    "not sure": (one) => made.get(one.id)?.decision === "not sure",
    "with a comment": (one) => Boolean(made.get(one.id)?.comment),
  };
  const choose = () => {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = kinds[byId("show").value];
    shown = [];
    for (let index = 0; index < items.length; index += 1) {
      if (fits(items[index]) && words.every((word) => haystack(index).includes(word))) shown.push(index);
    }
  };
  const list = () => {
    page = Math.max(0, Math.min(page, Math.ceil(shown.length / PAGE) - 1));
    const part = shown.slice(page * PAGE, (page + 1) * PAGE);
    byId("list").replaceChildren(...part.map((index) => {
      const decided = made.get(items[index].id)?.decision;
      const sign = element("span", { class: "sign", title: WORDS[decided] || "to decide" }, SIGNS[decided] || "·");
      const current = index === at ? "true" : null;
      const text = element("span", {}, after(items[index]).text.slice(0, 200));
      const button = element("button", { type: "button", "data-at": index, "aria-current": current }, sign, text);
      return element("li", {}, button);
    }));
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    byId("place").textContent = `${shown.length} ${shown.length === 1 ? "item" : "items"}${pages > 1 ? `, page ${page + 1} of ${pages}` : ""}`;
    byId("earlier").disabled = page === 0;
    byId("later").disabled = page >= pages - 1;
  };
  const count = () => {
    let decided = 0;
    for (const one of made.values()) decided += one.decision ? 1 : 0;
    byId("progress").max = items.length;
    byId("progress").value = decided;
    byId("count").textContent = `${decided} of ${items.length} decided`;
    byId("download").disabled = byId("copy").disabled = made.size === 0;
    byId("undo").disabled = past.length === 0;
  };

  // --- the item
  const changed = (old, now) => (old === now ? now : element("span", {}, element("del", {}, old), " ", element("ins", {}, now)));
  const card = () => {
    const one = items[at];
    const entry = made.get(one.id) || {};
    const now = after(one);
    const triple = ["subject", "relation", "object", "aliases", "clause", "says", "scope", "exceptions", "tests"]
      .flatMap((field) => {
        const [old, value] = [asText(one.item[field]), asText(now[field])];
        return old || value ? row(field === "aliases" ? "other names" : field, changed(old, value)) : [];
      });
    const cases = one.cases.map((found) => element("div", { class: "case" }, element("dl", {},
      ...row("question", found.question), ...row("right answer", found.right), ...row("the student's answer", found.answered),
      ...row("what went wrong", found.cause))));
    const parts = [
      element("p", { class: "meta" }, `${one.item.kind} ${one.id.slice(0, 8)}, ${at + 1} of ${items.length}`,
        one.status === "proposed" ? "" : `, ${one.status}${one.by === "auto" ? " automatically" : one.by ? ` by ${one.by}` : ""}`),
      element("h2", { id: "heading", tabindex: "-1" }, changed(one.item.text, now.text)),
    ];
    if (entry.decision) {
      const css = `decided ${{ approve: "good", reject: "bad" }[entry.decision] || ""}`;
      const more = Object.keys(entry.changes || {}).length ? ", with your changes" : "";
      parts.push(element("p", { class: css }, `${SIGNS[entry.decision]} ${WORDS[entry.decision]}${more}`));
    }
    if (triple.length) parts.push(element("dl", { class: "triple" }, ...triple));
    const why = [element("h3", {}, "Why it is asked")];
    if (one.reasons.length) why.push(element("ul", {}, ...one.reasons.map((reason) => element("li", {}, reason))));
    const from = one.sources.length ? ` by ${one.sources.join(", ")}` : "";
    const seen = one.by && one.by !== "auto" ? "" : ", and no person has looked at it yet";
    why.push(element("p", {}, one.status === "proposed"
      ? `It was proposed${from}, and is not used before somebody approves it.`
      : one.status === "approved"
        ? `It was proposed${from} and is in use${seen}; to approve it leaves it as it is.`
        : `It was proposed${from} and is ${one.status}; to approve it puts it into use.`));
    if (cases.length) why.push(element("h3", {}, "What it comes from"), ...cases);
    if (one.evidence > cases.length) why.push(element("p", { class: "meta" },
      `${one.evidence} piece${one.evidence === 1 ? "" : "s"} of evidence in all.`));
    byId("item").replaceChildren(...parts);
    byId("behind").replaceChildren(...why);
    byId("comment").value = entry.comment || "";
    byId("previous").disabled = byId("next").disabled = shown.length < 2 && shown[0] === at;
  };
  const show = (focus = true) => {
    isEditing(false);
    card();
    list();
    count();
    if (focus) {
      byId("heading").focus({ preventScroll: true });
      if (byId("item").getBoundingClientRect().top < 0) byId("item").scrollIntoView();
    }
  };
  const go = (index, focus = true) => {
    if (!leaves()) return;
    at = index;
    const where = shown.indexOf(at);
    if (where >= 0) page = Math.floor(where / PAGE);
    show(focus);
  };
  const step = (by) => {
    const beyond = by > 0 ? shown.find((index) => index > at) : shown.findLast((index) => index < at);
    if (beyond === undefined) said(by > 0 ? "This is the last one." : "This is the first one.");
    else go(beyond);
  };

  // --- deciding
  const put = (one, entry) => {
    if (entry && (entry.decision || entry.comment)) made.set(one.id, entry);
    else made.delete(one.id);
    keep();
  };
  const decide = (decision, changes = {}) => {
    const one = items[at];
    past.push([one.id, made.get(one.id)]);
    put(one, { decision, changes, comment: byId("comment").value.trim() });
    choose();
    const open = (index) => kinds["to decide"](items[index]);
    const next = shown.find((index) => index > at && open(index)) ?? shown.find(open);
    const told = `${WORDS[decision][0].toUpperCase()}${WORDS[decision].slice(1)}: ${after(one).text.slice(0, 80)}`;
    if (next === undefined) {
      const left = items.filter(kinds["to decide"]).length;
      const rest = left ? `Nothing is left here to decide; ${left} elsewhere.` : "That was the last one: download the decisions.";
      said(`${told}. ${rest}`);
      show();
    } else {
      said(told);
      go(next);
    }
  };
  const undo = () => {
    const last = past.pop();
    if (!last) return said("There is nothing to undo.");
    put(items[place.get(last[0])], last[1]);
    choose();
    go(place.get(last[0]));
    return said("Taken back.");
  };

  // --- editing
  let opened = ""; // what the fields held when they were shown
  const isEditing = (is) => {
    byId("form").hidden = !is;
    byId("acts").hidden = byId("remark").hidden = is;
  };
  const leaves = () => {
    if (byId("form").hidden || opened === JSON.stringify(changesOf(items[at]))) return true;
    return confirm("Leave this item without saving your changes?");
  };
  const words = (text) => text.toLowerCase().split(/\s+/).join(" ");
  const fieldsOf = () => [...byId("fields").querySelectorAll("[name]")];
  const changesOf = (one) => {
    const found = {};
    for (const field of fieldsOf()) {
      const value = field.value.trim();
      if (value === asText(one.item[field.name]).trim()) continue;
      found[field.name] = field.name === "aliases" ? value.split("\n").map((name) => name.trim()).filter(Boolean) : value;
    }
    return found;
  };
  const warn = () => {
    const value = Object.fromEntries(fieldsOf().map((field) => [field.name, words(field.value)]));
    const unsaid = [];
    if (value.object && !value.text.includes(value.object)) unsaid.push("object");
    const names = fieldsOf().filter((field) => ["subject", "aliases"].includes(field.name))
      .flatMap((field) => field.value.split("\n").map(words)).filter((name) => name.trim());
    if (value.subject && !names.some((name) => value.text.includes(name))) unsaid.push("subject");
    byId("warn").textContent = !unsaid.length ? "" : `The text does not say the ${unsaid.join(" and the ")}. `
      + "The student reads the text, and looks up the fields below it: change both together.";
  };
  const edit = () => {
    const one = items[at];
    const now = after(one);
    const fields = data.editable[one.item.kind].map((name) => {
      const long = ["text", "clause", "aliases"].includes(name);
      const box = element(long ? "textarea" : "input", { name, rows: long ? (name === "text" ? 3 : 2) : null });
      box.value = asText(now[name]);
      box.addEventListener("input", warn);
      return element("label", { class: "stacked" }, name === "aliases" ? "other names of the subject, one a line" : name, box);
    });
    byId("fields").replaceChildren(...fields, element("p", { id: "warn", role: "alert" }),
      element("button", { class: "main" }, "Save and approve"), " ",
      element("button", { type: "button", id: "cancel" }, "Cancel"));
    byId("cancel").addEventListener("click", () => { isEditing(false); byId("edit").focus(); });
    isEditing(true);
    opened = JSON.stringify(changesOf(one));
    warn();
    byId("fields").querySelector("[name]").focus();
    byId("form").scrollIntoView({ block: "nearest" });
  };
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const empty = fieldsOf().find((field) => !field.value.trim() && !["aliases", "clause"].includes(field.name));
    if (empty) {
      byId("warn").textContent = `The ${empty.name} is empty.`;
      empty.focus();
    } else {
      const changes = changesOf(items[at]);
      isEditing(false);
      decide("approve", changes);
    }
  });

  // --- giving back
  const file = () => JSON.stringify({
    schema: data.schema,
    base: data.base,
    revision: data.revision,
    title: data.title,
    by: byId("by").value.trim(),
    at: new Date().toISOString(),
    decisions: items.filter((one) => made.has(one.id)).map(({ id, state }) => {
      const { decision = "", changes = {}, comment = "" } = made.get(id);
      return { id, state, decision, changes, comment };
    }),
  }, null, 1);
  const isNamed = () => {
    if (byId("by").value.trim()) return true;
    byId("by").focus();
    said("Say your name first: it stands beside your decisions.");
    return false;
  };
  byId("download").addEventListener("click", () => {
    if (!isNamed()) return;
    const url = URL.createObjectURL(new Blob([file()], { type: "application/json" }));
    const name = data.title.replace(/[^A-Za-z0-9_.-]+/g, "-").replace(/^[-.]+/, "") || "base";
    element("a", { href: url, download: `decisions-${name}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
    given = made.size;
    said(`${made.size} decisions are in the file; send it back.`);
  });
  byId("copy").addEventListener("click", async () => {
    if (!isNamed()) return;
    try {
      await navigator.clipboard.writeText(file());
      given = made.size;
      said(`${made.size} decisions copied; paste them into a file.`);
    } catch {
      said("This browser does not let the page copy; download the file.");
    }
  });
  byId("load").addEventListener("change", async () => {
    const [chosen] = byId("load").files;
    if (!chosen) return;
    try {
      const old = JSON.parse(await chosen.text());
      if (old.schema !== data.schema || !Array.isArray(old.decisions)) throw new Error("it is no file of decisions");
      if (old.base !== data.base) throw new Error("it belongs to another page");
      let taken = 0;
      for (const one of old.decisions) {
        const index = place.get(one.id);
        if (index === undefined || items[index].state !== one.state) continue;
        const editable = data.editable[items[index].item.kind];
        const changes = Object.fromEntries(Object.entries(Object(one.changes)).filter(([name]) => editable.includes(name)));
        const decision = Object.hasOwn(WORDS, one.decision) ? one.decision : "";
        put(items[index], { decision, changes, comment: String(one.comment || "") });
        taken += 1;
      }
      if (old.by && !byId("by").value) byId("by").value = String(old.by);
      past.length = 0;
      choose();
      go(shown[0] ?? 0);
      said(`${taken} of ${old.decisions.length} decisions taken from the file.`);
    } catch (error) {
      said(`The file cannot be used: ${error.message}.`);
    }
    byId("load").value = "";
  });

  // --- the controls
  byId("approve").addEventListener("click", () => decide("approve", made.get(items[at].id)?.changes || {}));
  byId("reject").addEventListener("click", () => decide("reject"));
  byId("unsure").addEventListener("click", () => decide("not sure"));
  byId("edit").addEventListener("click", edit);
  byId("undo").addEventListener("click", undo);
  byId("next").addEventListener("click", () => step(1));
  byId("previous").addEventListener("click", () => step(-1));
  byId("by").addEventListener("change", keep);
  byId("comment").addEventListener("change", () => {
    const one = items[at];
    put(one, { changes: {}, decision: "", ...made.get(one.id), comment: byId("comment").value.trim() });
    choose();
    list();
    count();
  });
  byId("list").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) go(Number(button.dataset.at));
  });
  for (const [id, by] of [["earlier", -1], ["later", 1]]) byId(id).addEventListener("click", () => { page += by; list(); });
  for (const [id, what] of [["search", "input"], ["show", "change"]]) {
    byId(id).addEventListener(what, () => {
      choose();
      page = 0;
      if (shown.length && !shown.includes(at)) go(shown[0], false);
      else list();
    });
  }
  const keys = { a: "approve", e: "edit", r: "reject", u: "unsure", z: "undo", j: "next", k: "previous" };
  addEventListener("keydown", (event) => {
    const writes = event.target.matches("input:not([type=checkbox]), textarea, select");
    if (event.key === "Escape" && !byId("form").hidden) byId("cancel").click();
    else if (event.key === "Escape" && writes) byId("heading").focus();
    if (writes || event.ctrlKey || event.metaKey || event.altKey || !byId("keys").checked || !byId("form").hidden) return;
    const button = byId(keys[event.key]);
    if (button) button.click();
    else if (event.key === "c") byId("comment").focus();
    else if (event.key === "/") byId("search").focus();
    else return;
    event.preventDefault();
  });

  byId("without").remove();
  if (!items.length) return said("Nothing waits for review.");
  byId("review").hidden = false;
  restore();
  keep();
  choose();
  return go(shown[0] ?? 0, false);
})();
