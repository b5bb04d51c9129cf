/* One image, large, with its probabilities, its maps and their measures. */

function showViewer() {
  const dialog = byId('large'), i = state.image ? columns.image.indexOf(state.image) : -1;
  if (i < 0) {
    if (dialog.open) dialog.close();
    if (list && cursor >= 0) list.focus(cursor);
    return;
  }
  detailsOf(i).then((details) => {
    if (columns.image[i] !== state.image) return;
    const held = dialog.contains(document.activeElement) && document.activeElement.dataset.keep;
    dialog.replaceChildren(viewerBar(i), theatreOf(i, details),
      h('div.side', aboutImage(i, details), aboutMap(i, details)));
    if (!dialog.open) dialog.showModal();
    ((held && dialog.querySelector(`[data-keep="${held}"]`)) || dialog).focus({ preventScroll: true });
    showAlpha();
  }, showError);
}

function theatreOf(i, details) {
  const theatre = h('div', { class: `theatre ${details.kind}` });
  if (state.side && details.maps.length > 1 && explain) {
    theatre.append(sideBySide(i, details));
    theatre.classList.add('several');
    theatre.tabIndex = 0;
    return theatre;
  }
  const image = stage(i, details, 448);
  image.querySelector('.heat')?.after(exactOverlay(details));
  theatre.append(image);
  if (explain && details.width && isZoomed()) zoomed(image, theatre, details);
  return theatre;
}

// A page with files beside it has thumbnails. It shows the overlay of the run itself, while opacity and colours are
// those of the run.
function exactOverlay(details) {
  const file = data.base && details.kind === 'picture' && mapOf(details).files.overlay;
  if (!file) return '';
  const overlay = h('img.exact', { src: file, alt: '' });
  overlay.onerror = () => overlay.remove();
  return overlay;
}

function viewerBar(i) {
  const place = chosen.indexOf(i);
  const turn = (by, text, title) => {
    const beside = place < 0 ? undefined : chosen[place + by];
    const attributes = { hint: title, 'data-keep': `turn${by}`, disabled: beside === undefined };
    return h('button', { ...attributes, onclick: () => go({ image: columns.image[beside] }) }, text);
  };
  return h('div.bar',
    h('strong', { title: columns.image[i] }, columns.image[i]),
    h('span.quiet', place < 0 ? '' : `${place + 1} of ${chosen.length}`),
    turn(-1, '←', 'Previous (←)'), turn(1, '→', 'Next (→)'),
    h('button.close', { title: 'Close (Esc)', 'aria-label': 'Close', onclick: () => go({ image: '' }) }, '×'));
}

function aboutImage(i, details) {
  const label = columns.label[i];
  const top = ([k, probability]) => h('li', { style: { '--x': probability }, class: k === label ? 'is' : '' },
    h('span', classes[k]), h('b', percent(probability)));
  return [
    details.caption ? sentence(details) : details.answers ? answersOf(details) : '',
    explain ? h('p.big', verdict(i), columns.status[i] === BLANK ? h('em.tag', 'blank') : '') : '',
    label >= 0 ? h('p', h('span.quiet', 'label '), classes[label]) : '',
    errors.has(i) ? h('p.wrong', errors.get(i)) : '',
    explain ? tagChips(columns.image[i]) : '',
    details.top.length ? h('ol.top', details.top.map(top)) : '',
  ];
}

function aboutMap(i, details) {
  const map = mapOf(details), files = map ? entries(map.files) : [];
  if (details.original) files.push(['original', details.original]);
  const link = ([kind, target]) => h('a', { href: target, target: '_blank', rel: 'noopener' }, kind);
  return [
    explain ? [sideSwitch(details), zoomControl(details)] : '',
    details.maps.length > 1 && !captions ? mapSwitches(details, map) : '',
    map && map.method ? [alphaControl('large'), legendOf(map), mapFacts(map, details)] : '',
    map && map.box ? boxSwitch() : '',
    files.length ? h('p.files', files.map(link), h('span.quiet', ' in full')) : '',
    (explain || captions) && details.kind === 'overlay' ?
      h('p.quiet', 'The run has no thumbnails (--no-report), so this is its overlay.') : '',
  ];
}

function mapFacts(map, details) {
  const both = map.sketch?.signed ? 'for (red) and against (blue)' : 'for and against: only its strength is known';
  const centre = map.center_x === undefined ? '–' : `${percent(map.center_x)}, ${percent(map.center_y)}`;
  const facts = [
    ['map of', nameOfMap(map)], ['value', figure(map.target_value)], ['method', map.method], ['layer', map.layer],
    ['evidence', { for: '–', both }[data.evidence] || data.evidence],
    ['area', percent(map.area), 'share of the image at or above half the peak'],
    ['border', percent(map.border), 'share of the mass in the outer 10 % on each side'],
    ['entropy', figure(map.entropy), '0: one point, 1: no preference'],
    ['centre', centre, 'from the left and from the top'],
    ['seen', details.seen && `${percent(shareSeen(details.seen))} of the image`, DIMMED],
    ['size', details.width ? `${details.width} × ${details.height}` : '–'],
  ];
  const known = facts.filter(([, value]) => value !== undefined && value !== '–');
  return h('dl', known.map(([term, value, title]) => [h('dt', { title }, term), h('dd', value)]));
}

function boxSwitch() {
  const change = () => go({ box: state.box ? '' : '1' });
  const box = h('input', { type: 'checkbox', 'data-keep': 'box', checked: !!state.box, onchange: change });
  return h('label', box, ' box of what lies above half the peak');
}

/* Every map of the image as a small button that switches to it. */

function mapSwitches(details, shown) {
  const button = (map) => {
    const rank = rankOf(map, details), canvas = h('canvas');
    if (sketchOf(map)) paint(canvas, sketchOf(map), 64, coloursOf(sketchOf(map)));
    const attributes = { 'data-keep': `${map.method} ${rank}`, 'aria-pressed': String(map === shown) };
    return h('button', { ...attributes, onclick: () => go({ method: map.method, rank: String(rank) }) }, canvas,
      h('span', nameOfMap(map)), h('small', map.method, map.concept === undefined ? '' : ` ${map.concept}`));
  };
  return h('div.switches', { role: 'group', 'aria-label': 'Maps' }, details.maps.map(button));
}

function rankOf(map, details) { // its place among the maps of its method
  return 1 + details.maps.filter((one) => one.method === map.method).indexOf(map);
}

async function showNextMap() {
  const i = columns.image.indexOf(state.image || columns.image[chosen[Math.max(0, cursor)]]);
  if (i < 0) return;
  const details = await detailsOf(i), { maps } = details, next = maps[(maps.indexOf(mapOf(details)) + 1) % maps.length];
  if (next) go({ method: next.method, rank: String(rankOf(next, details)) });
}
