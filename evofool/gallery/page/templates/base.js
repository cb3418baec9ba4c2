// Everything here that comes from a run folder becomes text nodes and attribute values, never markup.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const $ = (id) => document.getElementById(id);
let data = read("data");
let keeping = false; // a live run has ended: every picture is loaded before its server goes
const assets = read("assets");
const [RUN, KEY, CLASS, SURE, WON, GEN, FAMILY, SIZE, WHO, MORE] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const FIRST = 120, CHUNK = 500;

// small things

function make(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "class") node.className = value;
    else if (name in node && name !== "width" && name !== "height") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
const isolated = (text) => make("bdi", {}, text);
const bare = (text) => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "");
function percent(p) { // rounded down, as in evofool.text: only 1 itself reads 100 %
  if (p === null) return "–";
  if (p >= 1) return "100 %";
  const nines = Math.floor(-Math.log10(1 - p) + 1e-9);
  const digits = nines < 2 ? 1 : nines < 4 ? 2 : Math.min(8, Math.max(4, nines - 1));
  const scale = 10 ** digits;
  return (Math.floor(p * 100 * scale + 1e-9) / scale).toFixed(digits) + " %";
}
const number = (n) => n.toLocaleString("en-US");
const counted = (n, one, many = one + "s") => number(n) + " " + (n === 1 ? one : many);
const step = (p) => "s" + Math.min(4, Math.floor(p * 5));
const runOf = (row) => data.runs[row[RUN]];
const labelIn = (run, c) => run.labels[c] ?? "class " + c;
const label = (row) => labelIn(runOf(row), row[CLASS]);
const HIT = ["way", "image", "target", "complete", "floats", "eps", "effective", "l0", "l2", "linf", "ssim", "forward", "backward", "judging"];
const hits = new Map();
function hit(row) { // what an attack came to; null of an evolved picture
  if (!row[MORE].hit) return null;
  if (!hits.has(row)) {
    const attacked = Object.fromEntries(row[MORE].hit.map((value, k) => [HIT[k], value]));
    const [digest, origin, source, before, sure] = runOf(row).attacks.images[attacked.image];
    hits.set(row, { ...attacked, digest, origin, source, before, sure });
  }
  return hits.get(row);
}
const way = (row) => (row[MORE].hit ? runOf(row).attacks.ways[row[MORE].hit[0]] : runOf(row).encoding);
const was = (row) => labelIn(runOf(row), hit(row).source);
const shortName = (text) => text.split(",")[0].trim() || text;
const link = (row) => "#" + runOf(row).key + "/" + row[KEY];
function file(row, kind) {
  const path = runOf(row).paths[kind];
  if (!path) return "";
  const name = path.replace("{}", kind === "clean" ? String(hit(row).image).padStart(5, "0") : row[KEY].padStart(4, "0"));
  return assets[name] ?? name + (data.live ? "?" + encodeURIComponent(row[WHO]) : "");
}
function meter(p) {
  const bar = make("span", { class: "meter " + step(p), "aria-hidden": "true" }, make("i"));
  bar.firstChild.style.setProperty("--p", p);
  return bar;
}
function badge(row) { // words and shape, so that it reads without colour
  return make("span", { class: "badge " + (row[WON] ? "won" : "lost") }, row[WON] ? "fooled" : "not fooled");
}
function picture(row, kind, words) {
  const run = runOf(row);
  const image = make("img", {
    alt: words, loading: keeping ? "eager" : "lazy", decoding: "async", width: run.size[1], height: run.size[0],
    src: file(row, kind) || file(row, "picture"),
  });
  if (run.small) image.classList.add("square");
  if (run.size[0] !== run.size[1]) image.style.setProperty("--ratio", run.size[1] / run.size[0]);
  return image;
}
