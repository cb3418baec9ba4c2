function fillSelects() {
  const choose = (id, pairs, least) => {
    const select = $(id), now = select.value, keep = select.options[0];
    select.replaceChildren(keep, ...pairs.map(([value, text]) => make("option", { value }, bare(text))));
    select.value = pairs.some(([value]) => value === now) ? now : "";
    select.parentNode.hidden = pairs.length < least;
  };
  const encodings = ways(), struck = data.runs.some((run) => run.attacks);
  choose("encoding", encodings.map((name) => [name, name]), 2);
  choose("run", data.runs.map((run, k) => [String(k), run.name]), 2);
  const pairs = [];
  data.runs.forEach((a, i) => data.runs.forEach((b, j) => { if (i < j) pairs.push([i + " " + j, a.name + " | " + b.name]); }));
  choose("compare", pairs, 1);
  const kinds = [["won", "fooled or not"]];
  if (data.families.length) kinds.unshift(["family", "family"]);
  if (data.runs.length > 1) kinds.push(["run", "run"]);
  if (encodings.length > 1) kinds.push(["encoding", !struck ? "encoding" : evolved ? "encoding or attack" : "attack"]);
  if (struck) kinds.push(["source", "class it was"]);
  choose("group", kinds, 1);
  $("text").placeholder = data.families.length ? "Class or family" : "Search classes";
}

const home = document.title;
theme(stored.get());
haystack();
const evolved = data.runs.some((run) => !run.attacks);
fillSelects();
if (data.runs.length === 1 && !evolved && ways().length > 1) $("group").value = "encoding";
paint();
let typing = 0;
const soon = () => {
  clearTimeout(typing);
  typing = setTimeout(paint, 90);
  delete document.documentElement.dataset.ready; // until what was typed is shown
};
$("text").addEventListener("input", soon);
for (const id of ["sort", "group", "encoding", "result", "run", "compare"]) $(id).addEventListener("change", paint);
for (const [id, other, sign] of [["low", "high", 1], ["high", "low", -1]]) {
  $(id).addEventListener("input", () => {
    if (sign * Number($(id).value) > sign * Number($(other).value)) $(other).value = $(id).value;
    histogram();
    soon();
  });
}
$("more").addEventListener("click", () => {
  const open = $("panel").classList.toggle("open");
  $("more").setAttribute("aria-expanded", String(open));
});
$("theme").addEventListener("click", nextTheme);
$("ask").addEventListener("click", () => $("help").showModal());
$("help-close").addEventListener("click", () => $("help").close());
$("close").addEventListener("click", () => dialog.close());
$("previous").addEventListener("click", () => turn(-1));
$("next").addEventListener("click", () => turn(1));
$("pictures").addEventListener("keydown", walk);
addEventListener("hashchange", follow);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches?.("input:not([type=range]), select, textarea");
  if (event.key === "Escape" && event.target.id === "text") { $("text").value = ""; paint(); $("text").blur(); return; }
  if (typing) return;
  if (event.key === "?" && !$("help").open) { event.preventDefault(); $("help").showModal(); }
  else if ($("help").open) return;
  else if (event.key === "t") nextTheme();
  else if (dialog.open && event.key === "ArrowLeft" && !event.target.closest?.(".line, .graph")) { event.preventDefault(); turn(-1); }
  else if (dialog.open && event.key === "ArrowRight" && !event.target.closest?.(".line, .graph")) { event.preventDefault(); turn(1); }
  else if (dialog.open && event.key === "p" && data.rows[current][MORE].line) toggle(data.rows[current]);
  else if (!dialog.open && event.key === "/") { event.preventDefault(); $("text").focus(); $("text").select(); }
});
follow();
if (data.live) {
  counters();
  ticking = setInterval(tick, 2000);
  document.addEventListener("visibilitychange", tick);
  tick();
}
