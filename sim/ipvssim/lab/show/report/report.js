"use strict";
// Charts of a laboratory report. Each draws into its own element and marks it with data-drawn: the number of its marks.
const LIGHT = ["#0072b2", "#d55e00", "#009e73", "#b3568f", "#a97400", "#2f9bd8", "#6e6e6e", "#1c2430"];
const DARK = ["#56b4e9", "#ff8c42", "#2fc99b", "#e29ac5", "#e6b32e", "#9fc7ff", "#a6a6a6", "#f2f4f7"];
const COLOURS = matchMedia("(prefers-color-scheme: dark)").matches ? DARK : LIGHT;
const DASHES = ["", "7 3", "2 3", "9 3 2 3"];
const WIDTH = 1040;
const data = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");
// A look for each line: colours first, then the same colours dashed. What is more is not told apart by looks, but by name.
const MOST_LOOKS = COLOURS.length * DASHES.length;
const colour = (number) => COLOURS[number % COLOURS.length];
const dash = (number) => DASHES[Math.floor(number / COLOURS.length) % DASHES.length];

function node(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function tell(event, words) {
  tip.hidden = false;
  tip.textContent = words;
  tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8) + "px";
}

function told(element, words) {
  element.addEventListener("mousemove", (event) => tell(event, words));
  element.addEventListener("mouseleave", () => { tip.hidden = true; });
  return element;
}

function put(id, height, parts, marks) {
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img" }, ...parts);
  const place = document.getElementById(id);
  place.replaceChildren(svg);
  place.dataset.drawn = marks;
  return svg;
}

function text(x, y, words, more) {
  return node("text", { x, y, ...more }, words);
}

function steps(low, high, wanted) {
  const rough = (high - low || 1) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const found = [];
  for (let at = Math.ceil(low / size - 1e-9) * size; at <= high + size * 1e-9; at += size) found.push(at);
  return found;
}

const tidy = (number) => Number(number.toPrecision(6)).toLocaleString("en", { maximumFractionDigits: 4 });

function worded(meta, value) {
  const scale = meta.unit === "%" ? 100 : 1;
  return (value * scale).toFixed(meta.digits) + (meta.unit ? " " + meta.unit : "");
}

// --- dots: a panel for each figure, a row for each variant ---

function comparison() {
  const place = document.getElementById("comparison");
  place.replaceChildren();
  let marks = 0;
  for (const group of data.groups) {
    const head = document.createElement("h3"), panels = document.createElement("div");
    head.textContent = group.label;
    panels.className = "panels";
    for (const name of group.figures) {
      const panel = document.createElement("div"), words = document.createElement("h4");
      const [svg, drawn] = dots(name);
      words.textContent = data.figures[name].words + (data.figures[name].unit ? ` (${data.figures[name].unit})` : "");
      panel.append(words, svg);
      panels.append(panel);
      marks += drawn;
    }
    place.append(head, panels);
  }
  place.dataset.drawn = marks;
}

function dots(name) {
  const meta = data.figures[name], high = 19, width = 260, left = 7 * Math.min(Math.max(...data.variants.map((one) => one.name.length)), 18) + 6;
  const rows = data.variants.map((one) => one.figures[name] || { mean: null, seeds: [], ends: [], text: "" });
  const reach = rows.flatMap((row) => [row.mean, ...row.seeds, ...row.ends]).filter((value) => value != null);
  const least = Math.min(meta.least, ...reach), most = Math.max(least + 1e-12, ...reach);
  const x = (value) => left + 5 + ((width - left - 60) * (value - least)) / (most - least);
  const parts = [];
  let drawn = 0;
  rows.forEach((row, number) => {
    const y = number * high + high / 2, words = data.variants[number].name;
    parts.push(text(left - 6, y + 4, words.length > 18 ? words.slice(0, 17) + "…" : words, { "text-anchor": "end" }));
    parts.push(node("line", { x1: left, x2: width - 4, y1: y, y2: y, class: "grid", "stroke-dasharray": "1 3" }));
    if (row.mean == null) { parts.push(text(left + 5, y + 4, "-", { class: "soft" })); return; }
    const to = Math.max(row.mean, ...row.seeds, ...row.ends);
    for (const seed of row.seeds) parts.push(node("path", { d: `M${x(seed)} ${y - 5}v10`, class: "seed" }));
    if (row.ends.length) parts.push(node("path", { d: `M${x(row.ends[0])} ${y}H${x(row.ends[1])}`, class: "reach" }));
    parts.push(told(node("circle", { cx: x(row.mean), cy: y, r: 3.5, class: "dot mark" }), `${words}: ${row.text}`));
    parts.push(text(x(to) + 7, y + 4, worded(meta, row.mean).replace(/ [%s]$/, ""), { "font-size": 11 }));
    drawn += 1;
  });
  return [node("svg", { viewBox: `0 0 ${width} ${rows.length * high + 4}`, role: "img" }, ...parts), drawn];
}

// --- lines ---

const hidden = {};
const zoom = {};

