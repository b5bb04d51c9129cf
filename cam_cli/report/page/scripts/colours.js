/* The colours of maps, and the legend that says what they mean. */

const palettes = new Map();
const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

function palette(name) { // 256 colours, ABGR as a canvas has them
  if (!palettes.has(name)) {
    const rgb = bytes(data.colormaps[name]);
    const colour = (_, i) => 0xff000000 | rgb[3 * i + 2] << 16 | rgb[3 * i + 1] << 8 | rgb[3 * i];
    palettes.set(name, Uint32Array.from({ length: 256 }, colour));
  }
  return palettes.get(name);
}

function gradient() {
  const css = (abgr) => `rgb(${abgr & 255} ${abgr >> 8 & 255} ${abgr >> 16 & 255})`;
  const colours = Array.from(palette(state.map)).filter((_, i) => i % 15 === 0).map(css);
  return `linear-gradient(to right, ${colours.join(',')})`;
}

function legend(peak) {
  const ramp = h('i.ramp', { style: { 'background-image': gradient() } });
  const last = peak === undefined ? 'peak' : `peak ${figure(peak)}`;
  const title = 'Colours of a map, from nothing to its own peak';
  return h('div.legend', { title }, h('span', '0'), ramp, h('span', last));
}

function showLegends() {
  for (const ramp of document.querySelectorAll('.ramp')) ramp.style.backgroundImage = gradient();
}
