// Nuclei to the maps that the structure encoder takes: the same numbers as `Nuclei.rasterize`,
// `Nuclei.rasterize_shapes`, `draw_shapes` and `position_hash` of histosynth.
//
// A nucleus is {x, y, classId, shape}: px of the tile, index of its class, and area in um2,
// elongation and angle in degrees, or null.

export const CELL = 2;
const SIGMA_PX = 2;
const HALF_TURN = 180;
const PLACES_PER_PX = 8;
const WORD = 2 ** 64;

/** The nearest whole number; of two that are equally near the even one, as numpy has it. */
export function rint(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest === 0.5) return below % 2 === 0 ? below : below + 1;
  return rest < 0.5 ? below : below + 1;
}

// --- whole numbers that depend on a seed and a place alone (splitmix64) ---

const GAMMA = 0x9e3779b97f4a7c15n;
const FIRST = 0xbf58476d1ce4e5b9n;
const SECOND = 0x94d049bb133111ebn;
const word = (value) => BigInt.asUintN(64, value);

function mixed(value) {
  value = word((value ^ (value >> 30n)) * FIRST);
  value = word((value ^ (value >> 27n)) * SECOND);
  return value ^ (value >> 31n);
}

/** A function (column, row, count) => that many 64-bit words, as BigInt. */
export function hashOf(seed) {
  const key = mixed(word(BigInt(seed) + GAMMA));
  const rowKey = mixed(key);
  return (column, row, count) => {
    const mixedColumn = mixed(word(word(BigInt(column)) + key));
    const mixedRow = mixed(word(BigInt(row)) ^ rowKey);
    const place = word(mixedColumn + GAMMA * mixedRow);
    const words = [];
    for (let index = 0; index < count; index += 1) {
      words.push(mixed(word(place + GAMMA * BigInt(index))));
    }
    return words;
  };
}

/** Unit normal numbers, Float32Array of `count`: Box and Muller's, of the words at (n, 0). */
export function gaussians(seed, count) {
  const hash = hashOf(seed);
  const values = new Float32Array(count);
  for (let index = 0; index < count; index += 2) {
    const [first, second] = hash(index / 2, 0, 2);
    const radius = Math.sqrt(-2 * Math.log((Number(first >> 11n) + 1) / 2 ** 53));
    const angle = (2 * Math.PI * Number(second >> 11n)) / 2 ** 53;
    values[index] = radius * Math.cos(angle);
    if (index + 1 < count) values[index + 1] = radius * Math.sin(angle);
  }
  return values;
}

// --- sizes of nuclei ---

function interpolated(level, levels, quantiles) {
  const last = levels.length - 1;
  if (level <= levels[0]) return quantiles[0];
  if (level >= levels[last]) return quantiles[last];
  let index = 0;
  while (levels[index + 1] <= level) index += 1;
  const slope = (quantiles[index + 1] - quantiles[index]) / (levels[index + 1] - levels[index]);
  return quantiles[index] + slope * (level - levels[index]);
}

/** The nuclei with a shape each, drawn by seed and place where there is none. */
export function withShapes(nuclei, model, seed) {
  const hash = hashOf(seed);
  return nuclei.map((nucleus) => {
    const sizes = model.sizes[nucleus.classId];
    if (nucleus.shape || !sizes || sizes.area_um2.length === 0) return nucleus;
    const column = rint(Math.fround(nucleus.x) * PLACES_PER_PX);
    const row = rint(Math.fround(nucleus.y) * PLACES_PER_PX);
    const [area, elongation, angle] = hash(column, row, 3).map((each) => Number(each) / WORD);
    const shape = [
      interpolated(area, model.size_levels, sizes.area_um2),
      interpolated(elongation, model.size_levels, sizes.elongation),
      angle * HALF_TURN,
    ];
    return { ...nucleus, shape: shape.map(Math.fround) };
  });
}

// --- maps ---

const inCells = (value) => Math.fround(Math.fround(Math.fround(value) - (CELL - 1) / 2) / CELL);

