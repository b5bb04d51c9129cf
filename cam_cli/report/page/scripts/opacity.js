/* The opacity of all maps: from the image over the overlay to the map. */

function alphaControl(place) {
  const ends = [['0', 'image', '1'], [DEFAULTS.alpha, 'overlay', '2'], ['1', 'map', '3']];
  const button = ([value, text, key]) => h('button', {
    'data-alpha': value, 'data-keep': `${place} ${text}`, title: `${text} (${key})`,
    onclick: () => go({ alpha: value }),
  }, text);
  const slider = h('input.slider', {
    type: 'range', min: 0, max: 1, step: 0.02, value: state.alpha,
    'data-keep': `${place} slider`, 'aria-label': 'From image to map',
    oninput: (event) => setOpacity(event.target.value), onchange: (event) => go({ alpha: event.target.value }),
  });
  return h('div.alpha', h('div.segments', { role: 'group', 'aria-label': 'Shown' }, ends.map(button)), slider);
}

// A map of two colours has two layers: up to the opacity of the run the overlay, from there on the map itself.
function setOpacity(value) {
  const alpha = Number(value), { alpha: ofRun } = data;
  const tint = ofRun > 0 ? Math.min(1, alpha / ofRun) : 1;
  const map = ofRun < 1 ? Math.max(0, (alpha - ofRun) / (1 - ofRun)) : 0;
  document.documentElement.classList.toggle('as-run', alpha === ofRun && state.map === DEFAULTS.map);
  setStyle(document.documentElement, { '--alpha': value, '--tint': tint, '--map': map });
}

function showAlpha() {
  setOpacity(state.alpha);
  for (const slider of document.querySelectorAll('.slider')) slider.value = state.alpha;
  for (const button of document.querySelectorAll('[data-alpha]')) {
    button.setAttribute('aria-pressed', String(Number(button.dataset.alpha) === Number(state.alpha)));
  }
}
