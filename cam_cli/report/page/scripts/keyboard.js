/* The keys, and the list of them. */

const KEYS = [
  ['← → ↑ ↓', 'move through the images; in a large one, to the next'],
  ['Enter', 'show large'], ['Esc', 'close'],
  ['/', 'search'], ['w', 'wrong only'], ['1 2 3', 'image, overlay, map'],
  ['m', 'next map of the image: method, class'], ['v', 'all maps of a large image side by side'],
  ['z', 'zoom a large image to the pixels of the original'], ['?', 'this list'],
];

function fillHelp() {
  const known = KEYS.filter(([key]) => explain || !(captions ? 'wvz' : 'w123mvz').includes(key[0]));
  const views = Object.values(VIEWS).filter((view) => view.there).map((view) => [view.key, view.name]);
  const line = ([key, text]) => [h('dt', h('kbd', key)), h('dd', text)];
  byId('help').append(h('h2', 'Keyboard'), h('dl', [...known, ...views].map(line)));
}

function pressed(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.matches('input:not([type=range]):not([type=checkbox]), select')) {
    if (key === 'Escape' && target === search) search.blur();
  } else if (act(key, target.matches('input'))) {
    event.preventDefault();
  }
}

/* Acts on a key; true where the key has an action. */

function act(key, onSlider) {
  const help = byId('help'), large = byId('large').open;
  if (key === '?') return toggle(help);
  if (help.open) return false;
  if (actEverywhere(key, large)) return true;
  if (onSlider) return false;
  return large ? turnImage(key) : actInView(key);
}

function toggle(dialog) {
  if (dialog.open) dialog.close(); else dialog.showModal();
  return true;
}

function actEverywhere(key, large) {
  if ((explain || captions) && '123'.includes(key)) go({ alpha: ['0', DEFAULTS.alpha, '1'][Number(key) - 1] });
  else if ((explain || captions) && key === 'm') showNextMap();
  else if (explain && large && key === 'v') go({ side: state.side ? '' : '1' });
  else if (explain && large && key === 'z') nextZoom();
  else if (key === '/' && search && !large && !byId('tools').hidden) search.focus();
  else return false;
  return true;
}

function turnImage(key) { // shows the image before or after the large one
  if (key !== 'ArrowLeft' && key !== 'ArrowRight') return false;
  const to = chosen.indexOf(columns.image.indexOf(state.image)) + (key === 'ArrowLeft' ? -1 : 1);
  if (chosen[to] !== undefined) {
    cursor = to;
    go({ image: columns.image[chosen[to]] });
  }
  return true;
}

function actInView(key) {
  const view = keys(VIEWS).find((name) => VIEWS[name].there && VIEWS[name].key === key);
  if (key === 'w' && labelled) go({ right: state.right === 'wrong' ? '' : 'wrong' });
  else if (list && list.step(key) !== undefined && chosen.length) move(list.step(key));
  else if (view) go({ view, of: '' }, true);
  else return false;
  return true;
}

function move(by) { // the first arrow leads to the first image
  const to = cursor < 0 && Number.isFinite(by) ? 0 : Math.max(0, cursor) + by;
  cursor = Math.min(chosen.length - 1, Math.max(0, to));
  list.focus(cursor);
}
