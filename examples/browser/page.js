// The page: a field of nuclei, options, and the picture. The painting is done by worker.js.
//
// Addresses: ?engine=wasm|webgpu, ?threads=2, ?layout=0, ?seed=3, ?look=stain-2, ?grain=0, and
// ?paint=1, which paints as soon as the model is there. State and result stand in
// document.documentElement.dataset.state: opening, ready, painting, painted or refused.

import { withShapes } from "./maps.js";
import { readInfo } from "./model.js";
import { asRgba, markedPng } from "./pixels.js";

const SIZE = 256;
// Okabe and Ito 2008, as in the program: distinguishable for colour-blind readers too
const COLOURS = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#b8a800", "#56b4e9"];
const ANY = "any";
const ANY_ID = 255;
const ERASE = "erase";
const ROW_PX = 11;
const NEAR_PX = 12;
const FEW = 8;
const DEFAULT_AREA_UM2 = 35;
const MOST_UNDONE = 200;
// optical density of a full dose of haematoxylin and of eosin in canonical stain
const DYES = [
  [1.044, 1.314, 0.648],
  [0.24, 0.82, 0.52],
];

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const here = new URL(".", location.href).href;
const worker = new Worker(new URL("worker.js", here), { type: "module" });

let info;
let nuclei = [];
let history = [];
let tool = 0;
let look = "";
let cursor = { x: SIZE / 2, y: SIZE / 2, shown: false };
let painted = null;
let layoutNumber = -1;
let busy = true;

// --- state ---

function setState(state) {
  document.documentElement.dataset.state = state;
  busy = state === "opening" || state === "painting";
  byId("paint").disabled = busy || !info || state === "refused-open";
  byId("next").disabled = byId("paint").disabled || !painted;
  byId("download").disabled = !painted;
}

function refuse(sentence) {
  byId("refusal").textContent = sentence;
  byId("status").textContent = "";
  byId("progress").value = 0;
  setState(document.documentElement.dataset.opened ? "refused" : "refused-open");
}

function change(next) {
  history.push(nuclei);
  history = history.slice(-MOST_UNDONE);
  nuclei = next;
  draw();
}

function undo() {
  if (history.length === 0) return;
  nuclei = history.pop();
  draw();
}

const seedOf = () => {
  const seed = Math.trunc(Number(byId("seed").value));
  return Number.isSafeInteger(seed) && seed >= 0 ? seed : 0;
};

// --- the field of nuclei ---

const colourOf = (classId) => (classId === ANY_ID ? "#777" : COLOURS[classId % COLOURS.length]);

function outline(context, nucleus) {
  const [area, elongation, angle] = nucleus.shape ?? [DEFAULT_AREA_UM2, 1, 0];
  const radius = Math.sqrt(area / Math.PI) / info.mpp;
  const long = radius * Math.sqrt(elongation);
  context.beginPath();
  context.ellipse(
    nucleus.x + 0.5,
    nucleus.y + 0.5,
    long,
    long / elongation,
    (angle * Math.PI) / 180,
    0,
    2 * Math.PI,
  );
}

function drawOutlines(context, all, filled) {
  for (const nucleus of all) {
    outline(context, nucleus);
    const colour = colourOf(nucleus.classId);
    if (filled) {
      context.fillStyle = `${colour}cc`;
      context.fill();
    }
    context.strokeStyle = colour;
    context.lineWidth = filled ? 0.8 : 1.2;
    context.stroke();
  }
}

function draw() {
  if (!info) return;
  const canvas = byId("editor");
  const context = canvas.getContext("2d");
  const scale = canvas.width / SIZE;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.fillStyle = "#fff";
  context.fillRect(0, 0, SIZE, SIZE);
  context.strokeStyle = "#eee";
  context.lineWidth = 0.4;
  for (let line = 32; line < SIZE; line += 32) {
    context.beginPath();
    context.moveTo(line, 0);
    context.lineTo(line, SIZE);
    context.moveTo(0, line);
    context.lineTo(SIZE, line);
    context.stroke();
  }
  drawOutlines(context, withShapes(nuclei, info, seedOf()), true);
  if (cursor.shown) drawCross(context);
  showCounts();
}