// ``unit``: {low} of the least value, or {excess} for a scale that is logarithmic in what is above 1. ``muted`` lines have no
// looks of their own: names are told by pointing, and ``came`` marks those that came with an event.
function plot(id, series, times, events, unit) {
  const off = (hidden[id] = hidden[id] || new Set());
  const shown = series.filter((one) => !off.has(one.name));
  const muted = series.length > (unit.looks || MOST_LOOKS);
  const [from, to] = zoom[id] || [times[0], times[times.length - 1]];
  const inside = times.map((at) => at >= from && at <= to);
  const values = shown.flatMap((one) => one.values.filter((value, at) => value != null && inside[at]));
  const scaled = unit.excess ? (value) => Math.log10(Math.max(value - 1, LEAST_EXCESS)) : (value) => value;
  const low = unit.excess ? Math.log10(LEAST_EXCESS) : Math.min(unit.low, ...values);
  const high = Math.max(...values.map(scaled), low + 1e-9);
  const left = unit.excess ? 86 : 60, top = 10, right = 190, height = Math.max(310, unit.legend ? series.length * 17 + 30 : 0), bottom = height - 28;
  const x = (at) => left + ((WIDTH - left - right) * (at - from)) / (to - from || 1);
  const y = (value) => bottom - ((bottom - top) * (value - low)) / (high - low);
  const marks = unit.excess ? EXCESSES.filter((at) => at - 1 <= 10 ** high * 1.0001).map((at) => [scaled(at), at === EXCESSES[0] ? at + " or less" : tidy(at)]) : steps(low, high, 5).map((at) => [at, tidy(at)]);
  const parts = axes(from, to, marks, x, y, { left, right: WIDTH - right, bottom, height });
  for (const event of events) {
    if (event.at < from || event.at > to) continue;
    parts.push(told(node("line", { x1: x(event.at), x2: x(event.at), y1: top, y2: bottom, class: "event", "stroke-width": 2 }), event.label));
  }
  const group = node("g", { class: "lines" + (muted ? "" : " few") });
  parts.push(group);
  series.forEach((one, number) => {
    if (!off.has(one.name)) {
      let way = "", broken = true;
      one.values.forEach((value, at) => {
        if (value == null || !inside[at]) { broken = true; return; }
        way += `${broken ? "M" : "L"}${x(times[at]).toFixed(1)} ${y(scaled(value)).toFixed(1)}`;
        broken = false;
      });
      const came = muted && (unit.came || []).includes(number);
      const look = muted ? {} : { style: `stroke:${colour(number)}`, "stroke-dasharray": dash(number) };
      group.append(node("path", { d: way || "M0 0", fill: "none", "data-line": number, class: "mark" + (came ? " came" : ""), ...look }));
    }
  });
  const again = () => plot(id, series, times, events, unit);
  for (const entry of legends(series, unit, muted, (bottom - top) / 17)) parts.push(legend(id, entry, off, again, group));
  const svg = put(id, height, parts, shown.length);
  follow(svg, { shown, times, from, to, left, right: WIDTH - right }, id, again);
}

const LEAST_EXCESS = 0.01;
const EXCESSES = [1.01, 1.1, 1.3, 2, 4, 11, 31, 101];

// Every line that has a look of its own is named; of muted ones those that came, then as many as there is room for.
function legends(series, unit, muted, room) {
  const every = series.map((one, number) => ({ name: one.name, number, muted: muted && !(unit.came || []).includes(number) }));
  const ordered = muted ? every.sort((a, b) => a.muted - b.muted) : every;
  const shown = ordered.length <= room + 1 ? ordered : ordered.slice(0, Math.floor(room));
  if (shown.length < ordered.length) shown.push({ name: `and ${ordered.length - shown.length} more`, number: -1, muted: true });
  return shown.map((entry, row) => ({ ...entry, row }));
}

function axes(from, to, marks, x, y, box) {
  const parts = [];
  for (const [value, words] of marks) {
    parts.push(node("line", { x1: box.left, x2: box.right, y1: y(value), y2: y(value), class: "grid" }));
    parts.push(text(box.left - 6, y(value) + 4, words, { "text-anchor": "end", class: "soft" }));
  }
  for (const at of steps(from, to, 8)) parts.push(text(x(at), box.height - 8, tidy(at) + " s", { "text-anchor": "middle", class: "soft" }));
  return parts;
}

function legend(id, entry, off, again, lines) {
  const y = 20 + entry.row * 17;
  if (entry.number < 0) return text(WIDTH - 155, y, entry.name, { class: "soft" });
  const look = entry.muted ? { stroke: "var(--ink)", opacity: 0.5 } : lines.classList.contains("few")
    ? { stroke: colour(entry.number), "stroke-dasharray": dash(entry.number) } : { stroke: "var(--warm)" };
  const group = node("g", { class: "legend" + (off.has(entry.name) ? " off" : "") },
    node("line", { x1: WIDTH - 182, x2: WIDTH - 161, y1: y - 4, y2: y - 4, "stroke-width": 2, ...look }), text(WIDTH - 155, y, entry.name));
  group.addEventListener("click", () => { off.has(entry.name) ? off.delete(entry.name) : off.add(entry.name); again(); });
  const point = (on) => () => {
    lines.classList.toggle("pointed", on);
    for (const line of lines.children) line.classList.toggle("pointed", on && line.dataset.line === String(entry.number));
  };
  group.addEventListener("mouseenter", point(true));
  group.addEventListener("mouseleave", point(false));
  return group;
}

