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
  stop();
  current = i;
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
  if (waiting) refresh().catch(() => { version = ""; }); // asked again with the next news
});
function sheet(row) {
  const run = runOf(row), name = label(row), more = row[MORE], others = name.split(",").slice(1).join(",").trim();
  const full = picture(row, "picture", told(row));
  full.loading = "eager";
  full.id = "full";
  const facts = [
    ["run", isolated(run.name)], ["class", String(row[CLASS])], ["encoding", isolated(run.encoding)],
    ["generation", row[GEN] === null ? "–" : number(row[GEN])], ["individual", row[WHO]], ["seed", run.seed],
    ["genome", more.genome ?? "–"], ["classifier", isolated(run.victim)],
  ];
  const right = make("div", {},
    make("h2", { id: "detail-name", tabIndex: -1 }), make("p", { id: "others", class: "quiet" }),
    make("p", { id: "sure", class: "big" }), make("p", { id: "verdict", class: "verdict" }),
    make("div", { class: "block" }, make("h3", {}, "What the classifier sees"), ...top5(row)),
    make("p", { class: "files" }, make("a", { href: link(row) }, "Permalink"),
      make("a", { href: file(row, "picture"), download: run.key + "-" + row[KEY].padStart(4, "0") + ".png" }, "Picture (PNG)"),
      more.line && file(row, "film") ? make("a", { href: file(row, "film") }, "Animation (WebP)") : null));
  const source = make("div", {}, make("div", { class: "head" }, make("h3", {}, "Where it comes from")),
    make("dl", { class: "facts" }, ...facts.map(([k, v]) => make("div", {}, make("dt", {}, k), make("dd", {}, v)))));
  const left = make("figure", { class: "canvas" }, full, make("figcaption", { id: "as" }));
  const whole = make("div", { class: "sheet" }, make("div", { class: "duo" }, left, right), ancestry(row), graph(row), stages(row), make("div", { class: "duo" }, source, again(run)));
  caption(whole, row);
  return whole;
}
function caption(within, row, k = -1) { // of the picture itself, or of its k-th ancestor while that is shown
  const run = runOf(row), { line } = row[MORE], ancestor = k >= 0 && k < line.length - 1;
  const [generation, c, held, then] = ancestor ? line[k] : [row[GEN], row[CLASS], row[SURE], null];
  const name = labelIn(run, c), others = name.split(",").slice(1).join(",").trim(), p = held ?? (c === row[CLASS] ? then : null);
  const say = (id, ...parts) => within.querySelector("#" + id).replaceChildren(...parts);
  say("detail-name", isolated(shortName(name)));
  say("others", isolated(others));
  within.querySelector("#others").hidden = !others;
  say("sure", percent(p));
  say("as", ancestor ? "Ancestor of generation " + number(generation) + ", step " + (k + 1) + " of " + line.length
    : run.size[1] + " × " + run.size[0] + " pixels, as scored");
  if (ancestor) say("verdict", "The ancestor's confidence for the class it was champion of", c !== row[CLASS] && then !== null ? "; for " + bare(shortName(label(row))) + " " + percent(then) : "", ".");
  else say("verdict", badge(row), row[WON] ? " It is the classifier's first answer." : " It is not the classifier's first answer: it is surer of another class.");
  within.classList.toggle("ancestor", ancestor);
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
    ? (aim ? ["It is taken for ", aim, ", as was wanted."] : stays ? ["The classifier is as sure of it as the attack asks for."] : ["The classifier no longer sees ", source, "."])
    : (stays ? ["The classifier still sees ", source, ...(aim ? [", where ", aim, " was wanted."] : ["."])]
      : aim ? ["That is not what was wanted, which would be ", aim, "."] : ["That is not what the attack asks for."]);
  const verdict = make("p", { class: "said" }, badge(row), " ", ...said);
  const caveat = [h.floats && !row[WON] ? "The attack's floats did fool, before they were rounded to 8 bits." : "",
    h.complete ? "" : "A budget ended before the attack had finished with this image."].filter(Boolean).join(" ");
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
    make("div", { class: "block" }, make("h3", {}, "What the classifier sees"), ...(row[SURE] === null ? [make("p", { class: "note" }, "It answers with labels only.")] : top5(row))),
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
    make("details", {}, make("summary", {}, "The config with all defaults"), make("pre", { tabIndex: 0, ariaLabel: "Config", role: "region" }, make("code", {}, run.config))));
}
function top5(row) {
  const run = runOf(row), top = row[MORE].top;
  const list = (top ?? [[row[CLASS], row[SURE]]]).map(([c, p]) => [c, c === row[CLASS] ? row[SURE] : p]).map(([c, p]) =>
    make("li", { class: c === row[CLASS] ? "own" : "" },
      make("span", { title: bare(labelIn(run, c)) }, isolated(shortName(labelIn(run, c)))), meter(p), make("b", {}, percent(p))));
  const rank = top && !top.some(([c]) => c === row[CLASS]) ? "Its own class is not among the first five." : "";
  const note = top ? rank : run.note;
  return [make("ol", { class: "top5" }, ...list), note ? make("p", { class: "note" }, note) : null];
}
function frame(row, k, words, kind = "strip", count = row[MORE].line?.length) { // the k-th picture of a strip, which is as wide as all of them
  const run = runOf(row);
  const image = make("img", { src: file(row, kind), loading: "lazy", alt: words });
  if (run.small) image.classList.add("square");
  const box = make("span", { class: "frame" }, image);
  box.style.setProperty("--n", count);
  box.style.setProperty("--k", k);
  box.style.setProperty("--ratio", run.size[1] / run.size[0]);
  return box;
}
function ancestry(row) {
  const run = runOf(row), { line, steps } = row[MORE];
  if (!line) return make("div", { class: "wide" }, make("div", { class: "head" }, make("h3", {}, "Ancestry")),
    make("p", { class: "note" }, run.ancestry || "Nothing is known about its ancestors."));
  // a bar stands above the number that it shows
  const items = line.map(([generation, c, held, then], k) => {
    const before = k ? line[k - 1][1] : c, own = c === row[CLASS], p = held ?? (own ? then : null);
    return make("li", { class: before !== c ? "turn" : "" }, frame(row, k, "Ancestor of generation " + generation),
      make("span", { class: "who" }, isolated(shortName(labelIn(run, c)))),
      p === null ? null : meter(p),
      make("small", {}, (p === null ? "" : percent(p) + ", ") + "generation " + number(generation)),
      ...(then === null || own ? [] : [meter(then), make("small", { class: "then" }, percent(then) + " " + bare(shortName(label(row))))]));
  });
  const turns = line.filter(([, c], k) => k && line[k - 1][1] !== c).length;
  const sentence = counted(steps, "step") + " from a random ancestor" + (line.length - 1 < steps ? ", " + line.length + " of them shown" : "")
    + (turns ? "; among these, the class changed " + (turns === 1 ? "once." : turns + " times.") : ".");
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
function stages(row) {
  const words = row[MORE].stages;
  if (!words) return null;
  const items = words.map((text, k) => make("li", {}, frame(row, k, text, "stages", words.length), make("span", { class: "who", title: text }, (k ? k + ". " : "") + text)));
  return make("div", { class: "wide" }, make("div", { class: "head" }, make("h3", {}, "How it is put together"), make("p", { class: "note" }, "each picture has one layer more than the one before it")),
    make("ol", { class: "line built", tabIndex: 0, ariaLabel: "Layers, the lowest first" }, ...items));
}
function toggle(row) {
  if (playing) { stop(); return; }
  const { line } = row[MORE], items = [...dialog.querySelectorAll(".line:not(.built) li")], full = $("full"), whole = dialog.querySelector(".sheet");
  if (!items.length) return;
  const pause = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1200 : 450;
  let k = 0;
  $("play").textContent = "Stop";
  if (!$("play").contains(document.activeElement)) $("play").focus({ preventScroll: true }); // what is hidden meanwhile may have it
  const large = frame(row, 0, "");
  large.id = "then";
  full.after(large);
  const next = () => { // picture, caption and place in the strip change together
    const last = k === line.length - 1;
    large.style.setProperty("--k", k);
    large.firstChild.alt = "Ancestor of generation " + line[k][0];
    large.hidden = last;
    full.hidden = !last;
    caption(whole, row, k);
    items.forEach((item, at) => item.classList.toggle("past", at !== k));
    const box = items[k].closest("ol");
    box.scrollLeft = items[k].offsetLeft - box.offsetLeft - box.clientWidth / 2;
    k = (k + 1) % line.length;
    playing = setTimeout(next, last ? 4 * pause : pause);
  };
  next();
}
function stop() {
  if (!playing) return;
  clearTimeout(playing);
  playing = 0;
  for (const item of dialog.querySelectorAll(".line li")) item.classList.remove("past");
  $("then")?.remove();
  if ($("play")) $("play").textContent = "Play";
  if ($("full")) $("full").hidden = false;
  if (current >= 0 && $("full")) caption(dialog.querySelector(".sheet"), data.rows[current]);
}
