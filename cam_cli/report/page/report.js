'use strict';
/* The report of camx. All texts reach the page as text nodes and attributes, never as markup. */
const data = JSON.parse(document.getElementById('data').textContent);
const { entries, keys } = Object, no = Number.isNaN;
const $ = (id) => document.getElementById(id);
const OK = 0, FAILED = 1, BLANK = 2, STATUS = ['ok', 'failed', 'blank'];
const EVEN = 0.36; // the share of an even map that lies in the outer 10 % on each side

/* ---------- elements ---------- */

function fill(node, attributes, kids) {
  for (const [name, value] of entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'style') for (const [key, one] of entries(value)) node.style.setProperty(key, one);
    else for (const one of name === 'hint' ? ['title', 'aria-label'] : [name]) node.setAttribute(one, value === true ? '' : value);
  }
  node.append(...kids.flat(Infinity).filter((kid) => kid || kid === 0));
  return node;
}
function h(kind, ...kids) { // h('p.quiet', { title: 'of' }, 'text', child …): an element, with attributes or without
  const [tag, ...names] = kind.split('.'), node = document.createElement(tag);
  if (names.length) node.className = names.join(' ');
  return fill(node, kids[0]?.constructor === Object ? kids.shift() : {}, kids);
}
const percent = (x) => x === null || no(x) ? '–' : (100 * x).toFixed(x > 0.9995 || x === 0 ? 0 : 1) + '\u202f%';
const figure = (x) => x === null || x === undefined || no(x) ? '–' : Number(x.toPrecision(3)).toString();
const many = (n, word) => `${n.toLocaleString('en')} ${word}${n === 1 ? '' : 's'}`;
const mean = (sum, n) => n ? sum / n : NaN;

/* ---------- parts of the data: inside the page, or scripts beside it ---------- */

const parts = new Map(), arriving = new Map();
window.camxPart = (name, value) => arriving.get(name)(value);
function part(name) {
  if (!parts.has(name)) parts.set(name, name in data.parts ? Promise.resolve(data.parts[name]) : new Promise((done, fail) => {
    arriving.set(name, done);
    const script = h('script', { src: `${data.base}${name}.js` });
    script.onload = () => script.remove();
    script.onerror = () => fail(new Error(`The file ${data.base}${name}.js is missing. Keep the folder report/ together.`));
    document.head.append(script);
  }));
  return parts.get(name);
}

/* ---------- C ---------- */

const n = data.rows || 0;
const numbers = ['prob', 'area', 'border', 'entropy', 'center_x', 'center_y', 'peak'];
const C = { image: new Array(n), status: new Uint8Array(n), correct: new Int8Array(n) };
for (const name of ['label', 'class', 'target']) C[name] = new Int32Array(n);
for (const name of numbers) C[name] = new Float32Array(n);
const errors = new Map();
const classes = data.classes || [];
const labelled = data.judged > 0;

async function loadColumns() {
  const wanted = [];
  for (let k = 0; k * data.chunk < n; k++) wanted.push(part(`rows-${k}`));
  (await Promise.all(wanted)).forEach((chunk, k) => {
    const start = k * data.chunk;
    for (let i = 0; i < chunk.image.length; i++) {
      C.image[start + i] = chunk.image[i];
      C.label[start + i] = chunk.label[i] < 0 ? -1 : data.labels[chunk.label[i]];
      for (const name of numbers) C[name][start + i] = chunk[name][i] === null ? NaN : chunk[name][i];
    }
    for (const name of ['status', 'correct', 'class', 'target']) C[name].set(chunk[name], start);
    for (const [i, text] of entries(chunk.errors)) errors.set(start + Number(i), text);
    parts.delete(`rows-${k}`);
    delete data.parts[`rows-${k}`];
  });
}

const loaded = new Map(); // groups of details that are here
async function more(i) {
  const group = Math.floor(i / data.group);
  if (!loaded.has(group)) loaded.set(group, await part(`more-${group}`));
  return loaded.get(group)[i % data.group];
}

/* ---------- what is asked for, in the address ---------- */

const explain = data.kind === 'explain', training = data.kind === 'train-gap';
const VIEWS = {
  gallery: { name: 'Gallery', key: 'g', filtered: true, show: showGallery, there: !training },
  table: { name: 'Table', key: 't', filtered: true, show: showTable, there: explain },
  classes: { name: 'Classes', key: 'c', show: showClasses, there: explain },
  confusion: { name: 'Confusion', key: 'x', show: showConfusion, there: explain && labelled },
  distribution: { name: 'Distribution', key: 'd', filtered: true, show: showDistribution, there: explain },
  curves: { name: 'Curves', key: 'c', there: training },
  matrix: { name: 'Confusion', key: 'x', show: showMatrix, there: training && !!data.confusion },
  epochs: { name: 'Over the epochs', key: 'e', show: showEpochs, there: training && keys(data.samples).length > 0 },
  failures: { name: 'Failures', key: 'f', there: !!$('failures') },
  made: { name: 'How', key: 'h', there: true },
};
const DEFAULTS = {
  view: training ? 'curves' : 'gallery', of: '', image: '', class: '', label: '', pred: '', right: '', status: '', prob: '', area: '',
  border: '', q: '', sort: 'input', desc: '', map: keys(data.colormaps)[0], alpha: String(data.alpha), method: '', rank: '1', epoch: '', box: '',
};
const FILTERS = ['class', 'label', 'pred', 'right', 'status', 'prob', 'area', 'border', 'q'];
const RANGES = { prob: 'probability', area: 'area', border: 'border' };
let state = read();

function read() {
  const asked = new URLSearchParams(location.hash.slice(1)), found = { ...DEFAULTS };
  for (const key of keys(DEFAULTS)) if (asked.has(key)) found[key] = asked.get(key);
  if (!VIEWS[found.view] || !VIEWS[found.view].there) found.view = DEFAULTS.view;
  if (!data.colormaps[found.map]) found.map = DEFAULTS.map;
  return found;
}
function address(change = {}) {
  const asked = new URLSearchParams();
  for (const [key, value] of entries({ ...state, ...change })) if (value !== DEFAULTS[key]) asked.set(key, value);
  return '#' + asked;
}
function go(change, step) { // a step is one that the button Back takes back
  history[step ? 'pushState' : 'replaceState'](null, '', address(change));
  become({ ...state, ...change });
}
function become(next) {
  const before = state;
  state = next;
  const changed = (...keys) => keys.some((key) => before[key] !== state[key]);
  if (changed('alpha')) showAlpha();
  if (changed('map')) showLegend();
  const filtered = changed(...FILTERS, 'sort', 'desc');
  if (filtered) select();
  if (filtered || changed('view', 'of', 'map', 'method', 'rank')) show(changed('view', 'of', ...FILTERS));
  if (changed('image', 'map', 'box') || (state.image && changed('method', 'rank'))) showLarge();
  if (changed('epoch') && state.view === 'epochs' && epochChanged) epochChanged();
}

