"use strict";
// Charts of a laboratory report. Each draws into its own element and marks it with data-drawn: the number of its marks.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c", "#b04030"];
const WIDTH = 1040;
const data = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");
const colour = (number) => COLOURS[number % COLOURS.length];

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

// --- bars ---

function bars(id, name) {
  const meta = data.figures[name];
  const rows = data.variants.map((one, number) => ({ one, number, value: (one.figures[name] || [])[0], half: (one.figures[name] || [])[1] }));
  const most = Math.max(...rows.map((row) => (row.value || 0) + (row.half || 0)), 1e-12);
  const left = 190, right = 130, high = 26;
  const x = (value) => left + ((WIDTH - left - right) * value) / most;
  const parts = [];
  for (const row of rows) {
    const y = row.number * high + 6;
    parts.push(text(left - 8, y + 14, row.one.name, { "text-anchor": "end" }));
    if (row.value == null) { parts.push(text(left + 4, y + 14, "does not apply", { class: "soft" })); continue; }
    const words = worded(meta, row.value) + (row.half == null ? "" : " ± " + worded(meta, row.half));
    const bar = node("rect", { x: left, y, width: Math.max(x(row.value) - left, 1), height: high - 8, fill: colour(row.number), class: "mark" });
    parts.push(told(bar, `${row.one.name}: ${words}`));
    if (row.half) {
      const middle = y + (high - 8) / 2, low = x(Math.max(row.value - row.half, 0)), top = x(row.value + row.half);
      parts.push(node("path", { d: `M${low} ${middle}H${top}M${low} ${middle - 4}v8M${top} ${middle - 4}v8`, stroke: "currentColor", fill: "none" }));
    }
    parts.push(text(x(row.value + (row.half || 0)) + 6, y + 14, worded(meta, row.value)));
  }
  put(id, rows.length * high + 10, parts, rows.filter((row) => row.value != null).length);
}

function disruption() {
  const found = Object.keys(data.figures).filter((name) => /^moved(_\d+)?$/.test(name));
  const place = document.getElementById("disruption");
  if (!found.length) { place.closest("section").hidden = true; place.dataset.drawn = "none"; return; }
  bars("disruption", found[0]);
  if (found.length < 2) return;
  const choice = document.createElement("select");
  found.forEach((name, number) => choice.add(new Option(data.variants[0].events[number].label, name)));
  choice.onchange = () => bars("disruption", choice.value);
  place.closest("section").querySelector("h2").append(choice);
}

// --- lines ---

const hidden = {};
const zoom = {};

function plot(id, series, times, events, unit) {
  const off = (hidden[id] = hidden[id] || new Set());
  const shown = series.filter((one) => !off.has(one.name));
  const [from, to] = zoom[id] || [times[0], times[times.length - 1]];
  const inside = times.map((at) => at >= from && at <= to);
  const values = shown.flatMap((one) => one.values.filter((value, at) => value != null && inside[at]));
  const low = Math.min(unit.low, ...values), high = Math.max(...values, low + 1e-9);
  const left = 60, top = 10, height = 300, bottom = height - 28, right = 190;
  const x = (at) => left + ((WIDTH - left - right) * (at - from)) / (to - from || 1);
  const y = (value) => bottom - ((bottom - top) * (value - low)) / (high - low);
  const parts = axes(from, to, low, high, x, y, { left, right: WIDTH - right, bottom, height });
  for (const event of events) {
    if (event.at < from || event.at > to) continue;
    parts.push(told(node("line", { x1: x(event.at), x2: x(event.at), y1: top, y2: bottom, class: "event", "stroke-width": 2 }), event.label));
  }
  series.forEach((one, number) => {
    if (!off.has(one.name)) {
      let way = "", broken = true;
      one.values.forEach((value, at) => {
        if (value == null || !inside[at]) { broken = true; return; }
        way += `${broken ? "M" : "L"}${x(times[at]).toFixed(1)} ${y(value).toFixed(1)}`;
        broken = false;
      });
      parts.push(node("path", { d: way || "M0 0", fill: "none", stroke: colour(number), "stroke-width": series.length > 12 ? 1 : 1.8, class: "mark" }));
    }
    if (number < 17) parts.push(legend(id, one.name, number, off, () => plot(id, series, times, events, unit)));
  });
  const svg = put(id, height, parts, shown.length);
  follow(svg, { shown, times, from, to, left, right: WIDTH - right }, id, () => plot(id, series, times, events, unit));
}

function axes(from, to, low, high, x, y, box) {
  const parts = [];
  for (const value of steps(low, high, 5)) {
    parts.push(node("line", { x1: box.left, x2: box.right, y1: y(value), y2: y(value), class: "grid" }));
    parts.push(text(box.left - 6, y(value) + 4, tidy(value), { "text-anchor": "end", class: "soft" }));
  }
  for (const at of steps(from, to, 8)) parts.push(text(x(at), box.height - 8, tidy(at) + " s", { "text-anchor": "middle", class: "soft" }));
  return parts;
}

function legend(id, name, number, off, again) {
  const y = 20 + number * 17;
  const group = node("g", { class: "legend" + (off.has(name) ? " off" : "") },
    node("rect", { x: WIDTH - 178, y: y - 9, width: 10, height: 10, fill: colour(number) }), text(WIDTH - 163, y, name));
  group.addEventListener("click", () => { off.has(name) ? off.delete(name) : off.add(name); again(); });
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

function heat(one) {
  const rows = one.heat.length, columns = one.servers.length;
  const left = 120, high = 13, bottom = 24, width = (WIDTH - left - 10) / columns;
  const most = Math.log1p(Math.max(1, ...one.heat.flat()));
  const parts = [];
  one.heat.forEach((row, number) => {
    parts.push(text(left - 6, number * high + 11, one.clients[number], { "text-anchor": "end", class: "soft", "font-size": 10 }));
    row.forEach((count, column) => {
      const cell = node("rect", { x: left + column * width, y: number * high, width, height: high, class: "cell mark", fill: "var(--mark)", "fill-opacity": Math.log1p(count) / most });
      parts.push(told(cell, `${one.clients[number]}\n${one.servers[column]}\n${count} connections`));
    });
  });
  const every = Math.ceil(columns / 12);
  one.servers.forEach((name, column) => {
    if (column % every === 0) parts.push(text(left + (column + 0.5) * width, rows * high + 16, name.replace(/:\d+$/, ""), { "text-anchor": "middle", class: "soft", "font-size": 10 }));
  });
  put("heat", rows * high + bottom, parts, rows * columns);
}

// --- the page ---

function choose() {
  const one = data.variants[document.getElementById("variant").selectedIndex];
  const column = document.getElementById("column").value;
  plot("load", one[column], one.times, one.events, { low: 0 });
  heat(one);
}

function start() {
  const figure = document.getElementById("figure"), variant = document.getElementById("variant");
  for (const [name, meta] of Object.entries(data.figures)) figure.add(new Option(meta.words, name));
  data.variants.forEach((one) => variant.add(new Option(one.name)));
  figure.value = data.first;
  document.getElementById("column").value = data.column;
  figure.onchange = () => bars("comparison", figure.value);
  variant.onchange = document.getElementById("column").onchange = choose;
  bars("comparison", figure.value);
  const first = data.variants.reduce((a, b) => (b.times.length > a.times.length ? b : a));
  plot("skew", data.variants.map((one) => ({ name: one.name, values: one.skew })), first.times, first.events, { low: 1 });
  choose();
  disruption();
  document.documentElement.dataset.ready = "yes";
}

start();
