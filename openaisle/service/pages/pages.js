// Pages: what HTML cannot do by itself: pausing, weight traces, stills one after the other, choosing products by typing.
"use strict";

// --- a link to sign in: the form in it is sent once the page is there

document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("form[data-at-once]");
  if (form) form.requestSubmit();
});

// --- live parts: not while paused or out of sight; their values are fetched again by htmx

let paused = false;

document.addEventListener("htmx:before:request", (event) => {
  const polls = event.target.getAttribute && (event.target.getAttribute("hx-trigger") || "").startsWith("every");
  if (polls && (paused || document.hidden)) event.preventDefault();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-pause]");
  if (!button) return;
  paused = !paused;
  button.setAttribute("aria-pressed", String(paused));
  [button.textContent, button.dataset.off] = [button.dataset.off, button.textContent];
});

// --- boxes, heads and hands over the cameras' pictures, or not

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-overlays]");
  if (!button) return;
  const shown = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(shown));
  document.getElementById("board").classList.toggle("bare", !shown);
});

// --- weight traces (uPlot); the caption says the same in words

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function drawTrace(figure) {
  const plot = figure.querySelector(".plot");
  const grams = figure.dataset.grams.split(" ").map(Number);
  const rate = Number(figure.dataset.rate), at = Number(figure.dataset.at);
  const known = grams.find((value) => !Number.isNaN(value)) || 0;
  const times = grams.map((_, index) => index / rate - at);
  const values = grams.map((value) => (Number.isNaN(value) ? null : value - known));
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
  const moment = (u) => {
    const x = Math.round(u.valToPos(0, "x", true));
    u.ctx.save();
    u.ctx.strokeStyle = colour("--flash");
    u.ctx.lineWidth = 2;
    u.ctx.beginPath();
    u.ctx.moveTo(x, u.bbox.top);
    u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
    u.ctx.stroke();
    u.ctx.restore();
  };
  plot.replaceChildren();
  new uPlot({
    width: Math.max(240, plot.clientWidth), height: 170, legend: { show: false }, scales: { x: { time: false } },
    axes: [{ ...axis, label: figure.dataset.seconds, labelSize: 18, size: 34 }, { ...axis, label: figure.dataset.label, labelSize: 18, size: 52 }],
    series: [{}, { stroke: colour("--main"), width: 2 }], hooks: { draw: [moment] },
  }, [times, values], plot);
}

// --- stills of a camera, one after the other

function setUpFilm(film) {
  const stills = [...film.querySelectorAll("img")];
  const slider = film.querySelector("input"), button = film.querySelector("[data-play]"), told = film.querySelector("output");
  let timer = 0;
  const show = (index) => {
    stills.forEach((still, number) => still.classList.toggle("shown", number === index));
    slider.value = String(index);
    told.textContent = `${stills[index].dataset.offset} s`;
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = "▶";
  };
  film.classList.add("plays");
  film.querySelector(".player").hidden = stills.length < 2;
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  button.addEventListener("click", () => {
    if (timer) return stop();
    button.textContent = "❚❚";
    timer = setInterval(() => show((Number(slider.value) + 1) % stills.length), 400);
  });
  stills.forEach((still) => { still.loading = "eager"; });
  show(Math.floor((stills.length - 1) / 2));
}

function setUp(root) {
  root.querySelectorAll("figure.trace:not(.drawn)").forEach((figure) => {
    figure.classList.add("drawn");
    drawTrace(figure);
  });
  root.querySelectorAll("figure.film:not(.plays)").forEach(setUpFilm);
}

document.addEventListener("htmx:after:swap", () => {
  setUp(document);
  showFound();
});
const redraw = () => document.querySelectorAll("figure.trace.drawn").forEach(drawTrace);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("resize", redraw);

// --- the basket: units by buttons, products by typing

const basket = document.getElementById("basket"), find = document.getElementById("find"), found = document.getElementById("found");

