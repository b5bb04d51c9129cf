/* Mean maps of a class or of the whole run: of all images, of the right and of the wrong ones. */

const GROUPS = ['all', 'right', 'wrong'];
const CELLS = 24; // along both sides
const EVEN = 0.36; // the share of an even map that lies in the border, the outer 10 % on each side
const EVEN_HINT = `An even map has ${percent(EVEN)} of its mass in the border, the outer 10 % on each side.`;

const methodShown = () => state.method || data.methods[0];

// A mean map of class k (−1: of every class), as a figure; null where there is none. The size is that of the figure.
function meanMap(means, k, group, side, size) {
  const found = (means[methodShown()] || {})[k]?.[group];
  if (!found) return null;
  const [count, peak, packed, signed] = found, cells = { width: CELLS, height: CELLS, values: bytes(packed), signed };
  const canvas = h('canvas', { role: 'img', 'aria-label': `Mean of ${many(count, 'map')}` });
  paint(canvas, cells, side, coloursOf(cells));
  const caption = h('figcaption', `${GROUPS[group]} · ${many(count, 'map')}`, h('small', `peak ${figure(peak)}`));
  return h('figure.mean', size ? { style: { width: size } } : {}, canvas, size ? caption : '');
}

// Those of all, of the right and of the wrong images, large. Only the first where nothing is wrong or nothing right.
function meanMaps(means, k) {
  const maps = GROUPS.map((_, group) => meanMap(means, k, group, 160, '160px')).filter(Boolean);
  return labelled && maps.length > 2 ? maps : maps.slice(0, 1);
}
