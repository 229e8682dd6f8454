"use strict";
// Draws what status.json has. Names in it come from clients: they only ever become text nodes.
const EVERY = 2000;
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const compact = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });
const short = (value) => (value >= 100 && value < 100000 ? whole : value < 100 ? three : compact).format(value);
let latest = null;

function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function draw(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function clock(seconds, span = 0) {
  const date = new Date(seconds * 1000);
  const time = date.toLocaleTimeString("en-GB", span > 600 ? { hour: "2-digit", minute: "2-digit" } : {});
  return span > 72000 ? `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time}` : time;
}

function ago(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

function shorten(text, most) {
  const letters = Array.from(text);
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}\u2026` : text;
}

// ------------------------------------------------------------------------------------------------------- charts

// Round numbers from low to the first that is not below high, some five of them.
function steps(low, high) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * power >= rough * (1 - 1e-9)) * power;
  const count = Math.ceil((high - low) / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, place) => low + place * step);
}

function line(points, x, y) {
  let path = "";
  let open = false;
  for (const [at, value] of points) {
    if (value === null) { open = false; continue; }
    path += `${open ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    open = true;
  }
  return path;
}

// A chart over time: {series: [{name, points}], low, high, from, to, area, events, title, about, tick}
function chart(figure, wanted) {
  const width = Math.max(280, figure.clientWidth);
  const { from, to, low } = wanted;
  const events = wanted.events.filter((event) => event.time >= from && event.time <= to);
  const [left, right, top, bottom, height] = [44, 10, events.length ? 18 : 6, 24, 240];
  const values = steps(low, wanted.high);
  const high = values[values.length - 1];
  const x = (at) => left + ((at - from) / (to - from || 1)) * (width - left - right);
  const y = (value) => height - bottom - ((value - low) / (high - low)) * (height - top - bottom);
  const id = figure.id;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": `${id}-title ${id}-about` },
    draw("title", { id: `${id}-title` }, wanted.title), draw("desc", { id: `${id}-about` }, wanted.about));
  for (const value of values) {
    svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      draw("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, wanted.tick(value)));
  }
  const ticks = width < 500 ? 2 : 4;
  for (let place = 0; place <= ticks; place += 1) {
    const at = from + ((to - from) * place) / ticks;
    const anchor = place === 0 ? "start" : place === ticks ? "end" : "middle";
    svg.append(draw("text", { x: x(at), y: height - 6, "text-anchor": anchor }, clock(at, to - from)));
  }
  wanted.series.forEach((one, place) => {
    const path = line(one.points, x, y);
    if (wanted.area && one.points.length > 1) {
      const [first, last] = [one.points[0][0], one.points[one.points.length - 1][0]];
      svg.append(draw("path", { class: "area", d: `${path}L${x(last).toFixed(1)} ${y(low)}L${x(first).toFixed(1)} ${y(low)}Z` }));
    }
    svg.append(draw("path", { class: place ? "second" : "first", d: path }));
  });
  mark(svg, events, x, height - bottom, width - right);
  figure.replaceChildren(svg, ...(wanted.series.length > 1 ? [legend(wanted.series)] : []));
}

// Joins and leaves: a mark each, and its server's name where it does not run into the next.
function mark(svg, events, x, foot, end) {
  events.forEach((event, place) => {
    const at = x(event.time);
    const room = (place + 1 < events.length ? x(events[place + 1].time) : end) - at - 12;
    const verb = event.joined ? "joined" : "left";
    const name = shorten(event.node, 24);
    const shape = event.joined ? `M${at - 5} 12h10l-5 -9z` : `M${at - 5} 3h10l-5 9z`;
    svg.append(draw("g", { class: `event ${verb}` },
      draw("title", {}, `${event.node} ${verb} at ${clock(event.time)}`),
      draw("line", { x1: at, x2: at, y1: 14, y2: foot }), draw("path", { d: shape }),
      ...(room > name.length * 6.6 ? [draw("text", { x: at + 8, y: 12 }, name)] : [])));
  });
}

function legend(series) {
  return make("p", { class: "legend" }, ...series.map((one, place) => make("span", {},
    draw("svg", { viewBox: "0 0 28 8", "aria-hidden": "true" },
      draw("line", { class: place ? "second" : "first", x1: 0, x2: 28, y1: 4, y2: 4 })), one.name)));
}

// ------------------------------------------------------------------------------------------------------- sections

function drawProgress(status) {
  const { events } = status.history;
  const title = { classifier: "Progressive accuracy", regression: "Progressive mean error" }[status.kind];
  byId("progress").hidden = !title && !events.length;
  byId("progress-heading").textContent = title ?? "Joined and left";
  byId("progress-figure").hidden = !title;
  if (title) drawTrials(status, title, events);
  byId("events").replaceChildren(...events.slice(-8).reverse().map((event) => make("li", {},
    `${clock(event.time)} `, make("span", {}, event.node), event.joined ? " joined" : " left")));
}

function drawTrials(status, title, events) {
  const right = status.kind === "classifier";
  const { time, mean, recent } = status.history.life;
  const known = [...mean, ...recent].filter((value) => value !== null);
  const low = right ? Math.min(0.9, Math.floor(Math.min(1, ...known) * 10) / 10) : 0;
  const high = right ? 1 : Math.max(1e-9, ...known);
  const { count } = status.trials;
  const told = count ? `${figure(status, status.trials.recent)} now, ${figure(status, status.trials.mean)} over all ${whole.format(count)} trials` : "no trials yet";
  const gone = events.filter((event) => !event.joined).length;
  chart(byId("progress-figure"), {
    series: [
      { name: "last 512 trials", points: time.map((at, place) => [at, recent[place]]) },
      { name: "all trials", points: time.map((at, place) => [at, mean[place]]) },
    ],
    low, high, from: Math.min(time[0] ?? status.now, status.now - 60), to: status.now, events,
    title: `${title} over time`,
    about: `${told}; ${events.length - gone} servers joined, ${gone} left`,
    tick: (value) => (right ? value.toFixed(low < 0.8 ? 1 : 2) : short(value)),
  });
}

function drawRates(status) {
  const points = status.history.rates;
  const high = Math.max(1, ...points.map(([, rate]) => rate));
  const to = points.length ? points[points.length - 1][0] : status.now;
  chart(byId("rate-figure"), {
    series: [{ name: "examples/s", points }], low: 0, high, area: true, events: status.history.events,
    from: Math.min(points[0]?.[0] ?? to, to - 60), to,
    title: "Examples per second over the last minutes",
    about: `${short(status.rate)} a second over the last minute, ${short(high)} at most`,
    tick: (value) => short(value),
  });
}

function figure(status, value) {
  if (value === null) return "\u2013";
  return status.kind === "classifier" ? value.toFixed(3) : short(value);
}

function drawTiles(status) {
  const tiles = [["examples learnt", whole.format(status.learnt)], ["examples per second", short(status.rate)]];
  if (status.trials.count) {
    const what = status.kind === "classifier" ? "accuracy" : "mean error";
    tiles.push([`${what}, recent`, figure(status, status.trials.recent)]);
  }
  if (status.group) {
    tiles.push(["model version", String(status.group.version)],
      ["last MIX", status.group.mixed ? `${ago(status.now - status.group.mixed)} ago` : "never"]);
  }
  tiles.push(["up for", ago(status.now - status.started)], ["connections", whole.format(status.connections)],
    ["last saved", status.saved ? `${ago(status.now - status.saved)} ago` : "never"]);
  byId("tiles").replaceChildren(...tiles.map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function row(name, ...cells) {
  return make("tr", {}, make("th", { scope: "row" }, name), ...cells);
}

function rows(id, found, empty) {
  byId(id).tBodies[0].replaceChildren(...(found.length ? found : [make("tr", {}, make("td", { class: "none" }, empty))]));
}

function drawTables(status) {
  byId("group").hidden = !status.group;
  rows("members", (status.group?.members ?? []).map((member) => row(member.node === status.node ? `${member.node} (this)` : member.node,
    make("td", member.active ? {} : { class: "bad" }, member.active ? "newest" : "out of date"),
    make("td", { class: "number" }, member.since === null ? "\u2013" : String(member.since)))), "none");
  rows("calls", Object.entries(status.calls).sort().map(([method, count]) => row(method === "?" ? "unknown methods" : method,
    make("td", { class: "number" }, whole.format(count)),
    make("td", { class: status.errors[method] ? "number bad" : "number" }, whole.format(status.errors[method] ?? 0)))), "none yet");
  rows("learner", Object.entries(status.learner).sort().map(([name, value]) =>
    row(name, make("td", { class: "number" }, value))), "loading");
  byId("configuration").textContent = status.configuration;
}

function drawAll() {
  if (!latest) return;
  const title = latest.name ? `${latest.kind} ${latest.name}` : latest.kind;
  document.title = `${title} \u2013 hogwild`;
  byId("heading").replaceChildren(make("bdi", {}, title), " at ", make("bdi", {}, latest.node));
  byId("troubles").replaceChildren(...latest.troubles.map((trouble) => make("li", {}, trouble)));
  byId("content").hidden = false;
  drawTiles(latest);
  drawTables(latest);
  drawProgress(latest);
  drawRates(latest);
}

function tell(text, bad) {
  const state = byId("state");
  if (state.textContent !== text) state.textContent = text; // said aloud when it changes
  state.className = bad ? "bad" : "";
}

async function update() {
  if (!document.hidden) {
    try {
      const answer = await fetch("status.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      latest = await answer.json();
      tell(latest.unready ?? "Serving", latest.unready !== null);
      drawAll();
    } catch (error) {
      tell(`No figures: ${error.message}. Those below are from ${latest ? clock(latest.now) : "no time"}.`, true);
    }
  }
  setTimeout(update, EVERY);
}

addEventListener("resize", drawAll);
document.addEventListener("visibilitychange", () => { if (!document.hidden) drawAll(); });
update();
