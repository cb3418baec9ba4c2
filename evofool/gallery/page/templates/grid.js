// what is shown, in which order

const SORTS = {
  confidence: (r) => -(r[SURE] ?? 0), class: (r) => r[CLASS], generation: (r) => r[GEN] ?? (r[MORE].hit ? null : -1), size: (r) => (r[MORE].hit ? null : r[SIZE]),
  fooled: (r) => -r[WON] * 2 - (r[SURE] ?? 0),
  image: (r) => hit(r)?.image ?? null, l2: (r) => hit(r)?.l2 ?? null, passes: (r) => (hit(r) ? hit(r).forward + hit(r).backward : null),
};
let words = [], shown = [], groups = [];
function haystack() {
  hits.clear();
  words = data.rows.map((row) => (label(row) + " " + row[CLASS] + " " + (data.families[row[FAMILY]] ?? "") + " " + runOf(row).name + " " + (hit(row) ? "was " + was(row) + " " + hit(row).origin + " " + way(row) : row[WHO]))
    .normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase());
}
function passes(i) {
  const row = data.rows[i], percentage = row[SURE] * 100;
  if (percentage < Number($("low").value) || percentage > Number($("high").value)) return false;
  if ($("encoding").value !== "" && way(row) !== $("encoding").value) return false;
  if ($("result").value && String(row[WON]) !== $("result").value) return false;
  if ($("run").value !== "" && String(row[RUN]) !== $("run").value) return false;
  return needles.every((needle) => words[i].includes(needle));
}
let needles = [];
function order(list) {
  const how = $("sort").value, down = how.startsWith("-"), rows = data.rows;
  const name = down ? how.slice(1) : how;
  if (name === "name") {
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    return list.sort((a, b) => compare(label(rows[a]), label(rows[b])) || a - b);
  }
  const key = SORTS[name], sign = down ? -1 : 1;
  const compare = (a, b) => { // what has no such thing comes last, either way
    const x = key(rows[a]), y = key(rows[b]);
    return x === null || y === null ? (x === null) - (y === null) : sign * (x - y);
  };
  return list.sort((a, b) => compare(a, b) || rows[a][CLASS] - rows[b][CLASS] || a - b);
}
function gather() {
  needles = $("text").value.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().split(/\s+/).filter(Boolean);
  shown = order([...data.rows.keys()].filter(passes));
  const how = $("group").value;
  const name = {
    family: (r) => data.families[r[FAMILY]] ?? "Others", run: (r) => runOf(r).name,
    encoding: way, source: (r) => (hit(r) ? "Was " + shortName(was(r)) : "Evolved"),
    won: (r) => hit(r) ? (r[WON] ? "Fooled" : "Not fooled") : (r[WON] ? "Fooled: the class is the first answer" : "Not the first answer"),
  }[how];
  if (!name) groups = [["", shown]];
  else {
    const byKey = new Map();
    for (const i of shown) {
      const key = name(data.rows[i]);
      if (!byKey.has(key)) byKey.set(key, []);
      byKey.get(key).push(i);
    }
    groups = [...byKey];
    if (how === "family") groups.sort((a, b) => place(a[0]) - place(b[0]));
    if (how === "encoding") { const all = ways(); groups.sort((a, b) => all.indexOf(a[0]) - all.indexOf(b[0])); }
    if (how === "source") groups.sort((a, b) => rank(a[1][0]) - rank(b[1][0]));
    shown = groups.flatMap(([, list]) => list);
  }
}
const rank = (i) => hit(data.rows[i])?.source ?? Infinity;
const ways = () => [...new Set(data.runs.flatMap((run) => run.attacks?.ways ?? [run.encoding]))];
const place = (name) => (data.families.indexOf(name) + 1) || Infinity;

