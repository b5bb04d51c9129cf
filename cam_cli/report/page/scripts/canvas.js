/* A sketch of a few hundred cells, enlarged and coloured on a canvas. */

const splines = new Map();

// Cubic interpolation (Keys 1981) between the centres of the cells: the four cells of every pixel, and their weights.
function spline(cells, pixels) {
  const key = `${cells} ${pixels}`;
  if (!splines.has(key)) {
    const at = new Int16Array(4 * pixels), weight = new Float32Array(4 * pixels);
    for (let p = 0; p < pixels; p++) {
      const x = (p + 0.5) * cells / pixels - 0.5, first = Math.floor(x) - 1;
      for (let k = 0; k < 4; k++) {
        const d = Math.abs(x - first - k);
        at[4 * p + k] = Math.min(cells - 1, Math.max(0, first + k));
        weight[4 * p + k] = d < 1 ? (1.5 * d - 2.5) * d * d + 1 : ((-0.5 * d + 2.5) * d - 4) * d + 2;
      }
    }
    splines.set(key, { at, weight });
  }
  return splines.get(key);
}

// Draw { width, height, values } in 256 colours; the long side of the canvas gets `side` pixels.
function paint(canvas, cells, side, colours) {
  const scale = side / Math.max(cells.width, cells.height);
  const width = Math.max(1, Math.round(cells.width * scale)), height = Math.max(1, Math.round(cells.height * scale));
  const image = new ImageData(width, height), pixels = new Uint32Array(image.data.buffer);
  const lines = stretched(cells, width), { at, weight } = spline(cells.height, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let k = 4 * y; k < 4 * y + 4; k++) sum += weight[k] * lines[at[k] * width + x];
      pixels[y * width + x] = colours[Math.max(0, Math.min(255, Math.round(sum)))];
    }
  }
  fill(canvas, { width, height }, []).getContext('2d').putImageData(image, 0, 0);
}

function stretched(cells, width) { // every line of cells, `width` pixels wide
  const lines = new Float32Array(cells.height * width), { at, weight } = spline(cells.width, width);
  for (let y = 0; y < cells.height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let k = 4 * x; k < 4 * x + 4; k++) sum += weight[k] * cells.values[y * cells.width + at[k]];
      lines[y * width + x] = sum;
    }
  }
  return lines;
}