/* ---------- filtering and sorting ---------- */

const orders = new Map();
let chosen = new Uint32Array(0); // rows, in the order shown
let haystack = null;

function orderBy(name) { // ascending; rows without a value last. [order, rows with a value]
  if (orders.has(name)) return orders.get(name);
  const all = Uint32Array.from({ length: n }, (_, i) => i);
  let valued = n;
  if (name === 'image') {
    const texts = C.image;
    all.sort((a, b) => texts[a] < texts[b] ? -1 : texts[a] > texts[b] ? 1 : a - b);
  } else if (name !== 'input') {
    const byName = name === 'class' || name === 'label' || name === 'target';
    const ranks = byName ? rankOfNames() : null;
    const values = byName ? Float32Array.from(C[name], (c) => c < 0 ? NaN : ranks[c]) : C[name];
    const present = all.filter((i) => !no(values[i])), missing = all.filter((i) => no(values[i]));
    present.sort((a, b) => values[a] - values[b] || a - b);
    valued = present.length;
    all.set(present);
    all.set(missing, valued);
  }
  orders.set(name, [all, valued]);
  return orders.get(name);
}
function rankOfNames() {
  const ranks = new Float32Array(classes.length);
  [...classes.keys()].sort((a, b) => classes[a] < classes[b] ? -1 : 1).forEach((c, rank) => { ranks[c] = rank; });
  return ranks;
}
function range(text) {
  const [low, high] = text.split('~').map((one) => one === '' ? NaN : Number(one));
  return text ? [no(low) ? -Infinity : low, high === undefined || no(high) ? Infinity : high] : null;
}
function tests() { // the filters that are set, as functions of a row
  const found = [], number = (name) => classes.indexOf(name);
  if (state.status) { const s = STATUS.indexOf(state.status); found.push((i) => C.status[i] === s); }
  if (state.right) { const wanted = state.right === 'right' ? 1 : 0; found.push((i) => C.correct[i] === wanted); }
  if (state.class) { const k = number(state.class); found.push((i) => C.class[i] === k || C.label[i] === k || C.target[i] === k); }
  if (state.label) { const k = number(state.label); found.push((i) => C.label[i] === k); }
  if (state.pred) { const k = number(state.pred); found.push((i) => C.class[i] === k); }
  for (const name of keys(RANGES)) {
    const limits = range(state[name]), values = C[name];
    if (limits) found.push((i) => values[i] >= limits[0] && values[i] <= limits[1]);
  }
  if (state.q) {
    const texts = hay();
    for (const word of state.q.toLowerCase().split(/\s+/).filter(Boolean)) found.push((i) => texts[i].includes(word));
  }
  return found;
}
const hay = () => haystack ||= C.image.map((image, i) =>
      `${image}\n${C.class[i] < 0 ? '' : classes[C.class[i]]}\n${C.label[i] < 0 ? '' : classes[C.label[i]]}`.toLowerCase());
function select() {
  const [order, valued] = orderBy(orders.has(state.sort) || numbers.concat('image', 'class', 'label').includes(state.sort) ? state.sort : 'input');
  const wanted = tests(), kept = new Uint32Array(n);
  let count = 0;
  for (let k = 0; k < n; k++) {
    const i = order[state.desc && k < valued ? valued - 1 - k : k];
    let keep = true;
    for (let t = 0; keep && t < wanted.length; t++) keep = wanted[t](i);
    if (keep) kept[count++] = i;
  }
  chosen = kept.subarray(0, count);
}

/* ---------- maps: a sketch of a few hundred cells, enlarged and coloured here ---------- */

const luts = new Map();
function lut(name) { // 256 colours, ABGR as a canvas has them
  if (!luts.has(name)) {
    const levels = bytes(data.colormaps[name]);
    luts.set(name, Uint32Array.from({ length: 256 }, (_, i) => 0xff000000 | levels[3 * i + 2] << 16 | levels[3 * i + 1] << 8 | levels[3 * i]));
  }
  return luts.get(name);
}
const css = (abgr) => `rgb(${abgr & 255} ${abgr >> 8 & 255} ${abgr >> 16 & 255})`;
const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const sketchOf = (map) => map.sketch && (map.cells ||= { width: map.sketch.width, height: map.sketch.height, values: bytes(map.sketch.values) });

