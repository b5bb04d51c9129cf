/* The page of one class: its figures, its mean maps, what it is confused with, its surest images. */

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

function classFacts(one) {
  const facts = [
    [labelled ? one.images : '–', 'images'], [percent(accuracy(one)), 'accuracy'], [one.predicted, 'predicted'],
    [percent(mean(one.prob, one.predicted)), 'mean probability'], [percent(mean(one.area, one.maps)), 'mean area'],
    [percent(mean(one.border, one.maps)), `mean border (even: ${percent(EVEN)})`],
  ];
  const known = facts.filter(([value]) => value !== '–');
  return h('div.facts', known.map(([value, text]) => h('span', h('b', value), ` ${text}`)));
}

function classMeans(means, k) {
  const maps = meanMaps(means, k), all = meanMap(means, -1, 0, 160, '160px');
  if (!maps.length) return null;
  if (all) all.querySelector('figcaption').firstChild.data = 'every class';
  return h('section', h('h3', 'Mean map'), h('div.means', maps, all), legends());
}

function classConfusions(k) { // the images of k taken for another class, and those of another taken for k
  const { class: predicted, label, correct } = columns, counts = new Map();
  for (let i = 0; i < imageCount; i++) {
    if (correct[i] !== 0 || (label[i] !== k && predicted[i] !== k)) continue;
    addTo(counts, label[i], predicted[i], 1);
  }
  if (!counts.size) return null;
  const item = ([a, b, count]) => {
    const text = a === k ? `taken for ${classes[b]}` : `really ${classes[a]}`;
    return h('li', galleryLink(text, { label: classes[a], pred: classes[b] }), ` ${count} ×`);
  };
  const most = pairsOf(counts).sort((x, y) => y[2] - x[2]).slice(0, 12);
  return h('section', h('h3', 'Confused'), h('ul.confused', most.map(item)));
}

function classStrips(k) {
  const { class: predicted, label, target, correct } = columns;
  const change = { class: classes[k], sort: 'prob', desc: '1' };
  if (!labelled) return [strip('Surest first', (i) => predicted[i] === k, change)];
  const meets = (i) => label[i] === k || predicted[i] === k || target[i] === k;
  return [
    strip('Right, surest first', (i) => correct[i] === 1 && label[i] === k, { ...change, right: 'right' }),
    strip('Wrong, surest first', (i) => correct[i] === 0 && meets(i), { ...change, right: 'wrong' }),
  ];
}

function strip(title, keep, change) { // the eight surest images, and a link to all of them
  const found = [];
  for (let i = 0; i < imageCount; i++) if (keep(i)) found.push(i);
  if (!found.length) return null;
  found.sort((a, b) => columns.prob[b] - columns.prob[a]);
  const small = (i) => {
    const tile = h('div.tile');
    detailsOf(i).then((details) => tile.append(stage(i, details, 64)), showError);
    return h('a.card', linkToImage(i, -1), tile, h('div.verdict', verdict(i)));
  };
  const all = galleryLink(`all ${found.length}`, change);
  return h('section', h('h3', title, ' ', all), h('div.strip', found.slice(0, 8).map(small)));
}

function galleryLink(text, change) {
  return h('a', { href: address({ ...change, view: 'gallery', of: '' }) }, text);
}
