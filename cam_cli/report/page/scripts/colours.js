/* The colours of maps. In a sketch with signs 128 is no evidence, more is evidence for the class, less against it. */

const TWO_SIDED = 'two-sided';
const palettes = new Map();
const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

function palette(name) { // 256 colours, ABGR as a canvas has them
  if (!palettes.has(name)) {
    const rgb = bytes(name === TWO_SIDED ? data.twoSided : data.colormaps[name]);
    const colour = (_, i) => 0xff000000 | rgb[3 * i + 2] << 16 | rgb[3 * i + 1] << 8 | rgb[3 * i];
    palettes.set(name, Uint32Array.from({ length: 256 }, colour));
  }
  return palettes.get(name);
}

const coloursOf = (cells) => palette(cells.signed ? TWO_SIDED : state.map);

// The colours of an overlay with two colours: the stronger the evidence, the less the image shows through.
let tints = null;
function tintsOf() {
  const opacity = (i) => Math.min(255, Math.floor(Math.abs(i - 128) * 3 * data.alpha));
  return tints ||= palette(TWO_SIDED).map((colour, i) => (colour & 0xffffff | opacity(i) << 24) >>> 0);
}