const splines = new Map();
function spline(cells, pixels) { // cubic interpolation (Keys 1981) between the centres of the cells
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
function paint(canvas, cells, side, colours) { // the long side of the canvas gets `side` pixels
  const scale = side / Math.max(cells.width, cells.height);
  const width = Math.max(1, Math.round(cells.width * scale)), height = Math.max(1, Math.round(cells.height * scale));
  canvas.width = width;
  canvas.height = height;
  const across = spline(cells.width, width), down = spline(cells.height, height);
  const lines = new Float32Array(cells.height * width), image = new ImageData(width, height), out = new Uint32Array(image.data.buffer);
  for (let y = 0; y < cells.height; y++) for (let x = 0; x < width; x++) {
    let sum = 0;
    for (let k = 4 * x; k < 4 * x + 4; k++) sum += across.weight[k] * cells.values[y * cells.width + across.at[k]];
    lines[y * width + x] = sum;
  }
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    let sum = 0;
    for (let k = 4 * y; k < 4 * y + 4; k++) sum += down.weight[k] * lines[down.at[k] * width + x];
    out[y * width + x] = colours[Math.max(0, Math.min(255, Math.round(sum)))];
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
}

function mapOf(details) { // the map that the switches ask for
  const maps = details.maps.filter((map) => !state.method || map.method === state.method);
  return maps[Math.min(maps.length, Number(state.rank) || 1) - 1] || details.maps[0];
}
const WHERE = [['at the upper left', 'at the top', 'at the upper right'], ['at the left', 'in the middle', 'at the right'], ['at the lower left', 'at the bottom', 'at the lower right']];
const where = (x, y) => WHERE[Math.min(2, Math.floor(y * 3))][Math.min(2, Math.floor(x * 3))];
function words(i) { // what a picture shows, for those who do not see it
  const seen = no(C.center_x[i]) ? '' : `; the map is centred ${where(C.center_x[i], C.center_y[i])} and covers ${percent(C.area[i])}`;
  const predicted = C.class[i] < 0 ? '' : `, predicted ${classes[C.class[i]]} with ${percent(C.prob[i])}`;
  return C.image[i] + predicted + (C.correct[i] === 0 ? `, wrong: it is ${classes[C.label[i]]}` : '') + seen;
}
function stage(i, details, side) { // a picture with its map above it, in the shape of the picture
  const map = mapOf(details), cells = map && sketchOf(map), [width, height] = [details.width || 1, details.height || 1];
  const bare = details.kind === 'picture', own = bare || map === details.maps[0];
  const box = h('div', { class: `stage ${bare ? '' : details.kind || 'none'}`, style: { '--w': width, '--h': height } });
  if (details.picture && own) box.append(h('img', { src: details.picture, alt: words(i), loading: 'lazy', decoding: 'async' }));
  if (cells) {
    const canvas = h('canvas.heat', { role: details.picture && own ? null : 'img', 'aria-label': details.picture && own ? null : words(i) });
    paint(canvas, cells, side, lut(state.map));
    const [left, top, right, bottom] = details.seen || [0, 0, 1, 1];
    if (left > 0 || top > 0 || right < 1 || bottom < 1) {
      canvas.style.clipPath = `inset(${100 * top}% ${100 - 100 * right}% ${100 - 100 * bottom}% ${100 * left}%)`;
      const [l, t, r, b] = [left, top, right, bottom].map((one) => `${100 * one}%`);
      box.append(h('div.unseen', { style: { 'clip-path': `polygon(evenodd, 0 0, 100% 0, 100% 100%, 0 100%, 0 0, ${l} ${t}, ${r} ${t}, ${r} ${b}, ${l} ${b}, ${l} ${t})` } }));
    }
    box.append(canvas);
    if (map.box && state.box && side > 200) {
      const [x, y, x2, y2] = map.box.map((one) => 100 * one);
      box.append(h('div.box', { style: { left: `${x}%`, top: `${y}%`, width: `${x2 - x}%`, height: `${y2 - y}%` } }));
    }
  } else if (!details.picture) box.append(h('span.missing', C.status[i] === FAILED ? 'not readable' : 'no picture'));
  return box;
}

/* ---------- a list of which only the part in sight exists ---------- */

const TALLEST = 15e6; // pixels that every browser can scroll; longer lists are scrolled faster than their rows go by
function virtual(host, measure, make) {
  const live = new Map();
  let columnsNow = 1, rowHeight = 1, count = 0, printing = false;
  const geometry = () => {
    const rows = Math.ceil(count / columnsNow), full = rows * rowHeight, tall = Math.min(full, TALLEST);
    return { full, tall, offset: -host.getBoundingClientRect().top - barHeight() };
  };
  function update() {
    const { full, tall, offset } = geometry(), sight = innerHeight;
    const scale = full > tall ? (full - sight) / Math.max(1, tall - sight) : 1;
    const top = Math.max(0, offset) * scale, shift = Math.max(0, offset) - top;
    const first = printing ? 0 : Math.max(0, Math.floor((top - sight / 3) / rowHeight)) * columnsNow;
    const last = printing ? Math.min(count, 200) : Math.min(count, Math.ceil((top + 1.3 * sight) / rowHeight) * columnsNow);
    for (const [place, node] of live) if (place < first || place >= last) { node.remove(); live.delete(place); }
    const fresh = document.createDocumentFragment();
    for (let place = first; place < last; place++) {
      let node = live.get(place);
      if (!node) {
        node = make(chosen[place], place);
        node.style.width = `calc(${100 / columnsNow}% - var(--gap))`;
        node.style.left = `${100 * (place % columnsNow) / columnsNow}%`;
        live.set(place, node);
        fresh.append(node);
      }
      node.style.top = `${Math.floor(place / columnsNow) * rowHeight + shift}px`;
    }
    host.append(fresh);
  }
  function reset() {
    for (const node of live.values()) node.remove();
    live.clear();
    count = chosen.length;
    [columnsNow, rowHeight] = measure(host.clientWidth);
    host.style.height = `${geometry().tall}px`;
    update();
  }
  return {
    update, reset,
    resize() { const [c, r] = measure(host.clientWidth); if (c !== columnsNow || r !== rowHeight) reset(); else update(); },
    print(on) { printing = on; host.classList.toggle('printing', on); update(); },
    step: (key) => ({ ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columnsNow, ArrowDown: columnsNow, Home: -Infinity, End: Infinity })[key],
    focus(place) {
      const { full, tall } = geometry(), row = Math.floor(place / columnsNow) * rowHeight, scale = full > tall ? tall / full : 1;
      const at = host.getBoundingClientRect().top + row * scale;
      if (at < barHeight()) scrollBy(0, at - barHeight() - 4);
      else if (at + rowHeight > innerHeight) scrollBy(0, at + rowHeight - innerHeight + 4);
      update();
      live.get(place)?.focus({ preventScroll: true });
    },
  };
}
const barHeight = () => document.querySelector('header').offsetHeight;
let list = null, cursor = -1;

function opens(i, place) { // what makes an element open its image
  return {
    href: address({ image: C.image[i] }),
    onclick(event) {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      cursor = place;
      go({ image: C.image[i] }, true);
    },
    onfocus() { cursor = place; },
  };
}

/* ---------- views: gallery and table ---------- */

const fileName = (path) => path.slice(path.lastIndexOf('/') + 1);
function verdict(i) {
    if (C.status[i] === FAILED) return h('span.wrong', '! failed');
  const mark = C.correct[i] < 0 ? '' : C.correct[i] ? h('i.right', { title: 'right' }, '✓ ') : h('i.wrong', { title: 'wrong' }, '✗ ');
  return [mark, C.class[i] < 0 ? '' : h('span', classes[C.class[i]]), h('b', no(C.prob[i]) ? '' : percent(C.prob[i]))];
}
function showGallery(view) {
  const sheets = data.kind === 'activations';
  const host = h(sheets ? 'div.cards.sheets' : 'div.cards');
  view.append(host, empty());
  list = virtual(host, (width) => {
    const across = Math.max(sheets ? 1 : 2, Math.floor(width / (sheets ? 420 : 196)));
    return [across, Math.round(width / across * (sheets ? 0.72 : 1)) + (sheets ? 30 : 42)];
  }, (i, place) => {
    const holder = h('div.tile');
    const isWrong = C.correct[i] === 0;
    const card = h('a', { class: `card ${isWrong ? 'is-wrong' : ''}`, ...opens(i, place) }, holder,
      h('div.name', { title: C.image[i] }, fileName(C.image[i])),
      sheets && C.status[i] === OK ? '' : h('div.verdict', verdict(i), C.status[i] === BLANK ? h('em.tag', 'blank') : '',
        isWrong && C.label[i] >= 0 ? h('small', { title: `labelled ${classes[C.label[i]]}` }, `is ${classes[C.label[i]]}`) : ''));
    more(i).then((details) => holder.append(stage(i, details, 64)), told);
    return card;
  });
  list.reset();
}
const empty = () => chosen.length ? '' : h('p.note', n ? 'No image passes these filters. ' : 'There is no image yet. ',
  n ? h('button', { onclick: clear }, 'Clear them') : '');

const TABLE = [['image', 'image'], ['label', 'label'], ['class', 'predicted'], ['prob', 'probability'], ['area', 'area'], ['border', 'border'], ['entropy', 'entropy']];
function showTable(view) {
  const shown = TABLE.filter(([name]) => name !== 'label' || data.labels.length);
  const head = h('div.head.row', { role: 'row' }, shown.map(([name, text]) => h('button', {
    role: 'columnheader', class: name, 'aria-sort': state.sort === name ? (state.desc ? 'descending' : 'ascending') : 'none',
    onclick: () => go({ sort: name, desc: (state.sort === name ? !state.desc : numbers.includes(name)) ? '1' : '' }),
  }, text, state.sort === name ? (state.desc ? ' ↓' : ' ↑') : '')));
  const host = h('div.rows', { role: 'rowgroup' });
  view.append(h('div', { class: `table ${data.labels.length ? '' : 'unlabelled'}`, role: 'table', 'aria-rowcount': chosen.length, 'aria-label': 'Images' }, head, host), empty());
  const bar = (x) => no(x) ? '–' : [h('span.meter', { style: { '--x': x } }), percent(x)];
  list = virtual(host, () => [1, 34], (i, place) => {
    const cells = {
      image: C.image[i], label: C.label[i] < 0 ? '' : classes[C.label[i]],
      class: C.status[i] === FAILED ? h('span.wrong', '! ' + errors.get(i)) : verdict(i).slice(0, 2),
      prob: bar(C.prob[i]), area: percent(C.area[i]), border: percent(C.border[i]), entropy: figure(C.entropy[i]),
    };
    return h('a.row', { role: 'row', 'aria-rowindex': place + 1, ...opens(i, place) },
      shown.map(([name]) => h('span', { role: 'cell', class: name, title: name === 'image' ? C.image[i] : null }, cells[name])));
  });
  list.reset();
}

/* ---------- one image, large ---------- */

function showLarge() {
  const dialog = $('large'), i = state.image ? C.image.indexOf(state.image) : -1;
  if (i < 0) { if (dialog.open) dialog.close(); if (list && cursor >= 0) list.focus(cursor); return; }
  more(i).then((details) => {
    if (C.image[i] !== state.image) return;
    const held = dialog.contains(document.activeElement) && document.activeElement.dataset.keep;
    dialog.replaceChildren(...largeOf(i, details));
    if (!dialog.open) dialog.showModal();
    ((held && dialog.querySelector(`[data-keep="${held}"]`)) || dialog).focus({ preventScroll: true });
    showAlpha();
  }, told);
}
function largeOf(i, details) {
  const map = mapOf(details), place = chosen.indexOf(i);
  const beside = (by) => chosen[place + by] === undefined || place < 0 ? null : C.image[chosen[place + by]];
  const turn = (by, text, title) => h('button', { hint: title, 'data-keep': `turn${by}`, disabled: beside(by) === null, onclick: () => go({ image: beside(by) }) }, text);
  const facts = (pairs) => h('dl', pairs.filter(([, value]) => value !== null && value !== undefined && value !== '–').map(([term, value, title]) => [h('dt', { title }, term), h('dd', value)]));
  const files = map ? entries(map.files) : [];
  return [
    h('div.bar', h('strong', { title: C.image[i] }, C.image[i]), h('span.quiet', place < 0 ? '' : `${place + 1} of ${chosen.length}`),
      turn(-1, '←', 'Previous (←)'), turn(1, '→', 'Next (→)'),
      h('button', { class: 'close', title: 'Close (Esc)', 'aria-label': 'Close', onclick: () => go({ image: '' }) }, '×')),
    h('div', { class: `theatre ${details.kind}` }, stage(i, details, 448)),
    h('div.side',
      explain ? h('p.big', verdict(i), C.status[i] === BLANK ? h('em.tag', 'blank') : '') : '',
      C.label[i] >= 0 ? h('p', h('span.quiet', 'label '), classes[C.label[i]]) : '',
      errors.has(i) ? h('p.wrong', errors.get(i)) : '',
      details.top.length ? h('ol.top', details.top.map(([k, p]) => h('li', { style: { '--x': p }, class: k === C.label[i] ? 'is' : '' }, h('span', classes[k]), h('b', percent(p))))) : '',
      details.maps.length > 1 ? switches(i, details, map) : '',
      map && map.method ? [alphaControl('large'), legend(map.peak), facts([
        ['map of', classes[map.target]], ['method', map.method], ['layer', map.layer], ['evidence', { for: '–', both: 'for and against; its strength is shown here' }[data.evidence] || data.evidence],
        ['area', percent(map.area ?? NaN), 'share of the picture at or above half the peak'],
        ['border', percent(map.border ?? NaN), 'share of the mass in the outer 10 % on each side'],
        ['entropy', figure(map.entropy), '0: one point, 1: no preference'],
        ['centre', map.center_x === undefined ? '–' : `${percent(map.center_x)}, ${percent(map.center_y)}`, 'from the left and from the top'],
        ['size', details.width ? `${details.width} × ${details.height}` : '–'],
      ])] : '',
      map && map.box ? h('label', h('input', { type: 'checkbox', 'data-keep': 'box', checked: !!state.box, onchange: () => go({ box: state.box ? '' : '1' }) }), ' box of what lies above half the peak') : '',
      files.length ? h('p.files', files.map(([kind, target]) => h('a', { href: target, target: '_blank', rel: 'noopener' }, kind)), h('span.quiet', ' in full, from the run’s folder')) : '',
      explain && details.kind === 'overlay' ? h('p.quiet', 'The run kept no bare pictures (--no-report): this is its overlay.') : ''),
  ];
}
function switches(i, details, map) { // every map of the image as a small picture
  const ranks = new Map();
  return h('div.switches', { role: 'group', 'aria-label': 'Maps' }, details.maps.map((one) => {
    const rank = (ranks.get(one.method) || 0) + 1, canvas = h('canvas');
    ranks.set(one.method, rank);
    if (sketchOf(one)) paint(canvas, sketchOf(one), 64, lut(state.map));
    return h('button', { 'data-keep': `${one.method} ${rank}`, 'aria-pressed': String(one === map), onclick: () => go({ method: one.method, rank: String(rank) }) },
      canvas, h('span', classes[one.target]), h('small', one.method, one.concept === undefined ? '' : ` ${one.concept}`));
  }));
}

/* ---------- the controls ---------- */

const choices = (pairs, value, change, title) => h('select', { hint: title, onchange: (event) => change(event.target.value) },
  pairs.map(([key, text]) => h('option', { value: key, selected: key === value }, text)));
function alphaControl(where_) {
  const ends = [['0', 'picture', '1'], [DEFAULTS.alpha, 'overlay', '2'], ['1', 'map', '3']];
  return h('div.alpha',
    h('div.segments', { role: 'group', 'aria-label': 'Shown' }, ends.map(([value, text, key]) =>
      h('button', { 'data-alpha': value, 'data-keep': `${where_} ${text}`, title: `${text} (${key})`, onclick: () => go({ alpha: value }) }, text))),
    h('input', { type: 'range', min: 0, max: 1, step: 0.02, value: state.alpha, class: 'slider', 'data-keep': `${where_} slider`, 'aria-label': 'From picture to map',
      oninput: (event) => document.documentElement.style.setProperty('--alpha', event.target.value), onchange: (event) => go({ alpha: event.target.value }) }));
}
function showAlpha() {
  document.documentElement.style.setProperty('--alpha', state.alpha);
  for (const slider of document.querySelectorAll('.slider')) slider.value = state.alpha;
  for (const button of document.querySelectorAll('[data-alpha]')) button.setAttribute('aria-pressed', String(Number(button.dataset.alpha) === Number(state.alpha)));
}
const gradient = () => `linear-gradient(to right, ${Array.from(lut(state.map)).filter((_, i) => i % 15 === 0).map(css).join(',')})`;
const legend = (peak) => h('div.legend', { title: 'Colours of a map, from nothing to its own peak' },
  h('span', '0'), h('i.ramp', { style: { 'background-image': gradient() } }), h('span', peak === undefined ? 'peak' : `peak ${figure(peak)}`));
function showLegend() {
  for (const ramp of document.querySelectorAll('.ramp')) ramp.style.backgroundImage = gradient();
}
function limits(name, text) { // two numbers in percent
  const [low, high] = state[name].split('~');
  const field = (value, which) => h('input', { type: 'number', min: 0, max: 100, step: 'any', placeholder: which ? '100' : '0', value: value ? String(Number((100 * Number(value)).toPrecision(6))) : '', 'aria-label': `${text} ${which ? 'at most' : 'at least'}, percent`, onchange: change });
  const fields = [field(low, 0), field(high, 1)];
  function change() {
    const [a, b] = fields.map((one) => one.value === '' ? '' : String(Number((Number(one.value) / 100).toPrecision(6))));
    go({ [name]: a || b ? `${a}~${b}` : '' });
  }
  return h('label.limits', text, fields[0], '–', fields[1], '%');
}
const clear = () => go(Object.fromEntries(FILTERS.map((key) => [key, ''])));
let search = null, names = null;
function showTools() {
  const tools = $('tools'), view = VIEWS[state.view];
  tools.hidden = !view.filtered;
  if (tools.hidden) return;
  const typing = document.activeElement === search && tools.firstChild, set = FILTERS.filter((key) => state[key]);
  tools.replaceChildren(...typing ? [] : [filterLine(tools, set)], ...typing ? [tools.firstChild] : [], displayLine(set));
  if (typing) search.focus();
  showAlpha();
}
function filterLine(tools, set) {
  const opened = tools.querySelector('details')?.open ?? innerWidth >= 900;
  search ||= h('input', { type: 'search', id: 'search', placeholder: 'Search names and classes  /', 'aria-label': 'Search', oninput: () => go({ q: search.value }) });
  search.value = state.q;
  names ||= [...classes].sort().map((name) => [name, name]);
  return h('div.line', search, h('details.filters', { open: opened }, h('summary', set.length ? `Filters (${set.length})` : 'Filters'), h('div.line',
    explain && names.length > 1 ? choices([['', 'every class'], ...names], state.class, (value) => go({ class: value }), 'Class') : '',
    labelled ? choices([['', 'right and wrong'], ['wrong', 'wrong only'], ['right', 'right only']], state.right, (value) => go({ right: value }), 'Right or wrong (w)') : '',
    choices([['', 'every status'], ...STATUS.map((one) => [one, one])], state.status, (value) => go({ status: value }), 'Status'),
    explain ? entries(RANGES).map(([name, text]) => limits(name, text)) : '')));
}
const SORTS = [['input', 'input order'], ['image', 'name'], ['class', 'predicted'], ['prob', 'probability'], ['area', 'area'], ['border', 'border'], ['entropy', 'entropy']];
function chip(key) {
  const value = RANGES[key] ? state[key].split('~').map((one) => one && percent(Number(one))).join('–') : state[key];
  return h('button.chip', { title: 'Remove this filter', onclick: () => go({ [key]: '' }) }, `${{ q: 'text', pred: 'predicted', right: '', status: '' }[key] ?? key} ${value} ×`);
}
function displayLine(set) {
  const methods = data.methods || [], gallery = state.view === 'gallery';
  return h('div.line', explain && state.view !== 'distribution' ? [
    choices(SORTS, state.sort, (value) => go({ sort: value, desc: numbers.includes(value) && value !== 'prob' ? '1' : '' }), 'Order'),
    h('button', { hint: 'Turn the order round', 'aria-pressed': String(!!state.desc), onclick: () => go({ desc: state.desc ? '' : '1' }) }, state.desc ? '↓' : '↑'),
    gallery ? [alphaControl('tools'), legend(), choices(keys(data.colormaps).map((one) => [one, one]), state.map, (value) => go({ map: value }), 'Colours')] : '',
    gallery && methods.length > 1 ? choices(methods.map((one, k) => [k ? one : '', one]), state.method === methods[0] ? '' : state.method, (value) => go({ method: value, rank: '1' }), 'Method (m)') : '',
  ] : '', set.map(chip), set.length > 1 ? h('button.chip', { onclick: clear }, 'clear all') : '',
  h('span.count', { 'aria-live': 'polite' }, chosen.length === n ? many(n, 'image') : `${chosen.length.toLocaleString('en')} of ${many(n, 'image')}`));
}
function told(error) {
  $('view').prepend(h('p.note.wrong', { role: 'alert' }, error.message));
}

/* ---------- showing a view ---------- */

let shownView = '';
function show(fresh) {
  const view = $('view'), held = document.activeElement?.closest?.('.table .head') ? state.sort : '';
  list = null;
  epochChanged = null;
  for (const name of keys(VIEWS)) if ($(name)) $(name).hidden = name !== state.view;
  showTools();
  view.className = state.view;
  view.replaceChildren();
  if (fresh) cursor = -1;
  if (fresh && scrollY > 0 && (shownView !== state.view + state.of || VIEWS[state.view].filtered)) scrollTo(0, 0);
  shownView = state.view + state.of;
  VIEWS[state.view].show?.(view);
  for (const tab of $('tabs').children) tab.setAttribute('aria-current', tab.dataset.view === state.view ? 'page' : 'false');
  const tab = document.querySelector('[aria-current=page]');
  $('tabs').scrollLeft = tab.offsetLeft - $('tabs').clientWidth + tab.clientWidth + 20;
  if (held) view.querySelector(`.head .${held}`)?.focus();
}
function showTabs() {
  $('tabs').append(...entries(VIEWS).filter(([, view]) => view.there).map(([name, view]) => h('a', { href: address({ view: name, of: '', image: '' }), 'data-view': name, title: `${view.name} (${view.key})`, onclick(event) { event.preventDefault(); go({ view: name, of: '', image: '' }, true); } }, view.name)));
}

/* ---------- views: classes ---------- */

function groupOf(k) { // figures of one class; every row counts once as its label, once as what it was taken for
  return { k, images: 0, right: 0, predicted: 0, prob: 0, maps: 0, border: 0, area: 0 };
}
let groups = null;
function classFigures() {
  if (groups) return groups;
  groups = classes.map((_, k) => groupOf(k));
    for (let i = 0; i < n; i++) {
    const k = C.class[i];
    if (C.correct[i] >= 0) { groups[C.label[i]].images++; groups[C.label[i]].right += C.correct[i] === 1; }
    if (k >= 0) { groups[k].predicted++; groups[k].prob += C.prob[i]; }
    if (C.target[i] >= 0 && !no(C.area[i])) { const g = groups[C.target[i]]; g.maps++; g.border += C.border[i]; g.area += C.area[i]; }
  }
  return groups;
}
const accuracy = (g) => mean(g.right, g.images);
function meanMap(means, k, group, side, size) { // a mean map with what it is the mean of
  const found = (means[state.method || data.methods[0]] || {})[k]?.[group];
  if (!found) return null;
  const [count, peak, packed] = found, canvas = h('canvas', { role: 'img', 'aria-label': `Mean of ${many(count, 'map')}` });
  paint(canvas, { width: 24, height: 24, values: bytes(packed) }, side, lut(state.map));
  return h('figure.mean', { style: size ? { width: size } : {} }, canvas, size ? h('figcaption', `${['all', 'right', 'wrong'][group]} · ${count}`, h('small', ` · peak ${figure(peak)}`)) : '');
}
let classSort = ['', false];
async function showClasses(view) {
  const means = await part('means');
  if (state.view !== 'classes') return;
  if (state.of) { showClass(view, means); return; }
  const fields = [['class', (g) => classes[g.k]], labelled ? ['images', (g) => g.images] : null, labelled ? ['accuracy', accuracy] : null, ['predicted', (g) => g.predicted],
    ['mean probability', (g) => mean(g.prob, g.predicted)], ['mean area', (g) => mean(g.area, g.maps)], ['mean border', (g) => mean(g.border, g.maps)]].filter(Boolean);
  const body = h('tbody'), [by, down] = classSort, field = fields.find(([name]) => name === by) || fields[0];
  const order = (a, b) => { const [x, y] = [field[1](a), field[1](b)]; return x === y ? 0 : no(x) ? 1 : no(y) ? -1 : (x < y ? -1 : 1) * (down ? -1 : 1); };
  for (const g of classFigures().filter((one) => one.images || one.predicted || one.maps).sort(order)) {
    const open = { href: address({ of: classes[g.k] }), onclick: (event) => { event.preventDefault(); go({ of: classes[g.k] }, true); } };
    body.append(h('tr', h('td.small', meanMap(means, g.k, 0, 36) || ''), h('th', { scope: 'row' }, h('a', open, classes[g.k])),
      fields.slice(1).map(([name, value]) => h('td', ['images', 'predicted'].includes(name) ? value(g) : no(value(g)) ? '–' : [h('span.meter', { style: { '--x': value(g) } }), percent(value(g))]))));
  }
  view.append(h('div.scroll', h('table.figures', h('thead', h('tr', h('td', ''), fields.map(([name]) => h('th', { scope: 'col', 'aria-sort': name === field[0] ? (down ? 'descending' : 'ascending') : 'none' },
    h('button', { onclick: () => { classSort = [name, name === field[0] ? !down : name !== 'class']; show(false); } }, name, name === field[0] ? (down ? ' ↓' : ' ↑') : ''))))), body)),
  h('p.quiet', `The small pictures are mean maps. An even map has ${percent(EVEN)} of its mass in the border, the outer 10 % on each side.`));
}
function showClass(view, means) {
  const k = classes.indexOf(state.of), g = classFigures()[k];
  if (!g) { view.append(h('p.note', `There is no class ${state.of}.`)); return; }
  const fact = (value, text) => value === '–' ? '' : h('span', h('b', value), ` ${text}`);
  const taken = new Map(), count = (i, other, role) => { const key = `${role} ${other}`; taken.set(key, [(taken.get(key)?.[0] || 0) + 1, other, role]); };
  const rows = [];
  for (let i = 0; i < n; i++) {
    if (C.class[i] === k || C.label[i] === k || C.target[i] === k) rows.push(i);
    if (C.correct[i] !== 0) continue;
    if (C.label[i] === k) count(i, C.class[i], 'taken for'); else if (C.class[i] === k) count(i, C.label[i], 'really');
  }
  const link = (text, change) => h('a', { href: address({ ...change, view: 'gallery', of: '' }) }, text);
  const strip = (title, found, change) => found.length ? h('section', h('h3', title, ' ', link(`all ${found.length}`, change)), h('div.strip', found.slice(0, 8).map((i) => {
    const holder = h('div.tile');
    more(i).then((details) => holder.append(stage(i, details, 64)), told);
    return h('a.card', { ...opens(i, -1) }, holder, h('div.verdict', verdict(i)));
  }))) : '';
  const surest = (keep) => rows.filter(keep).sort((a, b) => C.prob[b] - C.prob[a]);
  const maps = [0, 1, 2].map((group) => meanMap(means, k, group, 160, '160px')).filter(Boolean), all = meanMap(means, -1, 0, 160, '160px');
  if (all && maps.length) all.querySelector('figcaption').firstChild.data = 'every class';
  fill(view, {}, [h('p', h('a', { href: address({ of: '' }) }, '← all classes')), h('h2', classes[k]),
    h('div.facts', labelled ? fact(g.images, 'images') : '', fact(percent(accuracy(g)), 'accuracy'), fact(g.predicted, 'predicted'), fact(percent(mean(g.prob, g.predicted)), 'mean probability'),
      fact(percent(mean(g.area, g.maps)), 'mean area'), fact(percent(mean(g.border, g.maps)), `mean border (even: ${percent(EVEN)})`)),
    maps.length ? h('section', h('h3', 'Mean map'), h('div.means', maps.length > 2 || !labelled ? maps : maps.slice(0, 1), all), legend()) : '',
    taken.size ? h('section', h('h3', 'Confused'), h('ul.confused', [...taken.values()].sort((a, b) => b[0] - a[0]).slice(0, 12).map(([times, other, role]) =>
      h('li', link(`${role} ${classes[other]}`, role === 'really' ? { label: classes[other], pred: classes[k] } : { label: classes[k], pred: classes[other] }), ` ${times} ×`)))) : '',
    labelled ? [strip('Right, surest first', surest((i) => C.correct[i] === 1 && C.label[i] === k), { class: classes[k], right: 'right', sort: 'prob', desc: '1' }),
      strip('Wrong, surest first', surest((i) => C.correct[i] === 0), { class: classes[k], right: 'wrong', sort: 'prob', desc: '1' })]
      : strip('Surest first', surest((i) => C.class[i] === k), { class: classes[k], sort: 'prob', desc: '1' })]);
}

/* ---------- views: confusion ---------- */

function matrix(view, names, counts, cell) { // counts: "label predicted" → images. Of many classes those most confused.
  const total = names.map(() => 0), missed = names.map(() => 0);
  for (const [key, count] of counts) { const [a, b] = key.split(' ').map(Number); total[a] += count; if (a !== b) { missed[a] += count; missed[b] += count; } }
  const met = [...names.keys()].filter((k) => total[k] || missed[k]);
  const few = met.sort((a, b) => missed[b] - missed[a]).slice(0, 40).sort((a, b) => names[a] < names[b] ? -1 : 1);
  if (few.length < met.length) view.append(h('p.quiet', `The ${few.length} of ${met.length} classes that are confused most.`));
  const head = h('tr', h('td', 'label ↓ predicted →'), few.map((k) => h('th', { scope: 'col' }, h('span', names[k]))), h('th', { scope: 'col' }, h('span', 'accuracy')));
  view.append(h('div.scroll', h('table.matrix', h('thead', head), h('tbody', few.map((a) => h('tr', h('th', { scope: 'row' }, names[a]), few.map((b) => {
    const count = counts.get(`${a} ${b}`) || 0, share = total[a] ? count / total[a] : 0;
    return h('td', { class: `${a === b ? 'hit' : 'miss'} ${share > 0.5 ? 'strong' : ''}`, style: { '--x': share ? 0.08 + 0.92 * share : 0 } }, count ? cell(a, b, count, share) : '');
  }), h('td.sum', total[a] ? percent((counts.get(`${a} ${a}`) || 0) / total[a]) : '–')))))),
  h('p.quiet', 'The number of images; the colour is their share of the label’s row.'));
  const worst = [...counts].map(([key, count]) => [...key.split(' ').map(Number), count]).filter(([a, b]) => a !== b).sort((x, y) => y[2] - x[2]).slice(0, 20);
  if (worst.length) view.append(h('h3', 'Most frequent confusions'), h('ol.confused', worst.map(([a, b, count]) => h('li', cell(a, b, `${names[a]} taken for ${names[b]}`, 0), ` ${count} ×`))));
}
function showConfusion(view) {
  const counts = new Map();
  for (let i = 0; i < n; i++) if (C.correct[i] >= 0) { const key = `${C.label[i]} ${C.class[i]}`; counts.set(key, (counts.get(key) || 0) + 1); }
  matrix(view, classes, counts, (a, b, text) => h('a', { href: address({ view: 'gallery', class: '', right: '', label: classes[a], pred: classes[b] }), title: `${classes[a]} taken for ${classes[b]}` }, text));
}
function showMatrix(view) {
  const counts = new Map();
  data.confusion.forEach((row, a) => row.forEach((count, b) => { if (count) counts.set(`${a} ${b}`, count); }));
  matrix(view, data.classes, counts, (a, b, text) => h('span', { title: `${data.classes[a]} taken for ${data.classes[b]}` }, text));
}

/* ---------- views: distribution, failures ---------- */

const BINS = 25;
function histogram(name, title, hint, mark) {
  const all = new Float64Array(BINS), right = new Float64Array(BINS), wrong = new Float64Array(BINS), values = C[name];
  const bin = (x) => Math.min(BINS - 1, Math.floor(x * BINS));
  let sum = 0, count = 0;
  for (let i = 0; i < n; i++) if (!no(values[i])) all[bin(values[i])]++;
  for (const i of chosen) if (!no(values[i])) { sum += values[i]; count++; (C.correct[i] === 0 ? wrong : right)[bin(values[i])]++; }
  const highest = Math.max(1, ...all);
  const bars = Array.from(all, (total, k) => {
    const low = k / BINS, high = (k + 1) / BINS, text = `${percent(low)} to ${percent(high)}: ${many(right[k] + wrong[k], 'image')}${labelled ? `, ${wrong[k]} wrong` : ''}`;
    return h('button', { hint: text, disabled: !total, onclick: () => go({ [name]: `${low}~${high}`, view: 'gallery' }, true) },
      h('i.ghost', { style: { height: percentOf(total, highest) } }), h('i.bars.wrong', { style: { height: percentOf(wrong[k], highest), bottom: percentOf(right[k], highest) } }), h('i.bars', { style: { height: percentOf(right[k], highest) } }));
  });
  return h('section.histogram', h('h3', title, h('small', ` mean ${percent(mean(sum, count))}`)), h('div.bins', bars, mark ? h('span.mark', { style: { left: percentOf(mark, 1) }, title: `an even map: ${percent(mark)}` }) : ''),
    h('div.axis', [0, 25, 50, 75, 100].map((one) => h('span', `${one} %`))), h('p.quiet', hint));
}
const percentOf = (part_, whole) => `${100 * part_ / whole}%`;
async function showDistribution(view) {
  const grid = h('div.grid',
    histogram('prob', 'Probability', 'Of the predicted class.'), histogram('area', 'Area', 'Share of the picture at or above half the peak of the map.'),
    histogram('border', 'Border', `Share of the map in the outer 10 % on each side. The line: ${percent(EVEN)}, an even map.`, EVEN), histogram('entropy', 'Entropy', 'Near 0 one point, 100 % no preference.'));
  const key = labelled ? h('p.quiet', h('i.swatch.bars'), 'right ', h('i.swatch.bars.wrong'), 'wrong ', h('i.swatch.ghost'), 'outside the filters. A click shows the images.') : h('p.quiet', 'A click on a bar shows its images.');
  view.append(key, grid);
  const means = await part('means'), maps = [0, 1, 2].map((group) => meanMap(means, -1, group, 160, '160px')).filter(Boolean);
  if (maps.length && grid.isConnected) grid.append(h('section', h('h3', 'Mean map ', h('small', 'of the whole run')), h('div.means', maps.length > 2 ? maps : maps.slice(0, 1)), legend(),
    h('p.quiet', 'Always the same corner, or the border? Then the network may be reading a watermark or a frame.')));
}
/* ---------- the same images over the epochs of a training ---------- */

let epochChanged = null;
function showEpochs(view) {
  for (const [folder, samples] of entries(data.samples)) {
    const epochs = [...new Set(samples.flatMap(([, found]) => keys(found).map(Number)))].sort((a, b) => a - b);
    const at = () => Math.max(0, epochs.indexOf(Number(state.epoch || epochs[epochs.length - 1])));
    const pictures = samples.map(([image]) => h('img', { alt: '', title: image, decoding: 'async' }));
    const label = h('output'), slider = h('input', { type: 'range', min: 0, max: epochs.length - 1, step: 1, value: at(), 'aria-label': 'Epoch', oninput: () => go({ epoch: String(epochs[slider.value]) }) });
    epochChanged = () => {
      const epoch = epochs[at()], row = data.metrics.find((one) => one.epoch === epoch);
      slider.value = at();
      label.textContent = `epoch ${epoch} of ${epochs[epochs.length - 1]}${row ? ` · validation accuracy ${percent(row.val_accuracy)}` : ''}${epoch === data.bestEpoch ? ' ★' : ''}`;
      samples.forEach(([image, found], k) => { if (found[epoch]) pictures[k].src = found[epoch]; pictures[k].alt = `${image} after epoch ${epoch}`; });
    };
    epochChanged();
    view.append(h('h2', folder === 'cams' ? 'Class activation maps over the epochs' : 'Feature maps over the epochs'), h('div.line.epoch', slider, label),
      h('div.samples', pictures.map((picture, k) => h('figure', picture, h('figcaption', { title: samples[k][0] }, samples[k][0])))));
  }
}

/* ---------- keyboard, printing, the beginning ---------- */

const KEYS = [['← → ↑ ↓', 'move through the images; in a large one, to the next'], ['Enter', 'show large'], ['Esc', 'close'], ['/', 'search'], ['w', 'wrong only'], ['1 2 3', 'picture, overlay, map'],
  ['m', 'next map of the image: method, class'], ['?', 'this list']];
function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target, typing = target.matches('input:not([type=range]):not([type=checkbox]), select');
  if (typing && !(event.key === 'Escape' && target === search)) return;
  const large = $('large').open, key = event.key;
  if (key === '?') $('help').open ? $('help').close() : $('help').showModal();
  else if ($('help').open) return;
  else if (key === '/' && search && !large && !$('tools').hidden) search.focus();
  else if (key === 'Escape' && target === search) { search.blur(); return; }
  else if (explain && '123'.includes(key)) go({ alpha: ['0', DEFAULTS.alpha, '1'][Number(key) - 1] });
  else if (key === 'm' && explain) nextMap();
  else if (large && (key === 'ArrowLeft' || key === 'ArrowRight') && !target.matches('input')) {
    const to = chosen.indexOf(C.image.indexOf(state.image)) + (key === 'ArrowLeft' ? -1 : 1);
    if (chosen[to] !== undefined) { cursor = to; go({ image: C.image[chosen[to]] }); }
  } else if (large || target.matches('input')) return;
  else if (key === 'w' && labelled) go({ right: state.right === 'wrong' ? '' : 'wrong' });
  else if (list && list.step(key) !== undefined && chosen.length) {
    cursor = Math.min(chosen.length - 1, Math.max(0, cursor < 0 && Number.isFinite(list.step(key)) ? 0 : Math.max(0, cursor) + list.step(key)));
    list.focus(cursor);
  } else {
    const view = keys(VIEWS).find((name) => VIEWS[name].there && VIEWS[name].key === key);
    if (!view) return;
    go({ view, of: '' }, true);
  }
  event.preventDefault();
}
async function nextMap() {
  const i = C.image.indexOf(state.image || C.image[chosen[Math.max(0, cursor)]]);
  if (i < 0) return;
  const details = await more(i), maps = details.maps, next = maps[(maps.indexOf(mapOf(details)) + 1) % maps.length];
  if (next) go({ method: next.method, rank: String(maps.filter((one) => one.method === next.method).indexOf(next) + 1) });
}
async function begin() {
  $('view').append(h('p.note', 'Loading …'));
  try { await loadColumns(); } catch (error) { $('view').replaceChildren(); told(error); return; }
  showTabs();
  state = read();
  showAlpha();
  select();
  show(true);
  if (state.image) showLarge();
  const moved = () => { if (address() !== (location.hash || '#')) become(read()); };
  addEventListener('popstate', moved);
  addEventListener('hashchange', moved);
  addEventListener('keydown', pressed);
  setTimeout(hay, 500);
  let waiting = 0;
  addEventListener('scroll', () => { waiting ||= requestAnimationFrame(() => { waiting = 0; list?.update(); }); }, { passive: true });
  new ResizeObserver(() => {
    if (innerWidth >= 900 && document.querySelector('.filters')) document.querySelector('.filters').open = true;
    list?.resize();
  }).observe($('view'));
  addEventListener('beforeprint', () => list?.print(true));
  addEventListener('afterprint', () => list?.print(false));
  $('large').addEventListener('cancel', (event) => { event.preventDefault(); go({ image: '' }); });
  $('large').addEventListener('click', (event) => { if (event.target === $('large')) go({ image: '' }); });
  $('help').append(h('h2', 'Keyboard'), h('dl', [...KEYS.filter(([key]) => explain || !'w123m'.includes(key[0])), ...Object.values(VIEWS).filter((view) => view.there).map((view) => [view.key, view.name])].map(([key, text]) => [h('dt', h('kbd', key)), h('dd', text)])));
  $('help').addEventListener('click', () => $('help').close());
  $('help-button').addEventListener('click', () => $('help').showModal());
  $('copy')?.addEventListener('click', () => { getSelection().selectAllChildren($('again')); document.execCommand('copy'); $('copy').textContent = 'Copied'; });
}
begin();
