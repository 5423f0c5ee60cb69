// A thread of its own for onnxruntime-web, so that the page stays awake while it paints.
// Messages in: {open: {...}} once, then {paint: {...}}; out: {progress}, {opened}, {painted}, {refused}.

import { openModel, Refusal } from "./model.js";

const MOST_THREADS = 8;
let model;
let engine;

async function hasWebGpu() {
  try {
    return Boolean(await navigator.gpu?.requestAdapter());
  } catch {
    return false;
  }
}

async function open({ runtime, folder, size, wanted, threads }) {
  const usesGpu = wanted === "webgpu" || (wanted !== "wasm" && (await hasWebGpu()));
  const file = usesGpu ? "ort.webgpu.min.mjs" : "ort.wasm.min.mjs";
  let ort;
  try {
    ort = await import(new URL(file, runtime));
  } catch {
    throw new Refusal(
      `${new URL(file, runtime).pathname} is not there. ` +
        "Start serve.py with --runtime, the folder dist of onnxruntime-web (see README.md).",
    );
  }
  const cores = Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS);
  ort.env.wasm.wasmPaths = runtime;
  ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? threads || cores : 1;
  const provider = usesGpu ? "webgpu" : "wasm";
  const onProgress = (share, text) => postMessage({ progress: { share, text } });
  const sides = { width: size, height: size };
  model = await openModel(ort, new URL(folder), { provider, onProgress, ...sides });
  const count = ort.env.wasm.numThreads;
  engine = usesGpu ? "WebGPU" : `WASM, ${count} ${count === 1 ? "thread" : "threads"}`;
  postMessage({ opened: { engine, threads: count } });
}

async function paint(request) {
  const began = performance.now();
  const onProgress = (share, text) => postMessage({ progress: { share, text } });
  const pixels = await model.paint(request, onProgress);
  const seconds = (performance.now() - began) / 1000;
  postMessage({ painted: { pixels, seconds, engine, request } }, [pixels.buffer]);
}

let last = Promise.resolve();
addEventListener("message", ({ data }) => {
  last = last.then(async () => {
    try {
      if (data.open) await open(data.open);
      if (data.paint) await paint(data.paint);
    } catch (error) {
      const sentence = error instanceof Refusal ? error.message : `The engine stopped: ${error}`;
      postMessage({ refused: sentence });
    }
  });
});
