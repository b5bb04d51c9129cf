/* The state of the page: view, filters and order, kept in the address, so that a link or a bookmark restores it. */

const RANGES = { // measures that can be limited, and their words
  prob: 'probability', area: 'area', border: 'border', entropy: 'entropy',
  center_x: 'centre from the left', center_y: 'centre from the top', peak: 'peak',
};
const FILTERS = [
  'class', 'label', 'pred', 'right', 'status', ...keys(RANGES), 'q', 'tag',
  ...(data.attributes || []).map(({ name }) => GROUPED + name),
];
const DEFAULTS = {
  view: training ? 'curves' : 'gallery', of: '', image: '', sort: '', desc: '',
  ...Object.fromEntries(FILTERS.map((name) => [name, ''])),
  map: keys(data.colormaps)[0], alpha: String(data.alpha), method: '', rank: '1', epoch: '', box: '', metric: '',
  x: '', y: '', side: '', zoom: '',
};
let state = readAddress();

function readAddress() {
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

function go(change, step) { // with `step`, the button Back undoes the change
  history[step ? 'pushState' : 'replaceState'](null, '', address(change));
  become({ ...state, ...change });
}

// A link opens in a new tab with the usual keys, and is a step without loading the page again.
function linkTo(change) {
  return {
    href: address(change),
    onclick(event) {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      go(change, true);
    },
  };
}

function followAddress() {
  if (address() !== (location.hash || '#')) become(readAddress());
}

// Show a new state; draws only the parts again that depend on a change.
function become(next) {
  const before = state;
  state = next;
  const changed = (...names) => names.some((name) => before[name] !== state[name]);
  if (changed('alpha')) showAlpha();
  if (changed('map')) showLegends();
  const filtered = changed(...FILTERS, 'sort', 'desc');
  if (filtered) select();
  const redrawn = changed('view', 'of', 'map', 'method', 'rank', 'metric', 'x', 'y');
  if (filtered || redrawn) showView(changed('view', 'of', ...FILTERS));
  if (changed('image', 'map', 'box', 'side', 'zoom') || (state.image && changed('method', 'rank'))) showViewer();
  if (changed('epoch') && state.view === 'epochs' && epochChanged) epochChanged();
}
