// light and dark

const THEMES = ["", "dark", "light"];
function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  $("theme").setAttribute("aria-label", "Colours: " + (name || "as the system"));
  $("theme").textContent = name ? name[0].toUpperCase() + name.slice(1) : "Theme";
}
const stored = { get: () => { try { return localStorage.getItem("evofool-theme") ?? ""; } catch { return ""; } },
  set: (v) => { try { localStorage.setItem("evofool-theme", v); } catch { /* a page without storage */ } } };
function nextTheme() {
  const name = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "") + 1) % 3];
  theme(name);
  stored.set(name);
}

// news from a run that is still going on

const me = Math.random().toString(36).slice(2, 12);
let version = "", waiting = false, ticking = 0, failures = 0;
function news(...parts) {
  $("news").hidden = !parts.length;
  $("news").replaceChildren(...parts);
}
function counters() { // what changes while a run goes on
  data.runs.forEach((run, k) => {
    document.querySelector(`[data-headline="${k}"]`).textContent = run.headline;
    document.querySelector(`[data-status="${k}"]`).textContent = run.status;
    const facts = Object.fromEntries(run.facts);
    document.querySelector(`[data-progress="${k}"]`).textContent = ", generation " + facts.generations + ", " + facts.evaluations + (facts.evaluations === "1" ? " evaluation" : " evaluations");
    run.facts.forEach(([, value], at) => { document.querySelector(`[data-run="${k}"] [data-fact="${at}"] bdi`).textContent = value; });
  });
  const status = data.runs[0]?.status;
  if (status === "finished") {
    if (data.live.finished) news("The run has ended. ", make("a", { href: data.live.finished }, "See the finished gallery"));
    else news("The run has ended; its gallery is not made yet.");
  } else if (status === "interrupted") news("The run was interrupted. These are the pictures it had.");
  else news();
  keeping = status === "finished" || status === "interrupted";
  if (keeping) for (const image of document.images) image.loading = "eager";
}
async function refresh() {
  waiting = dialog.open;
  if (waiting) return;
  const answer = await fetch("data.json");
  if (!answer.ok) throw new Error("no data");
  const fresh = await answer.json();
  if (fresh.runs.length !== data.runs.length) { location.reload(); return; }
  const top = scrollY, focused = document.activeElement.closest?.("a.pic")?.hash;
  // a tile whose row is the same stays, and with it the picture that it has loaded
  const old = new Map([...tiles].map(([i, node]) => [link(data.rows[i]), [JSON.stringify(data.rows[i]), node]]));
  data = fresh;
  tiles.clear();
  data.rows.forEach((row, i) => {
    const [text, node] = old.get(link(row)) ?? [];
    if (node && text === JSON.stringify(row)) tiles.set(i, node);
  });
  haystack();
  fillSelects();
  counters();
  paint();
  scrollTo(0, top);
  const again = focused && links().find((a) => a.hash === focused);
  if (again) rove(again);
}
const kept = () => keeping && !waiting && document.documentElement.dataset.ready !== undefined && [...document.images].every((image) => image.complete);
async function tick() {
  if (document.hidden) return;
  try {
    const answer = await fetch("version?page=" + me + "&kept=" + (kept() ? encodeURIComponent(version) : ""));
    if (!answer.ok) throw new Error("no answer");
    const text = await answer.text();
    if (text !== version) { await refresh(); version = text; }
    failures = 0;
  } catch { if (++failures > 2) gone(); }
}
function gone() {
  clearInterval(ticking);
  const place = data.runs[0]?.status === "finished" && data.live.finished && data.live.place;
  news("The server has ended; these are the last pictures it gave.", ...(place ? [" The finished gallery is the file ", make("code", {}, isolated(place))] : []));
}