function drawCross(context) {
  context.strokeStyle = "#000";
  context.lineWidth = 0.8;
  const { x, y } = cursor;
  context.beginPath();
  context.moveTo(x - 6, y + 0.5);
  context.lineTo(x + 7, y + 0.5);
  context.moveTo(x + 0.5, y - 6);
  context.lineTo(x + 0.5, y + 7);
  context.stroke();
}

function showCounts() {
  const names = [...info.classes.entries()].concat(info.any_class ? [[ANY_ID, ANY]] : []);
  const parts = [];
  for (const [classId, name] of names) {
    const count = nuclei.filter((each) => each.classId === classId).length;
    if (count) parts.push(`${count} ${name}`);
  }
  byId("counts").textContent = parts.join(", ") || "none yet";
  byId("undo").disabled = history.length === 0;
  byId("clear").disabled = nuclei.length === 0;
}

function placeOf(event) {
  const box = byId("editor").getBoundingClientRect();
  const inside = (value) => Math.min(Math.max(value, -0.5), SIZE - 0.501);
  return {
    x: inside(((event.clientX - box.left) / box.width) * SIZE - 0.5),
    y: inside(((event.clientY - box.top) / box.height) * SIZE - 0.5),
  };
}

function nearest({ x, y }, within) {
  let found = -1;
  let least = within;
  nuclei.forEach((each, index) => {
    const distance = Math.hypot(each.x - x, each.y - y);
    if (distance <= least) [found, least] = [index, distance];
  });
  return found;
}

function add(place) {
  change([...nuclei, { ...place, classId: tool, shape: null }]);
}

function remove(place, within = NEAR_PX) {
  const index = nearest(place, within);
  if (index >= 0) change(nuclei.filter((_, each) => each !== index));
}

const use = (place) => (tool === ERASE ? remove(place) : add(place));

function listenToField() {
  const canvas = byId("editor");
  let lastPlace = null;
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("pointerdown", (event) => {
    const place = placeOf(event);
    cursor.shown = false;
    if (event.button === 2) return remove(place);
    if (event.button !== 0) return undefined;
    canvas.setPointerCapture(event.pointerId);
    lastPlace = place;
    return use(place);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!lastPlace) return;
    const place = placeOf(event);
    if (Math.hypot(place.x - lastPlace.x, place.y - lastPlace.y) < ROW_PX) return;
    lastPlace = place;
    use(place);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => (lastPlace = null));
  }
  canvas.addEventListener("blur", () => {
    cursor.shown = false;
    draw();
  });
  canvas.addEventListener("keydown", moveCross);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function moveCross(event) {
  const step = ARROWS[event.key];
  const isAdd = event.key === "Enter" || event.key === " ";
  const isRemove = event.key === "Delete" || event.key === "Backspace";
  if (!step && !isAdd && !isRemove) return;
  event.preventDefault();
  if (step) {
    const far = event.shiftKey ? 8 : 2;
    const inside = (value) => Math.min(Math.max(value, 0), SIZE - 1);
    cursor = { x: inside(cursor.x + far * step[0]), y: inside(cursor.y + far * step[1]) };
  }
  cursor.shown = true;
  if (isAdd) use({ x: cursor.x, y: cursor.y });
  if (isRemove) remove(cursor, SIZE);
  draw();
}

// --- layouts ---

function useLayout(number) {
  const { x, y, class_ids: ids } = info.layouts[number % info.layouts.length];
  const pose = Math.floor(number / info.layouts.length) % FEW;
  const turned = (index) => {
    let [left, top] = [x[index], y[index]];
    for (let turn = 0; turn < pose % 4; turn += 1) [left, top] = [top, SIZE - 1 - left];
    return { x: pose >= 4 ? SIZE - 1 - left : left, y: top };
  };
  change(ids.map((classId, index) => ({ ...turned(index), classId, shape: null })));
  layoutNumber = number;
}

