"use strict";
(() => {
  // Everything here that comes from a run folder becomes text nodes and attribute values, never markup.
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const $ = (id) => document.getElementById(id);
  let data = read("data");
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
  const step = (p) => "s" + Math.min(4, Math.floor(p * 5));
  const runOf = (row) => data.runs[row[RUN]];
  const labelIn = (run, c) => run.labels[c] ?? "class " + c;
  const label = (row) => labelIn(runOf(row), row[CLASS]);
  const HIT = ["way", "image", "target", "complete", "floats", "eps", "effective", "l0", "l2", "linf", "ssim", "forward", "backward", "judging"];
  const hits = new Map();
  function hit(row) { // what an attack came to; null of an evolved picture
    if (!row[MORE].hit) return null;
    if (!hits.has(row)) {
      const found = Object.fromEntries(row[MORE].hit.map((value, k) => [HIT[k], value]));
      const [digest, origin, source, before, sure] = runOf(row).attacks.images[found.image];
      hits.set(row, { ...found, digest, origin, source, before, sure });
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
    return assets[name] ?? name + (data.served ? "?" + encodeURIComponent(row[WHO]) : "");
  }
  function meter(p) {
    const bar = make("span", { class: "meter " + step(p), "aria-hidden": "true" }, make("i"));
    bar.firstChild.style.setProperty("--p", p);
    return bar;
  }
  function picture(row, kind, words) {
    const run = runOf(row);
    const image = make("img", {
      alt: words, loading: "lazy", decoding: "async", width: run.size[1], height: run.size[0],
      src: file(row, kind) || file(row, "picture"),
    });
    if (run.small) image.classList.add("square");
    if (run.size[0] !== run.size[1]) image.style.setProperty("--ratio", run.size[1] / run.size[0]);
    return image;
  }

  // tiles

  const tiles = new Map();
  function tile(i) {
    let node = tiles.get(i);
    if (!node) {
      const row = data.rows[i], name = label(row), several = data.runs.length > 1;
      const struck = hit(row);
      const words = struck ? told(row) : "Evolved picture, taken for " + bare(shortName(name)) + " at " + percent(row[SURE]);
      const meta = "class " + row[CLASS] + (row[GEN] === null ? "" : " · gen " + number(row[GEN]));
      if (struck) node = struckTile(i, row, name, words);
      else node = make("li", { class: "tile" + (row[WON] ? "" : " lost") },
        make("a", { class: "pic", href: link(row), tabIndex: -1, title: bare(name) }, picture(row, "thumb", words)),
        make("div", { class: "cap" },
          make("div", { class: "sure" }, make("b", {}, percent(row[SURE])), meter(row[SURE])),
          make("p", { class: "name" }, isolated(shortName(name))),
          make("p", { class: "meta" }, meta, " · ", isolated(several ? runOf(row).name : runOf(row).encoding))));
      node.dataset.i = i;
      tiles.set(i, node);
    }
    return node;
  }
  const told = (row) => "Attacked image of " + bare(shortName(was(row))) + (row[WON] ? "" : ", not fooled") + ", taken for "
    + bare(shortName(label(row))) + (row[SURE] === null ? "" : " at " + percent(row[SURE]));
  function origin(row) { // what it was, and what became of the attack
    const run = runOf(row), { target } = hit(row), parts = ["was ", isolated(shortName(was(row)))];
    if (target !== null && !(row[WON] && target === row[CLASS])) parts.push(", aimed at ", isolated(shortName(labelIn(run, target))));
    if (!row[WON]) parts.push(" · not fooled");
    else if (target === null && row[CLASS] === hit(row).source) parts.push(" already");
    return parts;
  }
  function struckTile(i, row, name, words) {
    const several = data.runs.length > 1;
    return make("li", { class: "tile" + (row[WON] ? "" : " lost") },
      make("a", { class: "pic", href: link(row), tabIndex: -1, title: bare(name) }, picture(row, "thumb", words)),
      make("div", { class: "cap" },
        make("div", { class: "sure" }, make("b", {}, percent(row[SURE])), meter(row[SURE] ?? 0)),
        make("p", { class: "name" }, isolated(shortName(name))),
        make("p", { class: "meta" }, ...origin(row)),
        make("p", { class: "meta" }, isolated(way(row)), ...(several ? [" · ", isolated(runOf(row).name)] : []))));
  }
  function struckPair([a, b]) {
    const rows = [a, b].map((i) => (i === undefined ? null : data.rows[i])), known = rows.find(Boolean);
    const same = rows.every((row) => row && way(row) === way(known));
    const half = (row) => row ? make("a", { class: "pic", href: link(row), tabIndex: -1 },
      picture(row, "thumb", "Run " + bare(runOf(row).name) + ": " + told(row))) : make("span", { class: "gone" }, "none");
    const score = (row) => make("div", {},
      make("div", { class: "sure" }, make("b", {}, row ? percent(row[SURE]) : "–"), meter(row?.[SURE] ?? 0)),
      row ? make("p", { class: "name" + (row[WON] ? "" : " quiet") }, isolated(shortName(label(row)))) : null,
      row && !row[WON] ? make("p", { class: "meta" }, "not fooled") : null,
      row && !same ? make("p", { class: "meta" }, isolated(way(row))) : null);
    return make("li", { class: "tile" },
      make("div", { class: "pair" }, half(rows[0]), half(rows[1]), score(rows[0]), score(rows[1])),
      make("p", { class: "meta" }, "was ", isolated(shortName(was(known))), " · image " + hit(known).image, ...(same ? [" · ", isolated(way(known))] : [])));
  }
  function pairTile([a, b]) {
    const rows = [a, b].map((i) => (i === undefined ? null : data.rows[i]));
    const known = rows.find(Boolean), name = label(known);
    const about = (row) => hit(row) ? "Run " + bare(runOf(row).name) + ": " + told(row) : "Evolved picture of run " + bare(runOf(row).name) + ", taken for " + bare(shortName(name)) + " at " + percent(row[SURE]);
    const half = (row) => row
      ? make("a", { class: "pic", href: link(row), tabIndex: -1 },
        picture(row, "thumb", about(row)))
      : make("span", { class: "gone" }, "none");
    const score = (row) => make("div", { class: "sure" }, make("b", {}, row ? percent(row[SURE]) : "–"), meter(row?.[SURE] ?? 0));
    return make("li", { class: "tile" },
      make("div", { class: "pair" }, half(rows[0]), half(rows[1]), score(rows[0]), score(rows[1])),
      make("p", { class: "name" }, isolated(shortName(name))),
      make("p", { class: "meta" }, "class " + known[CLASS]));
  }

  // what is shown, in which order

  const SORTS = {
    confidence: (r) => -(r[SURE] ?? 0), class: (r) => r[CLASS], generation: (r) => r[GEN] ?? (r[MORE].hit ? null : -1), size: (r) => (r[MORE].hit ? null : r[SIZE]),
    fooled: (r) => -r[WON] * 2 - (r[SURE] ?? 0),
    image: (r) => hit(r)?.image ?? null, l2: (r) => hit(r)?.l2 ?? null, passes: (r) => (hit(r) ? hit(r).forward + hit(r).backward : null),
  };
  let words = [], shown = [], groups = [];
  function haystack() {
    hits.clear();
    words = data.rows.map((row) => (label(row) + " " + row[CLASS] + " " + runOf(row).name + " " + (hit(row) ? "was " + was(row) + " " + hit(row).origin + " " + way(row) : row[WHO]))
      .normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase());
  }
  function passes(i) {
    const row = data.rows[i], percentage = row[SURE] * 100;
    if (percentage < Number($("low").value) || percentage > Number($("high").value)) return false;
    if ($("encoding").value !== "" && way(row) !== $("encoding").value) return false;
    if ($("result")?.value && String(row[WON]) !== $("result").value) return false;
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
      const found = new Map();
      for (const i of shown) {
        const key = name(data.rows[i]);
        if (!found.has(key)) found.set(key, []);
        found.get(key).push(i);
      }
      groups = [...found];
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
    $("count").textContent = pairs ? number(total) + (paired === struckPair ? " pairs side by side" : " classes side by side")
      : total === data.rows.length ? number(total) + " pictures" : number(total) + " of " + number(data.rows.length) + " pictures";
    const parts = [];
    for (const [name, list] of whole) {
      const grid = make("ol", { class: "grid" + (pairs ? " pairs" : "") });
      parts.push({ list, at: 0, grid, node: make("section", { class: "wing", hidden: true },
        name ? make("h2", {}, isolated(name), make("small", {}, tally(list, name))) : null, grid) });
    }
    main.replaceChildren(...(total ? parts.map((part) => part.node)
      : [make("p", { class: "none" }, data.rows.length ? "Nothing is like that." : "No picture yet. It fills as soon as " + (data.runs.some((run) => !run.attacks) || !data.runs.length ? "a first generation is stored." : "a first image was attacked; then run evofool gallery again."))]));
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
    const found = new Map(), images = byImage();
    const both = images ? new Set(data.runs[a].attacks.ways.filter((name) => data.runs[b].attacks.ways.includes(name))) : null;
    for (const i of data.rows.keys()) {
      const row = data.rows[i];
      if ((row[RUN] !== a && row[RUN] !== b) || !passes(i)) continue;
      // an attack that both runs know is held against itself, else the best of each run on this image
      const key = images ? hit(row).digest + (both.has(way(row)) ? " " + way(row) + " " + hit(row).target : "") : row[CLASS] + " " + label(row);
      if (!found.has(key)) found.set(key, []);
      const side = row[RUN] === a ? 0 : 1;
      found.get(key)[side] = better(i, found.get(key)[side]);
    }
    const best = new Map(order([...found.values()].flat().filter((i) => i !== undefined)).map((i, at) => [i, at]));
    const rank = (pair) => Math.min(...pair.filter((i) => i !== undefined).map((i) => best.get(i))) + (images && pair.includes(undefined) ? data.rows.length : 0);
    const pairs = [...found.values()].map((pair) => [pair[0], pair[1]]).sort((x, y) => rank(x) - rank(y));
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

  // one picture closely

  let current = -1, playing = 0;
  const dialog = $("detail");
  function indexOf(hash) {
    let text = "";
    try { text = decodeURIComponent(hash.slice(1)); } catch { return -1; }
    const [key, number] = text.split("/");
    return data.rows.findIndex((row) => runOf(row).key === key && row[KEY] === number);
  }
  function follow() {
    const i = indexOf(location.hash);
    if (i >= 0) show(i);
    else if (dialog.open) dialog.close();
  }
  function show(i) {
    current = i;
    stop();
    $("content").replaceChildren((hit(data.rows[i]) ? struckSheet : sheet)(data.rows[i]));
    const at = shown.indexOf(i);
    $("where").textContent = at < 0 ? "" : number(at + 1) + " of " + number(shown.length);
    $("previous").disabled = at <= 0;
    $("next").disabled = at < 0 || at === shown.length - 1;
    const opening = !dialog.open;
    if (opening) dialog.showModal();
    if (opening || !dialog.contains(document.activeElement) || document.activeElement === dialog) $("detail-name").focus({ preventScroll: true });
    dialog.scrollTop = 0;
    document.title = bare(shortName(label(data.rows[i]))) + " · " + home;
  }
  function turn(by) {
    const to = shown[shown.indexOf(current) + by];
    if (shown.includes(current) && to !== undefined) { history.replaceState(null, "", link(data.rows[to])); show(to); }
  }
  dialog.addEventListener("close", () => {
    stop();
    document.title = home;
    if (indexOf(location.hash) >= 0) history.replaceState(null, "", location.href.split("#")[0] + "#");
    const back = tiles.get(current)?.querySelector("a.pic") ?? links().find((a) => a.hash === link(data.rows[current]));
    if (back?.isConnected) rove(back);
    current = -1;
    if (waiting) refresh();
  });
  function sheet(row) {
    const run = runOf(row), name = label(row), more = row[MORE], others = name.split(",").slice(1).join(",").trim();
    const full = picture(row, "picture", "Evolved picture, taken for " + bare(name) + " at " + percent(row[SURE]));
    full.loading = "eager";
    full.id = "full";
    const facts = [
      ["run", isolated(run.name)], ["class", String(row[CLASS])], ["encoding", isolated(run.encoding)],
      ["generation", row[GEN] === null ? "–" : number(row[GEN])], ["individual", row[WHO]], ["seed", run.seed],
      ["genome", more.genome ?? "–"], ["classifier", isolated(run.victim)],
    ];
    const right = make("div", {},
      make("h2", { id: "detail-name", tabIndex: -1 }, isolated(shortName(name))),
      others ? make("p", { class: "quiet" }, isolated(others)) : null,
      make("p", { class: "big" }, percent(row[SURE])),
      make("p", { class: "verdict" }, row[WON] ? "The classifier's first answer." : "Not the classifier's first answer: another class is surer still."),
      make("div", { class: "block" }, make("h3", {}, "What the classifier sees"), ...top5(row)),
      make("p", { class: "files" }, make("a", { href: link(row) }, "Permalink"),
        make("a", { href: file(row, "picture"), download: run.key + "-" + row[KEY].padStart(4, "0") + ".png" }, "Picture (PNG)"),
        more.line && file(row, "film") ? make("a", { href: file(row, "film") }, "Animation (WebP)") : null));
    const source = make("div", {}, make("div", { class: "head" }, make("h3", {}, "Where it comes from")),
      make("dl", { class: "facts" }, ...facts.map(([k, v]) => make("div", {}, make("dt", {}, k), make("dd", {}, v)))));
    const left = make("figure", { class: "canvas" }, full, make("figcaption", {}, run.size[1] + " × " + run.size[0] + " pixels, as scored"));
    return make("div", { class: "sheet" }, make("div", { class: "duo" }, left, right), ancestry(row), graph(row), make("div", { class: "duo" }, source, again(run)));
  }
  function struckSheet(row) { // clean + change = result, and what the attack took
    const run = runOf(row), h = hit(row), attacks = run.attacks, more = row[MORE], name = label(row);
    const levels = Math.round(h.linf * 255), factor = levels ? 127 / levels : 1;
    const side = (kind, alt, c, p, lost) => {
      const image = picture(row, kind, alt);
      image.loading = "eager";
      return make("figure", {}, image, make("figcaption", {},
        c === null ? null : make("b", { class: lost ? "quiet" : "" }, isolated(shortName(labelIn(run, c)))),
        make("span", {}, c === null ? p : p === null ? "no confidence given" : percent(p))));
    };
    const sign = (text) => make("span", { class: "sign", "aria-hidden": "true" }, text);
    const amplified = !levels ? "no change" : factor > 1 ? "the change, amplified " + (factor >= 10 ? Math.round(factor) : factor.toFixed(1).replace(/\.0$/, "")) + " times" : "the change";
    const equation = make("div", { class: "equation", role: "group", ariaLabel: "Clean picture, change, result" },
      side("clean", "The clean picture, taken for " + bare(labelIn(run, h.before)), h.before, h.sure, false), sign("+"),
      side("change", "The change around grey", null, amplified, false), sign("="),
      side("picture", told(row), row[CLASS], row[SURE], false));
    const aim = h.target === null ? null : isolated(shortName(labelIn(run, h.target)));
    const source = isolated(shortName(was(row))), stays = row[CLASS] === h.source;
    const said = row[WON]
      ? (aim ? ["Fooled: it is taken for ", aim, ", as was wanted."] : stays ? ["Fooled: the classifier is as sure of it as the attack asks for."] : ["Fooled: the classifier no longer sees ", source, "."])
      : (stays ? ["Not fooled: the classifier still sees ", source, ...(aim ? [", where ", aim, " was wanted."] : ["."])]
        : aim ? ["Not fooled as was wanted: that would be ", aim, "."] : ["Not fooled as the attack asks for."]);
    const verdict = make("p", { class: "said" }, ...said);
    const caveat = [h.floats && !row[WON] ? "The floats of the attack did fool, before they were rounded to 8 bits." : "",
      h.complete ? "" : "A budget ended before the attack was through with this image."].filter(Boolean).join(" ");
    const small = (value) => (value === null ? "–" : Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4))));
    const fraction = (value) => value === null ? "–" : small(value) + (value > 0 && value < 1 && Math.abs(value * 255 - Math.round(value * 255)) < 1e-3 ? " (" + Math.round(value * 255) + "/255)" : "");
    const facts = [
      ["run", isolated(run.name)], ["image", h.image + ", ", isolated(h.origin)],
      ["class", isolated(shortName(was(row))), attacks.own_labels ? ", the classifier's own answer" : ""],
      ["aimed at", h.target === null ? "any other" : isolated(shortName(labelIn(run, h.target)))],
      ["eps asked for", fraction(h.eps)], ["eps in 8 bits", fraction(h.effective)],
      ["pixels changed", number(h.l0) + " (L0)"], ["L2", small(h.l2)], ["L∞", fraction(h.linf)], ["SSIM", small(h.ssim)],
      ["passes", number(h.forward) + " forward, " + number(h.backward) + " backward"], ["to judge it", number(h.judging) + " forward"],
      ["parameters", isolated(attacks.parameters[h.way])], ["seed", run.seed], ["classifier", isolated(run.victim)],
    ];
    const head = make("div", { class: "wide" },
      make("h2", { id: "detail-name", tabIndex: -1 }, isolated(shortName(name))),
      make("p", { class: "quiet" }, ...origin(row), " · ", isolated(way(row))));
    const left = make("div", {},
      verdict, caveat ? make("p", { class: "note" }, caveat) : null,
      make("div", { class: "block" }, make("h3", {}, "What the classifier sees"), ...(row[SURE] === null ? [make("p", { class: "note" }, "It gives labels alone.")] : top5(row))),
      make("p", { class: "files" }, make("a", { href: link(row) }, "Permalink"),
        make("a", { href: file(row, "picture"), download: run.key + "-" + row[KEY] + ".png" }, "Picture (PNG)"),
        make("a", { href: file(row, "clean"), download: run.key + "-clean-" + h.image + ".png" }, "Clean picture"),
        make("a", { href: file(row, "change"), download: run.key + "-" + row[KEY] + "-change.png" }, "Change")));
    const right = make("div", {}, make("div", { class: "head" }, make("h3", {}, "What it took")),
      make("dl", { class: "facts" }, ...facts.map(([k, ...v]) => make("div", {}, make("dt", {}, k), make("dd", {}, ...v)))));
    return make("div", { class: "sheet struck" }, head, equation, make("div", { class: "duo" }, left, right), again(run));
  }
  function again(run) {
    return make("div", {}, make("div", { class: "head" }, make("h3", {}, "Make it again")),
      make("pre", { tabIndex: 0, ariaLabel: "Command", role: "region" }, make("code", {}, run.command)),
      make("details", {}, make("summary", {}, "The resolved config"), make("pre", { tabIndex: 0, ariaLabel: "Config", role: "region" }, make("code", {}, run.config))));
  }
  function top5(row) {
    const run = runOf(row), top = row[MORE].top;
    const list = (top ?? [[row[CLASS], row[SURE]]]).map(([c, p]) => make("li", { class: c === row[CLASS] ? "own" : "" },
      make("span", { title: bare(labelIn(run, c)) }, isolated(shortName(labelIn(run, c)))), meter(p), make("b", {}, percent(c === row[CLASS] ? row[SURE] : p))));
    const rank = top && !top.some(([c]) => c === row[CLASS]) ? "Its own class is not among the first five." : "";
    const note = top ? rank : run.note;
    return [make("ol", { class: "top5" }, ...list), note ? make("p", { class: "note" }, note) : null];
  }
  function ancestry(row) {
    const run = runOf(row), { line, steps } = row[MORE];
    if (!line) return make("div", { class: "wide" }, make("div", { class: "head" }, make("h3", {}, "Ancestry")),
      make("p", { class: "note" }, run.ancestry || "Nothing is known of its ancestors."));
    const strip = file(row, "strip");
    const items = line.map(([generation, c, held, then], k) => {
      const before = k ? line[k - 1][1] : c, p = then ?? held ?? 0;
      const frame = make("img", { class: "frame", src: strip, loading: "lazy", alt: "Ancestor of generation " + generation });
      frame.style.objectPosition = -k * run.side + "px 0";
      return make("li", { class: before !== c ? "turn" : "" }, frame, meter(p),
        make("span", { class: "who" }, isolated(shortName(labelIn(run, c)))),
        make("small", {}, (held === null ? "" : percent(held) + ", ") + "generation " + number(generation)),
        then === null || c === row[CLASS] ? null : make("small", { class: "then" }, bare(shortName(label(row))) + " " + percent(then)));
    });
    const turns = line.filter(([, c], k) => k && line[k - 1][1] !== c).length;
    const sentence = number(steps) + (steps === 1 ? " step" : " steps") + " from a random ancestor" + (line.length - 1 < steps ? ", " + line.length + " of them shown" : "")
      + (turns ? "; the class changed " + (turns === 1 ? "once" : turns + " times") + " among these." : ".");
    const play = make("button", { type: "button", class: "pill", id: "play" }, "Play");
    play.addEventListener("click", () => toggle(row));
    return make("div", { class: "wide" },
      make("div", { class: "head" }, make("div", {}, make("h3", {}, "From a random start to " + bare(shortName(label(row)))), make("p", { class: "note" }, sentence)), play),
      make("ol", { class: "line", tabIndex: 0, ariaLabel: "Ancestors, the oldest first" }, ...items));
  }
  function graph(row) {
    const more = row[MORE];
    if (!more.graph) return null;
    return make("div", { class: "wide" }, make("div", { class: "head" }, make("h3", {}, "The network that draws it"), make("p", { class: "note" }, more.genome)),
      make("div", { class: "graph", tabIndex: 0, role: "region", ariaLabel: "Graph" }, make("img", { src: file(row, "graph"), loading: "lazy", alt: "Graph from coordinates to colour: " + bare(more.genome) })),
      make("p", { class: "key" }, make("span", {}, "solid: positive weight"), make("span", {}, "dashed: negative"), make("span", {}, "wide: strong"), make("span", {}, "in each node: its function")));
  }
  function toggle(row) {
    if (playing) { stop(); return; }
    const frames = [...dialog.querySelectorAll(".frame")], full = $("full"), button = $("play");
    if (!frames.length) return;
    const film = file(row, "film");
    let k = 0;
    button.textContent = "Stop";
    if (film && !matchMedia("(prefers-reduced-motion: reduce)").matches) full.src = film + (film.startsWith("data:") ? "" : "#" + Date.now());
    const next = () => {
      frames.forEach((frame, at) => { frame.style.opacity = at === k ? 1 : 0.35; });
      const box = frames[k].closest("ol");
      box.scrollLeft = frames[k].parentNode.offsetLeft - box.offsetLeft - box.clientWidth / 2;
      k = (k + 1) % frames.length;
      playing = setTimeout(next, k === 0 ? 1800 : 450);
    };
    next();
  }
  function stop() {
    if (!playing) return;
    clearTimeout(playing);
    playing = 0;
    for (const frame of dialog.querySelectorAll(".frame")) frame.style.opacity = "";
    if ($("play")) $("play").textContent = "Play";
    if (current >= 0 && $("full")) $("full").src = file(data.rows[current], "picture");
  }

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

  let version = "", waiting = false;
  async function refresh() {
    waiting = dialog.open;
    if (waiting) return;
    try {
      const fresh = await (await fetch("data.json")).json();
      const top = scrollY;
      if (fresh.runs.length !== data.runs.length) { location.reload(); return; }
      data = fresh;
      tiles.clear();
      haystack();
      fillSelects();
      data.runs.forEach((run, k) => {
        document.querySelector(`[data-headline="${k}"]`).textContent = run.headline;
        const status = document.querySelector(`[data-status="${k}"]`);
        if (status) status.textContent = run.status;
      });
      paint();
      scrollTo(0, top);
    } catch { ended(); }
  }
  function ended() {
    $("news").hidden = false;
    $("news").textContent = "The run has ended or its server has; this is the last that was seen.";
    clearInterval(ticking);
  }
  let ticking = 0, failures = 0;
  async function tick() {
    if (document.hidden) return;
    try {
      const answer = await (await fetch("version")).text();
      failures = 0;
      if (answer !== version) { version = answer; await refresh(); }
    } catch { if (++failures > 2) ended(); }
  }

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
  }

  const home = document.title;
  theme(stored.get());
  haystack();
  const evolved = data.runs.some((run) => !run.attacks);
  fillSelects();
  if (data.runs.length === 1 && !evolved && ways().length > 1) $("group").value = "encoding";
  paint();
  let typing = 0;
  const soon = () => { clearTimeout(typing); typing = setTimeout(paint, 90); };
  $("text").addEventListener("input", soon);
  for (const id of ["sort", "group", "encoding", "result", "run", "compare"]) $(id)?.addEventListener("change", paint);
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
  if (data.served) ticking = setInterval(tick, 2000);
})();
