// The graphs of `histosynth export onnx`, run by onnxruntime-web: nuclei, look and seed in, pixels
// of a tile out. The solver is `plan` of model.json: linear combinations, whose numbers stand there.

import { gaussians, rasterize, rasterizeShapes, styleOf, withShapes } from "./maps.js";
import { inStain, LOOK_SIDE, looksOf, withGrain } from "./pixels.js";

const FORMAT = 1;
const CELL = 2;
const FACTOR = 8;
const LOOKS_AT_A_TIME = 128;
const GRAPHS = ["structure.onnx", "denoiser.onnx", "decoder.onnx"];
const GRAIN = "grain.onnx";

/** A sentence for people. */
export class Refusal extends Error {}

async function fetched(url, onBytes) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new Refusal(`${url.pathname} cannot be fetched. Is the server still running?`);
  }
  if (!response.ok) {
    throw new Refusal(
      `${url.pathname} is not there (status ${response.status}). ` +
        "Start serve.py with --model, the folder that `histosynth export onnx` wrote.",
    );
  }
  const parts = [];
  let length = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
    onBytes?.(value.length);
  }
  const bytes = new Uint8Array(length);
  let place = 0;
  for (const part of parts) {
    bytes.set(part, place);
    place += part.length;
  }
  return bytes;
}

async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) {
    throw new Refusal(
      "The browser checks no files on this address. Open the page at http://127.0.0.1, or by https.",
    );
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((each) => each.toString(16).padStart(2, "0")).join("");
}

/** `model.json`, checked. */
export async function readInfo(folder) {
  const bytes = await fetched(new URL("model.json", folder));
  let info;
  try {
    info = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Refusal("model.json is no JSON. Export the bundle again: histosynth export onnx.");
  }
  if (info.format !== FORMAT) {
    throw new Refusal(
      `model.json has format ${info.format}, and this page reads ${FORMAT}. ` +
        "Take the page and the export of one version of histosynth.",
    );
  }
  return info;
}

/** One graph's bytes, if they are those that model.json names. */
async function graphBytes(folder, name, info, onBytes) {
  const bytes = await fetched(new URL(name, folder), onBytes);
  const found = await sha256(bytes);
  if (found !== info.hashes[name]) {
    throw new Refusal(
      `${name} is not the file that model.json of bundle ${info.bundle.name} names: its sha256 ` +
        `begins ${found.slice(0, 12)}, and ${info.hashes[name].slice(0, 12)} is stated. ` +
        "It is of another bundle or damaged. Export the bundle again: histosynth export onnx.",
    );
  }
  return bytes;
}

/** Nothing is painted before every file has been compared with its sha256. */
export async function openModel(ort, folder, { provider, width, height, onProgress }) {
  const info = await readInfo(folder);
  const free = {};
  for (let cell = 1; cell <= 64; cell *= 2) {
    const suffix = cell === 1 ? "" : `/${cell}`;
    free[`height${suffix}`] = height / cell;
    free[`width${suffix}`] = width / cell;
  }
  const names = info.grain ? [...GRAPHS, GRAIN] : GRAPHS;
  const sessions = {};
  for (const [index, name] of names.entries()) {
    onProgress?.(index / names.length, `Loading ${name}`);
    const bytes = await graphBytes(folder, name, info);
    sessions[name] = await ort.InferenceSession.create(bytes, {
      // grain is whole numbers and a search: one processor finds the same everywhere
      executionProviders: name === GRAIN ? ["wasm"] : [provider],
      freeDimensionOverrides: name === GRAIN ? undefined : free,
      graphOptimizationLevel: "all",
      logSeverityLevel: 3,
    });
  }
  onProgress?.(1, "Loaded");
  return new Model(ort, info, sessions, width, height);
}

class Model {
  constructor(ort, info, sessions, width, height) {
    Object.assign(this, { ort, info, sessions, width, height });
  }

  tensor(values, shape) {
    return new this.ort.Tensor("float32", values, shape);
  }

  async run(name, inputs) {
    return this.sessions[name].run(inputs);
  }

  /** Maps of a tile of which all is to be painted. */
  maps(nuclei) {
    const { info, width, height } = this;
    const classes = info.classes.length;
    const small = [height / CELL, width / CELL];
    const maps = {
      nuclei: this.tensor(rasterize(nuclei, classes, width, height), [1, classes, ...small]),
      has_nuclei: this.tensor(new Float32Array([1]), [1]),
      known: this.tensor(new Float32Array(3 * height * width), [1, 3, height, width]),
      mask: this.tensor(new Float32Array(height * width).fill(1), [1, 1, height, width]),
    };
    if (this.sessions["structure.onnx"].inputNames.includes("shapes")) {
      const shapes = rasterizeShapes(nuclei, info.mpp, width, height);
      maps.shapes = this.tensor(shapes, [1, 2, ...small]);
    }
    return maps;
  }

