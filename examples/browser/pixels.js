// Pixels after the decoder: grain, stain and the mark of synthetic pictures, as `film_grain`,
// `appearance` and `marking` of histosynth have them. Pixels are Float32Array (H, W, 3) in [0, 255].

import { hashOf, rint } from "./maps.js";

const GRAIN_CELL = 8;
const PATCH = 12;
const BEFORE = 2;
const LOOK_PX = 2;
export const LOOK_SIDE = PATCH / LOOK_PX;
const LOOK_STEP = 2;
const LOOK_NOISE = 4;
const LEFT_OUT = Math.fround(0.9 / LOOK_SIDE ** 2);
const UNIT = Math.fround(6 / 127);
const OVERLAP = PATCH - GRAIN_CELL;

// --- grain ---

/** Looks of the cells of a picture and of one more around it: (rows * columns, 36). */
export function looksOf(pixels, width, height, seed) {
  const edge = GRAIN_CELL + BEFORE;
  const columns = width / GRAIN_CELL + 2;
  const rows = height / GRAIN_CELL + 2;
  const across = (width + 2 * edge) / LOOK_PX;
  const down = (height + 2 * edge) / LOOK_PX;
  const inside = (value, size) => Math.min(Math.max(value - edge, 0), size - 1);
  const grey = (y, x) => {
    const place = 3 * (inside(y, height) * width + inside(x, width));
    return Math.fround(Math.fround(pixels[place] + pixels[place + 1]) + pixels[place + 2]);
  };
  const steps = new Float32Array(down * across);
  for (let y = 0; y < down; y += 1) {
    for (let x = 0; x < across; x += 1) {
      const left = Math.fround(grey(2 * y, 2 * x) + grey(2 * y + 1, 2 * x));
      const right = Math.fround(grey(2 * y, 2 * x + 1) + grey(2 * y + 1, 2 * x + 1));
      const square = Math.fround(left + right);
      steps[y * across + x] = rint(Math.fround(square / (3 * LOOK_PX ** 2 * LOOK_STEP)));
    }
  }
  return { looks: windowsOf(steps, across, rows, columns, seed), rows, columns };
}

function windowsOf(steps, across, rows, columns, seed) {
  const hash = hashOf(seed);
  const count = LOOK_SIDE ** 2;
  const stride = GRAIN_CELL / LOOK_PX;
  const looks = new Float32Array(rows * columns * count);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const own = looks.subarray((row * columns + column) * count);
      let total = 0;
      for (let index = 0; index < count; index += 1) {
        const y = stride * row + Math.floor(index / LOOK_SIDE);
        const x = stride * column + (index % LOOK_SIDE);
        own[index] = steps[y * across + x];
        total += own[index];
      }
      const mean = rint(Math.fround(total * LEFT_OUT));
      const words = hash(column - 1, row - 1, Math.ceil(count / 8));
      for (let index = 0; index < count; index += 1) {
        const octet = Number((words[index >> 3] >> BigInt(8 * (index % 8))) & 255n);
        own[index] += (octet % (2 * LOOK_NOISE + 1)) - LOOK_NOISE - mean;
      }
    }
  }
  return looks;
}

/** For each place of a patch, the place of the patch that it comes from in that pose. */
function placesOfPose(pose) {
  const places = new Int32Array(PATCH * PATCH);
  for (let y = 0; y < PATCH; y += 1) {
    for (let x = 0; x < PATCH; x += 1) {
      let [row, column] = [y, x];
      for (let turn = 0; turn < pose % 4; turn += 1) [row, column] = [column, PATCH - 1 - row];
      if (pose >= 4) [row, column] = [column, row];
      places[y * PATCH + x] = row * PATCH + column;
    }
  }
  return places;
}

const POSES = Array.from({ length: 8 }, (_, pose) => placesOfPose(pose));

