// The sample answers' controls; without this script all samples are shown.
(() => {
  const samples = [...document.querySelectorAll(".sample")];
  const byId = (id) => document.getElementById(id);
  if (!samples.length) return;
  const update = () => {
    for (const sample of samples) {
      const other = byId("task").value && sample.dataset.task !== byId("task").value;
      sample.hidden = Boolean(other) || (byId("disagree").checked && sample.dataset.disagree !== "yes");
    }
    byId("samples").classList.toggle("bare", !byId("given").checked);
  };
  for (const id of ["task", "disagree", "given"]) byId(id).addEventListener("change", update);
  byId("open").addEventListener("click", () => {
    const close = samples.some((sample) => sample.open && !sample.hidden);
    for (const sample of samples) sample.open = !close && !sample.hidden;
    byId("open").textContent = close ? "open all" : "close all";
  });
  update();
})();
