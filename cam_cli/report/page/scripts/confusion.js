/* The confusion matrix: labels down, predictions across; of many classes the most confused ones. */

const MOST = 40; // classes in the matrix
const WORST = 20; // confusions in the list

function showConfusion(view) {
  const { class: predicted, label, correct } = columns, counts = new Map();
  for (let i = 0; i < imageCount; i++) if (correct[i] >= 0) addTo(counts, label[i], predicted[i], 1);
  showMatrix(view, classes, counts, (a, b, text) => {
    const change = { view: 'gallery', class: '', right: '', label: classes[a], pred: classes[b] };
    return h('a', { href: address(change), title: `${classes[a]} predicted as ${classes[b]}` }, text);
  });
}

function showTrainingConfusion(view) {
  const counts = new Map();
  data.confusion.forEach((row, a) => row.forEach((count, b) => { if (count) addTo(counts, a, b, count); }));
  showMatrix(view, classes, counts, (a, b, text) =>
    h('span', { title: `${classes[a]} predicted as ${classes[b]}` }, text));
}

/* counts: "label predicted" → images */

function addTo(counts, label, predicted, more) {
  const key = `${label} ${predicted}`;
  counts.set(key, (counts.get(key) || 0) + more);
}

function pairsOf(counts) { // [label, predicted, images]
  return [...counts].map(([key, count]) => [...key.split(' ').map(Number), count]);
}

function showMatrix(view, names, counts, cell) {
  const pairs = pairsOf(counts);
  const totals = names.map(() => 0), confused = names.map(() => 0);
  for (const [a, b, count] of pairs) {
    totals[a] += count;
    if (a !== b) { confused[a] += count; confused[b] += count; }
  }
  const met = [...names.keys()].filter((k) => totals[k] || confused[k]).sort((a, b) => confused[b] - confused[a]);
  const most = met.slice(0, MOST).sort((a, b) => names[a] < names[b] ? -1 : 1);
  if (most.length < met.length) {
    view.append(h('p.quiet', `The ${most.length} of ${met.length} classes that are confused most.`));
  }
  const head = h('tr', h('td', 'label ↓ predicted →'), [...most.map((k) => names[k]), 'recall'].map((name) =>
    h('th', { scope: 'col' }, h('span', name))));
  const row = (a) => h('tr', h('th', { scope: 'row' }, names[a]),
    most.map((b) => matrixCell(a, b, counts.get(`${a} ${b}`) || 0, totals[a], cell)),
    h('td.sum', totals[a] ? percent((counts.get(`${a} ${a}`) || 0) / totals[a]) : '–'));
  const columnOf = (b) => pairs.reduce((sum, [, k, count]) => sum + (k === b ? count : 0), 0);
  const foot = h('tr', h('th', { scope: 'row' }, 'precision'), most.map((b) =>
    h('td.sum', percent(mean(counts.get(`${b} ${b}`) || 0, columnOf(b))))), h('td'));
  view.append(
    scroller('Confusion matrix', h('table.matrix', h('thead', head), h('tbody', most.map(row)), h('tfoot', foot))),
    h('p.quiet', 'The number of images; the colour is their share of the label’s row.'));
  const worst = pairs.filter(([a, b]) => a !== b).sort((x, y) => y[2] - x[2]).slice(0, WORST);
  const item = ([a, b, count]) => h('li', cell(a, b, `${names[a]} predicted as ${names[b]}`), ` ${count} ×`);
  if (worst.length) view.append(h('h2.minor', 'Most frequent confusions'), h('ol.confused', worst.map(item)));
}

function matrixCell(a, b, count, total, cell) {
  const share = total ? count / total : 0, kind = a === b ? 'hit' : 'miss';
  const style = { '--x': share ? 0.08 + 0.92 * share : 0 };
  return h('td', { class: kind, style }, count ? cell(a, b, count) : '');
}
