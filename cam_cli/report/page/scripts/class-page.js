/* The page of one class: its figures, its mean maps, its confusions, its most confident images. */

function showClass(view, means) {
  const k = classes.indexOf(state.of);
  if (k < 0) {
    view.append(h('p.note', `There is no class ${state.of}.`));
    return;
  }
  view.append(
    h('p', h('a', { href: address({ of: '' }) }, '← all classes')), h('h2', classes[k]),
    classFacts(classFigures()[k]),
    ...[classMeans(means, k), classConfusions(k), ...classStrips(k)].filter(Boolean));
}

function classFacts(one) { // a line for each set of images that has figures
  const name = classes[one.k], line = (count, of, ...figures) => h('p', h('b', many(count, 'image')), ` ${of}`,
    count ? figures.map(([value, text], k) => [k ? ', ' : ': ', h('b', percent(value)), ` ${text}`]) : '');
  return h('div.sets',
    labelled && line(one.labelled, `labelled ${name}`, [recall(one), 'right (recall)']),
    one.unjudged > 0 && line(one.unjudged, `labelled ${name}, not explained`),
    line(one.predicted, `predicted as ${name}`, [mean(one.prob, one.predicted), 'mean probability'],
      ...(labelled ? [[precision(one), 'precision'], [f1(one), 'F1']] : [])),
    line(one.explained, `whose first map is of ${name}`, [mean(one.area, one.explained), 'mean area'],
      [mean(one.border, one.explained), `mean border (even: ${percent(EVEN)})`]));
}

function classMeans(means, k) {
  const maps = meanMaps(means, k), all = meanMap(means, -1, 0, 160, '160px');
  if (!maps.length) return null;
  if (all) all.querySelector('figcaption').firstChild.data = 'every class';
  const of = `Of all maps of ${classes[k]} by ${methodShown()}, whatever the label of the image.`;
  return h('section', h('h3', 'Mean map'), h('div.means', maps, all), legends(), h('p.quiet', of));
}

function classConfusions(k) { // images of k predicted as another class, and images of others predicted as k
  const { class: predicted, label, correct } = columns, counts = new Map();
  for (let i = 0; i < imageCount; i++) {
    if (correct[i] !== 0 || (label[i] !== k && predicted[i] !== k)) continue;
    addTo(counts, label[i], predicted[i], 1);
  }
  if (!counts.size) return null;
  const item = ([a, b, count]) => {
    const text = a === k ? `predicted as ${classes[b]}` : `labelled ${classes[a]}`;
    return h('li', galleryLink(text, { label: classes[a], pred: classes[b] }), ` ${count} ×`);
  };
  const most = pairsOf(counts).sort((x, y) => y[2] - x[2]).slice(0, 12);
  return h('section', h('h3', 'Confused'), h('ul.confused', most.map(item)));
}

function classStrips(k) {
  const { class: predicted, label, correct } = columns, name = classes[k];
  if (!labelled) return [strip('Predicted, most confident first', (i) => predicted[i] === k, { pred: name })];
  return [
    strip('Right, most confident first', (i) => correct[i] === 1 && label[i] === k, { label: name, right: 'right' }),
    strip(`Labelled ${name}, predicted as another`, (i) => correct[i] === 0 && label[i] === k,
      { label: name, right: 'wrong' }),
    strip(`Predicted as ${name}, labelled another`, (i) => correct[i] === 0 && predicted[i] === k,
      { pred: name, right: 'wrong' }),
  ];
}

function strip(title, keep, change) { // the eight most confident images, and a link to all of them
  const found = [];
  for (let i = 0; i < imageCount; i++) if (keep(i)) found.push(i);
  if (!found.length) return null;
  found.sort((a, b) => columns.prob[b] - columns.prob[a]);
  const all = galleryLink(`all ${found.length}`, { ...change, sort: 'prob', desc: '1' });
  return h('section', h('h3', title, ' ', all), h('div.strip', found.slice(0, 8).map(smallCard)));
}

function smallCard(i) {
  const tile = h('div.tile');
  detailsOf(i).then((details) => tile.append(stage(i, details, 64)), showError);
  return h('a.card', { title: columns.image[i], ...linkToImage(i, -1) }, tile, h('div.verdict', verdict(i), truth(i)));
}

function galleryLink(text, change) {
  return h('a', { href: address({ ...change, view: 'gallery', of: '' }) }, text);
}