function renewed() {
  let changed = false;
  basket.querySelectorAll("#rows input").forEach((input) => {
    const differs = input.value !== input.defaultValue || input.dataset.added === "1";
    input.closest("li").classList.toggle("changed", differs);
    input.closest("li").classList.toggle("gone", input.value === "0");
    changed = changed || differs;
  });
  const main = basket.querySelector("button.main");
  main.textContent = changed ? main.dataset.changed : main.dataset.same;
  const fields = new URLSearchParams([...new FormData(basket)].filter(([name]) => name.startsWith("units-")));
  fetch(`${basket.dataset.total}?${fields}`, { headers: { "hx-request": "true" } }).then(async (answer) => {
    if (answer.ok) document.getElementById("total").textContent = await answer.text();
  }).catch(() => {});
}

function add(option) {
  const name = `units-${option.dataset.gtin}`;
  let input = basket.querySelector(`input[name="${name}"]`);
  if (input) {
    input.value = String(Number(input.value) + 1);
  } else {
    const row = document.getElementById("row").content.cloneNode(true);
    row.querySelector("img").src = `/products/${option.dataset.gtin}.png`;
    row.querySelector("[data-name]").textContent = option.dataset.name;
    row.querySelector("[data-price]").textContent = option.dataset.price;
    row.querySelectorAll("[aria-label]").forEach((one) => one.setAttribute("aria-label", one.getAttribute("aria-label").replace("%", option.dataset.name)));
    input = row.querySelector("input");
    input.name = name;
    input.dataset.added = "1";
    document.getElementById("rows").append(row);
  }
  find.value = "";
  hideFound();
  renewed();
  input.focus();
  input.select();
}

function options() {
  return [...found.querySelectorAll("[data-gtin]")];
}

function choose(index) {
  const all = options();
  all.forEach((option, number) => option.setAttribute("aria-selected", String(number === index)));
  if (all[index]) {
    find.setAttribute("aria-activedescendant", all[index].id);
    all[index].scrollIntoView({ block: "nearest" });
  } else {
    find.removeAttribute("aria-activedescendant");
  }
}

function hideFound() {
  found.hidden = true;
  found.replaceChildren();
  find.setAttribute("aria-expanded", "false");
  find.removeAttribute("aria-activedescendant");
}

function showFound() {
  if (!found || document.activeElement !== find) return;
  found.hidden = found.children.length === 0 || find.value.trim() === "";
  find.setAttribute("aria-expanded", String(!found.hidden));
  choose(found.hidden ? -1 : 0);
}

if (basket) {
  basket.addEventListener("click", (event) => {
    const button = event.target.closest("[data-step]");
    if (!button) return;
    const input = button.parentElement.querySelector("input");
    input.value = String(Math.min(Number(input.max), Math.max(0, Number(input.value) + Number(button.dataset.step))));
    renewed();
  });
  basket.addEventListener("change", (event) => { if (event.target.type === "number") renewed(); });
  basket.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.ctrlKey && event.target.tagName === "INPUT") event.preventDefault(); // never by accident
  });
  document.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    if (event.key === "Enter") basket.requestSubmit(basket.querySelector("button.main"));
    if (event.key === "k") {
      event.preventDefault();
      find.focus();
    }
  });
  find.addEventListener("keydown", (event) => {
    const all = options(), at = all.findIndex((option) => option.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      choose((at + (event.key === "ArrowDown" ? 1 : all.length - 1)) % Math.max(1, all.length));
    } else if (event.key === "Enter" && !event.ctrlKey && all[at]) {
      add(all[at]);
    } else if (event.key === "Escape") {
      hideFound();
    }
  });
  find.addEventListener("blur", () => setTimeout(() => { if (document.activeElement !== find) hideFound(); }, 200));
  found.addEventListener("mousedown", (event) => {
    const option = event.target.closest("[data-gtin]");
    event.preventDefault(); // the field keeps the focus
    if (option) add(option);
  });
}

setUp(document);