  withoutNuclei(maps) {
    const empty = { ...maps };
    for (const name of ["nuclei", "has_nuclei", "shapes"]) {
      if (maps[name]) empty[name] = this.tensor(new Float32Array(maps[name].size), maps[name].dims);
    }
    return empty;
  }

  /** Pixels (H, W, 3) in canonical stain, without grain. */
  async canonical({ nuclei, look, label, noise }, onProgress) {
    const { plan, latent_mean: mean } = this.info;
    const shape = [1, mean.length, this.height / FACTOR, this.width / FACTOR];
    const parts = plan.calls.length + 2;
    onProgress(0, "Structure of the nuclei");
    const maps = this.maps(nuclei);
    const withNuclei = await this.run("structure.onnx", maps);
    const guided = plan.calls.some((call) => call.guidance !== 1);
    const without = guided ? await this.run("structure.onnx", this.withoutNuclei(maps)) : {};
    const numbers = styleOf(this.info, look, label);
    const style = this.tensor(numbers, [1, numbers.length]);
    const estimates = [];
    for (const [index, call] of plan.calls.entries()) {
      onProgress((index + 1) / parts, `Step ${index + 1} of ${plan.calls.length}`);
      const noisy = this.tensor(mixed(noise, call.noise, estimates, call.estimates), shape);
      const time = this.tensor(new Float32Array([call.time]), [1]);
      const inputs = { noisy, time, style };
      const { clean } = await this.run("denoiser.onnx", { ...inputs, ...withNuclei });
      let estimate = clean.data;
      if (call.guidance !== 1) {
        const free = (await this.run("denoiser.onnx", { ...inputs, ...without })).clean.data;
        estimate = free.map((value, place) => value + call.guidance * (clean.data[place] - value));
      }
      estimates.push(estimate);
    }
    onProgress((parts - 1) / parts, "Decoding");
    const latents = this.tensor(mixed(noise, plan.noise, estimates, plan.estimates), shape);
    const { pixels } = await this.run("decoder.onnx", { latents });
    return channelsLast(pixels.data);
  }

  /** Pixels in canonical stain with grain, as the bundle adds it. */
  async grained(pixels, seed) {
    const { looks, rows, columns } = looksOf(pixels, this.width, this.height, seed);
    const numbers = LOOK_SIDE ** 2;
    const poses = [];
    const patches = [];
    for (let first = 0; first < rows * columns; first += LOOKS_AT_A_TIME) {
      const last = Math.min(first + LOOKS_AT_A_TIME, rows * columns);
      const part = looks.slice(first * numbers, last * numbers);
      const found = await this.run(GRAIN, { looks: this.tensor(part, [last - first, numbers]) });
      poses.push(...found.pose.data);
      patches.push(found.lost.data);
    }
    const joined = new Float32Array(patches.reduce((sum, each) => sum + each.length, 0));
    let place = 0;
    for (const each of patches) {
      joined.set(each, place);
      place += each.length;
    }
    const found = { poses, patches: joined, rows, columns };
    return withGrain(pixels, this.width, this.height, found, this.info.grain.strength);
  }

  /** Pixels (H, W, 3) in [0, 255] in the stain of a look, and the nuclei with their sizes. */
  async paint({ nuclei, look, label, seed, grain }, onProgress = () => {}) {
    const { info } = this;
    const shaped = withShapes(nuclei, info, seed);
    const channels = info.latent_mean.length;
    const count = (channels * this.height * this.width) / FACTOR ** 2;
    const noise = gaussians(seed, count);
    let pixels = await this.canonical({ nuclei: shaped, look, label, noise }, onProgress);
    const hasGrain = grain && info.grain;
    if (hasGrain) pixels = await this.grained(pixels, seed);
    onProgress(1, "Painted");
    const { scale } = info.palette.find((each) => each.name === look) ?? info.palette[0];
    return inStain(pixels, scale, hasGrain ? info.grain.extremes : null);
  }
}

/** The noise and the estimates, each in its share. */
function mixed(noise, share, estimates, shares) {
  const total = noise.map((value) => share * value);
  estimates.forEach((estimate, index) => {
    const own = shares[index];
    for (let place = 0; place < total.length; place += 1) total[place] += own * estimate[place];
  });
  return total;
}

function channelsLast(values) {
  const size = values.length / 3;
  return Float32Array.from(values, (_, place) => values[(place % 3) * size + Math.floor(place / 3)]);
}
