/* A card for each pair: the image, the map of A, the map of B, and the difference of B to A. */

let search = null;

function showPairs(view) {
  const host = h('div.cards.pairs');
  view.append(host, chosen.length ? '' : h('p.note', 'No pair passes these filters.'));
  list = virtualList(host, (width) => {
    const across = Math.max(1, Math.floor(width / 620)), tiles = width / across < 480 ? 2 : 4;
    host.classList.toggle('two', tiles === 2);
    const side = (width / across - 12) / tiles, words = isNarrow() ? 116 : 92; // lines around the tiles
    return [across, Math.round(4 / tiles * (side + 26) + words)];
  }, pairCard);
  list.reset();
}

function pairCard(i) {
  const { image, flip, prob_a: first, prob_b: second, class: predicted, target, label } = columns;
  const tiles = h('div.tiles'), word = data.words[flip[i]];
  detailsOf(i).then((details) => tiles.append(...tilesOf(i, details)), showError);
  const prediction = (name, k, share) =>
    h('span', `${name} `, h('b', k < 0 ? '–' : classes[k]), ` ${percent(share)}`);
  return h('article.card', { class: `card ${word === 'broke' ? 'is-wrong' : ''}`, 'aria-label': image[i] },
    h('div.name', { title: image[i] }, image[i]),
    tiles,
    h('div.line.verdict', h('em.tag', { class: `tag ${FLIP_TAGS[word]}` }, word),
      prediction('A', target[i], first[i]), prediction('B', predicted[i], second[i]),
      label[i] < 0 ? '' : h('small', `is ${classes[label[i]]}`)),
    h('div.quiet', likenessOf(i)));
}

const FLIP_TAGS = { broke: 'fail', fixed: 'pass', changed: '', same: '' };

function likenessOf(i) {
  const { cosine, iou, shift } = columns;
  if (missing(cosine[i])) return 'no two maps to compare';
  return `cosine ${figure(cosine[i])} · IoU ${figure(iou[i])} · peaks ${percent(shift[i])} of the side apart`;
}

function tilesOf(i, details) {
  const sketches = details.sketches.map((sketch) => sketch && { ...sketch, values: bytes(sketch.values) });
  const maps = sketches.map((cells, k) => tile(details, ['A', 'B'][k], details.targets[k], cells, details.seen[k]));
  const [a, b] = sketches, alike = a && b && a.width === b.width && a.height === b.height;
  const apart = alike && h('canvas', { role: 'img', 'aria-label': `Map of B minus map of A, ${columns.image[i]}` });
  if (apart) paint(apart, minus(b, a), 128, palette(TWO_SIDED));
  return [
    figureOf('image', h('div.stage', shapeOf(details), pictureOf(i, details))),
    ...maps,
    figureOf('B − A', apart ? h('div.stage', shapeOf(details), apart) : h('span.missing', 'no two maps')),
  ];
}

const shapeOf = (details) => ({ style: { '--w': details.width || 1, '--h': details.height || 1 } });
const figureOf = (name, node) => h('figure', h('div.tile', node), h('figcaption', name));

function pictureOf(i, details) {
  if (!details.picture) return h('span.missing', 'the run has no image');
  return h('img', { src: details.picture, alt: columns.image[i], loading: 'lazy', decoding: 'async' });
}

function tile(details, name, target, cells, seen) {
  if (!cells) return figureOf(name, h('span.missing', 'no map'));
  const box = h('div.stage', shapeOf(details));
  const heat = h('canvas.heat', { role: 'img', 'aria-label': `Map of ${target} in ${name}` });
  if (details.picture) box.append(h('img', { src: details.picture, alt: '', loading: 'lazy', decoding: 'async' }));
  paint(heat, cells, 128, coloursOf(cells));
  box.append(...[unseen([heat], seen || undefined), heat].filter(Boolean));
  return figureOf(`${name} · ${target}`, box);
}

// The difference of two maps on one scale for all pairs: each map is a share of its own peak.
function minus(b, a) {
  const level = (cells, k) => cells.signed ? Math.abs(cells.values[k] - 128) / 127 : cells.values[k] / 255;
  const values = Uint8Array.from(b.values, (_, k) => Math.round(128 + 127 * (level(b, k) - level(a, k))));
  return { ...b, values, signed: true };
}

/* The line of filters. */

function showTools() {
  const tools = byId('tools');
  tools.hidden = state.view !== 'pairs';
  if (tools.hidden) return;
  const typing = document.activeElement === search;
  const field = (pairs, key, title) => choices(pairs, state[key], (value) => go({ [key]: value }), title);
  search ||= h('input', {
    type: 'search', id: 'search', placeholder: 'Search names', 'aria-label': 'Search',
    oninput: () => go({ q: search.value }),
  });
  search.value = state.q;
  const names = [...classes].sort().map((name) => [name, name]);
  const turn = { hint: 'Reverse the order', 'aria-pressed': String(!!state.desc) };
  const all = many(imageCount, 'pair'), count = chosen.length === imageCount ? all : `${chosen.length} of ${all}`;
  const more = data.all > imageCount ? `, of ${data.all.toLocaleString('en')} images: images.csv has all` : '';
  tools.replaceChildren(
    h('div.line', search,
      field([['', 'every pair'], ...data.words.map((word) => [word, word])], 'flip', 'What became of it'),
      field([['', 'every class'], ...names], 'class', 'Class'),
      field(SORTS, 'sort', 'Order'),
      h('button', { ...turn, onclick: () => go({ desc: state.desc ? '' : '1' }) }, state.desc ? '↓' : '↑')),
    h('div.line', alphaControl('tools'), legends(),
      choices(keys(data.colormaps).map((one) => [one, one]), state.map, (value) => go({ map: value }), 'Colours'),
      signedLegendOf('less in B', 'more in B'),
      h('span.count', { 'aria-live': 'polite' }, count + more)));
  if (typing) search.focus();
  showAlpha();
}