function patchWeights() {
  const along = new Float64Array(PATCH).fill(1);
  for (let index = 0; index < OVERLAP; index += 1) {
    along[index] = (index + 0.5) / OVERLAP;
    along[PATCH - 1 - index] = along[index];
  }
  const power = along.reduce((sum, value) => sum + value ** 2, 0) / GRAIN_CELL;
  return Float32Array.from({ length: PATCH * PATCH }, (_, place) => {
    return (along[Math.floor(place / PATCH)] * along[place % PATCH]) / power;
  });
}

const WEIGHTS = patchWeights();

/** A decoded picture with grain; `found` holds the pose and the patch (12, 12, 3) of each cell. */
export function withGrain(pixels, width, height, found, strength) {
  const { poses, patches, rows, columns } = found;
  const edge = GRAIN_CELL + BEFORE;
  const texture = new Float32Array(pixels.length);
  for (let cell = 0; cell < rows * columns; cell += 1) {
    const top = GRAIN_CELL * Math.floor(cell / columns) - edge;
    const left = GRAIN_CELL * (cell % columns) - edge;
    const from = POSES[poses[cell]];
    for (let place = 0; place < PATCH * PATCH; place += 1) {
      const y = top + Math.floor(place / PATCH);
      const x = left + (place % PATCH);
      if (y < 0 || x < 0 || y >= height || x >= width) continue;
      const source = 3 * (cell * PATCH * PATCH + from[place]);
      const target = 3 * (y * width + x);
      const weight = UNIT * WEIGHTS[place];
      for (let c = 0; c < 3; c += 1) texture[target + c] += weight * patches[source + c];
    }
  }
  return pixels.map((value, place) => {
    return Math.min(Math.max(value + strength[place % 3] * texture[place], 0), 255);
  });
}

// --- stain ---

function restained(value, scale) {
  const density = -Math.log((value + 1) / 256);
  return Math.min(Math.max(256 * Math.exp(-density / scale) - 1, 0), 255);
}

/** Pixels in canonical stain => in the stain of a look; no lighter and darker than `extremes`. */
export function inStain(pixels, scale, extremes) {
  const stained = pixels.map((value, place) => restained(value, scale[place % 3]));
  if (!extremes) return stained;
  const darkest = scale.map((each, c) => restained(extremes[c], each));
  const whitest = Math.min(...scale.map((each) => restained(extremes[3], each)));
  for (let place = 0; place < stained.length; place += 3) {
    const least = Math.min(stained[place], stained[place + 1], stained[place + 2]);
    const excess = Math.max(least - whitest, 0);
    for (let c = 0; c < 3; c += 1) {
      stained[place + c] = Math.max(stained[place + c] - excess, darkest[c]);
    }
  }
  return stained;
}

/** As a canvas takes them: whole numbers, opaque. */
export function asRgba(pixels) {
  const rgba = new Uint8ClampedArray((4 * pixels.length) / 3).fill(255);
  for (let place = 0; place < pixels.length / 3; place += 1) {
    for (let c = 0; c < 3; c += 1) rgba[4 * place + c] = rint(pixels[3 * place + c]);
  }
  return rgba;
}

// --- the mark of synthetic pictures ---

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function crc32(bytes) {
  let value = 0xffffffff;
  for (const each of bytes) value = CRC_TABLE[(value ^ each) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

function chunk(type, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/** JSON in which every character is ASCII, as a tEXt chunk wants. */
function asciiJson(value) {
  return JSON.stringify(value).replace(/[^\x20-\x7e]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function xmp() {
  return `<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>`;
}

/** A PNG with the mark: what it is, how it came about, and IPTC's source type in XMP. */
export function markedPng(png, notice, recipe) {
  const encoder = new TextEncoder();
  const chunks = [
    chunk("tEXt", encoder.encode(`Comment\0${notice}`)),
    chunk("tEXt", encoder.encode(`Software\0histosynth (browser page)`)),
    chunk("tEXt", encoder.encode(`histosynth:recipe\0${asciiJson(recipe)}`)),
    chunk("iTXt", encoder.encode(`XML:com.adobe.xmp\0\0\0\0\0${xmp()}`)),
  ];
  const header = 8 + 25; // signature and IHDR
  return new Blob([png.slice(0, header), ...chunks, png.slice(header)], { type: "image/png" });
}