let painting = 0;
function paint() {
  gather();
  const main = $("pictures"), mine = ++painting, pairs = comparison();
  main.classList.toggle("few", data.rows.length <= 24);
  const whole = pairs ? [["", pairs]] : groups;
  const total = whole.reduce((sum, [, list]) => sum + list.length, 0);
  const paired = pairs && byImage() ? struckPair : pairTile;
  $("count").textContent = pairs ? (paired === struckPair ? counted(total, "pair") : counted(total, "class", "classes")) + " side by side"
    : (total === data.rows.length ? "" : number(total) + " of ") + counted(data.rows.length, "picture");
  const parts = [];
  for (const [name, list] of whole) {
    const grid = make("ol", { class: "grid" + (pairs ? " pairs" : "") });
    parts.push({ list, at: 0, grid, node: make("section", { class: "wing", hidden: true },
      name ? make("h2", {}, isolated(name), make("small", {}, tally(list, name))) : null, grid) });
  }
  main.replaceChildren(...(total ? parts.map((part) => part.node)
    : [make("p", { class: "none" }, data.rows.length ? "No picture matches." : "No picture yet. The first appear as soon as " + (data.runs.some((run) => !run.attacks) || !data.runs.length ? "a first generation is stored." : "a first image was attacked; then run evofool gallery again."))]));
  let current = 0;
  const fill = (count) => {
    while (count > 0 && current < parts.length) {
      const part = parts[current], some = part.list.slice(part.at, part.at + count);
      part.grid.append(...some.map(pairs ? paired : tile));
      part.node.hidden = false;
      part.at += some.length;
      count -= some.length;
      if (part.at === part.list.length) current++;
    }
  };
  fill(FIRST);
  rove();
  const rest = () => {
    if (mine !== painting) return;
    fill(CHUNK);
    if (current < parts.length) later(rest);
    else document.documentElement.dataset.ready = String(total);
  };
  delete document.documentElement.dataset.ready;
  later(rest);
  histogram();
}
const later = window.requestIdleCallback ? (f) => requestIdleCallback(f, { timeout: 120 }) : (f) => setTimeout(f, 8);
function tally(list, name) { // of an attack also how many fool
  const fooled = list.filter((i) => data.rows[i][WON]).length;
  return $("group").value === "encoding" && hit(data.rows[list[0]]) && !$("result").value
    ? number(fooled) + " of " + number(list.length) + " fooled" : number(list.length);
}
function byImage() { // whether the two runs that are compared attack the same images
  if (!$("compare").value) return false;
  const [a, b] = $("compare").value.split(" ").map((k) => data.runs[k].attacks);
  if (!a || !b) return false;
  const digests = new Set(Object.values(a.images).map(([digest]) => digest));
  return Object.values(b.images).some(([digest]) => digests.has(digest));
}
function better(i, j) { // of two for one place: what fools, by the smaller change, else the surer
  if (j === undefined) return i;
  const [x, y] = [data.rows[i], data.rows[j]];
  if (x[WON] !== y[WON]) return x[WON] ? i : j;
  return (hit(x) && hit(y) && x[WON] ? hit(x).l2 < hit(y).l2 : x[SURE] > y[SURE]) ? i : j;
}
function comparison() {
  if (!$("compare").value) return null;
  const [a, b] = $("compare").value.split(" ").map(Number);
  const pairsByKey = new Map(), images = byImage();
  const both = images ? new Set(data.runs[a].attacks.ways.filter((name) => data.runs[b].attacks.ways.includes(name))) : null;
  for (const i of data.rows.keys()) {
    const row = data.rows[i];
    if ((row[RUN] !== a && row[RUN] !== b) || !passes(i)) continue;
    // an attack that both runs know is held against itself, else the best of each run on this image
    const key = images ? hit(row).digest + (both.has(way(row)) ? " " + way(row) + " " + hit(row).target : "") : row[CLASS] + " " + label(row);
    if (!pairsByKey.has(key)) pairsByKey.set(key, []);
    const side = row[RUN] === a ? 0 : 1;
    pairsByKey.get(key)[side] = better(i, pairsByKey.get(key)[side]);
  }
  const best = new Map(order([...pairsByKey.values()].flat().filter((i) => i !== undefined)).map((i, at) => [i, at]));
  const rank = (pair) => Math.min(...pair.filter((i) => i !== undefined).map((i) => best.get(i))) + (images && pair.includes(undefined) ? data.rows.length : 0);
  const pairs = [...pairsByKey.values()].map((pair) => [pair[0], pair[1]]).sort((x, y) => rank(x) - rank(y));
  shown = pairs.flat().filter((i) => i !== undefined);
  return pairs;
}
function histogram() {
  const counts = new Array(25).fill(0);
  for (const row of data.rows) if (row[SURE] !== null) counts[Math.min(24, Math.floor(row[SURE] * 25))]++;
  const most = Math.max(1, ...counts.map(Math.sqrt)), low = Number($("low").value), high = Number($("high").value);
  $("bars").replaceChildren(...counts.map((count, k) => {
    const bar = make("i", { class: step(k / 25) + (k * 4 + 4 <= low || k * 4 >= high ? " off" : "") });
    bar.style.setProperty("--h", Math.sqrt(count) / most);
    return bar;
  }));
  $("span-low").textContent = low + " %";
  $("span-high").textContent = high + " %";
}

// keys: one tab stop for all tiles, arrows inside

const links = () => [...$("pictures").querySelectorAll("a.pic")];
function rove(target) {
  for (const old of $("pictures").querySelectorAll('a.pic[tabindex="0"]')) old.tabIndex = -1;
  const one = target ?? $("pictures").querySelector("a.pic");
  if (one) one.tabIndex = 0;
  if (target) target.focus();
}
function walk(event) {
  const from = event.target.closest?.("a.pic");
  if (!from) return;
  const all = links(), at = all.indexOf(from);
  let to = null;
  if (event.key === "ArrowRight") to = all[at + 1];
  else if (event.key === "ArrowLeft") to = all[at - 1];
  else if (event.key === "Home") to = all[0];
  else if (event.key === "End") to = all[all.length - 1];
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") to = nearest(all, at, event.key === "ArrowDown" ? 1 : -1);
  else return;
  event.preventDefault();
  if (to) { rove(to); to.scrollIntoView({ block: "nearest" }); }
}
function nearest(all, at, way) {
  const box = all[at].getBoundingClientRect();
  let row = null, best = null;
  for (let k = at + way; k >= 0 && k < all.length; k += way) {
    const other = all[k].getBoundingClientRect();
    if (Math.abs(other.top - box.top) < 4) continue;
    if (row === null) row = other.top;
    if (Math.abs(other.top - row) > 4) break;
    if (!best || Math.abs(other.left - box.left) < best[0]) best = [Math.abs(other.left - box.left), all[k]];
  }
  return best && best[1];
}
