/* The state of the page, kept in the address, and the pairs in sight. `columns.class` is the prediction of B,
   `columns.target` that of A, and `columns.flip` an index into `data.words`. */

const PRINTED = 200; // pairs
const VIEWS = { pairs: 'Pairs', figures: 'Figures' };
const FILTERS = ['flip', 'class', 'q'];
const DEFAULTS = {
  view: 'pairs', flip: '', class: '', q: '', sort: '', desc: '',
  map: keys(data.colormaps)[0], alpha: String(data.alpha),
};
const SORTS = [
  ['', 'broke, fixed, changed, least alike'], ['image', 'name'], ['prob_a', 'probability in A'],
  ['prob_b', 'probability in B'], ['cosine', 'cosine of the maps'], ['iou', 'IoU of the hottest fifths'],
  ['shift', 'shift of the peak'],
];
let state = readAddress();
let list = null, chosen = new Uint32Array(0);

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1)), found = { ...DEFAULTS };
  for (const key of keys(DEFAULTS)) if (asked.has(key)) found[key] = asked.get(key);
  if (!VIEWS[found.view]) found.view = DEFAULTS.view;
  if (!data.colormaps[found.map]) found.map = DEFAULTS.map;
  return found;
}

function address(change = {}) {
  const asked = new URLSearchParams();
  for (const [key, value] of entries({ ...state, ...change })) if (value !== DEFAULTS[key]) asked.set(key, value);
  return '#' + asked;
}

function go(change, step) {
  history[step ? 'pushState' : 'replaceState'](null, '', address(change));
  become({ ...state, ...change });
}

function become(next) {
  const before = state;
  state = next;
  const changed = (...names) => names.some((name) => before[name] !== state[name]);
  if (changed('alpha')) showAlpha();
  if (changed('map')) showLegends();
  if (changed(...FILTERS, 'sort', 'desc')) select();
  if (changed('view', 'map', 'sort', 'desc', ...FILTERS)) showView();
}

function select() {
  const { flip, class: predicted, target, label, image } = columns, word = data.words.indexOf(state.flip);
  const k = classes.indexOf(state.class), words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [];
  for (let i = 0; i < imageCount; i++) {
    if (state.flip && flip[i] !== word) continue;
    if (state.class && predicted[i] !== k && target[i] !== k && label[i] !== k) continue;
    if (words.length && !words.every((one) => image[i].toLowerCase().includes(one))) continue;
    found.push(i);
  }
  chosen = Uint32Array.from(inOrder(found));
}

function inOrder(found) { // pairs without a value last
  const values = columns[state.sort], turn = state.desc ? -1 : 1;
  if (!SORTS.some(([name]) => name === state.sort) || !values) return state.desc ? found.reverse() : found;
  const compare = (a, b) => values[a] < values[b] ? -1 : values[a] > values[b] ? 1 : a - b;
  const known = found.filter((i) => !isNothing(values[i])), rest = found.filter((i) => isNothing(values[i]));
  return [...known.sort((a, b) => turn * compare(a, b)), ...rest];
}
