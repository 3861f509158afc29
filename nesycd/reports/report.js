// What the page can do besides being read; without this script all of it is there, folded by the browser itself.
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  for (const one of all(".scripted")) one.hidden = false;

  // A link to what is folded unfolds it; current browsers do so by themselves.
  const reveal = () => {
    let place = byId(decodeURIComponent(location.hash.slice(1)));
    if (!place) return;
    for (let fold = place.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    place.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  // Paper has no folds.
  let shut = [];
  addEventListener("beforeprint", () => {
    shut = all("details:not([open])");
    for (const fold of shut) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of shut) fold.open = false;
  });

  const button = (text, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", () => act(made));
    return made;
  };
  const folds = all(".fold");
  if (folds.length) {
    const toggle = button("open all", (made) => {
      const open = folds.some((fold) => !fold.open);
      for (const fold of folds) fold.open = open;
      made.textContent = open ? "close all" : "open all";
    });
    byId("details").querySelector("h2").after(toggle);
  }
  for (const command of all(".command")) {
    command.append(button("copy", async (made) => {
      const code = command.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        made.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(code);
        made.textContent = "selected";
      }
      setTimeout(() => { made.textContent = "copy"; }, 2000);
    }));
  }

  // The sample answers' controls.
  const samples = all(".sample");
  if (!samples.length) return;
  const update = () => {
    for (const sample of samples) {
      const other = byId("task").value && sample.dataset.task !== byId("task").value;
      sample.hidden = Boolean(other) || (byId("disagree").checked && sample.dataset.disagree !== "yes");
    }
    byId("samples").classList.toggle("bare", !byId("given").checked);
  };
  for (const id of ["task", "disagree", "given"]) byId(id).addEventListener("change", update);
  byId("task").parentElement.parentElement.append(button("open all answers", (made) => {
    const close = samples.some((sample) => sample.open && !sample.hidden);
    for (const sample of samples) sample.open = !close && !sample.hidden;
    made.textContent = close ? "open all answers" : "close all answers";
  }));
  update();
})();