/** The layout to begin with: that in which the rarest class is the least rare. */
function richestLayout() {
  const least = info.layouts.map(({ class_ids: ids }) => {
    const counts = info.classes.map((_, classId) => ids.filter((each) => each === classId).length);
    return Math.min(...counts);
  });
  return least.indexOf(Math.max(...least));
}

function randomLayout() {
  const count = FEW * info.layouts.length;
  let number = layoutNumber;
  while (number === layoutNumber) number = Math.floor(Math.random() * count);
  useLayout(number);
}

// --- options ---

function addOptions(select, names) {
  for (const name of names) select.add(new Option(name, name));
}

function radio(group, name, checked, onChange) {
  const label = document.createElement("label");
  label.className = "tool";
  const input = document.createElement("input");
  Object.assign(input, { type: "radio", name: group, checked });
  input.dataset[group] = name;
  input.addEventListener("change", onChange);
  label.append(input);
  return label;
}

function addTool(value, name, colour, key) {
  const label = radio("tool", value, value === tool, () => (tool = value));
  if (colour) {
    const dot = document.createElement("span");
    dot.className = "dot";
    dot.style.background = colour;
    label.append(dot);
  }
  const shown = document.createElement("small");
  shown.textContent = key;
  label.append(name, shown);
  byId("tools").append(label);
}

/** The colours of the two dyes in a look, as a swatch. */
function addLook({ name, scale }, number) {
  const label = radio("look", name, name === look, () => (look = name));
  label.title = name;
  const [nuclear, ground] = DYES.map((dye) => {
    const parts = dye.map((density, c) => Math.round(256 * Math.exp(-density / scale[c]) - 1));
    return `rgb(${parts.join(" ")})`;
  });
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  swatch.style.background = `linear-gradient(100deg, ${nuclear} 50%, ${ground} 50%)`;
  const shown = document.createElement("small");
  shown.textContent = number;
  label.append(swatch, shown);
  byId("looks").append(label);
}

function chooseTool(value) {
  const input = document.querySelector(`[data-tool="${value}"]`);
  if (!input) return;
  input.checked = true;
  tool = value;
}

function showInfo() {
  const { bundle, classes, labels, palette, plan } = info;
  byId("notice").textContent = "Synthetic: for research use, not for diagnosis.";
  byId("bundle").textContent = `bundle ${bundle.name}, ${plan.steps} steps, ${info.mpp} µm/px`;
  byId("side").textContent = SIZE * info.mpp;
  classes.forEach((name, index) => addTool(index, name, colourOf(index), String(index + 1)));
  if (info.any_class) addTool(ANY_ID, "any class", colourOf(ANY_ID), "0");
  addTool(ERASE, "erase", "", "E");
  const named = palette.find((each) => each.name === query.get("look"));
  look = (named ?? palette[0]).name;
  palette.forEach((each, index) => addLook(each, index + 1));
  addOptions(byId("label"), labels);
  byId("label-of").hidden = labels.length === 0;
  byId("grain-of").hidden = !info.grain;
  byId("layout").hidden = info.layouts.length === 0;
}

// --- painting ---

function paint() {
  if (byId("paint").disabled) return;
  byId("refusal").textContent = "";
  setState("painting");
  const request = {
    nuclei,
    look,
    label: byId("label").value || null,
    seed: seedOf(),
    grain: byId("grain").checked,
  };
  worker.postMessage({ paint: request });
}

function nextSeed() {
  if (byId("next").disabled) return;
  byId("seed").value = seedOf() + 1;
  draw();
  paint();
}

function showPicture() {
  if (!painted) return;
  const scale = Number(byId("zoom").value);
  const canvas = byId("picture");
  const context = canvas.getContext("2d");
  const side = SIZE * scale;
  Object.assign(canvas, { width: side, height: side });
  canvas.style.width = `${side}px`;
  context.imageSmoothingQuality = "high";
  context.drawImage(painted.canvas, 0, 0, side, side);
  if (byId("overlay").checked) {
    context.setTransform(scale, 0, 0, scale, 0, 0);
    drawOutlines(context, withShapes(painted.request.nuclei, info, painted.request.seed), false);
  }
}

