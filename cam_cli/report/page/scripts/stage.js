/* An image with its map above it, in the shape of the image. */

// The map of an image that the switches for method and class select.
function mapOf(details) {
  const maps = details.maps.filter((map) => !state.method || map.method === state.method);
  return maps[Math.min(maps.length, Number(state.rank) || 1) - 1] || details.maps[0];
}

function sketchOf(map) { // the cells of a map, decoded once
  const { sketch } = map;
  return sketch && (map.cells ||= { ...sketch, values: onScale(bytes(sketch.values), map) });
}

function onScale(values, { peak, colour_scale: scale, sketch }) { // levels of a run with one scale for all maps
  const zero = sketch.signed ? 128 : 0, share = Math.abs(peak) / scale;
  return scale ? Uint8ClampedArray.from(values, (level) => zero + (level - zero) * share) : values;
}

function stage(i, details, side, map = mapOf(details)) {
  const cells = map && sketchOf(map), bare = details.kind === 'picture';
  // An overlay shows the first map of the image only.
  const pictured = details.picture && (bare || map === details.maps[0]);
  const kinds = `${!pictured ? 'none' : bare ? '' : details.kind} ${cells?.signed ? 'signed' : ''}`;
  const box = h('div', { class: `stage ${kinds}`, style: { '--w': details.width || 1, '--h': details.height || 1 } });
  if (pictured) box.append(h('img', { src: details.picture, alt: altText(i), loading: 'lazy', decoding: 'async' }));
  if (cells) {
    const heat = h('canvas.heat', pictured ? {} : { role: 'img', 'aria-label': altText(i) });
    const tint = pictured && bare && cells.signed && h('canvas.tint');
    paint(heat, cells, side, coloursOf(cells));
    if (tint) paint(tint, cells, side, tintsOf());
    fill(box, {}, [unseen([tint, heat], details.seen), tint, heat, state.box && side > 200 && halfPeakBox(map)]);
  } else if (!details.picture) {
    box.append(h('span.missing', columns.status[i] === FAILED ? 'not readable' : 'no image'));
  }
  return box;
}

// Cut the map to the part of the image that the network saw. Returns the element that darkens the rest.
function unseen(canvases, [left, top, right, bottom] = [0, 0, 1, 1]) {
  if (left <= 0 && top <= 0 && right >= 1 && bottom >= 1) return '';
  const inside = `inset(${100 * top}% ${100 - 100 * right}% ${100 - 100 * bottom}% ${100 * left}%)`;
  for (const canvas of canvases) if (canvas) canvas.style.clipPath = inside;
  const [l, t, r, b] = [left, top, right, bottom].map((one) => `${100 * one}%`);
  const around = `0 0, 100% 0, 100% 100%, 0 100%, 0 0, ${l} ${t}, ${r} ${t}, ${r} ${b}, ${l} ${b}, ${l} ${t}`;
  return h('div.unseen', { style: { 'clip-path': `polygon(evenodd, ${around})` } });
}

// The legend that explains dark parts of an image; only where images of the run have such a part.
const DIMMED = 'The network saw only a part of the image, because its preprocessing crops it. The rest is dimmed.';
const dimmedLegend = () => data.dimmed > 0 &&
  h('span.quiet', { title: DIMMED }, h('i.swatch.dark'), 'not seen by the network');

function shareSeen([left, top, right, bottom]) {
  return (right - left) * (bottom - top);
}

function halfPeakBox(map) {
  if (!map.box) return '';
  const [left, top, right, bottom] = map.box.map((one) => 100 * one);
  const style = { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` };
  return h('div.box', { style });
}

/* The text alternative of an image, for screen readers. */

const PLACES = [
  ['at the upper left', 'at the top', 'at the upper right'],
  ['at the left', 'in the middle', 'at the right'],
  ['at the lower left', 'at the bottom', 'at the lower right'],
];

function altText(i) {
  const { image, class: predicted, label, correct, prob, area, center_x: x, center_y: y } = columns;
  const third = (share) => Math.min(2, Math.floor(share * 3));
  const named = predicted[i] < 0 ? '' : `, predicted ${classes[predicted[i]]} with ${percent(prob[i])}`;
  const wrong = correct[i] === 0 ? `, wrong: it is ${classes[label[i]]}` : '';
  const placed = missing(x[i]) ? '' :
    `; the map is centred ${PLACES[third(y[i])][third(x[i])]} and covers ${percent(area[i])}`;
  return (explain || captions ? '' : 'Feature maps of ') + image[i] + named + wrong + placed;
}

// The probability of the class of a map, or the target value of the map.
function scoreOf(map) {
  if (!isNothing(map.target_value)) return figure(map.target_value);
  return isNothing(map.target_prob) ? '' : percent(map.target_prob);
}

function verdict(i) { // right or wrong, the predicted class, its probability
  if (columns.status[i] === FAILED) return h('span.wrong', '! failed');
  const correct = columns.correct[i], predicted = columns.class[i];
  const mark = correct ? h('i.right', { title: 'right' }, '✓ ') : h('i.wrong', { title: 'wrong' }, '✗ ');
  const probability = missing(columns.prob[i]) ? '' : percent(columns.prob[i]);
  return [correct < 0 ? '' : mark, predicted < 0 ? '' : h('span', classes[predicted]), h('b', probability)];
}

function truth(i) { // the label of a wrong image
  const { correct, label } = columns, name = classes[label[i]];
  return correct[i] === 0 && name !== undefined ? h('small', { title: `labelled ${name}` }, `is ${name}`) : '';
}