function raiseToGaussian(grid, width, height, centre, peak) {
  const radius = Math.ceil((3 * SIGMA_PX) / CELL);
  const scale = -((CELL / SIGMA_PX) ** 2) / 2;
  const [x, y] = centre;
  const column = rint(x);
  const row = rint(y);
  for (let r = Math.max(row - radius, 0); r <= Math.min(row + radius, height - 1); r += 1) {
    const down = peak * Math.exp(scale * (r - y) ** 2);
    for (let c = Math.max(column - radius, 0); c <= Math.min(column + radius, width - 1); c += 1) {
      const value = Math.fround(down * Math.exp(scale * (c - x) ** 2));
      const place = r * width + c;
      if (value > grid[place]) grid[place] = value;
    }
  }
}

function raiseToEllipse(grid, width, height, centre, radius, elongation, angle) {
  const [x, y] = centre;
  const longAxis = radius * Math.sqrt(elongation);
  const reach = longAxis + 1;
  const cosine = Math.cos(angle);
  const sine = Math.sin(angle);
  const lastRow = Math.min(Math.ceil(y + reach), height - 1);
  const lastColumn = Math.min(Math.ceil(x + reach), width - 1);
  for (let r = Math.max(Math.floor(y - reach), 0); r <= lastRow; r += 1) {
    for (let c = Math.max(Math.floor(x - reach), 0); c <= lastColumn; c += 1) {
      const along = ((c - x) * cosine + (r - y) * sine) / longAxis;
      const across = (((r - y) * cosine - (c - x) * sine) * elongation) / longAxis;
      const squared = along ** 2 + across ** 2;
      const inside = Math.min(Math.max((1 - Math.sqrt(squared)) * radius + 0.5, 0), 1);
      const value = Math.fround(Math.min(Math.max(1 - squared / 2, 0), 1) * inside);
      const place = r * width + c;
      if (value > grid[place]) grid[place] = value;
    }
  }
}

/** One Gaussian a nucleus, one channel a class: Float32Array (K, height / 2, width / 2). */
export function rasterize(nuclei, classes, width, height) {
  const columns = Math.ceil(width / CELL);
  const rows = Math.ceil(height / CELL);
  const maps = new Float32Array(classes * rows * columns);
  const size = rows * columns;
  for (const { x, y, classId } of nuclei) {
    const centre = [inCells(x), inCells(y)];
    const isAny = classId >= classes;
    for (let channel = 0; channel < classes; channel += 1) {
      if (!isAny && channel !== classId) continue;
      const grid = maps.subarray(channel * size, (channel + 1) * size);
      raiseToGaussian(grid, columns, rows, centre, isAny ? Math.fround(1 / classes) : 1);
    }
  }
  return maps;
}

/** Ellipses of nuclei with a shape, and a Gaussian each: Float32Array (2, height / 2, width / 2). */
export function rasterizeShapes(nuclei, mpp, width, height) {
  const columns = Math.ceil(width / CELL);
  const rows = Math.ceil(height / CELL);
  const maps = new Float32Array(2 * rows * columns);
  const ellipses = maps.subarray(0, rows * columns);
  const splats = maps.subarray(rows * columns);
  for (const { x, y, shape } of nuclei) {
    if (!shape) continue;
    const centre = [inCells(x), inCells(y)];
    const [area, elongation, angle] = shape;
    const radius = Math.sqrt(area / Math.PI) / mpp / CELL;
    const turn = (angle * Math.PI) / HALF_TURN;
    raiseToEllipse(ellipses, columns, rows, centre, radius, elongation, turn);
    raiseToGaussian(splats, columns, rows, centre, 1);
  }
  return maps;
}

/** The style of a look and a label, one-hot: Float32Array (S + 1 + L). */
export function styleOf(model, look, label) {
  const entry = model.palette.find((each) => each.name === look) ?? model.palette[0];
  const most = model.max_style_sd;
  const numbers = entry.style.map((value, index) => {
    const score = (value - model.style_mean[index]) / model.style_std[index];
    return Math.min(Math.max(score, -most), most);
  });
  return Float32Array.from([...numbers, 1, ...model.labels.map((each) => Number(each === label))]);
}