function follow(svg, view, id, again) {
  const at = (event) => {
    const box = svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * WIDTH;
    return view.from + ((view.to - view.from) * (place - view.left)) / (view.right - view.left);
  };
  let began = null;
  svg.addEventListener("mousedown", (event) => { began = at(event); });
  svg.addEventListener("mouseup", (event) => {
    const ended = at(event);
    if (began != null && Math.abs(ended - began) > (view.to - view.from) / 50) { zoom[id] = [Math.min(began, ended), Math.max(began, ended)]; again(); }
    began = null;
  });
  svg.addEventListener("dblclick", () => { delete zoom[id]; again(); });
  svg.addEventListener("mousemove", (event) => {
    const when = at(event);
    if (when < view.from || when > view.to || event.target.closest(".event")) return;
    let nearest = 0;
    view.times.forEach((time, number) => { if (Math.abs(time - when) < Math.abs(view.times[nearest] - when)) nearest = number; });
    const rows = view.shown.map((one) => [one.values[nearest], one.name]).filter(([value]) => value != null).sort((a, b) => b[0] - a[0]);
    tell(event, [`${tidy(view.times[nearest])} s`, ...rows.slice(0, 12).map(([value, name]) => `${tidy(value)}  ${name}`), rows.length > 12 ? "..." : ""].join("\n").trim());
  });
  svg.addEventListener("mouseleave", () => { tip.hidden = true; });
}

// --- heat ---

const MOST = Math.max(1, ...data.variants.flatMap((one) => one.heat.flat()));
const shade = (count) => (count ? 0.15 + 0.85 * (MOST > 1 ? Math.log(count) / Math.log(MOST) : 1) : 0);
const plain = (name) => name.replace(/:\d+$/, "");

function scale(left) {
  const counts = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500].flatMap((one) => (one < 1000 ? [one] : [])).filter((one) => one < MOST);
  for (let at = 1000; at < MOST; at *= 10) counts.push(at);
  const parts = [...counts, MOST].flatMap((count, number) => [
    node("rect", { x: left + number * 56, y: 2, width: 16, height: 12, fill: "var(--mark)", "fill-opacity": shade(count), stroke: "var(--line)" }),
    text(left + number * 56 + 21, 12, tidy(count), { class: "soft", "font-size": 11 }),
  ]);
  return [text(left - 6, 12, "connections", { "text-anchor": "end", class: "soft", "font-size": 11 }), ...parts];
}

function heat(one) {
  const rows = one.heat.length, columns = one.servers.length;
  const left = 120, top = 24, high = 13, width = (WIDTH - left - 10) / columns;
  const longest = 5.8 * Math.max(0, ...one.servers.map((name) => plain(name).length)) + 8;
  const upright = width < longest, every = Math.ceil(11 / width), bottom = upright ? longest + 6 : 24;
  const parts = scale(left);
  one.heat.forEach((row, number) => {
    const y = top + number * high;
    parts.push(text(left - 6, y + 11, one.clients[number], { "text-anchor": "end", class: "soft", "font-size": 10 }));
    row.forEach((count, column) => {
      const cell = node("rect", { x: left + column * width, y, width, height: high, class: "cell mark", fill: "var(--mark)", "fill-opacity": shade(count) });
      parts.push(told(cell, `${one.clients[number]}\n${one.servers[column]}\n${count} connections`));
    });
  });
  one.servers.forEach((name, column) => {
    if (column % every) return;
    const x = left + (column + 0.5) * width, y = top + rows * high + (upright ? 6 : 16);
    const turned = upright ? { transform: `rotate(-90 ${x} ${y})`, "text-anchor": "end", dy: 4 } : { "text-anchor": "middle" };
    parts.push(text(x, y, plain(name), { class: "soft", "font-size": 10, ...turned }));
  });
  put("heat", top + rows * high + bottom, parts, rows * columns);
}

// --- the page ---

function choose() {
  const one = data.variants[document.getElementById("variant").selectedIndex];
  const column = document.getElementById("column").value;
  plot("load", one[column], one.times, one.events, { low: 0, looks: COLOURS.length, came: one.came });
  heat(one);
}

function start() {
  const variant = document.getElementById("variant");
  data.variants.forEach((one) => variant.add(new Option(one.name)));
  document.getElementById("column").value = data.column;
  variant.onchange = document.getElementById("column").onchange = choose;
  comparison();
  const first = data.variants.reduce((a, b) => (b.times.length > a.times.length ? b : a));
  plot("skew", data.variants.map((one) => ({ name: one.name, values: one.skew })), first.times, first.events, { excess: true, legend: true });
  choose();
  document.documentElement.dataset.ready = "yes";
}

start();
