/* The mean map of each group side by side, and the difference of two of them. */

const MOST_MEANS = 24; // side by side
let compared = []; // the two groups whose difference is shown, by attribute and name

function groupMeans(found, by, groups) {
  const means = found.means[by];
  const known = groups.map((row, k) => ({ ...row, mean: means[k] })).filter(({ mean: found }) => found);
  if (!known.length) return '';
  const shown = known.slice(0, MOST_MEANS);
  const more = known.length > shown.length && h('p.quiet', `The first ${shown.length} of ${known.length} groups.`);
  return h('section',
    h('h2', 'Where the network looks'),
    h('div.means', shown.map(({ group, mean }) => meanFigure(mean, group))), legends(), more,
    known.length > 1 && difference(by, known));
}

function meanFigure([count, peak, packed, signed], name) {
  const cells = { width: CELLS, height: CELLS, values: bytes(packed), signed };
  const canvas = h('canvas', { role: 'img', 'aria-label': `Mean of ${many(count, 'map')} of ${name}` });
  paint(canvas, cells, 160, coloursOf(cells));
  const caption = h('figcaption', `${name} · ${many(count, 'map')}`, h('small', `peak ${figure(peak)}`));
  return h('figure.mean', { style: { width: '160px' } }, canvas, caption);
}

function difference(by, known) {
  const host = h('div.means'), names = known.map(({ group }) => group);
  const [first, second] = compared[0] === by && compared.slice(1).every((name) => names.includes(name))
    ? compared.slice(1) : farthest(known);
  const draw = (a, b) => {
    compared = [by, a, b];
    const of = (name) => known.find(({ group }) => group === name).mean;
    host.replaceChildren(differenceFigure(of(a), of(b), a, b));
  };
  const choose = (k) => (name) => {
    const [, a, b] = compared;
    draw(k ? a : name, k ? name : b);
  };
  const pairs = names.map((name) => [name, name]);
  draw(first, second);
  return h('div', h('div.line', choices(pairs, first, choose(0), 'Group'), ' minus ',
    choices(pairs, second, choose(1), 'Group to subtract')), host, signedLegendOf('less there', 'more there'));
}

function farthest(known) { // the two groups whose mean maps differ most
  let most = -1, pair = [known[0].group, known[1].group];
  for (const a of known) for (const b of known) {
    const apart = a === b ? -1 : levelsOf(a.mean).reduce((sum, x, i) => sum + Math.abs(x - levelsOf(b.mean)[i]), 0);
    if (apart > most) [most, pair] = [apart, [a.group, b.group]];
  }
  return pair;
}

// The cells of a mean map in [0, 1], with signs in [−1, 1].
function levelsOf(mean) {
  const [, peak, packed, signed] = mean;
  return mean.levels ||= Array.from(bytes(packed), (x) => Math.abs(peak) * (signed ? (x - 128) / 127 : x / 255));
}

function differenceFigure(first, second, a, b) {
  const other = levelsOf(second), apart = levelsOf(first).map((x, i) => x - other[i]);
  const largest = Math.max(...apart.map(Math.abs)) || 1;
  const values = Uint8Array.from(apart, (x) => Math.round(128 + 127 * x / largest));
  const canvas = h('canvas', { role: 'img', 'aria-label': `Mean map of ${a} minus that of ${b}` });
  paint(canvas, { width: CELLS, height: CELLS, values }, 240, palette(TWO_SIDED));
  const caption = h('figcaption', `${a} − ${b}`, h('small', `largest difference ${figure(largest)}`));
  return h('figure.mean', { style: { width: '240px' } }, canvas, caption);
}
