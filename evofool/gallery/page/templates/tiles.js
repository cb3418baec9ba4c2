// tiles

const tiles = new Map();
function tile(i) {
  let node = tiles.get(i);
  if (!node) {
    const row = data.rows[i], name = label(row), several = data.runs.length > 1;
    const struck = hit(row);
    const words = told(row);
    const meta = "class " + row[CLASS] + (row[GEN] === null ? "" : " · gen " + number(row[GEN]));
    if (struck) node = struckTile(i, row, name, words);
    else node = make("li", { class: "tile " + (row[WON] ? "won" : "lost") },
      make("a", { class: "pic", href: link(row), tabIndex: -1, title: bare(name) }, picture(row, "thumb", words)),
      make("div", { class: "cap" },
        make("div", { class: "sure" }, make("b", {}, percent(row[SURE])), meter(row[SURE])),
        titled(row, name),
        make("p", { class: "meta" }, meta, " · ", isolated(several ? runOf(row).name : runOf(row).encoding))));
    tiles.set(i, node);
  }
  return node;
}
function told(row) { // what a picture shows, for whoever does not see it
  const name = bare(shortName(label(row))), at = row[SURE] === null ? "" : " at " + percent(row[SURE]);
  if (hit(row)) return "Attacked image of " + bare(shortName(was(row))) + (row[WON] ? "" : ", not fooled") + ", taken for " + name + at;
  if (row[WON]) return "Evolved picture, taken for " + name + at;
  const first = row[MORE].top?.[0];
  return "Evolved picture for " + name + ", not fooled: " + name + " gets " + percent(row[SURE]) + ", "
    + (first && first[0] !== row[CLASS] ? "it is taken for " + bare(shortName(labelIn(runOf(row), first[0]))) + " at " + percent(first[1]) : "another class gets more");
}
function origin(row) { // what it was, and what became of the attack
  const run = runOf(row), { target } = hit(row), parts = ["was ", isolated(shortName(was(row)))];
  if (target !== null && !(row[WON] && target === row[CLASS])) parts.push(", aimed at ", isolated(shortName(labelIn(run, target))));
  if (row[WON] && target === null && row[CLASS] === hit(row).source) parts.push(" already");
  return parts;
}
function struckTile(i, row, name, words) {
  const several = data.runs.length > 1;
  return make("li", { class: "tile " + (row[WON] ? "won" : "lost") },
    make("a", { class: "pic", href: link(row), tabIndex: -1, title: bare(name) }, picture(row, "thumb", words)),
    make("div", { class: "cap" },
      make("div", { class: "sure" }, make("b", {}, percent(row[SURE])), meter(row[SURE] ?? 0)),
      titled(row, name),
      make("p", { class: "meta" }, ...origin(row)),
      make("p", { class: "meta" }, isolated(way(row)), ...(several ? [" · ", isolated(runOf(row).name)] : []))));
}
const titled = (row, name) => make("div", { class: "title" + (row[WON] ? "" : " lost") }, make("p", { class: "name" }, isolated(shortName(name))), badge(row));
const half = (row) => row
  ? make("a", { class: "pic " + (row[WON] ? "won" : "lost"), href: link(row), tabIndex: -1 },
    picture(row, "thumb", "Run " + bare(runOf(row).name) + ": " + told(row)))
  : make("span", { class: "gone" }, "none");
function struckPair([a, b]) {
  const rows = [a, b].map((i) => (i === undefined ? null : data.rows[i])), known = rows.find(Boolean);
  const same = rows.every((row) => row && way(row) === way(known));
  const score = (row) => make("div", {},
    make("div", { class: "sure" }, make("b", {}, row ? percent(row[SURE]) : "–"), meter(row?.[SURE] ?? 0)),
    row ? titled(row, label(row)) : null,
    row && !same ? make("p", { class: "meta" }, isolated(way(row))) : null);
  return make("li", { class: "tile" },
    make("div", { class: "pair" }, half(rows[0]), half(rows[1]), score(rows[0]), score(rows[1])),
    make("p", { class: "meta" }, "was ", isolated(shortName(was(known))), " · image " + hit(known).image, ...(same ? [" · ", isolated(way(known))] : [])));
}
function pairTile([a, b]) {
  const rows = [a, b].map((i) => (i === undefined ? null : data.rows[i]));
  const known = rows.find(Boolean), name = label(known);
  const score = (row) => make("div", {},
    make("div", { class: "sure" }, make("b", {}, row ? percent(row[SURE]) : "–"), meter(row?.[SURE] ?? 0)), row ? badge(row) : null);
  return make("li", { class: "tile" },
    make("div", { class: "pair" }, half(rows[0]), half(rows[1]), score(rows[0]), score(rows[1])),
    make("p", { class: "name" }, isolated(shortName(name))),
    make("p", { class: "meta" }, "class " + known[CLASS]));
}