function receivePicture({ pixels, seconds, engine, request }) {
  const canvas = new OffscreenCanvas(SIZE, SIZE);
  const rgba = asRgba(pixels);
  canvas.getContext("2d").putImageData(new ImageData(rgba, SIZE, SIZE), 0, 0);
  painted = { canvas, request, seconds, engine };
  byId("empty").hidden = true;
  showPicture();
  byId("progress").value = 1;
  byId("status").textContent = `Painted in ${seconds.toFixed(2)} s (${engine}), seed ${request.seed}.`;
  document.documentElement.dataset.seconds = seconds;
  setState("painted");
}

async function download() {
  const png = await painted.canvas.convertToBlob({ type: "image/png" });
  const { nuclei: used, ...options } = painted.request;
  const recipe = {
    synthetic: true,
    verb: "browser",
    histosynth: info.histosynth,
    bundle: { name: info.bundle.name, sha256: info.bundle.sha256, adapter: info.adapter },
    mpp: info.mpp,
    size: [SIZE, SIZE],
    ...options,
    nuclei: used.map(({ x, y, classId }) => [x, y, classId]),
  };
  const marked = markedPng(png, info.notice, recipe);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(marked);
  link.download = `synthetic-${options.look}-seed-${options.seed}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// --- messages and keys ---

worker.addEventListener("message", ({ data }) => {
  if (data.progress) {
    byId("progress").value = data.progress.share;
    byId("status").textContent = `${data.progress.text}…`;
  }
  if (data.opened) {
    byId("engine").textContent = data.opened.engine;
    byId("status").textContent = "Ready.";
    byId("progress").value = 0;
    document.documentElement.dataset.opened = data.opened.engine;
    setState("ready");
    if (query.get("paint") === "1") paint();
  }
  if (data.painted) receivePicture(data.painted);
  if (data.refused) refuse(data.refused);
});
worker.addEventListener("error", () => {
  refuse("The page's worker cannot start. Take a browser that knows module workers.");
});

const KEYS = {
  e: () => chooseTool(ERASE),
  n: nextSeed,
  p: paint,
  r: () => info.layouts.length && randomLayout(),
  z: undo,
  0: () => info.any_class && chooseTool(ANY_ID),
};

addEventListener("keydown", (event) => {
  const isText = event.target.matches("input[type=number], select");
  if (!info || isText || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (KEYS[key]) KEYS[key]();
  else if (key >= "1" && key <= "9" && Number(key) <= info.classes.length) {
    chooseTool(Number(key) - 1);
  }
});

function listen() {
  byId("paint").addEventListener("click", paint);
  byId("next").addEventListener("click", nextSeed);
  byId("download").addEventListener("click", download);
  byId("layout").addEventListener("click", randomLayout);
  byId("undo").addEventListener("click", undo);
  byId("clear").addEventListener("click", () => change([]));
  byId("zoom").addEventListener("change", showPicture);
  byId("overlay").addEventListener("change", showPicture);
  byId("seed").addEventListener("input", draw);
  listenToField();
}

async function start() {
  setState("opening");
  try {
    info = await readInfo(new URL("model/", here));
  } catch (error) {
    refuse(error.message);
    return;
  }
  showInfo();
  listen();
  for (const name of ["seed", "label"]) {
    if (query.has(name)) byId(name).value = query.get(name);
  }
  byId("grain").checked = query.get("grain") !== "0";
  const wanted = Number(query.get("layout") ?? NaN);
  const isLayout = Number.isInteger(wanted) && wanted >= 0;
  if (info.layouts.length) useLayout(isLayout ? wanted : richestLayout());
  history = [];
  draw();
  worker.postMessage({
    open: {
      runtime: new URL("runtime/", here).href,
      folder: new URL("model/", here).href,
      size: SIZE,
      wanted: query.get("engine"),
      threads: Number(query.get("threads")) || 0,
    },
  });
}

start();
